//! Standard streams that are closed, full or without a reader, one by one and together.

use std::fs;
use std::process::Command;

use crate::program::PROGRAM;
use crate::{TRACED, live};

/// The three streams as set up by a shell.
const STREAMS: [&str; 8] = [
    "<&-",
    ">&-",
    "2>&-",
    "<&- >&- 2>&-",
    ">/dev/full",
    "2>/dev/full",
    "</dev/full >/dev/full 2>/dev/full",
    ">&- 2>/dev/full",
];

#[test]
fn a_live_run_and_its_recording_need_no_standard_stream() {
    let Some(_) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (n, streams) in STREAMS.iter().enumerate() {
        let file = dir.path().join(format!("{n}.dat"));
        let script = format!("exec \"$0\" \"$@\" {streams}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, PROGRAM]).args(TRACED).args(["--to", "127.0.0.1:9", "--seconds", "0.05"]);
        // As root, since nobody could not write to the folder.
        command.arg("--stay-root").arg("--record").arg(&file);
        // Any of the descriptors 0 to 2 might have become the recording, and text been written into it.
        let status = command.output().unwrap().status;
        assert_eq!(status.code(), Some(0), "{streams}");
        let opened = Command::new(PROGRAM).arg("stat").arg(&file).output().unwrap();
        assert!(opened.status.success(), "{streams}: {opened:?}");
        assert!(fs::metadata(&file).unwrap().len() > 0);
    }
}

#[test]
fn output_that_cannot_be_printed_is_a_failure_even_without_stderr() {
    let Some(_) = live() else { return };
    for streams in [">/dev/full", ">/dev/full 2>/dev/full", "<&- >/dev/full 2>&-"] {
        let script = format!("exec \"$0\" \"$@\" {streams}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, PROGRAM]).args(TRACED).args(["--print", "--seconds", "5"]);
        assert_eq!(command.output().unwrap().status.code(), Some(1), "{streams}");
    }
}
