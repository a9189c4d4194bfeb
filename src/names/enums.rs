//! Values of the kernel's enum constants, from BTF or from a capture's own `constants` file.
//!
//! BTF has megabytes, and the machine that replays a capture does not have the traced kernel's. So a capture keeps
//! the few constants that its formats mention, in a text file of two parts: lines `NAME VALUE`, then for each enum
//! that is a field's type a line `enum NAME` and its enumerators.
//!
//! ```text
//! TCP_ESTABLISHED 1
//! enum hrtimer_mode
//! HRTIMER_MODE_ABS 0
//! HRTIMER_MODE_REL 1
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
};

use super::hz;
use crate::format::{Base, EventFormat, btf::Btf};

/// Named constants and enums.
#[derive(Debug, Clone, Default)]
pub struct Enums {
    btf: Option<Btf>,
    kept: HashMap<String, i64>,
    kept_enums: BTreeMap<String, Vec<(String, i64)>>,
}

impl From<Btf> for Enums {
    fn from(btf: Btf) -> Enums {
        Enums { btf: Some(btf), ..Enums::default() }
    }
}

impl Enums {
    /// Parses a `constants` file; lines of another form are skipped.
    pub fn parse(text: &str) -> Enums {
        let mut constants = Enums::default();
        let mut section: Option<String> = None;
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            if name == "enum" {
                constants.kept_enums.entry(value.to_owned()).or_default();
                section = Some(value.to_owned());
            } else if let Ok(value) = value.parse() {
                constants.kept.entry(name.to_owned()).or_insert(value);
                if let Some(members) = section.as_ref().and_then(|s| constants.kept_enums.get_mut(s)) {
                    members.push((name.to_owned(), value));
                }
            }
        }
        constants
    }

    /// Sets the kernel's timer frequency, which is kept among the constants as `HZ`.
    pub(crate) fn set_hz(&mut self, hz: Option<i64>) {
        self.kept.extend(hz.map(|hz| (hz::NAME.to_owned(), hz)));
    }

    /// The value of the constant `name`.
    pub fn value(&self, name: &str) -> Option<i64> {
        match (self.kept.get(name), &self.btf) {
            (Some(&value), _) => Some(value),
            (None, Some(btf)) => btf.constant(name),
            (None, None) => super::fixed::value(name),
        }
    }

    /// The enumerators of `enum NAME`, in the order of declaration.
    pub fn enumerators(&self, name: &str) -> Option<Vec<(&str, i64)>> {
        match self.kept_enums.get(name) {
            Some(members) => Some(members.iter().map(|(name, value)| (name.as_str(), *value)).collect()),
            None => Some(self.btf.as_ref()?.enumerators(name)?.collect()),
        }
    }

    /// The text of a `constants` file with those of these constants that `formats` need; empty if they need none.
    pub fn text_for<'a>(&self, formats: impl IntoIterator<Item = &'a EventFormat>) -> String {
        let mut names = BTreeSet::new();
        let mut enums = BTreeSet::new();
        for format in formats {
            names.extend(identifiers(&format.print_fmt));
            names.extend(hz::is_needed_by(&format.print_fmt).then_some(hz::NAME));
            enums.extend(format.fields.iter().filter_map(|field| match &field.ctype.base {
                Base::Enum(name) => Some(name.as_str()),
                _ => None,
            }));
            enums.extend(format.print_fmt.contains("%pGp").then_some("pageflags"));
        }
        let mut out = String::new();
        for (name, value) in names.into_iter().filter_map(|name| Some((name, self.value(name)?))) {
            _ = writeln!(out, "{name} {value}");
        }
        for (name, members) in enums.into_iter().filter_map(|name| Some((name, self.enumerators(name)?))) {
            _ = writeln!(out, "enum {name}");
            members.iter().for_each(|(name, value)| _ = writeln!(out, "{name} {value}"));
        }
        out
    }
}

