//! A moment in a capture, given by an event: `sched_switch:next_comm=="x"`.

use std::{ops::ControlFlow, str::FromStr};

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::{
    Capture, RingFeed,
    select::{Select, SelectError, Selector},
    window::{Point, Window},
};
use crate::{
    format::Endian,
    ring::Merge,
    tracefs::{EventFilter, Selection, TracefsError},
};

/// An event with an optional condition: `EVENT` or `EVENT:CONDITION`. The event has the form of `-e` (`sched_switch`,
/// `sched:sched_switch`, a group, a glob), the condition that of the kernel's filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    event: String,
    condition: Option<String>,
}

/// The text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an event: write EVENT or EVENT:CONDITION, such as 'sched_switch:next_comm==\"x\"'")]
pub struct MomentError(String);

/// A character of an event's or group's name, or of a glob.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "_-.*?[]!".contains(c)
}

impl FromStr for Moment {
    type Err = MomentError;

    /// ```
    /// use ftrace_live::capture::moment::Moment;
    /// let moment: Moment = r#"sched:sched_switch:next_comm=="x""#.parse().unwrap();
    /// assert_eq!((moment.event(), moment.condition()), ("sched:sched_switch", Some(r#"next_comm=="x""#)));
    /// let moment: Moment = "irq_handler_entry:irq>3".parse().unwrap();
    /// assert_eq!((moment.event(), moment.condition()), ("irq_handler_entry", Some("irq>3")));
    /// assert!(":irq>3".parse::<Moment>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Moment, MomentError> {
        let bad = || MomentError(text.chars().take(64).collect());
        let text = text.trim();
        let first = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(first);
        if name.is_empty() {
            return Err(bad());
        }
        let moment = |event: &str, condition: Option<&str>| Moment {
            event: event.to_owned(),
            condition: condition.map(|condition| condition.trim().to_owned()),
        };
        if rest.is_empty() {
            return Ok(moment(name, None));
        }
        let rest = rest.strip_prefix(':').filter(|rest| !rest.is_empty()).ok_or_else(bad)?;
        // After the first colon follows the event of a group, or the condition, in which an operator comes next.
        let second = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let both = &text[..first + 1 + second];
        match rest[second..].strip_prefix(':') {
            Some(condition) if second > 0 && !condition.is_empty() => Ok(moment(both, Some(condition))),
            Some(_) => Err(bad()),
            None if second == rest.len() => Ok(moment(both, None)),
            None => Ok(moment(name, Some(rest))),
        }
    }
}

/// Why a moment was not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The event or its condition does not exist in the capture.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The event or its condition cannot be parsed.
    #[error(transparent)]
    Language(#[from] TracefsError),
    /// It does not occur.
    #[error("{moment} does not occur in the capture{after}")]
    Never {
        /// The moment.
        moment: String,
        /// The part that was searched, if not all of it.
        after: &'static str,
    },
}

impl FindError {
    /// Whether the command line is at fault rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            FindError::Select(error) => error.is_usage(),
            FindError::Language(error) => error.is_usage(),
            FindError::Never { .. } => true,
        }
    }
}

impl Moment {
    /// The event, group or glob.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// Its condition.
    pub fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    /// Restricts `select` to this event with its condition.
    pub(super) fn within(&self, select: &Select) -> Result<Select, TracefsError> {
        let mut select = Select { events: Some(Selection::parse(&[&self.event])?), ..select.clone() };
        if let Some(condition) = &self.condition {
            select.filters.push(format!("{}={condition}", self.event).parse::<EventFilter>()?);
        }
        Ok(select)
    }

    /// When it first occurs in `capture` at or after `from`, on the trace clock.
    pub fn find(&self, mut capture: Capture, from: u64) -> Result<u64, FindError> {
        let selector = self.within(&Select::default())?.bind(&mut capture)?;
        if from > 0 {
            super::window::skip_to(&mut capture, from).map_err(SelectError::from)?;
        }
        let endian = capture.endian;
        let mut merge = capture.merge();
        let found = match endian {
            Endian::Little => first::<LittleEndian>(&mut merge, &selector, from),
            Endian::Big => first::<BigEndian>(&mut merge, &selector, from),
        };
        let after = if from > 0 { " from there on" } else { "" };
        found.ok_or_else(|| FindError::Never { moment: self.to_string(), after })
    }
}

