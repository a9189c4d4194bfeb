//! A patch for Pure Data that uses vanilla objects only: `[netreceive -u -b]`, `[oscparse]`, `[route]`, `[unpack]`,
//! and a pool of voices.
//!
//! The file format has one statement a line: `#N canvas …;` opens a canvas, `#X obj X Y words;` puts an object on it,
//! `#X connect FROM OUTLET TO INLET;` connects two, numbered in the order in which they were put, `#X restore X Y pd
//! NAME;` closes a sub-patch and puts it on the enclosing canvas as an object. Outlets fire from right to left.

use super::canvas::{Canvas, word};
use super::{
    Language, Listen, Schema, argument_lines, control,
    hit::{CEILING, TEXTURES},
    introduction,
};
use crate::sound::Timbre;

/// The gain of the mix: with it a mixed load has about −23 LUFS. The gains differ as the languages' envelopes do.
const MIX: f32 = 0.24;

/// How many notes and grains may sound at once.
const VOICES: usize = 32;

/// The patch file's text.
/// Long: objects and wires are in the order of the file, which numbers them.
pub fn patch(schemas: &[Schema], listen: Listen<'_>) -> String {
    let mut main = Canvas::default();
    for line in introduction(Language::PureData, schemas, listen, "pd ftrace.pd") {
        main.comment(20, &line);
    }
    main.gap();
    let receive = main.object(&format!("netreceive -u -b {}", listen.port));
    let parse = main.object("oscparse");
    let trim = main.object("list trim");
    main.wire(receive, 0, parse, 0);
    main.wire(parse, 0, trim, 0);

    // oscparse splits the address at its slashes: one [route] for each part.
    let mut last = trim;
    for part in listen.prefix.split('/').filter(|p| !p.is_empty()) {
        let route = main.object(&format!("route {}", word(part)));
        main.wire(last, 0, route, 0);
        last = route;
    }
    let route = main.object("route hit start stat stop");
    main.wire(last, 0, route, 0);
    let hits = main.sub_patch("hits", &hits());
    main.wire(route, 0, hits, 0);
    let stream = main.sub_patch("stream", &stream());
    for k in 0..3 {
        main.wire(route, 1 + k, stream, k);
    }
    main.sub_patch("voices", &voices());
    main.sub_patch("textures", &textures());
    main.sub_patch("events", &events(schemas));
    if let Some(control) = control::pd(listen) {
        main.sub_patch("control", &control);
    }

    main.gap();
    main.comment(20, "Sound on:");
    let load = main.object("loadbang");
    let on = main.message("; pd dsp 1");
    main.wire(load, 0, on, 0);
    main.comment(20, "a second to fade in, and a soft limit");
    let fade = main.message("0.1 , 1 1000");
    main.wire(load, 0, fade, 0);
    let fade_line = main.object("line~");
    main.wire(fade, 0, fade_line, 0);
    let sides = ["left", "right"].map(|side| {
        let catch = main.object(&format!("catch~ ftrace-{side}"));
        let faded = main.object("*~");
        main.wire(catch, 0, faded, 0);
        main.wire(fade_line, 0, faded, 1);
        let limit = format!("expr~ {CEILING}*tanh($v1*{:.4})", MIX / CEILING);
        let out = main.chain(faded, 0, &["hip~ 5", &limit]);
        // The output, for recording: [receive~ ftrace-out-left] into [writesf~].
        let send = main.object(&format!("send~ ftrace-out-{side}"));
        main.wire(out, 0, send, 0);
        out
    });
    let dac = main.object("dac~");
    main.wire(sides[0], 0, dac, 0);
    main.wire(sides[1], 0, dac, 1);
    main.file()
}

/// A canvas with the arguments of the events' own messages.
fn events(schemas: &[Schema]) -> Canvas {
    let mut c = Canvas::default();
    c.comment(
        20,
        "The events come as well. To take one: [route SYSTEM] and [route EVENT] behind [oscparse], then [unpack].",
    );
    for schema in schemas {
        c.gap();
        c.comment(20, &format!("{} ,{}", schema.address, schema.tags));
        for line in argument_lines(schema, |k| format!("outlet {}", k + 1)) {
            c.comment(20, &line);
        }
    }
    c
}

/// A hit: event, form, timbre, note, level, length, pan, brightness. Notes and grains go to ftrace-hit without their event
/// and form, textures to ftrace-texture with the event.
fn hits() -> Canvas {
    let mut c = Canvas::default();
    c.comment(20, "event form timbre note level length pan brightness");
    let inlet = c.object("inlet");
    // [route] moves a word to the front of the message; [list] makes it the first element of a list again. First the
    // form opens one of the gates, then the hit goes through it.
    let twice = c.chain(inlet, 0, &["list", "t l l l"]);
    let form = c.object("unpack s f");
    c.wire(twice, 2, form, 0);
    let is_note = c.object("< 2");
    let is_texture = c.object("== 2");
    c.wire(form, 1, is_note, 0);
    c.wire(form, 1, is_texture, 0);
    for (gate, outlet, split, to) in
        [(is_note, 1, "list split 2", "s ftrace-hit"), (is_texture, 0, "list", "s ftrace-texture")]
    {
        let spigot = c.object("spigot");
        c.wire(twice, outlet, spigot, 0);
        c.wire(gate, 0, spigot, 1);
        let rest = c.object(split);
        c.wire(spigot, 0, rest, 0);
        let send = c.object(to);
        c.wire(rest, outlet, send, 0);
    }
    c
}

