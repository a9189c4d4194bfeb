//! In a pid namespace, where a task's pid differs from the kernel's. Pids are translated if /proc shows the first
//! namespace, and refused otherwise; no event has the name of a task in another namespace.

mod common;

use std::fs;
use std::process::{Command, Output, Stdio};

use common::live::may_trace;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const UNAME: &str = "/ftrace/syscalls/sys_enter_newuname ";

/// Whether another pid namespace can be created here; if not, says that the test is skipped.
fn may_unshare() -> bool {
    let unshared = Command::new("unshare").args(["-p", "-f", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    let may = unshared.is_ok_and(|status| status.success());
    if !may {
        crate::common::skipped::say(format_args!("unshare(1) cannot make a pid namespace here"));
    }
    may && may_trace()
}

/// Runs the script in a new pid namespace, with a new /proc or the existing one.
fn inside(own_proc: bool, script: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args(["-p", "-f"]).args(own_proc.then_some("--mount-proc"));
    command.args(["sh", "-c", script]).env("FTL", PROGRAM).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn pids_are_translated_if_proc_shows_the_first_namespace() {
    if !may_unshare() {
        return;
    }
    let output = inside(false, r#""$FTL" --raw -e syscalls:sys_enter_newuname --print -- uname -r"#);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert!(out.contains(UNAME) && out.contains(r#"comm="uname""#), "{out}{err}");
    assert!(err.contains("this is not the first pid namespace"), "{err}");

    // A process by its pid inside.
    let script = r#"sh -c 'while :; do uname >/dev/null; sleep 0.02; done' & L=$!
        "$FTL" --raw -e syscalls:sys_enter_newuname -i $L --print --seconds 1; kill $L"#;
    let output = inside(false, script);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let names: Vec<_> = out.lines().filter(|line| line.contains(UNAME)).collect();
    assert!(!names.is_empty() && names.iter().all(|line| line.contains(r#"comm="uname""#)), "{out}{err}");
    let output = inside(false, r#""$FTL" --raw -e syscalls:sys_enter_newuname -i 77777 --print --seconds 1"#);
    assert!(text(&output.stderr).contains("77777"), "{}", text(&output.stderr));
    assert!(!output.status.success());
}

#[test]
fn otherwise_pids_are_refused_with_the_reason() {
    if !may_unshare() {
        return;
    }
    for how in ["-- uname -r", "-i 1 --seconds 1"] {
        let output = inside(true, &format!(r#""$FTL" --raw -e syscalls:sys_enter_newuname --print {how}"#));
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{how}: {err}");
        assert!(err.contains("pid namespace") && err.contains("--pid=host"), "{how}: {err}");
        assert_eq!(text(&output.stdout), "", "{how}: the command does not run");
    }
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("x").display().to_string();
    let output = inside(true, &format!(r#""$FTL" capture -e sched -o {to} -- uname -r"#));
    assert!(!output.status.success() && text(&output.stderr).contains("pid namespace"), "{}", text(&output.stderr));
    assert!(!folder.path().join("x").exists());
}

#[test]
fn no_event_has_the_name_of_a_task_of_another_namespace() {
    if !may_unshare() {
        return;
    }
    // A task outside, and one inside with the same pid.
    let mut outside =
        Command::new("sh").args(["-c", "while :; do uname >/dev/null; sleep 0.02; done"]).spawn().unwrap();
    let pid = outside.id();
    let script = format!(
        r#"echo {} > /proc/sys/kernel/ns_last_pid
        sleep 30 & [ $! = {pid} ] || {{ echo cannot; kill $!; exit 0; }}
        "$FTL" --raw -e sched:sched_process_fork --filter sched:sched_process_fork=parent_pid=={pid} --print --seconds 1
        kill %1"#,
        pid - 1
    );
    let output = inside(true, &script);
    outside.kill().unwrap();
    outside.wait().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if out.starts_with("cannot") {
        crate::common::skipped::say(format_args!("a task of the namespace cannot have the number of one outside"));
        return;
    }
    let forks: Vec<_> = out.lines().filter(|line| line.contains("/ftrace/sched/sched_process_fork ")).collect();
    assert!(!forks.is_empty(), "{out}{err}");
    for line in forks {
        assert!(line.contains(&format!(" pid={pid} ")), "{line}");
        assert!(line.contains(r#" comm="sh" "#) || line.contains(r#" comm="<...>" "#), "{line}");
    }
    assert!(err.contains("/proc shows only this one"), "{err}");
    assert!(fs::read_dir("/proc/self/task").is_ok());
}
