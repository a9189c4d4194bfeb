//! Output of the program: messages to standard error, and text to standard output that is safe on a terminal.
//!
//! Messages are printed by [`say`], [`warn`] and [`error`]; text that must be exact in a file and safe on a terminal
//! goes through [`stdout`]. [`crate::escape`] defines what is escaped.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::escape::{Escaped, escape_lines, shorten, write_bytes};

/// How many messages are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only warnings, errors and what was lost.
    Quiet,
    /// Also what is done.
    Usual,
    /// Also how it is done.
    Verbose,
}

/// The current [`Verbosity`].
static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Usual as u8);

/// Sets which messages this process prints from now on.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Whether messages of this kind are printed.
pub fn says(kind: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= kind as u8
}

/// Whether standard error is a terminal on which progress may be shown.
pub fn shows() -> bool {
    says(Verbosity::Usual) && io::stderr().is_terminal()
}

/// Prints a line to standard error. It is not an error if that fails.
pub fn say(line: impl fmt::Display) {
    if says(Verbosity::Usual) {
        say_line(line);
    }
}

/// Prints a line about losses, even with `--quiet`: an unreported loss would be taken for none.
pub fn lost(line: impl fmt::Display) {
    say_line(line);
}

/// Prints a line with `--verbose` only.
pub fn detail(line: impl fmt::Display) {
    if says(Verbosity::Verbose) {
        say_line(line);
    }
}

fn say_line(line: impl fmt::Display) {
    say_text(format_args!("ftrace-live: {}\n", Escaped(line.to_string())));
}

/// Prints a text that is already escaped. `eprintln!` would panic if standard error is full or closed: messages must
/// never end the work.
pub fn say_text(text: impl fmt::Display) {
    // One write(2), so that lines of two programs on one terminal do not mix.
    let _ = io::stderr().write_all(text.to_string().as_bytes());
}

/// Whether standard error is a terminal, and colours were not disabled (no-color.org).
pub fn coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    !unwanted && !dumb && io::stderr().is_terminal()
}

/// A word in a colour.
fn colour(code: &str, word: &str) -> String {
    if coloured() { format!("\x1b[1;{code}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Prints a warning.
pub fn warn(text: impl fmt::Display) {
    let text = Escaped(text.to_string()).to_string();
    say_text(format_args!("ftrace-live: {}: {}\n", colour("33", "warning"), shorten(&text)));
}

/// Prints why the program ends. The kernel's message in it may have several lines.
pub fn error(text: impl fmt::Display) {
    let text = text.to_string();
    say_text(format_args!("{}: {}\n", colour("31", "ftrace-live"), shorten(&escape_lines(&text))));
}

/// Standard output for text that must be exact: unchanged to a file or a pipe, escaped on a terminal.
pub fn stdout() -> Box<dyn Write + Send> {
    if io::stdout().is_terminal() { Box::new(Screen::new(io::stdout())) } else { Box::new(io::stdout()) }
}

/// A terminal, for which everything except line feeds and tabs is escaped.
pub struct Screen<W: Write> {
    terminal: W,
    /// The beginning of an incomplete character.
    pending: Vec<u8>,
    text: String,
}

impl<W: Write> Screen<W> {
    /// Escapes text for `terminal`.
    pub fn new(terminal: W) -> Screen<W> {
        Screen { terminal, pending: Vec::new(), text: String::new() }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.pending) {
            // `None`: the text ends within a character.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) => self.pending.len(),
            Err(_) => self.pending.len() - cut_character(&self.pending),
        };
        self.text.clear();
        let _ = write_bytes(&mut self.text, &self.pending[..whole], |c| matches!(c, '\n' | '\t'));
        self.pending.drain(..whole);
        self.terminal.write_all(self.text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.terminal.flush()
    }
}

/// The length of an incomplete character at the end of `bytes`.
fn cut_character(bytes: &[u8]) -> usize {
    let cut = |&len: &usize| {
        let tail = bytes.len().checked_sub(len).and_then(|at| bytes.get(at..)).unwrap_or_default();
        std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=3).find(cut).unwrap_or(0)
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        self.text.clear();
        let _ = write_bytes(&mut self.text, &self.pending, |_| false);
        let _ = self.terminal.write_all(self.text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::is_escaped;
    use proptest::prelude::*;

    /// The output on a terminal of `pieces` written one by one.
    fn on_screen<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal);
        pieces.into_iter().for_each(|piece| screen.write_all(piece).unwrap());
        drop(screen);
        String::from_utf8(terminal).unwrap()
    }

    #[test]
    fn lines_stay_lines_and_a_character_may_be_split_between_writes() {
        assert_eq!(on_screen([b"a\tb\n\x1b[H\n".as_slice()]), "a\tb\n\\x1b[H\n");
        let (first, second) = "é\n".as_bytes().split_at(1);
        assert_eq!(on_screen([first, second]), "é\n");
        assert_eq!(on_screen([b"\xff\xe2\x80".as_slice(), b"\xae\xe2\x80"]), r"\xff\u202e\xe2\x80");
    }

    proptest! {
        #[test]
        fn no_control_character_gets_through_however_writes_are_split(bytes in proptest::collection::vec(any::<u8>(), 0..60), size in 1usize..9) {
            let whole = on_screen([bytes.as_slice()]);
            prop_assert!(!whole.chars().any(|c| is_escaped(c) && c != '\n' && c != '\t'));
            prop_assert_eq!(on_screen(bytes.chunks(size)), whole);
        }
    }
}
