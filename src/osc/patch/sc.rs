//! A patch in sclang: an `OSCdef` per event, each hit a synth on the server, scheduled by the event's own time.

use super::{
    Language, Listen, Schema, argument_lines, introduction, plain, quoted,
    voice::{LOWEST_NOTE, NOTE_RANGE, SEMITONES, Voice},
};

/// A function in sclang may have 256 literals; each event takes some. More events than this go into functions of their own.
const EVENTS_PER_FUNCTION: usize = 40;

/// The program text.
pub fn patch(schemas: &[Schema], listen: Listen<'_>) -> String {
    let mut out = String::new();
    let run = "sclang ftrace.scd    (in the IDE: put the cursor into the block, Ctrl-Enter)";
    for line in introduction(Language::SuperCollider, schemas, listen, run) {
        out += &format!("// {line}\n");
    }
    let port = listen.port;
    let address = |name: &str| quoted(&format!("{}/{name}", listen.prefix), '\'');
    out += &format!(
        r#"(
// Seconds from the event in the kernel to its sound. Every event is delayed by the same, so the rhythm is the kernel's
// own, however unevenly the messages arrive.
~latency = 0.1;
// Any number as a MIDI note.
~note = {{ |x| {LOWEST_NOTE} + (log2(1 + x.asFloat.abs) * {SEMITONES}).mod({NOTE_RANGE}) }};
// One sound. `dt`: milliseconds since this event last occurred: what is rare rings, what is dense becomes grain.
~hit = {{ |time, value, dt, cpu, timbre|
	var sustain = (dt * 0.001).clip(0.02, 0.6);
	var message = [\s_new, \ftrace_hit, -1, 0, 1,
		\freq, ~note.(value).midicps, \sustain, sustain, \amp, sustain.linlin(0.02, 0.6, 0.04, 0.2),
		\pan, (cpu * 0.618).mod(1) * 2 - 1, \timbre, timbre];
	var delay = time + ~latency - Main.elapsedTime;
	// The server complains about bundles that come late: what has no time left goes at once.
	s.sendBundle(if(delay > 0.03) {{ delay.min(1) }} {{ nil }}, message);
}};

if(thisProcess.openUDPPort({port}).not) {{
	"port {port} is taken: quit the program that listens there (often another sclang), then run this again".error;
}};

s.waitForBoot {{
	SynthDef(\ftrace_hit, {{ |freq = 440, sustain = 0.1, amp = 0.1, pan = 0, timbre = 0|
		var env = EnvGen.kr(Env.perc(0.002, sustain, amp, -4), doneAction: 2);
		var sound = SinOsc.ar(freq, SinOsc.ar(freq * (1 + (timbre * 0.5)), 0, timbre * 0.7));
		Out.ar(0, Pan2.ar(sound * env, pan));
	}}).add;
	// Keeps a thousand hits at once from being louder than the loudspeakers.
	SynthDef(\ftrace_limit, {{ ReplaceOut.ar(0, Limiter.ar(In.ar(0, 2), 0.9, 0.01)) }}).add;
	s.sync;
	s.sendBundle(nil, [\s_new, \ftrace_limit, -1, 3, 1]);
	"ftrace-live: listening on port {port}".postln;
}};
"#
    );
    let many = schemas.len() > EVENTS_PER_FUNCTION;
    for (position, schema) in schemas.iter().enumerate() {
        if many && position % EVENTS_PER_FUNCTION == 0 {
            out += if position == 0 { "\n{\n" } else { "}.value;\n{\n" };
        }
        let voice = Voice::of(schema, position);
        out += &format!("\n// {} ,{}\n", plain(&schema.address), schema.tags);
        for line in argument_lines(schema, |k| format!("msg[{}]", k + 1)) {
            out += &format!("//   {line}\n");
        }
        out += &format!(
            "OSCdef({address}, {{ |msg, time|\n\t~hit.(time, msg[{}], msg[{}], msg[{}], {});  // pitch: {}\n}}, {address});\n",
            voice.pitch + 1,
            voice.dt + 1,
            voice.cpu + 1,
            voice.timbre,
            plain(&schema.arguments[voice.pitch].name),
            address = quoted(&schema.address, '\''),
        );
    }
    if many {
        out += "}.value;\n";
    }
    out += &format!(
        r#"
// About the stream itself.
OSCdef({start}, {{ |msg|
	"ftrace-live: started on % (% CPUs)".format(msg[1], msg[2]).postln;
}}, {start});
// read, sent, thinned, lost by the kernel, malformed, dropped by this program: each second's.
OSCdef({stat}, {{ |msg|
	if(msg[4] + msg[6] > 0) {{
		"ftrace-live: lost % in the kernel, % here".format(msg[4], msg[6]).postln;
	}};
}}, {stat});
OSCdef({stop}, {{ "ftrace-live: stopped".postln }}, {stop});
)
"#,
        start = address("start"),
        stat = address("stat"),
        stop = address("stop"),
    );
    out
}
