//! `render`, without the file: a capture's events, their hits, the loudness and the samples, in times real time.
//!
//! `cargo bench --bench render`. The bar is 20 times real time: criterion's elements per second, by 48 000.
use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ftrace_live::{
    capture,
    page::demo::Demo,
    replay::{self, Observer},
    sound::{MapperOptions, Score},
};

struct Deaf;

impl Observer for Deaf {
    fn warn(&mut self, _: &str) {}
    fn position(&mut self, _: u64, _: u64) {}
}

fn score(path: &Path, speed: f64) -> Score {
    let open = || capture::open(path, Default::default());
    let options = MapperOptions { speed, ..MapperOptions::default() };
    replay::score(open().unwrap(), &mut || open(), Default::default(), options, &mut Deaf).unwrap().1
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
