//! Parses a map; errors have a line and a column.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Map;
use super::expression::{Expression, Source};
use super::place::{Mistake, Place, Text};
use crate::capture::latency::Pair;
use crate::decode::{Element, Plan, Read};
use crate::format::EventFormat;
use crate::sound::Form;
use crate::tracefs::{EventName, Selection};

/// What a message is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Each event.
    Event,
    /// Each hit of one of these forms.
    Hit(Vec<Form>),
}

/// A constant argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// `i`.
    Int(i32),
    /// `f`.
    Float(f32),
    /// `s`.
    Text(String),
}

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// The same in every message.
    Constant(Constant),
    /// A value of the event or the hit, and its place in the map.
    Expression(Expression, Place),
}

/// A message of a map.
#[derive(Debug, Clone)]
pub struct MessageRule {
    file: String,
    /// What it is made from.
    pub trigger: Trigger,
    /// The events, as patterns like those of `-e`; each with its place.
    patterns: Vec<(String, Place)>,
    selection: Selection,
    /// Its address; may contain `{event}` and `{system}`.
    pub address: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
}

/// The longest map, and the most arguments of a message.
const LONGEST: usize = 1 << 20;
const ARGUMENTS: usize = 256;

const TOP: [&str; 5] = ["about", "port", "latency", "rate", "message"];
const MESSAGE: [&str; 5] = ["on", "form", "events", "address", "args"];
const FORMS: [(&str, Form); 3] = [("note", Form::Note), ("grain", Form::Grain), ("texture", Form::Texture)];

type At<'v, 't> = &'v Spanned<DeValue<'t>>;

impl Map {
    /// Parses a map; `file` is its name in error messages.
    ///
    /// # Errors
    /// The first error, with its line and column.
    pub fn parse(file: &str, toml: &str) -> Result<Map, Mistake> {
        let text = Text { file, text: toml };
        if toml.len() > LONGEST {
            return Err(text.mistake(&(0..0), "a map may be at most 1 MiB long"));
        }
        let table = DeTable::parse(toml)
            .map_err(|error| text.mistake(&error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let mut pairs = Vec::new();
        let mut map = Map {
            name: file.to_owned(),
            about: String::new(),
            port: None,
            latency_ms: None,
            rate: None,
            built_in: false,
            messages: vec![],
        };
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "about" => map.about = string(text, value)?.0.to_owned(),
                "port" => map.port = Some(number(text, value, 1.0..=65535.0)? as u16),
                "latency" => map.latency_ms = Some(number(text, value, 0.0..=60_000.0)?),
                "rate" => map.rate = Some(number(text, value, 1.0..=1e9)? as u32),
                "message" => {
                    for message in list(text, value)? {
                        let mut rule = rule(text, message)?;
                        rule.number_pairs(&mut pairs);
                        map.messages.push(Arc::new(rule));
                    }
                }
                other => return Err(text.unknown(&key.span(), "key", other, &TOP)),
            }
        }
        if map.messages.is_empty() {
            return Err(text.mistake(&(0..0), "a map needs at least one [[message]]"));
        }
        Ok(map)
    }
}

fn rule(text: Text<'_>, value: At<'_, '_>) -> Result<MessageRule, Mistake> {
    let wrong = |what: &str| text.mistake(&value.span(), what);
    let table = value.get_ref().as_table().ok_or_else(|| wrong("a message must be a table: write [[message]]"))?;
    let (mut on_hit, mut forms, mut form_at) = (false, FORMS.map(|(_, form)| form).to_vec(), None);
    let (mut patterns, mut address, mut arguments) = (vec![], None, vec![]);
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "on" => {
                on_hit = match string(text, value)? {
                    ("event", _) => false,
                    ("hit", _) => true,
                    (other, at) => return Err(text.unknown(&at, "trigger", other, &["event", "hit"])),
                }
            }
            "form" => {
                form_at = Some(key.span());
                forms = list_or_one(value).iter().map(|value| form(text, value)).collect::<Result<_, _>>()?;
            }
            "events" => {
                for value in list_or_one(value) {
                    let (word, at) = string(text, value)?;
                    Selection::parse(&[word]).map_err(|error| text.mistake(&at, error.to_string()))?;
                    patterns.push((word.to_owned(), Place::of(text.text, at.start)));
                }
            }
            "address" => address = Some(self::address(text, value)?),
            "args" => {
                let values = list(text, value)?;
                if values.len() > ARGUMENTS {
                    return Err(text.mistake(&value.span(), format!("more than {ARGUMENTS} arguments")));
                }
                arguments = values.iter().map(|value| argument(text, value)).collect::<Result<_, _>>()?;
            }
            other => return Err(text.unknown(&key.span(), "key of a message", other, &MESSAGE)),
        }
    }
    if let Some(at) = form_at.filter(|_| !on_hit) {
        return Err(text.mistake(&at, "only hits have a form: write on = \"hit\""));
    }
    for argument in &arguments {
        let Argument::Expression(Expression { source, .. }, place) = argument else { continue };
        if let Some(what) = not_available(source, on_hit) {
            return Err(Mistake { file: text.file.to_owned(), place: Some(*place), what });
        }
    }
    if patterns.is_empty() {
        patterns.push(("*:*".to_owned(), Place::of(text.text, value.span().start)));
    }
    let words: Vec<_> = patterns.iter().map(|(word, _)| word).collect();
    Ok(MessageRule {
        file: text.file.to_owned(),
        trigger: if on_hit { Trigger::Hit(forms) } else { Trigger::Event },
        selection: Selection::parse(&words).map_err(|error| wrong(&error.to_string()))?,
        patterns,
        address: address.ok_or_else(|| wrong("a message needs an address"))?,
        arguments,
    })
}

