//! Few descriptors, little memory, small files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::skipped;
use crate::program::{PROGRAM, run_command};
use crate::receiver::{Receiver, events};
use crate::{TRACED, live};

/// The program with `ulimit` limits.
fn limited(limit: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, PROGRAM]).args(arguments);
    command
}

#[test]
fn with_sixteen_descriptors_or_64_mib_of_memory_all_events_arrive() {
    let Some(tracefs) = live() else { return };
    for limit in ["-n 16", "-v 65536"] {
        let what = ["-e", "sched_process_exec", "--", "sh", "-c", "/bin/true; exit 0"];
        let receiver = Receiver::local();
        let target = receiver.target();
        let ended = run_command(&tracefs, &mut limited(limit, &[&["--raw", "--to", &target], &what[..]].concat()));
        assert_eq!(ended.status.code(), Some(0), "{limit}: {}", ended.said);
        // The shell's own, and that of `true`.
        assert_eq!(events(&receiver.messages()).len(), 2, "{limit}: {}", ended.said);
        let ended = run_command(&tracefs, &mut limited(limit, &[&["--print"], &what[..]].concat()));
        assert_eq!(ended.status.code(), Some(0), "{limit}: {}", ended.said);
        assert_eq!(ended.out.matches(" sched_process_exec: ").count(), 2, "{limit}: {}{}", ended.out, ended.said);
    }
}

/// A memory cgroup of our own, of either version; removed at the end.
struct MemoryGroup {
    path: PathBuf,
    /// The files for the limit and for the peak usage.
    files: (&'static str, &'static str),
}

impl MemoryGroup {
    /// A group of at most `bytes`, if one can be created here.
    fn of(bytes: u64) -> Option<MemoryGroup> {
        let name = format!("ftrace-live-test-{}", std::process::id());
        let kinds = [
            ("/sys/fs/cgroup", ("memory.max", "memory.peak")),
            ("/sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.max_usage_in_bytes")),
        ];
        kinds.into_iter().find_map(|(root, files)| {
            let path = Path::new(root).join(&name);
            fs::create_dir(&path).ok()?;
            let group = MemoryGroup { path, files };
            fs::write(group.path.join(files.0), bytes.to_string()).ok()?;
            group.path.join(files.1).exists().then_some(group)
        })
    }

    fn peak(&self) -> u64 {
        fs::read_to_string(self.path.join(self.files.1)).unwrap().trim().parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// What RLIMIT_AS does not count: the page cache of written files, and all processes together.
#[test]
fn in_a_memory_cgroup_of_64_mib_a_loaded_run_records_all_events() {
    let Some(tracefs) = live() else { return };
    let limit = 64 << 20;
    let Some(group) = MemoryGroup::of(limit) else {
        skipped::say("no memory cgroup can be made here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", group.path.display());
    let receiver = Receiver::local();
    // Two hundred thousand system calls of dd.
    let load = "dd if=/dev/zero of=/dev/null bs=1 count=100000 2>/dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", &script, PROGRAM, "--raw", "--to", &receiver.target(), "-e", "raw_syscalls", "-b", "16384"]);
    command.args(["--stay-root", "--record", file.to_str().unwrap(), "--", "sh", "-c", load]);
    let ended = run_command(&tracefs, &mut command);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let recorded = ended.said.split_once("x.dat: ").and_then(|(_, rest)| rest.split_once(" events recorded"));
    let recorded: u64 = recorded.unwrap_or_else(|| panic!("{}", ended.said)).0.parse().unwrap();
    let lost = ended.said.split(' ').zip(ended.said.split(' ').skip(1)).find(|(_, word)| *word == "lost").unwrap().0;
    // Two events per call, two calls per byte.
    assert!(recorded + lost.parse::<u64>().unwrap() >= 400_000, "{}", ended.said);
    assert!(group.peak() <= limit, "{} bytes: {}", group.peak(), ended.said);
    assert!(fs::metadata(&file).unwrap().len() > 4 << 20);
}

#[test]
fn too_little_memory_is_reported_and_nothing_is_left() {
    let Some(tracefs) = live() else { return };
    let arguments = [&TRACED[..], &["--to", "127.0.0.1:9", "--seconds", "0.1"]].concat();
    for descriptors in 4..12 {
        let ended = run_command(&tracefs, &mut limited(&format!("-n {descriptors}"), &arguments));
        let said_so = ended.said.contains("Too many open files") || ended.said.contains("ftrace-live: ");
        assert!(matches!(ended.status.code(), Some(0)) || said_so, "{descriptors}: {:?} {}", ended.status, ended.said);
        assert!(!ended.said.contains("panicked"), "{descriptors}: {}", ended.said);
    }
}

#[test]
fn a_capture_beyond_the_file_size_limit_is_reported_and_removed() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in ["folder", "file.dat"] {
        let output = dir.path().join(name);
        let arguments = ["capture", "-e", "sched", "-o", output.to_str().unwrap(), "--stay-root", "--", "true"];
        let ended = run_command(&tracefs, &mut limited("-f 16", &arguments));
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", ended.said);
        let why = ["File too large", "file-size limit"];
        assert!(why.iter().any(|why| ended.said.contains(why)), "{name}: {}", ended.said);
        assert!(!output.exists(), "{name}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
