//! Selects a part of a capture by time: `--from 12.5s --until -3s`.
//!
//! A [`Point`] counts from the first event, or, with a minus sign, back from the last one; a [`Window`] has two of
//! them. [`Span::of`] finds the first and the last event by reading only the ends of the rings, and [`skip_to`] seeks
//! to a time by binary search, so neither depends on the length of the capture.

use std::{collections::HashMap, io, str::FromStr};

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::{Capture, RingFeed};
use crate::{
    duration::nanoseconds,
    format::{Endian, HeaderPage},
    ring::{Feed, Times, Walk},
};

/// A time in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// This many ns after the first event.
    AfterStart(u64),
    /// This many ns before the last event.
    BeforeEnd(u64),
}

/// The text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time: write 12.5s, 300ms, 2m, or -3s for three seconds before the end")]
pub struct PointError(String);

impl FromStr for Point {
    type Err = PointError;

    /// Parses `12.5s`, `-3s`, `250ms`, `10us`, `500ns`, `2m`, `1h`; a number alone is in seconds.
    ///
    /// ```
    /// use ftrace_live::capture::window::Point;
    /// assert_eq!("12.5s".parse(), Ok(Point::AfterStart(12_500_000_000)));
    /// assert_eq!("-300ms".parse(), Ok(Point::BeforeEnd(300_000_000)));
    /// assert!("soon".parse::<Point>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Point, PointError> {
        let bad = || PointError(text.to_owned());
        let trimmed = text.trim();
        let (before_end, rest) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let ns = nanoseconds(rest, 1_000_000_000).ok_or_else(bad)?;
        Ok(if before_end { Point::BeforeEnd(ns) } else { Point::AfterStart(ns) })
    }
}

/// From one point to another, both included; by default all of a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The beginning; by default the first event.
    pub from: Option<Point>,
    /// The end; by default the last event.
    pub until: Option<Point>,
}

impl Window {
    /// Whether nothing is restricted.
    pub fn is_all(&self) -> bool {
        *self == Window::default()
    }

    /// The first and the last time selected, on the trace clock. Without a span, times count from zero.
    pub fn within(&self, span: Option<Span>) -> (u64, u64) {
        let Span { first, last } = span.unwrap_or(Span { first: 0, last: u64::MAX });
        let time = |point| match point {
            Point::AfterStart(ns) => first.saturating_add(ns),
            Point::BeforeEnd(ns) => last.saturating_sub(ns),
        };
        (self.from.map_or(0, time), self.until.map_or(u64::MAX, time))
    }
}

/// The times of the first and of the last event of a capture, on the trace clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// The first event's.
    pub first: u64,
    /// The last event's.
    pub last: u64,
}

/// The most sub-buffers without records that are skipped at either end of a ring.
const MAX_EMPTY: u64 = 1000;

impl Span {
    /// The span of a capture; `None` if it has no events. Afterwards the rings are at their beginning again.
    pub fn of(capture: &mut Capture) -> io::Result<Option<Span>> {
        let mut span: Option<Span> = None;
        let (header, endian, times) = (&capture.header, capture.endian, &capture.times);
        for ring in &mut capture.rings {
            if !ring.feed.seek(0)? {
                continue;
            }
            let first = first_of(&mut ring.feed, MAX_EMPTY, |page| ends(header, endian, page))?;
            let last = last_of(&mut ring.feed, |page| ends(header, endian, page))?;
            ring.feed.seek(0)?;
            if let (Some(Span { first, .. }), Some(Span { last, .. })) = (first, last) {
                let (first, last) = (times.ns(ring.cpu, first), times.ns(ring.cpu, last));
                let so_far = span.unwrap_or(Span { first, last });
                span = Some(Span { first: so_far.first.min(first), last: so_far.last.max(last) });
            }
        }
        Ok(span)
    }

    /// Its length, ns.
    pub fn length(&self) -> u64 {
        self.last.saturating_sub(self.first)
    }
}

