//! Appending to a datagram: a cursor over its bytes that never writes beyond them.

/// There is no room left in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A cursor over the bytes of a datagram.
///
/// Everything OSC is a multiple of four bytes, big-endian.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
    end: usize,
}

impl<'a> Writer<'a> {
    /// Writes from `at` on. `end` bytes may be used; what `bytes` has beyond them is slack, so that short strings can be
    /// written as whole words.
    pub fn new(bytes: &'a mut [u8], at: usize, end: usize) -> Writer<'a> {
        let end = end.min(bytes.len());
        Writer { bytes, at, end }
    }

    /// Where the next byte goes.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes of fixed number.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, value: [u8; N]) -> Result<(), Full> {
        let slot = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<N>()).ok_or(Full)?;
        *slot = value;
        self.at += N;
        self.fits()
    }

    /// `N` bytes of which the first `len` count: the copy's length is known to the compiler, which makes it one or two
    /// instructions instead of a call.
    #[inline(always)]
    pub fn put_part<const N: usize>(&mut self, value: [u8; N], len: usize) -> Result<(), Full> {
        match self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
            Some(slot) => *slot = value,
            None => return self.put_slice(value.get(..len).ok_or(Full)?),
        }
        self.at += len;
        self.fits()
    }

    /// Bytes of any number.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        self.bytes.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(bytes);
        self.at = end;
        self.fits()
    }

    /// Zeros, to the next multiple of four; at least one if `nul`.
    #[inline]
    pub fn pad(&mut self, len: usize, nul: bool) -> Result<(), Full> {
        let zeros = if nul { 4 - len % 4 } else { (4 - len % 4) % 4 };
        self.put_part([0; 4], zeros)
    }

    /// A whole string: bytes that are known to be valid text without NUL.
    #[inline]
    pub fn put_string(&mut self, text: &[u8]) -> Result<(), Full> {
        self.put_slice(text)?;
        self.pad(text.len(), true)
    }

    /// Overwrites four bytes that were put before.
    #[inline]
    pub fn patch(&mut self, at: usize, value: [u8; 4]) {
        if let Some(slot) = self.bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *slot = value;
        }
    }

    #[inline(always)]
    fn fits(&self) -> Result<(), Full> {
        if self.at <= self.end { Ok(()) } else { Err(Full) }
    }
}
