/* Lists the events of a trace.dat as KernelShark's loader reads them, one on a line: time, CPU, task, system/event. */
#include <stdio.h>
#include <stdlib.h>
#include "libkshark.h"

int main(int argc, char **argv)
{
	struct kshark_context *context = NULL;
	struct kshark_entry **entries = NULL;
	ssize_t count;
	int stream;

	if (argc != 2 || !kshark_instance(&context))
		return 1;
	stream = kshark_open(context, argv[1]);
	if (stream < 0)
		return 2;
	count = kshark_load_entries(context, stream, &entries);
	if (count < 0)
		return 3;
	for (ssize_t i = 0; i < count; i++) {
		char *name = kshark_get_event_name(entries[i]);

		printf("%lld %d %d %s\n", (long long)entries[i]->ts, entries[i]->cpu, kshark_get_pid(entries[i]), name);
		free(name);
	}
	return 0;
}
