//! Wording of messages about a selection: the kernel or capture it was applied to, and quoted arguments.

use std::fmt;

/// The longest word that is quoted in full, characters.
const LONGEST_QUOTE: usize = 60;

/// Whose events a selection is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// The running kernel's.
    Kernel,
    /// Those of a capture.
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

/// A quoted word of the command line, cut if it is too long for a message.
pub(super) fn quoted(word: &str) -> String {
    match word.char_indices().nth(LONGEST_QUOTE) {
        None => format!("{word:?}"),
        Some((at, _)) => format!("{:?}… ({} bytes)", &word[..at], word.len()),
    }
}
