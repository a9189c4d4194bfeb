//! Turns the bytes of sub-buffers into records with times and losses.
//!
//! For each CPU the kernel has a ring of sub-buffers. A sub-buffer begins with a time and the length of its data, the
//! commit; the records follow, each with the time since the one before it. [`Walk`] walks one sub-buffer, [`Merge`]
//! merges the sub-buffers of all CPUs into one stream in order of time, [`join`](fn@join) joins two that are mostly
//! empty, and [`Times`] converts the ticks of a clock to ns.
//!
//! All of this is a pure function of (bytes, [layout](crate::format::HeaderPage)): it knows neither events nor fields,
//! nor where the bytes come from. The rules are those of kernel/trace/ring_buffer.c; each check names the part that it
//! relies on.
//!
//! # Example
//!
//! ```
//! use byteorder::LittleEndian;
//! use ftrace_live::format::HeaderPage;
//! use ftrace_live::ring::{Lost, Walk};
//!
//! let layout = HeaderPage::parse(
//!     "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
//!      \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
//!      \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n",
//! )?;
//! // Time 1000 and 12 bytes of data: a record 5 ns later, of two words.
//! let (time, commit, head) = (1_000_u64, 12_u64, 5_u32 << 5 | 2);
//! let mut page = [&time.to_le_bytes()[..], &commit.to_le_bytes(), &head.to_le_bytes()].concat();
//! page.extend([7, 0, 0, 0, 77, 0, 0, 0]);
//! let (mut walk, lost) = Walk::open::<LittleEndian>(&layout, &page)?;
//! assert_eq!(lost, Lost::Nothing);
//! let found = walk.next_in::<LittleEndian>(&page).ok_or("no record")??;
//! assert_eq!((found.time, &page[found.payload]), (1_005, &[7, 0, 0, 0, 77, 0, 0, 0][..]));
//! assert!(walk.next_in::<LittleEndian>(&page).is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/own_ring.rs` merges rings from another source.

mod cpus;
mod feed;
mod join;
pub mod merge;
pub mod sub_buffer;
mod times;
mod tournament;

pub use cpus::{CpuList, CpuListError};
pub use feed::Feed;
pub use join::join;
pub use merge::{Counts, Merge, Position, Record};
pub use sub_buffer::{Lost, RingError, Walk, detect_byte_order};
pub use times::{Scale, Shift, Times, counts_nanoseconds};

#[cfg(test)]
pub(crate) mod page;
#[cfg(test)]
mod tests;
