//! SuperCollider's sclang without a window, and scsynth's rendering without a sound card (`Score`).

use rosc::OscType;

use crate::{
    common::program,
    launch::sclang,
    seen::{self, Echo, Seen, Value},
    sound, stream,
};

/// Sends back every message: the address, the handler's `time`, then each value with its type; floats as two words,
/// since sclang itself sends only 32-bit ones.
fn driver(port: u16, back: u16) -> String {
    format!(
        r#"
thisProcess.openUDPPort({port});
~back = NetAddr("127.0.0.1", {back});
thisProcess.addOSCRecvFunc({{ |msg, time|
	var values = msg[1..].collect {{ |v|
		case {{ v.isKindOf(Integer) }} {{ [\i, v] }}
			{{ v.isKindOf(Float) }} {{ [\d, v.high32Bits, v.low32Bits] }}
			{{ v.isKindOf(Int8Array) }} {{ [\b, v] }}
			{{ [\s, v] }}
	}};
	~back.sendMsg('/seen', msg[0], time.high32Bits, time.low32Bits, *values.flatten(1));
}});
"ready".postln;
"#
    )
}

/// What sclang prints on a machine without window system, sound or network discovery, and at its start.
const NOISE: &[&str] = &[
    "QStandardPaths",
    "WebEngineContext",
    "Sandboxing disabled",
    "overwritten by extensions",
    "Zeroconf",
    "JackServer",
];

#[test]
fn sclang_sees_every_value_of_the_sc_stream_in_order() {
    if !program::installed("sclang") {
        return;
    }
    let stream = stream::of("sc");
    let home = tempfile::tempdir().unwrap();
    let (port, mut echo) = (program::free_port(), Echo::new());
    let mut sclang = sclang(home.path(), "driver.scd", &driver(port, echo.port()));
    sclang.wait_for("ready");
    echo.awaken(port);
    let echoes: Vec<_> =
        stream.send_for_echo(port, &mut echo, |_| true).into_iter().filter(|m| m.addr == "/seen").collect();
    let mut seen = Vec::new();
    for (echo, (sent, bundle)) in echoes.iter().zip(&stream.messages) {
        let (mut got, time) = seen_of(&echo.args);
        // `t` is on sclang's own clock, as is the handler's `time`, which is the bundle's timetag.
        for (value, sent) in got.values.iter_mut().zip(&sent.args) {
            let (Value::Number(n), OscType::Time(t)) = (&mut *value, sent) else { continue };
            let tag =
                |t: &rosc::OscTime| f64::from(t.seconds - bundle.seconds) + f64::from(t.fractional) / 2f64.powi(32);
            let (apart, want) = (*n - time, tag(t) - tag(bundle));
            assert!((apart - want).abs() < 1e-6, "{}: {apart} s from the bundle's time, not {want}", got.address);
            *value = Value::Number(0.0);
        }
        seen.push(got);
    }
    seen::assert_same(&seen, &stream.as_seen(|n| n));
    sclang.assert_no_complaint(NOISE);
}

fn word(argument: &OscType) -> u64 {
    let OscType::Int(word) = argument else { panic!("{argument:?} is no word") };
    u64::from(*word as u32)
}

fn double(high: &OscType, low: &OscType) -> f64 {
    f64::from_bits(word(high) << 32 | word(low))
}

/// The echoed message and the handler's `time`.
fn seen_of(arguments: &[OscType]) -> (Seen, f64) {
    let [OscType::String(address), high, low, rest @ ..] = arguments else { panic!("{arguments:?}") };
    let (time, mut rest, mut values) = (double(high, low), rest, Vec::new());
    while let [OscType::String(kind), value, behind @ ..] = rest {
        rest = behind;
        values.push(match (kind.as_str(), behind) {
            ("d", [low, behind @ ..]) => {
                rest = behind;
                Value::Number(double(value, low))
            }
            _ => seen::value(value),
        });
    }
    assert!(rest.is_empty(), "{rest:?}");
    (Seen { address: address.clone(), values }, time)
}

/// Replaces the server: collects what the patch would play, and renders it when the stream stops.
fn score(patch: &str) -> String {
    format!(
        r#"
~started = Main.elapsedTime;
~score = List[];
s = (
	serverRunning: true,
	waitForBoot: {{ |self, f| f.fork }},
	sync: {{ }},
	sendBundle: {{ |self, delay, message| ~score.add([Main.elapsedTime - ~started + (delay ? 0), message]) }}
);
{patch};
OSCdef(\render, {{
	var defs = [\ftrace_hit, \ftrace_texture, \ftrace_limit].collect {{ |name| [0.0, [\d_recv, SynthDescLib.global[name].def.asBytes]] }};
	var end = [Main.elapsedTime - ~started + 1, [\c_set, 0, 0]];
	Score((defs ++ ~score.asArray ++ [end]).sort {{ |a, b| a[0] <= b[0] }}).recordNRT(
		"score.osc", "sound.wav", sampleRate: 48000, headerFormat: "WAV", sampleFormat: "int16",
		options: ServerOptions.new.numOutputBusChannels_(2), action: {{ "rendered".postln }});
}}, '/ftrace/stop');
"#
    )
}

#[test]
fn the_sc_patch_is_heard() {
    if !program::installed("sclang") || !program::installed("scsynth") {
        return;
    }
    let stream = stream::of("sc");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let text = stream.patch(port);
    let mut sclang = sclang(home.path(), "ftrace.scd", &score(&text));
    sclang.wait_for("listening on port");
    stream.send_first(port);
    sound::send_load(port);
    sclang.wait_for("rendered");
    assert!(sclang.said().iter().any(|l| l.starts_with("ftrace-live: started on ")));
    sclang.assert_no_complaint(NOISE);
    sound::assert_load(&home.path().join("sound.wav"));
}

#[test]
fn the_sc_patch_only_reports_that_its_port_is_in_use() {
    if !program::installed("sclang") {
        return;
    }
    let stream = stream::of("sc");
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = format!("{}\nfork {{ 2.wait; \"waited\".postln }};", score(&stream.patch(port)));
    let mut sclang = sclang(home.path(), "ftrace.scd", &text);
    sclang.wait_for("is taken");
    sclang.wait_for("waited");
    assert!(!sclang.said().iter().any(|line| line.contains("listening")), "{:?}", sclang.said());
}

/// As SuperDirt does: the pairs become an event, and the bundle's time says when it is played.
const DIRT: &str = r#"
OSCdef(\dirt, { |msg, time|
	var event = ().putPairs(msg[1..]);
	"dirt % note % gain % pan % sustain % ahead %".format(event[\s], event[\note].isKindOf(Float), event[\gain] > 0,
		event[\pan].inclusivelyBetween(0, 1), event[\sustain] > 0, (time - Main.elapsedTime) > 0.05).postln;
}, '/dirt/play');
"ready".postln;
"#;

#[test]
fn sclang_decodes_page_faults_as_superdirt_does() {
    if !program::installed("sclang") {
        return;
    }
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    let text = format!("thisProcess.openUDPPort({port});\n{}", DIRT);
    let mut sclang = sclang(home.path(), "dirt.scd", &text);
    sclang.wait_for("ready");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions");
    let mut replay = std::process::Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    replay.args([
        "replay",
        fixture,
        "--map",
        "superdirt",
        "-e",
        "exceptions",
        "--to",
        &format!("127.0.0.1:{port}"),
        "-q",
    ]);
    assert!(replay.status().unwrap().success());
    sclang.wait_for("dirt supersnare note true gain true pan true sustain true ahead true");
    sclang.assert_no_complaint(NOISE);
}
