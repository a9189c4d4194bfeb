//! Errors: each has its own message, which says what to do, and its exit code, and leaves nothing behind.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::live;
use crate::program::{PROGRAM, run, run_command};
use crate::receiver::Receiver;

/// Asserts that it exits with `code`, prints all of `words`, and has changed nothing.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let Some(live) = live() else { return };
    let ended = run(&live.tracefs, arguments);
    for word in words {
        assert!(ended.said.contains(word), "{arguments:?} says {:?}, without {word:?}", ended.said);
    }
    assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {}", ended.said);
    assert!(!ended.said.contains(" events enabled"), "{arguments:?}: {}", ended.said);
    assert_eq!(ended.out, "", "{arguments:?}");
    assert!(!ended.said.contains("panicked"), "{}", ended.said);
}

#[test]
fn an_unknown_group_causes_a_warning_with_similar_ones_and_the_rest_is_traced() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let arguments = ["--raw", "-e", "irq", "random", "sched_swich", "--seconds", "0.1", "--to", &receiver.target()];
    let ended = run(&live.tracefs, &arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let warning = |what: &str| ended.said.lines().find(|line| line.contains("warning") && line.contains(what)).unwrap();
    assert!(warning("random").contains("no event"), "{}", ended.said);
    assert!(warning("sched_swich").contains("sched_switch"), "{}", ended.said);
    let messages = receiver.messages();
    let schemas = messages.iter().filter(|message| message.address == "/ftrace/schema").map(|m| m.text(0));
    let groups: std::collections::BTreeSet<_> = schemas.map(|address| address.split('/').nth(2).unwrap()).collect();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["irq"]);
}

#[test]
fn without_any_event_nothing_is_changed() {
    refused(&["--raw", "-e", "random"], 2, &["random", "ftrace-live list"]);
    refused(&["--raw", "-e", "no_such_*", "nor:this"], 2, &["no_such_*", "nor:this"]);
    refused(&["--raw"], 2, &["-e irq exceptions"]);
}

#[test]
fn a_filter_refused_by_the_kernel_is_shown_with_its_message() {
    let arguments = ["--raw", "-e", "irq", "--filter", "irq:irq_handler_entry=colour==3"];
    // The caret under the error, and the reason (`append_filter_err`).
    refused(
        &arguments,
        2,
        &["colour==3", "^", "parse_error: Field not found", "ftrace-live describe irq:irq_handler_entry"],
    );
    refused(&["--raw", "-e", "irq", "--filter", "irq"], 2, &["GROUP:EVENT=CONDITION"]);
    refused(&["--raw", "-e", "irq", "--filter", "sched_switch=prev_pid>0"], 2, &["is for no selected event"]);
}

#[test]
fn targets_that_cannot_be_sent_to() {
    refused(&["--raw", "-e", "irq", "-p", "0"], 2, &["-p \"0\"", "1 to 65535"]);
    refused(&["--raw", "-e", "irq", "-p", "osc"], 2, &["-p \"osc\"", "1 to 65535"]);
    refused(&["--raw", "-e", "irq", "--to", "127.0.0.1:0"], 2, &["127.0.0.1:0", "1 to 65535"]);
    refused(&["--raw", "-e", "irq", "--to", "no-such-host.invalid:57120"], 2, &["no-such-host.invalid", "10.0.0.5"]);
    refused(&["--raw", "-e", "irq", "--for", "gramophone"], 2, &["gramophone"]);
}

