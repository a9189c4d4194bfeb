//! Texts of at most 16 bytes (task names and most others), processed 16 bytes at once.

use std::ops::Range;

use wide::u8x16;

/// The longest text handled, bytes: `TASK_COMM_LEN`.
const LEN: usize = 16;

/// The bytes of a text and those after it, the first byte lowest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShortText {
    bytes: [u8; LEN],
    len: usize,
}

impl ShortText {
    /// The text in the 16 bytes from `at` on.
    #[inline(always)]
    pub(crate) fn at(record: &[u8], at: usize) -> Option<ShortText> {
        record.get(at..at + LEN)?.first_chunk().map(|bytes| ShortText::new(*bytes))
    }

    /// The text at `place`; `None` if it is longer. This reads the 16 bytes that end with the text: a copy of
    /// variable length would cost more than everything else.
    #[inline(always)]
    pub(crate) fn of(record: &[u8], place: &Range<usize>) -> Option<ShortText> {
        let before = LEN.checked_sub(place.len())?;
        let window = record.get(place.end.checked_sub(LEN)?..place.end)?.first_chunk::<LEN>()?;
        let word = u128::from_le_bytes(*window).checked_shr(8 * before as u32).unwrap_or(0);
        Some(ShortText::new(word.to_le_bytes()))
    }

    #[inline(always)]
    fn new(bytes: [u8; LEN]) -> ShortText {
        let zeros = u8x16::new(bytes).cmp_eq(u8x16::ZERO).move_mask() as u32;
        // The bit above the last byte's ends the count.
        ShortText { bytes, len: (zeros | 1 << LEN).trailing_zeros() as usize }
    }

    /// The number of bytes before the first NUL; 16 if there is none.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the bytes before the first NUL are ASCII.
    #[inline(always)]
    pub(crate) fn is_ascii(&self) -> bool {
        u8x16::new(self.bytes).move_mask() as u32 & ((1 << self.len) - 1) == 0
    }

    /// The bytes before the first NUL, filled with zeros.
    #[inline(always)]
    pub(crate) fn zero_filled(&self) -> [u8; LEN] {
        let mask = u8x16::new(MASKS[self.len.min(LEN)]);
        (u8x16::new(self.bytes) & mask).to_array()
    }
}

/// Masks by length.
static MASKS: [[u8; LEN]; LEN + 1] = {
    let mut masks = [[0; LEN]; LEN + 1];
    let mut len = 0;
    while len <= LEN {
        let mut at = 0;
        while at < len {
            masks[len][at] = 0xff;
            at += 1;
        }
        len += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_first_nul() {
        let text = ShortText::at(b"..cat\0\xff garbage....", 2).unwrap();
        assert_eq!((text.len(), text.is_ascii()), (3, true));
        assert_eq!(&text.zero_filled(), b"cat\0\0\0\0\0\0\0\0\0\0\0\0\0");
        let full = ShortText::at(b"0123456789abcdef", 0).unwrap();
        assert_eq!((full.len(), &full.zero_filled()), (16, b"0123456789abcdef"));
        assert!(!ShortText::at("Lüfter\0.........".as_bytes(), 0).unwrap().is_ascii());
        assert!(ShortText::at(b"0123456789abcde", 0).is_none());
    }

    #[test]
    fn a_text_is_found_at_any_place_and_length_up_to_16() {
        let record: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').collect();
        for end in 16..=record.len() {
            for len in 0..=16 {
                let place = end - len..end;
                let text = ShortText::of(&record, &place).unwrap();
                assert_eq!(&text.zero_filled()[..text.len()], &record[place]);
            }
            assert!(ShortText::of(&record, &(end.saturating_sub(17)..end)).is_none_or(|_| end == 16));
        }
        // With fewer than 16 bytes before its end, the text is read the slow way.
        assert!(ShortText::of(&record, &(3..9)).is_none());
    }
}