/// Prints the messages about the stream.
fn stream() -> Canvas {
    let mut c = Canvas::default();
    c.comment(20, "start: host, CPUs; stat: read sent thinned kernel_lost malformed receiver_drops window_s; stop");
    // A sub-patch's inlets are numbered from left to right.
    let [start, stat, stop] = [20, 160, 300].map(|x| c.object_at(x, "inlet"));
    let print = c.object("print ftrace-start");
    c.wire(start, 0, print, 0);
    let unpack = c.object("unpack f f f f f f f");
    c.wire(stat, 0, unpack, 0);
    let sum = c.object("+");
    c.wire(unpack, 3, sum, 0);
    c.wire(unpack, 5, sum, 1);
    let some = c.object("sel 0");
    let print = c.object("print ftrace-lost");
    c.wire(sum, 0, some, 0);
    c.wire(some, 1, print, 0);
    let print = c.object("print ftrace-stop");
    c.wire(stop, 0, print, 0);
    c
}

/// The pool: hits are assigned to voices in turn, so that the oldest is replaced.
fn voices() -> Canvas {
    let mut c = Canvas::default();
    c.comment(20, "timbre note level length pan brightness. Send your own to ftrace-hit");
    let receive = c.object("r ftrace-hit");
    let trigger = c.object("t l b");
    let count = c.object("f");
    let next = c.chain(count, 0, &["+ 1", &format!("mod {VOICES}")]);
    c.wire(receive, 0, trigger, 0);
    c.wire(trigger, 1, count, 0);
    c.wire(next, 0, count, 1);
    let voice = voice(false);
    dispatch(&mut c, count, trigger, VOICES, "voice", &voice);
    c
}

/// Textures: each event has one, found by name.
fn textures() -> Canvas {
    let mut c = Canvas::default();
    c.comment(20, "event form timbre note level length pan brightness; the events' names are the lines of a text");
    c.object("text define ftrace-names");
    let receive = c.object("r ftrace-texture");
    let trigger = c.object("t l l");
    c.wire(receive, 0, trigger, 0);
    let event = c.object("list split 1");
    c.wire(trigger, 1, event, 0);
    let look = c.object("t l l");
    c.wire(event, 0, look, 0);
    let name = c.object("list");
    c.wire(look, 1, name, 1);
    let search = c.object("text search ftrace-names 0");
    c.wire(look, 0, search, 0);
    let found = c.object("moses 0");
    c.wire(search, 0, found, 0);
    let place = c.object("f");
    c.wire(found, 1, place, 1);
    let new = c.object("t b b");
    c.wire(found, 0, new, 0);
    c.wire(new, 1, name, 0);
    let add = c.object("text set ftrace-names 1e+06");
    c.wire(name, 0, add, 0);
    let last = c.chain(new, 0, &["text size ftrace-names", "- 1", &format!("mod {TEXTURES}")]);
    c.wire(last, 0, place, 1);
    let rest = c.object("list split 2");
    c.wire(trigger, 0, rest, 0);
    let go = c.object("t l b");
    c.wire(rest, 1, go, 0);
    c.wire(go, 1, place, 0);
    let voice = voice(true);
    dispatch(&mut c, place, go, TEXTURES, "texture", &voice);
    c
}

/// Sends the list from outlet 0 of `from` to one of `count` sub-patches: the one whose number came from `number`.
fn dispatch(c: &mut Canvas, number: usize, from: usize, count: usize, name: &str, voice: &Canvas) {
    let prepend = c.object("list prepend 0");
    let trim = c.object("list trim");
    let turns: Vec<String> = (0..count).map(|v| v.to_string()).collect();
    let route = c.object(&format!("route {}", turns.join(" ")));
    c.wire(number, 0, prepend, 1);
    c.wire(from, 0, prepend, 0);
    c.wire(prepend, 0, trim, 0);
    c.wire(trim, 0, route, 0);
    for v in 0..count {
        let player = c.sub_patch(name, voice);
        c.wire(route, v, player, 0);
    }
}

