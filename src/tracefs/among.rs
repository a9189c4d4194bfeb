//! What messages about a selection say: whose events it was held against, and what was written.

use std::fmt;

/// The longest word that is said whole, characters.
const LONGEST_QUOTE: usize = 60;

/// Whose events a selection is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those of the running kernel.
    Kernel,
    /// Those that a capture describes.
    Capture,
}

impl fmt::Display for Among {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Among::Kernel => "this kernel",
            Among::Capture => "this capture",
        })
    }
}

/// A word of the command line, cut where it is longer than a message should be.
pub(super) fn quoted(word: &str) -> String {
    match word.char_indices().nth(LONGEST_QUOTE) {
        None => format!("{word:?}"),
        Some((at, _)) => format!("{:?}… ({} bytes)", &word[..at], word.len()),
    }
}
