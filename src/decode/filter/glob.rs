//! The kernel's glob (`glob_match`, lib/glob.c) on bytes: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` to escape a character.

/// Whether all of `text` matches `pattern`.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // The place of the last `*`, and how much text it has consumed. Nothing else needs to be remembered: once a later
    // star is reached, an earlier one never has to consume more.
    let mut star = None;
    loop {
        let rest = pattern.get(at..).unwrap_or_default();
        let step = match (rest.first(), text.get(from)) {
            (Some(b'*'), _) => {
                star = Some((at + 1, from));
                at += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some(&byte)) => one(rest, byte),
            _ => None,
        };
        match (step, star) {
            (Some(length), _) => {
                at += length;
                from += 1;
            }
            (None, Some((after, taken))) if taken < text.len() => {
                star = Some((after, taken + 1));
                (at, from) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the beginning of `pattern`; returns the length of the part that matched.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        // An unterminated bracket is an ordinary character.
        [b'[', rest @ ..] => match class(rest, byte) {
            Some((matched, length)) => matched.then_some(length + 1),
            None => (byte == b'[').then_some(1),
        },
        [plain, ..] => (*plain == byte).then_some(1),
        [] => None,
    }
}

/// Whether `byte` is in the class after `[`, and the length of the class with its `]`; `None` if it is unterminated.
fn class(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = rest.first() == Some(&b'!');
    let start = usize::from(negated);
    let (mut at, mut found) = (start, false);
    loop {
        let first = *rest.get(at)?;
        // A `]` in first place is a member.
        if first == b']' && at > start {
            return Some((found != negated, at + 1));
        }
        at += 1;
        let mut last = first;
        if let (Some(b'-'), Some(&end)) = (rest.get(at), rest.get(at + 1))
            && end != b']'
        {
            last = end;
            at += 2;
        }
        found |= (first..=last).contains(&byte);
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_classes_and_question_marks_match_the_whole_text() {
        // (expected, pattern, text)
        let table: &[(bool, &str, &str)] = &[
            (true, "a", "a"),
            (false, "a", "b"),
            (false, "a", "aa"),
            (false, "a", ""),
            (true, "", ""),
            (false, "", "a"),
            (true, "[a]", "a"),
            (false, "[a]", "b"),
            (false, "[!a]", "a"),
            (true, "[!a]", "b"),
            (true, "[ab]", "a"),
            (false, "[ab]", "c"),
            (true, "[!ab]", "c"),
            (true, "[a-c]", "b"),
            (false, "[a-c]", "d"),
            (true, "[]a-ceg-ik[]", "]"),
            (true, "[]a-ceg-ik[]", "["),
            (true, "[]a-ceg-ik[]", "h"),
            (false, "[]a-ceg-ik[]", "f"),
            (false, "[!]a-ceg-ik[]", "h"),
            (false, "[!]a-ceg-ik[]", "]"),
            (true, "[!]a-ceg-ik[]", "f"),
            (true, "?", "a"),
            (false, "?", "aa"),
            (false, "??", "a"),
            (true, "?x?", "axb"),
            (false, "?x?", "abx"),
            (false, "?x?", "xab"),
            (false, "*??", "a"),
            (true, "*??", "ab"),
            (true, "*??", "abc"),
            (false, "??*", "a"),
            (true, "??*", "abc"),
            (false, "?*?", "a"),
            (true, "?*?", "abcd"),
            (true, "*b", "b"),
            (true, "*b", "ab"),
            (false, "*b", "ba"),
            (true, "*b", "bb"),
            (true, "*bc", "bbc"),
            (true, "*bc", "bcbc"),
            (true, "*ac*", "abacadaeafag"),
            (true, "*ac*ae*ag*", "abacadaeafag"),
            (true, "*a*b*[bc]*[ef]*g*", "abacadaeafag"),
            (false, "*a*b*[ef]*[cd]*g*", "abacadaeafag"),
            (true, "*abcd*", "abcabcabcabcdefg"),
            (true, "*ab*cd*", "abcabcabcabcdefg"),
            (true, "*abcd*abcdef*", "abcabcdabcdeabcdefg"),
            (false, "*abcd*", "abcabcabcabcefg"),
            (false, "*ab*cd*", "abcabcabcabcefg"),
        ];
        for (expected, pattern, text) in table {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), *expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_backslash_escapes_the_next_character() {
        assert!(matches(br"a\*", b"a*"));
        assert!(!matches(br"a\*", b"ab"));
        assert!(matches(b"[", b"["));
    }
}
