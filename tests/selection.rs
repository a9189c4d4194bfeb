//! Parts of captures, selected by time and by event, compared with looking at every event.

mod common;

use std::path::{Path, PathBuf};

use byteorder::LittleEndian;
use common::corpus;
use ftrace_live::{
    capture::{
        self, Capture,
        select::Select,
        trace_dat::{Open, TraceDat},
        window::{Span, Window},
    },
    decode::{EventTable, Plan, Value},
    format::EventId,
    ring::Feed,
    tracefs::Selection,
};

/// One event: time, CPU, pid, id, bytes.
type Event = (u64, u32, i32, u16, Vec<u8>);

fn open(path: &Path) -> Capture {
    capture::open(path, Open::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The events of `path` selected by `select`, in order.
fn taken(path: &Path, select: &Select) -> Vec<Event> {
    let mut capture = open(path);
    let selector = select.bind(&mut capture).unwrap();
    let plan = Plan::compile(&capture.events[0]);
    let mut merge = capture.merge();
    let mut events = Vec::new();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        if selector.is_past(record.time) {
            break;
        }
        if selector.takes::<LittleEndian>(&record) {
            let id = u16::from_le_bytes([record.bytes[0], record.bytes[1]]);
            let pid = plan.pid::<LittleEndian>(record.bytes);
            events.push((record.time, record.cpu, pid, id, record.bytes.to_vec()));
        }
    }
    events
}

/// A compressed file, a plain one, a folder.
fn captures() -> Vec<PathBuf> {
    let Some(corpus) = corpus::folder() else { return Vec::new() };
    ["tracedat/x86_64-6.18-v7-two-buffers.dat", "tracedat/x86_64-6.18-v6.dat", "x86_64-6.1.176/syscalls"]
        .map(|name| corpus.join(name))
        .into()
}

fn select(change: impl FnOnce(&mut Select)) -> Select {
    let mut select = Select::default();
    change(&mut select);
    select
}

fn window(from: Option<&str>, until: Option<&str>) -> Window {
    Window { from: from.map(|text| text.parse().unwrap()), until: until.map(|text| text.parse().unwrap()) }
}

#[test]
fn the_span_is_that_of_the_first_and_the_last_event() {
    for path in captures() {
        let all = taken(&path, &Select::default());
        let mut capture = open(&path);
        let span = Span::of(&mut capture).unwrap().unwrap();
        assert_eq!((span.first, span.last), (all.first().unwrap().0, all.last().unwrap().0), "{}", path.display());
        // The capture is at its beginning again.
        let count = std::iter::from_fn({
            let mut merge = capture.merge();
            move || merge.next_record::<LittleEndian>().map(|_| ())
        });
        assert_eq!(count.count(), all.len());
    }
}

#[test]
fn a_window_has_the_events_of_its_time_and_no_others() {
    for path in captures() {
        let all = taken(&path, &Select::default());
        let (first, last) = (all[0].0, all[all.len() - 1].0);
        let third = format!("{}ns", (last - first) / 3);
        let third = third.as_str();
        let back = format!("-{third}");
        let ns = (last - first) / 3;
        for (window, from, until) in [
            (window(Some(third), None), first + ns, last),
            (window(None, Some(third)), first, first + ns),
            (window(Some(&back), None), last - ns, last),
            (window(Some(third), Some(&back)), first + ns, last - ns),
            (window(Some("-1ms"), Some("-0s")), last - 1_000_000, last),
        ] {
            let expected: Vec<_> = all.iter().filter(|event| (from..=until).contains(&event.0)).cloned().collect();
            let found = taken(&path, &select(|select| select.window = window));
            assert!(found == expected, "{} {window:?}: {} of {}", path.display(), found.len(), expected.len());
        }
    }
}

#[test]
fn every_sub_buffer_of_a_compressed_file_can_be_sought() {
    let Some(corpus) = corpus::folder() else { return };
    let dat = TraceDat::open(&corpus.join("tracedat/x86_64-6.18-v7-two-buffers.dat"), Open::default()).unwrap();
    for buffer in &dat.buffers {
        for (_, mut feed) in dat.feeds(buffer) {
            let mut all = Vec::new();
            let mut page = Vec::new();
            while feed.advance(&mut page).unwrap() {
                all.push(page.clone());
            }
            assert_eq!(Feed::sub_buffers(&mut feed).unwrap(), Some(all.len() as u64));
            for index in (0..all.len()).rev().step_by(3).chain([0, all.len() - 1]) {
                assert!(feed.seek(index as u64).unwrap());
                for expected in all.iter().skip(index).take(12) {
                    assert!(feed.advance(&mut page).unwrap() && page == *expected, "sub-buffer {index}");
                }
            }
            assert!(feed.seek(all.len() as u64).unwrap() && !feed.advance(&mut page).unwrap());
            // The last chunk is found from the end; trace-cmd puts ten pages into one.
            assert!(feed.seek_near_end().unwrap());
            let mut rest = Vec::new();
            while feed.advance(&mut page).unwrap() {
                rest.push(page.clone());
            }
            assert!((1..=10).contains(&rest.len()) && all.ends_with(&rest), "{} of {}", rest.len(), all.len());
        }
    }
}

#[test]
fn events_cpus_and_tasks_are_selected_as_live() {
    let Some(corpus) = corpus::folder() else { return };
    let path = corpus.join("tracedat/x86_64-6.18-v6.dat");
    let all = taken(&path, &Select::default());
    let table = EventTable::new(open(&path).events);
    let name = |id: u16| table.get(EventId(id)).unwrap().name.clone();
    let check = |select: Select, expected: &dyn Fn(&Event) -> bool| {
        let expected: Vec<_> = all.iter().filter(|event| expected(event)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len());
        let found = taken(&path, &select);
        assert!(found == expected, "{select:?}: {} of {}", found.len(), expected.len());
    };
    let events = Some(Selection::parse(&["sched_sw*,sched:sched_waking"]).unwrap());
    check(select(|select| select.events = events), &|event| {
        ["sched_switch", "sched_waking"].contains(&name(event.3).as_str())
    });
    check(select(|select| select.cpus = Some("1".parse().unwrap())), &|event| event.1 == 1);
    // A task's own events, and those of others that wake it or switch to it.
    let pid = all.iter().map(|event| event.2).find(|&pid| pid > 0).unwrap();
    let field = |event: &Event, wanted: &str| {
        let format = table.get(EventId(event.3)).unwrap();
        let index = format.fields.iter().position(|field| field.name == wanted)?;
        match Plan::compile(format).fields()[index].value::<LittleEndian>(&event.4) {
            Ok(Value::Signed(value)) => Some(value),
            _ => None,
        }
    };
    check(select(|select| select.pids = vec![pid]), &|event| {
        let other = match name(event.3).as_str() {
            "sched_switch" => field(event, "next_pid"),
            "sched_wakeup" | "sched_wakeup_new" | "sched_waking" => field(event, "pid"),
            _ => None,
        };
        event.2 == pid || other == Some(i64::from(pid))
    });
    // A condition on one event does not affect others.
    let filters = vec!["sched:sched_switch=prev_prio == 120 && next_comm ~ \"mig*\"".parse().unwrap()];
    check(select(|select| select.filters = filters), &|event| {
        let Some(prio) = field(event, "prev_prio").filter(|_| name(event.3) == "sched_switch") else { return true };
        prio == 120 && event.4.windows(9).any(|bytes| bytes == b"migration") && {
            let format = table.get(EventId(event.3)).unwrap();
            let at = format.field("next_comm").unwrap().offset as usize;
            event.4[at..].starts_with(b"mig")
        }
    });
}

#[test]
fn selections_of_nothing_are_reported() {
    let Some(corpus) = corpus::folder() else { return };
    let mut capture = open(&corpus.join("tracedat/x86_64-6.18-v6.dat"));
    let mut bind = |select: Select| select.bind(&mut capture).err().map(|error| error.to_string());
    let events = Some(Selection::parse(&["sched_swtich"]).unwrap());
    let error = bind(select(|select| select.events = events)).unwrap();
    assert!(error.contains("sched_switch"), "{error}");
    let filters = |text: &str| select(|select| select.filters = vec![text.parse().unwrap()]);
    assert_eq!(
        bind(filters("no_such_event=a == 1")).unwrap(),
        "filter \"no_such_event=a == 1\": the capture has no such event"
    );
    let error = bind(filters("sched_switch=previous_pid == 1")).unwrap();
    assert!(
        error.starts_with("filter: sched:sched_switch has no field \"previous_pid\"; it has prev_comm,"),
        "{error}"
    );
    for (window, why) in [
        (window(Some("1h"), None), "--from is after the last event"),
        (window(Some("100ms"), Some("50ms")), "--from is after --until"),
    ] {
        let error = bind(select(|select| select.window = window)).unwrap();
        assert!(error.contains(why) && error.contains("the capture is 0.5"), "{error}");
    }
    let cpus = select(|select| select.cpus = Some("99".parse().unwrap()));
    let error = bind(cpus).unwrap();
    assert!(error.contains("none of these CPUs; it has 0-1"), "{error}");
}
