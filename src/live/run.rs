//! The loop of a live run: starts the threads and the command, reads and sends until the end, and stops everything.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use mio::Interest;

use super::emptier::Emptier;
use super::feedback::FeedbackGuard;
use super::reader::{Reader, SIGNALS};
use super::record::{Record, Recorded};
use super::result::{LiveError, Traced};
use super::signals::Signals;
use super::{LiveOptions, SECOND, Session};
use crate::osc::timetag;
use crate::output::Outputs;
use crate::tracefs::StoppedCommand;

/// How long after the start the loop first checks whether a receiver on another machine listens.
const FIRST_LOOK: Duration = Duration::from_millis(300);

impl Session<'_> {
    /// Runs until the end. Long: it starts the threads and collects what they return.
    pub(super) fn run(
        mut self,
        command: Option<StoppedCommand>,
        options: &LiveOptions,
        mut signals: Signals,
        say: &mut dyn FnMut(String),
    ) -> Result<(Traced, Vec<Outputs>), LiveError> {
        let registry = self.reader.turns.rings.poll.registry();
        registry.register(signals.pipe(), SIGNALS, Interest::READABLE)?;
        if let Some(desk) = &mut self.desk {
            desk.register(registry)?;
        }
        let of_emptiers = self.emptiers.iter().map(Emptier::waker);
        let wakers: Vec<_> = self.others.iter().filter_map(Reader::waker).chain(of_emptiers).collect();
        let mut threads = Vec::new();
        for (index, reader) in std::mem::take(&mut self.others).into_iter().enumerate() {
            let named = std::thread::Builder::new().name(format!("reader-{}", index + 1));
            threads.push(named.spawn(move || reader.follow())?);
        }
        let mut emptying = Vec::new();
        for (index, emptier) in std::mem::take(&mut self.emptiers).into_iter().enumerate() {
            let named = std::thread::Builder::new().name(format!("emptier-{}", index + 1));
            emptying.push(named.spawn(move || emptier.follow())?);
        }
        let began = Instant::now();
        let end = self.until_the_end(command, options, &mut signals, began, say);
        if !self.begun
            && let Some(record) = self.record.take()
        {
            record.abandon();
        }
        // Whatever happened, recording stops and the other readers end.
        let stopped = self.instance.stop();
        self.shared.end();
        wakers.iter().for_each(|waker| drop(waker.wake()));
        let time = began.elapsed();
        while emptying.iter().any(|thread| !thread.is_finished()) {
            // They may wait for room.
            self.reader.turns.rings.all();
            if self.reader.turn(0..0).0 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.reader.drain();
        let mut failed = None;
        for thread in emptying {
            failed = thread.join().unwrap_or_else(|_| Err(io::Error::other("an emptier panicked"))).err().or(failed);
        }
        for thread in threads {
            match thread.join().unwrap_or_else(|_| Err(io::Error::other("a reader panicked"))) {
                Ok(reader) => self.others.push(reader),
                Err(error) => failed = Some(error),
            }
        }
        // Whatever happened, the recording is finished.
        let recorded = self.finish_recording(say);
        if let Some(error) = failed {
            return Err(error.into());
        }
        let command = end?;
        stopped?;
        self.window(time, say);
        self.reader.pipeline.outputs().stop();
        self.status.clear();
        let total = self.total(true);
        let traced = Traced {
            busiest: self.busiest(&total.report, 5),
            counts: total.report.counts,
            sent: total.report.sent,
            thinned: total.report.thinned,
            malformed_sub_buffers: total.report.malformed_sub_buffers,
            cpus: total.cpus,
            receiver_drops: self.drops.total(),
            absent: self.audience.status(),
            command,
            time,
            recorded,
        };
        let readers = std::iter::once(self.reader).chain(self.others);
        Ok((traced, readers.map(|mut reader| std::mem::take(reader.pipeline.outputs())).collect()))
    }

    /// Starts recording, then reads and sends until the end.
    fn until_the_end(
        &mut self,
        command: Option<StoppedCommand>,
        options: &LiveOptions,
        signals: &mut Signals,
        began: Instant,
        say: &mut dyn FnMut(String),
    ) -> Result<Option<ExitStatus>, LiveError> {
        // By now the threads of the other readers exist.
        self.instance.exclude_ourselves()?;
        let events: Vec<_> = self.reader.pipeline.event_counts().map(|(format, _)| format.clone()).collect();
        if self.guard {
            let events = events.iter().map(|format| &**format);
            self.feedback = Some(FeedbackGuard::new(self.instance, self.drops.targets(), events)?);
        }
        self.look_at_receivers(say);
        let cpus = self.instance.cpus().len();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let now = timetag::unix_now_ns();
        self.reader.pipeline.outputs().start(&host, cpus, now, now);
        self.reader.pipeline.outputs().clock(now);
        self.reader.pipeline.flush();
        self.look_at_audience(say);
        self.window_start = Instant::now();
        // From here on, any change is somebody else's.
        self.instance.changed_outside()?;
        self.instance.start()?;
        let mut child = command.map(StoppedCommand::release).transpose()?;
        self.begun = true;
        self.follow(child.as_mut(), options, signals, began, say)
    }

    /// Reads and sends until the end.
    fn follow(
        &mut self,
        mut child: Option<&mut Child>,
        options: &LiveOptions,
        signals: &mut Signals,
        began: Instant,
        say: &mut dyn FnMut(String),
    ) -> Result<Option<ExitStatus>, LiveError> {
        let deadline = options.duration.and_then(|duration| began.checked_add(duration));
        // The answers of other machines (ICMP) take a while.
        let mut look = began.checked_add(FIRST_LOOK);
        loop {
            let ends = [deadline, look, self.told_due()];
            let due = ends.into_iter().flatten().fold(self.window_start + SECOND, Instant::min);
            let asleep = self.reader.sleep(due)?;
            self.reader.turn(asleep);
            self.obey(began.elapsed());
            self.record.iter_mut().for_each(Record::flush_if_due);
            if signals.ended() {
                return Ok(None);
            }
            if signals.child() || child.is_some() && self.window_start.elapsed() >= SECOND {
                // A child that cannot be waited for counts as ended.
                if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                    return Ok(Some(status));
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline)
                || self.reader.pipeline.outputs().failure().is_some()
            {
                return Ok(None);
            }
            if look.is_some_and(|look| Instant::now() >= look) {
                look = None;
                self.look_at_audience(say);
            }
            if self.window_start.elapsed() >= SECOND {
                self.window(began.elapsed(), say);
                // Without its keeper or its instance the run cannot go on.
                for change in self.instance.changed_outside()? {
                    self.status.clear();
                    say(format!("warning: {change}"));
                }
            }
        }
    }

    /// Finishes the recording, when everything has been read.
    fn finish_recording(&mut self, say: &mut dyn FnMut(String)) -> Option<Recorded> {
        let record = self.record.take()?;
        self.status.clear();
        let records = self.total(false).report.records;
        let readers = || std::iter::once(&self.reader).chain(&self.others);
        let names = readers().flat_map(|reader| reader.pipeline.names());
        let known = readers().flat_map(|reader| reader.pipeline.event_counts().map(|(format, _)| &**format));
        record.note(self.shared.noted());
        record.finish(self.tracefs, self.instance, known, names, records, say)
    }
}
