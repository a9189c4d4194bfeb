//! Shows progress on a terminal; does nothing if standard error is not a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::audience::News;
use crate::replay::Observer;
use crate::terminal;

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// A progress bar, removed when it is dropped.
pub struct Bar {
    bar: ProgressBar,
    drawn: Option<Instant>,
    /// A message shown beside the bar.
    status: Option<String>,
}

impl Bar {
    /// A bar over ns of a capture's time.
    pub fn over_time() -> Bar {
        Bar::new("{wide_bar} {msg}, {eta} left")
    }

    /// A bar over bytes.
    pub fn over_bytes() -> Bar {
        Bar::new("{wide_bar} {bytes} of {total_bytes}, {eta} left")
    }

    /// A bar that is never drawn, for when the terminal is used otherwise.
    pub fn none() -> Bar {
        Bar { bar: ProgressBar::hidden(), drawn: None, status: None }
    }

    fn new(template: &str) -> Bar {
        let target = if terminal::shows() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // If our template did not parse, the default one would be used.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar { bar, drawn: None, status: None }
    }

    /// Redraws if it is time to.
    pub fn show(&mut self, at: u64, length: u64, words: impl FnOnce() -> String) {
        if self.bar.is_hidden() || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.bar.set_length(length);
        let status = self.status.iter().map(|status| format!(", {status}"));
        self.bar.set_message(words() + &status.collect::<String>());
        self.bar.set_position(at.min(length));
    }

    /// Shows a position in a capture, ns.
    pub fn show_time(&mut self, at: u64, length: u64) {
        self.show(at, length, || format!("{:.3} of {:.3} s", at as f64 / 1e9, length as f64 / 1e9));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn warn(&mut self, text: &str) {
        self.bar.suspend(|| terminal::warn(text));
    }

    fn audience(&mut self, news: &News, status: Option<String>) {
        self.status = status;
        self.bar.suspend(|| match news {
            News::Absent(_) => terminal::warn(news.sentence()),
            News::Back(_) => terminal::say(news.sentence()),
        });
    }

    fn position(&mut self, at: u64, length: u64) {
        self.show_time(at, length);
    }
}
