//! Output generated from the definition of the command line: the man page, completions, versions; and verbosity.

mod common;

use std::process::{Command, Output, Stdio};

use common::program::installed;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn out(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands listed in the help.
fn subcommands() -> Vec<String> {
    let help = out(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(names.iter().any(|name| name == "replay"), "{help}");
    names
}

#[test]
fn the_man_page_has_every_subcommand_and_its_options_and_no_troff_complains() {
    let page = out(&["man"]);
    assert!(page.is_ascii());
    for name in subcommands().iter().filter(|name| *name != "help") {
        assert!(page.contains(&format!("\n.SS {name}\n")), "{name}");
    }
    for option in ["\\-\\-fail\\-on\\-loss", "\\-\\-salvage", "\\-\\-rates", "\\-\\-latency"] {
        assert!(page.contains(option), "{option}");
    }
    if installed("groff") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ftrace-live.1");
        std::fs::write(&file, page).unwrap();
        let output = Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-cbou"]).arg(&file).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(String::from_utf8_lossy(&output.stdout).contains("SUBCOMMANDS"));
    }
}

#[test]
fn bash_completes_subcommands_options_and_choices() {
    let script = out(&["completions", "bash"]);
    if !installed("bash") {
        return;
    }
    let complete = |words: &str, last: &str| {
        let (count, previous) = (words.split(' ').count(), words.rsplit(' ').next().unwrap());
        let ask = format!(
            "{script}\nCOMP_WORDS=({words} \"$LAST\") COMP_CWORD={count}\n\
             _ftrace__live ftrace-live \"$LAST\" '{previous}'; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &ask]).env("LAST", last).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("ftrace-live", "rep"), "replay");
    assert_eq!(complete("ftrace-live replay", "--salv"), "--salvage");
    assert_eq!(complete("ftrace-live stat x --format", ""), "text json");
}

#[test]
fn other_shells_accept_their_completions() {
    for shell in ["zsh", "fish"] {
        let script = out(&["completions", shell]);
        assert!(script.contains("replay") && script.contains("salvage"), "{shell}");
        if installed(shell) {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("script");
            std::fs::write(&file, script).unwrap();
            let output = Command::new(shell).arg("-n").arg(&file).output().unwrap();
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    let refused = run(&["completions", "tcsh"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("bash, elvish, fish, powershell, zsh"));
}

#[test]
fn the_version_is_one_line_and_the_long_one_lists_formats_and_the_kernels_abilities() {
    let version = concat!("ftrace-live ", env!("CARGO_PKG_VERSION"));
    let short = out(&["-V"]);
    assert!(short.starts_with(version) && short.lines().count() == 1, "{short}");
    let long = out(&["--version"]);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    for words in [version, "perf.data", &format!("Linux {}", release.trim())] {
        assert!(long.contains(words), "{words:?} in {long}");
    }
    if common::live::may_trace() {
        for words in [" events in ", "clocks: ", "tracers: "] {
            assert!(long.contains(words), "{words:?} in {long}");
        }
    }
}

#[test]
fn quiet_keeps_warnings_and_verbose_adds_details_wherever_they_are() {
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let replay = ["replay", FIXTURE, "--raw", "--speed", "max", "--to", "127.0.0.1:9", "--max-rate", "7"];
    let (code, usual) = said(&replay);
    assert_eq!(code, Some(0));
    assert!(usual.contains("127.0.0.1:9") && !usual.contains("at most 7 messages/s"), "{usual}");
    let (_, verbose) = said(&[&replay[..], &["-v"]].concat());
    assert!(verbose.contains("at most 7 messages/s"), "{verbose}");
    assert_eq!(said(&[&["--verbose"], &replay[..]].concat()).1.matches("at most 7 messages/s").count(), 1);
    let (_, quiet) = said(&[&["-q"], &replay[..]].concat());
    assert!(!quiet.contains("events,"), "{quiet}");
    // An unreported loss would be taken for none.
    let thinned = quiet.lines().find(|line| line.ends_with(" thinned")).unwrap_or_else(|| panic!("{quiet}"));
    assert!(usual.contains(thinned.strip_prefix("ftrace-live: ").unwrap()), "{thinned:?} {usual}");
    assert_eq!(quiet.lines().filter(|line| !line.contains("warning:")).count(), 2, "thinned, refused: {quiet}");
    let (_, whole) = said(&["-q", "replay", FIXTURE, "--raw", "--speed", "max", "--print"]);
    assert_eq!(whole, "");
    // Errors are reported nevertheless.
    let (code, error) = said(&["-q", "stat", "/nonexistent"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("/nonexistent"), "{error}");
    let (_, warning) = said(&["-q", "list", FIXTURE, "sched_switch", "no_such_event"]);
    assert!(warning.contains("no_such_event"), "{warning}");
    assert_eq!(said(&["-q", "-v", "list", FIXTURE]).0, Some(2));
}
