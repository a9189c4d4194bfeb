//! Writes records into sub-buffers as the kernel's ring buffer does (kernel/trace/ring_buffer.c).

use std::io::{self, Write};

use crate::format::{Endian, HeaderPage, LongSize};

/// `RINGBUF_TYPE_TIME_EXTEND`.
const TIME_EXTEND: u32 = 30;
/// The longest payload whose length fits into the type: `RINGBUF_TYPE_DATA_TYPE_LEN_MAX` words.
const SHORT: usize = 28 * 4;
/// `TS_MASK`: a time delta has 27 bits.
const DELTA_BITS: u32 = 27;
/// `RB_MISSED_EVENTS` and `RB_MISSED_STORED`.
const MISSED: u64 = 1 << 31;
const MISSED_STORED: u64 = 1 << 30;

/// Writes the records of one CPU to `out`, sub-buffer by sub-buffer.
pub(super) struct SubBufferWriter<W> {
    layout: HeaderPage,
    endian: Endian,
    out: W,
    page: Vec<u8>,
    /// The time of the sub-buffer, and of the last record.
    begin: u64,
    time: u64,
    /// Events lost before this sub-buffer.
    lost: u64,
    /// Events lost after the records of this sub-buffer.
    lost_next: u64,
    written: u64,
}

impl<W: Write> SubBufferWriter<W> {
    pub(super) fn new(layout: HeaderPage, endian: Endian, out: W) -> SubBufferWriter<W> {
        let page = Vec::with_capacity(layout.sub_buffer_size());
        SubBufferWriter { layout, endian, out, page, begin: 0, time: 0, lost: 0, lost_next: 0, written: 0 }
    }

    /// The longest payload that fits into a sub-buffer, besides its header word, a time extension, a length word, and
    /// a kernel long for the count of lost events.
    pub(super) fn longest(&self) -> usize {
        self.layout.data_size().saturating_sub(4 + 8 + 4 + 8)
    }

    /// `events` were lost after the last record.
    pub(super) fn lost(&mut self, events: u64) {
        self.lost_next = self.lost_next.saturating_add(events);
    }

    /// Writes a record. `payload` has at most [`longest`](SubBufferWriter::longest) bytes, and is padded to whole
    /// words.
    pub(super) fn record(&mut self, time: u64, payload: &[u8]) -> io::Result<()> {
        let len = payload.len().next_multiple_of(4).max(4);
        let room = self.layout.data_size().saturating_sub(self.page.len() + 8);
        let new = self.page.is_empty() || self.lost_next > 0 || time < self.time || len + 16 > room;
        if new {
            self.flush()?;
            (self.begin, self.time) = (time, time);
            self.lost = std::mem::take(&mut self.lost_next);
        }
        let mut delta = time - self.time;
        self.time = time;
        if delta >> DELTA_BITS != 0 {
            self.word(TIME_EXTEND, (delta & ((1 << DELTA_BITS) - 1)) as u32);
            self.u32((delta >> DELTA_BITS) as u32);
            delta = 0;
        }
        if len <= SHORT {
            self.word((len / 4) as u32, delta as u32);
        } else {
            self.word(0, delta as u32);
            // The length word counts itself.
            self.u32(len as u32 + 4);
        }
        self.page.extend_from_slice(payload);
        self.page.resize(self.page.len() + len - payload.len(), 0);
        Ok(())
    }

    /// Writes what is left; returns the bytes of all sub-buffers.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        if self.lost_next > 0 {
            // Losses after the last record are stored in a sub-buffer without records.
            (self.begin, self.lost) = (self.time, std::mem::take(&mut self.lost_next));
            self.write_page()?;
        }
        Ok(self.written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.page.is_empty() { Ok(()) } else { self.write_page() }
    }

    fn write_page(&mut self) -> io::Result<()> {
        let size = self.layout.sub_buffer_size();
        let mut sub_buffer = vec![0; self.layout.data_offset()];
        let mut commit = self.page.len() as u64;
        if self.lost > 0 {
            commit |= MISSED | MISSED_STORED;
            let lost = self.long(self.lost);
            self.page.extend_from_slice(&lost);
        }
        let (begin, commit) = (self.bytes(self.begin), self.long(commit));
        put(&mut sub_buffer, self.layout.timestamp_offset(), &begin);
        put(&mut sub_buffer, self.layout.commit_offset(), &commit);
        sub_buffer.append(&mut self.page);
        sub_buffer.resize(size, 0);
        self.lost = 0;
        self.written += size as u64;
        self.out.write_all(&sub_buffer)
    }

    /// The first word of a record.
    fn word(&mut self, type_len: u32, delta: u32) {
        self.u32(match self.endian {
            Endian::Little => delta << 5 | type_len,
            Endian::Big => type_len << DELTA_BITS | delta,
        });
    }

    fn u32(&mut self, value: u32) {
        let bytes = if self.endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.page.extend_from_slice(&bytes);
    }

    fn bytes(&self, value: u64) -> [u8; 8] {
        if self.endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// A kernel `long`.
    fn long(&self, value: u64) -> Vec<u8> {
        let short = value.min(u64::from(u32::MAX)) as u32;
        match (self.layout.long_size(), self.endian) {
            (LongSize::Eight, _) => self.bytes(value).to_vec(),
            (LongSize::Four, Endian::Little) => short.to_le_bytes().to_vec(),
            (LongSize::Four, Endian::Big) => short.to_be_bytes().to_vec(),
        }
    }
}

