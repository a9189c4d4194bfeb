//! `-- COMMAND`: traced from its first moment, together with its children only; its exit code is passed on.

use crate::live;
use crate::program::run;
use crate::receiver::{Receiver, events};

#[test]
fn a_command_and_its_children_only_are_traced_from_its_execve_to_its_end() {
    let Some(live) = live() else { return };
    if !live.has("sched:sched_process_exec") || !live.has("task:task_newtask") {
        return;
    }
    let receiver = Receiver::local();
    let target = receiver.target();
    let names = ["sched_process_exec", "sched_process_exit", "task_newtask"];
    let mut arguments = vec!["--raw", "--to", &target, "--max-rate", "0", "-e"];
    arguments.extend(names);
    arguments.extend(["--", "sh", "-c", "/bin/true; exit 7"]);
    let ended = run(&live.tracefs, &arguments);
    assert_eq!(ended.status.code(), Some(7), "{}", ended.said);
    let messages = receiver.messages();
    let events = events(&messages);
    let list: Vec<_> = events.iter().map(|event| (&event.address[8..], event.int(3))).collect();

    // Own fields begin at 5: `filename`, `pid`, `old_pid` of sched_process_exec; `pid` of task_newtask.
    let first = events[0];
    assert_eq!(first.address, "/ftrace/sched/sched_process_exec", "{list:?}");
    assert!(first.text(5).ends_with("/sh"), "{first:?}");
    let shell = first.int(6);
    let new: Vec<_> = events.iter().filter(|event| event.address.ends_with("task_newtask")).collect();
    assert_eq!(new.len(), 1, "{list:?}");
    assert_eq!(new[0].int(3), shell);
    let child = new[0].int(5);
    assert!(list.iter().all(|(_, pid)| [shell, child].contains(pid)), "{list:?}");
    let exec: Vec<_> = events.iter().filter(|event| event.address.ends_with("exec")).map(|e| e.int(3)).collect();
    assert_eq!(exec, [shell, child]);
    let exit: Vec<_> = events.iter().filter(|event| event.address.ends_with("exit")).map(|e| e.int(3)).collect();
    assert_eq!(exit, [child, shell]);
}

#[test]
fn the_exit_code_is_the_commands_own_and_128_more_than_the_signal_that_killed_it() {
    let Some(live) = live() else { return };
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
        let receiver = Receiver::local();
        let ended = run(&live.tracefs, &["--raw", "-e", "sched", "--to", &receiver.target(), "--", "sh", "-c", script]);
        assert_eq!(ended.status.code(), Some(code), "{script}: {}", ended.said);
        assert_eq!(receiver.messages().last().unwrap().address, "/ftrace/stop");
    }
}

#[test]
fn the_commands_output_is_its_own_and_ours_stays_clean() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let ended = run(&live.tracefs, &["--raw", "-e", "sched", "--to", &receiver.target(), "--", "echo", "theirs"]);
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(0), "theirs\n"), "{}", ended.said);
}

#[test]
fn a_missing_command_is_reported_before_anything_is_changed() {
    let Some(live) = live() else { return };
    let ended = run(&live.tracefs, &["--raw", "-e", "sched", "--", "no-such-command-anywhere"]);
    assert!(ended.said.contains("there is no command \"no-such-command-anywhere\""), "{}", ended.said);
    assert_eq!(ended.status.code(), Some(127));
    assert!(!ended.said.contains(" events enabled"), "{}", ended.said);
    // One that exists but cannot be run, as in a shell.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no-program");
    std::fs::write(&file, "").unwrap();
    let ended = run(&live.tracefs, &["--raw", "-e", "sched", "--stay-root", "--", file.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(126), "{}", ended.said);
    assert!(ended.said.contains("cannot run"), "{}", ended.said);
}
