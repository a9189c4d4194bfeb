//! What a pipeline passes on, counts and remembers, of records that are made here.

use byteorder::LittleEndian;

use super::*;
use crate::format::{Abi, Endian, LongSize};
use crate::names::Names;

/// An output that keeps what it is given.
#[derive(Default)]
struct Heard {
    /// The times of events.
    times: Vec<u64>,
    /// When they are played.
    played: Vec<u64>,
    /// The ms since each one's last.
    since: Vec<f32>,
    /// The names of their tasks.
    comms: Vec<String>,
    /// Events that were added.
    added: Vec<String>,
    /// Records of unknown events: id, CPU, time, when it is played, pid, and the task's name.
    unknown: Vec<(EventId, u32, u64, u64, i32, String)>,
    flushed: u32,
    /// Refuses every event.
    full: bool,
}

impl Output for Heard {
    fn add(&mut self, format: &Arc<EventFormat>, _: &Kernel) {
        self.added.push(format.full_name());
    }

    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
        if self.full {
            return Err(EncodeError::Full);
        }
        self.times.push(event.moment.event_ns);
        self.played.push(event.moment.play_ns);
        self.since.push(event.moment.dt);
        self.comms.push(event.moment.comm.as_str().to_owned());
        Ok(())
    }

    fn unknown<E: ByteOrder>(&mut self, event: &Event<'_>, _: &Kernel) {
        let Moment { event_ns, play_ns, cpu, pid, comm, .. } = event.moment;
        self.unknown.push((event.id, cpu, event_ns, play_ns, pid, comm.as_str().to_owned()));
    }

    fn flush(&mut self) {
        self.flushed += 1;
    }
}

fn kernel() -> Arc<Kernel> {
    Arc::new(Kernel { abi: Abi { endian: Endian::Little, long: LongSize::Eight }, names: Names::default() })
}

fn empty() -> Pipeline<Heard> {
    Pipeline::new(kernel(), Heard::default(), Box::new(|_| None))
}

fn pipeline_of(system: &str, name: &str) -> (Pipeline<Heard>, Arc<EventFormat>) {
    let (mut pipeline, format) = (empty(), format(system, name, 7));
    pipeline.add(&format, false);
    (pipeline, format)
}

/// An event with the fields that those of the group task have: both names of a task, at the same place.
fn format(system: &str, name: &str, id: u16) -> Arc<EventFormat> {
    let text = format!(
        "name: {name}\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
         \tfield:char newcomm[16];\toffset:8;\tsize:16;\tsigned:1;\n\
         \tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:1;\n\nprint fmt: \"\"\n"
    );
    Arc::new(EventFormat::parse(system, &text, LongSize::Eight).unwrap())
}

/// A record of the event with this id, of the task 42 with the name `worker`.
fn record_of(pipeline: &mut Pipeline<Heard>, id: u8, time: u64) -> Outcome {
    let bytes = &[&[id, 0, 0, 0, 42, 0, 0, 0][..], b"worker\0\0\0\0\0\0\0\0\0\0"].concat();
    pipeline.record::<LittleEndian>(made(time, bytes), None)
}

fn record(pipeline: &mut Pipeline<Heard>, time: u64) {
    assert_eq!(record_of(pipeline, 7, time), Outcome::Done);
}

fn made(time: u64, bytes: &[u8]) -> Record<'_> {
    Record { cpu: 3, time, ticks: time, lost: Default::default(), bytes }
}

/// Records, malformed ones and unknown ones.
fn counts(pipeline: &Pipeline<Heard>) -> (u64, u64, u64) {
    let counts = pipeline.counts();
    (counts.read, counts.malformed, counts.unknown)
}

#[test]
fn correcting_the_clock_never_moves_events_back_but_setting_it_does() {
    let (mut pipeline, _) = pipeline_of("s", "e");
    let play = |pipeline: &mut Pipeline<Heard>, pair: u64, events: &[u64]| {
        pipeline.pair_clocks(0, pair);
        events.iter().for_each(|&time| record(pipeline, time));
        std::mem::take(&mut pipeline.outputs().times)
    };
    assert_eq!(play(&mut pipeline, 5000, &[100, 200]), [5100, 5200]);
    assert_eq!(pipeline.unix_ns(200), 5200);
    // 50 ns back: an event 10 ns after the last is not before it.
    assert_eq!(play(&mut pipeline, 4950, &[210, 240, 300]), [5200, 5200, 5250]);
    assert_eq!(play(&mut pipeline, 4900, &[310]), [5250]);
    // The same again, and a little forward: the last event is still at 5250.
    assert_eq!(play(&mut pipeline, 4900, &[320]), [5250]);
    assert_eq!(play(&mut pipeline, 4910, &[330]), [5250]);
    assert_eq!(play(&mut pipeline, 6000, &[340]), [6340]);
    // An hour back, as if somebody set the clock, after a correction of an hour's time.
    let far = 3_600_000_000_000;
    assert_eq!(play(&mut pipeline, far + 6000, &[350]), [far + 6350]);
    assert_eq!(play(&mut pipeline, far + 5000, &[360]), [far + 6350]);
    assert_eq!(play(&mut pipeline, 6000, &[370]), [6370]);
}

