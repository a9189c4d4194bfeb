//! The running kernel is the oracle: every event under a mixed load, our text compared with its own.
//!
//! In a private instance, one group of systems after another is enabled; the ring is frozen; the kernel's text is
//! read before the raw bytes, and both are stored as a capture folder.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use common::{
    instance::{Instance, freeze},
    kernel_text,
};
use ftrace_live::{
    capture::{Capture, folder},
    format::Endian,
    names::Names,
    render::Settings,
};

/// Groups of systems with moderate rates; the last group has all others.
const GROUPS: [&[&str]; 9] = [
    &["sched", "task", "signal", "cgroup", "oom", "power", "thermal", "ftrace"],
    &["irq", "timer", "workqueue", "irq_vectors", "ipi", "nmi", "csd", "tick", "hrtimer"],
    &["syscalls"],
    &["raw_syscalls", "exceptions", "mmap", "mmap_lock", "vmalloc", "maple_tree", "tlb", "percpu", "mm"],
    &["kmem", "page_isolation", "page_pool", "pagemap", "vmscan", "compaction", "migrate", "huge_memory", "oom"],
    &["net", "sock", "tcp", "udp", "skb", "napi", "qdisc", "fib", "fib6", "neigh", "bridge", "mptcp", "handshake"],
    &["ext4", "jbd2", "block", "writeback", "filelock", "filemap", "fs_dax", "iomap", "io_uring", "vfs"],
    &["rcu", "preemptirq", "lock", "rseq", "printk", "module", "notifier", "cpuhp", "csd"],
    &["xfs", "btrfs", "kvm", "kvmmmu", "fuse", "erofs", "overlayfs", "nfs", "sunrpc", "dma", "dma_fence"],
];

/// A little of everything that a system does.
fn load(scratch: &Path, marker: &Path, until: Instant) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shm = PathBuf::from(format!("/dev/shm/ftrace-live-text-{}", std::process::id()));
    let mut round = 0u32;
    while Instant::now() < until {
        round += 1;
        for folder in [scratch, &shm] {
            fs::create_dir_all(folder).unwrap();
            let (file, renamed) = (folder.join("file"), folder.join("renamed"));
            let mut out = fs::File::create(&file).unwrap();
            out.write_all(&vec![round as u8; 64 * 1024]).unwrap();
            _ = out.sync_all();
            fs::read(&file).unwrap();
            fs::rename(&file, &renamed).unwrap();
            fs::remove_file(&renamed).unwrap();
            assert!(fs::metadata(&file).is_err());
        }
        udp.send_to(b"datagram", udp.local_addr().unwrap()).unwrap();
        udp.recv(&mut [0; 64]).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"request").unwrap();
        server.read_exact(&mut [0; 7]).unwrap();
        server.write_all(b"answer").unwrap();
        drop((client, server));
        // fork, exec, exit, signals, pipes, a timer.
        let script = "trap : USR1; kill -USR1 $$; echo a | cat >/dev/null; sleep 0.01; nice true";
        Command::new("sh").args(["-c", script]).output().unwrap();
        let threads: Vec<_> = (0..3).map(|n| std::thread::spawn(move || vec![n; 1 << 20].len())).collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 1 << 20));
        _ = fs::write(marker, format!("round {round}\n"));
        std::thread::sleep(Duration::from_millis(5));
    }
    _ = fs::remove_dir_all(&shm);
}

fn compare<E: ByteOrder>(capture: &mut Capture, folder: &Path) -> kernel_text::Tally {
    let (names, errors) = Names::load(folder);
    assert!(errors.is_empty(), "{errors:?}");
    let settings = Settings::load(folder, &capture.clock);
    let mut text = settings.text(&capture.events, capture.header.long_size(), capture.endian, &names);
    let rendered = kernel_text::render::<E, _>(&mut capture.merge(), &mut text, &names);
    let kernel = fs::read(folder.join("trace")).unwrap();
    let name = |id: u16| {
        let event = capture.events.iter().find(|event| event.id.0 == id);
        event.map_or_else(|| format!("{id}"), |event| event.full_name())
    };
    kernel_text::compare(&rendered, &kernel, None, name)
}

#[test]
fn every_line_of_the_running_kernel() {
    let Some((tracing, instance)) = Instance::or_skip("text") else { return };
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let systems: Vec<String> = fs::read_dir(instance.0.join("events"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let grouped: Vec<&str> = GROUPS.iter().flat_map(|group| group.iter().copied()).collect();
    let others: Vec<&str> = systems.iter().map(String::as_str).filter(|s| !grouped.contains(s)).collect();

    let (mut records, mut equal, mut unexplained, mut seen) = (0, 0, String::new(), std::collections::BTreeSet::new());
    let mut defects = 0;
    for (number, group) in GROUPS.iter().copied().chain([others.as_slice()]).enumerate() {
        instance.write("tracing_on", "0").unwrap();
        instance.write("trace", "").unwrap();
        instance.write("events/enable", "0").unwrap();
        instance.write("buffer_size_kb", "2048").unwrap();
        // Keep the first events rather than the last, and show pointers as they are.
        instance.write("trace_options", "nooverwrite").unwrap();
        instance.write("trace_options", "nohash-ptr").unwrap();
        for system in group.iter().filter(|system| systems.iter().any(|s| s == *system)) {
            // Some events of a system may not be enabled.
            _ = instance.write(&format!("events/{system}/enable"), "1");
        }
        instance.write("tracing_on", "1").unwrap();
        let until = Instant::now() + Duration::from_millis(700);
        load(&scratch.path().join("files"), &instance.0.join("trace_marker"), until);
        instance.write("tracing_on", "0").unwrap();
        instance.write("events/enable", "0").unwrap();
        let folder = scratch.path().join(format!("capture{number}"));
        freeze(&tracing, &instance.0, &folder);
        let mut capture = folder::open(&folder).unwrap();
        let tally = match capture.endian {
            Endian::Little => compare::<LittleEndian>(&mut capture, &folder),
            Endian::Big => compare::<BigEndian>(&mut capture, &folder),
        };
        eprintln!("{}", tally.line(&group.iter().take(4).copied().collect::<Vec<_>>().join(" ")));
        unexplained += &tally.report();
        records += tally.records;
        equal += tally.equal;
        defects += tally.defects();
        seen.extend(tally.events);
        fs::remove_dir_all(&folder).unwrap();
    }
    eprintln!("{records} records of {} kinds of event, {equal} equal, {defects} defects", seen.len());
    eprint!("{unexplained}");
    assert!(records > 10_000, "only {records} records: the load made too few");
    assert!(defects * 1000 <= records, "{defects} of {records} records differ without a reason\n{unexplained}");
}
