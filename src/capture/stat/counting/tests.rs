//! Counts worked out by hand, and parts that together have the counts of the whole.

use byteorder::LittleEndian;

use super::*;
use crate::capture::made::{self, Ring, event, page, record};
use crate::capture::parts::{self, Jobs};
use crate::capture::select::Select;
use crate::tracefs::ClockPair;

fn formats() -> Vec<crate::format::EventFormat> {
    vec![event(1, "a", "one", &[]), event(2, "b", "two", &[]), event(3, "a", "three", &[])]
}

fn of(id: u16) -> Vec<u8> {
    record(id, 5, &[])
}

/// Two CPUs: three events of kind 1, one of kind 2, of 3, and of a kind without a format.
fn capture() -> Capture {
    let [one, two, three, unknown] = [1, 2, 3, 4].map(of);
    let first = vec![page(&[(100, &one), (110, &two)], None), page(&[(160, &one)], Some(Some(5)))];
    let second = vec![page(&[(105, &three)], None), page(&[(210, &one), (220, &unknown)], Some(None))];
    made::capture(formats(), vec![(0, Ring::new(first)), (3, Ring::new(second))])
}

fn stat(capture: Capture, intervals: usize, jobs: usize) -> Stat {
    Stat::of(capture, &Select::default(), intervals, Jobs::Number(jobs), &mut |_| {}).unwrap()
}

