//! Dynamic events: kprobes, uprobes, event probes, synthetic events.
//!
//! The kernel prints them almost as their print formats say: a kprobe's `(%lx)` is a symbol (`print_kprobe_event`,
//! kernel/trace/trace_kprobe.c), a uprobe's has a `0x` (`print_uprobe_event`), a string that could not be fetched is
//! `(fault)` without quotation marks (`PRINT_TYPE_FUNC_NAME(string)`, trace_probe.c), an event probe names the event
//! it is attached to, and a synthetic event separates its fields with spaces (`print_synth_event`).

use byteorder::ByteOrder;

use super::number::Number;
use crate::{
    decode::{unsigned, until_nul},
    format::EventFormat,
    names::Symbols,
    render::{
        line::{LineOptions, write_hex, write_signed, write_unsigned},
        symbol,
    },
};

/// How a number is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Signed,
    Unsigned,
    Hex,
    Symbol,
    Char,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Literal text: a range of [`Probe::text`].
    Text(usize, usize),
    Number(Show, Number),
    /// A string in quotation marks; `__data_loc` word at this offset.
    Quoted(usize),
    /// A string without quotation marks; `__data_loc` word at this offset.
    Located(usize),
    /// A string in a fixed array: offset and length.
    Fixed(usize, usize),
    /// A string that begins at the place given by the word at this offset, of any length.
    FromStart(usize),
    /// The names of the allocation flags in a synthetic event's `gfp_t`.
    Gfp(Number),
    /// A synthetic event's stack: `__data_loc` word at this offset, and the size of an address.
    Stack(usize, usize),
}

impl Part {
    /// What the kernel prints instead on big-endian machines: a number narrower than eight bytes, and a location
    /// word, is stored in the first bytes of its eight but read from the last (`print_synth_event`, until
    /// "tracing/synthetic: Use union").
    fn swapped(self) -> Part {
        let moved = |number: Number| Number { offset: number.offset + 8 - number.size, ..number };
        match self {
            Part::Number(show, number) => Part::Number(show, moved(number)),
            Part::Gfp(number) => Part::Gfp(moved(number)),
            Part::Located(word) => Part::FromStart(word + 4),
            Part::Stack(word, size) => Part::Stack(word + 4, size),
            other => other,
        }
    }
}

/// Where a probe is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    None,
    /// To an instruction.
    At(Number),
    /// To the return from a function: the return address, and the function.
    Return(Number, Number),
}

/// The text of a dynamic event.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    site: Site,
    /// Whether the probe is in a user program.
    user: bool,
    /// For an event probe: its event as `system.event`.
    event: Option<String>,
    text: String,
    parts: Vec<Part>,
    synthetic: bool,
    /// The kernel's table of allocation flags, if needed and known.
    gfp: Vec<(u64, String)>,
}

impl Probe {
    /// The text of `format` if it is a dynamic event with a known form of print format. `dynamic_events` is the text
    /// of that control file, or empty; `gfp` the table of allocation flags, or empty.
    pub(super) fn compile(format: &EventFormat, dynamic_events: &str, gfp: &[(u64, String)]) -> Option<Probe> {
        let meant = format.meant_print_fmt();
        let (literal, arguments) = print_fmt(&meant)?;
        let mut arguments = arguments.into_iter();
        // `p:kp/open do_sys_openat2 …`, `p:up/f /bin/sh:0x3ec0 …`, `e:ep/swi sched.sched_switch …`: the second word.
        let place = definition(format, dynamic_events).and_then(|line| line.split_whitespace().nth(1));
        let ip = Number::of(format, "__probe_ip");
        let returns = Number::of(format, "__probe_ret_ip").zip(Number::of(format, "__probe_func"));
        let (site, rest) = match (ip, returns) {
            (Some(ip), None) => {
                arguments.next()?;
                (Site::At(ip), literal.strip_prefix("(%lx)")?)
            }
            (None, Some((to, from))) => {
                arguments.next().and(arguments.next())?;
                (Site::Return(to, from), literal.strip_prefix("(%lx <- %lx)")?)
            }
            _ => (Site::None, literal.as_str()),
        };
        let synthetic = format.system == "synthetic";
        // An event probe has no address, and its text begins with a space.
        let on_event = site == Site::None && !synthetic;
        if on_event && !rest.starts_with(' ') && format.system != "eprobes" {
            return None;
        }
        let mut probe = Probe {
            site,
            user: format.system == "uprobes" || place.is_some_and(|place| place.starts_with('/')),
            event: on_event.then(|| place.unwrap_or("?").replace('/', ".")),
            text: String::new(),
            parts: vec![],
            synthetic,
            gfp: if synthetic { gfp.to_vec() } else { vec![] },
        };
        match synthetic {
            true => probe.arguments(format, &rest.replace(", ", " "), &mut arguments)?,
            false => probe.arguments(format, rest, &mut arguments)?,
        }
        arguments.next().is_none().then_some(probe)
    }

