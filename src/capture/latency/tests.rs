//! Pairs and their numbers, worked out by hand.

use super::*;
use crate::capture::made::{self, Ring, event, page};
use crate::capture::window::Point;
use crate::ring::Lost;

fn pair(text: &str) -> Pair {
    text.parse().unwrap()
}

fn formats() -> Vec<EventFormat> {
    let comm = "name: named\nID: 9\nformat:\n\
                \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
                \tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\
                \tfield:unsigned int number;\toffset:24;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n";
    vec![
        event(1, "irq", "enter", &["irq"]),
        event(2, "irq", "exit", &["irq", "ret"]),
        event(3, "sched", "sched_wakeup", &["pid", "target_cpu"]),
        event(4, "sched", "sched_switch", &["prev_pid", "next_pid"]),
        event(5, "block", "issue", &["dev", "sector", "pid"]),
        event(6, "block", "complete", &["sector", "dev", "pid"]),
        event(7, "work", "queue", &["work", "pid"]),
        event(8, "work", "start", &["work", "irq"]),
        EventFormat::parse("task", comm, crate::format::LongSize::Eight).unwrap(),
    ]
}

/// An event: when, on which CPU, of which task, its id, and its fields.
type Given<'a> = (u64, u32, i32, u16, &'a [i32]);

fn bytes((_, _, pid, id, fields): &Given<'_>) -> Vec<u8> {
    made::record(*id, *pid, &fields.iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<_>>())
}

