//! The replay loop: a frozen ring, at the pace it was recorded at, stretched, or as fast as possible.
//!
//! Pace is kept against the time at which the replay began, so that errors do not add up. Events that are due together
//! leave together, as they would live.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};

use crate::capture::{Capture, RingFeed};
use crate::decode::EventTable;
use crate::format::{Abi, Endian};
use crate::names::Kernel;
use crate::osc::aggregate::AggregateError;
use crate::osc::timetag;
use crate::outputs::{Outputs, Window};
use crate::pipeline::{Counts, Outcome, Pipeline};
use crate::ring::{Merge, Record};

/// How fast a capture is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// This many times its own pace.
    Times(f64),
    /// As fast as possible. Timetags are then the times at which events happened.
    Max,
}

/// Events due within this time of each other leave together, ns: the default tick.
const TOGETHER_NS: u64 = 1_000_000;
/// How long the replay sleeps at most before it looks for a reason to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// How often `/ftrace/stat` is sent.
const STAT_NS: u64 = 1_000_000_000;
/// How often the addresses are announced again.
const ANNOUNCE_EVERY: u64 = 10;

/// The time, and waiting for it: the real one, or one of a test's own.
pub trait Time {
    /// ns since 1970.
    fn now(&mut self) -> u64;

    /// Waits until about `unix_ns`, at most `longest`; may return earlier.
    fn sleep_until(&mut self, unix_ns: u64, longest: Duration);

    /// For how long the replay was stopped by a signal since the last call, ns: the rest of it starts that much later.
    fn paused(&mut self) -> u64;

    /// Whether it is to end.
    fn ended(&mut self) -> bool;
}

/// What became of a replay.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// Records and errors.
    pub counts: Counts,
    /// Sub-buffers, or rests of them, that could not be walked.
    pub malformed_sub_buffers: u64,
    /// Events that the capture says were lost.
    pub lost: u64,
    /// Feeds that failed, in words.
    pub errors: Vec<String>,
    /// Whether it was ended before the capture was.
    pub ended: bool,
}

/// Plays `capture` to `outputs`.
///
/// # Errors
/// If a field to be aggregated is not among the capture's.
pub fn play(
    mut capture: Capture,
    outputs: Outputs,
    speed: Speed,
    host: &str,
    time: &mut impl Time,
) -> Result<(Played, Outputs), AggregateError> {
    let (names, _) = capture.names();
    let abi = Abi { endian: capture.endian, long: capture.header.long_size() };
    let kernel = Arc::new(Kernel { abi, names });
    let known = kernel.clone();
    let ask = Box::new(move |pid| known.names.comms.get(pid).map(<[u8]>::to_vec));
    let mut pipeline = Pipeline::new(kernel, outputs, ask);
    pipeline.outputs().check(&capture.events)?;
    let table = EventTable::new(std::mem::take(&mut capture.events));
    if let Some(pair) = capture.clock_pair {
        pipeline.pair_clocks(pair.trace_ns, pair.realtime_ns);
    }
    let cpus = capture.rings.len();
    let mut merge = capture.merge();
    let now = time.now();
    let mut player = Player { pipeline, table, last_stat: now, stats: 0, last: Counts::default() };
    player.pipeline.outputs().start(host, cpus, now);
    player.pipeline.flush();
    let end = match capture.endian {
        Endian::Little => player.run::<LittleEndian>(&mut merge, speed, time),
        Endian::Big => player.run::<BigEndian>(&mut merge, speed, time),
    };
    player.stat(time.now());
    player.pipeline.outputs().stop();
    let mut played = Played { counts: player.pipeline.counts().clone(), ended: end.is_break(), ..Played::default() };
    for (_, counts) in merge.counts() {
        played.malformed_sub_buffers += counts.malformed;
        played.lost += counts.lost;
    }
    played.errors = merge.take_errors().map(|(cpu, error)| format!("CPU {cpu}: {error}")).collect();
    Ok((played, std::mem::take(player.pipeline.outputs())))
}

struct Player {
    pipeline: Pipeline<Outputs>,
    /// All events of the capture's kernel. The pipeline takes up those that occur, when they first do: a capture may
    /// describe thousands.
    table: EventTable,
    last_stat: u64,
    stats: u64,
    last: Counts,
}

impl Player {
    fn run<E: ByteOrder>(
        &mut self,
        merge: &mut Merge<RingFeed>,
        speed: Speed,
        time: &mut impl Time,
    ) -> ControlFlow<()> {
        match speed {
            Speed::Max => self.run_max::<E>(merge, time),
            Speed::Times(times) => self.run_paced::<E>(merge, times, time),
        }
    }

