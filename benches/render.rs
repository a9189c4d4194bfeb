//! `render`, without the file: a capture's events, their hits, the loudness and the samples, in times real time.
//!
//! `cargo bench --bench render`. The bar is 20 times real time: criterion's elements per second, by 48 000.
use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ftrace_live::{
    capture,
    output::{Hits, Outputs},
    page::demo::Demo,
    replay::{JumpingTime, Observer, PlayOptions, Speed, Time, play},
    sound::{MapperOptions, Score},
};

/// When every piece begins.
const BEGAN: u64 = 1_000_000_000_000_000_000;

struct Deaf;

impl Observer for Deaf {
    fn warn(&mut self, _: &str) {}
    fn position(&mut self, _: u64, _: u64) {}
}

fn score(path: &Path, speed: f64) -> Score {
    let mut outputs = Outputs::default();
    outputs.hits = Some(Hits::new(MapperOptions { speed, ..MapperOptions::default() }, "/ftrace").keep());
    let options = PlayOptions {
        speed: Speed::Times(speed),
        select: Default::default(),
        start_at: None,
        repeat: false,
        host: String::new(),
    };
    let open = || capture::open(path, Default::default());
    let mut time = JumpingTime::default();
    let (_, mut outputs) = play(open().unwrap(), &mut || open(), outputs, &options, &mut time, &mut Deaf).unwrap();
    Score::new(outputs.hits.take().unwrap().into_kept(), BEGAN, time.now())
}

fn sound(path: &Path, speed: f64) -> f32 {
    let score = score(path, speed);
    let (gain, mut sum) = (score.gain(0).unwrap(), 0.0);
    let each = |frames: &[[f32; 2]]| {
        sum += frames.iter().map(|[left, right]| left + right).sum::<f32>();
        Ok::<(), ()>(())
    };
    score.play(gain, true, 0, each).unwrap();
    sum
}

fn render(criterion: &mut Criterion) {
    let demo = Demo::unpack().unwrap();
    let faults = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let mut group = criterion.benchmark_group("render");
    group.sample_size(20);
    for (name, path, speed) in [("demo", demo.path(), 1.0), ("irq-exceptions at 1/20", faults, 0.05)] {
        group.throughput(Throughput::Elements(score(&path, speed).frames()));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(sound(&path, speed))));
    }
}

criterion_group!(benches, render);
criterion_main!(benches);
