//! Where in a file a mistake is, and what was probably meant.

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

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// The file, or the map's name.
    pub file: String,
    /// Where; `None`: with the whole.
    pub place: Option<Place>,
    /// What, in words.
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
    /// One of a map as a whole.
    pub(crate) fn of_map(name: &str, what: &str) -> Mistake {
        Mistake { file: format!("the map {name}"), place: None, what: what.to_owned() }
    }
}

/// A text that is read, with its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'t> {
    pub(crate) file: &'t str,
    pub(crate) text: &'t str,
}

impl Text<'_> {
    /// A mistake at a place of it.
    pub(crate) fn mistake(&self, at: &Range<usize>, what: impl Into<String>) -> Mistake {
        Mistake { file: self.file.to_owned(), place: Some(Place::of(self.text, at.start)), what: what.into() }
    }

    /// That there is no such word, with the nearest of those there are.
    pub(crate) fn unknown(&self, at: &Range<usize>, kind: &str, word: &str, known: &[&str]) -> Mistake {
        let near = match nearest(word, known.iter().copied()) {
            Some(near) => format!("; the nearest is {near}"),
            None => format!("; there are {}", known.join(", ")),
        };
        self.mistake(at, format!("there is no {kind} {word:?}{near}"))
    }
}

/// The word that is most like `word`, if one is like it at all.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let like = |known: &&str| strsim::jaro_winkler(word, known);
    let best = known.into_iter().max_by(|a, b| like(a).total_cmp(&like(b)))?;
    (like(&best) > 0.75).then_some(best)
}
