//! `--jobs`: several threads produce, byte for byte, the same output as one.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{corpus, made};
use proptest::prelude::*;

/// The output of a command line with this many jobs: standard output, and the end of standard error, which has the
/// counts.
fn run(args: &[&str], jobs: usize) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(args).args(["--jobs", &jobs.to_string()]).output().unwrap()
}

fn same(args: &[&str]) {
    let one = run(args, 1);
    for jobs in [2, 3, 8] {
        let several = run(args, jobs);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&several.stderr), text(&one.stderr), "{args:?} with {jobs} jobs");
        assert_eq!(several.status, one.status, "{args:?} with {jobs} jobs");
        if several.stdout != one.stdout {
            let (several, one) = (text(&several.stdout), text(&one.stdout));
            let at = several.lines().zip(one.lines()).position(|(several, one)| several != one);
            let line = |text: &str| at.and_then(|at| text.lines().nth(at).map(str::to_owned));
            let (several, one) = ((several.len(), line(&several)), (one.len(), line(&one)));
            panic!("{args:?} with {jobs} jobs: line {at:?} is\n{several:?}, not\n{one:?}");
        }
    }
}

/// The JSON that a capture is converted into.
fn same_json(capture: &str) {
    let folder = tempfile::tempdir().unwrap();
    let json = |jobs: usize| {
        let file = folder.path().join(format!("{jobs}.json"));
        let done = run(&["convert", capture, "-o", file.to_str().unwrap()], jobs);
        assert!(done.status.success(), "{done:?}");
        std::fs::read(file).unwrap()
    };
    let one = json(1);
    serde_json::from_slice::<serde_json::Value>(&one).unwrap();
    for jobs in [2, 3, 8] {
        assert!(json(jobs) == one, "{capture} as JSON with {jobs} jobs");
    }
}

fn fixtures() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18");
    corpus::captures(&fixtures)
}

/// All ways of reading a capture.
fn all_ways(capture: &Path) {
    let capture = capture.to_str().unwrap();
    same(&["stat", capture]);
    same(&["stat", capture, "--json"]);
    same(&["replay", capture, "--print", "--speed", "max"]);
    same(&["replay", capture, "--raw", "--print", "--speed", "max"]);
    same_json(capture);
}

#[test]
fn fixtures_are_read_alike() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 5, "{fixtures:?}");
    fixtures.iter().for_each(|capture| all_ways(capture));
}

#[test]
fn parts_of_fixtures_are_read_alike() {
    for capture in &fixtures()[..3] {
        let capture = capture.to_str().unwrap();
        same(&["stat", capture, "--json", "--from", "20ms", "--until", "-10ms", "-e", "sched", "irq"]);
        same(&["stat", capture, "--json", "--cpu", "0"]);
        same(&[
            "replay", capture, "--raw", "--print", "--json", "--speed", "max", "--from", "20ms", "-e", "sched", "irq",
        ]);
        same(&["replay", capture, "--print", "--speed", "max", "--until", "-10ms", "--cpu", "0"]);
    }
}

/// trace-cmd compresses: ten pages a chunk, each a zstd frame without its magic.
#[test]
fn compressed_captures_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, zstd) = (folder.path().join("plain.dat"), folder.path().join("zstd.dat"));
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/one-second");
    let done = run(&["convert", fixture.to_str().unwrap(), "-o", plain.to_str().unwrap()], 1);
    assert!(done.status.success(), "{done:?}");
    let mut convert = Command::new("trace-cmd");
    convert.args(["convert", "--file-version", "7", "--compression", "zstd", "-i"]).arg(&plain).arg("-o").arg(&zstd);
    match convert.output() {
        Ok(done) if done.status.success() => {}
        failed => return eprintln!("SKIPPED: trace-cmd convert to zstd: {failed:?}"),
    }
    for args in [&["stat", "--json"][..], &["replay", "--raw", "--print", "--speed", "max"]] {
        let [plain, zstd] = [&plain, &zstd].map(|file| run(&[args, &[file.to_str().unwrap()]].concat(), 1).stdout);
        assert!(!plain.is_empty() && plain == zstd, "{args:?}");
    }
    all_ways(&zstd);
}

#[test]
fn captures_of_other_kernels_are_read_alike() {
    let Some(corpus) = corpus::folder() else { return };
    for name in ["s390x-6.1.176/overflow", "arm64-16k-6.12.107/subbuf-big", "armhf-6.1.176/sched-local"] {
        all_ways(&corpus.join(name));
    }
    let files = std::fs::read_dir(corpus.join("tracedat")).unwrap().flatten().map(|entry| entry.path());
    let small = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() < 4 << 20);
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "dat")).filter(small).collect();
    files.sort();
    files.iter().step_by(3).for_each(|file| all_ways(file));
}

const SWITCH: u16 = 7;
const RENAME: u16 = 8;
/// An event without a format.
const UNKNOWN: u16 = 9;

fn formats() -> Vec<(&'static str, &'static str, String)> {
    let fields = ["char comm[16];\toffset:8;\tsize:16;\tsigned:0;"];
    let renamed =
        ["char oldcomm[16];\toffset:8;\tsize:16;\tsigned:0;", "char newcomm[16];\toffset:24;\tsize:16;\tsigned:0;"];
    vec![
        ("mine", "one", made::format("one", SWITCH, &fields, "\"comm=%s\", REC->comm")),
        ("task", "task_rename", made::format("task_rename", RENAME, &renamed, "\"newcomm=%s\", REC->newcomm")),
    ]
}

fn record(kind: u8, pid: i32, name: u8) -> Vec<u8> {
    let mut comm = [0; 16];
    comm[..2].copy_from_slice(&[b'a' + name % 26, b'0' + name % 10]);
    match kind {
        0 => made::record(UNKNOWN, pid, &comm),
        1 => made::record(RENAME, pid, &[comm, comm].concat()),
        _ => made::record(SWITCH, pid, &comm),
    }
}

/// A sub-buffer of a made capture: its time, the loss before it, its records.
type Made = (u64, u8, Vec<(u32, u8, i32, u8)>);

fn page((time, lost, records): &Made) -> Vec<u8> {
    let records: Vec<_> = records.iter().map(|&(delta, kind, pid, name)| (delta, record(kind, pid, name))).collect();
    let mut page = made::page(*time, &records);
    if *lost > 200 {
        // RB_MISSED_EVENTS, without a count.
        page[11] |= 0x80;
    } else if *lost > 150 {
        // A commit beyond the end of the sub-buffer.
        page[10] |= 1;
    }
    page
}

fn sub_buffers() -> impl Strategy<Value = Vec<Made>> {
    let record = (0u32..2000, 0u8..7, 0i32..6, any::<u8>());
    let page = (0u64..100_000, any::<u8>(), prop::collection::vec(record, 0..9));
    // Some rings are in order, as the kernel writes them; others look as if a clock was set back.
    (prop::collection::vec(page, 0..14), any::<bool>()).prop_map(|(mut pages, ordered)| {
        if ordered {
            pages.sort_by_key(|(time, ..)| *time);
        }
        pages
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Rings with anything: times that go back, losses, damaged sub-buffers, names that change.
    #[test]
    fn made_captures_are_read_alike(rings in prop::collection::vec(sub_buffers(), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let rings: Vec<_> = rings.iter().enumerate().map(|(cpu, pages)| (cpu as u32, pages.iter().flat_map(page).collect())).collect();
        made::folder(folder.path(), "mono", &formats(), &rings);
        all_ways(folder.path());
    }
}