/// The identifiers of a print format that may be constants: those outside of literals that are not a member's name.
fn identifiers(print_fmt: &str) -> impl Iterator<Item = &str> {
    let mut rest = print_fmt;
    std::iter::from_fn(move || {
        loop {
            let first = rest.chars().next()?;
            if first == '"' || first == '\'' {
                rest = behind_literal(rest, first);
            } else if first.is_ascii_alphanumeric() || first == '_' {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                rest = behind;
                if !first.is_ascii_digit() {
                    return Some(word);
                }
            } else if let Some(member) = rest.strip_prefix("->") {
                rest = member.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
    })
}

/// What follows the literal that `text` begins with.
fn behind_literal(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return &text[at + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::LongSize;

    const FILE: &str = "TCP_CLOSE 7\nTCP_ESTABLISHED 1\nenum hrtimer_mode\nHRTIMER_MODE_ABS 0\nHRTIMER_MODE_REL -1\n";

    fn format() -> EventFormat {
        let text = "name: e\nID: 3\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
            \tfield:enum hrtimer_mode mode;\toffset:8;\tsize:4;\tsigned:0;\n\n\
            print fmt: \"TCP_LISTEN '%s' %d\", __print_symbolic(REC->TCP_SYN, { TCP_ESTABLISHED, \"a\\\"TCP_X\" }, \
            { TCP_CLOSE, \"b\" }), sizeof(unknown)\n";
        EventFormat::parse("s", text, LongSize::Eight).unwrap()
    }

    #[test]
    fn a_capture_keeps_the_constants_its_formats_mention_and_the_enums_of_their_fields() {
        let all = format!("TCP_LISTEN 10\nTCP_SYN 2\nTCP_X 3\n{FILE}enum other\nOTHER 5\n");
        let kept = Enums::parse(&all).text_for([&format()]);
        assert_eq!(kept, FILE);
    }

    #[test]
    fn the_file_reads_back_as_what_it_was_written_from() {
        let constants = Enums::parse(FILE);
        assert_eq!(constants.value("TCP_CLOSE"), Some(7));
        assert_eq!(constants.value("HRTIMER_MODE_REL"), Some(-1));
        let members = constants.enumerators("hrtimer_mode").unwrap();
        assert_eq!(members, [("HRTIMER_MODE_ABS", 0), ("HRTIMER_MODE_REL", -1)]);
        assert_eq!(constants.enumerators("TCP_CLOSE"), None);
    }

    /// Two enums of a kernel may have a constant of the same name; the one declared first wins.
    #[test]
    fn the_first_of_equal_names_wins() {
        let constants = Enums::parse("STATE_UP 1\nSTATE_UP 2\nenum other\nSTATE_UP 3\n");
        assert_eq!(constants.value("STATE_UP"), Some(1));
        assert_eq!(constants.enumerators("other").unwrap(), [("STATE_UP", 3)]);
    }

    #[test]
    fn what_stands_in_a_literal_or_is_a_member_is_no_constant() {
        let found = |print_fmt: &str| identifiers(print_fmt).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found(r#""a TCP_LISTEN", TCP_CLOSE"#), ["TCP_CLOSE"]);
        assert_eq!(found("REC->irq, TCP_CLOSE"), ["REC", "TCP_CLOSE"]);
        assert_eq!(found("REC->old_state, 'TCP_X', 0x1f, _A1"), ["REC", "_A1"]);
    }

    #[test]
    fn hz_is_kept_for_formats_that_count_jiffies() {
        let format = |print_fmt: &str| {
            let field = "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n";
            let text = format!("name: e\nID: 3\nformat:\n{field}\nprint fmt: {print_fmt}\n");
            EventFormat::parse("s", &text, LongSize::Eight).unwrap()
        };
        let mut constants = Enums::default();
        constants.set_hz(None);
        assert_eq!(constants.value("HZ"), None);
        constants.set_hz(Some(250));
        assert_eq!(constants.text_for([&format("\"%u\", jiffies_to_msecs(REC->common_pid)")]), "HZ 250\n");
        assert_eq!(constants.text_for([&format("\"%u\", REC->common_pid")]), "");
    }

    #[test]
    fn lines_of_another_form_are_skipped() {
        assert_eq!(Enums::parse("\nA\nA B\nenum\n\u{e9} \u{e9}\nA 99999999999999999999\n").value("A"), None);
    }
}
