//! Receivers of mapped messages: SuperDirt's own handler in sclang, osc.js, and a program compiled by Faust. The
//! oracle is what the same replay sends to a socket of the test.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ftrace_live::osc::packet::take_apart;
use rosc::{OscMessage, OscPacket, OscType, decoder};
use serde_json::Value;

use crate::common::program::{self, PATIENCE, Program, command};
use crate::common::skipped;

fn messages(packet: OscPacket, into: &mut Vec<OscMessage>) {
    match packet {
        OscPacket::Message(message) => into.push(message),
        OscPacket::Bundle(bundle) => bundle.content.into_iter().for_each(|packet| messages(packet, into)),
    }
}

/// Sends everything that a replay sends with this map to the receiver at `port`, and to us.
fn play(map: &str, port: u16, more: &[&str]) -> Vec<OscMessage> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["replay", fixture, "-q", "--map", map, "--to", &format!("127.0.0.1:{port}"), "--to"]);
    let mut child = command.arg(socket.local_addr().unwrap().to_string()).args(more).spawn().unwrap();
    let (mut sent, mut bytes, give_up) = (vec![], vec![0; 65536], Instant::now() + PATIENCE);
    loop {
        match socket.recv(&mut bytes) {
            Ok(len) => messages(decoder::decode_udp(&bytes[..len]).unwrap().1, &mut sent),
            Err(_) if child.try_wait().unwrap().is_some() => break,
            Err(_) => assert!(Instant::now() < give_up),
        }
    }
    assert!(child.wait().unwrap().success());
    assert!(sent.len() > 5, "{map}: {} messages", sent.len());
    sent
}

fn float(argument: &OscType) -> f32 {
    match argument {
        OscType::Float(number) => *number,
        OscType::Int(number) => *number as f32,
        other => panic!("{other:?} is no number"),
    }
}

/// Where npm installs osc.js; `None` and a line if it is not installed.
fn osc_js() -> Option<PathBuf> {
    if !program::installed("node") || !program::installed("npm") {
        return None;
    }
    let root = Command::new("npm").args(["root", "-g"]).output().ok()?;
    let root = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim());
    if !root.join("osc").is_dir() {
        skipped::say(format_args!("osc.js is not installed: npm install -g --omit=optional osc"));
        return None;
    }
    Some(root)
}

