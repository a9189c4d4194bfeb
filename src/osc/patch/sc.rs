//! A patch in sclang: each hit is a synth on the server, scheduled at the event's own time.

use super::{Language, Listen, Schema, argument_comments, control, hit, hit::CEILING, introduction, quoted};

/// The gain of the mix: with it a mixed load has about −23 LUFS. The gains differ as the languages' envelopes do.
const MIX: f32 = 0.35;

/// The program text. Long: it is that text as it goes into the file.
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
// How each timbre is made: irq, sched, block, net, syscalls, mm, fs, other.
~tone = [{tone}];
~noise = [{noise}];
~narrow = [{narrow}];
~ratio = [{ratio}];
~bend = [{bend}];
~dulls = [{dulls}];
~attack = [{attack}];
// The textures that go on: event -> [node, when it was last heard of].
~textures = Dictionary.new;
~node = 900000;

// Sends the server a message for the time at which the event is to be heard.
~send = {{ |time, message|
	var delay = time + ~latency - Main.elapsedTime;
	// The server complains about bundles that come late: what has no time left goes at once.
	s.sendBundle(if(delay > 0.03) {{ delay.min(1) }} {{ nil }}, message);
}};
// One hit.
~hit = {{ |time, event, form, timbre, note, level, length, pan, brightness|
	var t = timbre.clip(0, 7);
	var now = [\freq, note.midicps, \level, level, \pan, pan, \bright, brightness];
	var made = [\tone, ~tone[t], \noise, ~noise[t], \narrow, ~narrow[t], \ratio, ~ratio[t], \bend, ~bend[t]];
	case
	{{ form < 2 }} {{
		~send.(time, [\s_new, \ftrace_hit, -1, 0, 0, \length, length * 0.001,
			\attack, ~attack[t], \dulls, ~dulls[t]] ++ now ++ made);
	}}
	{{ level <= 0 }} {{
		~textures[event] !? {{ |texture| ~send.(time, [\n_set, texture[0], \gate, 0]) }};
		~textures.removeAt(event);
	}}
	{{ ~textures[event].notNil }} {{
		~textures[event][1] = Main.elapsedTime;
		~send.(time, [\n_set, ~textures[event][0]] ++ now);
	}}
	{{
		~node = ~node + 1;
		~textures[event] = [~node, Main.elapsedTime];
		~send.(time, [\s_new, \ftrace_texture, ~node, 0, 0] ++ now ++ made);
	}};
}};
~defs = {{
	[
		SynthDef(\ftrace_hit, {{ |freq = 440, level = 0.1, length = 0.1, pan = 0, bright = 0.5, tone = 1, noise = 0,
			narrow = 8, ratio = 2, bend = 0.1, dulls = 1, attack = 0.002|
			var env = EnvGen.kr(Env([0, 1, 0], [attack, (length - attack).max(0.005)], [\sin, -5]), doneAction: 2);
			var bends = EnvGen.kr(Env([1, 0.01], [length / dulls], \exp)) * bend * 2pi * (0.3 + (1.4 * bright));
			var sound = SinOsc.ar(freq, SinOsc.ar(freq * ratio) * bends, tone);
			sound = sound + BPF.ar(WhiteNoise.ar, freq, narrow.reciprocal,
				noise * 0.5 / (pi / 3 * freq / SampleRate.ir / narrow).sqrt);
			Out.ar(0, Pan2.ar(sound * env * level, pan));
		}}),
		SynthDef(\ftrace_texture, {{ |freq = 440, level = 0.1, pan = 0, bright = 0.5, tone = 1, noise = 0,
			narrow = 8, ratio = 2, bend = 0.1, gate = 1|
			var env = EnvGen.kr(Env.asr(0.1, 1, 0.1), gate, doneAction: 2);
			var f = freq.lag(0.05), q = narrow * (1.3 - bright);
			var shimmer = LFNoise1.kr(6 + (30 * bright)).range(0.3, 1);
			var sound = SinOsc.ar(f, SinOsc.ar(f * ratio) * bend * 2pi * (0.2 + (0.8 * bright)), 0.55 * tone * shimmer);
			sound = sound + BPF.ar(WhiteNoise.ar, f, q.reciprocal,
				(0.6 + (0.2 * noise)) * 0.5 / (pi / 3 * f / SampleRate.ir / q).sqrt);
			Out.ar(0, Pan2.ar(sound * env * level.lag(0.1), pan.lag(0.1)));
		}}),
		// Fades in for a second, and keeps a thousand hits at once from being louder than the loudspeakers.
		SynthDef(\ftrace_limit, {{
			var sound = In.ar(0, 2) * EnvGen.kr(Env([0.1, 1], [1], \sin)) * {mix};
			ReplaceOut.ar(0, Limiter.ar(sound, {CEILING}, 0.01));
		}})
	];
}};

if(thisProcess.openUDPPort({port})) {{
	fork {{
		var there = false;
		// A server that a killed sclang has left behind holds its port, and no other can start: it is used as it is.
		if(s.serverRunning.not) {{
			var answer = OSCFunc({{ there = true }}, '/status.reply', s.addr);
			s.addr.sendMsg('/status');
			0.5.wait;
			answer.free;
		}};
		if(there) {{
			"ftrace-live: % is a server that an earlier sclang has left; it is used (s.quit ends it)".format(s.addr).postln;
			s.startAliveThread;
			while {{ s.serverRunning.not }} {{ 0.1.wait }};
			~defs.value.do {{ |def| s.sendMsg('/d_recv', def.asBytes) }};
			0.5.wait;
			s.sendBundle(nil, [\s_new, \ftrace_limit, -1, 1, 0]);
			"ftrace-live: listening on port {port}".postln;
		}} {{
			s.waitForBoot {{
				~defs.value.do(_.add);
				s.sync;
				s.sendBundle(nil, [\s_new, \ftrace_limit, -1, 1, 0]);
				"ftrace-live: listening on port {port}".postln;
			}};
		}};
	}};
	OSCdef({hit}, {{ |msg, time| ~hit.(time, *msg[1..]) }}, {hit});
	// A texture of which nothing comes any more has ended unheard.
	fork {{
		loop {{
			0.25.wait;
			~textures.keys.do {{ |event|
				if(Main.elapsedTime - ~textures[event][1] > 0.5) {{
					s.sendBundle(nil, [\n_set, ~textures[event][0], \gate, 0]);
					~textures.removeAt(event);
				}};
			}};
		}};
	}};
{control}	// About the stream itself.
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
}} {{
	"port {port} is taken: quit the program that has it (often another sclang), then run this again".error;
}};
)

"#,
        control = control::sc(listen),
        mix = MIX,
        tone = hit::table(|r| r.tone, ", "),
        noise = hit::table(|r| r.noise, ", "),
        narrow = hit::table(|r| r.narrow, ", "),
        ratio = hit::table(|r| r.ratio, ", "),
        bend = hit::table(|r| r.bend, ", "),
        dulls = hit::table(|r| r.dulls, ", "),
        attack = hit::table(|r| r.attack, ", "),
        hit = quoted(&hit::address(listen), '\''),
        start = address("start"),
        stat = address("stat"),
        stop = address("stop"),
    );
    out +=
        "// The events themselves come as well. To take one: OSCdef(\\mine, { |msg, time| msg.postln }, 'ADDRESS').\n";
    out += &argument_comments(schemas, "//", |_, k| format!("msg[{}]", k + 1));
    out
}
