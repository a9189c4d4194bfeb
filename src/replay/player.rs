//! The loop of a replay: waits until events are due, plays them, does what else is due, and executes commands.

use std::ops::ControlFlow;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::pace::Pace;
use super::part::Parts;
use super::voice::Voice;
use super::{LONGEST_SLEEP, Observer, Played, STAT_NS, Speed, State, Stop, TOGETHER_NS, Time};
use crate::capture::RingFeed;
use crate::capture::select::{Select, Selector};
use crate::control::Switched;
use crate::format::Endian;
use crate::output::audience::Audience;
use crate::ring::{Merge, Record};
use crate::wall;

pub(super) struct Player<'a, T> {
    /// One for each capture.
    pub(super) voices: Vec<Voice>,
    pub(super) pace: Pace,
    pub(super) time: &'a mut T,
    pub(super) observer: &'a mut dyn Observer,
    /// The last event, ns on the trace clock since the beginning of the pass.
    pub(super) at: u64,
    pub(super) last_stat: u64,
    pub(super) paused: bool,
    /// The last pass is over.
    pub(super) at_end: bool,
    pub(super) repeat: bool,
    /// The selection, as last asked for.
    pub(super) select: Select,
    /// Events that are muted.
    pub(super) switched: Arc<Switched>,
    pub(super) audience: Audience,
}

