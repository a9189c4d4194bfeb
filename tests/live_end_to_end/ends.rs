//! However it ends: `/ftrace/stop` is the last message, and the instance is removed.

use std::process::Command;
use std::sync::PoisonError;

use rustix::process::Signal;

use crate::common::live::tracefs;
use crate::program::{Running, run};
use crate::receiver::Receiver;
use crate::{STALE, live, wait_until};

/// It does not matter what is traced here.
fn arguments(target: &str) -> Vec<&str> {
    vec!["--raw", "-e", "irq", "sched", "--to", target]
}

#[test]
fn on_ctrl_c_sigterm_and_sighup_it_sends_stop_removes_its_instance_and_succeeds() {
    let Some(live) = live() else { return };
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let receiver = Receiver::local();
        let target = receiver.target();
        let program = Running::start(&live.tracefs, &arguments(&target));
        let instance = program.instance().to_path_buf();
        program.signal(signal);
        let ended = program.end();
        assert_eq!(ended.status.code(), Some(0), "{signal:?}: {}", ended.said);
        assert!(!instance.exists());
        assert_eq!(ended.out, "", "standard output stays clean");
        assert!(ended.said.contains(" events read, "), "{}", ended.said);
        assert_eq!(receiver.messages().last().unwrap().address, "/ftrace/stop");
    }
}

#[test]
fn at_the_end_of_its_seconds_it_ends_by_itself() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let target = receiver.target();
    let mut arguments = arguments(&target);
    arguments.extend(["--seconds", "0.2"]);
    let ended = run(&live.tracefs, &arguments);
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(0), ""), "{}", ended.said);
    assert_eq!(receiver.messages().last().unwrap().address, "/ftrace/stop");
}

#[test]
fn a_second_ctrl_c_does_not_skip_the_clean_up() {
    let Some(live) = live() else { return };
    for _ in 0..5 {
        let receiver = Receiver::local();
        let target = receiver.target();
        let program = Running::start(&live.tracefs, &arguments(&target));
        let instance = program.instance().to_path_buf();
        program.signal(Signal::INT);
        program.signal(Signal::INT);
        program.signal(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
        assert!(!instance.exists());
        assert_eq!(receiver.messages().last().unwrap().address, "/ftrace/stop");
    }
}

#[test]
fn killed_without_warning_it_leaves_no_instance() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let target = receiver.target();
    let program = Running::start(&live.tracefs, &arguments(&target));
    let instance = program.instance().to_path_buf();
    assert!(instance.is_dir());
    program.signal(Signal::KILL);
    assert_eq!(program.end().status.code(), None);
    wait_until("for the keeper to remove the instance", || !instance.exists());
}

#[test]
fn the_instance_of_an_exited_process_is_removed_and_reported_at_the_next_start() {
    let Some(tracefs) = tracefs() else { return };
    let _alone = STALE.write().unwrap_or_else(PoisonError::into_inner);
    let mut process = Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    let name = format!("ftrace-live-{}", process.id());
    let stale = tracefs.root().join("instances").join(&name);
    std::fs::create_dir(&stale).unwrap();
    let receiver = Receiver::local();
    let target = receiver.target();
    let mut arguments = arguments(&target);
    arguments.extend(["--seconds", "0.05"]);
    let ended = run(&tracefs, &arguments);
    assert!(!stale.exists(), "{}", ended.said);
    assert!(ended.said.contains(&format!("removed {name}, left behind")), "{}", ended.said);
}