    fn run_max<E: ByteOrder>(&mut self, merge: &mut Merge<RingFeed>, time: &mut impl Time) -> ControlFlow<()> {
        const LOOK_EVERY: u32 = 4096;
        loop {
            let mut left = LOOK_EVERY;
            let more = merge.for_each::<E, ()>(|record| {
                self.record::<E>(record, None);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            self.look(time)?;
            if more.is_continue() {
                return ControlFlow::Continue(());
            }
        }
    }

    fn run_paced<E: ByteOrder>(
        &mut self,
        merge: &mut Merge<RingFeed>,
        times: f64,
        time: &mut impl Time,
    ) -> ControlFlow<()> {
        let mut now = time.now();
        // The first event's time on the trace clock, and when it is played.
        let mut start = None;
        while let Some(record) = merge.next_record::<E>() {
            let (first, began) = start.get_or_insert((record.time, now));
            let after = (record.time.saturating_sub(*first) as f64 / times) as u64;
            if began.saturating_add(after) > now {
                // A new moment: what was due before it leaves.
                self.pipeline.flush();
                now = time.now();
                while began.saturating_add(after) > now {
                    let due = began.saturating_add(after);
                    let due = self.pipeline.outputs().due().map_or(due, |aggregate| due.min(aggregate));
                    time.sleep_until(due, LONGEST_SLEEP);
                    *began = began.saturating_add(time.paused());
                    now = time.now();
                    self.pipeline.outputs().tick(now);
                    self.pipeline.flush();
                    self.look_at(now, time)?;
                }
            } else if now - began.saturating_add(after) > TOGETHER_NS {
                // Late: more is due than can be sent in time.
                now = time.now();
                self.look_at(now, time)?;
            }
            self.record::<E>(record, Some(began.saturating_add(after)));
        }
        self.pipeline.flush();
        ControlFlow::Continue(())
    }

    #[inline]
    fn record<E: ByteOrder>(&mut self, record: Record<'_>, play_ns: Option<u64>) {
        if let Outcome::Unknown(id) = self.pipeline.record::<E>(record, play_ns)
            && let Some(format) = self.table.get(id)
        {
            self.pipeline.add_late(format);
            self.pipeline.offer_again();
            self.pipeline.record::<E>(record, play_ns);
        }
    }

    fn look(&mut self, time: &mut impl Time) -> ControlFlow<()> {
        time.paused();
        let now = time.now();
        self.look_at(now, time)
    }

    /// What is due besides events, and whether to go on.
    fn look_at(&mut self, now: u64, time: &mut impl Time) -> ControlFlow<()> {
        self.stat_if_due(now);
        if time.ended() || self.pipeline.outputs().reader_gone() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn stat_if_due(&mut self, now: u64) {
        if now.saturating_sub(self.last_stat) >= STAT_NS {
            self.stat(now);
            self.stats += 1;
            if self.stats.is_multiple_of(ANNOUNCE_EVERY) {
                self.pipeline.outputs().announce();
            }
            self.pipeline.flush();
        }
    }

    fn stat(&mut self, now: u64) {
        let counts = self.pipeline.counts().clone();
        let window = Window {
            read: counts.read - self.last.read,
            kernel_lost: 0,
            malformed: counts.malformed + counts.unknown - self.last.malformed - self.last.unknown,
            seconds: now.saturating_sub(self.last_stat) as f32 / 1e9,
        };
        self.last = counts;
        self.last_stat = now;
        self.pipeline.outputs().stat(&window, |_| 0);
    }
}

/// The machine's own time, with signals: Ctrl-C ends, SIGTSTP and SIGCONT pause.
pub struct RealTime {
    ended: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
    /// One moment on the monotonic clock, which does not jump, and in the time of day.
    start: (Instant, u64),
    fell_asleep: u64,
}

impl RealTime {
    /// Takes over SIGINT, SIGTERM, SIGHUP and SIGCONT.
    pub fn new() -> io::Result<RealTime> {
        let flag = || Arc::new(AtomicBool::new(false));
        let (ended, continued) = (flag(), flag());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, ended.clone())?;
        }
        signal_hook::flag::register(SIGCONT, continued.clone())?;
        let now = timetag::unix_now_ns();
        Ok(RealTime { ended, continued, start: (Instant::now(), now), fell_asleep: now })
    }
}

impl Time for RealTime {
    fn now(&mut self) -> u64 {
        let (start, unix_ns) = self.start;
        unix_ns.saturating_add(start.elapsed().as_nanos() as u64)
    }

    fn sleep_until(&mut self, unix_ns: u64, longest: Duration) {
        let now = self.now();
        self.fell_asleep = now;
        std::thread::sleep(Duration::from_nanos(unix_ns.saturating_sub(now)).min(longest));
    }

    fn paused(&mut self) -> u64 {
        if !self.continued.swap(false, Ordering::Relaxed) {
            return 0;
        }
        // It stopped while asleep, as good as always: a sleep is short beside a pause.
        self.now().saturating_sub(self.fell_asleep)
    }

    fn ended(&mut self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
