//! Timing of a replay: each event is sent when it is due, at any speed, for any duration. The clock is simulated: it
//! advances only when the replay sleeps or sends, and every sleep ends late.

mod common;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use byteorder::LittleEndian;
use ftrace_live::{
    capture::{
        self, Capture, CaptureError,
        select::Select,
        trace_dat::{Description, Open, Recorder},
        window::Window,
    },
    format::Endian,
    osc::print::Form,
    osc::{MessageOptions, Types},
    output::{Lines, Outputs},
    replay::{Observer, PlayOptions, Played, Speed, Time, play},
};

/// The start of the replays, ns since 1970.
const START: u64 = 1_800_000_000_000_000_000;
/// The largest delay of a sleep, ns.
const LATE: u64 = 100_000;
/// The duration of sending, ns.
const SEND: u64 = 3_000;

/// A capture of this project.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions")
}

fn open() -> Result<Capture, CaptureError> {
    capture::open(&fixture(), Open::default())
}

/// The times of the events of the capture, in order, ns of the trace clock.
fn times() -> Vec<u64> {
    times_of(|_| true)
}

/// The same for the CPUs selected by `takes`.
fn times_of(takes: impl Fn(u32) -> bool) -> Vec<u64> {
    let mut merge = open().unwrap().merge();
    let mut times = Vec::new();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        if takes(record.cpu) {
            times.push(record.time);
        }
    }
    times
}

/// A clock moved by the test, and what happens on it.
struct Clock {
    now: Arc<AtomicU64>,
    ends: u64,
    /// The number of sleeps so far; each is late by another amount.
    sleeps: u64,
    /// A stop by a signal: at this time, for this long.
    pause: Option<(u64, u64)>,
    paused: u64,
}

impl Clock {
    fn new() -> Clock {
        Clock { now: Arc::new(AtomicU64::new(START)), ends: u64::MAX, sleeps: 0, pause: None, paused: 0 }
    }
}

impl Time for Clock {
    fn now(&mut self) -> u64 {
        self.now.load(Relaxed)
    }

    fn sleep_until(&mut self, unix_ns: u64, longest: Duration) {
        self.sleeps += 1;
        let now = self.now.load(Relaxed);
        let until = unix_ns.min(now + longest.as_nanos() as u64).max(now);
        self.now.store(until + self.sleeps * 7919 % LATE, Relaxed);
        if let Some((at, length)) = self.pause
            && until >= at
        {
            self.pause = None;
            self.paused = length;
            self.now.fetch_add(length, Relaxed);
        }
    }

    fn paused(&mut self) -> u64 {
        std::mem::take(&mut self.paused)
    }

    fn ended(&mut self) -> bool {
        self.now.load(Relaxed) >= self.ends
    }
}