impl<T: Time> Player<'_, T> {
    /// Sleeps until the start.
    pub(super) fn wait(&mut self, until: u64) -> ControlFlow<Stop> {
        let mut waited = false;
        loop {
            let now = self.time.now();
            if now >= until && !self.observer.waits() {
                if waited {
                    self.pace.began = now;
                }
                return ControlFlow::Continue(());
            }
            waited |= now >= until;
            self.look_at(now)?;
            self.flush();
            let until = until.max(now + TOGETHER_NS);
            let due = self.outputs_due().map_or(until, |due| due.min(until));
            self.time.sleep_until(if waited { now + TOGETHER_NS } else { due }, LONGEST_SLEEP);
            // The others do not wait for us.
            self.time.paused();
        }
    }

    /// Plays the captures once.
    pub(super) fn pass(&mut self, parts: &mut Parts, played: &mut [Played]) -> ControlFlow<Stop> {
        self.pace.origin = parts.span.map(|span| span.first);
        self.pace.length = parts.length();
        self.obey()?;
        let mut merges: Vec<_> = parts.parts.iter_mut().map(|part| part.capture.merge()).collect();
        let end = match (merges.as_mut_slice(), parts.parts.as_slice()) {
            ([merge], [part]) => {
                let selector = part.selector.as_ref();
                match (part.capture.endian, self.pace.speed) {
                    (Endian::Little, Speed::Max) => self.run_max::<LittleEndian>(merge, selector),
                    (Endian::Big, Speed::Max) => self.run_max::<BigEndian>(merge, selector),
                    (Endian::Little, Speed::Times(_)) => self.run_paced::<LittleEndian>(merge, selector),
                    (Endian::Big, Speed::Times(_)) => self.run_paced::<BigEndian>(merge, selector),
                }
            }
            (merges, parts) => self.run_together(merges, parts),
        };
        self.pace.length = self.pace.length.max(self.at);
        for (merge, played) in merges.iter_mut().zip(played) {
            // However often it is played, its losses count once.
            let sum = |of: fn(&crate::ring::Counts) -> u64| merge.counts().map(|(_, counts)| of(counts)).sum::<u64>();
            played.malformed_sub_buffers = played.malformed_sub_buffers.max(sum(|counts| counts.malformed));
            played.lost = played.lost.max(sum(|counts| counts.lost));
            played.gaps = played.gaps.max(sum(|counts| counts.gaps));
            let skipped = merge.feeds_mut().filter_map(|(cpu, feed)| Some((cpu, feed.skipped()?)));
            let skipped = skipped
                .map(|(cpu, (count, first))| format!("CPU {cpu}: {count} damaged pieces skipped; the first: {first}"));
            played.errors = skipped.collect();
            played.errors.extend(merge.take_errors().map(|(cpu, error)| format!("CPU {cpu}: {error}")));
        }
        end
    }

    pub(super) fn run_max<E: ByteOrder>(
        &mut self,
        merge: &mut Merge<RingFeed>,
        selector: Option<&Selector>,
    ) -> ControlFlow<Stop> {
        const LOOK_EVERY: u32 = 4096;
        loop {
            let mut left = LOOK_EVERY;
            let mut past = false;
            let mut last = None;
            let more = merge.for_each::<E, ()>(|record| {
                last = Some(record.time);
                match selector {
                    Some(selector) if selector.is_past(record.time) => past = true,
                    Some(selector) if !selector.takes::<E>(&record) => {}
                    _ if self.pace.is_before(record.time) => {}
                    _ => self.record::<E>(0, record, None),
                }
                left -= 1;
                if left == 0 || past { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if let Some(last) = last {
                self.pace.due(last);
                self.at = last.saturating_sub(self.pace.origin.unwrap_or(last));
            }
            self.look()?;
            if more.is_continue() || past {
                self.flush();
                return ControlFlow::Continue(());
            }
        }
    }

    pub(super) fn run_paced<E: ByteOrder>(
        &mut self,
        merge: &mut Merge<RingFeed>,
        selector: Option<&Selector>,
    ) -> ControlFlow<Stop> {
        let mut now = self.time.now();
        while let Some(record) = merge.next_record::<E>() {
            if let Some(selector) = selector {
                if selector.is_past(record.time) {
                    break;
                }
                if !selector.takes::<E>(&record) {
                    continue;
                }
            }
            if self.pace.is_before(record.time) {
                continue;
            }
            let due = self.until_due(record.time, &mut now)?;
            self.at = record.time.saturating_sub(self.pace.origin.unwrap_or(record.time));
            self.record::<E>(0, record, due);
        }
        self.flush();
        ControlFlow::Continue(())
    }

    /// Waits until an event of this time is due, and returns that moment; `None`: at once. Sends what was due before
    /// it.
    #[inline]
    pub(super) fn until_due(&mut self, time: u64, now: &mut u64) -> ControlFlow<Stop, Option<u64>> {
        let Some(mut due) = self.pace.due(time) else { return ControlFlow::Continue(None) };
        if due > *now {
            // A new moment.
            self.flush();
            *now = self.look()?;
            loop {
                // A pause has moved it.
                due = self.pace.due(time).unwrap_or(*now);
                if due <= *now {
                    break;
                }
                let other = self.outputs_due();
                self.time.sleep_until(other.map_or(due, |other| due.min(other)), LONGEST_SLEEP);
                *now = self.look()?;
                self.voices.iter_mut().for_each(|voice| voice.pipeline.outputs().tick(*now));
                self.flush();
            }
        } else if *now - due > TOGETHER_NS {
            // Late: more events are due than can be sent in time.
            *now = self.look()?;
        }
        ControlFlow::Continue(Some(due))
    }

    #[inline]
    pub(super) fn record<E: ByteOrder>(&mut self, index: usize, record: Record<'_>, play_ns: Option<u64>) {
        if let Some(voice) = self.voices.get_mut(index) {
            voice.record::<E>(record, play_ns, &self.switched);
        }
    }

    /// Sends buffered messages.
    pub(super) fn flush(&mut self) {
        self.voices.iter_mut().for_each(|voice| voice.pipeline.flush());
    }

    /// When an output has something to send without an event.
    pub(super) fn outputs_due(&mut self) -> Option<u64> {
        self.voices.iter_mut().filter_map(|voice| voice.pipeline.outputs().due()).min()
    }

    /// Events read so far.
    pub(super) fn read(&self) -> u64 {
        self.voices.iter().map(|voice| voice.pipeline.counts().read).sum()
    }

    /// Does everything that is due besides events, and decides whether to go on. Returns the time.
    pub(super) fn look(&mut self) -> ControlFlow<Stop, u64> {
        let paused = self.time.paused();
        if paused > 0 {
            self.pace.began = self.pace.began.saturating_add(paused);
        }
        let now = self.time.now();
        let at = match self.pace.speed {
            Speed::Max => self.at,
            Speed::Times(_) => self.pace.position(now),
        };
        self.observer.position(at, self.pace.length);
        self.look_at(now)?;
        self.obey()?;
        ControlFlow::Continue(self.time.now())
    }

    /// Executes commands, and waits here while paused; reports the state.
    pub(super) fn obey(&mut self) -> ControlFlow<Stop> {
        loop {
            let (mut now, mut to) = (self.time.now(), None);
            while let Some(command) = self.observer.command() {
                let done = self.carry_out(command, now, &mut to);
                self.observer.answer(done);
            }
            if let Some(to) = to {
                self.paused &= !self.at_end;
                return ControlFlow::Break(Stop::Seek(to.min(self.pace.length)));
            }
            self.tell(now);
            if !self.paused {
                return ControlFlow::Continue(());
            }
            self.look_at(now)?;
            // From here on there is silence.
            self.voices.iter_mut().for_each(|voice| voice.pipeline.outputs().tick(now));
            self.flush();
            let until = now + LONGEST_SLEEP.as_nanos() as u64 / 2;
            let due = self.outputs_due();
            self.time.sleep_until(due.map_or(until, |due| due.min(until)), LONGEST_SLEEP);
            self.time.paused();
            now = self.time.now();
            self.pace.began = now;
        }
    }

    /// Pauses.
    pub(super) fn halt(&mut self, now: u64) {
        if !self.paused {
            self.pace.from = match self.pace.speed {
                Speed::Times(_) => self.pace.position(now),
                // What has been played is not played again.
                Speed::Max => self.pace.from,
            };
            self.paused = true;
        }
        self.pace.began = now;
    }

    pub(super) fn go_on(&mut self, now: u64) {
        self.paused = false;
        self.pace.began = now;
    }

    /// Continues from there with the next pass.
    pub(super) fn seek(&mut self, to: u64) {
        (self.pace.began, self.pace.from) = (self.time.now(), to);
    }

    /// Stays at the end until it is continued or ended.
    pub(super) fn rest(&mut self) -> ControlFlow<Stop> {
        let now = self.time.now();
        self.halt(now);
        (self.at_end, self.pace.from) = (true, self.pace.length);
        let end = self.obey();
        self.at_end = false;
        end
    }

    pub(super) fn tell(&mut self, now: u64) {
        let (at, speed) = match self.pace.speed {
            Speed::Times(times) => (if self.paused { self.pace.from } else { self.pace.position(now) }, times),
            Speed::Max => (self.at, 0.0),
        };
        let state = State { at, length: self.pace.length, speed, paused: self.paused, repeat: self.repeat };
        self.observer.state(&state, now);
    }

    pub(super) fn look_at(&mut self, now: u64) -> ControlFlow<Stop> {
        self.stat_if_due(now);
        let mut ended = self.time.ended();
        for voice in &mut self.voices {
            voice.pipeline.outputs().announce(now);
            ended |= voice.pipeline.outputs().failure().is_some();
        }
        if ended {
            return ControlFlow::Break(Stop::End);
        }
        ControlFlow::Continue(())
    }

    pub(super) fn stat_if_due(&mut self, now: u64) {
        if now.saturating_sub(self.last_stat) >= STAT_NS {
            self.stat(now);
            self.flush();
            self.look_at_audience();
            wall::news().iter().for_each(|news| self.observer.warn(news.trim_start_matches("warning: ")));
        }
    }

    /// All outputs have the same receivers.
    pub(super) fn look_at_audience(&mut self) {
        let Some(voice) = self.voices.first_mut() else { return };
        for news in self.audience.look(voice.pipeline.outputs()) {
            self.observer.audience(&news, self.audience.status());
        }
    }

    pub(super) fn stat(&mut self, now: u64) {
        let seconds = now.saturating_sub(self.last_stat) as f32 / 1e9;
        self.last_stat = now;
        self.voices.iter_mut().for_each(|voice| voice.stat(seconds));
    }
}
