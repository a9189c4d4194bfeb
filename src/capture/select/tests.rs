use std::ops::ControlFlow;

use byteorder::LittleEndian;

use super::*;
use crate::capture::{
    made::{self, Ring, event, page, record, switch, switch_to},
    window::Point,
};
use crate::names::{SavedCmdlines, Tgids};

/// Events on CPUs 1 and 3, one a µs from 1 µs on: task 10 gives way to 20, which wakes 30; interrupts 7 and 3, in the
/// idle task and in 21, a thread of process 20; an event without a format. Every event is in a sub-buffer of its own.
fn rings() -> [(u32, Ring); 2] {
    let one = |time: u64, record: Vec<u8>| page(&[(time, &record)], None);
    let first = vec![
        one(1000, switch_to(9, 10, ("worker", 20))),
        one(2000, record(2, 20, &30i32.to_le_bytes())),
        one(5000, record(7, 10, &[])),
    ];
    let third = vec![one(3000, record(5, 0, &7i32.to_le_bytes())), one(4000, record(5, 21, &3i32.to_le_bytes()))];
    [(1, Ring::new(first)), (3, Ring::new(third))]
}

fn of_rings(rings: [(u32, Ring); 2]) -> Capture {
    let events = vec![
        switch(9, "sched", "sched_switch"),
        event(2, "sched", "sched_wakeup", &["pid"]),
        event(5, "irq", "irq_handler_entry", &["irq"]),
    ];
    let mut capture = made::capture(events, rings.into());
    capture.names = Box::new(|| {
        let comms = SavedCmdlines::parse(b"20 worker\n21 helper\n");
        (Names { comms, tgids: Tgids::parse(b"20 20\n21 20\n10 10\n"), ..Names::default() }, vec![])
    });
    capture
}

fn capture() -> Capture {
    of_rings(rings())
}

/// The times of the selected events.
fn taken(select: &Select) -> Vec<u64> {
    let mut capture = capture();
    let selector = select.bind(&mut capture).unwrap();
    let mut times = Vec::new();
    let _ = capture.merge().for_each::<LittleEndian, ()>(|record| {
        times.extend(selector.takes::<LittleEndian>(&record).then_some(record.time));
        ControlFlow::Continue(())
    });
    times
}

fn error(select: &Select) -> SelectError {
    select.bind(&mut capture()).err().unwrap()
}

fn events(expressions: &[&str]) -> Select {
    Select { events: Some(Selection::parse(expressions).unwrap()), ..Select::default() }
}

fn pids(pids: &[i32]) -> Select {
    Select { pids: pids.to_vec(), ..Select::default() }
}

fn cpus(cpus: &str) -> Select {
    Select { cpus: Some(cpus.parse().unwrap()), ..Select::default() }
}

fn filter(filter: &str) -> Select {
    Select { filters: vec![filter.parse().unwrap()], ..Select::default() }
}

fn window(from: Option<Point>, until: Option<Point>) -> Select {
    Select { window: Window { from, until }, ..Select::default() }
}

#[test]
fn everything_is_selected_unless_something_restricts_it() {
    assert!(Select::default().is_all());
    assert_eq!(taken(&Select::default()), [1000, 2000, 3000, 4000, 5000]);
    let until = window(None, Some(Point::AfterStart(0)));
    for select in [events(&["irq"]), pids(&[1]), cpus("0"), filter("irq=irq==7"), until] {
        assert!(!select.is_all(), "{select:?}");
    }
}

#[test]
fn events_are_those_of_the_expressions() {
    // One without a format matches none.
    assert_eq!(taken(&events(&["sched"])), [1000, 2000]);
    assert_eq!(taken(&events(&["sched_wakeup", "irq:*"])), [2000, 3000, 4000]);
    let selector = events(&["sched", "nonesuch"]).bind(&mut capture()).unwrap();
    assert!(matches!(selector.warnings(), [one] if one.contains("nonesuch")), "{:?}", selector.warnings());
    assert!(events(&["sched"]).bind(&mut capture()).unwrap().warnings().is_empty());
    let shown = format!("{selector:?}");
    assert_eq!(shown, format!("Selector {{ events: 2, first: 0, last: {} }}", u64::MAX));
}

#[test]
fn tasks_are_those_that_an_event_is_of_or_concerns_with_the_threads_of_a_process() {
    assert_eq!(taken(&pids(&[10])), [1000]);
    assert_eq!(taken(&pids(&[30])), [2000]);
    assert_eq!(taken(&pids(&[20])), [1000, 2000, 4000]);
    assert_eq!(taken(&pids(&[21])), [4000]);
    assert_eq!(taken(&pids(&[30, 0, 10])), [1000, 2000, 3000]);
    assert_eq!(taken(&Select { pids: vec![20], ..events(&["irq"]) }), [4000]);
    assert!(taken(&pids(&[99])).is_empty());
}

