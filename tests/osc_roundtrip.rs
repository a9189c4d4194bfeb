//! Random events and records → OSC datagrams → what rosc decodes.
//!
//! The expected values are computed here, from the table of types (docs/WIRE.md, "Types") and the values
//! put into the record, for the three levels of types, both byte orders and both sizes of `long`.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ftrace_live::format::{Abi, Endian, EventFormat, LongSize};
use ftrace_live::names::Names;
use ftrace_live::osc::datagram::{Packer, Tag};
use ftrace_live::osc::stream::Moment;
use ftrace_live::osc::{Comm, MessageOptions, MessagePlan, Types};
use proptest::collection::vec;
use proptest::prelude::*;
use rosc::{OscArray, OscPacket, OscTime, OscType};

/// A kernel: how it stores numbers.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    big: bool,
    long: usize,
}

impl Kernel {
    /// `raw` in `size` bytes.
    fn bytes(self, raw: u64, size: usize) -> Vec<u8> {
        let mut bytes = raw.to_le_bytes()[..size].to_vec();
        if self.big {
            bytes.reverse();
        }
        bytes
    }
}

/// A C integer type: its name, the bytes it is stored in (0: those of a long), the significant bits (0: those of a
/// long).
#[derive(Debug, Clone, Copy)]
struct Integer {
    name: &'static str,
    stored: usize,
    bits: usize,
    signed: bool,
}

const fn integer(name: &'static str, stored: usize, bits: usize, signed: bool) -> Integer {
    Integer { name, stored, bits, signed }
}

const INTEGERS: [Integer; 20] = [
    integer("s8", 1, 8, true),
    integer("u8", 1, 8, false),
    integer("short", 2, 16, true),
    integer("unsigned short", 2, 16, false),
    integer("__u16", 2, 16, false),
    integer("int", 4, 32, true),
    integer("pid_t", 4, 32, true),
    integer("unsigned int", 4, 32, false),
    integer("u32", 4, 32, false),
    integer("dev_t", 4, 32, false),
    integer("gfp_t", 4, 32, false),
    integer("enum zone_type", 4, 32, true),
    integer("long", 0, 0, true),
    integer("unsigned long", 0, 0, false),
    integer("size_t", 0, 0, false),
    integer("s64", 8, 64, true),
    integer("u64", 8, 64, false),
    integer("loff_t", 8, 64, true),
    // As stored by a system call on a 64-bit kernel: the low half is significant.
    integer("int", 8, 32, true),
    integer("unsigned int", 8, 32, false),
];

impl Integer {
    fn size(self, kernel: Kernel) -> usize {
        if self.stored == 0 { kernel.long } else { self.stored }
    }

    /// What `raw` means.
    fn meaning(self, raw: u64, kernel: Kernel) -> i128 {
        let bits = if self.bits == 0 { kernel.long * 8 } else { self.bits };
        let value = i128::from(raw) & ((1 << bits) - 1);
        if self.signed && value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
    }

    /// How it is sent; `hex`: the print format shows it in hexadecimal.
    fn osc(self, raw: u64, kernel: Kernel, types: Types, hex: bool) -> OscType {
        let bits = if self.bits == 0 { kernel.long * 8 } else { self.bits };
        let value = self.meaning(raw, kernel);
        match (bits, self.signed, types) {
            (..=16, _, _) | (32, true, _) => OscType::Int(value as i32),
            (64, false, Types::Full) if hex => OscType::Long(value as u64 as i64),
            (_, _, Types::Full) => OscType::Long(value.min(i64::MAX.into()) as i64),
            (_, _, Types::Double) => OscType::Double(value as f64),
            (32, _, Types::Portable) => OscType::Int(value.min(i32::MAX.into()) as i32),
            (_, _, Types::Portable) => OscType::Float(value as f32),
        }
    }
}

/// A field with its value.
#[derive(Debug, Clone)]
enum FieldValue {
    Number(Integer, u64),
    Bool(bool),
    Pointer(u64),
    /// `char name[N]`
    Text(String, usize),
    /// `__data_loc char[] name`, or with `true` `__rel_loc`.
    Located(String, bool),
    Numbers(Integer, Vec<u64>),
    Pointers(Vec<u64>),
    /// `__data_loc u32[] name`
    LocatedNumbers(Integer, Vec<u64>),
    /// `u8 name[N]`
    Bytes(Vec<u8>),
    /// `__data_loc u8[] name`
    LocatedBytes(Vec<u8>),
    /// `struct thing name`
    Struct(Vec<u8>),
}

