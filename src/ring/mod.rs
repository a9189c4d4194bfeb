//! Turns the bytes of sub-buffers into records with times and losses.
//!
//! A pure function of (bytes, [layout](crate::format::HeaderPage)): it knows neither events nor fields, nor where the
//! bytes come from. [`sub_buffer`] walks one sub-buffer, [`merge`] merges the sub-buffers of all CPUs into one stream
//! in order of time, [`join`] joins two that are mostly empty, and [`Times`] converts the ticks of a clock to ns.
//!
//! The rules are those of kernel/trace/ring_buffer.c; each check names the part that it relies on.

mod cpus;
mod join;
pub mod merge;
pub mod sub_buffer;
mod times;
mod tournament;

pub use cpus::{CpuList, CpuListError};
pub use join::join;
pub use merge::{Counts, Feed, Merge, Position, Record};
pub use sub_buffer::{Lost, RingError, Walk, detect_byte_order};
pub use times::{Scale, Shift, Times, counts_nanoseconds};

#[cfg(test)]
pub(crate) mod page;
#[cfg(test)]
mod tests;
