//! Expressions: what follows a `$` in a map's arguments.
//!
//! ```text
//! expression := value [":" type]           type  := i | f | d | h | s
//! value      := NAME                        a field of the event, or cpu, pid, comm, dt, event, system
//!             | "hit." NAME                 a value of the hit
//!             | "latency(" BEGIN..END ")"   ms, of the last pair of such events: capture::latency has the grammar
//!             | "unit(" value ")"           0 to 1, between the least and the greatest that came so far
//!             | "lin(" value, LO, HI ")"    0 to 1, held there
//!             | "log(" value, LO, HI ")"    the same on a logarithmic scale
//!             | "add(" value, N ")" | "mul(" value, N ")"
//!             | "pick(" value, WORD, … ")"  the word whose turn the number says, from 0
//! ```

use std::ops::Range;

use super::place::{Mistake, Text};
use crate::capture::latency::Pair;

/// A value of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HitValue {
    /// 0 note, 1 grain, 2 texture.
    Form,
    /// The timbre's family, 0 to 7.
    Timbre,
    /// MIDI note number.
    Note,
    /// Amplitude, 0 to 1.
    Level,
    /// ms.
    Length,
    /// s.
    Seconds,
    /// −1 to 1.
    Pan,
    /// 0 to 1.
    Brightness,
}

const HIT_VALUES: [(&str, HitValue); 8] = [
    ("form", HitValue::Form),
    ("timbre", HitValue::Timbre),
    ("note", HitValue::Note),
    ("level", HitValue::Level),
    ("length", HitValue::Length),
    ("seconds", HitValue::Seconds),
    ("pan", HitValue::Pan),
    ("brightness", HitValue::Brightness),
];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A field of the event.
    Field(String),
    /// A value of the hit.
    Hit(HitValue),
    /// The CPU.
    Cpu,
    /// The running thread.
    Pid,
    /// Its name.
    Comm,
    /// Milliseconds since the event last occurred.
    Dt,
    /// Milliseconds between two events, and the index of the pair among the map's.
    Latency(Pair, usize),
    /// The event's name.
    Event,
    /// The event's group.
    System,
}

const WORDS: [(&str, Source); 6] = [
    ("cpu", Source::Cpu),
    ("pid", Source::Pid),
    ("comm", Source::Comm),
    ("dt", Source::Dt),
    ("event", Source::Event),
    ("system", Source::System),
];

/// An operation on a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Scaled to 0 to 1 between the smallest and the largest value so far.
    Unit,
    /// Scaled to 0 to 1 between these limits.
    Lin(f64, f64),
    /// The same on a logarithmic scale.
    Log(f64, f64),
    /// Adds this.
    Add(f64),
    /// Multiplies by this.
    Mul(f64),
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// Where its value comes from.
    pub source: Source,
    /// The operations on it, in order.
    pub steps: Vec<Step>,
    /// The words that the number selects from; if there are none, the value is a number or a text itself.
    pub words: Vec<String>,
    /// The type tag asked for with `:TAG`.
    pub tag: Option<char>,
}

const FUNCTIONS: [&str; 7] = ["unit", "lin", "log", "add", "mul", "pick", "latency"];
/// The deepest nesting of functions, and the largest number of words.
const DEEPEST: usize = 8;

/// A cursor over the expression.
struct Reader<'t> {
    text: Text<'t>,
    /// The byte of the text at which the expression begins.
    start: usize,
    rest: &'t str,
    at: usize,
}

impl Expression {
    /// Parses what follows the `$`; it begins at byte `start` of the text.
    pub(super) fn parse<'t>(text: Text<'t>, expression: &'t str, start: usize) -> Result<Expression, Mistake> {
        let mut reader = Reader { text, start, rest: expression, at: 0 };
        let mut parsed = reader.value(0)?;
        reader.blanks();
        if reader.take(':') {
            let at = reader.here();
            let word = reader.word();
            parsed.tag = match word {
                "i" | "f" | "d" | "h" | "s" => word.chars().next(),
                _ => return Err(text.unknown(&at, "type", word, &["i", "f", "d", "h", "s"])),
            };
        }
        reader.blanks();
        if reader.rest.is_empty() { Ok(parsed) } else { Err(reader.expected("the end of the expression")) }
    }
}

impl<'t> Reader<'t> {
    fn here(&self) -> Range<usize> {
        self.start + self.at..self.start + self.at
    }

    fn expected(&self, what: &str) -> Mistake {
        let found = self.rest.chars().next().map_or("nothing more".to_owned(), |c| format!("{c:?}"));
        self.text.mistake(&self.here(), format!("expected {what}, found {found}"))
    }

    fn skip(&mut self, len: usize) -> &'t str {
        let (skipped, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.at += len;
        skipped
    }

