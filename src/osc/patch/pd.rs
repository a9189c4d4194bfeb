//! A patch for Pure Data, vanilla objects alone: `[netreceive -u -b]`, `[oscparse]`, `[route]`, `[unpack]`, and a pool of
//! voices.
//!
//! The file format is one statement a line: `#N canvas …;` opens a canvas, `#X obj X Y words;` puts an object on it,
//! `#X connect FROM OUTLET TO INLET;` joins two by the order in which they were put, `#X restore X Y pd NAME;` closes a
//! sub-patch and puts it as an object on the canvas around it. Outlets fire from right to left.

use std::fmt::Write;

use super::{
    Language, Listen, Schema, argument_lines, introduction, plain,
    voice::{LOWEST_NOTE, NOTE_RANGE, SEMITONES, Voice},
};

/// How many sounds at once.
const VOICES: usize = 24;

/// The patch file's text.
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
    let mut systems: Vec<&str> = Vec::new();
    for schema in schemas {
        if !systems.contains(&system(schema)) {
            systems.push(system(schema));
        }
    }
    let words: Vec<String> = systems.iter().map(|s| word(s)).collect();
    let route = main.object(&format!("route {} start stat stop", words.join(" ")));
    main.wire(last, 0, route, 0);
    for (outlet, name) in systems.iter().enumerate() {
        let of_system: Vec<(usize, &Schema)> = schemas.iter().enumerate().filter(|(_, s)| system(s) == *name).collect();
        let words: Vec<String> = of_system.iter().map(|(_, s)| word(event(s))).collect();
        let by_event = main.object(&format!("route {}", words.join(" ")));
        main.wire(route, outlet, by_event, 0);
        for (outlet, (position, schema)) in of_system.into_iter().enumerate() {
            let player = main.sub_patch(event(schema), &player(schema, position));
            main.wire(by_event, outlet, player, 0);
        }
    }
    let stream = main.sub_patch("stream", &stream());
    for k in 0..3 {
        main.wire(route, systems.len() + k, stream, k);
    }
    main.sub_patch("voices", &voices());

    main.gap();
    main.comment(20, "Sound on:");
    let load = main.object("loadbang");
    let on = main.message("; pd dsp 1");
    main.wire(load, 0, on, 0);
    let sides = ["left", "right"].map(|side| {
        let catch = main.object(&format!("catch~ $0-{side}"));
        let high_pass = main.object("hip~ 5");
        let clip = main.object("clip~ -1 1");
        main.wire(catch, 0, high_pass, 0);
        main.wire(high_pass, 0, clip, 0);
        clip
    });
    let dac = main.object("dac~");
    main.wire(sides[0], 0, dac, 0);
    main.wire(sides[1], 0, dac, 1);
    main.file()
}

/// The second last part of the address: the sanitised system.
fn system(schema: &Schema) -> &str {
    schema.address.rsplit('/').nth(1).unwrap_or_default()
}

/// The last part of the address: the sanitised event.
fn event(schema: &Schema) -> &str {
    schema.address.rsplit('/').next().unwrap_or_default()
}

/// What turns one event's arguments into a hit: a list of timbre, note, loudness, length in ms, pan.
fn player(schema: &Schema, position: usize) -> Canvas {
    let voice = Voice::of(schema, position);
    let mut c = Canvas::default();
    c.comment(20, &format!("{} ,{}", schema.address, schema.tags));
    for line in argument_lines(schema, |k| format!("outlet {}", k + 1)) {
        c.comment(20, &line);
    }
    c.gap();
    let inlet = c.object("inlet");
    let trigger = c.object("t b l");
    let kinds: Vec<&str> = schema.tags.chars().map(|t| if t == 's' { "s" } else { "f" }).collect();
    let unpack = c.object(&format!("unpack {}", kinds.join(" ")));
    c.wire(inlet, 0, trigger, 0);
    c.wire(trigger, 1, unpack, 0);

    c.comment(300, &format!("any number as a note: {}", schema.arguments[voice.pitch].name));
    let scale = f64::from(SEMITONES) / std::f64::consts::LN_2 / f64::from(NOTE_RANGE);
    let note = c.chain(
        unpack,
        voice.pitch,
        &[
            "abs",
            "+ 1",
            "log",
            &format!("* {scale:.6}"),
            "wrap",
            &format!("* {NOTE_RANGE}"),
            &format!("+ {LOWEST_NOTE}"),
        ],
    );
    c.comment(300, "dt: what is rare rings, what is dense becomes grain");
    let length = c.chain(unpack, voice.dt, &["max 20", "min 600", "t f f"]);
    let loudness = c.chain(length, 0, &["* 0.00027", "+ 0.035"]);
    let pan = c.chain(unpack, voice.cpu, &["* 0.618", "wrap"]);
    let timbre = c.message(&voice.timbre.to_string());
    c.wire(trigger, 0, timbre, 0);
    let pack = c.object("pack f f f f f");
    c.wire(timbre, 0, pack, 0);
    c.wire(note, 0, pack, 1);
    c.wire(loudness, 0, pack, 2);
    c.wire(length, 1, pack, 3);
    c.wire(pan, 0, pack, 4);
    let send = c.object("s ftrace-hit");
    c.wire(pack, 0, send, 0);
    c
}