/// Stores the simulated time at which each line is written.
#[derive(Clone, Default)]
struct Heard {
    lines: Arc<Mutex<Vec<u64>>>,
    now: Arc<AtomicU64>,
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = self.now.fetch_add(SEND, Relaxed);
        // An hour of lines would not fit into memory: their times are enough.
        self.lines.lock().unwrap().extend(bytes.iter().filter(|&&byte| byte == b'\n').map(|_| now));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Nobody;

impl Observer for Nobody {
    fn warn(&mut self, _: &str) {}
    fn position(&mut self, at: u64, length: u64) {
        assert!(at <= length, "the position {at} is beyond the end {length}");
    }
}

fn options(speed: Speed) -> PlayOptions {
    PlayOptions { speed, select: Select::default(), start_at: None, repeat: false, host: "test".to_owned() }
}

/// Plays the fixture on `clock`; returns when each event was sent.
fn heard(options: &PlayOptions, clock: &mut Clock) -> (Played, Vec<u64>) {
    heard_of(&mut open, options, clock)
}

/// The same of another capture.
fn heard_of(
    open: &mut dyn FnMut() -> Result<Capture, CaptureError>,
    options: &PlayOptions,
    clock: &mut Clock,
) -> (Played, Vec<u64>) {
    let heard = Heard { now: clock.now.clone(), ..Heard::default() };
    let message = MessageOptions::new(Types::Full);
    let mut outputs = Outputs::default();
    outputs.lines = Some(Lines::new(message, Form::Text, Box::new(heard.clone())));
    let (played, _) = play(open().unwrap(), open, outputs, options, clock, &mut Nobody).unwrap();
    let lines = std::mem::take(&mut *heard.lines.lock().unwrap());
    (played, lines)
}

/// When events with these times are due, from `start` on, computed in integers: `above / below` times as fast.
fn due(times: &[u64], start: u64, above: u128, below: u128) -> impl Iterator<Item = u64> {
    let first = times[0];
    times.iter().map(move |time| start + (u128::from(time - first) * below / above) as u64)
}

/// Asserts that every line is sent when it is due or at most `slack` later; returns the largest delay.
fn assert_on_time(heard: &[u64], due: impl Iterator<Item = u64>, slack: u64) {
    let mut due = due.enumerate();
    for sent in heard {
        let (n, due) = due.next().expect("more was sent than is due");
        // One ns for rounding of the speed.
        assert!(*sent + 1 >= due, "event {n} is sent {} ns too early", due - sent);
        assert!(sent.saturating_sub(due) <= slack, "event {n} is sent {} ns late", sent - due);
    }
}

/// The delay of a sleep, and sending the simultaneous events before.
const SLACK: u64 = LATE + 2_000_000;

/// Writes a capture of an hour with the fixture's first event repeated, 1 to 99 ms apart; returns the times.
fn an_hour(file: &Path) -> Vec<u64> {
    let description = Description::of_folder(&fixture(), Endian::Little).unwrap();
    let mut recorder = Recorder::create(file, description, 0).unwrap();
    let mut merge = open().unwrap().merge();
    let record = merge.next_record::<LittleEndian>().unwrap();
    let (mut time, mut times) = (record.time, Vec::new());
    let words = record.bytes.len() / 4;
    assert!(words <= 28 && record.bytes.len().is_multiple_of(4), "a record whose length is in its type");
    while time < record.time + 3_600_000_000_000 {
        // A sub-buffer: its time, its commit, a record header without a delta, the record.
        let head = [time.to_le_bytes(), (4 + 4 * words as u64).to_le_bytes()].concat();
        let mut page = [&head, &(words as u32).to_le_bytes()[..], record.bytes].concat();
        page.resize(4096, 0);
        recorder.append(0, &page).unwrap();
        times.push(time);
        time += 1_000_000 + time % 97 * 1_010_101;
    }
    assert!(recorder.finish().unwrap().not_compact.is_none());
    times
}

#[test]
fn an_hour_at_recorded_speed_does_not_drift_and_the_median_delay_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hour.dat");
    let times = an_hour(&file);
    assert!(times.len() > 50_000);
    let mut clock = Clock::new();
    let mut open = || capture::open(&file, Open::default());
    let (_, heard) = heard_of(&mut open, &options(Speed::Times(1.0)), &mut clock);
    assert_eq!(heard.len(), times.len());
    // The last minute like the first one.
    assert_on_time(&heard, due(&times, START, 1, 1), SLACK);
    let mut late: Vec<u64> = heard.iter().zip(due(&times, START, 1, 1)).map(|(sent, due)| sent - due).collect();
    late.sort_unstable();
    assert!(late[late.len() / 2] <= 200_000, "the median event is {} ns late", late[late.len() / 2]);
}

#[test]
fn hundreds_of_passes_at_its_own_speed_do_not_drift() {
    // Few events of one CPU, so that many passes are played in seconds; the length of a pass is unchanged.
    let all = times_of(|_| true);
    let (first, length) = (all[0], all[all.len() - 1] - all[0]);
    let times: Vec<u64> = [first].into_iter().chain(times_of(|cpu| cpu == 0)).collect();
    let minutes = 100_000_000_000;
    let mut clock = Clock::new();
    clock.ends = START + minutes;
    let mut select = Select::default();
    select.cpus = Some("0".parse().unwrap());
    let (played, heard) = heard(&PlayOptions { repeat: true, select, ..options(Speed::Times(1.0)) }, &mut clock);
    assert!(played.ended, "a loop ends only when it is told to");
    let events = times.len() - 1;
    let passes = heard.len() / events;
    assert!((minutes / length).abs_diff(passes as u64) <= 1, "one pass follows another without a gap");
    // `times` begins with the pass itself, whose first event may be another CPU's.
    let due_in = |pass: u64| due(&times, START + pass * length, 1, 1).skip(1);
    for (pass, heard) in heard.chunks(events).enumerate() {
        assert_on_time(heard, due_in(pass as u64), SLACK);
    }
    // Most events are delayed by much less: by the sleep alone.
    let all = (0..=passes as u64).flat_map(due_in);
    let mut late: Vec<u64> = heard.iter().zip(all).map(|(sent, due)| sent.saturating_sub(due)).collect();
    late.sort_unstable();
    assert!(late[late.len() / 2] <= LATE + 100 * SEND, "the median event is {} ns late", late[late.len() / 2]);
}

