//! Strings suitable for OSC: valid UTF-8, without NUL, of limited length.
//!
//! python-osc raises an exception and rosc rejects the whole packet because of one invalid string; SuperCollider and
//! Pd keep every distinct string forever. Kernel strings are bytes: a task name is cut at 15 bytes, possibly within a
//! character.

/// Passes `bytes` to `out` in pieces, as valid UTF-8 of at most `limit` bytes.
///
/// A character that is cut off at the end, by the kernel or by `limit`, is dropped; any other byte that is not UTF-8
/// becomes `?`, so that positions stay the same.
pub fn repair<E>(bytes: &[u8], limit: usize, mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut rest = &bytes[..bytes.len().min(limit)];
    loop {
        let Err(error) = std::str::from_utf8(rest) else { return out(rest) };
        let (valid, bad) = rest.split_at(error.valid_up_to());
        out(valid)?;
        // `None`: the end is within a character.
        let Some(len) = error.error_len() else { return Ok(()) };
        out(&b"???"[..len.min(3)])?;
        rest = &bad[len..];
    }
}

/// [`repair`]ed text as a String.
pub fn repaired(bytes: &[u8], limit: usize) -> String {
    let mut text = Vec::with_capacity(bytes.len().min(limit));
    let Ok(()) = repair(bytes, limit, |piece| {
        text.extend_from_slice(piece);
        Ok::<(), std::convert::Infallible>(())
    });
    String::from_utf8(text).unwrap_or_default()
}

/// The size of an OSC string of `len` bytes: with at least one NUL, padded to a multiple of four.
#[inline]
pub const fn padded(len: usize) -> usize {
    (len / 4 + 1) * 4
}

/// Appends `text` as an OSC string, up to its first NUL, which OSC cannot contain.
pub fn push(out: &mut Vec<u8>, text: &str) {
    let bytes = crate::decode::until_nul(text.as_bytes());
    let end = out.len() + padded(bytes.len());
    out.extend_from_slice(bytes);
    out.resize(end, 0);
}

/// A kernel name as a part of an address: characters outside of `[A-Za-z0-9_.-]` become `_`.
pub fn address_part(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.chars().map(|c| if good(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_cut_inside_a_character_loses_that_character_only() {
        let name = "Lüfter-Steuerü".as_bytes();
        assert_eq!((name.len(), repaired(&name[..15], 64).as_str()), (16, "Lüfter-Steuer"));
        assert_eq!(repaired("naïve".as_bytes(), 3), "na");
    }

    #[test]
    fn bytes_that_are_not_utf8_become_question_marks() {
        assert_eq!(repaired(b"a\xffb\x80\x80c", 64), "a?b??c");
        assert_eq!(repaired(b"\xf0\x9f\x92", 64), "");
    }

    #[test]
    fn names_become_address_parts() {
        assert_eq!(address_part("sched_switch"), "sched_switch");
        assert_eq!(address_part("my group/ü*"), "my_group___");
    }

    proptest! {
        #[test]
        fn any_bytes_become_valid_text_within_the_limit(bytes in proptest::collection::vec(any::<u8>(), 0..80), limit in 0usize..70) {
            prop_assert!(repaired(&bytes, limit).len() <= limit);
        }
    }
}