/// Prints what is said about the stream itself.
fn stream() -> Canvas {
    let mut c = Canvas::default();
    c.comment(20, "start: host, CPUs; stat: read sent thinned kernel_lost malformed receiver_drops window_s; stop");
    // A sub-patch's inlets are numbered by their place from left to right.
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

/// The pool: hits go to the voices in turn, so that the oldest gives way.
fn voices() -> Canvas {
    let mut c = Canvas::default();
    c.comment(20, "a hit: timbre, note, loudness, length in ms, pan. Send your own to ftrace-hit");
    let receive = c.object("r ftrace-hit");
    let trigger = c.object("t l b");
    let count = c.object("f");
    let next = c.chain(count, 0, &["+ 1", &format!("mod {VOICES}")]);
    let prepend = c.object("list prepend 0");
    let turns: Vec<String> = (0..VOICES).map(|v| v.to_string()).collect();
    let route = c.object(&format!("route {}", turns.join(" ")));
    c.wire(receive, 0, trigger, 0);
    c.wire(trigger, 1, count, 0);
    c.wire(next, 0, count, 1);
    c.wire(count, 0, prepend, 1);
    c.wire(trigger, 0, prepend, 0);
    c.wire(prepend, 0, route, 0);
    let voice = voice();
    for v in 0..VOICES {
        let player = c.sub_patch("voice", &voice);
        c.wire(route, v, player, 0);
    }
    c
}

/// One voice: a sine, the more clipped the higher the timbre, with a falling envelope.
fn voice() -> Canvas {
    let mut c = Canvas::default();
    let inlet = c.object("inlet");
    let unpack = c.object("unpack f f f f f");
    c.wire(inlet, 0, unpack, 0);
    let tone = c.chain(unpack, 1, &["mtof", "osc~", "*~ 1", "clip~ -1 1"]);
    let drive = c.chain(unpack, 0, &["* 1.5", "+ 1"]);
    c.wire(drive, 0, tone - 1, 1);
    // Loudness comes after length (right to left), so it fires the envelope.
    let envelope = c.object("pack f f");
    c.wire(unpack, 2, envelope, 0);
    c.wire(unpack, 3, envelope, 1);
    let shape = c.message("$1 2 , 0 $2 2");
    c.wire(envelope, 0, shape, 0);
    let line = c.object("vline~");
    c.wire(shape, 0, line, 0);
    let sound = c.object("*~");
    c.wire(tone, 0, sound, 0);
    c.wire(line, 0, sound, 1);
    let right = c.object("*~ 0.5");
    c.wire(sound, 0, right, 0);
    c.wire(unpack, 4, right, 1);
    let rest = c.chain(unpack, 4, &["* -1", "+ 1"]);
    let left = c.object("*~ 0.5");
    c.wire(sound, 0, left, 0);
    c.wire(rest, 0, left, 1);
    for (side, from) in [("left", left), ("right", right)] {
        let throw = c.object(&format!("throw~ $0-{side}"));
        c.wire(from, 0, throw, 0);
    }
    c
}

/// A canvas being written, objects from top to bottom.
#[derive(Default, Clone)]
struct Canvas {
    /// Statements that put objects, each counted by `connect`.
    objects: Vec<String>,
    connections: String,
    y: usize,
}

impl Canvas {
    fn put(&mut self, statement: String) -> usize {
        self.objects.push(statement);
        self.y += 26;
        self.objects.len() - 1
    }

    /// Puts `[text]`; its number for [`Canvas::wire`].
    fn object(&mut self, text: &str) -> usize {
        self.object_at(20, text)
    }

    /// Puts `[text]` at column `x`.
    fn object_at(&mut self, x: usize, text: &str) -> usize {
        let y = self.y + 20;
        self.put(format!("#X obj {x} {y} {};\n", escaped(text)))
    }

    /// Puts a message box.
    fn message(&mut self, text: &str) -> usize {
        let y = self.y + 20;
        self.put(format!("#X msg 20 {y} {};\n", escaped(text)))
    }

    /// Puts a comment.
    fn comment(&mut self, x: usize, text: &str) -> usize {
        let y = self.y + 20;
        self.put(format!("#X text {x} {y} {};\n", escaped(text)))
    }

    /// Puts `canvas` as the sub-patch `[pd name]`.
    fn sub_patch(&mut self, name: &str, canvas: &Canvas) -> usize {
        let y = self.y + 20;
        self.put(format!(
            "#N canvas 80 80 640 560 {name} 0;\n{}{}#X restore 20 {y} pd {name};\n",
            canvas.objects.concat(),
            canvas.connections,
            name = word(name)
        ))
    }

    fn gap(&mut self) {
        self.y += 14;
    }

    fn wire(&mut self, from: usize, outlet: usize, to: usize, inlet: usize) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.connections, "#X connect {from} {outlet} {to} {inlet};");
    }

    /// Puts objects one behind the other, beginning at an outlet; the last one's number.
    fn chain(&mut self, from: usize, outlet: usize, objects: &[&str]) -> usize {
        let (mut last, mut outlet) = (from, outlet);
        for text in objects {
            let next = self.object(text);
            self.wire(last, outlet, next, 0);
            (last, outlet) = (next, 0);
        }
        last
    }

    fn file(&self) -> String {
        format!("#N canvas 60 60 760 760 12;\n{}{}", self.objects.concat(), self.connections)
    }
}

/// Text with Pd's own signs escaped: a semicolon ends a statement, a comma a message, a dollar sign is an argument. In a
/// message box a comma only parts messages where it is a word of its own.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            ';' | ',' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '\\' | '{' | '}' => out.push('_'),
            _ => out.push(c),
        }
    }
    out
}

/// One word of an object's text.
fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() || matches!(c, ';' | ',' | '\\') { '_' } else { c }).collect()
}
