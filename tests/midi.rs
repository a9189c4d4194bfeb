//! Hits as a MIDI file, compared with the hits that the same run sends.

#[cfg(feature = "midi")]
#[path = "common/skipped.rs"]
mod skipped;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use midly::{MidiMessage, Smf, Timing, TrackEventKind};
use rosc::{OscMessage, OscPacket, OscType, decoder};

fn number(argument: &OscType) -> f32 {
    match argument {
        OscType::Float(number) => *number,
        OscType::Int(number) => *number as f32,
        other => panic!("{other:?}"),
    }
}

/// The hits of a replay that also writes `midi`.
fn hits(midi: &Path) -> Vec<OscMessage> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args([
        "replay",
        fixture,
        "-q",
        "--hits",
        "-e",
        "exceptions",
        "irq",
        "--to",
        &format!("midi:{}", midi.display()),
    ]);
    command.args(["--to", &socket.local_addr().unwrap().to_string()]);
    let mut child = command.spawn().unwrap();
    let (mut hits, mut bytes) = (vec![], vec![0; 65536]);
    loop {
        match socket.recv(&mut bytes) {
            Ok(len) => {
                let OscPacket::Bundle(bundle) = decoder::decode_udp(&bytes[..len]).unwrap().1 else { panic!() };
                hits.extend(bundle.content.into_iter().filter_map(|packet| match packet {
                    OscPacket::Message(message) if message.addr == "/ftrace/hit" => Some(message),
                    _ => None,
                }));
            }
            Err(_) if child.try_wait().unwrap().is_some() => break,
            Err(_) => {}
        }
    }
    assert!(child.wait().unwrap().success());
    hits
}

#[test]
fn a_midi_file_has_the_notes_of_the_hits_each_with_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.mid");
    let hits = hits(&file);
    let bytes = std::fs::read(&file).unwrap();
    let smf = Smf::parse(&bytes).unwrap();
    assert_eq!((smf.tracks.len(), smf.header.timing), (1, Timing::Metrical(1000.into())));
    let (mut now, mut on, mut sounding) = (0u32, vec![], std::collections::HashMap::<(u8, u8), i32>::new());
    for event in &smf.tracks[0] {
        now += event.delta.as_int();
        let TrackEventKind::Midi { channel, message } = event.kind else { continue };
        match message {
            MidiMessage::NoteOn { key, vel } => {
                on.push((channel.as_int(), key.as_int(), vel.as_int()));
                *sounding.entry((channel.as_int(), key.as_int())).or_default() += 1;
            }
            MidiMessage::NoteOff { key, .. } => *sounding.entry((channel.as_int(), key.as_int())).or_default() -= 1,
            _ => {}
        }
    }
    assert!(sounding.values().all(|count| *count == 0), "{sounding:?} do not end");
    // event, form, timbre, note, level, length, pan, brightness.
    let single = hits.iter().filter(|hit| number(&hit.args[1]) < 2.0);
    let mut want: Vec<_> = single
        .map(|hit| {
            let [timbre, note, level] = [2, 3, 4].map(|index| number(&hit.args[index]));
            (timbre as u8, note.round() as u8, (level * 127.0).round().max(1.0) as u8)
        })
        .collect();
    assert!(want.len() > 5, "{} notes", want.len());
    // Textures are notes too; each single note is among those in the file.
    for note in want.drain(..) {
        let at = on.iter().position(|played| *played == note).unwrap_or_else(|| panic!("{note:?} is not played"));
        on.remove(at);
    }
    assert!(now > 100, "it lasts {now} ms");
    let again = Command::new(env!("CARGO_BIN_EXE_ftrace-live"))
        .args([
            "replay",
            concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched"),
            "--to",
            &format!("midi:{}", file.display()),
        ])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(2), "nothing is overwritten");
}

fn said(target: &str) -> (Option<i32>, String) {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    let output = command.args(["replay", fixture, "--speed", "max", "--to", target]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(not(feature = "midi"))]
#[test]
fn a_port_needs_the_feature_midi() {
    for target in ["midi:", "midi:a synth"] {
        let (code, said) = said(target);
        assert!(code == Some(2) && said.contains("--features midi") && said.contains("midi:FILE.mid"), "{said}");
    }
    let (code, said) = said("midi:/dev/null/x.mid");
    assert!(code == Some(1) && said.contains("cannot write"), "{said}");
}

#[cfg(feature = "midi")]
#[test]
fn ports_are_listed_and_a_missing_one_is_reported() {
    if !Path::new("/dev/snd/seq").exists() {
        skipped::say(format_args!("there is no ALSA sequencer (/dev/snd/seq): ports are tested by a double alone"));
        assert_eq!(said("midi:a synth").0, Some(1));
        return;
    }
    assert!(said("midi:").1.contains("there "), "{}", said("midi:").1);
    assert!(said("midi:no such port").1.contains("no port of that name"));
}