/// The time of the first selected record at or after `from`.
fn first<E: ByteOrder>(merge: &mut Merge<RingFeed>, selector: &Selector, from: u64) -> Option<u64> {
    let flow = merge.for_each::<E, u64>(|record| match record.time >= from && selector.takes::<E>(&record) {
        true => ControlFlow::Break(record.time),
        false => ControlFlow::Continue(()),
    });
    flow.break_value()
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.condition {
            Some(condition) => write!(f, "{}:{condition}", self.event),
            None => f.write_str(&self.event),
        }
    }
}

/// A part of a capture between events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// From the first occurrence of this.
    pub from: Option<Moment>,
    /// Until the first occurrence of this after that.
    pub until: Option<Moment>,
    /// Around the first occurrence of this, and how far before and after, ns.
    pub around: Option<(Moment, u64)>,
}

impl Between {
    /// Whether nothing is restricted.
    pub fn is_all(&self) -> bool {
        *self == Between::default()
    }

    /// Narrows `window`, in which the moments are searched, to the part between them. `first` is the time of the
    /// capture's first event; `open` opens the capture, once for each moment.
    pub fn narrow<E: From<FindError>>(
        &self,
        window: Window,
        span: super::window::Span,
        open: &mut dyn FnMut() -> Result<Capture, E>,
    ) -> Result<Window, E> {
        self.narrow_by(window, span, &mut |moment, from| Ok(moment.find(open()?, from)?))
    }

