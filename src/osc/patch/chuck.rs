//! A patch in ChucK: one `OscIn` for all addresses, each hit a voice of a pool.

use super::{
    Language, Listen, Schema, argument_lines, introduction, plain, quoted,
    voice::{LOWEST_NOTE, NOTE_RANGE, SEMITONES, Voice},
};

/// The program text.
pub fn patch(schemas: &[Schema], listen: Listen<'_>) -> String {
    let mut out = String::new();
    for line in introduction(Language::Chuck, schemas, listen, "chuck ftrace.ck") {
        out += &format!("// {line}\n");
    }
    let port = listen.port;
    let own = |name: &str| quoted(&format!("{}/{name}", listen.prefix), '"');
    out += &format!(
        r#"
OscIn in;
OscMsg msg;
{port} => in.port;

// A pool of voices, taken in turn: the oldest gives way.
32 => int VOICES;
TriOsc osc[VOICES];
ADSR env[VOICES];
Pan2 pan[VOICES];
Dyno limiter[2];
for (0 => int c; c < 2; c++) {{ limiter[c].limit(); limiter[c] => dac.chan(c % dac.channels()); }}
for (0 => int v; v < VOICES; v++) {{
    osc[v] => env[v] => pan[v];
    pan[v].left => limiter[0];
    pan[v].right => limiter[1];
    env[v].set(2::ms, 50::ms, 0, 2::ms);
}}
0 => int turn;

// Any number as a MIDI note.
fun float note(float x) {{ return {LOWEST_NOTE} + Math.fmod({SEMITONES} * Math.log2(1 + Math.fabs(x)), {NOTE_RANGE}); }}

// One sound. `dt`: milliseconds since this event last occurred: what is rare rings, what is dense becomes grain.
fun void hit(float value, float dt, int cpu, int timbre) {{
    (turn + 1) % VOICES => turn;
    Math.min(600, Math.max(20, dt)) => float length;
    Std.mtof(note(value)) => osc[turn].freq;
    0.5 / (1 + timbre) => osc[turn].width;
    0.04 + 0.16 * length / 600 => osc[turn].gain;
    2 * Math.fmod(cpu * 0.618, 1) - 1 => pan[turn].pan;
    length::ms => env[turn].decayTime;
    1 => env[turn].keyOn;
}}

"#
    );
    for schema in schemas {
        out += &format!("// {} ,{}\n", plain(&schema.address), schema.tags);
        for line in argument_lines(schema, getter(schema)) {
            out += &format!("//   {line}\n");
        }
        let pattern = format!("{}, {}", schema.address, schema.tags);
        out += &format!("in.addAddress({});\n\n", quoted(&pattern, '"'));
    }
    out += &format!(
        "// About the stream itself.\nin.addAddress({});\nin.addAddress({});\nin.addAddress({});\n\n",
        own("start"),
        own("stat"),
        own("stop")
    );
    out += &format!(
        "<<< \"ftrace-live: listening on port\", {port} >>>;\nwhile (true) {{\n    in => now;\n    while (in.recv(msg)) {{\n"
    );
    for (position, schema) in schemas.iter().enumerate() {
        let voice = Voice::of(schema, position);
        let get = getter(schema);
        out += &format!(
            "        {}if (msg.address == {}) hit({}, {}, {}, {});  // pitch: {}\n",
            if position == 0 { "" } else { "else " },
            quoted(&schema.address, '"'),
            get(voice.pitch),
            get(voice.dt),
            get(voice.cpu),
            voice.timbre,
            plain(&schema.arguments[voice.pitch].name),
        );
    }
    out += &format!(
        r#"        else if (msg.address == {start}) <<< "ftrace-live: started on", msg.getString(0) >>>;
        // read, sent, thinned, lost by the kernel, malformed, dropped by this program: each second's.
        else if (msg.address == {stat} && msg.getInt(3) + msg.getInt(5) > 0)
            <<< "ftrace-live: lost", msg.getInt(3), "in the kernel,", msg.getInt(5), "here" >>>;
        else if (msg.address == {stop}) <<< "ftrace-live: stopped" >>>;
    }}
}}
"#,
        start = own("start"),
        stat = own("stat"),
        stop = own("stop"),
    );
    out
}

/// The expression that reads argument `k`.
fn getter(schema: &Schema) -> impl Fn(usize) -> String + '_ {
    |k| {
        let get = match schema.arguments[k].tag {
            'i' => "getInt",
            's' => "getString",
            _ => "getFloat",
        };
        format!("msg.{get}({k})")
    }
}
