//! `ftrace-live render`.

use std::path::Path;
use std::process::{Command, Output};

use crate::piece::fixture;

fn render(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("render").arg(fixture("irq-exceptions")).args(arguments).output().unwrap()
}

fn file(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = render(&[&["-o", path.to_str().unwrap()], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path).unwrap()
}

/// The samples behind the header of a WAV file.
fn data(wav: &[u8]) -> &[u8] {
    let at = wav.windows(4).position(|word| word == b"data").unwrap();
    &wav[at + 8..]
}

#[test]
fn a_file_is_48_khz_stereo_of_24_bits_and_the_same_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let wav = file(&path, &["--speed", "1/4"]);
    let spec = hound::WavReader::open(&path).unwrap().spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (48_000, 2, 24));
    // 0.47 s four times slower, and the end of the last sounds.
    let seconds = data(&wav).len() as f64 / 6.0 / 48_000.0;
    assert!((2.5..4.0).contains(&seconds), "{seconds} s");
    assert_eq!(wav, file(&path, &["--speed", "1/4"]));
    assert_ne!(wav, file(&path, &["--speed", "1/4", "--seed", "7"]));
}

#[test]
fn standard_output_has_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let wav = file(&folder.path().join("x.wav"), &[]);
    let output = render(&["-o", "-"]);
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"RIFF"));
    assert_eq!(data(&output.stdout), data(&wav));
}

#[test]
fn a_part_is_shorter_and_other_events_sound_different() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let all = file(&path, &["--speed", "0.1"]);
    let part = file(&path, &["--speed", "0.1", "--from", "100ms", "--until", "200ms"]);
    // 100 ms ten times slower and the end of the last sounds.
    let seconds = data(&part).len() as f64 / 6.0 / 48_000.0;
    assert!(data(&part).len() < data(&all).len() && (1.0..3.5).contains(&seconds), "{seconds} s");
    assert_ne!(data(&all), data(&file(&path, &["--speed", "0.1", "-e", "irq"])));
}

#[test]
fn wrong_command_lines_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (arguments, said) in [
        (vec!["-o", &path("x.ogg")], "ffmpeg"),
        (vec!["-o", &path("none/x.wav")], "there is no folder"),
        (vec!["-o", folder.path().to_str().unwrap()], "is a folder"),
        (vec!["-o", &path("x.wav"), "--speed", "max"], "--speed"),
        (vec!["-o", &path("x.wav"), "--speed", "1e-9"], "four hours"),
        (vec!["-o", &path("x.wav"), "--detail", "2"], "from 0"),
        (vec!["-o", &path("x.wav"), "--cpu", "99"], "none of these CPUs"),
    ] {
        let output = render(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert!(!folder.path().join("x.wav").exists(), "{arguments:?} leaves a file");
    }
}
