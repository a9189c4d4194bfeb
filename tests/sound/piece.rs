//! Pieces to listen to, from captures or made-up streams; and measurements of their samples.

use std::path::{Path, PathBuf};

use byteorder::LittleEndian;
use ebur128::{EbuR128, Mode};
use ftrace_live::capture;
use ftrace_live::format::{EventFormat, LongSize};
use ftrace_live::replay::{Observer, score};
use ftrace_live::sound::{Hit, Mapper, MapperOptions, SAMPLE_RATE, Score, When};

pub const S: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;
/// The start of every piece.
pub const BEGAN: u64 = 1_000_000_000 * S;

pub const FIXTURES: [&str; 7] = ["irq-exceptions", "kmem", "losses", "one-second", "print", "sched", "syscalls"];

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18").join(name)
}

struct Deaf;

impl Observer for Deaf {
    fn warn(&mut self, _: &str) {}
    fn position(&mut self, _: u64, _: u64) {}
}

/// The score of a capture at this speed, as in `render`.
pub fn of_fixture(name: &str, speed: f64, seed: u64) -> Score {
    let open = || capture::open(&fixture(name), Default::default());
    let options = MapperOptions { speed, seed, ..MapperOptions::default() };
    score(open().unwrap(), &mut || open(), Default::default(), options, &mut Deaf).unwrap().1
}

/// A made-up stream of events whose fields are `int`s.
pub struct Stream {
    mapper: Mapper,
    hits: Vec<Hit>,
    events: u16,
    last: u64,
}

impl Stream {
    pub fn new(options: MapperOptions) -> Stream {
        Stream { mapper: Mapper::new(options), hits: vec![], events: 0, last: BEGAN }
    }

    /// With two CPUs.
    pub fn plain() -> Stream {
        Stream::new(MapperOptions { cpus: 2, ..MapperOptions::default() })
    }

    /// Adds an event; returns its number in `event` and in its hits.
    pub fn add(&mut self, system: &str, name: &str, fields: &[&str]) -> u16 {
        let id = self.events;
        self.events += 1;
        let mut text = format!(
            "name: {name}\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
        );
        for (k, field) in fields.iter().enumerate() {
            text += &format!("\tfield:int {field};\toffset:{};\tsize:4;\tsigned:1;\n", 8 + 4 * k);
        }
        let format = EventFormat::parse(system, &(text + "\nprint fmt: \"\"\n"), LongSize::Eight).unwrap();
        self.mapper.add(&format);
        id
    }

    /// An event at a time since the beginning, of task 100 + `cpu`.
    pub fn event(&mut self, event: u16, at: u64, cpu: u32, values: &[i32]) {
        let pid = 100 + cpu as i32;
        let mut record = [event.to_le_bytes().as_slice(), &[0; 2], &pid.to_le_bytes()].concat();
        values.iter().for_each(|value| record.extend(value.to_le_bytes()));
        let when = When { event_ns: BEGAN + at, play_ns: BEGAN + at, cpu, pid };
        let id = ftrace_live::format::EventId(event);
        self.mapper.event::<LittleEndian>(id, &record, when);
        self.last = self.last.max(BEGAN + at);
        self.take();
    }

    /// Lets time pass.
    pub fn wait_until(&mut self, at: u64) {
        let mut now = self.last;
        while now < BEGAN + at {
            now += 50 * MS;
            self.mapper.tick(now);
            self.take();
        }
        self.last = now;
    }

    fn take(&mut self) {
        self.mapper.take(|hit, _| self.hits.push(*hit));
    }

    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    pub fn score(&self) -> Score {
        Score::new(self.hits.clone(), BEGAN, self.last)
    }
}

/// 100 000 page faults in a second on two CPUs, and then nothing.
pub fn flood() -> Stream {
    let mut stream = Stream::plain();
    let fault = stream.add("exceptions", "page_fault_user", &["address", "ip", "error_code"]);
    for k in 0..100_000u64 {
        stream.event(fault, k * 10_000, (k / 7 % 2) as u32, &[k as i32, 1, 6]);
    }
    stream.wait_until(5 * S / 2);
    stream
}

/// A minute of a nearly idle machine: a timer's interrupt, a task that wakes, now and then a write.
pub fn idle_minute() -> Stream {
    let mut stream = Stream::plain();
    let entry = stream.add("irq", "softirq_entry", &["vec"]);
    let exit = stream.add("irq", "softirq_exit", &["vec"]);
    let wakeup = stream.add("sched", "sched_wakeup", &["pid", "prio"]);
    let write = stream.add("writeback", "writeback_written", &["nr_pages"]);
    for second in 0..60u64 {
        let at = second * S + second * 37 % 11 * 31 * MS;
        let cpu = (second % 2) as u32;
        stream.event(entry, at, cpu, &[1]);
        stream.event(exit, at + (20 + second % 5 * 40) * 1000, cpu, &[1]);
        if second % 3 == 0 {
            stream.event(wakeup, at + 300_000, cpu, &[100, 120]);
        }
        if second % 17 == 5 {
            stream.event(write, at + 2 * MS, 1 - cpu, &[8 << (second % 6)]);
        }
    }
    stream
}

/// All samples, as written by `render`.
pub fn samples(score: &Score) -> Vec<[f32; 2]> {
    let mut samples = vec![];
    let gain = score.gain(0).unwrap();
    score
        .play(gain, true, 0, |frames| {
            samples.extend_from_slice(frames);
            Ok::<(), ()>(())
        })
        .unwrap();
    samples
}