#[test]
fn a_small_capture_has_the_counts_worked_out_by_hand() {
    for jobs in [1, 2, 3] {
        let mut capture = capture();
        capture.clock_pair = Some(ClockPair { trace_ns: 90, realtime_ns: 1000, uncertainty_ns: 1 });
        capture.uname = Some("Linux h 6.18".to_owned());
        capture.problems = vec!["noted before".to_owned()];
        capture.rings[1].stats = Some("overrun: 12\ncommit overrun: 3\ndropped events: 4\n".to_owned());
        let stat = stat(capture, 10, jobs);
        assert_eq!((stat.kernel.as_deref(), stat.clock.as_str()), (Some("Linux h 6.18"), "mono"));
        assert_eq!((stat.machine.as_str(), stat.nanoseconds), ("little-endian, 64 bits", true));
        assert_eq!((stat.recorded_unix_ns, stat.span), (Some(1010), Some(Span { first: 100, last: 220 })));
        assert_eq!((stat.events, stat.unknown, stat.seconds), (6, 1, 120e-9));
        // Nothing for 50 ns twice: the first one is the longest.
        assert_eq!(stat.longest_silence, Some(Silence { from: 110, length: 50 }));
        let by_event: Vec<_> = stat.by_event.iter().map(|e| (&*e.system, &*e.name, e.count, e.first, e.last)).collect();
        assert_eq!(by_event, [("a", "one", 3, 100, 210), ("a", "three", 1, 105, 105), ("b", "two", 1, 110, 110)]);
        assert!((stat.by_event[0].rate - 25e6).abs() < 1.0 && (stat.by_event[2].rate - 1e9 / 120.0).abs() < 1.0);
        let cpus: Vec<_> =
            stat.cpus.iter().map(|c| (c.cpu, c.events, c.sub_buffers, c.lost, c.gaps, c.malformed)).collect();
        assert_eq!(cpus, [(0, 3, 2, 5, 0, 0), (3, 3, 2, 0, 1, 0)]);
        assert_eq!([stat.cpus[0].kernel_lost, stat.cpus[1].kernel_lost], [None, Some(19)]);
        assert_eq!(stat.lost(), 5 + 19);
        let losses = [Loss { cpu: 0, time: 160, count: Some(5) }, Loss { cpu: 3, time: 210, count: None }];
        assert_eq!(stat.losses, losses);
        // Ten intervals of 13 ns: the whole of 120 ns, and at least one more.
        assert_eq!((stat.activity.start, stat.activity.interval), (100, 13));
        let activity: Vec<_> =
            stat.activity.systems.iter().map(|system| (&*system.system, &system.counts[..])).collect();
        assert_eq!(activity, [("a", &[2, 0, 0, 0, 1, 0, 0, 0, 1, 0][..]), ("b", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
        assert_eq!(stat.problems, ["noted before"]);
    }
}

#[test]
fn what_could_not_be_read_is_a_problem_of_its_cpu() {
    let mut torn = page(&[(100, &of(1))], None);
    // It says to have more than a sub-buffer.
    torn[9] = 0x7f;
    let mut ring = Ring::new(vec![torn, page(&[(120, &of(1))], None)]);
    ring.skipped = Some((2, "a hole".to_owned()));
    let stat = stat(made::capture(formats(), vec![(0, Ring::new(vec![])), (2, ring)]), 1, 1);
    assert_eq!(
        stat.cpus.iter().map(|cpu| (cpu.cpu, cpu.events, cpu.malformed)).collect::<Vec<_>>(),
        [(0, 0, 0), (2, 1, 1)]
    );
    assert_eq!(stat.problems.len(), 2, "{:?}", stat.problems);
    assert!(
        stat.problems[0].starts_with("CPU 2: ") && stat.problems[1] == "2 damaged pieces skipped; the first: a hole"
    );
    let counting = Counting::new(&capture(), None, 1);
    let mut failed = counting.clone();
    let read = Read { cpu: 4, error: Some("it broke".to_owned()), ..Read::default() };
    failed.read(&[read], vec![Some(1)]);
    assert_eq!((failed.problems.as_slice(), failed.cpus.len()), (&["CPU 4: it broke".to_owned()][..], 1));
}

#[test]
fn without_events_or_time_there_is_no_rate() {
    let empty = stat(made::capture(formats(), vec![(0, Ring::new(vec![]))]), 10, 1);
    assert_eq!((empty.events, empty.span, empty.seconds, empty.longest_silence), (0, None, 0.0, None));
    assert_eq!((empty.activity.start, empty.activity.interval, empty.activity.systems.len()), (0, 1, 0));
    assert!(empty.by_event.is_empty(), "{:?}", empty.by_event);
    let moment = Ring::new(vec![page(&[(7, &of(1)), (7, &of(1))], None)]);
    let moment = stat(made::capture(formats(), vec![(0, moment)]), 0, 1);
    assert_eq!((moment.events, moment.by_event[0].rate, moment.activity.interval), (2, 0.0, 1));
    assert_eq!(moment.activity.systems[0].counts, [2]);
    // Ticks of unknown length.
    let mut ticks = self::capture();
    ticks.clock = "counter".to_owned();
    let ticks = stat(ticks, 1_000_000_000, 1);
    assert_eq!((ticks.nanoseconds, ticks.seconds, ticks.by_event[0].rate), (false, 0.0, 0.0));
    assert_eq!((ticks.activity.systems[0].counts.len(), ticks.activity.interval), (100_000, 1));
}

#[test]
fn a_big_endian_machine_of_32_bits_is_named() {
    let mut capture = made::capture(formats(), vec![]);
    capture.endian = crate::format::Endian::Big;
    capture.header = crate::ring::page::layout(crate::format::LongSize::Four, 4096);
    assert_eq!(stat(capture, 1, 1).machine, "big-endian, 32 bits");
}

/// A record at this time; `lost` before it.
fn at<'a>(time: u64, bytes: &'a [u8], lost: Lost) -> Record<'a> {
    Record { cpu: (time % 3) as u32, time, ticks: time, lost, bytes }
}

fn counted(empty: &Counting, records: &[Record<'_>]) -> Counting {
    let mut counting = empty.clone();
    records.iter().for_each(|record| counting.record::<LittleEndian>(record));
    counting
}

#[test]
fn parts_have_together_the_counts_of_the_whole() {
    let [one, two, three, unknown] = [1, 2, 3, 4].map(of);
    let short = [1u8];
    let records = [
        at(200, &one, Lost::Nothing),
        at(250, &two, Lost::Count(3)),
        // A time that goes back, also to before the first one.
        at(240, &one, Lost::Nothing),
        at(90, &three, Lost::Unknown),
        at(290, &unknown, Lost::Nothing),
        at(330, &one, Lost::Nothing),
        at(380, &short, Lost::Count(1)),
        at(900, &two, Lost::Nothing),
        at(350, &two, Lost::Nothing),
        at(1450, &one, Lost::Nothing),
    ];
    let empty = Counting::new(&capture(), Some(Span { first: 100, last: 899 }), 4);
    let text = |counting: &Counting| format!("{counting:?}");
    let whole = counted(&empty, &records);
    assert_eq!((whole.count, whole.unknown, whole.losses.len()), (10, 2, 3));
    assert_eq!(whole.span, Some(Span { first: 200, last: 1450 }));
    assert_eq!(whole.silence, Some(Silence { from: 900, length: 550 }));
    // Four intervals of 200: what is before the first or after the last belongs to that.
    assert_eq!(whole.systems.iter().map(|system| &system.counts[..]).collect::<Vec<_>>(), [[3, 1, 0, 1], [1, 1, 0, 1]]);
    // As a cut of a capture: behind it nothing comes first that is before what was before it.
    let highest = |cut: usize| records[..cut].iter().map(|record| record.time).max().unwrap_or(0);
    let cuts: Vec<_> =
        (0..=records.len()).filter(|&cut| records.get(cut).is_none_or(|next| next.time >= highest(cut))).collect();
    assert_eq!(cuts, [0, 1, 4, 5, 6, 7, 9, 10]);
    for &first in &cuts {
        for &second in cuts.iter().filter(|&&second| second >= first) {
            let parts = [&records[..first], &records[first..second], &records[second..]];
            let parts = parts.map(|records| counted(&empty, records));
            let joined = parts.into_iter().reduce(Counting::then).unwrap();
            assert_eq!(text(&joined), text(&whole), "{first} {second}");
        }
    }
}

#[test]
fn the_first_thousand_losses_are_listed() {
    let one = of(1);
    let empty = Counting::new(&capture(), None, 1);
    let records: Vec<_> = (0..1005).map(|time| at(time, &one, Lost::Count(time))).collect();
    let whole = counted(&empty, &records);
    assert!(whole.losses.iter().map(|loss| loss.time).eq(0..1000));
    for cut in [0, 600, 999, 1000, 1001] {
        let joined = counted(&empty, &records[..cut]).then(counted(&empty, &records[cut..]));
        assert_eq!(joined.losses, whole.losses, "{cut}");
    }
}

#[test]
fn work_stops_behind_the_window_and_tells_the_time_now_and_then() {
    let one = of(1);
    // Pages of a hundred events, a ns apart.
    let pages = (0..700u64).map(|page| {
        let records: Vec<_> = (0..100).map(|at| (1 + page * 100 + at, &one[..])).collect();
        made::page(&records, None)
    });
    let ring = Ring::new(pages.collect());
    let capture = || made::capture(formats(), vec![(0, ring.clone())]);
    let mut told = vec![];
    let stat = Stat::of(capture(), &Select::default(), 1, Jobs::Number(1), &mut |time| told.push(time)).unwrap();
    // The 65536th event is that of 65536 ns.
    assert_eq!((stat.events, told), (70_000, vec![65_536]));
    let mut select = Select::default();
    select.window.from = Some("10ns".parse().unwrap());
    select.window.until = Some("30us".parse().unwrap());
    let stat = Stat::of(capture(), &select, 1, Jobs::Number(1), &mut |_| {}).unwrap();
    assert_eq!((stat.events, stat.span), (29_991, Some(Span { first: 11, last: 30_001 })));
    // What is behind the window is not read: the next event, and no more.
    assert_eq!(stat.cpus[0].sub_buffers, 301);
    select.window.until = None;
    select.events = Some(crate::tracefs::Selection::parse(&["two"]).unwrap());
    assert_eq!(Stat::of(capture(), &select, 1, Jobs::Number(1), &mut |_| {}).unwrap().events, 0);
    // A part has four MiB where that is more than a share of each thread.
    let mut capture = capture();
    let selector = Select::default().bind(&mut capture).unwrap();
    let empty = Counting::new(&capture, None, 1);
    let count = Count { empty: &empty, selector: &selector };
    let total = parts::work(&mut capture, Some(&selector), Jobs::Number(2), &count, &mut |_| ControlFlow::Continue(()));
    assert_eq!(total.unwrap().parts.len(), 8);
}
