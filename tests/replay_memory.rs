//! A capture of more than 4 GiB is played in little memory: it is read through windows, and none of it is kept.

use std::{
    fs::File,
    net::UdpSocket,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use ftrace_live::capture::{
    convert::convert,
    trace_dat::{BufferData, Open, TraceDat},
};

/// The most memory that a replay may take, the program itself included.
const MOST: u64 = 64 << 20;
/// What is put between the first and the last half of a CPU's sub-buffers: sub-buffers without a record, on the disk a hole.
const HOLE: u64 = 4 << 30;

/// A `trace.dat` of the fixture's events, more than 4 GiB long.
fn large(dir: &Path) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let path = dir.join("large.dat");
    convert(&fixture, &path, Open::default(), &mut |_| {}).unwrap();
    let dat = TraceDat::open(&path, Open::default()).unwrap();
    let BufferData::Cpus(cpus) = &dat.buffers[0].data else { panic!("no rings") };
    let (offset, size) = (cpus[0].offset, cpus[0].size);
    let bytes = std::fs::read(&path).unwrap();
    // trace-cmd.dat.v6(5): behind this word stand offset and size of each CPU's data.
    let table = bytes.windows(10).rposition(|word| word == b"flyrecord\0").unwrap() + 10;
    let entry = [offset.to_le_bytes(), size.to_le_bytes()].concat();
    assert_eq!(bytes[table..table + 16], entry, "the table of the CPUs");
    let data = &bytes[offset as usize..(offset + size) as usize];
    let (first, last) = data.split_at(data.len() / 2 / 4096 * 4096);
    let start = (bytes.len() as u64).next_multiple_of(4096);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(first, start).unwrap();
    file.write_all_at(last, start + first.len() as u64 + HOLE).unwrap();
    file.write_all_at(&[start.to_le_bytes(), (size + HOLE).to_le_bytes()].concat(), table as u64).unwrap();
    path
}

/// The most memory that any child of this process had, bytes.
fn most_of_children() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage(2) writes one rusage to the address given, which is that of a live one; all zeros is one, too.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    usage.ru_maxrss as u64 * 1024
}

#[test]
fn a_capture_of_4_gib_is_played_in_less_than_64_mib() {
    // In memory, a hole is read without taking up the page cache.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = large(dir.path());
    assert!(std::fs::metadata(&path).unwrap().len() > HOLE);
    // Somebody who listens, so that nothing is refused, and does not read.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").arg(&path).args(["--raw", "--speed", "max", "--max-rate", "0"]);
    let output = command.args(["--to", &socket.local_addr().unwrap().to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" 783 events"), "{said}");
    let most = most_of_children();
    assert!(most > 0 && most <= MOST, "{most} bytes");
}
