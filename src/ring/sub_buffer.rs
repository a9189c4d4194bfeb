//! One sub-buffer: its header, and the walk over its records.

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use crate::format::{Endian, HeaderPage, LongSize};

/// Events that were lost right before the first record of a sub-buffer.
///
/// The kernel sets the flags if writers overwrote what the reader had not read (`RB_MISSED_EVENTS`,
/// `RB_MISSED_STORED` in `ring_buffer_read_page`). Events dropped in other ways show up only in `per_cpu/cpuN/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lost {
    /// None.
    #[default]
    Nothing,
    /// At least one; there was no room to store the count.
    Unknown,
    /// This many.
    Count(u64),
}

/// What is wrong with a sub-buffer. Offsets are bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// Shorter than its own header.
    #[error("a sub-buffer of {len} bytes is shorter than its header")]
    ShortHeader {
        /// Its length.
        len: usize,
    },
    /// The commit word claims more data than a sub-buffer holds.
    #[error("commit {commit} is beyond the {room} bytes a sub-buffer holds")]
    CommitBeyondPage {
        /// Bytes claimed.
        commit: usize,
        /// Bytes available.
        room: usize,
    },
    /// The bytes end before the committed data. The records up to there were read.
    #[error("the sub-buffer ends at {len}, {missing} bytes before its commit")]
    Truncated {
        /// Its length.
        len: usize,
        /// Committed bytes that are missing.
        missing: usize,
    },
    /// A record of zero length (a zero-filled tail, as left by some 4.19 kernels).
    #[error("a record of zero length at offset {offset}")]
    ZeroLength {
        /// Its offset.
        offset: usize,
    },
    /// A record that would run beyond the committed data.
    #[error("the record at offset {offset} runs {beyond} bytes beyond the commit")]
    RecordBeyondCommit {
        /// Its offset.
        offset: usize,
        /// How many bytes it runs over.
        beyond: usize,
    },
}

/// The length in the commit word: 27 bits, as `RB_WRITE_MASK` has at least. The bits above the flags are garbage (the
/// word is sign-extended from bit 31).
pub(crate) const COMMIT_MASK: u64 = (1 << 27) - 1;
/// `RB_MISSED_EVENTS`.
const MISSED_EVENTS: u64 = 1 << 31;
/// `RB_MISSED_STORED`: the count follows the data, as a kernel `long`.
const MISSED_STORED: u64 = 1 << 30;
/// The bits of the time that an absolute time stamp has no room for: `TS_MSB`.
pub(super) const TIME_MSB: u64 = 0xf8 << 56;

/// The position of a walk over one sub-buffer. It does not borrow the bytes, so that a reader can own both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walk {
    at: usize,
    end: usize,
    time: u64,
    /// The error found in the header, returned once at the end of the walk.
    pending: Option<RingError>,
}

/// A run of records of the most frequent form: RINGBUF_TYPE_DATA with the length in the type. The state is small
/// enough to stay in registers.
#[derive(Debug)]
pub(super) struct Run<'p> {
    /// The bytes that follow, up to the commit.
    rest: &'p [u8],
    /// The time of the last record.
    pub(super) time: u64,
}

impl<'p> Run<'p> {
    /// The payload of the next record if it has that form; otherwise nothing changes and [`Walk::next_in`] handles
    /// it.
    #[inline(always)]
    pub(super) fn next<E: ByteOrder>(&mut self) -> Option<&'p [u8]> {
        let (word, rest) = self.rest.split_first_chunk::<4>()?;
        let (type_len, delta) = split_word::<E>(*word);
        if !(1..=28).contains(&type_len) {
            return None;
        }
        let (payload, rest) = rest.split_at_checked(type_len as usize * 4)?;
        self.rest = rest;
        self.time = self.time.wrapping_add(delta);
        Some(payload)
    }
}

/// One record found by a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Trace-clock time, in the clock's unit (ns for all but the counters).
    pub time: u64,
    /// The range of its payload in the sub-buffer.
    pub payload: Range<usize>,
}

pub(super) fn read_long<E: ByteOrder>(bytes: &[u8], long: LongSize) -> Option<u64> {
    match long {
        LongSize::Four => bytes.get(..4).map(|b| u64::from(E::read_u32(b))),
        LongSize::Eight => bytes.get(..8).map(E::read_u64),
    }
}

