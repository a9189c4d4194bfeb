//! Root for as short as possible: the process that reads the ring has the caller's rights and no capability; so do
//! the files that it writes and the command that it runs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::program::{PROGRAM, Running, run, run_command};
use crate::receiver::{Receiver, events};
use crate::{live, wait_until};

/// `daemon`, as every machine has it.
const USER: (u32, u32) = (1, 1);

/// The program as sudo would start it for that user.
fn sudo(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("SUDO_UID", USER.0.to_string()).env("SUDO_GID", USER.1.to_string());
    command
}

/// A line of `/proc/PID/status`, for each thread, without its name.
fn status(pid: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let status = tasks.map(|task| fs::read_to_string(task.path().join("status")).unwrap());
    let line = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    status.map(line).collect()
}

/// Asserts that every thread of a process has one user and group, no other group, no capability and no way to get
/// more.
fn assert_rights(pid: u32, uid: u32, gid: u32) {
    let all = |name: &str, expected: &str| {
        let found = status(pid, name);
        assert!(!found.is_empty() && found.iter().all(|line| line == expected), "{name} {found:?}, not {expected}");
    };
    all("Uid:", &[uid; 4].map(|id| id.to_string()).join(" "));
    all("Gid:", &[gid; 4].map(|id| id.to_string()).join(" "));
    all("Groups:", "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        all(set, "0000000000000000");
    }
    all("NoNewPrivs:", "1");
}

#[test]
fn under_sudo_the_player_is_the_caller_without_a_capability_while_events_arrive() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let target = receiver.target();
    let arguments = ["--raw", "-e", "sched", "irq", "syscalls", "--readers", "2", "--to", &target];
    let program = Running::spawn_command(&live.tracefs, &mut sudo(&arguments));
    let on = program.instance().join("tracing_on");
    wait_until("it traces", || fs::read_to_string(&on).is_ok_and(|on| on.trim() == "1") && program.records());
    assert_rights(program.pid(), USER.0, USER.1);
    // More happens while it has no rights than before it gave them up.
    for _ in 0..20 {
        Command::new("true").status().unwrap();
    }
    let ended = program.stop();
    assert!(!events(&receiver.messages()).is_empty(), "{}", ended.said);
}

#[test]
fn called_by_root_it_becomes_nobody_and_with_stay_root_it_stays_root_and_says_so() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let target = receiver.target();
    let program = Running::start(&live.tracefs, &["--raw", "-e", "irq", "--to", &target]);
    let nobody = ftrace_live::rights::Caller::nobody();
    assert_rights(program.pid(), nobody.uid, nobody.gid);
    program.stop();
    let program = Running::start(&live.tracefs, &["--raw", "-e", "irq", "--to", &target, "--stay-root"]);
    assert!(status(program.pid(), "Uid:").iter().all(|line| line == "0 0 0 0"));
    assert!(program.stop().said.contains("stays root (--stay-root)"));
    let program = Running::start(&live.tracefs, &["--raw", "-e", "irq", "--to", &target, "--user", "daemon"]);
    assert_rights(program.pid(), USER.0, USER.1);
    program.stop();
}

