//! A program for python-osc that prints every event with the names of its arguments.

use std::net::Ipv4Addr;

use super::{Language, Listen, Schema, control, introduction, plain, quoted};

/// The program text. Long: it is that text as it goes into the file.
pub fn patch(schemas: &[Schema], listen: Listen<'_>) -> String {
    let mut out = String::from("#!/usr/bin/env python3\n");
    for line in introduction(Language::Python, schemas, listen, "pip install python-osc; python3 ftrace.py") {
        out += &format!("# {line}\n");
    }
    let port = listen.port;
    let host = listen.bind.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let own = |name: &str| quoted(&format!("{}/{name}", listen.prefix), '"');
    out += if listen.control.is_some() {
        "import socket\nimport sys\nimport threading\nimport time\n"
    } else {
        "import socket\nimport sys\n"
    };
    out += "\nfrom pythonosc.dispatcher import Dispatcher\n";
    if listen.control.is_some() {
        out += "from pythonosc.osc_message_builder import OscMessageBuilder\n";
    }
    out += r#"from pythonosc.osc_server import BlockingOSCUDPServer

# The arguments' names by address, in the order in which they come.
NAMES = {
"#;
    for schema in schemas {
        out += &format!("    # ,{}\n    {}: [\n", schema.tags, quoted(&schema.address, '"'));
        for argument in &schema.arguments {
            out += &format!(
                "        {},  # {} {}\n",
                quoted(&argument.name, '"'),
                argument.tag,
                plain(&argument.meaning())
            );
        }
        out += "    ],\n";
        for omitted in &schema.omitted {
            out +=
                &format!("    # not sent: {} {}: {}\n", plain(&omitted.kernel_type), plain(&omitted.name), omitted.why);
        }
    }
    out += &format!(
        r#"}}


def event(address, *arguments):
    """One kernel event. Make of it what you like: here it is printed."""
    values = dict(zip(NAMES[address], arguments))
    print(address, " ".join(f"{{name}}={{show(value)}}" for name, value in values.items()), flush=True)


def hit(address, event, form, timbre, note, level, length, pan, brightness):
    """What is to be heard: with a synthesizer of yours, play it here."""
    kind = ("note", "grain", "texture")[form]
    print(f"{{kind}} {{event}} note={{note:.2f}} level={{level:.3f}} ms={{length:.0f}} pan={{pan:+.2f}}", flush=True)


def show(value):
    """A timetag comes as a pair: a datetime in UTC and the fraction of the second, in 2**-32 s."""
    if isinstance(value, tuple):
        return f"{{value[0].isoformat()}}.{{value[1] * 10**9 >> 32:09}}"
    return repr(value)


def start(address, host, cpus, *_):
    print(f"ftrace-live: started on {{host}} ({{cpus}} CPUs)", flush=True)


def stat(address, read, sent, thinned, kernel_lost, malformed, receiver_drops, seconds):
    """Each second's counts."""
    if kernel_lost + receiver_drops:
        print(f"ftrace-live: lost {{kernel_lost}} in the kernel, {{receiver_drops}} here", flush=True)


def stop(address):
    print("ftrace-live: stopped", flush=True)


dispatcher = Dispatcher()
for name in NAMES:
    dispatcher.map(name, event)
dispatcher.map({hit}, hit)
dispatcher.map({start}, start)
dispatcher.map({stat}, stat)
dispatcher.map({stop}, stop)
{control}
try:
    server = BlockingOSCUDPServer(("{host}", {port}), dispatcher)
except OSError as error:
    sys.exit(f"port {port}: {{error}}")
# Room for bursts: Python is slower than the kernel.
server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
print("ftrace-live: listening on port {port}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
"#,
        control = control::python(listen),
        hit = own("hit"),
        start = own("start"),
        stat = own("stat"),
        stop = own("stop"),
    );
    out
}