/// Integrated loudness, LUFS, and true peak, dBFS.
pub fn loudness(samples: &[[f32; 2]]) -> (f64, f64) {
    let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::I | Mode::TRUE_PEAK).unwrap();
    meter.add_frames_f32(samples.as_flattened()).unwrap();
    let peak = meter.true_peak(0).unwrap().max(meter.true_peak(1).unwrap());
    (meter.loudness_global().unwrap(), 20.0 * peak.log10())
}

/// The level of a part, dBFS.
pub fn level(samples: &[[f32; 2]]) -> f64 {
    let power = samples.iter().map(|[l, r]| f64::from(l * l + r * r) / 2.0).sum::<f64>() / samples.len().max(1) as f64;
    10.0 * power.max(1e-20).log10()
}

/// The centroid of the spectrum, Hz: magnitudes of all complete blocks of 4096 samples.
pub fn centroid(samples: &[[f32; 2]]) -> f64 {
    const N: usize = 4096;
    let (mut weighted, mut sum) = (0.0, 0.0);
    for block in samples.chunks_exact(N) {
        let hann = |k: usize| 0.5 - 0.5 * (std::f64::consts::TAU * k as f64 / N as f64).cos();
        let mut wave: Vec<(f64, f64)> =
            block.iter().enumerate().map(|(k, [l, r])| (f64::from(l + r) * hann(k), 0.0)).collect();
        fourier(&mut wave);
        for (k, (re, im)) in wave[..N / 2].iter().enumerate() {
            let power = re * re + im * im;
            weighted += power * k as f64 * f64::from(SAMPLE_RATE) / N as f64;
            sum += power;
        }
    }
    weighted / sum
}

/// The discrete Fourier transform of a power of two of complex numbers (Cooley and Tukey).
fn fourier(wave: &mut [(f64, f64)]) {
    let n = wave.len();
    if n == 1 {
        return;
    }
    let (mut even, mut odd): (Vec<_>, Vec<_>) = wave.chunks_exact(2).map(|two| (two[0], two[1])).unzip();
    fourier(&mut even);
    fourier(&mut odd);
    for k in 0..n / 2 {
        let (sin, cos) = (-std::f64::consts::TAU * k as f64 / n as f64).sin_cos();
        let (re, im) = (odd[k].0 * cos - odd[k].1 * sin, odd[k].0 * sin + odd[k].1 * cos);
        wave[k] = (even[k].0 + re, even[k].1 + im);
        wave[k + n / 2] = (even[k].0 - re, even[k].1 - im);
    }
}

/// A minute of an idle desktop, traced with `-e irq sched timer block net`: hundreds of switches and softirqs a
/// second, the compositor's 60 Hz now and then, a cursor, a mail check, the journal.
pub fn desktop_minute() -> Stream {
    let mut stream = Stream::new(MapperOptions { cpus: 4, ..MapperOptions::default() });
    let switch = stream.add("sched", "sched_switch", &["prev_pid", "next_pid"]);
    let wakeup = stream.add("sched", "sched_wakeup", &["pid", "prio"]);
    let exec = stream.add("sched", "sched_process_exec", &["pid"]);
    let fork = stream.add("sched", "sched_process_fork", &["child_pid"]);
    let entry = stream.add("irq", "softirq_entry", &["vec"]);
    let exit = stream.add("irq", "softirq_exit", &["vec"]);
    let irq = stream.add("irq", "irq_handler_entry", &["irq"]);
    let hrtimer = stream.add("timer", "hrtimer_expire_entry", &["softexpires"]);
    let issue = stream.add("block", "block_rq_issue", &["bytes"]);
    let complete = stream.add("block", "block_rq_complete", &["nr_sector"]);
    let rx = stream.add("net", "netif_receive_skb", &["len"]);
    let mut random = 7u64;
    let mut chance = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut events: Vec<(u64, u16, u32, Vec<i32>)> = vec![];
    for ms in 0..60_000u64 {
        let at = ms * MS;
        let cpu = (chance() * 4.0) as u32;
        // The compositor works for two seconds of every nine.
        let busy = if ms / 1000 % 9 < 2 { 2.0 } else { 0.6 };
        if chance() < 0.25 * busy {
            let lasts = 2_000 + (chance() * chance() * 300_000.0) as u64;
            events.push((at + 10_000, entry, cpu, vec![(chance() * 9.0) as i32]));
            events.push((at + 10_000 + lasts, exit, cpu, vec![1]));
        }
        for k in 0..2 {
            if chance() < 0.25 * busy {
                events.push((at + 400_000 + k * 200_000, switch, cpu, vec![100 + (chance() * 9.0) as i32, 200]));
                events.push((at + 350_000 + k * 200_000, wakeup, cpu, vec![200, 120]));
            }
        }
        if chance() < 0.025 * busy {
            events.push((at + 700_000, irq, cpu, vec![30 + (chance() * 5.0) as i32]));
        }
        if chance() < 0.06 {
            events.push((at + 750_000, hrtimer, cpu, vec![1]));
        }
        if ms % 5300 == 120 {
            for k in 0..3 + (ms / 5300 % 4) {
                let bytes = 4096 << (chance() * 6.0) as u32;
                events.push((at + 800_000 + k * 7 * MS, issue, cpu, vec![bytes]));
                events.push((at + 900_000 + k * 9 * MS, complete, cpu, vec![bytes / 512]));
            }
        }
        if chance() < 0.0015 {
            for k in 0..4 {
                events.push((at + 850_000 + k * 3 * MS, rx, 0, vec![60 + (chance() * 1400.0) as i32]));
            }
        }
        if ms % 17_000 == 9000 {
            events.push((at + 860_000, fork, cpu, vec![77]));
            events.push((at + 960_000, exec, cpu, vec![77]));
        }
    }
    events.sort();
    for (at, event, cpu, values) in events {
        stream.event(event, at, cpu, &values);
    }
    stream.wait_until(60 * S);
    stream
}
