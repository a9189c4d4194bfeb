//! Test builder: sub-buffers written word by word, in either byte order and long size, so that a test reads like the
//! page it describes.

use byteorder::ByteOrder;

use crate::format::{HeaderPage, LongSize};

/// A sub-buffer under construction.
pub(crate) struct Page<E> {
    layout: HeaderPage,
    time: u64,
    flags: u64,
    stored: Option<u64>,
    data: Vec<u8>,
    order: std::marker::PhantomData<E>,
}

/// The layout of a sub-buffer of `size` bytes on a kernel with these longs.
pub(crate) fn layout(long: LongSize, size: u32) -> HeaderPage {
    let long = long.bytes();
    let data = 8 + long;
    HeaderPage::parse(&format!(
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
         \tfield: local_t commit;\toffset:8;\tsize:{long};\tsigned:1;\n\
         \tfield: char data;\toffset:{data};\tsize:{};\tsigned:1;\n",
        size - data
    ))
    .unwrap()
}

impl<E: ByteOrder> Page<E> {
    pub(crate) fn new(long: LongSize, time: u64) -> Self {
        let layout = layout(long, 4096);
        Page { layout, time, flags: 0, stored: None, data: vec![], order: std::marker::PhantomData }
    }

    fn u32(mut self, value: u32) -> Self {
        let mut bytes = [0; 4];
        E::write_u32(&mut bytes, value);
        self.data.extend(bytes);
        self
    }

    /// The first word of a record.
    pub(crate) fn word(self, type_len: u32, delta: u32) -> Self {
        let big = E::read_u16(&[0, 1]) == 1;
        self.u32(if big { type_len << 27 | delta } else { delta << 5 | type_len })
    }

    /// A short record: its length is in the type.
    pub(crate) fn data(self, delta: u32, payload: &[u8]) -> Self {
        assert!(payload.len().is_multiple_of(4) && (4..=112).contains(&payload.len()));
        let mut page = self.word((payload.len() / 4) as u32, delta);
        page.data.extend(payload);
        page
    }

    /// A long record: its length is in the second word, which counts itself. The next record is word-aligned.
    pub(crate) fn long_data(self, delta: u32, payload: &[u8]) -> Self {
        let mut page = self.word(0, delta).u32(payload.len() as u32 + 4);
        page.data.extend(payload);
        page.data.resize(page.data.len().next_multiple_of(4), 0xaa);
        page
    }

    pub(crate) fn time_extend(self, delta: u64) -> Self {
        self.word(30, (delta & 0x7ff_ffff) as u32).u32((delta >> 27) as u32)
    }

    pub(crate) fn time_stamp(self, time: u64) -> Self {
        self.word(31, (time & 0x7ff_ffff) as u32).u32(((time >> 27) & 0xffff_ffff) as u32)
    }

    /// A discarded event of `len` payload bytes.
    pub(crate) fn discarded(self, delta: u32, len: u32) -> Self {
        let mut page = self.word(29, delta).u32(len);
        page.data.extend(std::iter::repeat_n(0xaa, len as usize - 4));
        page
    }

    pub(crate) fn lost(mut self, count: Option<u64>) -> Self {
        // The kernel sign-extends the word from bit 31.
        self.flags = 0xffff_ffff_8000_0000 | if count.is_some() { 1 << 30 } else { 0 };
        self.stored = count;
        self
    }

    /// The bytes, with `commit` in place of the true one.
    pub(crate) fn with_commit(mut self, commit: u64) -> Vec<u8> {
        let mut page = vec![0; self.layout.sub_buffer_size()];
        E::write_u64(&mut page[..8], self.time);
        let long = |value: u64| {
            let mut bytes = [0; 8];
            match self.layout.long_size() {
                LongSize::Four => E::write_u32(&mut bytes[..4], value as u32),
                LongSize::Eight => E::write_u64(&mut bytes, value),
            }
            bytes[..self.layout.long_size().bytes() as usize].to_vec()
        };
        let word = long(commit | self.flags);
        page[8..8 + word.len()].copy_from_slice(&word);
        if let Some(count) = self.stored {
            self.data.extend(long(count));
        }
        let data = self.layout.data_offset();
        page[data..data + self.data.len()].copy_from_slice(&self.data);
        page
    }

    pub(crate) fn build(self) -> Vec<u8> {
        let commit = self.data.len() as u64;
        self.with_commit(commit)
    }
}