#[test]
fn the_time_since_an_event_last_occurred_is_zero_at_first_and_never_negative() {
    let (mut pipeline, format) = pipeline_of("s", "e");
    [5_000_000, 6_500_000, 6_000_000, 8_000_000].into_iter().for_each(|time| record(&mut pipeline, time));
    assert_eq!(pipeline.outputs().since, [0.0, 1.5, 0.0, 2.0]);
    // Added again, in another form, it goes on; another event of the same id does not.
    pipeline.add(&format, false);
    record(&mut pipeline, 9_000_000);
    pipeline.add(&self::format("s", "other", 7), false);
    record(&mut pipeline, 10_000_000);
    // Nor does one of the same name in another group.
    pipeline.add(&self::format("t", "other", 7), false);
    record(&mut pipeline, 11_000_000);
    assert_eq!(pipeline.outputs().since[4..], [1.0, 0.0, 0.0]);
}

#[test]
fn a_pipeline_goes_on_after_the_events_of_another() {
    let (mut first, format) = pipeline_of("s", "e");
    let never = self::format("s", "never", 8);
    first.add(&never, false);
    [5_000_000, 6_000_000].into_iter().for_each(|time| record(&mut first, time));
    // Of an event that has not occurred nothing is known.
    assert_eq!(first.last_times().collect::<Vec<_>>(), [(EventId(7), 6_000_000)]);
    let mut second = empty();
    second.add(&format, false);
    second.add(&never, false);
    second.go_on([(EventId(7), 6_000_000), (EventId(9), 1)].into_iter());
    record(&mut second, 8_000_000);
    assert_eq!(record_of(&mut second, 8, 9_000_000), Outcome::Done);
    assert_eq!(second.outputs().since, [2.0, 0.0]);
}

#[test]
fn an_event_with_a_name_is_passed_on_under_that_name() {
    let (mut pipeline, _) = pipeline_of("task", "task_rename");
    record(&mut pipeline, 1);
    assert_eq!(pipeline.outputs().comms, ["worker"]);
}

#[test]
fn a_muted_event_goes_to_no_output_and_tells_the_names_of_tasks() {
    let (mut pipeline, _) = pipeline_of("task", "task_rename");
    pipeline.mute(|format| format.name == "task_rename");
    record(&mut pipeline, 1);
    assert_eq!((pipeline.outputs().times.len(), counts(&pipeline)), (0, (1, 0, 0)));
    assert!(pipeline.names().any(|name| name == (42, "worker")));
    pipeline.mute(|_| false);
    record(&mut pipeline, 2);
    assert_eq!(pipeline.outputs().times, [2]);
    // So does an event that has no names.
    pipeline.add(&format("s", "e", 8), false);
    pipeline.mute(|format| format.name == "e");
    assert_eq!(record_of(&mut pipeline, 8, 3), Outcome::Done);
    record(&mut pipeline, 4);
    assert_eq!(pipeline.outputs().times, [2, 4]);
    assert_eq!(counts(&pipeline), (4, 0, 0));
    let counts: Vec<_> = pipeline.event_counts().map(|(format, count)| (format.full_name(), count)).collect();
    assert_eq!(counts, [("task:task_rename".to_owned(), 2), ("s:e".to_owned(), 0)]);
}

#[test]
fn a_hidden_event_is_read_for_names_alone() {
    let mut pipeline = empty();
    let (told, telling) = std::sync::mpsc::channel();
    pipeline.tell_names(Box::new(move |pid, name| told.send((pid, name.to_vec())).unwrap()));
    pipeline.add(&format("s", "e", 7), false);
    pipeline.add(&format("task", "task_newtask", 8), true);
    assert_eq!(pipeline.outputs().added, ["s:e"]);
    record(&mut pipeline, 1);
    assert_eq!(pipeline.outputs().comms, ["<...>"]);
    // Neither read, nor counted, nor passed on; muting and the end of it change nothing of that.
    for time in 2..5 {
        assert_eq!(record_of(&mut pipeline, 8, time), Outcome::Done);
        pipeline.mute(|_| false);
    }
    assert_eq!(counts(&pipeline), (1, 0, 0));
    assert_eq!(
        pipeline.event_counts().map(|(format, count)| (format.id, count)).collect::<Vec<_>>(),
        [(EventId(7), 1)]
    );
    assert_eq!(pipeline.names().collect::<Vec<_>>(), [(0, "<idle>"), (42, "worker")]);
    record(&mut pipeline, 6);
    assert_eq!(pipeline.outputs().times, [1, 6]);
    assert_eq!(pipeline.outputs().comms[1], "worker");
    let mut name = b"worker".to_vec();
    name.resize(16, 0);
    assert_eq!(telling.try_iter().collect::<Vec<_>>(), vec![(42, name); 3]);
    // A name from elsewhere, and one that is asked for.
    pipeline.name(42, b"renamed");
    record(&mut pipeline, 7);
    assert_eq!(pipeline.outputs().comms[2], "renamed");
    // In another form only the others are added again.
    pipeline.add_again(None);
    assert_eq!(pipeline.outputs().added, ["s:e", "s:e"]);
    let other = kernel();
    pipeline.add_again(Some(other.clone()));
    assert!(Arc::ptr_eq(pipeline.kernel(), &other) && pipeline.outputs().added.len() == 3);
}

