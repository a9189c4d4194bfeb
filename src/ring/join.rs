//! Joins two sub-buffers that are mostly empty into one.
//!
//! A ring that is read every millisecond yields sub-buffers of a few records each; stored as they are, they would be
//! mostly zeros. The records of the second are appended to those of the first, byte for byte. A record's time is a
//! difference to the record before it, so an absolute time stamp is put between them (`RINGBUF_TYPE_TIME_STAMP`, as
//! `rb_add_time_stamp` writes it); the records themselves are not parsed.
//!
//! ```text
//! time 1000, commit 12 │ a b c            ╮
//! time 1900, commit  8 │ d e              ╯→  time 1000, commit 28 │ a b c [time 1900] d e
//! ```

use byteorder::ByteOrder;

use super::sub_buffer::{COMMIT_MASK, TIME_MSB, is_big, read_long};
use crate::format::{HeaderPage, LongSize};

/// Size of an absolute time stamp, bytes.
const STAMP: usize = 8;

/// Appends the records of `next` to those of `page`, which precedes it on the same CPU. Returns `false`, and changes
/// nothing, if there is no room, if events were lost before either (only the beginning of a sub-buffer can express
/// that), or if the time of `next` does not fit a stamp.
pub fn join<E: ByteOrder>(layout: &HeaderPage, page: &mut [u8], next: &[u8]) -> bool {
    joined::<E>(layout, page, next).is_some()
}

fn joined<E: ByteOrder>(layout: &HeaderPage, page: &mut [u8], next: &[u8]) -> Option<()> {
    let (time, at) = head::<E>(layout, page)?;
    let (next_time, length) = head::<E>(layout, next)?;
    let data = layout.data_offset();
    let records = next.get(data..data + length)?;
    if records.is_empty() {
        return Some(());
    }
    let commit = at + STAMP + length;
    // A stamp has 59 bits; the upper five are those of the record before it, whose time is between `time` and
    // `next_time`.
    if commit > layout.data_size() || next_time < time || (time ^ next_time) & TIME_MSB != 0 {
        return None;
    }
    let (stamp, rest) = page.get_mut(data + at..)?.split_first_chunk_mut::<STAMP>()?;
    rest.get_mut(..length)?.copy_from_slice(records);
    let (low, high) = ((next_time & 0x07ff_ffff) as u32, (next_time >> 27) as u32);
    // RINGBUF_TYPE_TIME_STAMP is 31.
    E::write_u32(&mut stamp[..4], if is_big::<E>() { 31 << 27 | low } else { low << 5 | 31 });
    E::write_u32(&mut stamp[4..], high);
    let word = page.get_mut(layout.commit_offset()..)?;
    match layout.long_size() {
        LongSize::Four => E::write_u32(word.get_mut(..4)?, commit as u32),
        LongSize::Eight => E::write_u64(word.get_mut(..8)?, commit as u64),
    }
    Some(())
}

/// The time and the commit of a sub-buffer; `None` if events were lost before it.
fn head<E: ByteOrder>(layout: &HeaderPage, page: &[u8]) -> Option<(u64, usize)> {
    let time = page.get(layout.timestamp_offset()..)?.get(..8).map(E::read_u64)?;
    let word = read_long::<E>(page.get(layout.commit_offset()..)?, layout.long_size())?;
    let commit = usize::try_from(word).ok()?;
    // The flags for lost events are above the length.
    let plain = word & !COMMIT_MASK == 0 && commit.is_multiple_of(4) && commit <= layout.data_size();
    plain.then_some((time, commit))
}
