//! Finding tracefs, mounting it, and the errors. Each case runs in its own process, in a mount namespace or as
//! another user.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ftrace_live::tracefs::{Tracefs, TracefsError};

use crate::live;

/// Set for the process that finds tracefs and prints the result.
const FINDER: &str = "FTRACE_LIVE_TEST_FINDER";

/// Not a test: run by the tests below.
#[test]
fn finder_process() {
    if std::env::var_os(FINDER).is_none() {
        return;
    }
    match Tracefs::find() {
        Ok(tracefs) => println!("\nfound: {} {}", tracefs.root().display(), tracefs.mounted_by_us()),
        Err(error) => println!("\nfailed: {error}"),
    }
}

/// The output of [`finder_process`] after a shell has run `before` in a mount namespace; `None` if that is not
/// possible.
fn find_after(before: &str, prepare: impl FnOnce(&mut Command)) -> Option<String> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{before}; exec \"$0\" --exact mount::finder_process --nocapture")]);
    command.arg(std::env::current_exe().unwrap()).env(FINDER, "1").stderr(Stdio::null());
    prepare(&mut command);
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().find(|line| line.starts_with("found: ") || line.starts_with("failed: "));
    if said.is_none() {
        crate::common::skipped::say(format_args!("unshare --mount does not work here"));
    }
    said.map(str::to_string)
}

/// Unmounts every tracefs, and debugfs too: that mounts tracefs again in its `tracing` on access (`trace_automount`
/// in kernel/trace/trace.c). The mount points are read first: a table that is read while it changes skips lines.
const UNMOUNT: &str = r#"mounts=$(cat /proc/mounts); printf '%s\n' "$mounts" | while read -r _ at kind _; do
    case $kind in tracefs | debugfs) umount -l "$(printf '%b' "$at")" 2> /dev/null ;; esac
done"#;

#[test]
fn root_mounts_an_unmounted_tracefs_and_says_so() {
    if live().is_none() {
        return;
    }
    let Some(said) = find_after(UNMOUNT, |_| ()) else { return };
    assert_eq!(said, "found: /sys/kernel/tracing true");
}

#[test]
fn a_tracefs_mounted_elsewhere_is_found() {
    if live().is_none() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("my trace").tempdir().unwrap();
    let path = dir.path().display();
    let Some(said) = find_after(&format!("{UNMOUNT}; mount -t tracefs nodev '{path}'"), |_| ()) else { return };
    assert_eq!(said, format!("found: {path} false"));
}

#[test]
fn a_kernel_without_tracefs_and_missing_rights_are_distinguished() {
    if live().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let filesystems = dir.path().join("filesystems");
    std::fs::write(&filesystems, "nodev\tproc\n\text4\n").unwrap();
    let hide = format!("{UNMOUNT}; mount --bind '{}' /proc/filesystems", filesystems.display());
    let Some(said) = find_after(&hide, |_| ()) else { return };
    assert!(said.contains("this kernel has no tracefs") && said.contains("CONFIG_"), "{said}");
}

#[test]
fn without_root_the_message_suggests_sudo_mounted_or_not() {
    let Some(tracefs) = live() else { return };
    // A copy that nobody may execute: the build folder may be inaccessible to them.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("finder");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(dir.path(), open(0o755)).unwrap();
    let nobody = |program: &std::path::Path| {
        let mut command = Command::new(program);
        command.args(["--exact", "mount::finder_process", "--nocapture"]).env(FINDER, "1").uid(65534).gid(65534);
        command.current_dir("/").output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let said = match nobody(&program) {
        Ok(said) => said,
        Err(error) => {
            crate::common::skipped::say(format_args!("cannot run as nobody: {error}"));
            return;
        }
    };
    let root = tracefs.root().display();
    assert!(said.contains(&format!("failed: only root may read {root}: run this again with sudo")), "{said}");

    let as_nobody = format!(
        "{UNMOUNT}; exec setpriv --reuid 65534 --regid 65534 --clear-groups '{}' --exact mount::finder_process --nocapture",
        program.display()
    );
    let Some(said) = find_after(&as_nobody, |_| ()) else { return };
    assert_eq!(said, "failed: tracefs is not mounted, and only root can mount it: run this again with sudo");
}

#[test]
fn a_capture_folder_cannot_be_traced_live() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("events/irq/softirq_entry")).unwrap();
    std::fs::write(dir.path().join("events/irq/softirq_entry/format"), "name: softirq_entry\n").unwrap();
    std::fs::write(dir.path().join("events/header_page"), "").unwrap();
    let folder = Tracefs::at(dir.path()).unwrap();
    assert_eq!(folder.events().unwrap(), ["irq:softirq_entry".parse().unwrap()]);
    assert_eq!(folder.tracer_records().unwrap(), []);
    assert_eq!(folder.format(&folder.events().unwrap()[0]).unwrap(), "name: softirq_entry\n");
    let error = ftrace_live::tracefs::Instance::create(&folder, None).unwrap_err();
    assert!(matches!(error, TracefsError::ReadOnly(_)), "{error}");
}
