//! `--record`: the file has every event that was read, for us and for trace-cmd, however the recording ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ftrace_live::capture::{self, trace_dat::Open, trace_dat::TraceDat};
use ftrace_live::ring::Feed;
use ftrace_live::tracefs::TraceClock;
use rustix::process::Signal;

use crate::common::report::{Line, ours, report, same};
use crate::program::{Ended, PROGRAM, Running, run, run_command};
use crate::receiver::Receiver;
use crate::{Live, SLEWED_NS, live, wait_until};

/// Starts programs, which cause thousands of events of many kinds.
const LOAD: &str = "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; ls /usr/bin > /dev/null; done";
/// The same until it is killed, at a rate that any machine can record.
const ENDLESS: &str = "while :; do ls /usr/bin > /dev/null; sleep 0.02; done";
/// Endless events: half a million system calls at a time.
const FLOOD: &str = "while :; do dd if=/dev/zero of=/dev/null bs=1 count=100000 status=none; done";

/// The number before `words` in the output.
fn number(ended: &Ended, words: &str) -> usize {
    let before = ended.said.split(words).next().filter(|before| before.len() < ended.said.len());
    let number = before.and_then(|before| before.split_whitespace().next_back()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number before {words:?} in {}", ended.said))
}

/// Our events of `file`, which trace-cmd lists too.
fn events_of(file: &Path) -> Vec<Line> {
    if let Some(theirs) = report(file) {
        // trace-cmd adds the file's time of day.
        let offset = TraceDat::open(file, Open::default()).unwrap().options.date_ns().unwrap();
        let time = |time: u64| u64::try_from(i128::from(time) + offset).unwrap();
        same(theirs, ours(file).into_iter().map(|line| Line { time: time(line.time), ..line }).collect(), file);
    }
    ours(file)
}

/// How many events `replay` reports for `file`.
fn replayed(live: &Live, file: &str) -> usize {
    let receiver = Receiver::local();
    let ended = run(&live.tracefs, &["replay", file, "--raw", "--speed", "max", "--to", &receiver.target()]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    number(&ended, " events")
}

#[test]
fn a_capture_that_runs_out_of_room_reports_the_events_in_its_file() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let file = file.to_str().unwrap();
    // About 16 MB: the descriptions take some 5, and two CPUs get half of the rest each.
    let script = "ulimit -f 32000; exec \"$0\" \"$@\"";
    let load = "dd if=/dev/zero of=/dev/null bs=1 count=500000 status=none";
    let tracefs = live.tracefs.root().to_str().unwrap();
    let arguments = ["capture", "--tracefs", tracefs, "-e", "raw_syscalls", "-o", file, "--", "sh", "-c", load];
    let ended = Command::new("sh").args(["-c", script, PROGRAM]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the recording ended early"), "{said}");
    let told =
        said.lines().find_map(|line| line.strip_prefix("ftrace-live: ")?.split_once(" events in ")?.0.parse().ok());
    let told: usize = told.unwrap_or_else(|| panic!("no number of events in {said}"));
    assert!(told > 10_000, "{said}");
    assert_eq!(told, ours(Path::new(file)).len(), "{said}");
}

/// The number of sub-buffers in `file`.
fn sub_buffers(file: &Path) -> u64 {
    let dat = TraceDat::open(file, Open::default()).unwrap();
    dat.feeds(&dat.buffers[0]).iter_mut().map(|(_, feed)| feed.sub_buffers().unwrap().unwrap()).sum()
}

#[test]
fn the_file_holds_every_event_that_was_read_for_us_and_for_trace_cmd() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (name, more) in [
        ("command.dat", vec!["--", "sh", "-c", LOAD]),
        ("readers.dat", vec!["--readers", "2", "--sub-buffer", "16", "--", "sh", "-c", LOAD]),
        ("seconds.dat", vec!["--readers", "2", "--seconds", "0.5"]),
    ] {
        let file = dir.path().join(name);
        let file = file.to_str().unwrap();
        let receiver = Receiver::local();
        let target = receiver.target();
        // `task` as well, so that no event is read only for names.
        let mut arguments = vec!["--raw", "-e", "sched", "syscalls", "task", "--to", &target, "--max-rate", "0"];
        arguments.extend(["--record", file]);
        // A recording by time has no command of its own to trace, and a quiet machine has no events.
        let mut beside = (!more.contains(&"--")).then(|| Command::new("sh").args(["-c", ENDLESS]).spawn().unwrap());
        arguments.extend(more);
        let ended = run(&live.tracefs, &arguments);
        if let Some(load) = &mut beside {
            load.kill().unwrap();
            load.wait().unwrap();
        }
        assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
        let read = number(&ended, " events read");
        assert_eq!(number(&ended, " lost by the kernel"), 0, "{}", ended.said);
        assert!(read > 100, "{}", ended.said);
        assert_eq!(number(&ended, " events recorded"), read, "{}", ended.said);
        assert_eq!(events_of(Path::new(file)).len(), read, "{}", ended.said);
        let of_one = if name == "readers.dat" { 16 } else { rustix::param::page_size() as u64 / 1024 };
        assert_eq!(number(&ended, " KiB") as u64, of_one * sub_buffers(Path::new(file)), "{}", ended.said);
        assert_eq!(replayed(&live, file), read);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing but the files is left");
}

#[test]
fn events_read_only_for_names_are_recorded_and_counted_too() {
    let Some(live) = live() else { return };
    if !live.has("task:task_rename") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let receiver = Receiver::local();
    let (target, path) = (receiver.target(), file.to_str().unwrap());
    let arguments = ["--raw", "-e", "sched_switch", "--to", &target, "--record", path, "--", "sh", "-c", LOAD];
    let ended = run(&live.tracefs, &arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let events = events_of(&file);
    assert_eq!(number(&ended, " events recorded"), events.len(), "{}", ended.said);
    let of = |name: &str| events.iter().filter(|event| event.event == name).count();
    assert_eq!(number(&ended, " events read"), of("sched_switch"), "{}", ended.said);
    // Each program that the shell starts gets a name.
    assert!(of("task_rename") >= 18, "{}", of("task_rename"));
}

#[test]
fn the_file_describes_the_kernel_its_clock_its_names_and_its_losses() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let receiver = Receiver::local();
    let (target, path) = (receiver.target(), file.to_str().unwrap());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let before = now();
    let arguments = ["--raw", "-e", "syscalls", "--clock", "boot", "--to", &target, "--record", path];
    let ended = run(&live.tracefs, &[&arguments[..], &["--", "sh", "-c", LOAD]].concat());
    let after = now();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);

    let dat = TraceDat::open(&file, Open::default()).unwrap();
    assert!(dat.problems.is_empty(), "{:?}", dat.problems);
    assert_eq!(dat.options.clock(), Some(TraceClock::Boot));
    let uname = Command::new("uname").arg("-srvm").output().unwrap();
    assert_eq!(dat.options.uname.as_deref(), Some(String::from_utf8(uname.stdout).unwrap().trim_end()));
    let kallsyms = dat.kallsyms().unwrap();
    assert!(kallsyms.windows(10).any(|text| text == b" vfs_read\n"));
    let formats: std::collections::BTreeSet<_> = dat.metadata.formats.iter().map(|f| f.system.as_str()).collect();
    assert!(formats.contains("ftrace") && formats.contains("syscalls"), "{formats:?}");
    assert_eq!(dat.metadata.printk_formats, live.tracefs.read_bytes("printk_formats").unwrap());
    let cmdlines = String::from_utf8_lossy(&dat.metadata.saved_cmdlines).into_owned();
    assert!(cmdlines.lines().any(|line| line.ends_with(" ls")), "{cmdlines}");
    // The kernel counts what a ring has lost: a text for each CPU.
    assert_eq!(dat.options.cpustat.len(), dat.options.cpu_count.unwrap() as usize);
    for stats in &dat.options.cpustat {
        assert!(stats.starts_with("CPU: ") && stats.contains("\noverrun: 0\n"), "{stats}");
    }
    // Clock and time of day are consistent: everything occurred while the program ran.
    let pair = capture::open(&file, Open::default()).unwrap().clock_pair.unwrap();
    let events = ours(&file);
    for event in [&events[0], events.last().unwrap()] {
        let unix = pair.realtime_of(event.time).unwrap();
        assert!((before - SLEWED_NS..=after + SLEWED_NS).contains(&unix), "{unix} is not from {before} to {after}");
    }
}

#[test]
fn an_existing_file_is_left_alone() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    fs::write(&file, "precious").unwrap();
    let ended = run(&live.tracefs, &["--raw", "-e", "irq", "--seconds", "0.1", "--record", file.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.said);
    assert!(ended.said.contains("exists: give another"), "{}", ended.said);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn under_sudo_a_link_in_place_of_the_file_gives_the_user_nothing_of_roots() {
    use std::os::unix::fs::{MetadataExt, chown, symlink};
    let Some(live) = live() else { return };
    let (theirs, roots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    chown(theirs.path(), Some(65534), Some(65534)).unwrap();
    let (file, secret) = (theirs.path().join("x.dat"), roots.path().join("secret"));
    fs::write(&secret, "root's own").unwrap();
    let receiver = Receiver::local();
    let target = receiver.target();
    let mut command = Command::new(PROGRAM);
    command.args(["--raw", "-e", "sched", "--to", &target, "--record", file.to_str().unwrap(), "--", "sleep", "1"]);
    let program = Running::spawn_command(&live.tracefs, command.env("SUDO_UID", "65534").env("SUDO_GID", "65534"));
    wait_until("the recording has begun", || file.exists());
    fs::remove_file(&file).unwrap();
    symlink(&secret, &file).unwrap();
    // Then the recording cannot be compacted, and stays as it is.
    fs::create_dir(theirs.path().join("x.dat.part")).unwrap();
    let ended = program.end();
    // The recording is lost, which is reported, and is a failure.
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.said.contains("was removed meanwhile"), "{}", ended.said);
    assert_eq!((fs::metadata(&secret).unwrap().uid(), fs::read(&secret).unwrap()), (0, b"root's own".to_vec()));
}

/// Writes marks into the instance's own ring; returns those of them that are in `file`.
fn mark(instance: &Path, from: usize, to: usize) {
    for n in from..to {
        fs::write(instance.join("trace_marker"), format!("mark {n}\n")).unwrap();
    }
}

fn marks(file: &Path) -> usize {
    ours(file).iter().filter(|event| event.event == "print").count()
}

#[test]
fn single_events_share_sub_buffers_and_keep_their_times() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    // A time of `tai` is longer than the stamp between joined sub-buffers.
    for clock in ["mono", "tai"] {
        let file = dir.path().join(clock);
        let receiver = Receiver::local();
        let target = receiver.target();
        let path = file.to_str().unwrap();
        let arguments = ["--raw", "-e", "sched_process_exec", "--clock", clock, "--to", &target, "--record", path];
        let program = Running::start(&live.tracefs, &arguments);
        for n in 0..300 {
            mark(program.instance(), n, n + 1);
            std::thread::sleep(Duration::from_millis(3));
        }
        let ended = program.stop();
        let messages = receiver.messages();
        let mut sent: Vec<_> = messages.iter().filter(|message| message.address == "/ftrace/ftrace/print").collect();
        // In order of time within a flush only: a reader that is delayed between two rings sends the later one's
        // first.
        sent.sort_by_key(|message| message.time_ns());
        assert_eq!((marks(&file), sent.len()), (300, 300), "{}", ended.said);
        // The same times as trace-cmd's, and as those sent from the sub-buffers when they were read.
        let events = events_of(&file);
        let pair = capture::open(&file, Open::default()).unwrap().clock_pair.unwrap();
        let recorded = events.iter().filter(|event| event.event == "print").map(|event| event.time);
        for (time, message) in recorded.zip(sent) {
            assert!(message.time_ns().abs_diff(pair.realtime_of(time).unwrap()) < SLEWED_NS, "{message:?}");
        }
        let sub_buffers = sub_buffers(&file);
        assert!(sub_buffers < 100, "{sub_buffers} sub-buffers for 300 marks");
    }
}

#[test]
fn after_a_kill_the_file_opens_with_all_that_was_read_before() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let receiver = Receiver::local();
    let target = receiver.target();
    let arguments = ["--raw", "-e", "sched", "--to", &target, "--record", file.to_str().unwrap()];
    let program = Running::start(&live.tracefs, &arguments);
    mark(program.instance(), 0, 100);
    // The file can be opened while it is written, too.
    wait_until("for the marks to be in the file", || marks(&file) == 100);
    let instance = program.instance().to_path_buf();
    program.signal(Signal::KILL);
    assert_eq!(program.end().status.code(), None);
    wait_until("for the keeper to remove the instance", || !instance.exists());
    let events = events_of(&file);
    assert!(events.len() > 100);
    assert_eq!(marks(&file), 100);
    // Nothing else is left, and the file takes no more space than its contents.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// The recording of a flood in `file` ends because there is no room; the stream continues, and the file opens.
fn runs_out_of_room(live: &Live, file: &Path, limit: &str, why: &str) {
    let receiver = Receiver::local();
    let target = receiver.target();
    let shell = format!("{limit} exec \"$0\" \"$@\"");
    let mut flood = Command::new("sh").args(["-c", FLOOD]).spawn().unwrap();
    let pid = flood.id().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", &shell, PROGRAM, "--raw", "-e", "syscalls", "-i", &pid, "--to", &target, "--record"]).arg(file);
    let program = Running::spawn_command(&live.tracefs, &mut command);
    wait_until("for the recording to end", || program.said().contains("the recording ended"));
    flood.kill().unwrap();
    flood.wait().unwrap();
    // The stream continues without it.
    mark(program.instance(), 0, 1);
    let instance = program.instance().to_path_buf();
    program.signal(Signal::INT);
    let ended = program.end();
    assert!(!instance.exists());
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert_eq!(ended.said.matches("warning: the recording ended").count(), 1, "{}", ended.said);
    assert!(ended.said.matches(why).count() >= 2, "{}", ended.said);
    let messages = receiver.messages();
    assert_eq!(messages.iter().filter(|message| message.address == "/ftrace/ftrace/print").count(), 1);
    let events = events_of(file);
    assert!(events.len() > 10_000, "{} events", events.len());
    assert!(events.len() < number(&ended, " events read"));
    assert_eq!(marks(file), 0);
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_stream() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else { return };
    let file = disk.0.join("x.dat");
    runs_out_of_room(&live, &file, "", "No space left on device");
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 1, "what could not be made compact is gone");
}

#[test]
fn a_file_size_limit_ends_the_recording_and_not_the_stream() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    // Blocks of 512 bytes or of 1 KiB, depending on the shell.
    runs_out_of_room(&live, &dir.path().join("x.dat"), "ulimit -f 65536;", "file-size limit");
}

#[test]
fn without_room_for_the_descriptions_nothing_is_traced() {
    let Some(live) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 64; exec \"$0\" \"$@\"", PROGRAM, "--raw", "-e", "irq", "--record"]).arg(&file);
    let ended = run_command(&live.tracefs, &mut command);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.said.contains("file-size limit"), "{}", ended.said);
    assert!(!file.exists());
}

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<SmallDisk> {
        match Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "none"]).arg(path).output() {
            Ok(output) if output.status.success() => Some(SmallDisk(path.to_owned())),
            other => {
                crate::common::skipped::say(format_args!("no small file system can be mounted here: {other:?}"));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
