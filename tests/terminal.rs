//! No text from outside affects a terminal: names in a foreign capture, paths, task names.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{made, program::installed};
use ftrace_live::escape::is_escaped;

/// Sets the terminal's title, clears it, reverses text, and is not UTF-8.
const HOSTILE: &str = "\x1b]0;title\x07\x1b[2J\u{202e}\u{9b}31m";

/// A capture with such names everywhere, in a folder with such a name.
fn hostile() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("capture{HOSTILE}"));
    let (system, name, broken) = (format!("sys{HOSTILE}"), format!("ev{HOSTILE}"), format!("broken{HOSTILE}"));
    let number = "int a;\toffset:8;\tsize:4;\tsigned:1;";
    let text = "char b[16];\toffset:12;\tsize:16;\tsigned:0;";
    let format = made::format(&name, 900, &[number, text], "\"%s\", REC->b");
    let formats = [(system.as_str(), name.as_str(), format), (&system, &broken, format!("name: {broken}\nID: x\n"))];
    let fields = [&7i32.to_le_bytes()[..], b"\x1b[2J\xff\xe2\x80\xae\nend\0\0"].concat();
    let record = made::record(900, 77, &fields);
    // The second one is truncated within its fields.
    let ring = made::page(1_000_000_000, &[(0, record.clone()), (10, record[..12].to_vec())]);
    made::folder(&path, "mono", &formats, &[(0, ring)]);
    fs::write(path.join("saved_cmdlines"), "77 comm\x1b[2J\u{202e}\n").unwrap();
    fs::write(path.join("uname"), format!("Linux {HOSTILE}\n")).unwrap();
    (dir, path)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

/// Fails if `output` contains anything that affects a terminal.
fn assert_tame(what: &str, output: &[u8]) {
    let text = std::str::from_utf8(output).unwrap_or_else(|error| panic!("{what}: {error}: {}", output.escape_ascii()));
    let bad = text.chars().find(|&c| is_escaped(c) && c != '\n' && c != '\t');
    assert_eq!(bad, None, "{what}: {}", output.escape_ascii());
}

#[test]
fn names_of_a_foreign_capture_reach_no_output_unescaped() {
    let (dir, path) = hostile();
    let path = path.to_str().unwrap();
    let dat = dir.path().join(format!("x{HOSTILE}.dat"));
    let dat = dat.to_str().unwrap();
    let commands: &[&[&str]] = &[
        &["convert", path, "-o", dat],
        &["list", path],
        &["list", dat],
        &["describe", path],
        &["describe", dat, "--format", "json"],
        &["describe", path, "--format", "oscquery"],
        &["stat", path, "--plot"],
        &["stat", dat, "--format", "json"],
        &["replay", path, "--raw", "--print", "--speed", "max"],
        &["replay", dat, "--raw", "--print", "--speed", "max"],
        &["replay", path, "--print", "--speed", "max", "-e", &format!("nothing{HOSTILE}")],
        &["replay", dat, "--buffer", HOSTILE],
        &["stat", &format!("{path}/nothing")],
        &["stat", path, HOSTILE],
        &["convert", path, "-o", path],
    ];
    for command in commands {
        let output = run(command);
        assert_tame(&format!("{command:?}"), &output.stdout);
        assert_tame(&format!("{command:?}"), &output.stderr);
    }
    let listed = run(&["list", path]);
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap().lines().last(),
        Some(r"sys\x1b]0;title\x07\x1b[2J\u202e\u009b31m:ev\x1b]0;title\x07\x1b[2J\u202e\u009b31m"),
    );
}

#[test]
fn the_kernels_text_is_exact_in_a_pipe_and_escaped_on_a_terminal() {
    let (_dir, path) = hostile();
    let exact = b"\x1b[2J\xff\xe2\x80\xae\nend\n";
    let piped = run(&["replay", path.to_str().unwrap(), "--print", "--speed", "max"]).stdout;
    assert!(piped.windows(exact.len()).any(|bytes| bytes == exact), "{}", piped.escape_ascii());
    if installed("script") {
        assert_tame("on a terminal", &on_terminal(&path));
    }
}

/// What the replay prints on a terminal, whose driver turns each line break into `\r
/// `.
fn on_terminal(capture: &Path) -> Vec<u8> {
    let command = format!("{} replay \"$CAPTURE\" --print --speed max", env!("CARGO_BIN_EXE_ftrace-live"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("CAPTURE", capture).env("NO_COLOR", "1");
    let output = script.output().unwrap().stdout;
    let text: Vec<u8> = output.into_iter().filter(|&byte| byte != b'\r').collect();
    let escaped = br"\x1b[2J\xff\u202e";
    assert!(text.windows(escaped.len()).any(|bytes| bytes == escaped), "{}", text.escape_ascii());
    text
}