/// The span of the first of the next `most` sub-buffers that has records.
fn first_of(feed: &mut RingFeed, most: u64, span: impl Fn(&[u8]) -> Option<Span>) -> io::Result<Option<Span>> {
    let mut page = Vec::new();
    for _ in 0..most {
        if !feed.advance(&mut page)? {
            break;
        }
        if let Some(found) = span(&page) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The span of the last sub-buffer that has records.
fn last_of(feed: &mut RingFeed, span: impl Fn(&[u8]) -> Option<Span>) -> io::Result<Option<Span>> {
    let mut page = Vec::new();
    if feed.seek_near_end()? {
        let mut last = None;
        while feed.advance(&mut page)? {
            last = span(&page).or(last);
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    let count = feed.sub_buffers()?.unwrap_or(0);
    for index in (0..count).rev().take(MAX_EMPTY as usize) {
        if feed.seek(index)?
            && feed.advance(&mut page)?
            && let Some(found) = span(&page)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The times of the first and the last record of a sub-buffer.
fn ends(header: &HeaderPage, endian: Endian, page: &[u8]) -> Option<Span> {
    match endian {
        Endian::Little => ends_in::<LittleEndian>(header, page),
        Endian::Big => ends_in::<BigEndian>(header, page),
    }
}

fn ends_in<E: ByteOrder>(header: &HeaderPage, page: &[u8]) -> Option<Span> {
    let (mut walk, _) = Walk::open::<E>(header, page).ok()?;
    let mut span: Option<Span> = None;
    while let Some(Ok(found)) = walk.next_in::<E>(page) {
        let first = span.map_or(found.time, |span| span.first);
        span = Some(Span { first, last: found.time });
    }
    span
}

/// Seeks each ring to the last sub-buffer that begins before `time`: all events from that time on are still to come,
/// and few others. A ring that cannot be searched stays at its beginning.
pub fn skip_to(capture: &mut Capture, time: u64) -> io::Result<()> {
    let clock = Clock { header: &capture.header, endian: capture.endian, times: &capture.times };
    for ring in &mut capture.rings {
        clock.skip_to(ring.cpu, &mut ring.feed, time, &mut Begins::new())?;
    }
    Ok(())
}

/// Reads the times of sub-buffers.
#[derive(Clone, Copy)]
pub(super) struct Clock<'c> {
    pub(super) header: &'c HeaderPage,
    pub(super) endian: Endian,
    pub(super) times: &'c Times,
}

impl Clock<'_> {
    /// The time of the first record of sub-buffer `index`, which is then the next one; `None` if it has none.
    pub(super) fn begin_of(&self, cpu: u32, feed: &mut RingFeed, index: u64) -> io::Result<Option<u64>> {
        let mut page = Vec::new();
        feed.seek(index)?;
        let begins = if feed.advance(&mut page)? { begin(self.header, self.endian, &page) } else { None };
        Ok(begins.map(|time| self.times.ns(cpu, time)))
    }

    /// Seeks to the last sub-buffer that begins before `time`, and returns its number; 0 if the ring cannot be
    /// searched. `known` are the times read before.
    pub(super) fn skip_to(&self, cpu: u32, feed: &mut RingFeed, time: u64, known: &mut Begins) -> io::Result<u64> {
        let Some(count) = feed.sub_buffers()? else { return Ok(0) };
        // Sub-buffers below `low` begin before `time`; those from `high` on do not, or are empty or damaged.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let begins = match known.get(&middle) {
                Some(begins) => *begins,
                None => self.begin_of(cpu, feed, middle)?,
            };
            known.insert(middle, begins);
            match begins {
                Some(begins) if begins < time => low = middle + 1,
                _ => high = middle,
            }
        }
        let index = low.saturating_sub(1);
        feed.seek(index)?;
        Ok(index)
    }
}

/// When some of a ring's sub-buffers begin, by number. Every binary search reads the same ones first.
pub(super) type Begins = HashMap<u64, Option<u64>>;

/// The time of the first record of a sub-buffer.
fn begin(header: &HeaderPage, endian: Endian, page: &[u8]) -> Option<u64> {
    match endian {
        Endian::Little => begin_in::<LittleEndian>(header, page),
        Endian::Big => begin_in::<BigEndian>(header, page),
    }
}

fn begin_in<E: ByteOrder>(header: &HeaderPage, page: &[u8]) -> Option<u64> {
    let (mut walk, _) = Walk::open::<E>(header, page).ok()?;
    Some(walk.next_in::<E>(page)?.ok()?.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CpuRing;
    use crate::format::LongSize;
    use crate::names::Names;
    use crate::ring::page::{Page, layout};

    #[test]
    fn times_are_exact_in_every_unit() {
        let ns = |text: &str| match text.parse() {
            Ok(Point::AfterStart(ns)) => ns,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(ns("0.1"), 100_000_000);
        assert_eq!(ns("12.345678901s"), 12_345_678_901);
        // Less than a nanosecond is zero.
        assert_eq!(ns("0.0000000019"), 1);
        assert_eq!(ns("1.5ms"), 1_500_000);
        assert_eq!(ns("2 m"), 120_000_000_000);
        assert_eq!(ns(".5us"), 500);
        assert_eq!(ns("3h"), 10_800_000_000_000);
        assert_eq!("-0s".parse(), Ok(Point::BeforeEnd(0)));
        for text in ["", "-", "s", ".", "1.2.3", "1x", "--1", "1e9", "99999999999999999999", "+1"] {
            assert!(text.parse::<Point>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_window_counts_from_the_first_event_and_back_from_the_last() {
        let span = Some(Span { first: 1000, last: 5000 });
        let window = |from: Option<&str>, until: Option<&str>| Window {
            from: from.map(|text| text.parse().unwrap()),
            until: until.map(|text| text.parse().unwrap()),
        };
        assert_eq!(window(None, None).within(span), (0, u64::MAX));
        assert!(window(None, None).is_all());
        assert!(!window(Some("0s"), None).is_all() && !window(None, Some("-0")).is_all());
        assert_eq!(window(Some("500ns"), Some("2us")).within(span), (1500, 3000));
        assert_eq!(window(Some("-1us"), Some("-0")).within(span), (4000, 5000));
        assert_eq!(window(Some("-1h"), None).within(span), (0, u64::MAX));
    }

    /// A ring of sub-buffers that can be searched, and the number of the next one.
    struct Ring(Vec<Vec<u8>>, u64);

    impl Feed for Ring {
        fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
            let next = self.0.get(self.1 as usize);
            self.1 += 1;
            Ok(next.map(|next| page.clone_from(next)).is_some())
        }

        fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
            Ok(Some(self.0.len() as u64))
        }

        fn seek(&mut self, index: u64) -> io::Result<bool> {
            self.1 = index;
            Ok(true)
        }
    }

    /// A capture of rings, of which each sub-buffer has events at these times.
    fn capture(rings: &[&[&[u64]]]) -> Capture {
        let page = |times: &&[u64]| {
            let mut last = times.first().map_or(0, |time| time - 1);
            let mut page = Page::<LittleEndian>::new(LongSize::Eight, last);
            for &time in *times {
                page = page.data((time - last) as u32, b"abcd");
                last = time;
            }
            page.build()
        };
        let ring = |(cpu, pages): (u32, &&[&[u64]])| CpuRing {
            cpu,
            feed: Box::new(Ring(pages.iter().map(page).collect(), 0)),
            stats: None,
        };
        Capture {
            header: layout(LongSize::Eight, 4096),
            endian: Endian::Little,
            events: vec![],
            broken: vec![],
            clock: "local".to_owned(),
            times: Times::default(),
            clock_pair: None,
            uname: None,
            origin: Default::default(),
            problems: vec![],
            rings: (0..).zip(rings).map(ring).collect(),
            names: Box::new(|| (Names::default(), vec![])),
        }
    }

    /// The times from where the rings are now, by CPU.
    fn rest(capture: &mut Capture) -> Vec<Vec<u64>> {
        let header = capture.header.clone();
        let mut page = Vec::new();
        let mut rings = vec![];
        for ring in &mut capture.rings {
            let mut times = vec![];
            while ring.feed.advance(&mut page).unwrap() {
                let (mut walk, _) = Walk::open::<LittleEndian>(&header, &page).unwrap();
                times.extend(std::iter::from_fn(|| Some(walk.next_in::<LittleEndian>(&page)?.unwrap().time)));
            }
            rings.push(times);
        }
        rings
    }

    #[test]
    fn a_span_is_from_the_first_event_of_any_cpu_to_the_last_of_any() {
        let span = |rings: &[&[&[u64]]]| Span::of(&mut capture(rings)).unwrap().map(|span| (span.first, span.last));
        assert_eq!(span(&[&[&[100, 105], &[200, 207]], &[&[51], &[150, 153]]]), Some((51, 207)));
        assert_eq!(span(&[&[&[51], &[150, 153]], &[&[100, 105], &[200, 207]]]), Some((51, 207)));
        // Sub-buffers without events at either end, and a ring with none.
        assert_eq!(span(&[&[&[], &[], &[70, 80], &[90], &[]], &[], &[&[], &[]]]), Some((70, 90)));
        assert_eq!(span(&[&[&[]], &[]]), None);
        assert_eq!(Span { first: 70, last: 90 }.length(), 20);
        let mut capture = capture(&[&[&[], &[7], &[9]]]);
        Span::of(&mut capture).unwrap();
        assert_eq!(rest(&mut capture), [[7, 9]], "it is at its beginning again");
    }

    #[test]
    fn all_events_from_a_time_on_are_still_to_come_and_few_others() {
        let many: Vec<Vec<u64>> = (1..=37).map(|page| (0..4).map(|event| page * 40 + event * 10).collect()).collect();
        let many: Vec<&[u64]> = many.iter().map(Vec::as_slice).collect();
        let rings: &[&[&[u64]]] = &[&many, &[&[50, 60], &[60, 60], &[60], &[70]], &[&[900]], &[]];
        for time in (1..1600).chain([u64::MAX]) {
            let mut capture = capture(rings);
            let all = rest(&mut capture);
            skip_to(&mut capture, time).unwrap();
            for ((pages, all), rest) in rings.iter().zip(all).zip(rest(&mut capture)) {
                assert!(all.ends_with(&rest));
                let skipped = &all[..all.len() - rest.len()];
                assert!(skipped.iter().all(|&before| before < time), "{time}: {skipped:?}");
                // The next sub-buffer is the last one that begins before the time.
                let begin_before = pages.iter().filter(|page| page[0] < time).count();
                let index = begin_before.saturating_sub(1);
                assert_eq!(rest.first(), pages.get(index).map(|page| &page[0]), "{time}");
            }
        }
    }
}