    /// Parses ` name=%d name="%s"`.
    fn arguments<'f>(
        &mut self,
        format: &EventFormat,
        literal: &str,
        arguments: &mut impl Iterator<Item = &'f str>,
    ) -> Option<()> {
        let mut rest = literal;
        while let Some((before, spec)) = rest.split_once('%') {
            let spec = spec.trim_start_matches(['l', 'L', 'h']);
            let behind = spec.get(1..)?;
            let argument = arguments.next()?;
            let show = match spec.as_bytes().first()? {
                b'd' => Show::Signed,
                b'u' => Show::Unsigned,
                b'x' => Show::Hex,
                b'c' => Show::Char,
                b'p' if behind.starts_with('S') => Show::Symbol,
                b's' => {
                    let quoted = before.strip_suffix('"').zip(behind.strip_prefix('"'));
                    let (before, behind) = quoted.unwrap_or((before, behind));
                    self.literal(before);
                    if let Some(stack) = stack(format, argument) {
                        self.literal("STACK:\n");
                        self.parts.push(stack);
                        // Only the last line break separates it from the next field.
                        rest = behind.strip_prefix(' ').unwrap_or(behind);
                        continue;
                    }
                    self.parts.push(string(format, argument, quoted.is_some())?);
                    rest = behind;
                    continue;
                }
                _ => return None,
            };
            self.literal(before);
            let number = number(format, argument)?;
            // `print_synth_event_num_val` casts numbers narrower than 32 bits to an unsigned type.
            let widened = self.synthetic && show == Show::Signed && number.size < 4;
            self.parts.push(Part::Number(if widened { Show::Unsigned } else { show }, number));
            rest = if show == Show::Symbol { &behind[1..] } else { behind };
            if self.synthetic && is_gfp(format, argument) {
                // The kernel prints the space before the next field ahead of flag names, and none after them.
                rest = match rest.strip_prefix(' ') {
                    Some(rest) => {
                        self.literal(" ");
                        rest
                    }
                    None => rest,
                };
                self.parts.push(Part::Gfp(number));
            }
        }
        self.literal(rest);
        Some(())
    }

    fn literal(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.parts.push(Part::Text(start, self.text.len()));
    }

    /// Appends the text after `name: `.
    pub(super) fn write<E: ByteOrder>(
        &self,
        out: &mut Vec<u8>,
        record: &[u8],
        symbols: &impl Symbols,
        options: &LineOptions,
    ) {
        self.write_site::<E>(out, record, symbols, options);
        let swapped = self.synthetic && options.synthetic_swapped;
        for part in &self.parts {
            match if swapped { part.swapped() } else { *part } {
                Part::Text(start, end) => out.extend_from_slice(&self.text.as_bytes()[start..end]),
                Part::Number(show, number) => match show {
                    Show::Signed => write_signed(out, number.signed::<E>(record)),
                    Show::Unsigned => write_unsigned(out, number.unsigned::<E>(record)),
                    Show::Hex => write_hex(out, number.unsigned::<E>(record), 1),
                    Show::Symbol => symbol::write_with_offset(out, number.unsigned::<E>(record), symbols),
                    Show::Char => out.push(number.unsigned::<E>(record) as u8),
                },
                Part::Gfp(number) => self.write_gfp(out, number.unsigned::<E>(record)),
                Part::Quoted(word) => match located::<E>(record, word) {
                    Some(text) => {
                        out.push(b'"');
                        out.extend_from_slice(text);
                        out.push(b'"');
                    }
                    None => out.extend_from_slice(b"(fault)"),
                },
                Part::Located(word) => out.extend_from_slice(located::<E>(record, word).unwrap_or_default()),
                Part::FromStart(word) => {
                    let start = Number { offset: word, size: 4, signed: false }.unsigned::<E>(record) & 0xffff;
                    out.extend_from_slice(until_nul(record.get(start as usize..).unwrap_or_default()));
                }
                Part::Stack(word, size) => write_stack::<E>(out, record, word, size, symbols, options),
                Part::Fixed(offset, len) => {
                    let bytes = record.get(offset..).map(|rest| rest.get(..len).unwrap_or(rest));
                    out.extend_from_slice(until_nul(bytes.unwrap_or_default()));
                }
            }
        }
    }

    /// Appends ` (GFP_KERNEL|__GFP_ZERO)` (`trace_print_flags_seq`).
    fn write_gfp(&self, out: &mut Vec<u8>, mut flags: u64) {
        out.extend_from_slice(b" (");
        if self.gfp.is_empty() {
            out.extend_from_slice(b"{gfp_t?}");
            flags = 0;
        }
        let mut first = true;
        let mut separate = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b'|');
            }
        };
        for (mask, name) in &self.gfp {
            if flags != 0 && flags & mask == *mask {
                separate(out);
                out.extend_from_slice(name.as_bytes());
                flags &= !mask;
            }
        }
        if flags != 0 {
            separate(out);
            out.extend_from_slice(b"0x");
            write_hex(out, flags, 1);
        }
        out.push(b')');
    }

    /// Appends `(vfs_read+0x0/0x310)`, `(ksys_read+0xb7/0xf0 <- vfs_read)`, `(0x1004ec0)`, `(sched.sched_switch)`.
    fn write_site<E: ByteOrder>(
        &self,
        out: &mut Vec<u8>,
        record: &[u8],
        symbols: &impl Symbols,
        options: &LineOptions,
    ) {
        let place = |out: &mut Vec<u8>, address| match self.user {
            true => {
                out.extend_from_slice(b"0x");
                write_hex(out, address, 1);
            }
            false => symbol::write_with_offset(out, address, symbols),
        };
        match (self.site, &self.event) {
            (Site::None, None) => return,
            (Site::None, Some(event)) => {
                out.push(b'(');
                out.extend_from_slice(event.as_bytes());
            }
            (Site::At(ip), _) => {
                out.push(b'(');
                place(out, ip.unsigned::<E>(record));
            }
            (Site::Return(to, from), _) => {
                out.push(b'(');
                place(out, to.unsigned::<E>(record));
                out.extend_from_slice(b" <- ");
                // The returning function is shown without its offset, which is 0.
                let from = from.unsigned::<E>(record);
                match symbols.symbol(from) {
                    Some(found) if !self.user && !options.sym_offset => out.extend_from_slice(found.name.as_bytes()),
                    _ => place(out, from),
                }
            }
        }
        out.push(b')');
    }
}

