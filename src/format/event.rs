//! One `format` file: an event's name, id, fields and print format.
//!
//! The kernel writes it in `f_show` (kernel/trace/trace_events.c): `name`, `ID`, the common fields, a blank line, the
//! event's own fields, and `print fmt`, whose text may contain line breaks and runs to the end of the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use byteorder::ByteOrder;
use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_while1},
    character::complete::{char, digit1},
    combinator::{map_res, opt},
    sequence::{delimited, preceded, terminated},
};

use super::{CType, FormatError, LongSize, Place, declaration, syntax};

/// The kernel's longest format files, with tables of hundreds of names, have some 15 KiB.
const MAX_LEN: usize = 256 << 10;

/// An event's number in its records (`common_type`, their first two bytes). It changes from boot to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u16);

impl EventId {
    /// The event of a record whose bytes are `record`; `None` if it is too short to have an id.
    ///
    /// ```
    /// use byteorder::LittleEndian;
    /// use ftrace_live::format::EventId;
    ///
    /// assert_eq!(EventId::of::<LittleEndian>(&[7, 0, 0, 0, 77, 0, 0, 0]), Some(EventId(7)));
    /// assert_eq!(EventId::of::<LittleEndian>(&[7]), None);
    /// ```
    #[inline]
    pub fn of<E: ByteOrder>(record: &[u8]) -> Option<EventId> {
        record.first_chunk::<2>().map(|id| EventId(E::read_u16(id)))
    }

    /// As an index into a table by id.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One field of an event: what the file says, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The declaration exactly as the file has it: `__data_loc char[] name`.
    pub declaration: String,
    /// The `offset:` column: bytes from the start of the record.
    pub offset: u32,
    /// The `size:` column: bytes; 0 for a field that runs to the end of the record.
    pub size: u32,
    /// The `signed:` column; kernels before 2.6.33 had none.
    pub signed: Option<bool>,
    /// Whether the line says `field special:`, as old `ftrace/*` formats do.
    pub special: bool,
    /// The field's name.
    pub name: String,
    /// The type of one element.
    pub ctype: CType,
    /// Where the value lies.
    pub place: Place,
}

/// A parsed `format` file.
///
/// ```
/// use ftrace_live::format::{EventFormat, LongSize, Place};
/// let text = "name: user_fault\nID: 7\nformat:\n\
///             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
///             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\
///             \n\
///             \tfield:__data_loc char[] file;\toffset:8;\tsize:4;\tsigned:0;\n\
///             \n\
///             print fmt: \"file=%s\", __get_str(file)\n";
/// let format = EventFormat::parse("exceptions", text, LongSize::Eight).unwrap();
/// assert_eq!((format.name.as_str(), format.id.0), ("user_fault", 7));
/// assert_eq!(format.fields[0].place, Place::DataLoc);
/// assert_eq!(format.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventFormat {
    /// The system (group) of the event: the name of its folder. The file itself does not state it.
    pub system: String,
    /// The event's name.
    pub name: String,
    /// The number of its records on this boot.
    pub id: EventId,
    /// The fields every event begins with.
    pub common: Vec<Field>,
    /// The event's own fields, in file order.
    pub fields: Vec<Field>,
    /// The text after `print fmt: `, without the last line break: a C string literal and its arguments. Empty for a
    /// file that ends with its fields, as some of Android's do.
    pub print_fmt: String,
}

impl EventFormat {
    /// Parses the text of `events/<system>/<event>/format` from a kernel with longs of size `long`.
    pub fn parse(system: &str, text: &str, long: LongSize) -> Result<EventFormat, FormatError> {
        EventFormat::parse_one_of(system, text, long, &mut None)
    }

    /// Parses one of several files of a kernel with longs of size `long`, with the same result; begin with
    /// `Some(FieldLines::new())`.
    pub(crate) fn parse_one_of<'a>(
        system: &str,
        text: &'a str,
        long: LongSize,
        known: &mut Option<FieldLines<'a>>,
    ) -> Result<EventFormat, FormatError> {
        if text.len() > MAX_LEN {
            return Err(FormatError::TooLong(text.len()));
        }
        let (rest, (name, id)) = header(text).map_err(|e| at(text, e, "name: and ID: lines"))?;
        let (rest, common) = field_lines(text, rest, long, known)?;
        // The blank line between common and own fields is there even if the event has no own fields.
        let rest = rest.strip_prefix('\n').ok_or_else(|| syntax(text, rest, "a field line or a blank line"))?;
        let (rest, fields) = field_lines(text, rest, long, known)?;
        let print_fmt = match rest.trim_start_matches('\n') {
            // `sched_switch_end` of some Android kernels ends here.
            "" if !fields.is_empty() => "",
            _ => print_fmt(rest).map_err(|e| at(text, e, "a field line or print fmt:"))?.1,
        };
        Ok(EventFormat {
            system: system.to_owned(),
            name: name.to_owned(),
            id: EventId(id),
            common,
            fields,
            print_fmt: print_fmt.to_owned(),
        })
    }

    /// `system:name`, as the kernel's control files write it.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.system, self.name)
    }

    /// The print format with a bug of the kernel's undone: texts of synthetic events were printed by `%.*s`, but
    /// without an argument for the length, from 5.11 until "tracing: Fix synth event printf format for str fields"
    /// (6.15 and stable kernels).
    pub fn meant_print_fmt(&self) -> Cow<'_, str> {
        match self.system == "synthetic" && self.print_fmt.contains("%.*s") {
            true => Cow::Owned(self.print_fmt.replace("%.*s", "%s")),
            false => Cow::Borrowed(&self.print_fmt),
        }
    }

    /// The field called `name`, common or own, and its index.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().chain(&self.common).find(|f| f.name == name)
    }
}