/// Writes `bytes` at `offset`, as far as there is room: the layout comes from the file.
fn put(out: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use byteorder::{BigEndian, ByteOrder, LittleEndian};

    use super::*;
    use crate::ring::page::layout;
    use crate::ring::{Lost, Walk};

    /// A sub-buffer as it is read: what was lost before it, and its records.
    type Read = (Lost, Vec<(u64, Vec<u8>)>);

    /// What `write` writes, as the walk over it reads it.
    fn read<E: ByteOrder>(
        (endian, long): (Endian, LongSize),
        write: impl FnOnce(&mut SubBufferWriter<&mut Vec<u8>>),
    ) -> Vec<Read> {
        let (layout, mut out) = (layout(long, 4096), Vec::new());
        let mut writer = SubBufferWriter::new(layout.clone(), endian, &mut out);
        write(&mut writer);
        assert_eq!(writer.finish().unwrap(), out.len() as u64);
        let mut all = vec![];
        for page in out.chunks(4096) {
            let (mut walk, lost) = Walk::open::<E>(&layout, page).unwrap();
            let mut records = vec![];
            while let Some(found) = walk.next_in::<E>(page) {
                let found = found.unwrap();
                records.push((found.time, page[found.payload].to_vec()));
            }
            all.push((lost, records));
        }
        all
    }

    fn on_every_kernel(write: impl Fn(&mut SubBufferWriter<&mut Vec<u8>>), want: &[Read]) {
        for long in [LongSize::Four, LongSize::Eight] {
            assert_eq!(read::<LittleEndian>((Endian::Little, long), &write), want);
            assert_eq!(read::<BigEndian>((Endian::Big, long), &write), want);
        }
    }

    fn padded(payload: &[u8]) -> Vec<u8> {
        let mut padded = payload.to_vec();
        padded.resize(payload.len().next_multiple_of(4).max(4), 0);
        padded
    }

    #[test]
    fn payloads_of_every_length_and_deltas_of_every_size_are_read_as_they_were_written() {
        let payloads = [0, 1, 4, 5, 108, 109, 112, 113, 116, 300].map(|len| vec![7; len]);
        let deltas = [0, 1, (1 << 27) - 1, 1 << 27, (1 << 27) + 5, 1 << 40];
        let mut time = 1000;
        let records: Vec<(u64, &Vec<u8>)> = payloads
            .iter()
            .zip(deltas.iter().cycle())
            .map(|(payload, delta)| {
                time += delta;
                (time, payload)
            })
            .collect();
        let want = records.iter().map(|(time, payload)| (*time, padded(payload))).collect();
        on_every_kernel(
            |writer| records.iter().for_each(|(time, payload)| writer.record(*time, payload).unwrap()),
            &[(Lost::Nothing, want)],
        );
    }

    #[test]
    fn a_loss_and_a_time_that_goes_back_begin_a_sub_buffer() {
        let record = |time| (time, b"abcd".to_vec());
        on_every_kernel(
            |writer| {
                writer.record(50, b"abcd").unwrap();
                writer.lost(3);
                writer.lost(4);
                writer.record(60, b"abcd").unwrap();
                writer.record(60, b"abcd").unwrap();
                writer.record(59, b"abcd").unwrap();
                writer.lost(9);
            },
            &[
                (Lost::Nothing, vec![record(50)]),
                (Lost::Count(7), vec![record(60), record(60)]),
                (Lost::Nothing, vec![record(59)]),
                (Lost::Count(9), vec![]),
            ],
        );
        on_every_kernel(|_| {}, &[]);
    }

    #[test]
    fn a_sub_buffer_takes_what_fits_with_a_time_extension_and_a_count_of_losses() {
        let kernel = (Endian::Little, LongSize::Eight);
        // 4080 bytes of data, less 8 for the count. The first record has 4 + 112 bytes.
        let pages = |second: usize| {
            let pages = read::<LittleEndian>(kernel, |writer| {
                assert_eq!(writer.longest(), 4080 - 24);
                writer.record(1, &[1; 112]).unwrap();
                writer.record(1 << 30, &vec![2; second]).unwrap();
            });
            assert_eq!(pages.iter().map(|(_, records)| records.len()).sum::<usize>(), 2);
            pages.len()
        };
        let room = 4080 - 8 - 116 - 16;
        assert_eq!([room - 4, room, room + 1, room + 4].map(pages), [1, 1, 2, 2]);
        // Records of 12 bytes, each as long as 24 are left.
        let many = read::<LittleEndian>(kernel, |writer| {
            (0..1000).for_each(|time| writer.record(time, &[3; 8]).unwrap());
        });
        assert_eq!(many.iter().map(|(_, records)| records.len()).collect::<Vec<_>>(), [338, 338, 324]);
        assert!(many.iter().flat_map(|(_, records)| records).map(|(time, _)| *time).eq(0..1000));
        let long = read::<LittleEndian>(kernel, |writer| {
            writer.lost(5);
            writer.record(1, &vec![4; writer.longest()]).unwrap();
            writer.record(2, &[5; 4]).unwrap();
        });
        assert_eq!(
            long.iter().map(|(lost, records)| (*lost, records.len())).collect::<Vec<_>>(),
            [(Lost::Count(5), 1), (Lost::Nothing, 1)]
        );
    }
}
