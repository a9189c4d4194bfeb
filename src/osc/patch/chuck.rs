//! A patch in ChucK: one `OscIn`; each hit is played by a voice of a pool.

use super::{
    Language, Listen, Schema, argument_comments, hit,
    hit::{CEILING, NOTES, TEXTURES},
    introduction, quoted,
};

/// The gain of the mix: with it a mixed load has about −23 LUFS. The gains differ as the languages' envelopes do.
const MIX: f32 = 0.27;

/// The program text. Long: it is that text as it goes into the file.
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

// How each timbre is made: irq, sched, block, net, syscalls, mm, fs, other.
[{tone}] @=> float TONE[];
[{noise}] @=> float NOISE[];
[{narrow}] @=> float NARROW[];
[{ratio}] @=> float RATIO[];
[{bend}] @=> float BEND[];
[{attack}] @=> float ATTACK[];

// Both sides: a second to fade in, and a limiter, whose attack takes time: what is left is cut.
Gain side[2];
Dyno limiter[2];
Envelope fade[2];
for (0 => int c; c < 2; c++) {{
    side[c] => fade[c] => limiter[c] => dac.chan(c % dac.channels());
    {mix} => side[c].gain;
    limiter[c].limit();
    0.5 => limiter[c].thresh;
    1::ms => limiter[c].attackTime;
    {CEILING} => limiter[c].gain;
    0.1 => fade[c].value;
    1 => fade[c].target;
    1::second => fade[c].duration;
}}

// A sine bent by another, and noise in a band around the note.
class Voice {{
    SinOsc bender => SinOsc tone => Gain sum;
    Noise noise => BPF band => sum;
    2 => tone.sync;
    Pan2 pan;
    fun void set(int t, float note, float p, float brightness, float bends, float tones, float noises) {{
        Std.mtof(note) => float f;
        f => tone.freq;
        f * RATIO[t] => bender.freq;
        // By frequency, not by phase: an index times the frequency that bends.
        bends * BEND[t] * 2 * pi * f * RATIO[t] => bender.gain;
        tones => tone.gain;
        f => band.freq;
        NARROW[t] * (1.3 - 0.6 * brightness) => float q;
        q => band.Q;
        noises * 0.5 / Math.sqrt(pi / 3 * f / (second / samp) / q) => noise.gain;
        p => pan.pan;
    }}
    fun void to(UGen from) {{
        from => pan;
        pan.left => side[0];
        pan.right => side[1];
    }}
}}

// Notes and grains: a pool, taken in turn: the oldest gives way.
{NOTES} => int NOTES;
Voice notes[NOTES];
ADSR shape[NOTES];
for (0 => int v; v < NOTES; v++) {{
    notes[v].sum => shape[v];
    notes[v].to(shape[v]);
}}
0 => int turn;

// Textures: one voice for each event that is dense, by its name.
{TEXTURES} => int TEXTURES;
Voice textures[TEXTURES];
Envelope level[TEXTURES];
string names[TEXTURES];
time heard[TEXTURES];
for (0 => int v; v < TEXTURES; v++) {{
    textures[v].sum => level[v];
    100::ms => level[v].duration;
    textures[v].to(level[v]);
}}

fun void hit(string event, int form, int t, float note, float loud, float length, float pan, float brightness) {{
    Math.max(0, Math.min(7, t)) $ int => t;
    if (form < 2) {{
        (turn + 1) % NOTES => turn;
        notes[turn].set(t, note, pan, brightness, 0.2 + 0.6 * brightness, TONE[t] * loud, NOISE[t] * loud);
        length::ms => dur long;
        ATTACK[t]::second => dur rise;
        shape[turn].set(rise, long - rise > 5::ms ? long - rise : 5::ms, 0, 2::ms);
        1 => shape[turn].keyOn;
        return;
    }}
    -1 => int slot;
    for (0 => int v; v < TEXTURES; v++) if (names[v] == event) v => slot;
    for (0 => int v; v < TEXTURES && slot < 0 && loud > 0; v++) if (names[v] == "" && level[v].value() < 0.001) v => slot;
    if (slot < 0) return;
    if (loud > 0) event => names[slot]; else "" => names[slot];
    now => heard[slot];
    textures[slot].set(t, note, pan, brightness, 0.2 + 0.8 * brightness, 0.35 * TONE[t], 0.6 + 0.2 * NOISE[t]);
    loud => level[slot].target;
}}

// A texture of which nothing comes any more has ended unheard.
fun void forget() {{
    while (true) {{
        100::ms => now;
        for (0 => int v; v < TEXTURES; v++) {{
            if (names[v] != "" && now - heard[v] > 500::ms) {{
                "" => names[v];
                0 => level[v].target;
            }}
        }}
    }}
}}
spork ~ forget();

// The events themselves come as well. To take one: in.addAddress("ADDRESS, TAGS");
{events}
in.addAddress({pattern});
// About the stream itself.
in.addAddress({start});
in.addAddress({stat});
in.addAddress({stop});

<<< "ftrace-live: listening on port", {port} >>>;
while (true) {{
    in => now;
    while (in.recv(msg)) {{
        if (msg.address == {hit})
            hit(msg.getString(0), msg.getInt(1), msg.getInt(2), msg.getFloat(3), msg.getFloat(4), msg.getFloat(5),
                msg.getFloat(6), msg.getFloat(7));
        else if (msg.address == {start}) <<< "ftrace-live: started on", msg.getString(0) >>>;
        // read, sent, thinned, lost by the kernel, malformed, dropped by this program: each second's.
        else if (msg.address == {stat} && msg.getInt(3) + msg.getInt(5) > 0)
            <<< "ftrace-live: lost", msg.getInt(3), "in the kernel,", msg.getInt(5), "here" >>>;
        else if (msg.address == {stop}) <<< "ftrace-live: stopped" >>>;
    }}
}}
"#,
        mix = MIX,
        tone = hit::table(|r| r.tone, ", "),
        noise = hit::table(|r| r.noise, ", "),
        narrow = hit::table(|r| r.narrow, ", "),
        ratio = hit::table(|r| r.ratio, ", "),
        bend = hit::table(|r| r.bend, ", "),
        attack = hit::table(|r| r.attack, ", "),
        events = argument_comments(schemas, "//", getter),
        pattern = quoted(&format!("{}, {}", hit::address(listen), super::super::hit::TAGS), '"'),
        hit = quoted(&hit::address(listen), '"'),
        start = own("start"),
        stat = own("stat"),
        stop = own("stop"),
    );
    out
}

/// The expression that reads argument `k`.
fn getter(schema: &Schema, k: usize) -> String {
    let get = match schema.arguments.get(k).map(|argument| argument.tag) {
        Some('i') => "getInt",
        Some('s') => "getString",
        _ => "getFloat",
    };
    format!("msg.{get}({k})")
}
