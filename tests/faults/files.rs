//! Output targets that are something else, and files and folders that are removed while they are written.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{PROGRAM, run_command};
use crate::{TRACED, live, start, traced};

/// A folder that `daemon` may write to as well, with one of each kind of thing that is not a new file.
fn things() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["fifo.dat", "fifo"] {
        assert!(Command::new("mkfifo").arg(path(name)).status().unwrap().success());
    }
    fs::write(path("precious"), "precious").unwrap();
    fs::set_permissions(path("precious"), fs::Permissions::from_mode(0o666)).unwrap();
    for (name, target) in [("link", "precious"), ("dangling", "nowhere"), ("to-folder", "folder")] {
        for suffix in ["", ".dat"] {
            symlink(path(target), path(&format!("{name}{suffix}"))).unwrap();
        }
    }
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("folder/x"), "precious").unwrap();
    for name in ["hard", "hard.dat"] {
        fs::hard_link(path("precious"), path(name)).unwrap();
    }
    // The null device: writing to it would succeed and keep nothing.
    let devices = ["device", "device.dat"].into_iter();
    let made =
        devices.filter(|name| Command::new("mknod").arg(path(name)).args(["c", "1", "3"]).status().unwrap().success());
    let made: Vec<&str> = made.collect();
    let others = ["fifo", "link", "dangling", "to-folder", "hard"]
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}.dat")]);
    let targets = others.chain(made.iter().map(|name| (*name).to_owned())).map(|name| path(&name)).collect();
    (dir, targets)
}

#[test]
fn a_target_that_is_a_fifo_link_device_or_another_users_file_is_refused_and_unchanged() {
    let Some(tracefs) = live() else { return };
    let (dir, targets) = things();
    let kinds = |targets: &[PathBuf]| -> Vec<_> {
        targets
            .iter()
            .map(|target| target.symlink_metadata().unwrap())
            .map(|found| (found.ino(), found.mode(), found.len()))
            .collect()
    };
    let before = kinds(&targets);
    assert!(targets[0].symlink_metadata().unwrap().file_type().is_fifo());
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/sched");
    for target in &targets {
        let target = target.to_str().unwrap();
        let dat = target.ends_with(".dat");
        let mut runs = vec![
            vec!["convert", capture.to_str().unwrap(), "-o", target],
            vec!["capture", "-e", "sched", "-o", target, "--seconds", "0.01", "--stay-root"],
        ];
        // Root could do most harm, another user least; those in between behave alike.
        if dat {
            runs.push(vec![
                "--raw",
                "-e",
                "sched",
                "--to",
                "127.0.0.1:9",
                "--record",
                target,
                "--seconds",
                "0.01",
                "--user",
                "daemon",
            ]);
        }
        for arguments in runs {
            let ended = run_command(&tracefs, Command::new(PROGRAM).args(&arguments));
            assert!(matches!(ended.status.code(), Some(1 | 2)), "{arguments:?}: {}", ended.said);
            let why = ["exists: give another", "File exists", "not empty", "is a folder"];
            assert!(why.iter().any(|why| ended.said.contains(why)), "{arguments:?}: {}", ended.said);
        }
    }
    // A sound file may be overwritten; anything else is left alone.
    for target in targets.iter().filter(|target| target.extension().is_none()) {
        let arguments =
            ["render", capture.to_str().unwrap(), "-o", target.to_str().unwrap(), "--until-event", "sched_switch"];
        let ended = run_command(&tracefs, Command::new(PROGRAM).args(arguments));
        assert!(!ended.status.success(), "{target:?}: {}", ended.said);
        let why = ["symbolic link", "a pipe, a device", "hard links", "is a folder"];
        assert!(why.iter().any(|why| ended.said.contains(why)), "{target:?}: {}", ended.said);
    }
    assert_eq!(kinds(&targets), before);
    assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "precious");
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn a_removed_recording_is_written_again_and_without_its_folder_is_reported_lost() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    for whole_folder in [false, true] {
        fs::create_dir(&folder).unwrap();
        let file = folder.join("x.dat");
        let more = ["--to", "127.0.0.1:9", "--stay-root", "--record", file.to_str().unwrap()];
        let run = start(&tracefs, &mut traced(&more));
        if whole_folder {
            fs::remove_dir_all(&folder).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        // Something to record.
        Command::new("true").status().unwrap();
        run.signal(rustix::process::Signal::INT);
        let ended = run.end();
        if whole_folder {
            assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
            assert!(ended.said.contains("the file, or its folder, was removed meanwhile"), "{}", ended.said);
            assert!(!ended.said.contains("can be played"), "{}", ended.said);
        } else {
            assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
            let opened = Command::new(PROGRAM).arg("stat").arg(&file).output().unwrap();
            assert!(opened.status.success(), "{opened:?}");
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

#[test]
fn a_capture_on_a_full_disk_is_reported_and_removed() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().to_str().unwrap();
    // In its own mount namespace; prints what is there afterwards.
    let script = "mount -t tmpfs -o size=64k nodev \"$1\" || exit 99; shift; \"$0\" \"$@\"; code=$?; ls -A; exit $code";
    for name in ["folder", "file.dat"] {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "sh",
            "-c",
            &script.replace("ls -A", &format!("ls -A {small}")),
            PROGRAM,
            small,
            "capture",
            "-e",
            "sched",
        ]);
        command.args(["--stay-root", "-o", &format!("{small}/{name}"), "--", "true"]);
        let ended = run_command(&tracefs, &mut command);
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", ended.said);
        assert!(ended.said.contains("No space left"), "{name}: {}", ended.said);
        assert_eq!(ended.out, "", "{name}");
    }
    // Half a file converted from a capture could be mistaken for a complete one.
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/sched");
    for (subcommand, name) in [("convert", "x.json"), ("convert", "x.dat"), ("convert", "x"), ("render", "x.wav")] {
        let script = script.replace("size=64k", "size=8k").replace("ls -A", &format!("ls -A {small}"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, PROGRAM, small, subcommand, capture.to_str().unwrap()]);
        command.args(["-o", &format!("{small}/{name}")]);
        let ended = run_command(&tracefs, &mut command);
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", ended.said);
        assert!(ended.said.contains("No space left"), "{name}: {}", ended.said);
        assert_eq!(ended.out, "", "{name}");
    }
    assert_eq!(TRACED[0], "--raw");
}

#[test]
fn a_score_that_does_not_fit_leaves_no_file_for_the_second_try() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().to_str().unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/sched");
    let script = "mount -t tmpfs -o size=16k nodev \"$1\" || exit 99; cat /dev/zero > \"$1/fill\" 2>/dev/null; shift; \
                  \"$0\" \"$@\" > /dev/null; code=$?; cd \"${3%/*}\"; ls -A; exit $code";
    let score = format!("{small}/s.toml");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, PROGRAM, small]);
    command.args(["replay", "--save-score", &score, "--print", "--speed", "max", capture.to_str().unwrap()]);
    let ended = run_command(&tracefs, &mut command);
    assert!(!ended.status.success() && ended.said.contains("No space left"), "{}", ended.said);
    assert_eq!(ended.out.trim(), "fill", "{}", ended.said);
}