use FieldValue::*;

/// Text without NUL, of lengths around what fits and what is cut at 64 bytes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", "[a-zäß☃🦀]{0,40}"]
}

/// Numbers near the limits of every width, and any others.
fn raw() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    let more = [1 << 53, (1 << 53) + 1, i64::MAX as u64, 1 << 63, u64::MAX, 0xffff_ffff_ffff_ff9c];
    prop_oneof![proptest::sample::select([&edges[..], &more[..]].concat()), any::<u64>()]
}

fn field() -> impl Strategy<Value = FieldValue> {
    let integers = || proptest::sample::select(&INTEGERS[..]);
    // An array of bytes could be numbers or data; a system call has no arrays.
    let wide = || integers().prop_filter("wider than a byte", |i| i.stored != 1 && (i.stored != 8 || i.bits == 64));
    // Behind a location word, the width of other types is not known.
    let known = || wide().prop_filter("of known width", |i| !matches!(i.name, "dev_t" | "gfp_t"));
    prop_oneof![
        6 => (integers(), raw()).prop_map(|(integer, raw)| Number(integer, raw)),
        1 => any::<bool>().prop_map(Bool),
        1 => raw().prop_map(Pointer),
        2 => (text(), 0usize..4).prop_map(|(text, room)| {
            // Full to the last byte, like a name cut by the kernel, or followed by NULs.
            let size = (text.len() + room).max(1);
            Text(text, size)
        }),
        1 => ("[ -~]{0,15}").prop_map(|text| Text(text, 16)),
        2 => (text(), any::<bool>()).prop_map(|(text, relative)| Located(text, relative)),
        2 => (wide(), vec(raw(), 1..12)).prop_map(|(integer, raws)| Numbers(integer, raws)),
        1 => vec(raw(), 1..12).prop_map(Pointers),
        1 => (known(), vec(raw(), 0..12)).prop_map(|(integer, raws)| LocatedNumbers(integer, raws)),
        1 => vec(any::<u8>(), 2..20).prop_map(Bytes),
        1 => vec(any::<u8>(), 0..20).prop_map(LocatedBytes),
        1 => vec(any::<u8>(), 9..20).prop_map(Struct),
    ]
}

/// The format file's text, and a record with `fields`. With `hex` the print format shows the numbers in hexadecimal.
fn event(kernel: Kernel, id: u16, pid: i32, fields: &[FieldValue], hex: bool) -> (String, Vec<u8>) {
    let mut record = kernel.bytes(id.into(), 2);
    record.extend([0, 0]);
    record.extend(kernel.bytes(pid as u32 as u64, 4));
    let mut lines = String::new();
    // The places of location words, and their data.
    let mut located: Vec<(usize, Vec<u8>, bool)> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let many = |integer: &Integer, raws: &[u64]| -> Vec<u8> {
            raws.iter().flat_map(|raw| kernel.bytes(*raw, integer.size(kernel))).collect()
        };
        let nul = |text: &str| [text.as_bytes(), &[0]].concat();
        let (declaration, align, signed, value, far) = match field {
            Number(integer, raw) => {
                let size = integer.size(kernel);
                (format!("{} f{index}", integer.name), size, integer.signed, kernel.bytes(*raw, size), None)
            }
            Bool(value) => (format!("bool f{index}"), 1, false, vec![u8::from(*value)], None),
            Pointer(raw) => {
                (format!("const void * f{index}"), kernel.long, false, kernel.bytes(*raw, kernel.long), None)
            }
            Text(text, size) => {
                let mut bytes = text.clone().into_bytes();
                bytes.resize(*size, 0);
                (format!("char f{index}[{size}]"), 1, false, bytes, None)
            }
            Located(text, false) => {
                (format!("__data_loc char[] f{index}"), 4, false, vec![0; 4], Some((nul(text), false)))
            }
            Located(text, true) => {
                (format!("__rel_loc char[] f{index}"), 4, false, vec![0; 4], Some((nul(text), true)))
            }
            Numbers(integer, raws) => {
                let declaration = format!("{} f{index}[{}]", integer.name, raws.len());
                (declaration, integer.size(kernel), integer.signed, many(integer, raws), None)
            }
            Pointers(raws) => {
                let bytes = raws.iter().flat_map(|raw| kernel.bytes(*raw, kernel.long)).collect();
                (format!("void * f{index}[{}]", raws.len()), kernel.long, false, bytes, None)
            }
            LocatedNumbers(integer, raws) => {
                let declaration = format!("__data_loc {}[] f{index}", integer.name);
                (declaration, 4, integer.signed, vec![0; 4], Some((many(integer, raws), false)))
            }
            Bytes(bytes) => (format!("u8 f{index}[{}]", bytes.len()), 1, false, bytes.clone(), None),
            LocatedBytes(bytes) => {
                (format!("__data_loc u8[] f{index}"), 4, false, vec![0; 4], Some((bytes.clone(), false)))
            }
            Struct(bytes) => (format!("struct thing f{index}"), 1, false, bytes.clone(), None),
        };
        record.resize(record.len().next_multiple_of(align), 0);
        let (offset, size, signed) = (record.len(), value.len(), u8::from(signed));
        lines.push_str(&format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"));
        located.extend(far.map(|(bytes, relative)| (offset, bytes, relative)));
        record.extend(value);
    }
    for (word, bytes, relative) in located {
        let base = if relative { word + 4 } else { 0 };
        let location = (bytes.len() << 16 | (record.len() - base)) as u64;
        record[word..word + 4].copy_from_slice(&kernel.bytes(location, 4));
        record.extend(bytes);
    }
    record.resize(record.len().next_multiple_of(4), 0);
    let (mut literal, mut arguments) = (String::new(), String::new());
    for (index, field) in fields.iter().enumerate().filter(|_| hex) {
        let (conversion, argument) = match field {
            Number(..) if index % 2 == 0 => ("%#llx", format!("(unsigned long long)REC->f{index}")),
            Number(..) => ("%*pS", format!("5, (void *)REC->f{index}")),
            Numbers(..) => ("%08lx", format!("REC->f{index}[0] + 1")),
            _ => continue,
        };
        literal += conversion;
        arguments += &format!(", {argument}");
    }
    let text = format!(
        "name: by_chance\nID: {id}\nformat:\n\
         \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n{lines}{}print fmt: \"{literal}\"{arguments}\n",
        if fields.is_empty() { "" } else { "\n" }
    );
    (text, record)
}

