use super::*;
use crate::capture::made::{self, Ring, event, event_of, page, record, switch, switch_to};
use crate::names::{SavedCmdlines, Tgids};

/// Events of interrupts, task switches, and two that only look like those.
fn capture(rings: Vec<(u32, Ring)>) -> Capture {
    let array = "\tfield:int numbers[2];\toffset:8;\tsize:8;\tsigned:1;\n";
    let events = vec![
        switch(1, "sched", "sched_switch"),
        event(5, "irq", "entry", &["irq"]),
        switch(6, "mine", "sched_switch"),
        switch(7, "sched", "mine"),
        event_of(8, "mine", "array", array),
    ];
    let mut capture = made::capture(events, rings);
    capture.names = Box::new(|| {
        let comms = SavedCmdlines::parse(b"20 worker\n");
        (Names { comms, tgids: Tgids::parse(b"20 18\n"), ..Names::default() }, vec![])
    });
    capture
}

fn written(capture: Capture, jobs: usize) -> (Written, String) {
    let mut out = Vec::new();
    let written = write(capture, Jobs::Number(jobs), &mut out).unwrap();
    (written, String::from_utf8(out).unwrap())
}

fn events_of(text: &str) -> Vec<Json> {
    let Json::Array(events) = serde_json::from_str::<Json>(text).unwrap()["traceEvents"].take() else {
        panic!("{text}")
    };
    events
}

#[test]
fn events_are_instants_and_tasks_slices_on_tracks_with_names() {
    let irq = |pid, irq: i32| record(5, pid, &irq.to_le_bytes());
    let records = [
        // The first has no format.
        (500, record(99, 10, &[])),
        (1000, switch_to(1, 10, ("worker", 20))),
        (2000, irq(20, 7)),
        (2500, switch_to(6, 20, ("x", 30))),
        (2600, switch_to(7, 20, ("x", 30))),
        (4000, switch_to(1, 20, ("swapper/2", 0))),
        (4500, record(8, 0, &[1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff])),
        (6000, switch_to(1, 0, ("worker", 20))),
        (7500, irq(20, 8)),
    ];
    let records: Vec<_> = records.iter().map(|(time, record)| (*time, record.as_slice())).collect();
    let (counts, text) = written(capture(vec![(2, Ring::new(vec![page(&records, None)]))]), 1);
    assert_eq!((counts.events, counts.malformed), (8, 1));
    let instant = |name: &str, cat: &str, us: f64, (pid, tid): (i32, i32), args: Json| json!({"name": name, "cat": cat, "ph": "i", "s": "t", "pid": pid, "tid": tid, "ts": us, "args": args});
    let slice = |us: f64, length: f64| {
        json!({"name": "worker", "cat": "sched", "ph": "X", "pid": 4_194_304, "tid": 2, "ts": us, "dur": length,
               "args": {"pid": 20}})
    };
    let name = |kind: &str, pid: i32, tid: i32, name: &str| json!({"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}});
    let next = |comm: &str, pid: i32| json!({"next_comm": comm, "next_pid": pid, "cpu": 2});
    // Task 20 is a thread of process 18; the idle task of CPU 2 is thread 2 of process 0.
    let expected = [
        instant("sched_switch", "sched", 1.0, (10, 10), next("worker", 20)),
        instant("entry", "irq", 2.0, (18, 20), json!({"irq": 7, "cpu": 2})),
        instant("sched_switch", "mine", 2.5, (18, 20), next("x", 30)),
        instant("mine", "sched", 2.6, (18, 20), next("x", 30)),
        instant("sched_switch", "sched", 4.0, (18, 20), next("swapper/2", 0)),
        slice(1.0, 3.0),
        instant("array", "mine", 4.5, (0, 2), json!({"numbers": [1, -2], "cpu": 2})),
        instant("sched_switch", "sched", 6.0, (0, 2), next("worker", 20)),
        instant("entry", "irq", 7.5, (18, 20), json!({"irq": 8, "cpu": 2})),
        slice(6.0, 1.5),
        name("process_name", 4_194_304, 0, "CPUs"),
        name("thread_name", 4_194_304, 2, "CPU 2"),
        name("process_name", 0, 0, "idle"),
        name("thread_name", 10, 10, "<...>"),
        name("thread_name", 18, 20, "worker"),
    ];
    for (event, expected) in events_of(&text).iter().zip(&expected) {
        assert_eq!(event, expected);
    }
    assert_eq!(events_of(&text).len(), expected.len());
}

#[test]
fn a_capture_without_events_is_json_too() {
    let (counts, text) = written(capture(vec![(0, Ring::new(vec![]))]), 1);
    assert_eq!((counts.events, events_of(&text).len()), (0, 1));
}

#[test]
fn several_threads_write_the_same_bytes() {
    // More than two MiB, so at least three parts: nothing in the first has a format, and a task runs from within the
    // second until the last.
    let one = |index: u64| {
        let record = match index {
            ..300 => record(99, 20, &[]),
            310 => switch_to(1, 10, ("worker", 20)),
            890 => switch_to(1, 20, ("other", 30)),
            _ => record(5, 20, &[0; 4]),
        };
        page(&[(1000 * index, &record)], None)
    };
    let ring = Ring::new((0..900).map(one).collect());
    let (alone, text) = written(capture(vec![(0, ring.clone())]), 1);
    assert!(text.contains("\"dur\":580.0") && text.contains("\"dur\":9.0"));
    let (together, same) = written(capture(vec![(0, ring)]), 3);
    assert_eq!((alone.events, alone.malformed), (600, 300));
    assert_eq!((together.events, together.malformed), (600, 300));
    assert!(text == same);
}
