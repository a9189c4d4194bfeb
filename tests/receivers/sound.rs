//! Whether a rendered file is silent.

use std::path::Path;

/// The largest sample of a WAV file of 16-bit integers or 32-bit floats, 1.0 being full scale.
pub fn peak_of_wav(path: &Path) -> f64 {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(bytes.starts_with(b"RIFF") && bytes[8..12] == *b"WAVE", "{} is no WAV file", path.display());
    let mut rest = &bytes[12..];
    let mut bits = 0;
    while rest.len() >= 8 {
        let (id, size) = (&rest[..4], u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize);
        let body = &rest[8..];
        match id {
            b"fmt " => bits = u16::from_le_bytes(body[14..16].try_into().unwrap()),
            // A program that was interrupted may leave the size unset: then the data runs to the end.
            b"data" => return peak(&body[..if size == 0 { body.len() } else { size.min(body.len()) }], bits),
            _ => {}
        }
        rest = rest.get(8 + size + size % 2..).unwrap_or_default();
    }
    panic!("{} has no samples", path.display());
}

/// The largest of little-endian samples of that many bits.
pub fn peak(samples: &[u8], bits: u16) -> f64 {
    let samples: Vec<f64> = match bits {
        16 => samples.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect(),
        32 => samples.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        other => panic!("samples of {other} bits"),
    };
    assert!(samples.iter().all(|s| s.is_finite()), "a sample is no number");
    samples.iter().fold(0.0, |peak, s| f64::max(peak, s.abs()))
}

/// Fails if nothing can be heard, or if it is louder than a loudspeaker can be.
pub fn assert_audible(peak: f64) {
    assert!(peak > 0.005, "silence: the largest sample is {peak}");
    assert!(peak <= 1.0, "too loud: the largest sample is {peak}");
}
