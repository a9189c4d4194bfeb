//! Recording to a trace.dat: however it ends, what was written up to then can be opened, here and by trace-cmd.

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use byteorder::LittleEndian;
use common::{
    corpus,
    report::{Line, ours, report, same},
};
use ftrace_live::{
    capture::trace_dat::{Open, Recorder, TraceDat},
    format::HeaderPage,
    ring::{Feed, Walk},
};

/// The output file of the recording child.
const OUTPUT: &str = "FTRACE_LIVE_TEST_RECORD";

/// Not a test: the process that the tests below start, limit and kill. It records a real file's sub-buffers, CPU by
/// CPU in turn, and prints after each flush how many events it recorded.
#[test]
fn a_process_that_records() {
    let Some(output) = std::env::var_os(OUTPUT) else { return };
    let Some(corpus) = corpus::folder() else { return };
    let dat = TraceDat::open(&corpus.join("tracedat/x86_64-6.18-v7-zstd.dat"), Open::default()).unwrap();
    let mut recorder = Recorder::create(Path::new(&output), dat.description().unwrap(), 1).unwrap();
    let mut feeds = dat.feeds(&dat.buffers[0]);
    let header = HeaderPage::parse(&dat.metadata.header_page).unwrap();
    let mut page = Vec::new();
    let (mut recorded, mut flushed) = (0, 0);
    let failed = 'recording: loop {
        let mut more = false;
        for (cpu, feed) in &mut feeds {
            for _ in 0..16 {
                if !feed.advance(&mut page).unwrap() {
                    break;
                }
                more = true;
                if let Err(error) = recorder.append(*cpu, &page) {
                    break 'recording Some(error);
                }
                let (mut walk, _) = Walk::open::<LittleEndian>(&header, &page).unwrap();
                recorded += std::iter::from_fn(|| walk.next_in::<LittleEndian>(&page)).count();
            }
        }
        if !more {
            flushed = recorded;
            break None;
        }
        if let Err(error) = recorder.flush() {
            break Some(error);
        }
        flushed = recorded;
        println!("recorded {recorded}");
        std::thread::sleep(Duration::from_micros(200));
    };
    if let Some(error) = failed {
        println!("full {} {error}", error.is_full());
    }
    let finished = recorder.finish().unwrap();
    println!("finished {flushed} {}", finished.not_compact.is_none());
}

/// Starts the process above; `limit` is a shell command before it.
fn start(output: &Path, limit: &str) -> Child {
    let test = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{limit} exec \"$0\" \"$@\"")])
        .arg(test)
        .args(["--exact", "a_process_that_records", "--nocapture"])
        .env(OUTPUT, output)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines that the process prints, from the first to the last of its own.
fn lines(child: &mut Child) -> impl Iterator<Item = Vec<String>> + use<> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.lines().map(|line| line.unwrap().split_whitespace().map(str::to_owned).collect())
}

/// Asserts that the events of `file` are those listed by trace-cmd, and the first ones of each CPU of the original.
fn check(file: &Path, at_least: usize) -> Vec<Line> {
    let events = ours(file);
    assert!(!events.is_empty() && events.len() >= at_least, "{} of {at_least} events are there", events.len());
    if let Some(theirs) = report(file) {
        same(theirs, ours(file), file);
    }
    events
}

fn count(mut feed: impl Feed) -> usize {
    let mut page = Vec::new();
    std::iter::from_fn(|| feed.advance(&mut page).unwrap().then_some(())).count()
}

#[test]
fn a_recording_that_ends_normally_is_compact_and_complete() {
    let Some(corpus) = corpus::folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let mut child = start(&file, "");
    let last = lines(&mut child).filter(|words| words.first().is_some_and(|word| word == "finished")).last().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(last[2], "true");
    let events = ours(&file);
    let original = corpus.join("tracedat/x86_64-6.18-v7-zstd.dat");
    assert!(events == ours(&original));
    let length = std::fs::metadata(&file).unwrap().len();
    let dat = TraceDat::open(&original, Open::default()).unwrap();
    let data: u64 = dat.feeds(&dat.buffers[0]).into_iter().map(|(_, feed)| count(feed) as u64 * 4096).sum();
    assert!(length < data + (8 << 20), "{length} bytes for {data} bytes of data");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_recording_that_is_killed_opens_with_all_that_was_flushed() {
    if corpus::folder().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    let mut child = start(&file, "");
    let mut flushed = 0;
    for words in lines(&mut child) {
        if words.first().is_some_and(|word| word == "recorded") {
            flushed = words[1].parse().unwrap();
        }
        if flushed > 50_000 {
            break;
        }
    }
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    check(&file, flushed);
    // Compacted, it has the same events.
    let compact = dir.path().join("compact.dat");
    ftrace_live::capture::convert::convert(&file, &compact, Open::default(), &mut |_| {}).unwrap();
    assert!(ours(&compact) == ours(&file));
    assert!(std::fs::metadata(&compact).unwrap().len() < 100 << 20);
}

#[test]
fn a_file_size_limit_ends_the_recording_and_the_file_opens() {
    if corpus::folder().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    // Blocks of 512 bytes or of 1 KiB, depending on the shell: 20 or 40 MiB.
    let mut child = start(&file, "ulimit -f 40960;");
    let words: Vec<_> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success());
    let full = words.iter().find(|words| words.first().is_some_and(|word| word == "full")).unwrap();
    assert_eq!(full[1], "true", "{full:?}");
    let finished = words.iter().find(|words| words.first().is_some_and(|word| word == "finished")).unwrap();
    check(&file, finished[1].parse().unwrap());
}

#[test]
fn a_full_disk_ends_the_recording_and_the_file_opens() {
    if corpus::folder().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Tmpfs::mount(dir.path(), "size=24m") else { return };
    let file = dir.path().join("x.dat");
    let mut child = start(&file, "");
    let words: Vec<_> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success());
    let full = words.iter().find(|words| words.first().is_some_and(|word| word == "full")).unwrap();
    assert_eq!(full[1], "true", "{full:?}");
    assert!(full.join(" ").contains("No space left on device"), "{full:?}");
    let finished = words.iter().find(|words| words.first().is_some_and(|word| word == "finished")).unwrap();
    assert_eq!(finished[2], "false");
    let events = check(&file, finished[1].parse().unwrap());
    assert!(events.len() > 100_000);
    // The unfinished compact file was removed.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A small file system, unmounted when dropped.
struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    fn mount(path: &Path, options: &str) -> Option<Tmpfs> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Tmpfs(path.to_owned())),
            other => {
                crate::common::skipped::say(format_args!("no small file system can be mounted here: {other:?}"));
                None
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
