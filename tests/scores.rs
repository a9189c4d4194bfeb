//! Scores: options in a file. The oracle is the same options on the command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture() -> String {
    in_repository("fixtures/x86_64-6.18/one-second")
}

fn in_repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

/// Runs the program with this folder as home and for settings.
fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(arguments).env("HOME", home).env_remove("XDG_CONFIG_HOME").output().unwrap()
}

fn printed(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn write(folder: &Path, name: &str, toml: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, toml).unwrap();
    path
}

#[test]
fn a_score_acts_like_its_options_and_the_command_line_wins() {
    let home = tempfile::tempdir().unwrap();
    let score = write(
        home.path(),
        "s.toml",
        &format!("capture = {:?}\nevents = [\"irq\"]\nraw = true\nspeed = \"max\"\n", fixture()),
    );
    let score = score.to_str().unwrap();
    let same = ["replay", &fixture(), "-e", "irq", "--raw", "--speed", "max", "--print", "-q"];
    let by_score = printed(home.path(), &["replay", "--score", score, "--print", "-q"]);
    assert!(by_score.lines().count() > 20 && by_score == printed(home.path(), &same));
    let sched = printed(home.path(), &["replay", "--score", score, "--print", "-q", "-e", "sched"]);
    assert!(sched.lines().count() > 10 && !sched.contains("/ftrace/irq/"));
}

#[test]
fn a_saved_score_plays_the_same() {
    let home = tempfile::tempdir().unwrap();
    let saved = home.path().join("saved.toml");
    let saved = saved.to_str().unwrap();
    let line = [
        "replay",
        &fixture(),
        "-e",
        "irq",
        "sched",
        "--filter",
        "softirq_entry=vec==1",
        "--raw",
        "--speed",
        "max",
        "--print",
        "-q",
    ];
    let first = printed(home.path(), &[&line[..], &["--save-score", saved]].concat());
    assert_eq!(first, printed(home.path(), &["replay", "--score", saved]));
    let again = run(home.path(), &[&line[..], &["--save-score", saved]].concat());
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing is overwritten"));
    assert_eq!(again.status.code(), Some(2));
}

#[test]
fn score_and_command_line_override_defaults_which_can_be_disabled() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        ".config/ftrace-live/config.toml",
        "raw = true\nprint = true\nspeed = \"max\"\nprefix = \"/mine\"\n",
    );
    let capture = fixture();
    let line = ["replay", &capture, "-e", "irq"];
    assert!(printed(home.path(), &line).contains(" /mine/irq/"));
    assert!(printed(home.path(), &[&line[..], &["--prefix", "/other"]].concat()).contains(" /other/irq/"));
    let score = write(home.path(), "s.toml", "prefix = \"/score\"\n");
    let with = printed(home.path(), &[&line[..], &["--score", score.to_str().unwrap()]].concat());
    assert!(with.contains(" /score/irq/") && !with.contains(" /mine/"));
    let without = [&line[..], &["--no-config", "--print", "--raw", "--speed", "max"]].concat();
    assert!(printed(home.path(), &without).contains(" /ftrace/irq/"));
    // Options of other subcommands are ignored.
    assert!(printed(home.path(), &["list", "--tracefs", &capture, "irq"]).contains("irq:softirq_entry"));
}

#[test]
fn an_error_is_reported_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let score = write(home.path(), "s.toml", "raw = true\nevnets = \"irq\"\n");
    let output = run(home.path(), &["replay", &fixture(), "--score", score.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("s.toml:2:1: there is no option \"evnets\"; the nearest is events"), "{said}");
    assert_eq!(output.status.code(), Some(2));
    let output = run(home.path(), &["replay", &fixture(), "--score", "/nowhere/s.toml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--score /nowhere/s.toml: there is no such file"));
}

#[test]
fn the_scores_in_the_repository_load_and_play() {
    let home = tempfile::tempdir().unwrap();
    let scores: Vec<_> =
        std::fs::read_dir(in_repository("scores")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(scores.len(), 3);
    for score in scores {
        let text = std::fs::read_to_string(&score).unwrap();
        // Once instead of repeatedly, to nobody, and without fixed ports.
        let once: String = text
            .lines()
            .filter(|line| !line.starts_with("loop") && !line.starts_with("control"))
            .map(|line| format!("{line}\n"))
            .collect();
        let once = write(home.path(), "once.toml", &once);
        let whole = score.to_str().unwrap();
        let said = run(home.path(), &["replay", "--score", whole, "/nowhere"]);
        assert!(String::from_utf8_lossy(&said.stderr).contains("/nowhere"), "{whole} loads");
        let arguments =
            ["replay", &fixture(), "--score", once.to_str().unwrap(), "--speed", "max", "--to", "127.0.0.1:9"];
        let output = run(home.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains(" messages sent"), "{whole}: {said}");
    }
}

#[test]
fn a_score_is_read_and_written_with_the_rights_of_the_sudo_caller() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has rights to give up");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let secret = write(home.path(), "secret.toml", "hunter2 = 1\n");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let as_user = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        command
            .args(arguments)
            .env("HOME", home.path())
            .env("SUDO_UID", "65534")
            .env("SUDO_GID", "65534")
            .output()
            .unwrap()
    };
    let said = as_user(&["replay", &fixture(), "--score", secret.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("Permission denied") && !said.contains("hunter2"), "{said}");
    let saved = home.path().join("saved.toml");
    let said = as_user(&["list", "--tracefs", &fixture(), "irq", "--save-score", saved.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("Permission denied") && !saved.exists());
}