/// `type_len` (5 bits) and `time_delta` (27 bits) of a record's first word. They are bit-fields, so their order
/// follows the byte order (`struct ring_buffer_event`).
#[inline(always)]
fn split_word<E: ByteOrder>(bytes: [u8; 4]) -> (u32, u64) {
    let word = E::read_u32(&bytes);
    if is_big::<E>() { (word >> 27, u64::from(word & 0x07ff_ffff)) } else { (word & 31, u64::from(word >> 5)) }
}

/// Whether `E` is big-endian; a constant to the optimizer.
#[inline(always)]
pub(super) fn is_big<E: ByteOrder>() -> bool {
    E::read_u16(&[0, 1]) == 1
}

impl Walk {
    /// Reads the header of the sub-buffer in `page`.
    pub fn open<E: ByteOrder>(layout: &HeaderPage, page: &[u8]) -> Result<(Walk, Lost), RingError> {
        let short = RingError::ShortHeader { len: page.len() };
        let time = page.get(layout.timestamp_offset()..).and_then(|b| b.get(..8)).map(E::read_u64).ok_or(short)?;
        let commit_word = page.get(layout.commit_offset()..).and_then(|b| read_long::<E>(b, layout.long_size()));
        let commit_word = commit_word.ok_or(short)?;
        let data = layout.data_offset();
        if page.len() < data {
            return Err(short);
        }
        let commit = (commit_word & COMMIT_MASK) as usize;
        if commit > layout.data_size() {
            return Err(RingError::CommitBeyondPage { commit, room: layout.data_size() });
        }
        let end = data + commit;
        let missing = end.saturating_sub(page.len());
        let pending = (missing > 0).then_some(RingError::Truncated { len: page.len(), missing });
        let lost = if commit_word & MISSED_EVENTS == 0 {
            Lost::Nothing
        } else if commit_word & MISSED_STORED == 0 {
            Lost::Unknown
        } else {
            page.get(end..).and_then(|b| read_long::<E>(b, layout.long_size())).map_or(Lost::Unknown, Lost::Count)
        };
        Ok((Walk { at: data, end: end - missing, time, pending }, lost))
    }

