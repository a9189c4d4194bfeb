//! A load of hits for every receiver that plays them, and measurements of the resulting sound.

use std::net::UdpSocket;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ebur128::{EbuR128, Mode};
use ftrace_live::osc::timetag;
use rosc::{OscBundle, OscMessage, OscPacket, OscType};

/// The duration of the load, s, and the part that is measured for loudness: the rest is the flood.
pub const SECONDS: f64 = 5.0;
const MIXED: f64 = 4.0;

fn hit(event: &str, form: i32, timbre: i32, numbers: [f32; 5]) -> OscPacket {
    let head = [OscType::String(event.to_owned()), OscType::Int(form), OscType::Int(timbre)];
    let args = head.into_iter().chain(numbers.map(OscType::Float)).collect();
    OscPacket::Message(OscMessage { addr: "/ftrace/hit".into(), args })
}

/// Four seconds of a mixed load: 20 notes a second of all timbres, alternating between both sides, and two textures.
/// Then a second of the most that a mapping produces: 40 notes and 4 textures at full level.
pub fn send_load(port: u16) {
    let began = Instant::now();
    send_load_by(port, |k| sleep(Duration::from_secs_f64(k as f64 / 40.0).saturating_sub(began.elapsed())));
}

/// The same by another clock: `wait` returns when the given fortieth of a second is reached.
pub fn send_load_by(port: u16, mut wait: impl FnMut(usize)) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for k in 0..(SECONDS * 40.0) as usize {
        let at = k as f64 / 40.0;
        let flood = at >= MIXED;
        let mut content = vec![];
        let side = if k / 2 % 2 == 0 { -0.8 } else { 0.8 };
        let note = [57.0, 60.0, 62.0, 64.0, 67.0, 69.0, 72.0][k / 2 % 7];
        if flood {
            content.push(hit("sys:loud", 0, k as i32 % 8, [note, 1.0, 900.0, side, 1.0]));
        } else if k % 2 == 0 {
            content.push(hit("sys:note", k as i32 / 4 % 2, (k / 4 % 8) as i32, [note, 0.4, 250.0, side, 0.5]));
        }
        if k % 4 == 0 {
            let level = if flood { 1.0 } else { 0.12 };
            for (event, timbre, note, pan) in [
                ("mm:one", 5, 57.0, -0.3),
                ("sys:two", 4, 64.0, 0.3),
                ("irq:three", 0, 60.0, -0.3),
                ("fs:four", 6, 69.0, 0.3),
            ]
            .into_iter()
            .take(if flood { 4 } else { 2 })
            {
                content.push(hit(event, 2, timbre, [note, level, 100.0, pan, 0.4]));
            }
        }
        if !content.is_empty() {
            let bundle = OscBundle { timetag: timetag::osc_time(timetag::unix_now_ns()), content };
            let bytes = rosc::encoder::encode(&OscPacket::Bundle(bundle)).unwrap();
            socket.send_to(&bytes, ("127.0.0.1", port)).unwrap();
        }
        wait(k + 1);
    }
    let ends =
        ["mm:one", "sys:two", "irq:three", "fs:four"].map(|event| hit(event, 2, 5, [57.0, 0.0, 100.0, 0.0, 0.4]));
    let stop = OscPacket::Message(OscMessage { addr: "/ftrace/stop".into(), args: vec![] });
    let content = ends.into_iter().chain([stop]).collect();
    let bundle = OscBundle { timetag: timetag::osc_time(timetag::unix_now_ns()), content };
    socket.send_to(&rosc::encoder::encode(&OscPacket::Bundle(bundle)).unwrap(), ("127.0.0.1", port)).unwrap();
}

/// The frames of a two-channel WAV file, and their rate.
fn frames(path: &Path) -> (Vec<[f32; 2]>, u32) {
    let mut wav = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let spec = wav.spec();
    assert_eq!(spec.channels, 2, "{}", path.display());
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => wav.samples::<f32>().map_while(Result::ok).collect(),
        hound::SampleFormat::Int => {
            let full = (1i64 << (spec.bits_per_sample - 1)) as f32;
            wav.samples::<i32>().map_while(Result::ok).map(|sample| sample as f32 / full).collect()
        }
    };
    (samples.chunks_exact(2).map(|two| [two[0], two[1]]).collect(), spec.sample_rate)
}

/// Asserts the sound of the load: as loud as in other receivers (all within 3 dB), centred, and never at full scale.
/// Returns its length, s.
pub fn assert_load(path: &Path) -> f64 {
    let (frames, rate) = frames(path);
    let first = frames.iter().position(|[l, r]| l.abs().max(r.abs()) > 1e-3).expect("silence");
    // After the fade-in, before the flood; only as many seconds as certainly exist if a receiver's clock runs freely.
    let from = first + rate as usize;
    let part = &frames[from.min(frames.len())..(from + rate as usize).min(frames.len())];
    let mut meter = EbuR128::new(2, rate, Mode::I).unwrap();
    meter.add_frames_f32(part.as_flattened()).unwrap();
    let lufs = meter.loudness_global().unwrap();
    let db = |side: usize| {
        let power: f64 = part.iter().map(|frame| f64::from(frame[side]).powi(2)).sum();
        10.0 * (power / part.len() as f64).log10()
    };
    let peak = frames.iter().flatten().fold(0f32, |peak, sample| peak.max(sample.abs()));
    println!("{}: {lufs:.1} LUFS, left {:.1} dB, right {:.1} dB, peak {peak:.3}", path.display(), db(0), db(1));
    assert!((-25.5..=-22.5).contains(&lufs), "{lufs} LUFS");
    assert!((db(0) - db(1)).abs() < 2.0, "left {} dB, right {} dB", db(0), db(1));
    assert!(peak < 0.99, "a sample at full scale: {peak}");
    assert!(peak > 0.05, "the largest sample is {peak}");
    frames.len() as f64 / f64::from(rate)
}