#[test]
fn a_replay_170_000_times_slower_is_still_on_time() {
    let times = times();
    // Hours of it: it wakes every 50 ms, so a whole second of capture would mean millions of wakeups.
    let mut clock = Clock::new();
    clock.ends = START + 6 * 3_600_000_000_000;
    let (_, heard) = heard(&options(Speed::Times(1.0 / 170_000.0)), &mut clock);
    assert!(heard.len() > 1);
    assert_on_time(&heard, due(&times, START, 1, 170_000), SLACK);
    let expected = due(&times, START, 1, 170_000).filter(|&due| due < clock.ends - 60_000_000).count();
    assert!(heard.len() >= expected, "{} of {expected} events", heard.len());
}

#[test]
fn twice_as_fast_takes_half_the_time() {
    let times = times();
    let mut clock = Clock::new();
    let (_, heard) = heard(&options(Speed::Times(2.0)), &mut clock);
    assert_eq!(heard.len(), times.len());
    assert_on_time(&heard, due(&times, START, 2, 1), SLACK);
}

#[test]
fn a_pause_shifts_later_events_without_a_backlog() {
    let times = times();
    let length = times[times.len() - 1] - times[0];
    let (pause, at) = (3_600_000_000_000, START + length / 2);
    let mut clock = Clock { pause: Some((at, pause)), ..Clock::new() };
    let (_, heard) = heard(&options(Speed::Times(1.0)), &mut clock);
    assert_eq!(heard.len(), times.len());
    let before = heard.iter().take_while(|&&sent| sent < START + pause).count();
    assert!(before > 0 && before < heard.len());
    let due: Vec<u64> = due(&times, START, 1, 1).collect();
    assert_on_time(&heard[..before], due[..before].iter().copied(), SLACK);
    // Events due during the pause are not sent all at once at its end, but keep their distances.
    assert_on_time(&heard[before..], due[before..].iter().map(|due| due + pause), SLACK);
}

#[test]
fn it_begins_at_the_given_time() {
    let times = times();
    let start = START + 90_000_000_123;
    let mut clock = Clock::new();
    let (_, heard) = heard(&PlayOptions { start_at: Some(start), ..options(Speed::Times(1.0)) }, &mut clock);
    assert_eq!(heard.len(), times.len());
    assert_on_time(&heard, due(&times, start, 1, 1), SLACK);
}

#[test]
fn a_pause_before_the_beginning_does_not_shift_it() {
    let times = times();
    let start = START + 90_000_000_000;
    let mut clock = Clock { pause: Some((START + 1_000_000_000, 5_000_000_000)), ..Clock::new() };
    let (_, heard) = heard(&PlayOptions { start_at: Some(start), ..options(Speed::Times(1.0)) }, &mut clock);
    assert_on_time(&heard, due(&times, start, 1, 1), SLACK);
}

#[test]
fn different_selections_of_one_capture_stay_in_step() {
    let times = times();
    let quarter = (times[times.len() - 1] - times[0]) / 4;
    let point = |ns: u64| Some(format!("{ns}ns").parse().unwrap());
    let window = Window { from: point(quarter), until: point(2 * quarter) };
    let within: Vec<u64> =
        times.iter().map(|time| time - times[0]).filter(|t| (quarter..=2 * quarter).contains(t)).collect();
    assert!(within.len() > 2 && within.len() < times.len());
    let mut clock = Clock::new();
    clock.ends = START + 40 * quarter;
    let mut select = Select::default();
    select.window = window;
    let (_, heard) = heard(&PlayOptions { select, repeat: true, ..options(Speed::Times(1.0)) }, &mut clock);
    // Each pass is as long as the window, whatever event it begins with.
    for (pass, heard) in heard.chunks(within.len()).enumerate() {
        let due = within.iter().map(|time| START + pass as u64 * quarter + time - quarter);
        assert_on_time(heard, due, SLACK);
    }
    assert!(heard.len() >= 39 * within.len());
}

#[test]
fn at_full_speed_there_are_no_sleeps() {
    let mut clock = Clock::new();
    let (played, heard) = heard(&options(Speed::Max), &mut clock);
    assert_eq!(clock.sleeps, 0);
    assert_eq!(heard.len() as u64, played.counts.read);
    assert_eq!(heard.len(), times().len());
}