/// What must be received for a field: nothing if it is left out.
fn expected(field: &FieldValue, kernel: Kernel, types: Types, hex: bool) -> Vec<OscType> {
    let full = types == Types::Full;
    // The longest text sent is 64 bytes; an incomplete character at the cut is dropped too.
    let cut = |text: &str| {
        let end = (0..=text.len().min(64)).rev().find(|end| text.is_char_boundary(*end)).unwrap();
        OscType::String(text[..end].to_owned())
    };
    let array = |values: Vec<OscType>| if full { vec![OscType::Array(OscArray { content: values })] } else { values };
    // Two's complement: no two addresses become one.
    let pointer = |raw: u64| OscType::Long(if kernel.long == 4 { raw & 0xffff_ffff } else { raw } as i64);
    // Network order, whatever the kernel's.
    let network = |size: usize, raws: &[u64]| -> Vec<u8> {
        raws.iter().flat_map(|raw| raw.to_be_bytes()[8 - size..].to_vec()).collect()
    };
    let blob = |bytes: Vec<u8>, count: usize| match types {
        Types::Full | Types::Double => vec![OscType::Blob(bytes)],
        Types::Portable => vec![OscType::Int(count as i32)],
    };
    match field {
        Number(integer, raw) => vec![integer.osc(*raw, kernel, types, hex)],
        Bool(value) => vec![OscType::Int((*value).into())],
        Pointer(raw) if full => vec![pointer(*raw)],
        Pointer(_) => vec![],
        Text(text, _) | Located(text, _) => vec![cut(text)],
        Numbers(integer, raws) if raws.len() <= 8 => {
            array(raws.iter().map(|raw| integer.osc(*raw, kernel, types, hex)).collect())
        }
        Numbers(integer, raws) | LocatedNumbers(integer, raws) => blob(network(integer.size(kernel), raws), raws.len()),
        Pointers(raws) if full && raws.len() <= 8 => array(raws.iter().map(|raw| pointer(*raw)).collect()),
        Pointers(raws) if full => vec![OscType::Blob(network(kernel.long, raws))],
        Pointers(_) => vec![],
        Bytes(bytes) | LocatedBytes(bytes) => blob(bytes.clone(), bytes.len()),
        Struct(bytes) if full => vec![OscType::Blob(bytes.clone())],
        Struct(_) => vec![],
    }
}

