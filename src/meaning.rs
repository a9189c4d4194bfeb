//! Short descriptions of the best known groups, events and fields; and which events to try first.
//!
//! Only `list` and `describe` show them.

/// Groups.
const GROUPS: &[(&str, &str)] = &[
    ("alarmtimer", "timers that wake the machine from suspend"),
    ("block", "requests to disks: queued, sent, done"),
    ("bpf_trace", "what BPF programs print"),
    ("bridge", "forwarding tables of network bridges"),
    ("cgroup", "control groups: made, moved into, frozen"),
    ("compaction", "memory pages moved together"),
    ("devfreq", "frequencies of devices"),
    ("dma_fence", "GPU and display work that waits for other work"),
    ("drm", "the display's vertical blank"),
    ("exceptions", "page faults"),
    ("ext4", "the ext4 file system"),
    ("fib", "route look-ups"),
    ("filelock", "locks on files"),
    ("filemap", "pages in and out of the page cache"),
    ("gpio", "input and output pins"),
    ("hda", "HD audio"),
    ("huge_memory", "huge pages made and split"),
    ("i2c", "messages on I2C buses"),
    ("io_uring", "io_uring submissions and completions"),
    ("iomap", "file ranges mapped to disk"),
    ("iommu", "mappings of devices' memory"),
    ("ipi", "interrupts from one CPU to another"),
    ("irq", "interrupts of devices, and softirqs"),
    ("irq_vectors", "interrupts of the CPU itself: timers, other CPUs"),
    ("jbd2", "the journal of ext4"),
    ("kmem", "memory allocated and freed in the kernel"),
    ("kvm", "virtual machines: entries, exits, injections"),
    ("libata", "ATA commands"),
    ("mmap", "address space laid out"),
    ("mmc", "SD cards and eMMC"),
    ("module", "kernel modules loaded, unloaded, held"),
    ("msr", "model-specific registers"),
    ("napi", "network polling"),
    ("neigh", "ARP and its kin"),
    ("net", "network packets queued, sent, received"),
    ("nfs", "NFS client"),
    ("nvme", "NVMe commands"),
    ("oom", "the out-of-memory killer"),
    ("page_pool", "network drivers' pages"),
    ("percpu", "memory of one CPU"),
    ("power", "CPU idle states and frequencies, suspend"),
    ("preemptirq", "interrupts and preemption switched off and on"),
    ("printk", "the kernel's log"),
    ("qdisc", "network queues"),
    ("ras", "hardware errors"),
    ("raw_syscalls", "every system call, by number"),
    ("rcu", "read-copy-update"),
    ("regmap", "device registers"),
    ("rpm", "devices' runtime power"),
    ("sched", "the scheduler: which task runs, wakes, ends"),
    ("scsi", "SCSI commands"),
    ("signal", "signals made and delivered"),
    ("skb", "network buffers freed and copied"),
    ("snd_pcm", "audio buffers"),
    ("sock", "sockets: state, full buffers"),
    ("spi", "messages on SPI buses"),
    ("swiotlb", "bounce buffers"),
    ("syscalls", "system calls, each with its arguments and result"),
    ("task", "tasks made and renamed"),
    ("tcp", "TCP: retransmissions, resets, states"),
    ("thermal", "temperatures and cooling"),
    ("timer", "timers started, fired, cancelled; ticks"),
    ("udp", "UDP: full receive buffers"),
    ("vmalloc", "the kernel's virtual memory"),
    ("vmscan", "memory reclaimed when it runs short"),
    ("vsyscall", "the old fast system calls"),
    ("workqueue", "deferred work in the kernel"),
    ("writeback", "dirty pages written to disk"),
    ("xdp", "packets at the driver"),
    ("xfs", "the XFS file system"),
    ("xhci-hcd", "USB 3 controllers"),
];