fn form(text: Text<'_>, value: At<'_, '_>) -> Result<Form, Mistake> {
    let (word, at) = string(text, value)?;
    let found = FORMS.iter().find(|(name, _)| *name == word);
    Ok(found.ok_or_else(|| text.unknown(&at, "form", word, &FORMS.map(|(name, _)| name)))?.1)
}

/// Why hits, or events, do not have this value.
fn not_available(source: &Source, on_hit: bool) -> Option<String> {
    Some(match source {
        Source::Hit(value) if !on_hit => format!("hit.{} exists for hits only: write on = \"hit\"", value.name()),
        Source::Field(field) if on_hit => {
            format!(
                "a hit may come from many events and has no field {field:?}: use hit.note and the like, event or system"
            )
        }
        Source::Cpu | Source::Pid | Source::Comm | Source::Dt | Source::Latency(..) if on_hit => {
            "a hit may come from many events: use hit.note and the like, event or system".to_owned()
        }
        _ => return None,
    })
}

/// Parses an address, which may contain `{event}` and `{system}`.
fn address(text: Text<'_>, value: At<'_, '_>) -> Result<String, Mistake> {
    let (address, at) = string(text, value)?;
    let plain = address.replace("{event}", "").replace("{system}", "");
    if let Some(word) = plain.split_once('{').map(|(_, rest)| rest.split('}').next().unwrap_or_default()) {
        return Err(text.unknown(&at, "name for an address", word, &["event", "system"]));
    }
    let bad = |c: char| !c.is_ascii_graphic() || matches!(c, '#' | '*' | ',' | '?' | '[' | ']' | '}');
    if !address.starts_with('/') || plain.contains(bad) || address.len() > 255 {
        return Err(text.mistake(&at, format!("{address:?} is not an OSC address: write /name, without # * , ? [ ]")));
    }
    Ok(address.to_owned())
}

fn argument(text: Text<'_>, value: At<'_, '_>) -> Result<Argument, Mistake> {
    let at = value.span();
    let wrong = |what: String| text.mistake(&at, what);
    Ok(Argument::Constant(match value.get_ref() {
        DeValue::String(string) => match string.strip_prefix('$') {
            // An escaped dollar sign.
            Some(rest) if rest.starts_with('$') => Constant::Text(rest.to_owned()),
            Some(expression) => {
                // Past the quotation mark and the dollar sign.
                let parsed = Expression::parse(text, expression, at.start + 2)?;
                return Ok(Argument::Expression(parsed, Place::of(text.text, at.start)));
            }
            None => Constant::Text(string.to_string()),
        },
        DeValue::Integer(integer) => {
            let digits = integer.as_str().replace('_', "");
            let number =
                i64::from_str_radix(&digits, integer.radix()).ok().and_then(|number| i32::try_from(number).ok());
            Constant::Int(number.ok_or_else(|| wrong(format!("{digits} does not fit into 32 bits")))?)
        }
        DeValue::Float(float) => {
            let number = float.as_str().replace('_', "").parse::<f32>().ok().filter(|number| number.is_finite());
            Constant::Float(number.ok_or_else(|| wrong("a float must be finite".to_owned()))?)
        }
        other => return Err(wrong(format!("an argument must be a string or a number, not a {}", other.type_str()))),
    }))
}

fn string<'v>(text: Text<'_>, value: &'v Spanned<DeValue<'_>>) -> Result<(&'v str, Range<usize>), Mistake> {
    let at = value.span();
    match value.get_ref() {
        DeValue::String(string) => Ok((string.as_ref(), at)),
        other => Err(text.mistake(&at, format!("expected a string, not a {}", other.type_str()))),
    }
}