#[test]
fn cpus_are_those_of_the_list() {
    assert_eq!(taken(&cpus("3")), [3000, 4000]);
    assert_eq!(taken(&cpus("0-1")), [1000, 2000, 5000]);
    assert!(matches!(error(&cpus("0,2,4")), SelectError::NoCpu(there) if there == "1,3"));
}

#[test]
fn a_filter_is_for_its_events_alone() {
    assert_eq!(taken(&filter("irq_handler_entry=irq==7")), [1000, 2000, 3000, 5000]);
    assert_eq!(taken(&filter("irq_handler_entry=CPU==3")), [1000, 2000, 3000, 4000, 5000]);
    assert_eq!(taken(&filter("irq_handler_entry=CPU!=3")), [1000, 2000, 5000]);
    assert_eq!(taken(&filter("sched_switch=CPU!=1")), [2000, 3000, 4000, 5000]);
    assert_eq!(taken(&filter("irq_handler_entry=COMM==\"helper\"")), [1000, 2000, 4000, 5000]);
    // The traced machine has the CPUs to the last that has a ring: 0 to 3.
    assert_eq!(taken(&filter("irq_handler_entry=irq & CPUS{2-3}")), [1000, 2000, 4000, 5000]);
    let both = Select { filters: vec!["irq=irq>3".parse().unwrap(), "irq=irq<7".parse().unwrap()], ..events(&["irq"]) };
    assert!(taken(&both).is_empty());
    assert!(matches!(error(&filter("nonesuch=irq==1")), SelectError::NoEvent(text) if text == "nonesuch=irq==1"));
    assert!(matches!(error(&filter("irq=line==1")), SelectError::Filter(_)));
}

#[test]
fn a_window_has_both_its_ends() {
    let select = window(Some(Point::AfterStart(1000)), Some(Point::BeforeEnd(2000)));
    assert_eq!(taken(&select), [2000, 3000]);
    let selector = select.bind(&mut capture()).unwrap();
    assert_eq!(selector.window(), (2000, 3000));
    assert_eq!((selector.is_past(2999), selector.is_past(3000), selector.is_past(3001)), (false, false, true));
    // The first event alone, the last, and one between.
    let at = |ns| Some(Point::AfterStart(ns));
    for (from, until, want) in [(None, at(0), 1000), (at(4000), None, 5000), (at(2000), at(2000), 3000)] {
        assert_eq!(taken(&window(from, until)), [want]);
    }
}

#[test]
fn a_window_without_events_is_refused_with_its_reason() {
    let at = |ns| Some(Point::AfterStart(ns));
    for (from, until, want) in [
        (at(3000), at(2999), "--from is after --until"),
        (at(4001), None, "--from is after the last event"),
        (None, Some(Point::BeforeEnd(4001)), "--until is before the first event"),
    ] {
        match error(&window(from, until)) {
            SelectError::NoTime { why, length } => assert_eq!((why, length), (want, 4000)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn rings_are_positioned_only_for_a_window_that_begins_later() {
    let mut capture = capture();
    let _ = window(Some(Point::AfterStart(4000)), None).bind(&mut capture).unwrap();
    let mut read = 0;
    let _ = capture.merge().for_each::<LittleEndian, ()>(|_| {
        read += 1;
        ControlFlow::Continue(())
    });
    // The last sub-buffer of each ring that begins before the window.
    assert_eq!(read, 3);
    // A sub-buffer in the middle that cannot be read is not looked at before its turn.
    let mut rings = rings();
    rings[0].1.fails = Some((1, "damaged"));
    assert!(Select::default().bind(&mut of_rings(rings)).is_ok());
}

#[test]
fn only_what_the_user_gave_is_the_fault_of_the_command_line() {
    let faults = [
        error(&events(&["nonesuch"])),
        error(&filter("nonesuch=irq==1")),
        error(&filter("irq=line==1")),
        error(&cpus("0")),
        error(&window(Some(Point::AfterStart(4001)), None)),
    ];
    for fault in &faults {
        assert!(fault.is_usage(), "{fault}");
    }
    assert!(matches!(faults[0], SelectError::Events(_)));
    assert!(!SelectError::Events(TracefsError::NoTracefs).is_usage());
    assert!(!SelectError::Io(std::io::Error::other("damaged")).is_usage());
}
