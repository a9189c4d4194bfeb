//! In every mode the player has the caller's rights and no capability; and a file capability gives nobody access to
//! root's folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::program::{free_port, installed};
use crate::program::{PROGRAM, Running, run_command};
use crate::{events_read, live, start, wait_until};

/// `daemon`, as every machine has it.
const USER: u32 = 1;

fn assert_rights(run: &Running) {
    for task in fs::read_dir(format!("/proc/{}/task", run.pid())).unwrap().flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert_eq!(line("Uid:").split_whitespace().collect::<Vec<_>>(), vec![USER.to_string(); 4]);
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(line(set), "0000000000000000", "{set}");
        }
        assert_eq!(line("NoNewPrivs:"), "1");
    }
}

#[test]
fn in_every_mode_the_player_is_the_caller_without_a_capability_while_events_arrive() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let record = dir.path().join("x.dat");
    let page = format!("127.0.0.1:{}", free_port());
    let page = format!("--page={page}");
    let modes: [&[&str]; 6] = [
        &["--raw", "--to", "127.0.0.1:9"],
        &["--to", "127.0.0.1:9"],
        &["--raw", "--print"],
        &["--print"],
        &["--raw", "--to", "127.0.0.1:9", "--record", record.to_str().unwrap()],
        &["--raw", &page],
    ];
    for mode in modes {
        let mut command = Command::new(PROGRAM);
        command.args(["-e", "irq", "sched", "-b", "64"]).args(mode).env("SUDO_UID", "1").env("SUDO_GID", "1");
        // As sudo leaves it on many systems: not accessible to the caller.
        command.env("HOME", "/root").env_remove("XDG_CONFIG_HOME");
        let run = start(&tracefs, &mut command);
        assert_rights(&run);
        wait_until("events are read", || {
            Command::new("true").status().unwrap();
            events_read(&run) > 0
        });
        assert_rights(&run);
        let ended = run.stop();
        assert!(ended.said.contains(" events read, "), "{mode:?}: {}", ended.said);
    }
}

#[test]
fn with_a_file_capability_it_traces_for_anybody_but_writes_only_where_they_may() {
    let Some(tracefs) = live() else { return };
    if !["setcap", "setpriv"].into_iter().all(installed) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("ftrace-live");
    assert!(Command::new("cp").arg(PROGRAM).arg(&program).status().unwrap().success());
    let set = Command::new("setcap").arg("cap_dac_override+ep").arg(&program).output().unwrap();
    if !set.status.success() {
        crate::common::skipped::say(format_args!("{}", String::from_utf8_lossy(&set.stderr)));
        return;
    }
    let (roots, theirs) = (dir.path().join("roots"), dir.path().join("theirs"));
    for (folder, mode) in [(&roots, 0o755), (&theirs, 0o777)] {
        fs::create_dir(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    let as_daemon = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "1", "--regid", "1", "--clear-groups"]).arg(&program).args(arguments);
        // Settings are searched in HOME, and that of root is not accessible to that user.
        command.env("HOME", dir.path()).env_remove("XDG_CONFIG_HOME");
        command
    };
    for (folder, code) in [(&theirs, 0), (&roots, 1)] {
        for name in ["record.dat", "file.dat", "folder"] {
            let output = folder.join(name);
            let path = output.to_str().unwrap();
            let arguments = match name {
                "record.dat" => vec!["--raw", "-e", "sched", "--to", "127.0.0.1:9", "--record", path, "--", "true"],
                _ => vec!["capture", "-e", "sched", "-o", path, "--", "true"],
            };
            let ended = run_command(&tracefs, &mut as_daemon(&arguments));
            assert_eq!(ended.status.code(), Some(code), "{path}: {}", ended.said);
            assert_eq!(output.exists(), code == 0, "{path}: {}", ended.said);
        }
    }
    // Nor does it read what they may not: a capture owned by root.
    let secret = dir.path().join("secret.dat");
    fs::copy(theirs.join("file.dat"), &secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (secret, theirs) = (secret.to_str().unwrap(), theirs.join("file.dat"));
    let (theirs, stolen) = (theirs.to_str().unwrap(), roots.join("stolen"));
    let (stolen, port) = (stolen.to_str().unwrap(), free_port().to_string());
    let others: [&[&str]; 7] = [
        &["stat", secret],
        &["replay", secret, "--print"],
        &["list", secret],
        &["--tracefs", secret, "describe", "sched_switch"],
        &["convert", theirs, "-o", stolen],
        &["render", theirs, "-o", stolen],
        &["listen", &port, "--write", stolen],
    ];
    for arguments in others {
        let ended = run_command(&tracefs, &mut as_daemon(arguments));
        let refused = !ended.status.success() && ended.said.to_lowercase().contains("permission denied");
        assert!(refused, "{arguments:?}: {}{}", ended.out, ended.said);
        assert!(!roots.join("stolen").exists(), "{arguments:?}");
    }
    let ended = run_command(&tracefs, &mut as_daemon(&["list", "sched:sched_switch"]));
    assert_eq!(ended.out, "sched:sched_switch\n", "{}", ended.said);
    for subcommand in [&["setup", "--user", "daemon"][..], &["teardown"]] {
        assert_eq!(run_command(&tracefs, &mut as_daemon(subcommand)).status.code(), Some(1));
    }
}
