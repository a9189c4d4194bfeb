//! A cursor over the bytes of a datagram that never writes beyond them.

use crate::decode::DecodeError;

/// There is no room left in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Why a record could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It does not fit into the rest of the datagram.
    #[error("no room left in the datagram")]
    Full,
    /// The datagrams before it have to be sent first.
    #[error("the packer is full: its datagrams must be taken first")]
    Untaken,
    /// The record does not match its format.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl From<Full> for EncodeError {
    fn from(_: Full) -> Self {
        EncodeError::Full
    }
}

/// A cursor over the bytes of a datagram.
///
/// All parts of OSC are multiples of four bytes, big-endian. Each write is checked against the remaining bytes: only
/// those are stored, so that the check is one comparison.
///
/// ```
/// use ftrace_live::osc::Writer;
///
/// let mut bytes = [0; 64];
/// let mut message = Writer::new(&mut bytes);
/// message.put_string(b"/key")?;
/// message.put_string(b",is")?;
/// message.put(60_i32.to_be_bytes())?;
/// message.put_string("Clara".as_bytes())?;
/// let len = message.written();
/// assert_eq!(bytes[..len], *b"/key\0\0\0\0,is\0\0\0\0<Clara\0\0\0");
/// # Ok::<(), ftrace_live::osc::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    rest: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Writes over `bytes` from the beginning.
    #[inline]
    pub fn new(bytes: &'a mut [u8]) -> Writer<'a> {
        let len = bytes.len();
        Writer { rest: bytes, len }
    }

    /// Bytes written so far.
    #[inline]
    pub fn written(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Appends a fixed number of bytes.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, value: [u8; N]) -> Result<(), Full> {
        self.put_part(value, N)
    }

    /// The next `N` bytes, to be written before some of them are [skipped](Writer::skip).
    #[inline(always)]
    pub(crate) fn window<const N: usize>(&mut self) -> Result<&mut [u8; N], Full> {
        self.rest.first_chunk_mut().ok_or(Full)
    }

    /// Appends the first `len` of `N` bytes: the compiler knows the length of the copy, which takes one or two
    /// instructions instead of a call. There must be room for all `N`.
    #[inline(always)]
    pub fn put_part<const N: usize>(&mut self, value: [u8; N], len: usize) -> Result<(), Full> {
        let slot = self.rest.first_chunk_mut::<N>().ok_or(Full)?;
        *slot = value;
        self.skip(len.min(N))
    }

    /// Appends any number of bytes.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.rest.get_mut(..bytes.len()).ok_or(Full)?.copy_from_slice(bytes);
        self.skip(bytes.len())
    }

    /// Continues after the next `len` bytes.
    #[inline(always)]
    pub(crate) fn skip(&mut self, len: usize) -> Result<(), Full> {
        self.rest = std::mem::take(&mut self.rest).get_mut(len..).ok_or(Full)?;
        Ok(())
    }

    /// Appends zeros up to the next multiple of four after `len` bytes; at least one if `nul`.
    #[inline]
    pub fn pad(&mut self, len: usize, nul: bool) -> Result<(), Full> {
        let zeros = if nul { 4 - len % 4 } else { (4 - len % 4) % 4 };
        self.put_part([0; 4], zeros)
    }

    /// Appends a string that is known to be valid text without NUL.
    #[inline]
    pub fn put_string(&mut self, text: &[u8]) -> Result<(), Full> {
        if text.len() > 32 {
            self.put_slice(text)?;
            return self.pad(text.len(), true);
        }
        // Most strings are short and are copied in words: a call to copy a few bytes costs more than the bytes.
        let mut words = text.chunks_exact(4);
        for word in &mut words {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(word);
            self.put(bytes)?;
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(words.remainder()) {
            *to = *from;
        }
        self.put(last)
    }
}