/// The text given by the `__data_loc` word at `word`; none if it is empty, which is how a fault is recorded.
fn located<E: ByteOrder>(record: &[u8], word: usize) -> Option<&[u8]> {
    let bytes = crate::decode::located::<E>(record, word, 0).ok()?;
    (!bytes.is_empty()).then(|| until_nul(bytes))
}

/// Appends the addresses of a stack, one a line (`print_synth_event`).
fn write_stack<E: ByteOrder>(
    out: &mut Vec<u8>,
    record: &[u8],
    word: usize,
    size: usize,
    symbols: &impl Symbols,
    options: &LineOptions,
) {
    let bytes = crate::decode::located::<E>(record, word, 0).unwrap_or_default();
    let addresses = bytes.chunks_exact(size).map(unsigned::<E>);
    // The first word is the count. Kernels before 6.6 show it as an address, and stop at a zero.
    let shown = usize::from(!options.synthetic_stack_count);
    for address in addresses.skip(shown).take_while(|&address| shown == 1 || address != 0) {
        out.extend_from_slice(b"=> ");
        symbol::write_with_offset(out, address, symbols);
        out.push(b'\n');
    }
}

/// The line of `dynamic_events` that defines `format`: `e:ep/swi sched.sched_switch np=$next_pid`.
fn definition<'t>(format: &EventFormat, dynamic_events: &'t str) -> Option<&'t str> {
    dynamic_events.lines().find(|line| {
        let name = line.split_whitespace().next().and_then(|head| head.split_once(':')).map(|(_, name)| name);
        name.and_then(|name| name.split_once('/')) == Some((format.system.as_str(), format.name.as_str()))
    })
}