/// NTP's seconds since 1900 and fractions of 2^-32 s, as ns since 1970.
fn unix_ns(time: OscTime) -> u64 {
    let fraction = (u64::from(time.fractional) * 1_000_000_000 + (1 << 31)) >> 32;
    (u64::from(time.seconds) - 2_208_988_800) * 1_000_000_000 + fraction
}

/// The only message of the only datagram, and its bundle's time.
fn sent<E: ByteOrder>(
    plan: &MessagePlan,
    record: &[u8],
    moment: &Moment<'_>,
    types: Types,
) -> (OscTime, rosc::OscMessage) {
    let mut packer = Packer::new(16_384, Tag::Event { latency_ns: 0 });
    packer.push(moment.event_ns, |room| plan.encode::<E>(record, &moment.head(types), room)).unwrap();
    let datagrams: Vec<_> = packer.take().map(|(bytes, messages)| (bytes.to_vec(), messages)).collect();
    assert_eq!((datagrams.len(), datagrams[0].1), (1, 1));
    let (rest, packet) = rosc::decoder::decode_udp(&datagrams[0].0).unwrap();
    assert!(rest.is_empty());
    let OscPacket::Bundle(mut bundle) = packet else { panic!("no bundle") };
    let Some(OscPacket::Message(message)) = bundle.content.pop() else { panic!("no message") };
    assert!(bundle.content.is_empty());
    (bundle.timetag, message)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rosc_decodes_the_values_put_into_a_record(
        fields in vec(field(), 0..8),
        (big, wide, hex) in any::<(bool, bool, bool)>(),
        (cpu, pid, id) in (0u32..4096, any::<i32>(), 1u16..u16::MAX),
        (event_ns, dt) in (0u64..2_000_000_000_000_000_000, 0f32..1e9),
        comm in "[ -~]{0,15}",
    ) {
        let kernel = Kernel { big, long: if wide { 8 } else { 4 } };
        let abi = Abi {
            endian: if big { Endian::Big } else { Endian::Little },
            long: if wide { LongSize::Eight } else { LongSize::Four },
        };
        let (text, record) = event(kernel, id, pid, &fields, hex);
        let format = EventFormat::parse("some group", &text, abi.long).unwrap();
        prop_assert_eq!(&format.to_string(), &text);
        let name = Comm::new(comm.as_bytes());
        let moment = Moment { event_ns, play_ns: event_ns, dt, cpu, pid, comm: &name };

        for types in Types::ALL {
            let options = MessageOptions::new(types);
            let (plan, schema) = MessagePlan::compile(&format, &options, abi, &Names::default());
            let (time, message) = if big {
                sent::<BigEndian>(&plan, &record, &moment, types)
            } else {
                sent::<LittleEndian>(&plan, &record, &moment, types)
            };
            prop_assert_eq!(unix_ns(time), event_ns);
            prop_assert_eq!(&message.addr, "/ftrace/some_group/by_chance");
            let mut wanted = match types {
                Types::Full | Types::Double => vec![OscType::Time(time)],
                Types::Portable => {
                    let (seconds, ns) = (event_ns / 1_000_000_000, event_ns % 1_000_000_000);
                    vec![OscType::Int(seconds as i32), OscType::Int((ns / 1000) as i32)]
                }
            };
            let name = OscType::String(comm.clone());
            wanted.extend([OscType::Float(dt), OscType::Int(cpu as i32), OscType::Int(pid), name]);
            wanted.extend(fields.iter().flat_map(|field| expected(field, kernel, types, hex)));
            prop_assert_eq!(&message.args, &wanted, "{:?}\n{}", types, text);

            // The announced schema matches what is sent, and lists what is not.
            prop_assert_eq!(&schema.tags, &ftrace_live::osc::print::tags(&message.args));
            prop_assert_eq!(schema.arguments.len(), schema.tags.chars().filter(|tag| !"[]".contains(*tag)).count());
            let left_out = fields.iter().filter(|field| expected(field, kernel, types, hex).is_empty()).count();
            prop_assert_eq!(schema.omitted.len(), left_out);
        }
    }

    #[test]
    fn a_truncated_record_is_an_error_or_a_message_with_the_same_signature(
        fields in vec(field(), 0..8),
        big in any::<bool>(),
        keep in 0.0..1.0,
    ) {
        let kernel = Kernel { big, long: 8 };
        let abi = Abi { endian: if big { Endian::Big } else { Endian::Little }, long: LongSize::Eight };
        let (text, record) = event(kernel, 7, 1, &fields, false);
        let format = EventFormat::parse("s", &text, abi.long).unwrap();
        let cut = &record[..(record.len() as f64 * keep) as usize];
        let moment = Moment { event_ns: 0, play_ns: 0, dt: 0.0, cpu: 0, pid: 1, comm: &Comm::EMPTY };
        for types in Types::ALL {
            let options = MessageOptions::new(types);
            let (plan, schema) = MessagePlan::compile(&format, &options, abi, &Names::default());
            let mut packer = Packer::new(16_384, Tag::Now);
            let head = moment.head(types);
            let pushed = packer.push(0, |room| match big {
                true => plan.encode::<BigEndian>(cut, &head, room),
                false => plan.encode::<LittleEndian>(cut, &head, room),
            });
            let datagrams: Vec<_> = packer.take().map(|(bytes, _)| bytes.to_vec()).collect();
            prop_assert_eq!(datagrams.len(), usize::from(pushed.is_ok()));
            if let Some(datagram) = datagrams.first() {
                let (_, packet) = rosc::decoder::decode_udp(datagram).unwrap();
                let OscPacket::Bundle(bundle) = packet else { panic!("no bundle") };
                let OscPacket::Message(message) = &bundle.content[0] else { panic!("no message") };
                prop_assert_eq!(ftrace_live::osc::print::tags(&message.args), schema.tags);
            }
        }
    }
}

