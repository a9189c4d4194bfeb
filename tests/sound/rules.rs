//! The mapping: which events are heard, and how.

use std::collections::{BTreeMap, BTreeSet};

use ftrace_live::sound::{Form, Hit, MAX_ONSETS, MAX_VOICES, MapperOptions};

use crate::piece::{BEGAN, FIXTURES, MS, S, Stream, flood, idle_minute, of_fixture};

/// All pieces, with names.
fn pieces() -> Vec<(String, Vec<Hit>)> {
    let mut pieces =
        vec![("flood".to_owned(), flood().hits().to_vec()), ("idle".to_owned(), idle_minute().hits().to_vec())];
    for name in FIXTURES {
        for speed in [1.0, 0.1, 0.01] {
            pieces.push((format!("{name} at {speed}"), of_fixture(name, speed, 0).hits().to_vec()));
        }
    }
    pieces
}

fn begins(hit: &Hit) -> bool {
    hit.form != Form::Texture
}

/// The most sounds that begin within a second.
fn onsets(hits: &[Hit]) -> usize {
    let times: Vec<u64> = hits.iter().filter(|hit| begins(hit)).map(|hit| hit.time_ns).collect();
    (0..times.len()).map(|k| times[k..].iter().take_while(|&&time| time < times[k] + S).count()).max().unwrap_or(0)
}

/// The forms of an event with this rate in its fourth second.
fn forms(per_second: u64, options: MapperOptions) -> BTreeSet<Form> {
    let mut stream = Stream::new(options);
    let event = stream.add("sys", "event", &["size"]);
    for k in 0..4 * per_second {
        stream.event(event, k * S / per_second, 0, &[100]);
    }
    stream.hits().iter().filter(|hit| hit.time_ns >= BEGAN + 3 * S).map(|hit| hit.form).collect()
}

#[test]
fn rule_1_density_decides_the_form() {
    let of = |rate| forms(rate, MapperOptions::default());
    for (rates, form) in [([1, 5, 11], Form::Note), ([14, 30, 58], Form::Grain), ([64, 1000, 100_000], Form::Texture)] {
        for rate in rates {
            assert_eq!(of(rate), [form].into(), "{rate}/s");
        }
    }
}

#[test]
fn rule_1_there_are_at_most_40_onsets_a_second_and_64_voices() {
    for (name, hits) in pieces() {
        assert!(onsets(&hits) <= MAX_ONSETS as usize, "{name}: {} onsets in a second", onsets(&hits));
        let mut changes: Vec<(u64, i32)> = vec![];
        let mut textures = BTreeMap::new();
        for hit in &hits {
            if begins(hit) {
                changes.push((hit.time_ns, 1));
                changes.push((hit.time_ns + (hit.length_ms * 1e6) as u64, -1));
            } else if textures.insert(hit.event, hit.level > 0.0).unwrap_or(false) != (hit.level > 0.0) {
                changes.push((hit.time_ns, if hit.level > 0.0 { 1 } else { -1 }));
            }
        }
        changes.sort_unstable();
        let most = changes
            .iter()
            .scan(0, |voices, (_, change)| {
                *voices += change;
                Some(*voices)
            })
            .max();
        assert!(most <= Some(MAX_VOICES as i32), "{name}: {most:?} voices");
        assert!(textures.values().all(|lasts| !lasts), "{name}: a texture without an end");
        assert!(!hits.is_empty(), "{name} is silent");
    }
}

#[test]
fn rule_1_a_texture_sends_its_state_every_100_ms() {
    let stream = flood();
    let times: Vec<u64> = stream.hits().iter().filter(|hit| !begins(hit)).map(|hit| hit.time_ns).collect();
    assert!(times.len() >= 8, "{}", times.len());
    assert!(times.windows(2).all(|two| two[1] - two[0] == 100 * MS), "{times:?}");
}

#[test]
fn rule_1_level_and_colour_of_a_texture_follow_the_rate() {
    let of = |per_second: u64| {
        let mut stream = Stream::plain();
        let event = stream.add("sys", "event", &[]);
        (0..2 * per_second).for_each(|k| stream.event(event, k * S / per_second, 0, &[]));
        *stream.hits().last().unwrap()
    };
    let (few, many) = (of(100), of(100_000));
    // 3 dB per factor of ten.
    let db = 20.0 * (many.level / few.level).log10();
    assert!((8.0..10.0).contains(&db), "{db} dB for a thousandfold");
    assert!(many.brightness > few.brightness + 0.4, "{} {}", many.brightness, few.brightness);
}