#[test]
fn the_command_is_the_callers_with_all_groups_and_the_home_of_the_caller() {
    let Some(live) = live() else { return };
    let expected = |words: &[&str]| {
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let script = "id -u; id -G; grep NoNewPrivs /proc/self/status; echo $HOME $USER";
    let receiver = Receiver::local();
    let target = receiver.target();
    let arguments = ["--raw", "-e", "sched", "--to", &target, "--", "sh", "-c", script];
    let ended = run_command(&live.tracefs, sudo(&arguments).env("HOME", "/root").env("USER", "root"));
    let home = expected(&["sh", "-c", "getent passwd daemon | cut -d: -f6"]);
    let groups = expected(&["id", "-G", "daemon"]);
    assert_eq!(ended.out, format!("{}\n{groups}NoNewPrivs:\t0\n{} daemon\n", USER.0, home.trim()), "{}", ended.said);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    // Called by root, or with --stay-root, it runs as root.
    let ended = run(&live.tracefs, &["--raw", "-e", "sched", "--to", &target, "--", "id", "-u"]);
    assert_eq!(ended.out, "0\n", "{}", ended.said);
    let arguments = ["--raw", "-e", "sched", "--to", &target, "--stay-root", "--", "id", "-u"];
    assert_eq!(run_command(&live.tracefs, &mut sudo(&arguments)).out, "0\n");
}

#[test]
fn files_are_created_with_the_callers_rights() {
    let Some(live) = live() else { return };
    let (theirs, roots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    chown(theirs.path(), Some(USER.0), Some(USER.1)).unwrap();
    let receiver = Receiver::local();
    let target = receiver.target();
    let record = |folder: &Path| {
        let file = folder.join("x.dat");
        let path = file.to_str().unwrap().to_owned();
        let arguments = ["--raw", "-e", "sched", "--to", &target, "--record", &path, "--", "true"];
        (run_command(&live.tracefs, &mut sudo(&arguments)), file)
    };
    let (ended, file) = record(theirs.path());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let made = fs::metadata(&file).unwrap();
    assert_eq!((made.uid(), made.gid()), USER);
    assert_eq!(fs::read_dir(theirs.path()).unwrap().count(), 1);
    // Compact as ever: it could be renamed.
    assert!(!ended.said.contains("could not be compacted"), "{}", ended.said);
    for mode in [0o700, 0o755] {
        fs::set_permissions(roots.path(), fs::Permissions::from_mode(mode)).unwrap();
        let (ended, _) = record(roots.path());
        assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
        assert!(ended.said.to_lowercase().contains("permission denied"), "{}", ended.said);
        assert_eq!(fs::read_dir(roots.path()).unwrap().count(), 0);
    }
    for name in ["folder", "file.dat"] {
        let output = theirs.path().join(name);
        let arguments = ["capture", "-e", "sched", "-o", output.to_str().unwrap(), "--seconds", "0.1"];
        let ended = run_command(&live.tracefs, &mut sudo(&arguments));
        assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
        assert_eq!(fs::metadata(&output).unwrap().uid(), USER.0);
        let refused = roots.path().join(name);
        let arguments = ["capture", "-e", "sched", "-o", refused.to_str().unwrap(), "--seconds", "0.1"];
        assert_eq!(run_command(&live.tracefs, &mut sudo(&arguments)).status.code(), Some(1));
        assert!(!refused.exists());
    }
}

/// A folder of [`tempfile`] is its owner's alone: `nobody` can neither read nor write in it.
#[test]
fn called_by_root_it_reads_a_map_and_writes_a_midi_file_of_root() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let map = "[[message]]\nevents = [\"sched:sched_process_exec\"]\naddress = \"/exec\"\nargs = [\"$pid\"]\n";
    fs::write(path("map.toml"), map).unwrap();
    let map = path("map.toml");
    let ended = run(&live.tracefs, &["--map", &map, "-e", "sched:sched_process_exec", "--print", "--", "true"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert!(ended.out.contains("/exec "), "{}", ended.out);
    let midi = format!("midi:{}", path("x.mid"));
    let ended = run(&live.tracefs, &["--raw", "-e", "sched:sched_process_exec", "--to", &midi, "--", "true"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert!(fs::read(path("x.mid")).unwrap().starts_with(b"MThd"));
}

#[test]
fn killed_without_rights_it_leaves_nothing_and_it_ends_without_its_keeper() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let target = receiver.target();
    let program = Running::start(&live.tracefs, &["--raw", "-e", "sched", "--to", &target]);
    let instance = program.instance().to_path_buf();
    program.signal(rustix::process::Signal::KILL);
    program.end();
    wait_until("the keeper removes the instance", || !instance.exists());

    let program = Running::start(&live.tracefs, &["--raw", "-e", "sched", "--to", &target]);
    let instance = program.instance().to_path_buf();
    let children = format!("/proc/{0}/task/{0}/children", program.pid());
    let keeper = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(keeper).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    let ended = program.end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.said.contains("the keeper process has ended"), "{}", ended.said);
    // The next start would remove it: done here by hand, so that other tests do not get the message.
    if instance.exists() {
        fs::remove_dir(&instance).unwrap();
    }
}