fn number(text: Text<'_>, value: At<'_, '_>, range: std::ops::RangeInclusive<f64>) -> Result<f64, Mistake> {
    let number = match value.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().replace('_', "").parse::<f64>().ok(),
        DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
        _ => None,
    };
    let wrong = || text.mistake(&value.span(), format!("expected a number from {} to {}", range.start(), range.end()));
    number.filter(|number| range.contains(number)).ok_or_else(wrong)
}

fn list<'v, 't>(text: Text<'_>, value: At<'v, 't>) -> Result<&'v [Spanned<DeValue<'t>>], Mistake> {
    let wrong =
        |other: &DeValue<'_>| text.mistake(&value.span(), format!("expected a list, not a {}", other.type_str()));
    value.get_ref().as_array().map(|array| &array[..]).ok_or_else(|| wrong(value.get_ref()))
}

fn list_or_one<'v, 't>(value: At<'v, 't>) -> &'v [Spanned<DeValue<'t>>] {
    value.get_ref().as_array().map_or(std::slice::from_ref(value), |array| &array[..])
}

impl MessageRule {
    /// Replaces the indices of its event pairs by those in the map's list.
    fn number_pairs(&mut self, pairs: &mut Vec<Pair>) {
        for argument in &mut self.arguments {
            let Argument::Expression(Expression { source: Source::Latency(pair, number), .. }, _) = argument else {
                continue;
            };
            *number = pairs.iter().position(|known| known == pair).unwrap_or_else(|| {
                pairs.push(pair.clone());
                pairs.len() - 1
            });
        }
    }

    /// Its event pairs, each with its index in the map's list.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, &Pair)> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Expression(Expression { source: Source::Latency(pair, number), .. }, _) => Some((*number, pair)),
            _ => None,
        })
    }

    /// Whether it is made from this event.
    pub fn takes(&self, format: &EventFormat) -> bool {
        self.selection.resolve(&[EventName::new(format.system.as_str(), format.name.as_str())]).is_ok()
    }

    /// Checks that each of its patterns matches one of these events.
    pub(super) fn check_names(&self, known: &[EventName]) -> Result<(), Mistake> {
        for (pattern, place) in &self.patterns {
            let mistake = |what: String| Mistake { file: self.file.clone(), place: Some(*place), what };
            let unmatched = match Selection::parse(&[pattern]).and_then(|pattern| pattern.resolve(known)) {
                Ok(selected) => selected.unmatched.first().map(ToString::to_string),
                Err(error) => Some(error.to_string()),
            };
            if let Some(what) = unmatched.filter(|_| !pattern.starts_with('!')) {
                return Err(mistake(what));
            }
        }
        Ok(())
    }

    /// Checks that the event has the fields that it uses, with suitable types.
    pub(super) fn check_fields(&self, format: &EventFormat) -> Result<(), Mistake> {
        for argument in &self.arguments {
            let Argument::Expression(expression, place) = argument else { continue };
            let Source::Field(name) = &expression.source else { continue };
            let mistake = |what: String| Mistake { file: self.file.clone(), place: Some(*place), what };
            let Some(index) = format.fields.iter().position(|field| field.name == *name) else {
                let known: Vec<_> = format.fields.iter().map(|field| field.name.as_str()).collect();
                let near = super::nearest(name, known.iter().copied());
                let near = near.map_or(format!("it has {}", known.join(", ")), |near| format!("the nearest is {near}"));
                return Err(mistake(format!("{} has no field {name:?}; {near}", format.full_name())));
            };
            let number = !expression.steps.is_empty() || !expression.words.is_empty();
            let number = number || expression.tag.is_some_and(|tag| tag != 's');
            match Plan::compile(format).fields().get(index).map(|field| field.read) {
                Some(Read::Scalar(Element::Integer { .. } | Element::Bool { .. } | Element::Pointer { .. })) => {}
                Some(Read::Scalar(_)) | None => {
                    return Err(mistake(format!("{name} of {} is not a number", format.full_name())));
                }
                Some(_) if number => return Err(mistake(format!("{name} of {} is not a number", format.full_name()))),
                Some(_) if is_text(format, index) => {}
                Some(_) => {
                    return Err(mistake(format!("{name} of {} is neither a number nor a text", format.full_name())));
                }
            }
        }
        Ok(())
    }
}

/// Whether a field is text.
pub(super) fn is_text(format: &EventFormat, index: usize) -> bool {
    let read = Plan::compile(format).fields().get(index).map(|field| field.read);
    matches!(
        read,
        Some(
            Read::Array(Element::Char, _)
                | Read::DataLoc(Element::Char)
                | Read::RelLoc(Element::Char)
                | Read::DataLocShort(Element::Char)
                | Read::Tail(Element::Char)
        )
    )
}
