//! The place of an error in a file, and the most similar valid word.

use std::fmt;
use std::ops::Range;

/// A place in a text: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte of `text`.
    pub fn of(text: &str, byte: usize) -> Place {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

/// An error in a file, and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// The file, or the map's name.
    pub file: String,
    /// Its place; `None` if it concerns the whole file.
    pub place: Option<Place>,
    /// The error in words.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line, column }) => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
            None => write!(f, "{} {}", self.file, self.what),
        }
    }
}

impl Mistake {
    /// An error that concerns a map as a whole.
    pub(crate) fn of_map(name: &str, what: &str) -> Mistake {
        Mistake { file: format!("the map {name}"), place: None, what: what.to_owned() }
    }
}

/// A text that is parsed, with its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'t> {
    pub(crate) file: &'t str,
    pub(crate) text: &'t str,
}

impl Text<'_> {
    /// An error at a place in it.
    pub(crate) fn mistake(&self, at: &Range<usize>, what: impl Into<String>) -> Mistake {
        Mistake { file: self.file.to_owned(), place: Some(Place::of(self.text, at.start)), what: what.into() }
    }

    /// The error for an unknown word, with the most similar valid one.
    pub(crate) fn unknown(&self, at: &Range<usize>, kind: &str, word: &str, known: &[&str]) -> Mistake {
        let near = match nearest(word, known.iter().copied()) {
            Some(near) => format!("; the nearest is {near}"),
            None => format!("; there are {}", known.join(", ")),
        };
        self.mistake(at, format!("there is no {kind} {word:?}{near}"))
    }
}

/// The word most similar to `word`, if any is similar.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let like = |known: &&str| strsim::jaro_winkler(word, known);
    let best = known.into_iter().max_by(|a, b| like(a).total_cmp(&like(b)))?;
    (like(&best) > 0.75).then_some(best)
}