/// A random format file: what the kernel could write, and more.
fn format_file() -> impl Strategy<Value = String> {
    let word = || "[a-z_][a-z0-9_]{0,12}";
    let ctype = prop_oneof![
        Just("int".to_owned()),
        Just("unsigned long".to_owned()),
        Just("const char *".to_owned()),
        Just("__data_loc char[]".to_owned()),
        Just("__rel_loc u32[]".to_owned()),
        Just("void __attribute__((user)) *".to_owned()),
        word().prop_map(|name| format!("struct {name}")),
        word().prop_map(|name| format!("enum {name}")),
        word().prop_map(|name| format!("{name}_t")),
    ];
    let brackets = prop_oneof![
        4 => Just(String::new()),
        1 => (0u32..99).prop_map(|n| format!("[{n}]")),
        1 => word().prop_map(|name| format!("[(int)sizeof(struct {name}) / 4]")),
        1 => Just("[]".to_owned()),
    ];
    let signed = proptest::option::of(any::<bool>());
    let line = (ctype, word(), brackets, any::<(u32, u32, bool)>(), signed).prop_map(
        |(ctype, name, brackets, (offset, size, special), signed)| {
            let special = if special && signed.is_none() { " special" } else { "" };
            let signed = signed.map_or(String::new(), |signed| format!("\tsigned:{};", u8::from(signed)));
            format!("\tfield{special}:{ctype} {name}{brackets};\toffset:{offset};\tsize:{size};{signed}\n")
        },
    );
    let print_fmt = "\"[ -~\n\t]{0,80}\", [ -~\n]{0,80}[!-~]";
    (word(), any::<u16>(), vec(line.clone(), 0..6), vec(line, 0..12), print_fmt).prop_map(
        |(name, id, common, own, print_fmt)| {
            let blank = if own.is_empty() { "" } else { "\n" };
            let (common, own) = (common.concat(), own.concat());
            format!("name: {name}\nID: {id}\nformat:\n{common}\n{own}{blank}print fmt: {print_fmt}\n")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_format_file_that_was_parsed_prints_as_the_same_bytes(text in format_file()) {
        for long in [LongSize::Four, LongSize::Eight] {
            let format = EventFormat::parse("s", &text, long).unwrap();
            prop_assert_eq!(&format.to_string(), &text);
            let again = EventFormat::parse("s", &format.to_string(), long).unwrap();
            prop_assert_eq!(again, format);
        }
    }

    #[test]
    fn a_format_file_with_a_byte_changed_is_parsed_or_refused_and_its_plan_compiles(
        text in format_file(), at in any::<proptest::sample::Index>(), byte in 0u8..128,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(format) = EventFormat::parse("s", &String::from_utf8(bytes).unwrap(), LongSize::Eight) {
            let abi = Abi { endian: Endian::Little, long: LongSize::Eight };
            for types in Types::ALL {
                let options = MessageOptions::new(types);
                MessagePlan::compile(&format, &options, abi, &Names::default());
            }
        }
    }
}
