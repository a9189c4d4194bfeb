//! Escapes untrusted text for display: characters that would control a terminal, or make text look like other text.
//!
//! Names, paths and texts come from other kernels, from files and from the network. ESC and the C1 controls begin
//! terminal commands, bidirectional controls reorder the displayed text (CVE-2021-42574), and invisible characters
//! hide some of it. All of these are written as in a C string: `\x1b`, `\u202e`, `\U000e0041`; a byte that is not
//! UTF-8 as `\xff`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether `c` is escaped: it controls a terminal, reorders text, or is invisible.
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

/// Writes `bytes`, escaped where necessary except for characters accepted by `keep`.
pub(crate) fn write_bytes(out: &mut impl fmt::Write, bytes: &[u8], keep: impl Fn(char) -> bool) -> fmt::Result {
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
/// use ftrace_live::escape::Escaped;
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

/// Escapes text that may have several lines: line feeds and tabs are kept.
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

/// The longest word that is shown in full, characters: about as long as paths are.
const LONGEST_WORD: usize = 300;

/// Shortens very long words, as when a file's contents are given for a name.
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

/// Escapes JSON text in JSON's own way, so that its value stays the same. Outside of strings it has no special
/// characters except line feeds.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(bytes: &[u8]) -> String {
        Escaped(bytes).to_string()
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

    proptest! {
        #[test]
        fn one_line_stays_one(text in any::<String>()) {
            prop_assert!(!Escaped(&text).to_string().chars().any(is_escaped));
        }
    }
}