/// Events.
const EVENTS: &[(&str, &str)] = &[
    ("block:block_rq_issue", "a request goes to the disk"),
    ("block:block_rq_complete", "a request is done"),
    ("block:block_rq_insert", "a request enters the disk's queue"),
    ("block:block_bio_queue", "a part of a file is to be read or written"),
    ("exceptions:page_fault_user", "a program touches memory that is not there yet"),
    ("exceptions:page_fault_kernel", "the same, by the kernel for a program"),
    ("ext4:ext4_da_write_begin", "a write to a file begins"),
    ("ext4:ext4_da_write_end", "a write to a file ends"),
    ("ext4:ext4_sync_file_enter", "fsync is called"),
    ("ext4:ext4_sync_file_exit", "fsync returns"),
    ("filemap:mm_filemap_add_to_page_cache", "a page of a file comes into memory"),
    ("filemap:mm_filemap_delete_from_page_cache", "a page of a file leaves memory"),
    ("irq:irq_handler_entry", "a device's interrupt begins"),
    ("irq:irq_handler_exit", "a device's interrupt ends"),
    ("irq:softirq_raise", "work is left for after the interrupt"),
    ("irq:softirq_entry", "that work begins: network, timers, RCU"),
    ("irq:softirq_exit", "that work ends"),
    ("irq:tasklet_entry", "a tasklet begins"),
    ("irq:tasklet_exit", "a tasklet ends"),
    ("irq_vectors:local_timer_entry", "the CPU's own timer fires"),
    ("irq_vectors:local_timer_exit", "its handler ends"),
    ("irq_vectors:reschedule_entry", "another CPU has work for this one"),
    ("irq_vectors:call_function_entry", "another CPU calls a function here"),
    ("irq_vectors:call_function_single_entry", "another CPU calls a function on this one alone"),
    ("jbd2:jbd2_start_commit", "the journal begins to write"),
    ("jbd2:jbd2_end_commit", "the journal has written"),
    ("kmem:kmalloc", "the kernel allocates some bytes"),
    ("kmem:kfree", "and frees them"),
    ("kmem:kmem_cache_alloc", "the kernel takes an object from a cache"),
    ("kmem:kmem_cache_free", "and gives it back"),
    ("kmem:mm_page_alloc", "a page is allocated"),
    ("kmem:mm_page_free", "a page is freed"),
    ("kvm:kvm_entry", "a virtual CPU begins to run"),
    ("kvm:kvm_exit", "a virtual CPU stops, and why"),
    ("module:module_load", "a module is loaded"),
    ("napi:napi_poll", "the network card is polled"),
    ("net:net_dev_queue", "a packet is to be sent"),
    ("net:net_dev_xmit", "a packet is with the driver"),
    ("net:net_dev_start_xmit", "a packet goes to the driver"),
    ("net:netif_receive_skb", "a packet has come"),
    ("net:netif_rx", "a packet has come, by the old way"),
    ("nvme:nvme_setup_cmd", "a command goes to an NVMe disk"),
    ("nvme:nvme_complete_rq", "an NVMe disk has done it"),
    ("oom:oom_score_adj_update", "a process changes its odds with the OOM killer"),
    ("oom:mark_victim", "the OOM killer has chosen"),
    ("power:cpu_idle", "a CPU falls asleep (state) or wakes (-1)"),
    ("power:cpu_frequency", "a CPU changes its frequency"),
    ("power:suspend_resume", "the machine suspends or resumes"),
    ("printk:console", "a line for the kernel's log"),
    ("raw_syscalls:sys_enter", "any system call begins"),
    ("raw_syscalls:sys_exit", "any system call ends"),
    ("rcu:rcu_utilization", "RCU works"),
    ("sched:sched_switch", "a CPU goes from one task to another"),
    ("sched:sched_waking", "somebody wakes a task"),
    ("sched:sched_wakeup", "a task is ready to run"),
    ("sched:sched_wakeup_new", "a new task is ready to run"),
    ("sched:sched_migrate_task", "a task moves to another CPU"),
    ("sched:sched_process_fork", "a process is made"),
    ("sched:sched_process_exec", "a program starts"),
    ("sched:sched_process_exit", "a task ends"),
    ("sched:sched_process_free", "what was left of a task is freed"),
    ("sched:sched_process_wait", "a process waits for its children"),
    ("sched:sched_stat_runtime", "how long a task ran"),
    ("sched:sched_stat_wait", "how long a task waited for a CPU"),
    ("sched:sched_stat_sleep", "how long a task slept"),
    ("sched:sched_pi_setprio", "a task's priority is lent"),
    ("signal:signal_generate", "a signal is sent"),
    ("signal:signal_deliver", "a signal arrives"),
    ("skb:kfree_skb", "a packet is dropped, and why"),
    ("skb:consume_skb", "a packet is done with"),
    ("sock:inet_sock_set_state", "a connection changes its state"),
    ("syscalls:sys_enter_openat", "a file is opened"),
    ("syscalls:sys_enter_read", "something is read"),
    ("syscalls:sys_enter_write", "something is written"),
    ("syscalls:sys_enter_close", "a file is closed"),
    ("syscalls:sys_enter_mmap", "memory is mapped"),
    ("syscalls:sys_enter_execve", "a program is to start"),
    ("syscalls:sys_enter_futex", "threads wait for each other"),
    ("syscalls:sys_enter_clone", "a process or thread is to be made"),
    ("syscalls:sys_enter_connect", "a connection is to be made"),
    ("syscalls:sys_enter_sendto", "something is sent"),
    ("syscalls:sys_enter_recvfrom", "something is to be received"),
    ("syscalls:sys_enter_ioctl", "a device is told something"),
    ("syscalls:sys_enter_poll", "a program waits for files"),
    ("syscalls:sys_enter_epoll_wait", "a program waits for many files"),
    ("syscalls:sys_enter_nanosleep", "a program sleeps"),
    ("syscalls:sys_enter_kill", "a signal is to be sent"),
    ("syscalls:sys_enter_newstat", "a file is looked up"),
    ("task:task_newtask", "a task is made"),
    ("task:task_rename", "a task gets another name"),
    ("tcp:tcp_retransmit_skb", "a TCP segment is sent again"),
    ("tcp:tcp_send_reset", "a connection is reset"),
    ("tcp:tcp_receive_reset", "the other side resets a connection"),
    ("tcp:tcp_probe", "a TCP segment has come, with the state of its connection"),
    ("tcp:tcp_destroy_sock", "a connection is over"),
    ("thermal:thermal_temperature", "a temperature is read"),
    ("timer:timer_start", "a timer is set"),
    ("timer:timer_expire_entry", "a timer's function begins"),
    ("timer:timer_cancel", "a timer is over or cancelled"),
    ("timer:hrtimer_start", "a high-resolution timer is set"),
    ("timer:hrtimer_expire_entry", "its function begins"),
    ("timer:tick_stop", "a CPU stops or keeps its tick"),
    ("vmscan:mm_vmscan_direct_reclaim_begin", "a task has to find memory itself"),
    ("vmscan:mm_vmscan_kswapd_wake", "kswapd begins to find memory"),
    ("workqueue:workqueue_queue_work", "work is put off"),
    ("workqueue:workqueue_execute_start", "work that was put off begins"),
    ("workqueue:workqueue_execute_end", "and ends"),
    ("writeback:writeback_dirty_folio", "a page of a file has changed"),
    ("writeback:writeback_start", "changed pages begin to be written"),
];

