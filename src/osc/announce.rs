//! When addresses are announced: soon after the start, and again within each [`PERIOD_NS`], one datagram at a time.
//!
//! A kernel has more than 2000 events. Announcing all at once would take over 300 datagrams; a socket with the
//! default buffer holds 92 of that size, Sonic Pi's holds seven. So there is one datagram of announcements every
//! [`APART_NS`] until every address was announced, and after that they are spread evenly over the period. An event
//! that occurs before its turn is announced with its first message: see
//! [`Stream::event`](super::stream::Stream::event).

/// The period in which every address is announced again, ns.
pub const PERIOD_NS: u64 = 10_000_000_000;
/// The shortest time between two datagrams of announcements, ns: announcing all events of a kernel takes about a
/// second.
pub const APART_NS: u64 = 3_000_000;
/// The most bytes of announcements sent at once: one datagram, with room for a message about the stream.
pub const BYTES: usize = 1280;

/// Schedules announcements, and says how many may be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Announcer {
    /// The number of events.
    known: usize,
    /// How many of them were not announced yet.
    untold: usize,
    /// How many were sent last time.
    sent: usize,
    /// When that was, ns since 1970; `None` before the start.
    last: Option<u64>,
}

impl Announcer {
    /// Starts announcing addresses before their first event; the first at once.
    pub(super) fn start(&mut self, now: u64) {
        self.went_out(0, now.saturating_sub(APART_NS));
    }

    /// An event was added; or it replaces one whose address was `announced` or not.
    pub(super) fn added(&mut self, announced: Option<bool>) {
        self.known += usize::from(announced.is_none());
        self.untold += usize::from(announced != Some(false));
    }

    /// An address was announced for the first time.
    pub(super) fn told(&mut self) {
        self.untold = self.untold.saturating_sub(1);
    }

    /// Whether only events that were not announced yet have their turn, and how many those are.
    pub(super) fn turn(&self) -> (bool, usize) {
        if self.untold > 0 { (true, self.untold) } else { (false, self.known) }
    }

    /// When the next announcements are due, ns since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        Some(self.last?.saturating_add(self.wait()?))
    }

    /// Whether announcements are due at `now`. They are, too, if the time of day was set back.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.last.zip(self.wait()).is_some_and(|(last, wait)| now.wrapping_sub(last) >= wait)
    }

    /// The time from the last announcements to the next, ns.
    fn wait(&self) -> Option<u64> {
        // Wait for the same share of the period as was sent of all events.
        let share = PERIOD_NS.checked_div(self.known as u64)? * self.sent.max(1) as u64;
        Some(if self.untold > 0 { APART_NS } else { share.max(APART_NS) })
    }

    /// `sent` announcements were sent at `now`.
    pub(super) fn went_out(&mut self, sent: usize, now: u64) {
        (self.sent, self.last) = (sent, Some(now));
    }
}
