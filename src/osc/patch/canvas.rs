//! Writes a canvas of a Pure Data patch in its file format.

use std::fmt::Write;

use super::{plain, plain_controls};

/// A canvas being written, objects from top to bottom.
#[derive(Default, Clone)]
pub(super) struct Canvas {
    /// Statements that put objects; `#X connect` counts them.
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

    /// Puts `[text]`; returns its number for [`Canvas::wire`].
    pub(super) fn object(&mut self, text: &str) -> usize {
        self.object_at(20, text)
    }

    /// Puts `[text]` at column `x`.
    pub(super) fn object_at(&mut self, x: usize, text: &str) -> usize {
        let y = self.y + 20;
        self.put(format!("#X obj {x} {y} {};\n", escaped(text)))
    }

    /// Puts a message box.
    pub(super) fn message(&mut self, text: &str) -> usize {
        let y = self.y + 20;
        self.put(format!("#X msg 20 {y} {};\n", escaped(text)))
    }

    /// Puts a comment.
    pub(super) fn comment(&mut self, x: usize, text: &str) -> usize {
        let y = self.y + 20;
        self.put(format!("#X text {x} {y} {};\n", escaped(&plain(text))))
    }

    /// Puts `canvas` as the sub-patch `[pd name]`.
    pub(super) fn sub_patch(&mut self, name: &str, canvas: &Canvas) -> usize {
        let y = self.y + 20;
        self.put(format!(
            "#N canvas 80 80 640 560 {name} 0;\n{}{}#X restore 20 {y} pd {name};\n",
            canvas.objects.concat(),
            canvas.connections,
            name = word(name)
        ))
    }

    pub(super) fn gap(&mut self) {
        self.y += 14;
    }

    pub(super) fn wire(&mut self, from: usize, outlet: usize, to: usize, inlet: usize) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.connections, "#X connect {from} {outlet} {to} {inlet};");
    }

    /// Puts objects in a chain that begins at an outlet; returns the number of the last one.
    pub(super) fn chain(&mut self, from: usize, outlet: usize, objects: &[&str]) -> usize {
        let (mut last, mut outlet) = (from, outlet);
        for text in objects {
            let next = self.object(text);
            self.wire(last, outlet, next, 0);
            (last, outlet) = (next, 0);
        }
        last
    }

    pub(super) fn file(&self) -> String {
        format!("#N canvas 60 60 760 760 12;\n{}{}", self.objects.concat(), self.connections)
    }
}

/// Escapes Pd's special characters: a semicolon ends a statement, a comma a message, a dollar sign is an argument. In
/// a message box a comma separates messages only if it is a word of its own.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in plain_controls(text) {
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
pub(super) fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() || matches!(c, ';' | ',' | '\\') { '_' } else { c }).collect()
}
