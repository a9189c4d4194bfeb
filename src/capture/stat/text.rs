//! Statistics as text, and the activity as a plot of characters.

use std::fmt::Write as _;

use super::{CpuStat, EventStat, Silence, Stat, SystemActivity};
use crate::{capture::window::Span, escape::Escaped};

impl Stat {
    /// The statistics as text, with the `top` most frequent events.
    pub fn text(&self, top: usize) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(out, "{name:<10} {}", Escaped(value));
        };
        line("kernel", self.kernel.as_deref().unwrap_or("not noted"));
        line("machine", &self.machine);
        line("clock", &self.clock);
        if let (false, Some(span)) = (self.nanoseconds, self.span) {
            let Span { first, last } = span;
            line("span", &format!("{} ticks of unknown length, from {first} to {last}", span.length()));
        } else if let Some(Span { first, last }) = self.span {
            let span = format!("{} s, from {} to {}", fixed(self.seconds, 6), seconds(first), seconds(last));
            line("span", &span);
        }
        let rate = if self.seconds > 0.0 { self.events as f64 / self.seconds } else { 0.0 };
        let kinds = self.by_event.len();
        let a_second = if self.nanoseconds { format!(", {} a second", fixed(rate, 0)) } else { String::new() };
        line("events", &format!("{} of {kinds} kinds{a_second}", self.events));
        if let (false, Some(Silence { from, length })) = (self.nanoseconds, self.longest_silence) {
            line("silence", &format!("{length} ticks at most, from {from} on"));
        } else if let Some(Silence { from, length }) = self.longest_silence {
            line("silence", &format!("{} ms at most, from {} on", fixed(length as f64 / 1e6, 3), seconds(from)));
        }
        let gaps: u64 = self.cpus.iter().map(|cpu| cpu.gaps).sum();
        line(
            "lost",
            &match (self.lost(), gaps) {
                (0, 0) => "nothing".to_owned(),
                (lost, 0) => format!("{lost} events"),
                (lost, gaps) => format!("{lost} events, and {gaps} gaps of unknown size"),
            },
        );
        if self.unknown > 0 {
            line("unknown", &format!("{} events of unknown ids", self.unknown));
        }
        let _ = writeln!(out);
        let _ = writeln!(out, "{:>4} {:>12} {:>12} {:>12} {:>10}", "CPU", "events", "sub-buffers", "lost", "malformed");
        for cpu in &self.cpus {
            let lost = cpu.lost.max(cpu.kernel_lost.unwrap_or(0));
            let CpuStat { cpu, events, sub_buffers, malformed, .. } = cpu;
            let _ = writeln!(out, "{cpu:>4} {events:>12} {sub_buffers:>12} {lost:>12} {malformed:>10}");
        }
        let _ = writeln!(out, "\n{:>12} {:>12}  event", "count", "per second");
        for event in self.by_event.iter().take(top) {
            let EventStat { system, name, count, rate, .. } = event;
            let _ = writeln!(out, "{count:>12} {:>12}  {}:{}", fixed(*rate, 1), Escaped(system), Escaped(name));
        }
        if let Some(more) = self.by_event.len().checked_sub(top).filter(|&more| more > 0) {
            let _ = writeln!(out, "{:>12} {:>12}  {more} more kinds", "", "");
        }
        for problem in &self.problems {
            let _ = writeln!(out, "problem: {}", Escaped(problem));
        }
        out
    }

    /// The activity over time, one line per system, `width` characters wide. Each line has its own scale: its maximum
    /// is the number at its beginning.
    pub fn plot(&self, width: usize) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let names = self
            .activity
            .systems
            .iter()
            .map(|system| Escaped(&system.system).to_string().chars().count())
            .max()
            .unwrap_or(0);
        let columns = width.saturating_sub(names + 15).clamp(10, 1000);
        let mut out = String::new();
        for SystemActivity { system, counts } in &self.activity.systems {
            let bars: Vec<u64> = (0..columns).map(|column| share(counts, column, columns)).collect();
            let highest = bars.iter().copied().max().unwrap_or(0).max(1);
            // Rounded up, so that a single event is visible.
            let bar = |count: &u64| BARS.get((count * 8).div_ceil(highest) as usize).copied().unwrap_or('█');
            let drawn: String = bars.iter().map(bar).collect();
            let length = self.activity.interval as f64 * counts.len() as f64 / columns as f64 / 1e9;
            let rate = if length > 0.0 { highest as f64 / length } else { 0.0 };
            let highest = if self.nanoseconds { format!("{}/s", fixed(rate, 0)) } else { highest.to_string() };
            let _ = writeln!(out, "{:>names$} {highest:>12} │{drawn}", Escaped(system));
        }
        let length = match (self.nanoseconds, self.span) {
            (false, Some(span)) => format!("{} ticks", span.length()),
            _ => format!("{} s", fixed(self.seconds, 3)),
        };
        let _ = writeln!(out, "{:names$} {:>12} └0{:─>rest$}", "", "", length, rest = columns - 1);
        out
    }
}

/// The events of one column: those of the intervals that begin in it.
fn share(counts: &[u64], column: usize, columns: usize) -> u64 {
    let (start, end) = (column * counts.len() / columns, (column + 1) * counts.len() / columns);
    // With fewer intervals than columns, several columns show the same one.
    counts.get(start..end.max(start + 1)).unwrap_or_default().iter().sum()
}

/// A time of the trace clock in the kernel's format.
fn seconds(time: u64) -> String {
    format!("{}.{:06}", time / 1_000_000_000, time % 1_000_000_000 / 1000)
}

fn fixed(number: f64, places: usize) -> String {
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests;
