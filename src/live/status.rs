//! The status line, drawn once a second on a terminal.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use crate::escape::Escaped;
use crate::osc::transport::SendCounts;
use crate::output::Window;

/// Losses since the beginning, by kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses {
    /// Events left out because of `--max-rate`.
    pub(super) thinned: u64,
    /// The targets where nobody listens, as text.
    pub(super) absent: Option<String>,
    /// Events overwritten before they were read.
    pub(super) overwritten: u64,
    /// Events that the kernel did not write.
    pub(super) dropped: u64,
    /// Records that do not match their format, or that have none.
    pub(super) malformed: u64,
    /// Datagrams that receivers on this machine dropped.
    pub(super) receiver_drops: u64,
}

/// The counts of the last window, for comparison.
pub(super) struct Status {
    terminal: bool,
    shown: bool,
    sent: u64,
    events: HashMap<String, u64>,
}

impl Status {
    pub(super) fn new(terminal: bool) -> Status {
        Status { terminal, shown: false, sent: 0, events: HashMap::new() }
    }

    /// Whether there is a terminal to draw it on.
    pub(super) fn shows(&self) -> bool {
        self.terminal
    }

    /// Draws the line over the previous one. `events` are the counts since the beginning.
    pub(super) fn show(
        &mut self,
        since_began: Duration,
        window: &Window,
        sent: SendCounts,
        losses: &Losses,
        events: impl FnOnce() -> Vec<(String, u64)>,
    ) {
        if !self.terminal {
            return;
        }
        let per_second = |count: u64| (count as f64 / f64::from(window.seconds.max(0.001))).round() as u64;
        let mut busiest = Vec::new();
        for (name, count) in events() {
            let before = self.events.insert(name.clone(), count).unwrap_or(0);
            busiest.push((count.saturating_sub(before), name));
        }
        busiest.sort_unstable_by(|a, b| b.cmp(a));
        let mut line = format!(
            "{:>4} s  {} events/s  {} sent/s",
            since_began.as_secs(),
            per_second(window.read),
            per_second(sent.sent - self.sent)
        );
        self.sent = sent.sent;
        if let Some(absent) = &losses.absent {
            line.push_str("  ");
            line.push_str(absent);
        }
        if losses.thinned > 0 {
            line.push_str(&format!("  {} thinned", losses.thinned));
        }
        if losses.overwritten + losses.dropped == 0 {
            line.push_str("  0 lost");
        }
        for (count, what) in [
            (losses.overwritten, "overwritten"),
            (losses.dropped, "dropped"),
            (losses.malformed, "malformed"),
            (sent.unsent, "not sent"),
            (losses.receiver_drops, "datagrams not received"),
        ] {
            if count > 0 {
                line.push_str(&format!("  {count} {what}"));
            }
        }
        for (count, name) in busiest.iter().filter(|(count, _)| *count > 0).take(3) {
            line.push_str(&format!("  {name} {}", per_second(*count)));
        }
        // A line longer than the terminal would leave its rest behind each second.
        let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
        let line: String = Escaped(line).to_string().chars().take(width.saturating_sub(1)).collect();
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        self.shown = true;
    }

    /// Clears the line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
