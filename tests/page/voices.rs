//! The page's voices equal those of `render`: each timbre and form has the same level and spectrum over time in both.

use ftrace_live::sound::{Form, Hit, SAMPLE_RATE, Score, Timbre};
use serde_json::json;

use crate::demo::demo;
use crate::devtools::Browser;

const S: u64 = 1_000_000_000;
/// Samples of a part that is compared: 50 ms.
const PART: usize = 2400;
const PARTS: usize = 8;
/// The seed in both.
const SEED: u64 = 5;
/// The mix gains: `MIX` of src/sound/score.rs and of voices.js.
const MIXES: [f64; 2] = [0.35, 1.0];

/// The level, and the level of differences between neighbouring samples, left and right, of each part: the latter
/// grows by 6 dB for each octave of the spectrum.
fn measure(samples: &[[f32; 2]]) -> Vec<f64> {
    let rms =
        |values: &mut dyn Iterator<Item = f64>| (values.map(|value| value * value).sum::<f64>() / PART as f64).sqrt();
    let mut all = vec![];
    for part in samples.chunks_exact(PART).take(PARTS) {
        for side in 0..2 {
            all.push(rms(&mut part.iter().map(|frame| f64::from(frame[side]))));
            all.push(rms(&mut part.windows(2).map(|two| f64::from(two[1][side] - two[0][side]))));
        }
    }
    all
}

fn rendered(hit: Hit) -> Vec<f64> {
    // After the fade-in.
    let began = hit.time_ns - 2 * S;
    let (mut samples, score) = (vec![], Score::new(vec![hit], began, hit.time_ns));
    let mut each = |frames: &[[f32; 2]]| {
        samples.extend_from_slice(frames);
        Ok::<(), ()>(())
    };
    score.play(1.0, false, SEED, &mut each).unwrap();
    measure(&samples[2 * SAMPLE_RATE as usize..])
}

/// The same for the page's voices, shifted by the delay of the limiter, 239 samples.
const PLAYED: &str = "async (hit) => {
    const context = new OfflineAudioContext(2, 48000, 48000);
    await context.audioWorklet.addModule('voices.js');
    const recipes = await (await fetch('recipes.json')).json();
    const processorOptions = { recipes, dry: true, seed: 5, hits: [{ ...hit, when: 0.1 }] };
    const node = new AudioWorkletNode(context, 'hits', { numberOfInputs: 0, outputChannelCount: [2], processorOptions });
    node.connect(context.destination);
    const buffer = await context.startRendering();
    const from = 4800 + 239, all = [];
    for (let part = 0; part < 8; part++) {
        for (const side of [0, 1]) {
            const data = buffer.getChannelData(side).slice(from + part * 2400, from + (part + 1) * 2400);
            const rms = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / 2400);
            all.push(rms(data), rms(data.map((value, k) => (k ? value - data[k - 1] : 0))));
        }
    }
    return all;
}";

#[test]
fn each_timbre_sounds_as_in_render() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(800, 600);
    tab.open(&url);
    for timbre in Timbre::ALL {
        for (form, length_ms) in [(Form::Note, 380.0), (Form::Grain, 60.0), (Form::Texture, 100.0)] {
            let hit = Hit {
                time_ns: 1000 * S,
                event: 3,
                form,
                timbre,
                note: 64.5,
                level: 0.25,
                length_ms,
                pan: -0.3,
                brightness: 0.6,
            };
            let of_page = json!({
                "event": "a:b", "form": form.number(), "timbre": timbre.number(), "note": 64.5, "level": 0.25, "length": length_ms,
                "pan": -0.3, "brightness": 0.6,
            });
            let played = tab.get(&format!("({PLAYED})({of_page})"));
            let played: Vec<f64> = played.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
            let rendered = rendered(hit);
            assert_eq!(played.len(), rendered.len());
            // 40 dB below the loudest is inaudible beside it.
            let floor = rendered.iter().copied().fold(0.0, f64::max) / MIXES[0] / 100.0;
            for (k, (ours, theirs)) in rendered.iter().zip(&played).enumerate() {
                let apart = 20.0 * ((theirs / MIXES[1] + floor) / (ours / MIXES[0] + floor)).log10();
                assert!(apart.abs() < 0.2, "{timbre:?} {form:?}, {k}: {apart} dB; {rendered:?} {played:?}");
            }
        }
    }
    tab.assert_no_complaint();
}
