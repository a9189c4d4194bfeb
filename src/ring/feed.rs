//! Where sub-buffers come from: one trait for a file, a live ring, or another program's memory.

use std::io;

/// The source of one CPU's sub-buffers, one after the other. Only [`advance`](Feed::advance) has to be written:
///
/// ```
/// use std::io;
///
/// use byteorder::LittleEndian;
/// use ftrace_live::format::HeaderPage;
/// use ftrace_live::ring::{Feed, Merge};
///
/// /// Sub-buffers that some other program has read.
/// struct Pages(std::vec::IntoIter<Vec<u8>>);
///
/// impl Feed for Pages {
///     fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
///         *page = self.0.next().unwrap_or_default();
///         Ok(!page.is_empty())
///     }
/// }
///
/// let layout = HeaderPage::parse(
///     "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
///      \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
///      \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n",
/// )?;
/// // A sub-buffer with one record of two words, 5 ns after `time`.
/// let page = |time: u64, id: u8| {
///     let head = [time.to_le_bytes(), 12_u64.to_le_bytes()].concat();
///     [&head[..], &(5_u32 << 5 | 2).to_le_bytes(), &[id, 0, 0, 0, 77, 0, 0, 0]].concat()
/// };
/// let cpu0 = Pages(vec![page(1_000, 7), page(3_000, 8)].into_iter());
/// let cpu1 = Pages(vec![page(2_000, 9)].into_iter());
/// let mut merge = Merge::new(layout, [(0, cpu0), (1, cpu1)]);
/// let mut records = Vec::new();
/// while let Some(record) = merge.next_record::<LittleEndian>() {
///     records.push((record.cpu, record.time, record.bytes[0]));
/// }
/// assert_eq!(records, [(0, 1_005, 7), (1, 2_005, 9), (0, 3_005, 8)]);
/// # Ok::<(), ftrace_live::format::FormatError>(())
/// ```
pub trait Feed {
    /// Puts the next sub-buffer into `page`, whose capacity is reused; `false` if there is none now.
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool>;

    /// The total number of sub-buffers, where it is known: in a capture.
    fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Makes sub-buffer number `index`, from 0, the next one; `false` if the feed cannot do that.
    fn seek(&mut self, index: u64) -> io::Result<bool> {
        let _ = index;
        Ok(false)
    }

    /// Makes one of the last few sub-buffers the next one; `false` if that cannot be done without reading all of
    /// them.
    fn seek_near_end(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// The number of damaged pieces that were skipped, and what was wrong with the first one.
    fn skipped(&self) -> Option<(u64, String)> {
        None
    }

    /// Another reader of the same sub-buffers, at the first one, for another thread; `None` if there is none, or if
    /// it could find something else than this one.
    fn twin(&mut self) -> Option<Box<dyn Feed + Send>> {
        None
    }
}

impl<F: Feed + ?Sized> Feed for Box<F> {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        (**self).advance(page)
    }

    fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
        (**self).sub_buffers()
    }

    fn seek(&mut self, index: u64) -> io::Result<bool> {
        (**self).seek(index)
    }

    fn seek_near_end(&mut self) -> io::Result<bool> {
        (**self).seek_near_end()
    }

    fn skipped(&self) -> Option<(u64, String)> {
        (**self).skipped()
    }

    fn twin(&mut self) -> Option<Box<dyn Feed + Send>> {
        (**self).twin()
    }
}