/// Events to try first, with what they sound like.
const START: &[(&str, &str)] = &[
    ("exceptions:page_fault_user", "bursts like gravel whenever a program starts or grows"),
    ("irq:irq_handler_entry", "sparse ticks, one for each touch of disk, network or keyboard"),
    ("irq:softirq_entry", "a pulse at the tick's rate, thicker under network load"),
    ("sched:sched_switch", "the busiest of all: a texture that shows how many tasks want to run"),
    ("sched:sched_process_exec", "single notes: each program that starts; run a shell script and hear it"),
    ("syscalls:sys_enter_openat", "short runs: a program that starts opens its libraries"),
    ("signal:signal_generate", "rare accents: Ctrl-C, timers, children that end"),
    ("power:cpu_idle", "the breath of the machine: CPUs fall asleep and wake"),
    ("net:net_dev_queue", "rhythm of the network; load a web page"),
    ("block:block_rq_issue", "knocks of the disk, in crowds when something is copied"),
];

/// Fields, by name, for any event.
const FIELDS: &[(&str, &str)] = &[
    ("prev_comm", "the task that stops running"),
    ("prev_pid", "its number"),
    ("prev_prio", "its priority: 120 is usual, less runs sooner"),
    ("prev_state", "why it stops: 0 it could go on, 1 it sleeps, 2 it waits for a disk"),
    ("next_comm", "the task that runs from here on"),
    ("next_pid", "its number"),
    ("next_prio", "its priority"),
    ("target_cpu", "the CPU that the task is to run on"),
    ("prio", "the priority: 120 is usual, less runs sooner"),
    ("irq", "the interrupt's number, as in /proc/interrupts"),
    ("vec", "which softirq: 1 TIMER, 2 NET_TX, 3 NET_RX, 4 BLOCK, 6 TASKLET, 7 SCHED, 9 RCU"),
    ("vector", "the CPU's interrupt vector"),
    ("address", "the address that was touched"),
    ("ip", "the instruction that did it"),
    ("error_code", "bit 0: the page was there, 1: a write, 2: from user space, 4: to run it"),
    ("ret", "the result; below 0 an error number"),
    ("nr", "the system call's number"),
    ("args", "its arguments"),
    ("sig", "the signal's number"),
    ("filename", "the file"),
    ("child_pid", "the new task's number"),
    ("child_comm", "the new task's name"),
    ("parent_pid", "the number of the task that makes it"),
    ("orig_cpu", "the CPU it comes from"),
    ("dest_cpu", "the CPU it goes to"),
    ("state", "the state that it goes to"),
    ("dev", "the device's number"),
    ("sector", "where on the disk, in units of 512 bytes"),
    ("nr_sector", "how much, in units of 512 bytes"),
    ("rwbs", "R read, W write, S wait for it, M metadata, F flush"),
    ("bytes", "how much, bytes"),
    ("len", "how much, bytes"),
    ("skbaddr", "the packet's address in the kernel"),
    ("ino", "the file's inode"),
    ("call_site", "where in the kernel it was called"),
    ("ptr", "the address in the kernel"),
    ("bytes_req", "bytes asked for"),
    ("bytes_alloc", "bytes given"),
    ("order", "how many pages, as a power of two"),
    ("expires", "when the timer fires"),
    ("function", "the function that is called"),
    ("fd", "the open file's number"),
    ("count", "how much, bytes"),
    ("flags", "flags of the call"),
    ("saddr", "the sender's address"),
    ("daddr", "the receiver's address"),
    ("sport", "the sender's port"),
    ("dport", "the receiver's port"),
];

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
}

/// The description of a group.
pub fn of_group(group: &str) -> Option<&'static str> {
    find(GROUPS, group)
}

/// The description of an event; `event` is `GROUP:EVENT`.
pub fn of_event(event: &str) -> Option<&'static str> {
    find(EVENTS, event)
}

/// The description of a field.
pub fn of_field(field: &str) -> Option<&'static str> {
    find(FIELDS, field)
}

/// The events to try first, with what they sound like.
pub fn first() -> impl Iterator<Item = (&'static str, &'static str)> {
    START.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once_and_fits_a_line() {
        for table in [GROUPS, EVENTS, FIELDS] {
            let mut names: Vec<_> = table.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.len());
        }
        assert!(EVENTS.len() > 100 && START.len() == 10);
        for (name, _) in EVENTS {
            let (group, _) = name.split_once(':').unwrap();
            assert!(of_group(group).is_some(), "{group}");
        }
    }
}
