//! Trace options with which the kernel prints other lines: a message says that the printed lines are the ordinary
//! ones.

mod common;

use std::fs;
use std::process::Command;

use common::made;

#[test]
fn an_option_that_changes_the_form_of_all_lines_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let format = made::format("tick", 301, &["int n;\toffset:8;\tsize:4;\tsigned:1;"], "\"n=%d\", REC->n");
    let ring = made::page(5_000_000_000, &[(0, made::record(301, 7, &3u32.to_le_bytes()))]);
    made::folder(&path, "mono", &[("made", "tick", format)], &[(0, ring)]);
    let replay = |typed: &[&str]| {
        let arguments = ["--print", "--speed", "max"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        let output = command.arg("replay").arg(&path).args(arguments).args(typed).output().unwrap();
        assert!(output.status.success());
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    for (options, named) in [
        ("print-parent\nnoraw\nnohex\nnobin\nnolatency-format\n", &[][..]),
        ("raw\nnohex\n", &["raw"]),
        ("noraw\nhex\nbin\nlatency-format\n", &["hex", "bin", "latency-format"]),
    ] {
        fs::write(path.join("trace_options"), options).unwrap();
        let (lines, said) = replay(&[]);
        assert!(lines.contains(": tick: n=3"), "{lines}");
        assert_eq!(said.matches("the trace option ").count(), named.len(), "{options:?}: {said}");
        for option in named {
            assert!(said.contains(&format!("the trace option {option} was on")), "{said}");
        }
        // Typed messages have no lines.
        assert!(!replay(&["--raw"]).1.contains("the trace option "));
    }
}