/// One voice: a cosine with phase modulation by another, and noise in a band around the note.
/// Long: objects and wires are in the order of the file, which numbers them.
fn voice(texture: bool) -> Canvas {
    let mut c = Canvas::default();
    let inlet = c.object("inlet");
    let unpack = c.object("unpack f f f f f f");
    c.wire(inlet, 0, unpack, 0);
    c.comment(300, "timbre: tone, noise, narrow, ratio, bend, attack in ms");
    let numbers: Vec<String> = (0..8).map(|t| t.to_string()).collect();
    let select = c.object(&format!("sel {}", numbers.join(" ")));
    let recipe = c.object("unpack f f f f f f");
    for (outlet, timbre) in Timbre::ALL.iter().enumerate() {
        let r = timbre.recipe();
        let attack = 1000.0 * r.attack;
        let made = c.message(&format!("{} {} {} {} {} {attack}", r.tone, r.noise, r.narrow, r.ratio, r.bend));
        c.wire(select, outlet, made, 0);
        c.wire(made, 0, recipe, 0);
    }
    // The note arrives before its timbre, and the timbre's numbers before the envelope starts.
    let note = c.object("t f f f f");
    let frequency = c.object("mtof");
    c.wire(unpack, 1, frequency, 0);
    c.wire(frequency, 0, note, 0);
    let late = c.object("t b f");
    c.wire(unpack, 0, late, 0);
    c.wire(late, 1, select, 0);

    let phase = c.object("phasor~");
    c.wire(note, 0, phase, 0);
    let bender = c.object("osc~");
    let bend_frequency = c.object("*");
    c.wire(note, 1, bend_frequency, 1);
    c.wire(recipe, 3, bend_frequency, 0);
    c.wire(bend_frequency, 0, bender, 0);
    let depth = c.object("*~");
    c.wire(bender, 0, depth, 0);
    let bright = c.chain(unpack, 5, &["* 1.2", "+ 0.2", "* 0.7"]);
    let bends = c.object("*");
    c.wire(bright, 0, bends, 1);
    c.wire(recipe, 4, bends, 0);
    c.wire(bends, 0, depth, 1);
    let bent = c.object("+~");
    c.wire(phase, 0, bent, 0);
    c.wire(depth, 0, bent, 1);
    let tone = c.chain(bent, 0, &["cos~", "*~"]);
    let tone_gain = c.object(if texture { "* 0.35" } else { "* 1" });
    c.wire(recipe, 0, tone_gain, 0);
    c.wire(tone_gain, 0, tone, 1);

    let noise = c.object("noise~");
    let band = c.object("bp~");
    c.wire(noise, 0, band, 0);
    c.wire(note, 2, band, 1);
    c.wire(recipe, 2, band, 2);
    // White noise has a power of 1/3 over half the sampling rate; scale the band to the power of a tone.
    let gain = c.object("expr 0.5 / sqrt(1.0472 * max($f1, 1) / 48000 / max($f2, 1)) * $f3");
    c.wire(note, 3, gain, 0);
    c.wire(recipe, 2, gain, 1);
    let share = c.chain(recipe, 1, if texture { &["* 0.2", "+ 0.6"] } else { &["* 1", "+ 0"] });
    c.wire(share, 0, gain, 2);
    let again = c.object("t b");
    c.wire(recipe, 0, again, 0);
    c.wire(again, 0, gain, 0);
    let hiss = c.object("*~");
    c.wire(band, 0, hiss, 0);
    c.wire(gain, 0, hiss, 1);
    let sum = c.object("+~");
    c.wire(tone, 0, sum, 0);
    c.wire(hiss, 0, sum, 1);

    let sound = c.object("*~");
    c.wire(sum, 0, sound, 0);
    if texture {
        c.comment(300, "glides to its level in 100 ms; ends when nothing comes for half a second");
        let level = c.object("f");
        c.wire(unpack, 2, level, 1);
        let go = c.object("t b b");
        c.wire(late, 0, go, 0);
        c.wire(go, 0, level, 0);
        let glide = c.object("pack f 100");
        c.wire(level, 0, glide, 0);
        let line = c.object("line~");
        c.wire(glide, 0, line, 0);
        let end = c.chain(go, 1, &["delay 500"]);
        let silent = c.message("0 100");
        c.wire(end, 0, silent, 0);
        c.wire(silent, 0, line, 0);
        c.wire(line, 0, sound, 1);
    } else {
        let envelope = c.object("pack f f f");
        let store = c.object("f");
        c.wire(unpack, 2, store, 1);
        c.wire(late, 0, store, 0);
        let root = c.chain(store, 0, &["sqrt"]);
        c.wire(root, 0, envelope, 0);
        c.wire(recipe, 5, envelope, 1);
        c.wire(unpack, 3, envelope, 2);
        // Its square falls nearly exponentially; the root of the level, squared, is the level.
        let shape = c.message("$1 $2 , 0 $3 $2");
        c.wire(envelope, 0, shape, 0);
        let line = c.chain(shape, 0, &["vline~"]);
        let square = c.object("*~");
        c.wire(line, 0, square, 0);
        c.wire(line, 0, square, 1);
        c.wire(square, 0, sound, 1);
    }
    c.comment(300, "equal power");
    let angle = c.chain(unpack, 4, &["+ 1", "* 0.7854", "t f f"]);
    for (outlet, (side, function)) in [("left", "cos"), ("right", "sin")].into_iter().enumerate() {
        let part = c.object(function);
        c.wire(angle, outlet, part, 0);
        let out = c.object("*~");
        c.wire(sound, 0, out, 0);
        c.wire(part, 0, out, 1);
        let throw = c.object(&format!("throw~ ftrace-{side}"));
        c.wire(out, 0, throw, 0);
    }
    c
}