#[test]
fn all_events_of_a_table_are_known_and_no_others() {
    let mut pipeline = empty();
    let formats = [format("s", "e", 7), format("s", "f", 9)].map(|format| EventFormat::clone(&format));
    pipeline.add_all(&EventTable::new(formats));
    assert_eq!(pipeline.outputs().added, ["s:e", "s:f"]);
    assert_eq!([6, 7, 8, 9, 10].map(|id| pipeline.knows(EventId(id))), [false, true, false, true, false]);
}

#[test]
fn an_unknown_event_is_counted_until_it_is_offered_again_and_has_a_text() {
    let (mut pipeline, _) = pipeline_of("s", "e");
    pipeline.pair_clocks(0, 5000);
    for _ in 0..2 {
        assert_eq!(record_of(&mut pipeline, 9, 10), Outcome::Unknown(EventId(9)));
    }
    assert_eq!(counts(&pipeline), (2, 0, 2));
    pipeline.offer_again();
    assert_eq!(counts(&pipeline), (1, 0, 1));
    pipeline.name(42, b"worker");
    let bytes = [9, 0, 0, 0, 42, 0, 0, 0];
    pipeline.unknown::<LittleEndian>(EventId(9), made(10, &bytes), None);
    pipeline.unknown::<LittleEndian>(EventId(9), made(10, &bytes), Some(77));
    // One too short for a pid.
    pipeline.count_ticks();
    pipeline.unknown::<LittleEndian>(EventId(9), made(10, &bytes[..6]), None);
    let heard = |event_ns, play_ns, pid, comm: &str| (EventId(9), 3, event_ns, play_ns, pid, comm.to_owned());
    let want = [heard(5010, 5010, 42, "worker"), heard(5010, 77, 42, "worker"), heard(0, 0, 0, "<idle>")];
    assert_eq!(pipeline.outputs().unknown, want);
}

#[test]
fn a_record_that_is_no_event_is_malformed_and_so_is_one_that_an_output_refuses() {
    let (mut pipeline, _) = pipeline_of("s", "e");
    for bytes in [&[][..], &[7]] {
        assert_eq!(pipeline.record::<LittleEndian>(made(1, bytes), None), Outcome::Done);
    }
    assert_eq!((counts(&pipeline), &pipeline.counts().first_error), ((2, 2, 0), &None));
    pipeline.outputs().full = true;
    record(&mut pipeline, 1);
    pipeline.add(&format("s", "f", 8), false);
    record_of(&mut pipeline, 8, 2);
    let taken = pipeline.take_counts();
    assert_eq!((taken.read, taken.malformed, taken.unknown), (4, 4, 0));
    assert_eq!(taken.first_error, Some(("s:e".to_owned(), EncodeError::Full)));
    assert_eq!((counts(&pipeline), &pipeline.counts().first_error), ((0, 0, 0), &None));
}

#[test]
fn where_the_clock_counts_no_time_events_have_none_and_are_played_now() {
    let (mut pipeline, _) = pipeline_of("s", "e");
    pipeline.pair_clocks(0, 5000);
    pipeline.count_ticks();
    let before = timetag::unix_now_ns();
    [1_000_000, 5_000_000].into_iter().for_each(|time| record(&mut pipeline, time));
    let now = before..=timetag::unix_now_ns();
    let Heard { times, played, since, .. } = pipeline.outputs();
    assert_eq!((&times[..], &since[..]), (&[0, 0][..], &[0.0, 0.0][..]));
    assert!(played.iter().all(|time| now.contains(time)), "{played:?} {now:?}");
    assert_eq!(pipeline.event_counts().map(|(_, count)| count).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_is_queued_is_sent_when_the_turn_ends() {
    let (mut pipeline, _) = pipeline_of("s", "e");
    record(&mut pipeline, 1);
    assert_eq!(pipeline.outputs().flushed, 0);
    pipeline.flush();
    assert_eq!(pipeline.outputs().flushed, 1);
}