impl Field {
    /// The C type of the whole field: `int`, `char[16]`, or `char[]` if the length is in the record.
    pub fn type_name(&self) -> String {
        let element = &self.ctype.name;
        match self.place {
            Place::Scalar => element.clone(),
            Place::Array { count } => format!("{element}[{count}]"),
            Place::DataLoc | Place::RelLoc | Place::DataLocShort | Place::Tail => format!("{element}[]"),
            Place::DataLocArray { count } => format!("{element}[][{count}]"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = if self.special { "field special" } else { "field" };
        write!(f, "\t{keyword}:{};\toffset:{};\tsize:{};", self.declaration, self.offset, self.size)?;
        if let Some(signed) = self.signed {
            write!(f, "\tsigned:{};", u8::from(signed))?;
        }
        writeln!(f)
    }
}

/// Writes the file again, byte for byte.
impl fmt::Display for EventFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name: {}\nID: {}\nformat:\n", self.name, self.id)?;
        self.common.iter().try_for_each(|field| field.fmt(f))?;
        writeln!(f)?;
        self.fields.iter().try_for_each(|field| field.fmt(f))?;
        if self.print_fmt.is_empty() {
            return Ok(());
        }
        // An event without own fields has one blank line, not two.
        if !self.fields.is_empty() {
            writeln!(f)?;
        }
        writeln!(f, "print fmt: {}", self.print_fmt)
    }
}

/// Field lines that were parsed before, and what they mean: of the 21 000 lines of
/// Linux 6.18, 85 in 100 are those of an event before.
pub(crate) type FieldLines<'a> = HashMap<&'a str, Field>;

fn at(text: &str, error: nom::Err<nom::error::Error<&str>>, expected: &'static str) -> FormatError {
    match error {
        nom::Err::Error(e) | nom::Err::Failure(e) => syntax(text, e.input, expected),
        nom::Err::Incomplete(_) => syntax(text, "", expected),
    }
}

fn header(input: &str) -> IResult<&str, (&str, u16)> {
    let name = delimited(tag("name: "), take_while1(|c| c != '\n'), char('\n'));
    let id = delimited(tag("ID: "), map_res(digit1, str::parse::<u16>), char('\n'));
    terminated((name, id), tag("format:\n")).parse(input)
}

/// `\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;`: (special, declaration, offset, size, signed).
type FieldLine<'a> = (bool, &'a str, u32, u32, Option<u8>);

fn field_line(input: &str) -> IResult<&str, FieldLine<'_>> {
    let number = |name: &'static str| delimited(tag(name), map_res(digit1, str::parse::<u32>), char(';'));
    terminated(
        (
            preceded(tag("\tfield"), opt(tag(" special")).map(|special| special.is_some())),
            delimited(char(':'), take_while1(|c| c != ';' && c != '\n'), char(';')),
            number("\toffset:"),
            number("\tsize:"),
            opt(delimited(tag("\tsigned:"), map_res(digit1, str::parse::<u8>), char(';'))),
        ),
        char('\n'),
    )
    .parse(input)
}

/// All field lines from `input` on, which is a suffix of `text`.
fn field_lines<'a>(
    text: &str,
    mut input: &'a str,
    long: LongSize,
    known: &mut Option<FieldLines<'a>>,
) -> Result<(&'a str, Vec<Field>), FormatError> {
    let mut fields = Vec::new();
    while input.starts_with("\tfield") {
        let whole = memchr::memchr(b'\n', input.as_bytes()).and_then(|end| input.split_at_checked(end + 1));
        if let (Some(known), Some((line, rest))) = (&*known, whole)
            && let Some(field) = known.get(line)
        {
            fields.push(field.clone());
            input = rest;
            continue;
        }
        let (rest, line) = field_line(input).map_err(|e| at(text, e, "a field line"))?;
        let (special, declaration, offset, size, signed) = line;
        let split = declaration::split(declaration).ok_or_else(|| FormatError::Declaration {
            line: super::line_of(text, input),
            declaration: declaration.to_owned(),
        })?;
        let signed = signed.map(|s| s != 0);
        let (ctype, place) = split.deduce(size, signed, long);
        let name = split.name.to_owned();
        let field = Field { declaration: declaration.to_owned(), offset, size, signed, special, name, ctype, place };
        // A line ends where the parser found its end, and nowhere else.
        if let (Some(known), Some((line, _))) = (&mut *known, whole.filter(|(_, after)| after.len() == rest.len())) {
            known.insert(line, field.clone());
        }
        fields.push(field);
        input = rest;
    }
    Ok((input, fields))
}