    /// The next data record. `page` must be the bytes that the walk was opened on. The walk is over after an error or
    /// `None`.
    #[inline(always)]
    pub fn next_in<E: ByteOrder>(&mut self, page: &[u8]) -> Option<Result<Found, RingError>> {
        // The most frequent form first: one bounds check, no loop. `Run` handles the same form, but using it here
        // made a walk record by record slower by half (3.9 ns instead of 2.5).
        let at = self.at;
        if let Some(word) = page.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
            let (type_len, delta) = split_word::<E>(*word);
            let payload = at + 4..at + 4 + type_len as usize * 4;
            if let 1..=28 = type_len
                && payload.end <= self.end
                && payload.end <= page.len()
            {
                self.at = payload.end;
                self.time = self.time.wrapping_add(delta);
                return Some(Ok(Found { time: self.time, payload }));
            }
        }
        self.next_other::<E>(page)
    }

    /// The records from here on that have the most frequent form.
    #[inline(always)]
    pub(super) fn run<'p>(&self, page: &'p [u8]) -> Run<'p> {
        Run { rest: page.get(self.at..self.end).unwrap_or_default(), time: self.time }
    }

    /// Continues where `run` stopped.
    #[inline(always)]
    pub(super) fn follow(&mut self, run: &Run<'_>) {
        (self.at, self.time) = (self.end - run.rest.len(), run.time);
    }

    /// The offset of the next record in the sub-buffer.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next data record, of any form. Long: an arm for each type of record, and its checks.
    #[inline(never)]
    fn next_other<E: ByteOrder>(&mut self, page: &[u8]) -> Option<Result<Found, RingError>> {
        let data = page.get(..self.end)?;
        loop {
            let at = self.at;
            let Some(&word) = data.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
                return self.finish(at);
            };
            let (type_len, delta) = split_word::<E>(word);
            if let 1..=28 = type_len {
                let payload = at + 4..at + 4 + type_len as usize * 4;
                if payload.end > self.end {
                    return Some(Err(self.beyond(at, payload.end)));
                }
                self.at = payload.end;
                self.time = self.time.wrapping_add(delta);
                return Some(Ok(Found { time: self.time, payload }));
            }
            let second = data.get(at + 4..).and_then(|rest| rest.first_chunk::<4>()).map(|b| E::read_u32(b));
            let Some(second) = second else {
                // A single padding word may be at the very end; any other record needs its second word.
                if type_len == 29 {
                    return self.finish(self.end);
                }
                return Some(Err(self.beyond(at, at + 8)));
            };
            match type_len {
                // The length is in the second word and counts that word (`rb_event_data_length`).
                0 => {
                    if second < 4 {
                        return Some(Err(self.zero_length(at)));
                    }
                    let end = (at + 4).saturating_add(second as usize);
                    if end > self.end {
                        return Some(Err(self.beyond(at, end)));
                    }
                    self.at = end.next_multiple_of(4);
                    self.time = self.time.wrapping_add(delta);
                    return Some(Ok(Found { time: self.time, payload: at + 8..end }));
                }
                // RINGBUF_TYPE_PADDING without a delta ends the page (`rb_null_event`); with one it is a discarded
                // event, whose delta the kernel's own reader does not add either (`rb_update_read_stamp`).
                29 => {
                    if delta == 0 {
                        return self.finish(self.end);
                    }
                    if second == 0 {
                        return Some(Err(self.zero_length(at)));
                    }
                    let end = (at + 4).saturating_add(second as usize);
                    if end > self.end {
                        return Some(Err(self.beyond(at, end)));
                    }
                    self.at = end;
                }
                // RINGBUF_TYPE_TIME_EXTEND: a delta of 59 bits.
                30 => {
                    self.time = self.time.wrapping_add(delta + (u64::from(second) << 27));
                    self.at = at + 8;
                }
                // RINGBUF_TYPE_TIME_STAMP: an absolute time of 59 bits; the upper bits are those of the time so far
                // (`rb_fix_abs_ts`).
                _ => {
                    let absolute = (delta + (u64::from(second) << 27)) & !TIME_MSB;
                    let msb = self.time & TIME_MSB;
                    let mut time = absolute | msb;
                    if msb != 0 && time < self.time {
                        time = time.wrapping_add(1 << 59);
                    }
                    self.time = time;
                    self.at = at + 8;
                }
            }
        }
    }

    /// Ends the walk at `at`, where less than a word may be left.
    fn finish(&mut self, at: usize) -> Option<Result<Found, RingError>> {
        let left = self.end.saturating_sub(at);
        self.at = self.end;
        let error = self
            .pending
            .take()
            .or((left > 0).then_some(RingError::RecordBeyondCommit { offset: at, beyond: 4 - left % 4 }));
        error.map(Err)
    }

    /// A record of zero length at `at`: ends the walk, whatever else is wrong with the sub-buffer.
    fn zero_length(&mut self, at: usize) -> RingError {
        self.at = self.end;
        self.pending = None;
        RingError::ZeroLength { offset: at }
    }

    /// A record at `at` that claims to end at `end`. The next record cannot be found, so the walk is over.
    fn beyond(&mut self, at: usize, end: usize) -> RingError {
        self.at = self.end;
        // In a truncated sub-buffer the record was most likely complete before.
        self.pending
            .take()
            .unwrap_or(RingError::RecordBeyondCommit { offset: at, beyond: end.saturating_sub(self.end) })
    }
}

/// The byte order of sub-buffers, deduced from their commit words.
///
/// No description file of the kernel states the byte order, but a commit never exceeds the data size and never uses
/// bits 27 to 29, so a non-empty sub-buffer is valid in one byte order only. An empty one may be valid in both. `None` if
/// no page is valid in one order only.
pub fn detect_byte_order<'a>(layout: &HeaderPage, pages: impl IntoIterator<Item = &'a [u8]>) -> Option<Endian> {
    let plausible = |word: Option<u64>| {
        word.is_some_and(|word| {
            // Above the low 32 bits are copies of bit 31, or zeros: a commit of the other order would stand there.
            let (high, low) = ((word >> 32) as u32, word as u32);
            let commit = u64::from(low) & COMMIT_MASK;
            commit <= layout.data_size() as u64 && low & 0x3800_0000 == 0 && matches!(high, 0 | u32::MAX)
        })
    };
    pages.into_iter().find_map(|page| {
        let commit = page.get(layout.commit_offset()..)?;
        let little = plausible(read_long::<LittleEndian>(commit, layout.long_size()));
        let big = plausible(read_long::<BigEndian>(commit, layout.long_size()));
        match (little, big) {
            (true, false) => Some(Endian::Little),
            (false, true) => Some(Endian::Big),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests;