#[test]
fn invalid_forms_of_messages() {
    let refused = |more: &[&str], words: &[&str]| refused(&[&["--raw", "-e", "signal"], more].concat(), 2, words);
    refused(&["--for", "gramophone"], &["gramophone", "Known are sc, pd, max"]);
    refused(&["--for", "csuond"], &["csuond", "did you mean csound?", "sc, pd, max"]);
    refused(&["--to", "puredata@127.0.0.1"], &["puredata", "did you mean pd?", "sc, pd, max"]);
    refused(&["--types", "huge"], &["huge", "full, double or portable"]);
    refused(&["--string-limit", "0"], &["--string-limit 0", "from 1", "--strings none"]);
    refused(&["--mtu", "1"], &["'1' for '--mtu", "256 to 65507"]);
    refused(&["--latency", "-1"], &["'-1' for '--latency", "to 60s", "of milliseconds"]);
    refused(&["--max-rate", "-1"], &["'-1' for '--max-rate"]);
    for prefix in ["ftrace", "/", "/a b", "/a//b", "/a/", "/a*", ""] {
        refused(&["--prefix", prefix], &[&format!("{prefix:?}"), "write /name"]);
    }
}

#[test]
fn invalid_aggregates() {
    let refused = |more: &[&str], words: &[&str]| refused(&[&["--raw", "-e", "signal"], more].concat(), 2, words);
    for window in ["nonsense", "0ms", "-5ms", "2d", "1e99s", "NaNs", "2h"] {
        refused(&["--aggregate", window], &[window, "from 1ms to 3600s", "write 50ms"]);
    }
    refused(&["--aggregate", "0ms", "--print"], &["write 50ms"]);
    let field = |field| ["--aggregate", "50ms", "--aggregate-field", field];
    refused(&field("sig"), &["write EVENT=FIELD"]);
    refused(&field("irq:softirq_entry=vec"), &["irq:softirq_entry is not traced", "-e"]);
    refused(&field("signal_generate=colour"), &["has no numeric field \"colour\"", "sig, errno, code"]);
    refused(&["--events", "too"], &["--aggregate 50ms"]);
    refused(&["--events-too"], &["--aggregate"]);
}

#[test]
fn cpus_processes_clocks_and_times_that_do_not_exist() {
    refused(&["--raw", "-e", "irq", "--cpu", "9999"], 2, &["there is no CPU 9999"]);
    refused(&["--raw", "-e", "irq", "--cpu", "1-"], 2, &["0,2-3"]);
    refused(&["--raw", "-e", "irq", "-i", "4194305"], 2, &["there is no process 4194305"]);
    refused(&["--raw", "-e", "irq", "--clock", "sundial"], 2, &["sundial", "mono"]);
    refused(&["--raw", "-e", "irq", "--seconds", "-1"], 2, &["--seconds"]);
    refused(&["--raw", "-e", "irq", "--tick", "-1"], 2, &["--tick", "to 10s"]);
    refused(&["--raw", "-e", "irq", "--readers", "x"], 2, &["--readers", "from 1 to 1024"]);
    refused(&["--raw", "-e", "irq", "-b", "1.5"], 2, &["--buffer", "a whole number"]);
    refused(&["--raw", "-e", "irq", "-i", "-1"], 2, &["--pid", "from 1 to"]);
    refused(&["--raw", "-e", "irq", "-t", "no_such_tracer"], 2, &["no_such_tracer", "it has "]);
}

#[test]
fn a_folder_that_is_not_a_tracefs_and_one_that_is_a_capture() {
    refused(
        &["--raw", "-e", "irq", "--tracefs", "/nonexistent"],
        1,
        &["/nonexistent", "neither a tracefs nor a capture"],
    );
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let fixture = fixtures.to_str().unwrap();
    refused(&["--raw", "-e", "irq", "--tracefs", fixture], 1, &["capture folder", "not traced live"]);
}

#[test]
fn without_root_it_suggests_sudo() {
    let Some(live) = live() else { return };
    // A copy that nobody may execute: the build folder may be inaccessible to them.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = dir.path().join("ftrace-live");
    std::fs::copy(PROGRAM, &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["--raw", "-e", "irq"]).uid(65534).gid(65534).current_dir("/");
    let ended = run_command(&live.tracefs, &mut command);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.said.contains("run this again with sudo"), "{}", ended.said);
}