/// From the blank line (absent if there are no own fields) to the end of the file.
fn print_fmt(input: &str) -> IResult<&str, &str> {
    let (rest, _) = (opt(char('\n')), tag("print fmt: ")).parse(input)?;
    Ok(("", rest.strip_suffix('\n').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n";

    fn file(fields: &str, print_fmt: &str) -> String {
        format!("name: e\nID: 3\nformat:\n{COMMON}\n{fields}print fmt: {print_fmt}\n")
    }

    #[test]
    fn a_file_longer_than_any_real_one_is_refused() {
        let text = file("", &format!("\"{}\"", " ".repeat(MAX_LEN)));
        assert_eq!(EventFormat::parse("s", &text, LongSize::Eight), Err(FormatError::TooLong(text.len())));
    }

    #[test]
    fn a_line_of_an_earlier_file_means_the_same() {
        let fields = |size: u32| format!("\tfield:char a[{size}];\toffset:8;\tsize:{size};\tsigned:0;\n\n");
        let texts =
            [file(&fields(4), "\"\""), file(&fields(8), "\"\""), file(&fields(4), "\"%s\", REC->a"), file("", "\"\"")];
        let mut known = Some(FieldLines::new());
        for text in &texts {
            let parsed = EventFormat::parse_one_of("s", text, LongSize::Eight, &mut known);
            assert_eq!(parsed, EventFormat::parse("s", text, LongSize::Eight));
        }
        assert_eq!(known.as_ref().unwrap().len(), 6);
        // A line that is none is refused behind known ones as before them.
        for end in 0..texts[0].len() {
            let text = &texts[0][..end];
            let parsed = EventFormat::parse_one_of("s", text, LongSize::Eight, &mut known.clone());
            assert_eq!(parsed, EventFormat::parse("s", text, LongSize::Eight), "{end}");
        }
    }

    #[test]
    fn an_event_without_fields_of_its_own() {
        let text = file("", "\"\"");
        let format = EventFormat::parse("hyp", &text, LongSize::Eight).unwrap();
        assert!(format.fields.is_empty());
        assert_eq!(format.common.len(), 4);
        assert_eq!(format.to_string(), text);
    }

    #[test]
    fn a_print_format_may_hold_line_breaks() {
        let text = file("\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n\n", "\"a\n b\tc %d\", REC->a");
        let format = EventFormat::parse("ext4", &text, LongSize::Eight).unwrap();
        assert_eq!(format.print_fmt, "\"a\n b\tc %d\", REC->a");
        assert_eq!(format.to_string(), text);
    }

    #[test]
    fn old_kernels_have_special_fields_and_no_signed_column() {
        let text = file("\tfield special:char buf[];\toffset:8;\tsize:0;\n\n", "\"%s\", REC->buf");
        let format = EventFormat::parse("ftrace", &text, LongSize::Eight).unwrap();
        assert!(format.fields[0].special);
        assert_eq!(format.fields[0].signed, None);
        assert_eq!(format.to_string(), text);
    }

    #[test]
    fn an_error_names_the_line() {
        let text = file("\tfield:int a;\toffset:eight;\tsize:4;\tsigned:1;\n\n", "\"\"");
        let error = EventFormat::parse("x", &text, LongSize::Eight).unwrap_err();
        assert!(matches!(error, FormatError::Syntax { line: 9, .. }), "{error}");
        let text = file("\tfield:a;\toffset:8;\tsize:4;\tsigned:1;\n\n", "\"\"");
        let error = EventFormat::parse("x", &text, LongSize::Eight).unwrap_err();
        assert_eq!(error, FormatError::Declaration { line: 9, declaration: "a".into() });
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_or_a_shorter_print_format_and_never_a_panic() {
        let text = file("\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n\n", "\"%d\", REC->a");
        for end in 0..text.len() {
            let parsed = EventFormat::parse("x", &text[..end], LongSize::Eight);
            // The file may end after the last field line, or after the blank line that follows it.
            let fields_only = text[..end].trim_end_matches('\n').ends_with("size:4;\tsigned:1;")
                && text[..end].contains("field:int a;")
                && text[..end].ends_with('\n');
            let whole = text[..end].contains("print fmt: ") || fields_only;
            assert_eq!(parsed.is_ok(), whole, "cut at {end}");
        }
    }

    #[test]
    fn a_file_that_ends_with_its_fields_has_no_print_format() {
        let fields = "\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n";
        let whole = file(fields, "\"\"");
        let (text, _) = whole.split_once("print fmt").unwrap();
        let format = EventFormat::parse("sched", text, LongSize::Eight).unwrap();
        assert_eq!((format.fields[0].name.as_str(), format.print_fmt.as_str()), ("pid", ""));
        assert_eq!(format.to_string(), text);
        assert!(EventFormat::parse("sched", &format!("{text}\n"), LongSize::Eight).is_ok());
        // Without a field there is nothing to decode.
        let (text, _) = text.split_once("\tfield:pid_t").unwrap();
        assert!(EventFormat::parse("sched", text, LongSize::Eight).is_err());
    }
}