    /// The same with `find`, which returns the first occurrence of a moment from a time on.
    pub fn narrow_by<E>(
        &self,
        window: Window,
        span: super::window::Span,
        find: &mut dyn FnMut(&Moment, u64) -> Result<u64, E>,
    ) -> Result<Window, E> {
        let (mut begin, mut end) = window.within(Some(span));
        if let Some((moment, margin)) = &self.around {
            let at = find(moment, begin)?;
            (begin, end) = (begin.max(at.saturating_sub(*margin)), end.min(at.saturating_add(*margin)));
        }
        if let Some(moment) = &self.from {
            begin = find(moment, begin)?;
        }
        if let Some(moment) = &self.until {
            // Not the first moment itself, if both are the same event.
            let after = if self.from.is_some() { begin.saturating_add(1) } else { begin };
            end = end.min(find(moment, after)?);
        }
        let point = |time: u64| Some(Point::AfterStart(time.saturating_sub(span.first)));
        Ok(Window { from: point(begin.max(span.first)), until: point(end.min(span.last)) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{self, Ring, event, page, record};
    use super::super::window::{Span, Window};
    use super::*;

    /// The part between moments that occur at these times, all of them among 1000 to 9000; `around` with a margin of 100.
    fn part(window: Window, from: &[u64], until: &[u64], around: &[u64]) -> Result<(Point, Point), ()> {
        let moment = |name: &str, times: &[u64]| (!times.is_empty()).then(|| name.parse::<Moment>().unwrap());
        let between = Between {
            from: moment("from", from),
            until: moment("until", until),
            around: moment("around", around).map(|moment| (moment, 100)),
        };
        let mut find = |moment: &Moment, after: u64| {
            let times = match moment.event() {
                "from" => from,
                "until" => until,
                _ => around,
            };
            times.iter().copied().find(|time| *time >= after).ok_or(())
        };
        let narrowed = between.narrow_by(window, Span { first: 1000, last: 9000 }, &mut find)?;
        Ok((narrowed.from.unwrap(), narrowed.until.unwrap()))
    }

    fn points(from: u64, until: u64) -> Result<(Point, Point), ()> {
        Ok((Point::AfterStart(from - 1000), Point::AfterStart(until - 1000)))
    }

    #[test]
    fn a_part_is_from_the_first_moment_until_the_next() {
        let all = Window::default();
        assert_eq!(part(all, &[2000, 4000], &[1500, 3000], &[]), points(2000, 3000));
        // The same event begins and ends it: its second occurrence, even if it is only 1 ns later.
        assert_eq!(part(all, &[2000, 2001], &[2000, 2001], &[]), points(2000, 2001));
        assert_eq!(part(all, &[], &[1000, 3000], &[]), points(1000, 1000));
        assert_eq!(part(all, &[2000], &[2000], &[]), Err(()));
    }

    #[test]
    fn moments_are_searched_in_the_window_and_do_not_widen_it() {
        let window = Window { from: Some(Point::AfterStart(500)), until: Some(Point::AfterStart(3000)) };
        assert_eq!(part(window, &[1200, 1500], &[], &[]), points(1500, 4000));
        assert_eq!(part(window, &[], &[1200, 3500], &[]), points(1500, 3500));
        assert_eq!(part(window, &[], &[7000], &[]), points(1500, 4000));
        assert_eq!(part(window, &[], &[], &[1200, 1550]), points(1500, 1650));
        assert_eq!(part(window, &[], &[], &[3950]), points(3850, 4000));
    }

    /// The event and the condition that a text is read as.
    fn read(text: &str) -> Option<(String, Option<String>)> {
        let moment: Moment = text.parse().ok()?;
        Some((moment.event().to_owned(), moment.condition().map(str::to_owned)))
    }

    #[test]
    fn the_condition_follows_the_event_or_the_event_of_a_group() {
        let moment = |event: &str, condition: Option<&str>| Some((event.to_owned(), condition.map(str::to_owned)));
        assert_eq!(read(" sched_switch "), moment("sched_switch", None));
        assert_eq!(read("sched:sched_switch"), moment("sched:sched_switch", None));
        assert_eq!(read("irq*: irq > 3 "), moment("irq*", Some("irq > 3")));
        assert_eq!(read("e:(irq>3)"), moment("e", Some("(irq>3)")));
        assert_eq!(read("sched:sched_[sw]*:comm==\"a:b\""), moment("sched:sched_[sw]*", Some("comm==\"a:b\"")));
        for text in ["", ":", ":irq>3", "e:", "e x", "e,f", "e::irq>3", "e::", "g:e:"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        for text in ["e", "g:e", "e:irq>3", "g:e:irq>3"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
    }

    /// Interrupts 1, 2 and 1 at 1, 2 and 3 µs, after another event; each is in a sub-buffer of its own.
    fn ring() -> Ring {
        let one = |time: u64, id: u16, irq: i32| page(&[(time, &record(id, 10, &irq.to_le_bytes()))], None);
        Ring::new(vec![one(500, 8, 1), one(1000, 5, 1), one(2000, 5, 2), one(3000, 5, 1)])
    }

    fn capture(ring: Ring) -> Capture {
        made::capture(vec![event(5, "irq", "entry", &["irq"]), event(8, "irq", "exit", &["irq"])], vec![(0, ring)])
    }

    fn find(ring: Ring, moment: &str, from: u64) -> Result<u64, String> {
        let moment: Moment = moment.parse().unwrap();
        moment.find(capture(ring), from).map_err(|error| error.to_string())
    }

    #[test]
    fn a_moment_is_the_first_event_of_its_kind_from_a_time_on() {
        assert_eq!(find(ring(), "entry", 0), Ok(1000));
        assert_eq!(find(ring(), "irq:entry:irq==2", 0), Ok(2000));
        assert_eq!(find(ring(), "entry:irq==1", 1000), Ok(1000));
        assert_eq!(find(ring(), "entry:irq==1", 1001), Ok(3000));
        let never = |text: &str| Err(text.to_owned());
        assert_eq!(find(ring(), "entry:irq==3", 0), never("entry:irq==3 does not occur in the capture"));
        assert_eq!(find(ring(), "exit", 501), never("exit does not occur in the capture from there on"));
    }

    #[test]
    fn what_is_before_the_time_is_not_read_and_nothing_ahead_of_its_turn() {
        let damaged = |index| {
            let mut ring = ring();
            ring.fails = Some((index, "damaged"));
            ring
        };
        assert_eq!(find(damaged(0), "entry", 3000), Ok(3000));
        // A search would read the third first.
        assert_eq!(find(damaged(2), "entry", 0), Ok(1000));
    }

    #[test]
    fn a_capture_is_opened_once_for_each_moment() {
        let between = Between { from: "entry:irq==2".parse().ok(), until: "entry".parse().ok(), around: None };
        assert!(Between::default().is_all() && !between.is_all());
        let mut opened = 0;
        let narrowed = between.narrow::<FindError>(Window::default(), Span { first: 500, last: 3000 }, &mut || {
            opened += 1;
            Ok(capture(ring()))
        });
        let (from, until) = (Some(Point::AfterStart(1500)), Some(Point::AfterStart(2500)));
        assert_eq!((narrowed.unwrap(), opened), (Window { from, until }, 2));
    }

    #[test]
    fn only_what_the_user_gave_is_the_fault_of_the_command_line() {
        assert!(FindError::Never { moment: "e".to_owned(), after: "" }.is_usage());
        assert!(FindError::Select(SelectError::NoCpu(String::new())).is_usage());
        assert!(FindError::Language(TracefsError::BadFilter(String::new())).is_usage());
        assert!(!FindError::Select(SelectError::Io(std::io::Error::other("damaged"))).is_usage());
        assert!(!FindError::Language(TracefsError::NoTracefs).is_usage());
    }
}