    fn blanks(&mut self) {
        self.skip(self.rest.len() - self.rest.trim_start().len());
    }

    fn take(&mut self, c: char) -> bool {
        self.blanks();
        let found = self.rest.starts_with(c);
        if found {
            self.skip(c.len_utf8());
        }
        found
    }

    fn expect(&mut self, c: char) -> Result<(), Mistake> {
        if self.take(c) { Ok(()) } else { Err(self.expected(&format!("{c:?}"))) }
    }

    fn word(&mut self) -> &'t str {
        self.blanks();
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '-' | '+'));
        self.skip(end.unwrap_or(self.rest.len()))
    }

    /// The text up to the matching closing parenthesis.
    fn parenthesised(&mut self) -> &'t str {
        let mut depth = 0;
        let closes = |c: char| match c {
            '(' => {
                depth += 1;
                false
            }
            ')' if depth == 0 => true,
            ')' => {
                depth -= 1;
                false
            }
            _ => false,
        };
        let end = self.rest.find(closes).unwrap_or(self.rest.len());
        self.skip(end)
    }

    fn number(&mut self) -> Result<f64, Mistake> {
        self.expect(',')?;
        self.blanks();
        let (at, word) = (self.here(), self.word());
        let number = word.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.text.mistake(&at, format!("{word:?} is not a number")))
    }

    fn value(&mut self, depth: usize) -> Result<Expression, Mistake> {
        self.blanks();
        let (at, word) = (self.here(), self.word());
        if word.is_empty() {
            return Err(self.expected("the name of a field, or a function"));
        }
        if !self.take('(') {
            return Ok(Expression { source: self.source(&at, word)?, steps: vec![], words: vec![], tag: None });
        }
        if !FUNCTIONS.contains(&word) {
            return Err(self.text.unknown(&at, "function", word, &FUNCTIONS));
        }
        if word == "latency" {
            let (at, pair) = (self.here(), self.parenthesised());
            let pair = pair.parse::<Pair>().map_err(|error| self.text.mistake(&at, error.to_string()))?;
            self.expect(')')?;
            return Ok(Expression { source: Source::Latency(pair, 0), steps: vec![], words: vec![], tag: None });
        }
        if depth >= DEEPEST {
            return Err(self.text.mistake(&at, format!("functions are nested more than {DEEPEST} deep")));
        }
        let inner = self.here();
        let mut value = self.value(depth + 1)?;
        if !value.words.is_empty() || matches!(value.source, Source::Comm | Source::Event | Source::System) {
            return Err(self.text.mistake(&inner, format!("{word} needs a number, but this is a word")));
        }
        self.arguments(word, &at, &mut value)?;
        self.expect(')')?;
        Ok(value)
    }

    /// Parses what follows the first argument of the function `word`.
    fn arguments(&mut self, word: &str, at: &Range<usize>, value: &mut Expression) -> Result<(), Mistake> {
        let ends = |reader: &mut Self| Ok((reader.number()?, reader.number()?));
        match word {
            "unit" => value.steps.push(Step::Unit),
            "add" => value.steps.push(Step::Add(self.number()?)),
            "mul" => value.steps.push(Step::Mul(self.number()?)),
            "lin" => {
                let (lo, hi) = ends(self)?;
                if lo == hi {
                    return Err(self.text.mistake(at, "lin needs two different limits"));
                }
                value.steps.push(Step::Lin(lo, hi));
            }
            "log" => {
                let (lo, hi) = ends(self)?;
                if lo <= 0.0 || hi <= 0.0 || lo == hi {
                    return Err(self.text.mistake(at, "log needs two different limits above 0"));
                }
                value.steps.push(Step::Log(lo, hi));
            }
            _ => {
                while self.take(',') {
                    let word = self.word();
                    if word.is_empty() {
                        return Err(self.expected("a word to pick"));
                    }
                    value.words.push(word.to_owned());
                }
                if value.words.is_empty() {
                    return Err(self.expected("',' and words to select from"));
                }
            }
        }
        Ok(())
    }

    fn source(&self, at: &Range<usize>, word: &str) -> Result<Source, Mistake> {
        if let Some(name) = word.strip_prefix("hit.") {
            let known = HIT_VALUES.map(|(name, _)| name);
            let found = HIT_VALUES.iter().find(|(known, _)| *known == name);
            return found
                .map(|(_, value)| Source::Hit(*value))
                .ok_or_else(|| self.text.unknown(at, "value of a hit", name, &known));
        }
        let field = word.strip_prefix("field.");
        match WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, source)) => Ok(source.clone()),
            None => Ok(Source::Field(field.unwrap_or(word).to_owned())),
        }
    }
}

impl HitValue {
    /// Its name.
    pub fn name(self) -> &'static str {
        HIT_VALUES.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}
