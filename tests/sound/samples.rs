//! The rendered samples.

use std::collections::BTreeSet;

use ftrace_live::sound::{Form, Hit, MapperOptions, SAMPLE_RATE};

use crate::piece::{
    FIXTURES, S, Stream, centroid, desktop_minute, flood, idle_minute, level, loudness, of_fixture, samples,
};

const SECOND: usize = SAMPLE_RATE as usize;

/// Asserts loudness, peak, and that no sample jumps.
fn assert_pleasant(name: &str, samples: &[[f32; 2]]) {
    let (lufs, peak) = loudness(samples);
    assert!((-26.0..=-20.0).contains(&lufs), "{name}: {lufs} LUFS");
    assert!(peak <= -1.0, "{name}: a peak of {peak} dBFS");
    assert!(peak > -20.0, "{name}: a peak of {peak} dBFS");
    let centroid = centroid(samples);
    assert!((150.0..1800.0).contains(&centroid), "{name}: the spectrum's middle is at {centroid} Hz");
}

#[test]
fn a_second_of_100_000_page_faults_is_a_sound() {
    let samples = samples(&flood().score());
    assert_pleasant("flood", &samples);
    // Never silent while there are events.
    for part in samples[..SECOND].chunks(SECOND / 10) {
        assert!(level(part) > -60.0, "{} dBFS", level(part));
    }
    // After the end there is silence.
    assert!(level(&samples[samples.len() - SECOND / 50..]) < -80.0);
}

#[test]
fn an_idle_minute_is_a_sound() {
    let stream = idle_minute();
    let samples = samples(&stream.score());
    assert_pleasant("idle", &samples);
    assert!((59 * SECOND..62 * SECOND).contains(&samples.len()), "{} s", samples.len() / SECOND);
    // Some sound in every two seconds, and silence most of the time.
    assert!(samples[..58 * SECOND].chunks(2 * SECOND).all(|part| level(part) > -50.0));
    let quiet = samples.chunks(SECOND / 20).filter(|part| level(part) < -60.0).count();
    assert!(quiet > 20 * 60 / 3, "{quiet} of 1200 parts are silent");
}

#[test]
fn every_fixture_is_a_sound_at_its_own_speed_and_slower() {
    for name in FIXTURES {
        for speed in [1.0, 0.1] {
            assert_pleasant(&format!("{name} at {speed}"), &samples(&of_fixture(name, speed, 0)));
        }
    }
}

#[test]
fn denser_is_brighter_and_larger_is_lower() {
    let played = |per_second: u64, size: i32| {
        let mut stream = Stream::new(MapperOptions { cpus: 2, ..MapperOptions::default() });
        let event = stream.add("kmem", "kmalloc", &["bytes_req"]);
        // Establishes the range.
        (0..20).for_each(|k| stream.event(event, k * S / 20, 0, &[8 << (k % 2 * 12)]));
        (0..3 * per_second).for_each(|k| stream.event(event, S + k * S / per_second, (k % 2) as u32, &[size]));
        centroid(&samples(&stream.score())[2 * SECOND..4 * SECOND])
    };
    let (few, many) = (played(100, 512), played(100_000, 512));
    assert!(many > 1.2 * few, "{few} Hz at 100/s, {many} Hz at 100 000/s");
    let (small, large) = (played(5, 8), played(5, 8 << 12));
    assert!(small > 2.0 * large, "{small} Hz small, {large} Hz large");
}

#[test]
fn it_begins_softly_and_no_sample_jumps() {
    let mut stream = Stream::plain();
    let event = stream.add("irq", "irq", &[]);
    (0..40).for_each(|k| stream.event(event, k * S / 10, (k % 2) as u32, &[]));
    let samples = samples(&stream.score());
    let (first, later) = (level(&samples[..SECOND / 10]), level(&samples[SECOND * 2..SECOND * 2 + SECOND / 10]));
    assert!(first < later - 10.0, "{first} dBFS, then {later} dBFS");
    // 2 ms of attack: the difference between samples is less than the steepest of a 2 kHz tone at full scale.
    let steepest = samples.windows(2).map(|two| (two[1][0] - two[0][0]).abs()).fold(0f32, f32::max);
    assert!(steepest < 0.26, "{steepest}");
}

#[test]
fn both_ears_hear_each_cpu_on_its_side() {
    let of = |cpu| {
        let mut stream = Stream::plain();
        let event = stream.add("sched", "sched_switch", &[]);
        (0..20).for_each(|k| stream.event(event, k * S / 5, cpu, &[]));
        let samples = samples(&stream.score());
        let side = |side: usize| level(&samples.iter().map(|frame| [frame[side]; 2]).collect::<Vec<_>>());
        (side(0), side(1))
    };
    let ((left, right), (other_left, other_right)) = (of(0), of(1));
    assert!((10.0..25.0).contains(&(left - right)), "{left} {right}");
    assert!((left - other_right).abs() < 1.0 && (right - other_left).abs() < 1.0);
}

#[test]
fn a_minute_of_an_idle_desktop_is_not_a_drone() {
    let score = desktop_minute().score();
    let samples = samples(&score);
    assert_pleasant("desktop", &samples);
    // Levels of tenths of a second, the quietest first: textures are always there, other sounds are louder.
    let levels = |from: usize, until: usize| {
        let mut levels: Vec<f64> = samples[from * SECOND..until * SECOND].chunks(SECOND / 10).map(level).collect();
        levels.sort_by(f64::total_cmp);
        levels
    };
    let (first, later) = (levels(1, 6), levels(30, 60));
    assert!(later[later.len() / 10] < first[first.len() / 10] - 12.0, "the bed sinks: {first:?} {later:?}");
    assert!(later[later.len() * 95 / 100] > later[later.len() / 10] + 12.0, "sounds stand out: {later:?}");
    // Most of the sounds that begin are single notes, over more than two octaves.
    let begun: Vec<&Hit> = score.hits().iter().filter(|hit| hit.form == Form::Note).collect();
    assert!((2.0..20.0).contains(&(begun.len() as f64 / 60.0)), "{} notes", begun.len());
    let notes: BTreeSet<i32> = begun.iter().map(|hit| hit.note.round() as i32).collect();
    assert!(notes.len() >= 10 && notes.last().unwrap() - notes.first().unwrap() > 24, "{notes:?}");
    let beds: BTreeSet<u16> =
        score.hits().iter().filter(|hit| hit.form == Form::Texture).map(|hit| hit.event).collect();
    assert!(beds.len() >= 4, "what comes hundreds of times a second is a texture: {beds:?}");
}
