//! Few descriptors, little memory, small files.

use std::fs;
use std::process::Command;

use crate::program::{PROGRAM, run_command};
use crate::receiver::{Receiver, events};
use crate::{TRACED, live};

/// The program within limits of `ulimit`.
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

#[test]
fn where_even_less_is_not_enough_that_is_said_and_nothing_is_left() {
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
fn a_capture_beyond_the_file_size_limit_is_said_and_no_half_of_it_stays() {
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