/// Splits `"literal", argument, argument`. In dynamic events the literal has no escape but `\"`, and arguments have
/// no commas.
fn print_fmt(text: &str) -> Option<(String, Vec<&str>)> {
    let body = text.strip_prefix('"')?;
    let mut literal = String::new();
    let mut chars = body.char_indices();
    loop {
        match chars.next()? {
            (_, '\\') => match chars.next()?.1 {
                c @ ('"' | '\\') => literal.push(c),
                _ => return None,
            },
            (at, '"') => {
                let arguments = body[at + 1..].split(',').map(str::trim).filter(|a| !a.is_empty());
                return Some((literal, arguments.collect()));
            }
            (_, c) => literal.push(c),
        }
    }
}

/// The number that `REC->name` or `REC->name[2]` refers to.
fn number(format: &EventFormat, argument: &str) -> Option<Number> {
    let (name, index) = indexed(argument.strip_prefix("REC->")?)?;
    let field = format.fields.iter().find(|f| f.name == name)?;
    // For an array the size is that of the whole: `field:u16 a[]; size:6`.
    let size = field.ctype.size as usize;
    let offset = (field.offset as usize).checked_add(index.unwrap_or(0).checked_mul(size)?)?;
    matches!(size, 1 | 2 | 4 | 8).then_some(Number { offset, size, signed: field.signed.unwrap_or(false) })
}

/// Whether `REC->name` is a set of allocation flags.
fn is_gfp(format: &EventFormat, argument: &str) -> bool {
    let field = |name: &str| format.fields.iter().any(|f| f.name == name && f.ctype.name == "gfp_t");
    argument.strip_prefix("REC->").is_some_and(field)
}

/// The stack that `__get_stacktrace(name)` refers to.
fn stack(format: &EventFormat, argument: &str) -> Option<Part> {
    let name = argument.strip_prefix("__get_stacktrace(")?.strip_suffix(')')?;
    let field = format.fields.iter().find(|f| f.name == name)?;
    let size = field.ctype.size as usize;
    matches!(size, 4 | 8).then_some(Part::Stack(field.offset as usize, size))
}

