//! Text on its way to a terminal: what would act on it, or look like other text, is escaped.
//!
//! Names, paths and texts come from other kernels, from files and from the network. ESC and the C1 controls begin commands
//! to the terminal, bidirectional controls show text in another order than it has (CVE-2021-42574), invisible characters
//! hide some of it. All of these are written as they would stand in a C string: `\x1b`, `\u202e`, `\U000e0041`; a byte that
//! is no UTF-8 as `\xff`.
//!
//! What the program says of itself goes through [`say`], [`warn`] and [`error`]; a name within other text through
//! [`Escaped`]; a stream of text that is to be exact in a file and safe on a terminal through [`stdout`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether `c` is escaped: it acts on a terminal, changes the order of what is shown, or hides.
pub fn is_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, zero width space, word joiner and the invisible operators, byte order mark.
            '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}'
            // Bidirectional marks, embeddings, overrides and isolates, and the deprecated format characters.
            | '\u{61c}' | '\u{180e}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Line and paragraph separator, interlinear annotation, tags.
            | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes the escape of `c`.
fn write_escape(out: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\t' => out.write_str("\\t"),
        '\r' => out.write_str("\\r"),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    }
}

/// Writes `bytes`, all of them escaped where need be but for the characters that `keep` keeps.
fn write_bytes(out: &mut impl fmt::Write, bytes: &[u8], keep: impl Fn(char) -> bool) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(|c| is_escaped(c) && !keep(c)) {
            let (plain, special) = rest.split_at(at);
            out.write_str(plain)?;
            let mut characters = special.chars();
            characters.next().into_iter().try_for_each(|c| write_escape(out, c))?;
            rest = characters.as_str();
        }
        out.write_str(rest)?;
        chunk.invalid().iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))?;
    }
    Ok(())
}

/// Shows text or bytes on one line, escaped.
///
/// ```
/// use ftrace_live::terminal::Escaped;
/// assert_eq!(Escaped("a\x1b]0;b\x07").to_string(), "a\\x1b]0;b\\x07");
/// assert_eq!(format!("{:>6}|{:<3}|", Escaped(b"caf\xe9\n"), Escaped("é")), "caf\\xe9\\n|é  |");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<T>(pub T);

impl<T: AsRef<[u8]>> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_none() && f.precision().is_none() {
            return write_bytes(f, self.0.as_ref(), |_| false);
        }
        let mut text = String::new();
        write_bytes(&mut text, self.0.as_ref(), |_| false)?;
        f.pad(&text)
    }
}

/// Text that may have several lines: line feeds and tabs stay.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    let keep = |c| matches!(c, '\n' | '\t');
    if !text.chars().any(|c| is_escaped(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    // Writing to a String cannot fail.
    let _ = write_bytes(&mut out, text.as_bytes(), keep);
    Cow::Owned(out)
}

/// The longest word that is shown whole, characters: as long as paths usually are.
const LONGEST_WORD: usize = 300;

/// Text of which very long words are cut: somebody has given a file for a name.
pub fn shorten(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_WORD || text.split_whitespace().all(|word| word.len() <= LONGEST_WORD) {
        return Cow::Borrowed(text);
    }
    let word = |word: &str| match word.char_indices().nth(LONGEST_WORD / 4) {
        Some((at, _)) if word.len() > LONGEST_WORD => format!("{}…({} bytes)", &word[..at], word.len()),
        _ => word.to_owned(),
    };
    let lines = text.split('\n').map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" "));
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// JSON text: what is escaped elsewhere is here written as JSON itself escapes it, so that its value stays the same. Between
/// strings there is nothing but line feeds to keep.
pub fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_escaped(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and errors alone.
    Quiet,
    /// Also what is done.
    Usual,
    /// Also how it is done.
    Verbose,
}

/// A [`Verbosity`].
static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Usual as u8);

/// Sets how much this process says from here on.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Whether things of this kind are said.
pub fn says(kind: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= kind as u8
}

/// Whether standard error is a terminal on which what is done may be shown.
pub fn shows() -> bool {
    says(Verbosity::Usual) && io::stderr().is_terminal()
}

/// Says a line on standard error. That nobody can read it is no reason to end.
pub fn say(line: impl fmt::Display) {
    if says(Verbosity::Usual) {
        say_line(line);
    }
}

/// Says a line that is asked for with `--verbose`.
pub fn detail(line: impl fmt::Display) {
    if says(Verbosity::Verbose) {
        say_line(line);
    }
}

fn say_line(line: impl fmt::Display) {
    say_text(format_args!("ftrace-live: {}\n", Escaped(line.to_string())));
}

