//! A capture of more than 4 GiB, or of 1500 CPUs, is replayed in little memory: it is read through windows, and
//! nothing is kept.

use std::{
    fs::File,
    net::UdpSocket,
    os::unix::fs::{FileExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use ftrace_live::capture::{
    convert::convert,
    trace_dat::{BufferData, Open, TraceDat},
};

/// The most memory that a replay may use, including the program itself.
const MOST: u64 = 64 << 20;
/// The gap between the first and the last half of a CPU's sub-buffers: sub-buffers without records, a hole on the
/// disk.
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
    // trace-cmd.dat.v6(5): this word is followed by offset and size of each CPU's data.
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

/// Replays a capture to a socket that exists, so that nothing is refused, but is not read. Returns the messages, and
/// the program's peak memory, bytes.
#[expect(clippy::zombie_processes, reason = "wait4(2) reaps it")]
fn played(dir: &Path, capture: &Path) -> (String, u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let said = dir.join("said");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").arg(capture).args(["--raw", "--speed", "max", "--max-rate", "0"]);
    command.args(["--to", &socket.local_addr().unwrap().to_string()]);
    let child = command.stderr(File::create(&said).unwrap()).spawn().unwrap();
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    // SAFETY: wait4(2) writes an int and an rusage to the given addresses, which are valid; all zeros is a valid
    // rusage.
    let usage = unsafe {
        assert_eq!(libc::wait4(child.id() as i32, &mut status, 0, usage.as_mut_ptr()), child.id() as i32);
        usage.assume_init()
    };
    let said = std::fs::read_to_string(said).unwrap();
    assert_eq!(status, 0, "{said}");
    (said, usage.ru_maxrss as u64 * 1024)
}

#[test]
fn a_capture_of_4_gib_is_replayed_in_less_than_64_mib() {
    // In memory, reading a hole does not fill the page cache.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = large(dir.path());
    assert!(std::fs::metadata(&path).unwrap().len() > HOLE);
    let (said, most) = played(dir.path(), &path);
    assert!(said.contains(" 783 events"), "{said}");
    assert!(most > 0 && most <= MOST, "{most} bytes");
}

#[test]
fn rings_of_1500_cpus_take_less_than_64_kib_each() {
    const CPUS: usize = 1500;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let dir = tempfile::tempdir().unwrap();
    // All CPUs share the same two files: at each moment there are as many events as CPUs.
    let of = |cpus: usize| {
        let folder = dir.path().join(format!("{cpus}-cpus"));
        std::fs::create_dir_all(folder.join("per_cpu")).unwrap();
        for entry in std::fs::read_dir(&fixture).unwrap().flatten().filter(|entry| entry.file_name() != "per_cpu") {
            symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        for cpu in 0..cpus {
            let ring = fixture.join(format!("per_cpu/cpu{}", cpu % 2));
            symlink(ring, folder.join(format!("per_cpu/cpu{cpu}"))).unwrap();
        }
        folder
    };
    let (said, few) = played(dir.path(), &of(2));
    assert!(said.contains(" 783 events"), "{said}");
    let (said, many) = played(dir.path(), &of(CPUS));
    assert!(said.contains(&format!(" {} events", 783 * CPUS / 2)), "{said}");
    let each = many.saturating_sub(few) / CPUS as u64;
    assert!(each <= 64 << 10 && many <= 128 << 20, "{each} bytes a CPU, {many} bytes in all, {few} with two");
}
