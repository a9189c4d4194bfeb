//! Two sub-buffers that are mostly empty made one.
//!
//! Whoever reads a ring every millisecond gets sub-buffers of a few records each, and keeping those as they are would keep
//! mostly zeros. The records of the second go behind those of the first, byte for byte. A record's time is a difference to
//! the record before it, so an absolute time stamp stands between them (`RINGBUF_TYPE_TIME_STAMP`, as the kernel writes
//! it in `rb_add_time_stamp`): no record is looked at.
//!
//! ```text
//! time 1000, commit 12 │ a b c            ╮
//! time 1900, commit  8 │ d e              ╯→  time 1000, commit 28 │ a b c [time 1900] d e
//! ```

use byteorder::ByteOrder;

use super::sub_buffer::{COMMIT_MASK, TIME_MSB, is_big, read_long};
use crate::format::{HeaderPage, LongSize};

/// Bytes of an absolute time stamp.
const STAMP: usize = 8;

/// Appends the records of `next` to those of `page`, which comes before it on the same CPU. `false`, and nothing done,
/// where there is no room, where events were lost before either (that can only be said at the beginning of a sub-buffer),
/// or where the time of `next` cannot be said.
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
    // A stamp has 59 bits; the rest comes from the record before it, which is somewhere between both times.
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

/// The time and the commit of a sub-buffer before which nothing was lost.
fn head<E: ByteOrder>(layout: &HeaderPage, page: &[u8]) -> Option<(u64, usize)> {
    let time = page.get(layout.timestamp_offset()..)?.get(..8).map(E::read_u64)?;
    let word = read_long::<E>(page.get(layout.commit_offset()..)?, layout.long_size())?;
    let commit = usize::try_from(word).ok()?;
    // Above the length stand the flags of a loss.
    let plain = word & !COMMIT_MASK == 0 && commit.is_multiple_of(4) && commit <= layout.data_size();
    plain.then_some((time, commit))
}