#[test]
fn osc_js_reads_the_map_for_processing_as_it_was_sent() {
    let Some(modules) = osc_js() else { return };
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    let driver = format!(
        "const osc = require('osc');
        const port = new osc.UDPPort({{ localAddress: '127.0.0.1', localPort: {port}, metadata: true }});
        port.on('message', (m) => console.log(JSON.stringify({{ address: m.address, args: m.args }})));
        port.on('error', (error) => console.log('error', error));
        port.on('ready', () => console.log('ready'));
        port.open();"
    );
    std::fs::write(home.path().join("driver.js"), driver).unwrap();
    let mut node = command("node", home.path());
    node.env("NODE_PATH", modules).arg("driver.js");
    let mut node = Program::start(node);
    node.wait_for("ready");
    let sent = play("processing", port, &["-e", "irq"]);
    assert!(sent.iter().any(|message| message.addr == "/hit") && sent.iter().any(|message| message.addr == "/event"));
    let give_up = Instant::now() + PATIENCE;
    let lines = loop {
        let lines: Vec<String> = node.said().iter().filter(|line| line.starts_with('{')).cloned().collect();
        if lines.len() >= sent.len() {
            break lines;
        }
        assert!(Instant::now() < give_up, "{} of {}", lines.len(), sent.len());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(lines.len(), sent.len());
    for (line, sent) in lines.iter().zip(&sent) {
        let seen: Value = serde_json::from_str(line).unwrap();
        assert_eq!(seen["address"], sent.addr);
        let seen = seen["args"].as_array().unwrap();
        assert_eq!(seen.len(), sent.args.len(), "{line}");
        for (seen, sent) in seen.iter().zip(&sent.args) {
            let value = &seen["value"];
            let same = match (seen["type"].as_str().unwrap(), sent) {
                ("i", OscType::Int(number)) => value.as_i64() == Some(i64::from(*number)),
                ("f", OscType::Float(number)) => value.as_f64().map(|seen| seen as f32) == Some(*number),
                ("s", OscType::String(text)) => value == text.as_str(),
                _ => false,
            };
            assert!(same, "{seen} is not {sent:?} in {line}");
        }
    }
    node.assert_no_complaint(&[]);
}

const DSP: &str =
    "process = vgroup(\"ftrace\", (hslider(\"note\", 0, 0, 127, 0.001), hslider(\"gain\", 0, 0, 1, 0.001),
    hslider(\"pan\", 0, -1, 1, 0.001), hslider(\"irq\", 0, 0, 1, 0.001)));\n";

/// An architecture like Faust's own: OSC, and each output printed when it changes.
const ARCHITECTURE: &str = r#"
#include <cstdio>
#include <unistd.h>
#include <faust/dsp/dsp.h>
#include <faust/gui/meta.h>
#include <faust/gui/UI.h>
#include <faust/gui/OSCUI.h>
<<includeIntrinsic>>
<<includeclass>>
std::list<GUI*> GUI::fGuiList;
ztimedmap GUI::gTimedZoneMap;
int main(int argc, char* argv[]) {
    mydsp program;
    OSCUI osc("ftrace", argc, argv);
    program.init(48000);
    program.buildUserInterface(&osc);
    osc.run();
    puts("ready");
    float last[4] = {0, 0, 0, 0}, out[4][1];
    float* outputs[4] = {out[0], out[1], out[2], out[3]};
    for (;; usleep(1000)) {
        GUI::updateAllGuis();
        program.compute(1, nullptr, outputs);
        for (int k = 0; k < 4; k++)
            if (out[k][0] != last[k]) printf("heard %d %.9g\n", k, last[k] = out[k][0]);
        fflush(stdout);
    }
}
"#;

#[test]
fn a_program_that_faust_compiled_follows_its_map() {
    if !program::installed("faust") || !program::installed("g++") {
        return;
    }
    if !Path::new("/usr/include/faust/gui/OSCUI.h").is_file() {
        skipped::say(format_args!("Faust's OSCUI.h is not installed"));
        return;
    }
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    std::fs::write(home.path().join("heard.dsp"), DSP).unwrap();
    std::fs::write(home.path().join("heard.arch"), ARCHITECTURE).unwrap();
    let run = |name: &str, arguments: &[&str]| {
        let output = Command::new(name).args(arguments).current_dir(home.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("faust", &["-a", "heard.arch", "heard.dsp", "-o", "heard.cpp"]);
    run("g++", &["-O0", "-w", "heard.cpp", "-o", "heard", "-lOSCFaust", "-lpthread"]);
    let mut heard = command("./heard", home.path());
    heard.args(["-port", &port.to_string()]);
    let mut heard = Program::start(heard);
    heard.wait_for("ready");
    // Slowly, so that it reads each value.
    let sent = play("faust", port, &["-e", "irq", "--speed", "1/2"]);
    let mut by_address = BTreeMap::<&str, Vec<f32>>::new();
    sent.iter().for_each(|message| by_address.entry(&message.addr).or_default().push(float(&message.args[0])));
    for (output, address) in ["/ftrace/note", "/ftrace/gain", "/ftrace/pan", "/ftrace/irq"].into_iter().enumerate() {
        let sent = &by_address[address];
        let last = *sent.last().unwrap();
        let give_up = Instant::now() + PATIENCE;
        let begins = format!("heard {output} ");
        let seen = loop {
            let seen: Vec<f32> =
                heard.said().iter().filter_map(|line| line.strip_prefix(&begins)?.parse().ok()).collect();
            let same = |a: f32, b: f32| (a - b).abs() < 1e-4;
            if seen.last().is_some_and(|seen| same(*seen, last)) || sent.iter().all(|sent| *sent == 0.0) {
                break seen;
            }
            assert!(Instant::now() < give_up, "{address}: {seen:?}, not {sent:?}");
            std::thread::sleep(Duration::from_millis(50));
        };
        // It printed what was sent, in that order; of simultaneous values possibly only the last.
        let mut rest = sent.iter();
        for seen in &seen {
            assert!(rest.any(|sent| (sent - seen).abs() < 1e-4), "{address}: {seen} was not sent");
        }
    }
}

/// The folders of SuperDirt and of Vowel, which it needs, where SuperCollider's Quarks installs them.
fn superdirt() -> Option<Vec<PathBuf>> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let folders = [
        home.join(".local/share/SuperCollider/downloaded-quarks"),
        home.join(".local/share/SuperCollider/Extensions"),
        PathBuf::from("/usr/share/SuperCollider/Extensions"),
    ];
    let found = folders.iter().map(|folder| ["SuperDirt", "Vowel"].map(|quark| folder.join(quark)));
    let found = found.into_iter().find(|quarks| quarks.iter().all(|quark| quark.is_dir()));
    if found.is_none() {
        skipped::say(format_args!("the quarks SuperDirt and Vowel are not installed: Quarks.install(\"SuperDirt\")"));
    }
    found.map(Vec::from)
}

/// SuperDirt on a server that is this test: no sound card is needed to check what it would play. Its own synths need
/// sc3-plugins; silent ones with the same names replace them.
fn dirt(port: u16, server: u16) -> String {
    format!(
        r#"
s = Server(\heard, NetAddr("127.0.0.1", {server}));
Server.default = s;
[\hasBooted, \notified].do {{ |name| s.statusWatcher.instVarPut(name, true) }};
s.statusWatcher.instVarPut(\sampleRate, 48000.0);
thisProcess.openUDPPort({port});
~dirt = SuperDirt(2, s);
~dirt.start({port}, [0]);
"superhat supersaw super808 supermandolin superpwm supersnare supergong superclap".split($ ).do {{ |name|
	SynthDef(name, {{ |out, sustain = 1, pan, freq = 440| OffsetOut.ar(out, DC.ar(0 * (sustain + pan + freq))) }}).add;
}};
"ready".postln;
"#
    )
}

#[test]
fn superdirt_plays_page_faults_with_nothing_but_its_map() {
    if !program::installed("sclang") {
        return;
    }
    let Some(quarks) = superdirt() else { return };
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Synth definitions are sent to it first.
    let _ = socket2::SockRef::from(&server).set_recv_buffer_size(4 << 20);
    server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let lines: String = quarks.iter().map(|quark| format!("    - {}\n", quark.display())).collect();
    let settings = format!("includePaths:\n{lines}excludePaths: []\npostInlineWarnings: false\n");
    std::fs::write(home.path().join("quarks.yaml"), settings).unwrap();
    std::fs::write(home.path().join("dirt.scd"), dirt(port, server.local_addr().unwrap().port())).unwrap();
    let mut sclang = command("sclang", home.path());
    sclang.args(["-D", "-i", "none", "-l", "quarks.yaml", "dirt.scd"]);
    let mut sclang = Program::start(sclang);
    sclang.wait_for("ready");
    let sent = play("superdirt", port, &["-e", "exceptions:page_fault_user"]);
    let value = |message: &OscMessage, name: &str| {
        let is_it = |argument: &OscType| *argument == OscType::String(name.to_owned());
        message.args.iter().position(is_it).and_then(|at| message.args.get(at + 1).cloned())
    };
    // A synth for each, as SuperDirt requests it from the server.
    let (mut synths, mut bytes, give_up) = (vec![], vec![0; 65536], Instant::now() + PATIENCE);
    while synths.len() < sent.len() {
        assert!(Instant::now() < give_up, "{} of {}: {:?}", synths.len(), sent.len(), sclang.said());
        let Ok(len) = server.recv(&mut bytes) else { continue };
        let mut told = vec![];
        // rosc does not read commands given as numbers, which sclang also sends.
        take_apart(&bytes[..len], &mut |part| told.extend(part.ok().map(|(message, _)| message)));
        let plays = |m: &OscMessage| m.addr.ends_with("s_new") && format!("{:?}", m.args.first()).contains("\"super");
        synths.extend(told.into_iter().filter(plays));
    }
    assert_eq!(synths.len(), sent.len());
    for (synth, sent) in synths.iter().zip(&sent) {
        assert_eq!(synth.args.first(), value(sent, "s").as_ref(), "{synth:?}");
        let heard = |name: &str| float(&value(synth, name).unwrap_or_else(|| panic!("no {name} in {synth:?}")));
        let was_sent = |name: &str| float(&value(sent, name).unwrap());
        // SuperDirt's note 0 is middle C, its pan is 0 to 1.
        let freq = 440.0 * 2f32.powf((was_sent("note") + 60.0 - 69.0) / 12.0);
        assert!((heard("freq") / freq - 1.0).abs() < 1e-3, "{} Hz, not {freq}", heard("freq"));
        assert!((heard("pan") - (was_sent("pan") * 2.0 - 1.0)).abs() < 1e-4);
        assert!(heard("sustain") > 0.0 && heard("sustain") <= was_sent("sustain") + 1e-4);
    }
}
