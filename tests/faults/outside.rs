//! Changes to our instance by others, which root may make.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::program::{PROGRAM, Running};
use crate::{TRACED, live, start, traced, wait_until};

fn write(run: &Running, file: &str, text: &str) {
    fs::write(run.instance().join(file), text).unwrap();
}

#[test]
fn changes_by_others_are_reported_once_and_survived() {
    let Some(tracefs) = live() else { return };
    let run = start(&tracefs, &mut traced(&["--to", "127.0.0.1:9"]));
    let told = |what: &str| wait_until(what, || run.said().contains(what));
    write(&run, "tracing_on", "0");
    told("somebody else stopped tracing (tracing_on)");
    write(&run, "tracing_on", "1");
    told("somebody else started tracing again");
    write(&run, "events/irq/enable", "0");
    told("events (irq:");
    write(&run, "buffer_size_kb", "256");
    told("somebody else changed the ring's size from ");
    write(&run, "trace_clock", "boot");
    told("somebody else changed the trace clock from mono to boot");
    // Emptied, or with other sub-buffers: events continue.
    fs::File::create(run.instance().join("trace")).unwrap();
    if run.instance().join("buffer_subbuf_size_kb").exists() {
        write(&run, "buffer_subbuf_size_kb", "16");
    }
    // While it is read, the kernel refuses to remove it.
    assert_eq!(fs::remove_dir(run.instance()).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    let ended = run.stop();
    assert_eq!(ended.said.matches("somebody else").count(), 5, "{}", ended.said);
    assert!(!ended.said.contains("malformed"), "{}", ended.said);
}

#[test]
fn without_changes_nothing_is_reported() {
    let Some(tracefs) = live() else { return };
    let run = start(&tracefs, &mut traced(&["-e", "syscalls", "--to", "127.0.0.1:9"]));
    // The events are looked at again in the fourth second.
    std::thread::sleep(std::time::Duration::from_millis(4500));
    let ended = run.stop();
    assert!(!ended.said.contains("somebody else"), "{}", ended.said);
}

#[test]
fn tracefs_may_be_unmounted_under_it() {
    let Some(tracefs) = live() else { return };
    let root = tracefs.root().to_str().unwrap();
    // In its own mount namespace, or all other tests would lose it.
    let script =
        format!("trap 'umount -l {root}' USR1; \"$0\" \"$@\" & child=$!; echo pid $child; wait $child; wait $child");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, PROGRAM]).args(TRACED).args(["--to", "127.0.0.1:9"]);
    let outer = Running::spawn_command(&tracefs, &mut command);
    wait_until("it traces", || outer.records());
    let children = format!("/proc/{0}/task/{0}/children", outer.pid());
    let pid: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let instance = tracefs.root().join(format!("instances/ftrace-live-{pid}"));
    let on = || fs::read_to_string(instance.join("tracing_on")).is_ok_and(|on| on.trim() == "1");
    wait_until("it records", on);
    outer.signal(Signal::USR1);
    wait_until("tracefs is gone there", || {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap();
        !mounts.lines().any(|line| line.split(' ').nth(1) == Some(root))
    });
    assert!(Path::new(&instance).exists() && on());
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let ended = outer.end();
    assert!(ended.said.contains(" events read, "), "{}", ended.said);
    wait_until("the keeper removes the instance all the same", || !instance.exists());
}