/// Says a text that is escaped already, as it is. `eprintln!` would panic where standard error is full or closed: what is
/// said to people must never end the work.
pub fn say_text(text: impl fmt::Display) {
    // One write(2), so that two programs on one terminal do not mix within a line.
    let _ = io::stderr().write_all(text.to_string().as_bytes());
}

/// Whether standard error is a terminal on which nobody minds colours (no-color.org).
pub fn coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    !unwanted && !dumb && io::stderr().is_terminal()
}

/// A word in a colour.
fn colour(code: &str, word: &str) -> String {
    if coloured() { format!("\x1b[1;{code}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Says a warning.
pub fn warn(text: impl fmt::Display) {
    let text = Escaped(text.to_string()).to_string();
    say_text(format_args!("ftrace-live: {}: {}\n", colour("33", "warning"), shorten(&text)));
}

/// Says why the program ends. The kernel's own words in it may have several lines.
pub fn error(text: impl fmt::Display) {
    let text = text.to_string();
    say_text(format_args!("{}: {}\n", colour("31", "ftrace-live"), shorten(&escape_lines(&text))));
}

/// Standard output for text that is to be exact: as it is into a file or a pipe, escaped on a terminal.
pub fn stdout() -> Box<dyn Write + Send> {
    if io::stdout().is_terminal() { Box::new(Screen::new(io::stdout())) } else { Box::new(io::stdout()) }
}

/// A terminal, on which all but line feeds and tabs is escaped.
pub struct Screen<W: Write> {
    terminal: W,
    /// The beginning of a character whose end is still to come.
    pending: Vec<u8>,
    text: String,
}

impl<W: Write> Screen<W> {
    /// Text for `terminal`.
    pub fn new(terminal: W) -> Screen<W> {
        Screen { terminal, pending: Vec::new(), text: String::new() }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.pending) {
            // `None`: the end came inside a character, and only there.
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

/// How many bytes at the end of `bytes` are the beginning of a character.
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
    use proptest::prelude::*;

    fn escaped(bytes: &[u8]) -> String {
        Escaped(bytes).to_string()
    }

    /// What `pieces` become on a terminal, written one by one.
    fn on_screen<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal);
        pieces.into_iter().for_each(|piece| screen.write_all(piece).unwrap());
        drop(screen);
        String::from_utf8(terminal).unwrap()
    }

    #[test]
    fn what_commands_a_terminal_is_escaped() {
        assert_eq!(escaped(b"ev\x1b[2Jil\x07\x7f\x00"), r"ev\x1b[2Jil\x07\x7f\x00");
        // The C1 control CSI, as a character and as a byte.
        assert_eq!(escaped("\u{9b}2J".as_bytes()), r"\u009b2J");
        assert_eq!(escaped(b"\x9b2J"), r"\x9b2J");
        assert_eq!(escaped(b"a\nb\tc\r"), r"a\nb\tc\r");
    }

    #[test]
    fn what_changes_the_order_or_hides_is_escaped() {
        assert_eq!(escaped("\u{202e}cod.exe\u{2066}\u{200f}".as_bytes()), r"\u202ecod.exe\u2066\u200f");
        assert_eq!(escaped("a\u{200b}b\u{e0041}\u{feff}\u{2028}".as_bytes()), r"a\u200bb\U000e0041\ufeff\u2028");
    }

    #[test]
    fn text_of_every_script_stays() {
        for text in ["café 郵政", "שלום", "नमस्ते", "👩\u{200d}🔬", "می\u{200c}خواهم", r"C:\path"]
        {
            assert_eq!(escaped(text.as_bytes()), text);
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{7f}": ["\u{9b}", "\u{202e}", "\u{e0041}", "é\n\x1b"] });
        let text = escape_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| is_escaped(c) && c != '\n'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn on_a_screen_lines_stay_lines_and_a_character_may_come_in_two_writes() {
        assert_eq!(on_screen([b"a\tb\n\x1b[H\n".as_slice()]), "a\tb\n\\x1b[H\n");
        let (first, second) = "é\n".as_bytes().split_at(1);
        assert_eq!(on_screen([first, second]), "é\n");
        assert_eq!(on_screen([b"\xff\xe2\x80".as_slice(), b"\xae\xe2\x80"]), r"\xff\u202e\xe2\x80");
    }

    proptest! {
        #[test]
        fn nothing_gets_through_however_it_is_cut(bytes in proptest::collection::vec(any::<u8>(), 0..60), size in 1usize..9) {
            let whole = on_screen([bytes.as_slice()]);
            prop_assert!(!whole.chars().any(|c| is_escaped(c) && c != '\n' && c != '\t'));
            prop_assert_eq!(on_screen(bytes.chunks(size)), whole);
        }

        #[test]
        fn one_line_stays_one(text in any::<String>()) {
            prop_assert!(!Escaped(&text).to_string().chars().any(is_escaped));
        }
    }
}