#[test]
fn rule_2_larger_events_are_lower_and_longer_over_three_octaves() {
    let mut stream = Stream::plain();
    let event = stream.add("sys", "event", &["size"]);
    for k in 0..200 {
        stream.event(event, k * 250 * MS, 0, &[16 << (k % 11)]);
    }
    let notes: Vec<&Hit> = stream.hits().iter().skip(100).collect();
    let of = |power: u64| notes.iter().find(|hit| (hit.time_ns - BEGAN) / (250 * MS) % 11 == power).unwrap();
    let octaves = (of(0).note - of(10).note) / 12.0;
    assert!((2.7..3.1).contains(&octaves), "{octaves} octaves");
    assert!((1..11).all(|power| of(power).note <= of(power - 1).note + 0.2), "{notes:?}");
    assert!((1..11).all(|power| of(power).length_ms >= of(power - 1).length_ms));
    assert!(of(10).length_ms > 4.0 * of(0).length_ms);
}

#[test]
fn rule_2_a_pair_gives_its_duration() {
    let mut stream = Stream::plain();
    let entry = stream.add("irq", "irq_handler_entry", &["irq"]);
    let exit = stream.add("irq", "irq_handler_exit", &["irq", "ret"]);
    for k in 0..40u64 {
        let lasts = if k % 2 == 0 { 5_000 } else { 5 * MS };
        // Another CPU's interrupt occurs within it.
        stream.event(entry, k * 400 * MS, 0, &[9]);
        stream.event(entry, k * 400 * MS + 1000, 1, &[9]);
        stream.event(exit, k * 400 * MS + lasts, 0, &[9, 1]);
        stream.event(exit, k * 400 * MS + 10 * MS, 1, &[9, 1]);
    }
    let late = |hit: &&Hit| hit.event == exit && hit.pan < 0.0 && hit.time_ns > BEGAN + 8 * S;
    let (short, long): (Vec<&Hit>, Vec<&Hit>) =
        stream.hits().iter().filter(late).partition(|hit| (hit.time_ns - BEGAN) % (400 * MS) < MS);
    let mean = |hits: &[&Hit]| hits.iter().map(|hit| hit.note).sum::<f32>() / hits.len() as f32;
    assert!(short.len() > 5 && long.len() > 5, "{} {}", short.len(), long.len());
    assert!(mean(&short) - mean(&long) > 10.0, "{} {}", mean(&short), mean(&long));
}

#[test]
fn rule_2_the_pitches_of_page_faults_are_more_than_the_two_of_an_error_code() {
    let hits = of_fixture("irq-exceptions", 0.02, 0);
    let notes: BTreeSet<i32> =
        hits.hits().iter().filter(|hit| hit.timbre.number() == 5).map(|hit| hit.note.round() as i32).collect();
    assert!(notes.len() >= 4, "{notes:?}");
}

#[test]
fn rule_3_begin_and_end_lie_an_octave_apart() {
    for (system, begin, end) in
        [("irq", "softirq_entry", "softirq_exit"), ("syscalls", "sys_enter_sync", "sys_exit_sync")]
    {
        let mut stream = Stream::plain();
        let (entry, exit) = (stream.add(system, begin, &[]), stream.add(system, end, &[]));
        for k in 0..20 {
            stream.event(entry, k * 500 * MS, 0, &[]);
            stream.event(exit, k * 500 * MS + 10 * MS, 0, &[]);
        }
        let of = |event| stream.hits().iter().rfind(|hit| hit.event == event).unwrap().note;
        // Six cents of jitter each.
        let apart = of(entry) - of(exit);
        assert!((apart - 12.0).abs() <= 0.12, "{begin}: {apart} semitones");
    }
}

#[test]
fn rule_3_an_event_has_the_same_note_on_every_run() {
    for name in FIXTURES {
        let (one, other) = (of_fixture(name, 0.05, 1), of_fixture(name, 0.05, 99));
        assert_eq!(one.hits().len(), other.hits().len(), "{name}");
        for (a, b) in one.hits().iter().zip(other.hits()) {
            assert_eq!((a.time_ns, a.event, a.form, a.timbre), (b.time_ns, b.event, b.form, b.timbre), "{name}");
            assert!((a.note - b.note).abs() <= 0.12, "{name}: {} {}", a.note, b.note);
        }
        assert_eq!(one, of_fixture(name, 0.05, 1), "{name}: the same seed");
    }
}

/// Sounds that begin simultaneously, a semitone apart.
fn clashes(hits: &[Hit]) -> usize {
    let clash = |two: &&[Hit]| {
        two[0].time_ns == two[1].time_ns
            && two[0].event == two[1].event
            && begins(&two[0])
            && (two[1].note - two[0].note - 1.0).abs() < 1e-3
    };
    hits.windows(2).filter(clash).count()
}

