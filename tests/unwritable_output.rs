//! Messages never end the work: standard error may be full, closed or without a reader. Output that was requested on
//! standard output but cannot be written is a failure.

#[path = "common/skipped.rs"]
mod skipped;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

fn capture() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/sched").to_str().unwrap().to_owned()
}

/// A device that accepts nothing; if there is none, says that the test is skipped.
fn full() -> Option<Stdio> {
    match File::options().write(true).open("/dev/full") {
        Ok(file) => Some(file.into()),
        Err(error) => {
            skipped::say(format_args!("/dev/full: {error}"));
            None
        }
    }
}

/// A pipe without a reader.
fn broken() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn an_unwritable_standard_error_changes_no_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let capture = capture();
    let dat = dir.path().join("x.dat");
    let cases: [(&[&str], i32); 5] = [
        (&["replay", &capture, "--raw", "--print", "--speed", "max"], 0),
        (&["convert", &capture, "-o", dat.to_str().unwrap()], 0),
        (&["replay", "/no/such/capture"], 2),
        (&["list", "--tracefs", &capture, "no_such_event"], 2),
        (&["--tracefs", &capture, "--raw", "-e", "sched_switch"], 1),
    ];
    for (arguments, code) in cases {
        let Some(full) = full() else { return };
        for stderr in [full, broken()] {
            let _ = std::fs::remove_file(&dat);
            let status = program(arguments).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(code), "{arguments:?}");
        }
    }
}

#[test]
fn unwritable_lines_are_a_failure_but_a_closed_pipe_is_not() {
    let capture = capture();
    let events = ["sched:sched_switch"];
    let cases: [&[&str]; 11] = [
        &["--help"],
        &["replay", "--help"],
        &["-V"],
        &["--version"],
        &["replay", &capture, "--raw", "--print", "--speed", "max"],
        &["replay", &capture, "--print", "--speed", "max"],
        &["list", &capture],
        &["describe", &capture, events[0]],
        &["patch", &capture, events[0]],
        &["stat", &capture],
        &["replay", &capture, "--for"],
    ];
    for arguments in cases {
        let Some(full) = full() else { return };
        let output = program(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said.contains("cannot write standard output"), "{arguments:?}: {said}");
        assert_eq!(program(arguments).stdout(broken()).status().unwrap().code(), Some(0), "{arguments:?}");
    }
}

/// What of the lines was still buffered is not known, so no number of events is reported.
#[test]
fn events_that_could_not_be_printed_are_not_counted_as_printed() {
    let capture = capture();
    for (form, jobs) in
        [(&["--print"][..], "1"), (&["--print"], "2"), (&["--raw", "--print"], "1"), (&["--raw", "--print"], "2")]
    {
        let mut arguments = vec!["replay", &capture, "--speed", "max", "--jobs", jobs];
        arguments.extend(form);
        let Some(full) = full() else { return };
        for stdout in [full, broken()] {
            let output = program(&arguments).stdout(stdout).stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("not all events are printed") && !said.contains(" events, "),
                "{arguments:?}: {said}"
            );
        }
        let output = program(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(" events, printed") && !said.contains("not all"), "{arguments:?}: {said}");
    }
}

#[test]
fn with_no_standard_streams_at_all_it_works() {
    let capture = capture();
    let script = "exec \"$0\" replay \"$1\" --raw --print --speed max <&- >&- 2>&-";
    let status = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_ftrace-live"), &capture]).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
