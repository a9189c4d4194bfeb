//! Compares strings as the kernel does: `filter_parse_regex` and the `regex_match_…` functions
//! (kernel/trace/trace_events_filter.c).
//!
//! They differ from a plain glob: `*sh` on a `char[16]` is compared with the last bytes of the array, NULs included;
//! a pattern that begins with a digit has no wildcards; a leading `!` negates the pattern.

use super::glob;
use crate::decode::until_nul;

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    kind: Kind,
    text: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Front,
    Middle,
    End,
    Glob,
}

impl Pattern {
    /// For `==` and `!=`: the whole text.
    pub(super) fn whole(text: &str) -> Pattern {
        Pattern { kind: Kind::Full, text: text.as_bytes().into() }
    }

    /// For `~`: the pattern, and whether it is negated.
    pub(super) fn like(text: &str) -> (Pattern, bool) {
        let (text, negated) = text.strip_prefix('!').map_or((text, false), |rest| (rest, true));
        let bytes = text.as_bytes();
        let inner = bytes.strip_prefix(b"*").unwrap_or(bytes);
        let inner = inner.strip_suffix(b"*").unwrap_or(inner);
        let kind = match (bytes.first(), bytes.last()) {
            (Some(digit), _) if digit.is_ascii_digit() => Kind::Full,
            _ if inner.iter().any(|byte| b"*[?\\".contains(byte)) => Kind::Glob,
            (Some(b'*'), Some(b'*')) if bytes.len() > 1 => Kind::Middle,
            (Some(b'*'), _) => Kind::End,
            (_, Some(b'*')) => Kind::Front,
            _ => Kind::Full,
        };
        let text = if matches!(kind, Kind::Glob | Kind::Full) { bytes } else { inner };
        (Pattern { kind, text: text.into() }, negated)
    }

    /// Whether the text at the beginning of `text` matches. The kernel compares `len` bytes of it, or up to its NUL
    /// if `len` is 0.
    pub(super) fn matches(&self, text: &[u8], len: usize) -> bool {
        let pattern = &*self.text;
        match self.kind {
            Kind::Full if len == 0 => until_nul(text) == pattern,
            Kind::Full => begins_alike(text, pattern, len),
            Kind::Front => (len == 0 || len >= pattern.len()) && begins_alike(text, pattern, pattern.len()),
            // `strnstr` does not stop at a NUL.
            Kind::Middle => {
                let looked_at = if len == 0 { until_nul(text) } else { text.get(..len).unwrap_or(text) };
                memchr::memmem::find(looked_at, pattern).is_some()
            }
            Kind::End => {
                let looked_at = len.checked_sub(1).and_then(|end| text.get(..end));
                looked_at.is_some_and(|text| text.ends_with(pattern))
            }
            Kind::Glob => glob::matches(pattern, until_nul(text)),
        }
    }
}

/// `strncmp(a, b, len) == 0`; each text is followed by NULs.
fn begins_alike(a: &[u8], b: &[u8], len: usize) -> bool {
    for at in 0..len {
        match (a.get(at).copied().unwrap_or(0), b.get(at).copied().unwrap_or(0)) {
            (0, 0) => return true,
            (a, b) if a != b => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row was tried on a 6.18 kernel, on a `char[16]` and on a `__data_loc char[]`.
    #[test]
    fn patterns_match_as_the_kernel_s_do() {
        let fixed = |pattern: &str| {
            let (pattern, negated) = Pattern::like(pattern);
            pattern.matches(b"bash\0\0\0\0\0\0\0\0\0\0\0\0", 16) != negated
        };
        for pattern in ["ba*", "*as*", "b?sh", "bash", "*", "**", "*?sh", "!x*", "[ab]ash", "!", "b*h"] {
            assert!(fixed(pattern), "{pattern}");
        }
        for pattern in ["*sh", "!ba*", "", "bas", "bashx", "ba?", "x*"] {
            assert!(!fixed(pattern), "{pattern}");
        }
        let dynamic = |pattern: &str, text: &[u8]| Pattern::like(pattern).0.matches(text, text.len());
        for pattern in ["*bc", "*b*", "a*", "abc"] {
            assert!(dynamic(pattern, b"abc\0"), "{pattern}");
        }
        // A pattern that begins with a digit has no wildcards.
        assert!(dynamic("5xy", b"5xy\0") && !dynamic("5*", b"5xy\0") && dynamic("5*", b"5*\0"));
    }

    #[test]
    fn a_whole_text_is_compared_up_to_the_size_of_the_array() {
        let whole = |pattern: &str, text: &[u8]| Pattern::whole(pattern).matches(text, text.len());
        assert!(whole("abc", b"abc\0") && !whole("ab", b"abc\0") && !whole("abcd", b"abc\0"));
        // A full array has no NUL; the pattern is not compared beyond its size.
        assert!(whole("abcd", b"abcd") && whole("abcde", b"abcd") && !whole("abc", b"abcd"));
        assert!(Pattern::whole("*").matches(b"*\0", 2) && !Pattern::whole("*").matches(b"a\0", 2));
        // A length of 0: up to the NUL.
        assert!(Pattern::whole("hi").matches(b"hi\0\0", 0) && !Pattern::whole("hi").matches(b"high", 0));
    }

    /// `regex_match_front` and `regex_match_end`: a length of 0 is no limit to the first, and too short for the second.
    #[test]
    fn the_ends_of_a_text_are_compared_as_far_as_its_length_allows() {
        let like = |pattern: &str, text: &[u8], len| Pattern::like(pattern).0.matches(text, len);
        assert!(like("ab*", b"abc\0", 0) && like("ab*", b"abc\0", 2) && !like("ab*", b"abc\0", 1));
        assert!(!like("*", b"abc\0", 0) && like("**", b"abc\0", 0) && like("*", b"abc\0", 4));
    }

    #[test]
    fn a_text_ends_with_its_nul_whatever_follows() {
        assert!(Pattern::whole("bash").matches(b"bash\0junk", 9) && !Pattern::whole("bash").matches(b"bash.", 5));
    }

    #[test]
    fn bytes_after_a_nul_are_searched_but_not_matched_by_a_glob() {
        assert!(Pattern::like("*junk*").0.matches(b"a\0junk\0", 7));
        assert!(!Pattern::like("?*junk").0.matches(b"a\0junk\0", 7));
    }
}
