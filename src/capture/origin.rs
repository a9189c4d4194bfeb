//! The origin of a capture, and how the clocks of several captures relate.

use super::Capture;

/// The origin of a capture, as far as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The machine's name.
    pub host: Option<String>,
    /// The id of the tracing session (option TRACEID of a trace.dat).
    pub trace_id: Option<u64>,
    /// The session to whose clock its times were corrected (option TIME_SHIFT): that of a guest's host.
    pub peer: Option<u64>,
    /// The guests traced in the same session, by their session ids.
    pub guests: Vec<(u64, String)>,
}

impl Origin {
    /// The host name in the output of uname(1): `Linux HOST 6.1.0 x86_64`, or without it `Linux 6.1.0 #1 SMP …`.
    pub(super) fn host_of(uname: &str) -> Option<String> {
        let mut words = uname.split_whitespace().skip(1);
        let host = words.next().filter(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
        host.filter(|_| words.next().is_some_and(|release| release.starts_with(|c: char| c.is_ascii_digit())))
            .map(str::to_owned)
    }
}

/// The capture with this index has no clock in common with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCommonClock(pub usize);

/// For each of `captures`, the offset that converts a time of its trace clock to a clock common to all: the time of
/// day, or, for a host and its guests without time of day, the host's trace clock.
///
/// # Errors
/// The first capture that has none in common with the others.
pub fn offsets(captures: &[&Capture]) -> Result<Vec<u64>, NoCommonClock> {
    let own = |capture: &Capture| {
        capture.clock_pair.filter(|_| !capture.counts_ticks()).map(|pair| pair.realtime_ns.wrapping_sub(pair.trace_ns))
    };
    let host = |capture: &Capture| {
        let peer = capture.origin.peer?;
        captures.iter().position(|other| other.origin.trace_id == Some(peer) && other.origin.peer.is_none())
    };
    // A guest's times are those of its host, whatever its file says about the time of day.
    let offset = |capture: &&Capture| match host(capture).and_then(|host| captures.get(host)) {
        Some(host) => own(host),
        None => own(capture),
    };
    let offsets: Vec<Option<u64>> = captures.iter().map(offset).collect();
    if offsets.iter().all(Option::is_none) {
        // The case of one host and its guests.
        let clock = |index: usize| captures.get(index).and_then(|capture| host(capture)).unwrap_or(index);
        let first = clock(0);
        return match (1..captures.len()).find(|&index| clock(index) != first) {
            _ if captures.iter().any(|capture| capture.counts_ticks()) => Err(NoCommonClock(0)),
            Some(apart) => Err(NoCommonClock(apart)),
            None => Ok(vec![0; captures.len()]),
        };
    }
    offsets.iter().enumerate().map(|(index, offset)| offset.ok_or(NoCommonClock(index))).collect()
}

/// A name for each of `captures`: for a guest the one that its host uses, otherwise its own host name, otherwise
/// `otherwise`. Names are unique.
pub fn hosts(captures: &[&Capture], otherwise: impl Fn(usize) -> String) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, capture) in captures.iter().enumerate() {
        let id = capture.origin.trace_id;
        let guest = captures.iter().flat_map(|other| &other.origin.guests).find(|(guest, _)| Some(*guest) == id);
        let name = guest.map(|(_, name)| name.clone()).or_else(|| capture.origin.host.clone());
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| otherwise(index));
        let taken = |name: &String| names.contains(name);
        let numbered = (2u32..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name));
        names.push(free.unwrap_or(name));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::made;
    use crate::tracefs::ClockPair;

    #[test]
    fn the_host_is_the_one_in_uname() {
        assert_eq!(Origin::host_of("Linux rpi4 6.1.0-9-arm64 aarch64").as_deref(), Some("rpi4"));
        assert_eq!(Origin::host_of("Linux 6.18.44 #1 SMP PREEMPT_DYNAMIC x86_64"), None);
        assert_eq!(Origin::host_of("Linux host"), None);
        assert_eq!(Origin::host_of(""), None);
    }

    /// A capture whose trace clock is this much behind the time of day, if that is known, of this session and with the
    /// clock of this one.
    fn capture(behind: Option<u64>, trace_id: Option<u64>, peer: Option<u64>) -> Capture {
        let pair = |ns| ClockPair { trace_ns: 1000, realtime_ns: 1000 + ns, uncertainty_ns: 0 };
        let origin = Origin { trace_id, peer, ..Origin::default() };
        Capture { clock_pair: behind.map(pair), origin, ..made::capture(vec![], vec![]) }
    }

    /// The same with a clock that counts ticks.
    fn ticks(behind: Option<u64>, trace_id: Option<u64>, peer: Option<u64>) -> Capture {
        Capture { clock: "x86-tsc".to_owned(), ..capture(behind, trace_id, peer) }
    }

    fn of(captures: &[Capture]) -> Result<Vec<u64>, NoCommonClock> {
        offsets(&captures.iter().collect::<Vec<_>>())
    }

    #[test]
    fn times_are_converted_to_the_time_of_day() {
        let day = |behind| capture(Some(behind), None, None);
        assert_eq!(of(&[day(9000), day(19_500)]), Ok(vec![9000, 19_500]));
        assert_eq!(of(&[day(9000), capture(None, None, None)]), Err(NoCommonClock(1)));
        assert_eq!(of(&[ticks(Some(9000), None, None), day(1)]), Err(NoCommonClock(0)));
    }

    #[test]
    fn the_clock_of_a_guest_is_its_hosts() {
        // A guest of the same host has the id of neither.
        let (host, guest) = (|| capture(Some(9000), Some(7), None), || capture(Some(5), Some(8), Some(7)));
        assert_eq!(of(&[capture(Some(1), Some(6), None), guest(), host()]), Ok(vec![1, 9000, 9000]));
        assert_eq!(of(&[guest(), capture(Some(1), None, None)]), Ok(vec![5, 1]));
        // Without the time of day.
        let (host, guest) = (|| capture(None, Some(7), None), || capture(None, Some(8), Some(7)));
        assert_eq!(of(&[host(), guest()]), Ok(vec![0, 0]));
        assert_eq!(of(&[guest(), guest(), host()]), Ok(vec![0, 0, 0]));
        assert_eq!(of(&[host(), guest(), capture(None, Some(6), None)]), Err(NoCommonClock(2)));
        assert_eq!(of(&[host(), ticks(None, Some(8), Some(7))]), Err(NoCommonClock(0)));
    }

    #[test]
    fn names_are_those_of_the_machines_and_unique() {
        let named = |host: &str, trace_id| {
            let origin = Origin { host: Some(host.to_owned()), trace_id: Some(trace_id), ..Origin::default() };
            Capture { origin, ..made::capture(vec![], vec![]) }
        };
        let mut host = named("a", 1);
        host.origin.guests = vec![(3, "other".to_owned()), (2, "guest".to_owned())];
        let captures = [host, named("b", 2), named("a", 4), named("", 5), named("a", 6), capture(None, None, None)];
        let names = hosts(&captures.iter().collect::<Vec<_>>(), |index| format!("file{index}"));
        assert_eq!(names, ["a", "guest", "a_2", "file3", "a_3", "file5"]);
    }
}
