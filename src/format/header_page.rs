//! `events/header_page`: the layout of a sub-buffer.
//!
//! The kernel writes it in `ring_buffer_print_page_header` (kernel/trace/ring_buffer.c). It belongs to the
//! *instance*, since it depends on `buffer_subbuf_size_kb`.

use std::fmt;

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_while1},
    character::complete::{digit1, line_ending},
    combinator::map_res,
    multi::many1,
};

use super::{FormatError, LongSize, syntax};

/// One line of `header_page`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField {
    /// The declaration, as `local_t commit`.
    pub declaration: String,
    /// Offset in the sub-buffer, bytes.
    pub offset: u32,
    /// Size, bytes.
    pub size: u32,
    /// The `signed:` column. For `data` it says whether plain `char` is signed on that kernel.
    pub signed: bool,
}

/// The layout of a sub-buffer: `timestamp`, `commit`, then `data`.
///
/// ```
/// use ftrace_live::format::{HeaderPage, LongSize};
/// let text = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
///             \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
///             \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
///             \tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";
/// let header = HeaderPage::parse(text).unwrap();
/// assert_eq!(header.sub_buffer_size(), 4096);
/// assert_eq!(header.long_size(), LongSize::Eight);
/// assert_eq!(header.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPage {
    fields: Vec<HeaderField>,
    timestamp_offset: usize,
    commit_offset: usize,
    long_size: LongSize,
    data_offset: usize,
    data_size: usize,
}

/// The largest sub-buffer accepted: the commit word has 27 bits for its length.
const MAX_SUB_BUFFER: u32 = 1 << 27;

impl HeaderPage {
    /// Parses the text of `header_page`.
    pub fn parse(text: &str) -> Result<HeaderPage, FormatError> {
        let (rest, fields) =
            many1(header_field).parse(text).map_err(|_| syntax(text, text, "a header_page field line"))?;
        if !rest.is_empty() {
            return Err(syntax(text, rest, "a header_page field line"));
        }
        let find = |name: &'static str| {
            let found = fields.iter().find(|f| f.declaration.split_whitespace().next_back() == Some(name));
            found.ok_or(FormatError::HeaderField(name))
        };
        let (timestamp, commit, data) = (find("timestamp")?, find("commit")?, find("data")?);
        let long_size = match commit.size {
            4 => LongSize::Four,
            8 => LongSize::Eight,
            _ => return Err(FormatError::HeaderField("commit")),
        };
        if timestamp.size != 8 {
            return Err(FormatError::HeaderField("timestamp"));
        }
        let end = data.offset.checked_add(data.size).filter(|&end| end <= MAX_SUB_BUFFER && data.size >= 8);
        let header_fits = |f: &HeaderField| f.offset.checked_add(f.size).is_some_and(|end| end <= data.offset);
        if end.is_none() || !header_fits(timestamp) || !header_fits(commit) {
            return Err(FormatError::HeaderField("data"));
        }
        Ok(HeaderPage {
            timestamp_offset: timestamp.offset as usize,
            commit_offset: commit.offset as usize,
            long_size,
            data_offset: data.offset as usize,
            data_size: data.size as usize,
            fields,
        })
    }

    /// The same layout for sub-buffers of another size, which another instance of the same kernel may have.
    pub fn with_sub_buffer_size(&self, size: usize) -> Result<HeaderPage, FormatError> {
        let room = size.checked_sub(self.data_offset).and_then(|room| u32::try_from(room).ok());
        let room = room.filter(|&room| room >= 8 && size <= MAX_SUB_BUFFER as usize);
        let room = room.ok_or(FormatError::HeaderField("data"))?;
        let mut other = self.clone();
        other.data_size = room as usize;
        for field in other.fields.iter_mut().filter(|field| field.offset as usize == self.data_offset) {
            field.size = room;
        }
        Ok(other)
    }

    /// The lines of the file.
    pub fn fields(&self) -> &[HeaderField] {
        &self.fields
    }

    /// Bytes of one sub-buffer with its header: what one `read` of `trace_pipe_raw` returns.
    pub fn sub_buffer_size(&self) -> usize {
        self.data_offset + self.data_size
    }

    /// Offset of the 8-byte time stamp.
    pub fn timestamp_offset(&self) -> usize {
        self.timestamp_offset
    }

    /// Offset of the commit word, which is a kernel `long`.
    pub fn commit_offset(&self) -> usize {
        self.commit_offset
    }

    /// Offset of the first record.
    pub fn data_offset(&self) -> usize {
        self.data_offset
    }

    /// Bytes for records.
    pub fn data_size(&self) -> usize {
        self.data_size
    }

    /// Width of the traced kernel's `long`, from the size of the commit word.
    pub fn long_size(&self) -> LongSize {
        self.long_size
    }
}

impl fmt::Display for HeaderPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.iter().try_for_each(|field| {
            let HeaderField { declaration, offset, size, signed } = field;
            writeln!(f, "\tfield: {declaration};\toffset:{offset};\tsize:{size};\tsigned:{};", u8::from(*signed))
        })
    }
}

/// `\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n`
fn header_field(input: &str) -> IResult<&str, HeaderField> {
    let number = || map_res(digit1, str::parse::<u32>);
    let (rest, (_, declaration, _, offset, _, size, _, signed, _, _)) = (
        tag("\tfield: "),
        take_while1(|c| c != ';' && c != '\n'),
        tag(";\toffset:"),
        number(),
        tag(";\tsize:"),
        number(),
        tag(";\tsigned:"),
        number(),
        tag(";"),
        line_ending,
    )
        .parse(input)?;
    Ok((rest, HeaderField { declaration: declaration.to_owned(), offset, size, signed: signed != 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// armhf 6.1: on a 32-bit kernel the commit word has four bytes, and data begins at 12.
    const ARM: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
         \tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n\
         \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
         \tfield: char data;\toffset:12;\tsize:4084;\tsigned:0;\n";

    #[test]
    fn the_size_of_the_commit_word_shows_a_32_bit_kernel() {
        let header = HeaderPage::parse(ARM).unwrap();
        assert_eq!(header.long_size(), LongSize::Four);
        assert_eq!(header.data_offset(), 12);
        assert_eq!(header.sub_buffer_size(), 4096);
        assert_eq!(header.to_string(), ARM);
    }

    #[test]
    fn another_size_changes_the_data_and_nothing_else() {
        let header = HeaderPage::parse(ARM).unwrap();
        let larger = header.with_sub_buffer_size(65536).unwrap();
        assert_eq!(larger.to_string(), ARM.replace("size:4084", "size:65524"));
        assert_eq!(HeaderPage::parse(&larger.to_string()), Ok(larger));
        assert!(header.with_sub_buffer_size(12).is_err());
        assert!(header.with_sub_buffer_size(usize::MAX).is_err());
    }

    #[test]
    fn an_impossible_header_is_refused() {
        let gigantic = ARM.replace("size:4084", "size:4294967295");
        assert_eq!(HeaderPage::parse(&gigantic), Err(FormatError::HeaderField("data")));
        let overlapping = ARM.replace("offset:12", "offset:4");
        assert_eq!(HeaderPage::parse(&overlapping), Err(FormatError::HeaderField("data")));
        let no_commit = ARM.replace("commit", "comment");
        assert_eq!(HeaderPage::parse(&no_commit), Err(FormatError::HeaderField("commit")));
        assert!(matches!(HeaderPage::parse("nonsense"), Err(FormatError::Syntax { line: 1, .. })));
    }
}
