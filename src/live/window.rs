//! The end of each second: statistics, the clock, the status line, and who listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::reader::{Reader, Report};
use super::{Session, status};
use crate::format::EventFormat;
use crate::osc::timetag;
use crate::osc::transport::Transport;
use crate::output::Window;
use crate::output::audience::News;
use crate::tracefs::CpuStats;
use crate::wall;

/// How often `/ftrace/clock` is sent.
const CLOCK_EVERY: Duration = Duration::from_secs(10);

/// The sum of all readers' reports and all rings' losses.
#[derive(Default)]
pub(super) struct Total {
    pub(super) report: Report,
    pub(super) cpus: Vec<(u32, CpuStats)>,
}

impl Total {
    fn lost(&self) -> u64 {
        self.cpus.iter().map(|(_, stats)| stats.lost()).sum()
    }

    fn overwritten(&self) -> u64 {
        self.cpus.iter().map(|(_, stats)| stats.overrun).sum()
    }
}

impl Session<'_> {
    /// The end of a window: sends the statistics and the clock, updates the status line, looks at the receivers.
    pub(super) fn window(&mut self, since_began: Duration, say: &mut dyn FnMut(String)) {
        let total = self.total(self.status.shows());
        let seconds = self.window_start.elapsed().as_secs_f32();
        let drops = self.look_at_receivers(say);
        if let Some(record) = &mut self.record {
            record.say_failure(say);
        }
        let (now, last) = (&total.report.counts, &self.last.report.counts);
        let window = Window {
            read: now.read.saturating_sub(last.read),
            kernel_lost: total.lost().saturating_sub(self.last.lost()),
            malformed: (now.malformed + now.unknown).saturating_sub(last.malformed + last.unknown),
            seconds,
        };
        let of = |target: &SocketAddr| drops.get(target).copied().unwrap_or(0);
        let outputs = self.reader.pipeline.outputs();
        if self.clock_told.elapsed() >= CLOCK_EVERY {
            self.clock_told = Instant::now();
            outputs.clock(timetag::unix_now_ns());
        }
        outputs.stat(&window, &total.report.streams, |stream| {
            stream.transports().iter().filter_map(Transport::target).map(|to| of(&to)).sum()
        });
        self.reader.pipeline.flush();
        self.look_at_audience(say);
        for news in wall::news() {
            self.status.clear();
            say(news);
        }
        let losses = status::Losses {
            thinned: total.report.thinned,
            absent: self.audience.status(),
            overwritten: total.overwritten(),
            dropped: total.lost() - total.overwritten(),
            malformed: now.malformed + now.unknown,
            receiver_drops: self.drops.total(),
        };
        self.status.show(since_began, &window, total.report.sent, &losses, || {
            formats_of(&self.reader, &total.report).map(|(format, count)| (format.name.clone(), count)).collect()
        });
        self.reader.each_second();
        self.last = total;
        self.window_start = Instant::now();
    }

    /// Everything that was read, sent and lost so far; of other threads, as of up to a second ago. Event by event only where
    /// `events`.
    pub(super) fn total(&mut self, events: bool) -> Total {
        let mut report = self.reader.report(events);
        if self.others.is_empty() {
            self.shared.reports_of_others(0).iter().for_each(|other| report.add(other));
        } else {
            // Other readers that have returned from their threads.
            self.others.iter_mut().for_each(|other| report.add(&other.report(events)));
        }
        let stats = |cpu: &u32| (*cpu, self.instance.stats(*cpu).unwrap_or_default());
        Total { report, cpus: self.instance.cpus().iter().map(stats).collect() }
    }

    /// Reports that nobody listens at a target, or that somebody listens again.
    pub(super) fn look_at_audience(&mut self, say: &mut dyn FnMut(String)) {
        for news in self.audience.look(self.reader.pipeline.outputs()) {
            self.status.clear();
            let warning = if matches!(news, News::Absent(_)) { "warning: " } else { "" };
            say(format!("{warning}{}", news.sentence()));
        }
    }

    /// Looks for the receivers on this machine, excludes new ones from the trace, and returns what each target
    /// dropped since the last look.
    pub(super) fn look_at_receivers(&mut self, say: &mut dyn FnMut(String)) -> BTreeMap<SocketAddr, u64> {
        if !self.drops.any_local() {
            return BTreeMap::new();
        }
        let sockets = self.tables.sockets();
        if let Some(guard) = &mut self.feedback {
            let found = guard.look(self.instance, &sockets);
            for receiver in found.new {
                self.status.clear();
                say(format!("{receiver} is a receiver and is excluded from the trace (--no-guard traces it)"));
            }
            for warning in found.warnings {
                self.status.clear();
                say(format!("warning: {warning}"));
            }
        }
        self.drops.since_last(&sockets)
    }

    pub(super) fn busiest(&self, report: &Report, most: usize) -> Vec<(String, u64)> {
        let mut counts: Vec<_> = formats_of(&self.reader, report).filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().take(most).map(|(format, count)| (format.full_name(), count)).collect()
    }
}

/// The events of a report, with their formats.
fn formats_of<'r>(reader: &'r Reader, report: &'r Report) -> impl Iterator<Item = (&'r EventFormat, u64)> {
    let known: BTreeMap<_, _> = reader.pipeline.event_counts().map(|(format, _)| (format.id, &**format)).collect();
    report.events.iter().filter_map(move |(id, count)| Some((*known.get(id)?, *count)))
}
