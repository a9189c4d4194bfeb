//! When addresses are announced: soon after the start, and each again within [`PERIOD_NS`], a datagram at a time.
//!
//! A kernel has more than 2000 events. Announced at once they would be over 300 datagrams, and a socket of the default size
//! holds 92 of such a length, that of Sonic Pi seven. So there is one datagram of announcements every [`APART_NS`] until
//! every address is known, and from then on as many, evenly, as make one round a period. An event that comes before its
//! turn takes its announcement along: see [`Stream::event`](super::stream::Stream::event).

/// The time in which every address is announced once more, ns.
pub const PERIOD_NS: u64 = 10_000_000_000;
/// The shortest time between two datagrams of announcements, ns: all events of a kernel take about a second.
pub const APART_NS: u64 = 3_000_000;
/// The most bytes of announcements that are due at once: a datagram, with room for a message about the stream beside them.
pub const BYTES: usize = 1280;

/// Says when it is time for the next announcements, and how many of them there may be.
#[derive(Debug, Clone, Default)]
pub(super) struct Announcer {
    /// Events there are.
    known: usize,
    /// Of these, how many were not announced yet.
    untold: usize,
    /// How many went out last.
    sent: usize,
    /// When that was, ns since 1970; `None` before the start.
    last: Option<u64>,
}

impl Announcer {
    /// From `now` on addresses are announced without an event to cause it; the first at once.
    pub(super) fn start(&mut self, now: u64) {
        self.went_out(0, now.saturating_sub(APART_NS));
    }

    /// There is one event more; or it takes the place of one that was there, and whose address was `announced` or not.
    pub(super) fn added(&mut self, announced: Option<bool>) {
        self.known += usize::from(announced.is_none());
        self.untold += usize::from(announced != Some(false));
    }

    /// An address that was not announced before now is.
    pub(super) fn told(&mut self) {
        self.untold = self.untold.saturating_sub(1);
    }

    /// Whether it is those that were not announced yet whose turn it is, and how many events that are.
    pub(super) fn turn(&self) -> (bool, usize) {
        if self.untold > 0 { (true, self.untold) } else { (false, self.known) }
    }

    /// When the next are due, ns since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        Some(self.last?.saturating_add(self.wait()?))
    }

    /// Whether the next are due at `now`. A time of day that was set back makes nobody wait.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.last.zip(self.wait()).is_some_and(|(last, wait)| now.wrapping_sub(last) >= wait)
    }

    /// The time from the last to the next, ns.
    fn wait(&self) -> Option<u64> {
        // So many of all went out last: the same part of the period passes until the next.
        let share = PERIOD_NS.checked_div(self.known as u64)? * self.sent.max(1) as u64;
        Some(if self.untold > 0 { APART_NS } else { share.max(APART_NS) })
    }

    /// `sent` of them went out at `now`.
    pub(super) fn went_out(&mut self, sent: usize, now: u64) {
        (self.sent, self.last) = (sent, Some(now));
    }
}