#[test]
fn rule_4_normal_events_are_pentatonic_and_errors_clash() {
    for (name, hits) in pieces() {
        let off = |hit: &&Hit| {
            let class = hit.note.rem_euclid(12.0);
            ![0.0, 2.0, 4.0, 7.0, 9.0, 12.0].iter().any(|of_scale| (class - of_scale).abs() <= 0.0601)
        };
        let off = hits.iter().filter(off).count();
        assert_eq!(off, clashes(&hits), "{name}: only the second note of an error is beside the scale");
    }
    // `access` and `openat` of the shells fail to find files; interrupts do not fail.
    assert!(clashes(of_fixture("syscalls", 0.1, 0).hits()) > 0);
    assert_eq!(clashes(of_fixture("irq-exceptions", 0.1, 0).hits()), 0);
    // The kernel lost 19 993 events there.
    assert!(clashes(of_fixture("losses", 1.0, 0).hits()) > 0);
}

#[test]
fn rule_4_errors_are_heard_in_a_flood_of_successes() {
    let mut stream = Stream::plain();
    let exit = stream.add("raw_syscalls", "sys_exit", &["id", "ret"]);
    for k in 0..20_000u64 {
        stream.event(exit, k * 100_000, 0, &[1, if k == 15_000 { -5 } else { 0 }]);
    }
    assert_eq!(clashes(stream.hits()), 1);
    let error = stream.hits().iter().find(|hit| begins(hit) && hit.time_ns == BEGAN + 15_000 * 100_000).unwrap();
    assert!(error.level >= 0.4, "{error:?}");
}

#[test]
fn rule_5_place_is_the_cpu() {
    let mut stream = Stream::new(MapperOptions { cpus: 5, ..MapperOptions::default() });
    let event = stream.add("sys", "event", &[]);
    (0..5).for_each(|cpu| stream.event(event, u64::from(cpu) * 300 * MS, cpu, &[]));
    let pans: Vec<f32> = stream.hits().iter().map(|hit| (hit.pan * 10.0).round() / 10.0).collect();
    assert_eq!(pans, [-0.8, -0.4, 0.0, 0.4, 0.8]);
    // A load on both CPUs is in the middle.
    let texture = *flood().hits().iter().rfind(|hit| hit.time_ns <= BEGAN + S).unwrap();
    assert!(texture.pan.abs() < 0.1, "{texture:?}");
}

#[test]
fn rule_6_steady_events_fade_ended_ones_are_silent_and_returning_ones_are_new() {
    let mut stream = Stream::plain();
    let event = stream.add("sys", "event", &[]);
    for k in 0..200 * 60 {
        stream.event(event, k * 5 * MS, 0, &[]);
    }
    stream.wait_until(100 * S);
    stream.event(event, 100 * S, 0, &[]);
    let at = |second: u64| {
        let hit = stream.hits().iter().find(|hit| hit.form == Form::Texture && hit.time_ns >= BEGAN + second * S);
        20.0 * hit.unwrap().level.log10()
    };
    assert!(at(1) - at(50) > 15.0, "from {} dB to {} dB", at(1), at(50));
    let ended = stream.hits().iter().find(|hit| hit.form == Form::Texture && hit.level == 0.0).unwrap();
    let fade = (ended.time_ns - BEGAN) as f64 / 1e9 - 60.0;
    assert!((0.8..1.3).contains(&fade), "it fades in {fade} s");
    let new = stream.hits().last().unwrap();
    assert!(new.form == Form::Note && new.level > 0.7, "{new:?}");
}

#[test]
fn rule_7_one_parameter_goes_from_calm_to_detail() {
    let of = |detail, rate| forms(rate, MapperOptions { detail, ..MapperOptions::default() });
    assert_eq!((of(0.0, 8), of(0.5, 8), of(1.0, 8)), ([Form::Grain].into(), [Form::Note].into(), [Form::Note].into()));
    assert_eq!(of(1.0, 100), [Form::Grain].into());
    assert_eq!(of(0.0, 30), [Form::Texture].into());
}

#[test]
fn rule_8_a_hit_sounds_when_its_event_occurred_and_slow_replays_stretch_grains() {
    let mut stream = Stream::plain();
    let event = stream.add("sys", "event", &[]);
    let times = [0, 7 * MS, 400 * MS, 401 * MS, 900 * MS];
    times.iter().for_each(|&at| stream.event(event, at, 0, &[]));
    assert_eq!(stream.hits().iter().map(|hit| hit.time_ns - BEGAN).collect::<Vec<_>>(), times);
    let grain = |speed| {
        let mut stream = Stream::new(MapperOptions { speed, ..MapperOptions::default() });
        let event = stream.add("sys", "event", &["size"]);
        (0..100).for_each(|k| stream.event(event, k * 30 * MS, 0, &[64]));
        let grain = *stream.hits().last().unwrap();
        assert_eq!(grain.form, Form::Grain);
        grain.length_ms
    };
    assert!((30.0..=80.0).contains(&grain(1.0)), "{} ms", grain(1.0));
    assert!((grain(0.5) / grain(1.0) - 2.0).abs() < 1e-3);
    assert_eq!((grain(1.0 / 170_000.0), grain(20.0)), (200.0, grain(1.0)));
}