/// The string that `__get_str(name)`, `__get_str(name[1])` or `REC->name` refers to.
fn string(format: &EventFormat, argument: &str, quoted: bool) -> Option<Part> {
    let field = |name| format.fields.iter().find(|f| f.name == name);
    match argument.strip_prefix("__get_str(").and_then(|rest| rest.strip_suffix(')')) {
        Some(argument) => {
            let (name, index) = indexed(argument)?;
            let word = (field(name)?.offset as usize).checked_add(index.unwrap_or(0).checked_mul(4)?)?;
            Some(if quoted { Part::Quoted(word) } else { Part::Located(word) })
        }
        None => {
            let field = field(argument.strip_prefix("REC->")?)?;
            // A synthetic event's text extends to the next field, whatever its declaration says, and is printed whole
            // (`trace_string`, `STR_VAR_LEN_MAX`).
            let next = format.fields.iter().map(|f| f.offset).filter(|&offset| offset > field.offset).min();
            let size = match format.system == "synthetic" {
                true => next.map_or(usize::MAX, |next| (next - field.offset) as usize),
                false => field.size as usize,
            };
            (!quoted).then_some(Part::Fixed(field.offset as usize, size))
        }
    }
}

/// `name` or `name[2]`.
fn indexed(text: &str) -> Option<(&str, Option<usize>)> {
    match text.split_once('[') {
        Some((name, index)) => Some((name, Some(index.strip_suffix(']')?.parse().ok()?))),
        None => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use byteorder::{BigEndian, LittleEndian};

    use super::*;
    use crate::{
        format::LongSize,
        names::{Kallsyms, Names},
    };

    fn format(system: &str, fields: &str, print_fmt: &str) -> EventFormat {
        let text = format!(
            "name: e\nID: 3\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n{fields}\n\
             print fmt: {print_fmt}\n"
        );
        EventFormat::parse(system, &text, LongSize::Eight).unwrap()
    }

    fn text<E: ByteOrder>(format: &EventFormat, dynamic_events: &str, record: &[u8]) -> String {
        let kallsyms =
            Kallsyms::parse(b"c0300000 T _stext\nc0300100 T vfs_read\nc0300200 T vfs_write\nc0300300 D _end\n");
        let names = Names { kallsyms: kallsyms.into(), ..Names::default() };
        let mut out = vec![];
        let probe = Probe::compile(format, dynamic_events, &[]).unwrap();
        probe.write::<E>(&mut out, record, &names, &LineOptions::default());
        String::from_utf8(out).unwrap()
    }

    const IP: &str = "\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n";

    fn record(tail: &[u8]) -> Vec<u8> {
        let mut record = vec![0; 8];
        record.extend(0xc030_0104u64.to_le_bytes());
        record.extend(tail);
        record
    }

    #[test]
    fn a_kprobe_s_address_is_a_symbol_and_a_uprobe_s_is_not() {
        let kprobe = format("kp", IP, "\"(%lx)\", REC->__probe_ip");
        assert_eq!(text::<LittleEndian>(&kprobe, "", &record(&[])), "(vfs_read+0x4/0x100)");
        assert_eq!(text::<LittleEndian>(&kprobe, "p:kp/e vfs_read+4", &record(&[])), "(vfs_read+0x4/0x100)");
        assert_eq!(text::<LittleEndian>(&kprobe, "p:kp/e /bin/sh:0x4", &record(&[])), "(0xc0300104)");
        let uprobe = format("uprobes", IP, "\"(%lx)\", REC->__probe_ip");
        assert_eq!(text::<LittleEndian>(&uprobe, "", &record(&[])), "(0xc0300104)");
    }

    #[test]
    fn a_return_probe_shows_the_return_address_first() {
        let fields = "\tfield:unsigned long __probe_func;\toffset:8;\tsize:8;\tsigned:0;\n\
             \tfield:unsigned long __probe_ret_ip;\toffset:16;\tsize:8;\tsigned:0;\n\
             \tfield:s32 ret;\toffset:24;\tsize:4;\tsigned:1;\n";
        let format = format("kp", fields, "\"(%lx <- %lx) ret=%d\", REC->__probe_func, REC->__probe_ret_ip, REC->ret");
        let mut bytes = record(&0xc030_0210u64.to_le_bytes());
        bytes[8..16].copy_from_slice(&0xc030_0100u64.to_le_bytes());
        bytes.extend((-5i32).to_le_bytes());
        assert_eq!(text::<LittleEndian>(&format, "", &bytes), "(vfs_write+0x10/0x100 <- vfs_read) ret=-5");
    }

    #[test]
    fn arrays_symbols_and_strings_print_according_to_their_types() {
        let fields = format!(
            "{IP}\tfield:u16 a[];\toffset:16;\tsize:6;\tsigned:0;\n\
             \tfield:s8 b;\toffset:22;\tsize:1;\tsigned:1;\n\
             \tfield:u64 sy;\toffset:23;\tsize:8;\tsigned:0;\n\
             \tfield:__data_loc char[][2] s;\toffset:31;\tsize:8;\tsigned:1;\n"
        );
        let format = format(
            "kp",
            &fields,
            "\"(%lx) a={0x%x,0x%x,0x%x} b=%d sy=%pS s={\\\"%s\\\",\\\"%s\\\"}\", REC->__probe_ip, REC->a[0], \
             REC->a[1], REC->a[2], REC->b, REC->sy, __get_str(s[0]), __get_str(s[1])",
        );
        let mut bytes = record(&[1, 0, 2, 0, 0xff, 0xff, 0xfb]);
        bytes.extend(0xc030_0200u64.to_le_bytes());
        bytes.extend((3u32 << 16 | 39).to_le_bytes());
        bytes.extend([0; 4]); // A fault: length 0.
        bytes.extend(b"hi\0");
        assert_eq!(
            text::<LittleEndian>(&format, "", &bytes),
            "(vfs_read+0x4/0x100) a={0x1,0x2,0xffff} b=-5 sy=vfs_write+0x0/0x100 s={\"hi\",(fault)}"
        );
    }

    #[test]
    fn an_event_probe_names_its_event_if_that_is_known() {
        let fields = "\tfield:s32 np;\toffset:8;\tsize:4;\tsigned:1;\n";
        let format = format("ep", fields, "\" np=%d\", REC->np");
        let bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let definition = "e:ep/e sched.sched_switch np=$next_pid:s32\n";
        assert_eq!(text::<BigEndian>(&format, definition, &bytes), "(sched.sched_switch) np=7");
        assert_eq!(text::<BigEndian>(&format, "", &bytes), "(?) np=7");
    }

    #[test]
    fn a_synthetic_event_has_spaces_between_its_fields() {
        let fields = "\tfield:u64 lat;\toffset:8;\tsize:8;\tsigned:0;\n\
             \tfield:char comm[16];\toffset:16;\tsize:16;\tsigned:0;\n";
        let format = format("synthetic", fields, "\"lat=%llu, comm=%s\", REC->lat, REC->comm");
        let mut bytes = vec![0; 8];
        bytes.extend(42u64.to_le_bytes());
        bytes.extend(b"bash\0junk\0\0\0\0\0\0\0");
        assert_eq!(text::<LittleEndian>(&format, "", &bytes), "lat=42 comm=bash");
    }

    /// Worked out by hand from `print_synth_event` and `trace_stack` (kernel/trace/trace_events_synth.c).
    #[test]
    fn a_synthetic_stack_is_a_line_for_each_address() {
        let fields = "\tfield:__data_loc unsigned long[] stack;\toffset:8;\tsize:8;\tsigned:0;\n\
             \tfield:u64 lat;\toffset:16;\tsize:8;\tsigned:0;\n";
        let format = format("synthetic", fields, "\"stack=%s, lat=%llu\", __get_stacktrace(stack), REC->lat");
        let mut bytes = vec![0; 8];
        bytes.extend([(24u32 << 16 | 24).to_le_bytes(), [0; 4]].concat());
        bytes.extend(7u64.to_le_bytes());
        bytes.extend([2u64, 0xc030_0104, 0xc030_0210].map(u64::to_le_bytes).concat());
        let lines = "=> vfs_read+0x4/0x100\n=> vfs_write+0x10/0x100\n";
        assert_eq!(text::<LittleEndian>(&format, "", &bytes), format!("stack=STACK:\n{lines}lat=7"));
        // Before 6.6 the count was shown as an address too, and a zero ended the stack.
        let mut options = LineOptions::default();
        options.set_release((6, 5), crate::format::Endian::Little);
        bytes[24 + 16..].fill(0);
        let mut out = vec![];
        Probe::compile(&format, "", &[]).unwrap().write::<LittleEndian>(&mut out, &bytes, &Names::default(), &options);
        assert_eq!(String::from_utf8(out).unwrap(), "stack=STACK:\n=> 0x2\n=> 0xc0300104\nlat=7");
    }

    /// Worked out by hand from `print_synth_event` and `print_synth_event_num_val`: narrow numbers are cast to
    /// unsigned, a text fills the space up to the next field, and until 6.15 the format had `%.*s`.
    #[test]
    fn a_synthetic_event_prints_as_its_kernel_does_and_not_as_its_format_says() {
        let fields = "\tfield:s8 a;\toffset:8;\tsize:1;\tsigned:1;\n\tfield:s16 b;\toffset:16;\tsize:2;\tsigned:1;\n\
             \tfield:s32 c;\toffset:24;\tsize:4;\tsigned:1;\n\tfield:char comm[4];\toffset:32;\tsize:4;\tsigned:1;\n\
             \tfield:gfp_t g;\toffset:48;\tsize:4;\tsigned:0;\n\
             \tfield:__data_loc char[] s;\toffset:56;\tsize:8;\tsigned:1;\n";
        let print_fmt =
            "\"a=%d, b=%d, c=%d, comm=%.*s, g=%x, s=%.*s\", REC->a, REC->b, REC->c, REC->comm, REC->g, __get_str(s)";
        let format = format("synthetic", fields, print_fmt);
        let mut bytes = vec![0xff; 32];
        bytes.extend(b"kworker\0\0\0\0\0\0\0\0\0");
        bytes.extend(0xdc0u64.to_le_bytes());
        bytes.extend(u64::from(3u32 << 16 | 64).to_le_bytes());
        bytes.extend(b"hi\0\0");
        let gfp = [(0xcc0, "GFP_KERNEL".to_owned()), (0x40, "__GFP_IO".to_owned())];
        let text = |gfp: &[(u64, String)]| {
            let mut out = vec![];
            let probe = Probe::compile(&format, "", gfp).unwrap();
            probe.write::<LittleEndian>(&mut out, &bytes, &Names::default(), &LineOptions::default());
            String::from_utf8(out).unwrap()
        };
        let front = "a=255 b=65535 c=-1 comm=kworker g=dc0 ";
        assert_eq!(text(&gfp), format!("{front} (GFP_KERNEL|0x100)s=hi"));
        assert_eq!(text(&[]), format!("{front} ({{gfp_t?}})s=hi"));
    }

    #[test]
    fn a_record_cut_anywhere_prints_something_and_never_panics() {
        let fields = format!("{IP}\tfield:__data_loc char[] s;\toffset:16;\tsize:4;\tsigned:1;\n");
        let format = format("kp", &fields, "\"(%lx) s=\\\"%s\\\"\", REC->__probe_ip, __get_str(s)");
        let mut bytes = record(&(3u32 << 16 | 20).to_le_bytes());
        bytes.extend(b"hi\0");
        for end in 0..bytes.len() {
            assert!(!text::<LittleEndian>(&format, "", &bytes[..end]).is_empty());
        }
    }

    #[test]
    fn an_ordinary_tracepoint_has_no_builtin_text() {
        let format = format("sched", "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n", "\"a=%d\", REC->a");
        assert!(Probe::compile(&format, "", &[]).is_none());
    }
}