/// A capture of two CPUs.
fn capture(events: &[Given<'_>]) -> Capture {
    let ring = |cpu: u32| {
        let of_cpu: Vec<_> =
            events.iter().filter(|event| event.1 == cpu).map(|event| (event.0, bytes(event))).collect();
        let records: Vec<_> = of_cpu.iter().map(|(time, bytes)| (*time, &bytes[..])).collect();
        Ring::new(vec![page(&records, None)])
    };
    made::capture(formats(), vec![(0, ring(0)), (1, ring(1))])
}

fn latency(events: &[Given<'_>], text: &str) -> Latency {
    Latency::of(capture(events), &pair(text), &Select::default()).unwrap()
}

/// The latencies as they end, one event after the other.
fn live(events: &[Given<'_>], text: &str, comm: &[u8]) -> Vec<u64> {
    let mut pairing = Pairing::of(&pair(text), &formats()).unwrap();
    let mut take = |event: &Given<'_>| {
        let bytes = bytes(event);
        let record = Record { cpu: event.1, time: event.0, ticks: event.0, lost: Lost::Nothing, bytes: &bytes };
        pairing.take::<LittleEndian>(&record, comm)
    };
    events.iter().filter_map(&mut take).collect()
}

/// Pairs, begins without an end, ends without a begin.
fn counts(latency: &Latency) -> (u64, u64, u64) {
    (latency.pairs, latency.unended, latency.unbegun)
}

#[test]
fn a_pair_is_two_events_with_the_fields_of_either() {
    for text in ["a..b", "x:a..x:b", "a:irq>3..b", "a..b@pid", "a..b@pid,next_pid", "a..b@x+y+z", "a..b@x+y,z+w"] {
        assert_eq!(pair(text).to_string(), text);
    }
    assert_eq!(pair("a..b@x,x").to_string(), "a..b@x");
    assert_eq!(pair("a..b@ x + y , z + w ").to_string(), "a..b@x+y,z+w");
    for text in [
        "",
        "a",
        "a..",
        "..b",
        "a.b",
        "a..b@",
        "a..b@x,",
        "a..b@,x",
        "a..b@x+y,z",
        "a..b@x,y+z",
        "a..b@+",
        "a..b@w+x+y+z",
    ] {
        match text.parse::<Pair>() {
            Err(PairError::Syntax(said)) => assert_eq!(said, text),
            other => panic!("{text}: {other:?}"),
        }
    }
    let long = "x".repeat(500).parse::<Pair>().unwrap_err().to_string();
    assert!(long.contains(&format!("\"{}\"", "x".repeat(128))), "{long}");
}

#[test]
fn who_gave_the_pair_is_at_fault_unless_the_capture_cannot_be_read() {
    let error = |text: &str| Latency::of(capture(&[]), &pair(text), &Select::default()).unwrap_err();
    for text in ["enter..nosuch", "enter..exit@nosuch", "enter:nosuch==1..exit", "enter:irq=1..exit"] {
        assert!(error(text).is_usage(), "{text}");
    }
    let io = SelectError::from(std::io::Error::other("broken"));
    assert!(!PairError::from(io).is_usage());
    assert!(PairError::Untraced(String::new()).is_usage() && PairError::Syntax(String::new()).is_usage());
    assert_eq!(error("enter..exit@ret").to_string(), "irq:enter has no field \"ret\" to pair it by; it has irq");
    let untraced = |text: &str| Pairing::of(&pair(text), &formats()).err().map(|error| error.to_string());
    assert_eq!(untraced("enter..nosuch").as_deref(), Some("nosuch is not traced: select it with -e as well"));
    assert!(untraced("no*..exit").is_some_and(|error| error.starts_with("no* is not traced")));
    assert_eq!(untraced("enter..exit"), None);
    assert!(untraced("enter:nosuch==1..exit").is_some_and(|error| error.contains("nosuch")));
}

#[test]
fn events_are_paired_by_the_first_fields_that_both_have() {
    let key = |text: &str| {
        let (begin, end) = latency(&[], text).key;
        (begin.join("+"), end.join("+"))
    };
    let both = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(key("enter..exit"), both("irq"));
    assert_eq!(key("issue..complete"), both("dev+sector"));
    assert_eq!(key("queue..start"), both("work"));
    assert_eq!(key("issue..queue"), both("pid"));
    assert_eq!(key("enter..queue"), both("common_pid"));
    assert_eq!(key("work:*..start"), both("work"));
    // Who is woken begins to run with a switch to it; an event without a pid wakes nobody.
    assert_eq!(key("sched_wakeup..sched_switch"), ("pid".to_owned(), "next_pid".to_owned()));
    assert_eq!(key("sched_switch..sched_wakeup"), both("common_pid"));
    assert_eq!(key("enter..sched_switch"), both("common_pid"));
    assert_eq!(key("sched_wakeup..sched"), both("common_pid"));
    assert_eq!(key("enter..exit@common_pid,ret"), ("common_pid".to_owned(), "ret".to_owned()));
}

#[test]
fn an_interrupt_is_of_its_cpu_and_its_number() {
    let events: &[Given<'_>] = &[
        (100, 0, 1, 1, &[5]),
        (110, 1, 1, 1, &[5]),
        (120, 0, 1, 1, &[-6]),
        (130, 0, 1, 2, &[-6, 0]),
        (150, 1, 1, 2, &[5, 0]),
        (190, 0, 1, 2, &[5, 0]),
        // An end without a begin, a begin that begins again, one that does not end.
        (200, 0, 1, 2, &[5, 0]),
        (210, 1, 1, 1, &[5]),
        (220, 1, 1, 1, &[5]),
        (225, 1, 1, 2, &[5, 0]),
        (230, 0, 1, 1, &[5]),
    ];
    let found = latency(events, "enter..exit");
    assert_eq!(counts(&found), (4, 2, 1));
    assert_eq!((found.min, found.p50, found.max, found.max_at), (5, 10, 90, 100));
    assert_eq!(live(events, "enter..exit", b""), [10, 40, 90, 5]);
    // By its task it is of any CPU.
    assert_eq!(live(events, "enter..exit@common_pid", b""), [10, 5]);
    // A work item may start on another CPU.
    let work: &[Given<'_>] = &[(100, 0, 1, 7, &[3, 0]), (130, 1, 2, 8, &[3, 0])];
    assert_eq!((live(work, "queue..start", b""), latency(work, "queue..start").max), (vec![30], 30));
    let disk: &[Given<'_>] = &[
        (100, 0, 1, 5, &[8, 64, 1]),
        (110, 0, 1, 5, &[8, 72, 1]),
        (140, 1, 1, 6, &[64, 8, 1]),
        (145, 1, 1, 6, &[8, 72, 1]),
    ];
    assert_eq!((live(disk, "issue..complete", b""), counts(&latency(disk, "issue..complete"))), (vec![40], (1, 1, 1)));
}

#[test]
fn one_event_may_end_what_the_one_before_began() {
    let ticks: &[Given<'_>] = &[(100, 0, 1, 1, &[5]), (130, 0, 1, 1, &[5]), (190, 0, 1, 1, &[5])];
    let found = latency(ticks, "enter..enter");
    assert_eq!((counts(&found), found.min, found.max, found.max_at), ((2, 1, 1), 30, 60, 130));
    assert_eq!(live(ticks, "enter..enter", b""), [30, 60]);
}

#[test]
fn conditions_see_the_record_its_cpu_and_its_task() {
    let events: &[Given<'_>] =
        &[(100, 0, 7, 3, &[20, 1]), (110, 1, 7, 3, &[21, 6]), (150, 0, 7, 4, &[7, 20]), (180, 1, 7, 4, &[7, 21])];
    assert_eq!(live(events, "sched_wakeup..sched_switch", b"x"), [50, 70]);
    for (begin, expected) in [
        ("pid==21", &[70][..]),
        ("CPU==0", &[50]),
        ("CPU==1", &[70]),
        ("COMM==\"x\"", &[50, 70]),
        ("COMM==\"y\"", &[]),
        // Of the kernel's CPUs nothing is known: any number may be one.
        ("target_cpu & CPUS{6,9}", &[70]),
        ("target_cpu & CPUS{0-6}", &[50, 70]),
    ] {
        assert_eq!(live(events, &format!("sched_wakeup:{begin}..sched_switch"), b"x"), expected, "{begin}");
    }
    assert_eq!(live(events, "sched_wakeup..sched_switch:next_pid==20", b""), [50]);
    let found = latency(events, "sched_wakeup:pid==21..sched_switch:CPU==1");
    assert_eq!((counts(&found), found.max), ((1, 0, 0), 70));
}

#[test]
fn a_field_that_is_no_number_pairs_nothing_and_a_record_without_its_field_neither() {
    let text: &[Given<'_>] = &[(100, 0, 1, 9, &[0, 0, 0, 0, -1]), (150, 0, 1, 9, &[0, 0, 0, 0, -1])];
    assert_eq!(counts(&latency(text, "named..named@comm")), (0, 0, 0));
    assert_eq!(counts(&latency(text, "named..named@number")), (1, 1, 1));
    assert_eq!(live(text, "named..named@number", b""), [50]);
    assert!(live(&[(100, 0, 1, 1, &[]), (150, 0, 1, 2, &[])], "enter..exit", b"").is_empty());
}

#[test]
fn only_what_is_selected_begins_or_ends() {
    let events: &[Given<'_>] =
        &[(100, 0, 1, 1, &[5]), (110, 0, 1, 2, &[5, 0]), (200, 1, 1, 1, &[5]), (230, 1, 1, 2, &[5, 0])];
    let mut select = Select { cpus: Some("1".parse().unwrap()), ..Select::default() };
    let of = |select: &Select| Latency::of(capture(events), &pair("enter..exit"), select).unwrap();
    assert_eq!((counts(&of(&select)), of(&select).max), ((1, 0, 0), 30));
    select.cpus = None;
    select.window.from = Some(Point::AfterStart(5));
    select.window.until = Some(Point::AfterStart(129));
    assert_eq!(counts(&of(&select)), (0, 1, 1));
}

fn of_lengths(lengths: impl IntoIterator<Item = u64>) -> Latency {
    let mut all = Lengths::new();
    for (at, length) in (1000..).zip(lengths) {
        all.pair(at, u64::saturating_add(at, length));
    }
    all.finish(&pair("a..b"), (vec!["x".to_owned()], vec!["x".to_owned()]))
}

#[test]
fn quantiles_are_those_of_a_sorted_list_and_buckets_powers_of_two() {
    let found = of_lengths((1..=100).rev().map(|tens| tens * 10));
    assert_eq!((found.pairs, found.min, found.max, found.max_at), (100, 10, 1000, 1000));
    assert_eq!((found.p50, found.p90, found.p99), (500, 900, 990));
    let buckets = |lengths: &[u64]| {
        let histogram = of_lengths(lengths.iter().copied()).histogram;
        histogram.iter().map(|bucket| (bucket.from, bucket.below, bucket.count)).collect::<Vec<_>>()
    };
    let small = [(0, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 1), (1024, 2048, 1)];
    assert_eq!(buckets(&[0, 1, 1, 2, 3, 4, 1024]), small);
    assert_eq!(buckets(&[1 << 62, 1 << 63]), [(1 << 62, 1 << 63, 1), (1 << 63, u64::MAX, 1)]);
    let none = of_lengths([]);
    assert_eq!((none.pairs, none.min, none.p50, none.max, none.max_at, none.histogram.len()), (0, 0, 0, 0, 0, 0));
    // Where nothing took any time, the longest has a begin as well.
    let zero = of_lengths([0]);
    assert_eq!((zero.pairs, zero.min, zero.max, zero.max_at), (1, 0, 0, 1000));
    // A time that goes back takes no time.
    let mut back = Lengths::new();
    back.pair(50, 20);
    assert_eq!(back.max, 0);
}

#[test]
fn the_text_has_a_bar_for_each_bucket() {
    let mut found = of_lengths([900, 800, 700, 600, 1500, 2_500_000, 3_000_000_000, 3_000_000_000]);
    (found.unended, found.unbegun, found.max_at) = (3, 4, 7_000_000_012);
    // The fourth of eight, and the eighth.
    assert_eq!((found.p50, found.p90), (900, 3_000_000_000));
    // 512 to 1024 ns have four, of forty characters; the others' are rounded up.
    let expected = format!(
        "a..b, paired by x: 8 pairs, 3 not ended, 4 not begun\n\
         min 600 ns  p50 900 ns  p90 3.000 s  p99 3.000 s  max 3.000 s (begun at 7.000000012)\n   \
         512 ns – 1.024 µs          4 {}\n \
         1.024 µs – 2.048 µs          1 {}\n \
         2.097 ms – 4.194 ms          1 {}\n  \
         2.147 s – 4.295 s           2 {}\n",
        "#".repeat(40),
        "#".repeat(10),
        "#".repeat(10),
        "#".repeat(20)
    );
    assert_eq!(found.text(), expected);
    let mut uneven = of_lengths([1, 1, 1, 4]);
    assert!(uneven.text().ends_with(&format!(" 1 {}\n", "#".repeat(14))), "{}", uneven.text());
    uneven.key.1 = vec!["y".to_owned(), "z".to_owned()];
    assert!(uneven.text().starts_with("a..b, paired by x and y+z: 4 pairs, "));
    assert_eq!(of_lengths([]).text(), "a..b, paired by x: 0 pairs, 0 not ended, 0 not begun\n");
    let times = [0, 999, 1000, 999_999, 1_000_000, 999_999_999, 1_000_000_000].map(time);
    let expected = ["0 ns", "999 ns", "1.000 µs", "999.999 µs", "1.000 ms", "1000.000 ms", "1.000 s"];
    assert_eq!(times, expected);
}

#[test]
fn a_million_begins_may_be_open() {
    let mut open = Open::default();
    let key = |number| ([number, 0, 0], 0);
    (0..1 << 20).for_each(|number| open.begin(key(number), number));
    assert_eq!((open.began.len(), open.unended), (1 << 20, 0));
    // One more is not noted; one of them begins again.
    open.begin(key(1 << 20), 5);
    open.begin(key(7), 77);
    assert_eq!((open.began.len(), open.unended), (1 << 20, 1));
    assert_eq!((open.end(&key(1 << 20)), open.end(&key(7)), open.end(&key(7))), (None, Some(77), None));
    assert_eq!((open.unbegun, open.began.len()), (2, (1 << 20) - 1));
    open.begin(key(1 << 20), 5);
    assert_eq!(open.end(&key(1 << 20)), Some(5));
}
