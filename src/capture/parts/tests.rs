//! Work in several threads: its output, counts and end are those of one thread, whatever the rings are like.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::capture::made::{self, Ring, page, record};

/// Writes a line for each record: its time, its CPU, and how many came before it.
#[derive(Default)]
struct Lines {
    carries: bool,
    /// Nothing from this time on is needed.
    until: Option<u64>,
    /// The number of threads made.
    hands: AtomicUsize,
}

impl Work for Lines {
    type Hand = ();
    type Carry = u64;
    type Done = u64;

    fn part_size(&self) -> u64 {
        1
    }

    fn hand(&self) {
        self.hands.fetch_add(1, Ordering::Relaxed);
    }

    fn carries(&self) -> bool {
        self.carries
    }

    fn look<E: ByteOrder>(&self, merge: &mut Merge<RingFeed>, carry: &mut u64) {
        while merge.next_record::<E>().is_some() {
            *carry += 1;
        }
    }

    fn carry(&self, before: &mut u64, part: u64) {
        *before += part;
    }

    fn work<E: ByteOrder>(
        &self,
        (): &mut (),
        merge: &mut Merge<RingFeed>,
        before: &u64,
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> (u64, ControlFlow<()>) {
        let (mut block, mut records) = (Vec::new(), 0);
        let flow = merge.for_each::<E, ()>(|record| {
            if self.until.is_some_and(|until| record.time >= until) {
                return ControlFlow::Break(());
            }
            let before = if self.carries { before + records } else { 0 };
            records += 1;
            block.extend_from_slice(format!("{} {} {before}\n", record.time, record.cpu).as_bytes());
            if records.is_multiple_of(3) { out(Told::Block(&mut block)) } else { ControlFlow::Continue(()) }
        });
        if !block.is_empty() && out(Told::Block(&mut block)).is_break() {
            return (records, ControlFlow::Break(()));
        }
        (records, flow)
    }
}

/// What came of it.
struct Came {
    text: String,
    blocks: usize,
    times: Vec<u64>,
    parts: Vec<u64>,
    read: String,
    jobs: usize,
}

fn run(rings: &[Ring], jobs: usize, lines: &Lines) -> Came {
    let mut capture = capture(rings);
    let mut came = Came { text: String::new(), blocks: 0, times: vec![], parts: vec![], read: String::new(), jobs: 0 };
    let total = work(&mut capture, None, Jobs::Number(jobs), lines, &mut |told| {
        match told {
            Told::Block(block) => {
                assert!(!block.is_empty());
                came.text.push_str(std::str::from_utf8(block).unwrap());
                came.blocks += 1;
            }
            Told::Time(time) => came.times.push(time),
            Told::Nothing => {}
        }
        ControlFlow::Continue(())
    });
    let total = total.unwrap();
    (came.parts, came.read, came.jobs) = (total.parts, format!("{:?}", total.read), total.jobs);
    came
}

fn capture(rings: &[Ring]) -> Capture {
    made::capture(vec![], (0..).zip(rings.iter().cloned()).collect())
}

/// A ring of sub-buffers with three events each, from these times on.
fn ring(times: &[u64]) -> Ring {
    let one = record(1, 0, &[]);
    Ring::new(times.iter().map(|&time| page(&[(time, &one), (time + 3, &one), (time + 7, &one)], None)).collect())
}

/// Rings in order, with losses and damage: 40 sub-buffers of two CPUs each, and few of a third.
fn ordered() -> Vec<Ring> {
    let [mut first, second] = [100, 105].map(|begin| ring(&(0..40).map(|at| begin + at * 10).collect::<Vec<_>>()));
    let one = record(1, 0, &[]);
    let pages = Arc::make_mut(&mut first.pages);
    for (at, lost) in [(3, Some(5)), (17, None), (18, Some(7)), (31, Some(1))] {
        let time = 100 + at as u64 * 10;
        pages[at] = page(&[(time, &one), (time + 3, &one)], Some(lost));
    }
    for torn in [9, 22] {
        // It says to have more than a sub-buffer.
        pages[torn][9] = 0x7f;
    }
    first.skipped = Some((3, "a hole".to_owned()));
    vec![first, second, ring(&[250, 450])]
}

/// The same, and a sub-buffer that is too early; `late` others are in order before.
fn disordered(late: usize) -> Vec<Ring> {
    let mut rings = ordered();
    Arc::make_mut(&mut rings[1].pages).insert(late, ring(&[20]).pages[0].clone());
    rings
}

fn expected(rings: &[Ring], carries: bool) -> Came {
    let came = run(rings, 1, &Lines { carries, ..Lines::default() });
    assert_eq!((came.parts.len(), came.jobs), (1, 1));
    came
}

#[test]
fn one_thread_gives_out_every_record_once_in_order() {
    let came = expected(&ordered(), true);
    let lines: Vec<Vec<u64>> =
        came.text.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    // Three events of each sub-buffer; two before which events were lost have one less, two are damaged.
    assert_eq!((lines.len(), &came.parts[..]), (40 * 3 * 2 - 4 - 6 + 6, &[lines.len() as u64][..]));
    assert!(lines.iter().map(|line| (line[0], line[1])).is_sorted());
    assert!(lines.iter().map(|line| line[2]).eq(0..lines.len() as u64));
    for what in [
        "sub_buffers: 40, records: 110, lost: 13, gaps: 1, malformed: 2, first_error: Some(",
        "sub_buffers: 40, records: 120, lost: 0, gaps: 0, malformed: 0, first_error: None",
        "sub_buffers: 2, records: 6, ",
        "skipped: Some(\"3 damaged pieces skipped; the first: a hole\")",
    ] {
        assert!(came.read.contains(what), "{what}: {}", came.read);
    }
}

#[test]
fn several_threads_give_out_the_same_with_the_same_counts() {
    for carries in [false, true] {
        let one = expected(&ordered(), carries);
        for jobs in [2, 3, 5] {
            let lines = Lines { carries, ..Lines::default() };
            let several = run(&ordered(), jobs, &lines);
            assert_eq!(several.text, one.text, "{jobs}");
            assert_eq!(several.read, one.read, "{jobs}");
            assert_eq!((several.jobs, lines.hands.into_inner()), (jobs, jobs));
            // The cuts are at sub-buffers of the longest ring, of which there are forty; four for each thread.
            let parts = (4 * jobs).min(40);
            assert_eq!((several.parts.len(), several.times.len()), (parts, parts - 1));
            assert_eq!(several.parts.iter().sum::<u64>(), one.parts[0]);
            let cuts = (1..parts).map(|part| 105 + (40 * part / parts) as u64 * 10);
            assert!(several.times.iter().copied().eq(cuts), "{:?}", several.times);
        }
    }
}

#[test]
fn where_a_ring_is_not_in_order_one_thread_goes_on() {
    for late in [0, 1, 4, 5, 6, 19, 20, 21, 38, 39, 40] {
        for carries in [false, true] {
            let one = expected(&disordered(late), carries);
            for jobs in [2, 3] {
                let several = run(&disordered(late), jobs, &Lines { carries, ..Lines::default() });
                assert_eq!(several.text, one.text, "{late} {jobs}");
                assert_eq!(several.read, one.read, "{late} {jobs}");
            }
        }
    }
}

#[test]
fn feeds_that_cannot_be_read_twice_are_read_by_one_thread() {
    let mut rings = ordered();
    rings[2].twins = false;
    let lines = Lines::default();
    let came = run(&rings, 3, &lines);
    assert_eq!((came.text, came.jobs, came.parts.len()), (expected(&rings, false).text, 1, 1));
    assert_eq!(lines.hands.into_inner(), 1);
}

#[test]
fn where_a_thread_cannot_read_its_part_this_one_does() {
    for carries in [false, true] {
        let one = expected(&ordered(), carries);
        // A part is positioned once for each of three rings, some by search; more often than it is needed, at last.
        for seeks in 0..40 {
            let mut rings = ordered();
            let left = Arc::new(AtomicUsize::new(seeks * 5));
            rings.iter_mut().for_each(|ring| ring.seeks = Some(left.clone()));
            let several = run(&rings, 2, &Lines { carries, ..Lines::default() });
            assert_eq!((several.text, several.read), (one.text.clone(), one.read.clone()), "{seeks}");
        }
    }
}

#[test]
fn work_that_needs_no_later_record_ends_at_its_part() {
    let whole = expected(&ordered(), false).text;
    for until in [0, 100, 101, 150, 155, 160, 300, 301, 502, 503, 10_000] {
        let wanted: String = whole
            .lines()
            .filter(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap() < until)
            .map(|line| format!("{line}\n"))
            .collect();
        for jobs in [1, 2, 3] {
            let came = run(&ordered(), jobs, &Lines { until: Some(until), ..Lines::default() });
            assert_eq!(came.text, wanted, "{until} {jobs}");
            assert_eq!(came.parts.iter().sum::<u64>(), wanted.lines().count() as u64);
            if jobs > 1 && until < 10_000 {
                // Parts of which nothing is needed: that of the last event that is, or the one behind it.
                let cuts = came.times.iter().filter(|time| **time <= until).count();
                assert_eq!((came.times.len(), came.parts.len()), (cuts, cuts + 1), "{until} {jobs}");
            }
        }
    }
}

#[test]
fn nothing_is_given_out_after_who_takes_it_needs_no_more() {
    for jobs in [1, 2, 3] {
        for most in 0..60 {
            let mut blocks = 0;
            let lines = Lines { carries: true, ..Lines::default() };
            let total = work(&mut capture(&ordered()), None, Jobs::Number(jobs), &lines, &mut |told| {
                blocks += usize::from(matches!(told, Told::Block(_)));
                assert!(blocks <= most + 1);
                if blocks > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert!(total.is_ok() && blocks == most + 1, "{jobs} {most}");
        }
    }
    // At the end of a part: it and those before count.
    for most in 1..8 {
        let mut times = 0;
        let total = work(&mut capture(&ordered()), None, Jobs::Number(2), &Lines::default(), &mut |told| {
            times += usize::from(matches!(told, Told::Time(_)));
            if times == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((total.unwrap().parts.len(), times), (most, most.min(7)));
    }
}

/// Work that gives out nothing until its taker has been asked.
#[derive(Default)]
struct Slow {
    asked: AtomicBool,
    looked: AtomicBool,
}

impl Work for Slow {
    type Hand = ();
    type Carry = ();
    type Done = ();

    fn hand(&self) {}

    fn look<E: ByteOrder>(&self, _: &mut Merge<RingFeed>, (): &mut ()) {
        self.looked.store(true, Ordering::SeqCst);
    }

    fn work<E: ByteOrder>(
        &self,
        (): &mut (),
        merge: &mut Merge<RingFeed>,
        (): &(),
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> ((), ControlFlow<()>) {
        while !self.asked.load(Ordering::SeqCst) {
            // Where there is no writer besides, this asks.
            let _ = out(Told::Nothing);
            thread::yield_now();
        }
        while merge.next_record::<E>().is_some() {}
        // The time within a part means nothing to the writer.
        ((), out(Told::Time(1)))
    }
}

#[test]
fn who_takes_the_output_is_asked_while_a_thread_works() {
    for stops in [false, true] {
        let slow = Slow::default();
        let mut ends = 0;
        let total = work(&mut capture(&ordered()), None, Jobs::Number(2), &slow, &mut |told| {
            ends += usize::from(matches!(told, Told::Time(_)));
            slow.asked.store(true, Ordering::SeqCst);
            if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let parts = total.unwrap().parts.len();
        assert_eq!((parts, ends), if stops { (0, 0) } else { (8, 7) });
        // It carries no state: its records are not looked through before.
        assert!(!slow.looked.into_inner());
    }
}

/// Work whose first part lasts until six have begun, or until its taker has been asked two hundred times: by a writer
/// that waits, every 50 ms.
#[derive(Default)]
struct First {
    begun: AtomicUsize,
    asked: AtomicUsize,
    /// How many had begun when the first part ended.
    begun_then: AtomicUsize,
}

impl Work for First {
    type Hand = ();
    type Carry = ();
    type Done = ();

    fn hand(&self) {}

    fn work<E: ByteOrder>(
        &self,
        (): &mut (),
        merge: &mut Merge<RingFeed>,
        (): &(),
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> ((), ControlFlow<()>) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if merge.peek::<E>() == Some(100) {
            while self.begun.load(Ordering::SeqCst) < 6 && self.asked.load(Ordering::SeqCst) < 200 {
                let _ = out(Told::Nothing);
                thread::yield_now();
            }
            self.begun_then.store(self.begun.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        while merge.next_record::<E>().is_some() {}
        ((), ControlFlow::Continue(()))
    }
}

#[test]
fn each_thread_may_be_two_parts_ahead_and_there_are_no_more_threads_than_parts() {
    let first = First::default();
    let mut take = |_: Told<'_>| {
        first.asked.fetch_add(1, Ordering::SeqCst);
        ControlFlow::Continue(())
    };
    let total = work(&mut capture(&ordered()), None, Jobs::Number(3), &first, &mut take).unwrap();
    assert_eq!((total.jobs, total.parts.len(), first.begun_then.into_inner()), (3, 12, 6));
    let short = run(&[ring(&[100, 110, 120])], 8, &Lines::default());
    assert_eq!((short.jobs, short.parts.len()), (3, 3));
}

#[test]
fn a_panic_of_what_takes_the_output_ends_all_threads() {
    let panics = std::panic::catch_unwind(|| {
        work(&mut capture(&ordered()), None, Jobs::Number(2), &Lines::default(), &mut |_| {
            std::panic::resume_unwind(Box::new("as a taker that fails"))
        })
        .map(|_| ())
    });
    assert!(panics.is_err());
}

#[test]
fn a_part_has_a_mib_unless_the_work_says_otherwise() {
    // Of 1.5 MiB: four parts for each of two threads, not one for each 32 sub-buffers.
    let long = ring(&(0..384).map(|at| 100 + at * 10).collect::<Vec<_>>());
    let ready = Slow { asked: AtomicBool::new(true), ..Slow::default() };
    let total = work(&mut capture(&[long]), None, Jobs::Number(2), &ready, &mut |_| ControlFlow::Continue(()));
    assert_eq!(total.unwrap().parts.len(), 8);
}

#[test]
fn a_total_has_the_counts_and_errors_of_all_cpus() {
    let mut rings = ordered();
    rings[1].fails = Some((32, "a fault"));
    for jobs in [1, 2] {
        let lines = Lines::default();
        let total = work(&mut capture(&rings), None, Jobs::Number(jobs), &lines, &mut |_| ControlFlow::Continue(()));
        let total = total.unwrap();
        assert_eq!(total.sum(|counts| counts.sub_buffers), 40 + 32 + 2);
        assert_eq!((total.sum(|counts| counts.records), total.sum(|counts| counts.lost)), (110 + 96 + 6, 13));
        assert_eq!(total.errors(), ["CPU 0: 3 damaged pieces skipped; the first: a hole", "CPU 1: a fault"]);
    }
    let much = Read { counts: Counts { lost: u64::MAX, ..Counts::default() }, ..Read::default() };
    let total = Total { parts: vec![()], read: vec![much.clone(), much], jobs: 1 };
    assert_eq!((total.sum(|counts| counts.lost), total.errors().len()), (u64::MAX, 0));
}

#[test]
fn an_error_is_that_of_its_ring_and_the_first_of_it() {
    let mut rings = ordered();
    // Where a cut is looked for, and between two of them.
    for (sub_buffer, jobs) in [(30, 1), (30, 2), (32, 1), (32, 2)] {
        rings[1].fails = Some((sub_buffer, "a fault"));
        let came = run(&rings, jobs, &Lines::default());
        assert_eq!(came.read.matches("error: Some(\"a fault\")").count(), 1, "{}", came.read);
        let of_second = came.read.split("cpu: ").nth(2).unwrap();
        assert!(of_second.starts_with('1') && of_second.contains("a fault"), "{}", came.read);
    }
    // Two rings of one CPU, as two buffers have them.
    let mut two = [ring(&[100]), ring(&[200])];
    two[0].fails = Some((1, "the first"));
    two[1].fails = Some((1, "the second"));
    let mut capture = made::capture(vec![], two.into_iter().map(|ring| (5, ring)).collect());
    let total = work(&mut capture, None, Jobs::Number(1), &Lines::default(), &mut |_| ControlFlow::Continue(()));
    let errors: Vec<_> = total.unwrap().read.into_iter().map(|read| (read.cpu, read.error.unwrap())).collect();
    assert_eq!(errors, [(5, "the first".to_owned()), (5, "the second".to_owned())]);
}
