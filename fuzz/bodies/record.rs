//! Records against a parsed format: decoded, sent at every level of types, and printed.
//!
//! The input is a byte of choices, the name of the system, a line break, and the format file; after a NUL the
//! records, each preceded by its length in two bytes, little-endian. `common_type` is set to the event's id, since
//! other records have no text.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ftrace_live::decode::{EventTable, Filter, Plan, Surroundings, Value};
use ftrace_live::format::{Abi, Endian, EventFormat};
use ftrace_live::names::{Kallsyms, Names, NoNames, PrintkFormats, SavedCmdlines};
use ftrace_live::osc::{Comm, Head, MessageOptions, MessagePlan, Strings, Types};
use ftrace_live::render::{GraphOptions, LineOptions, TraceText};
use ftrace_live::ring::{Lost, Record};

/// The definitions of probes, for the seeds of such events.
const DYNAMIC_EVENTS: &str = "p:kprobes/p_open do_sys_openat2 dfd=%di:s32 file=+0(%si):ustring\n\
                              r4:kprobes/r_open do_sys_openat2 ret=$retval\n\
                              p:uprobes/malloc /lib/libc.so:0x00000000000a0650 size=%di:x64\n\
                              s:synthetic/lat u64 delta; char comm[16]\n";

fn names() -> Names {
    let mut names = Names::default();
    names.kallsyms =
        Kallsyms::parse(b"ffffffff81000000 T _text\nffffffff81000100 t f.part.0\nffffffffc0000000 t g\t[m]\n").into();
    names.printk_formats = PrintkFormats::parse(b"0xffffffff82000000 : \"%d %s %pS %*pbl\\n\"\n0xff : \"x\"\n");
    names.comms = SavedCmdlines::parse(b"1 init\n306 a-long-name-015\n");
    names
}

/// Reads every byte of a value.
fn visit<E: ByteOrder>(value: &Value) -> usize {
    match value {
        Value::Text(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => {
            let values = array.iter().count();
            assert_eq!(values, array.len());
            values
        }
        Value::Texts(texts) => texts.iter::<E>().filter_map(Result::ok).map(<[u8]>::len).sum(),
        _ => 0,
    }
}

fn messages(format: &EventFormat, abi: Abi, choices: u8) -> Vec<MessagePlan> {
    let levels = [Types::Portable, Types::Double, Types::Full];
    let strings = if choices & 8 == 0 { Strings::All } else { Strings::Comm };
    let (names, pointers, brackets) = (choices & 16 == 0, choices & 32 == 0, choices & 64 == 0);
    let options = levels.map(|types| {
        let mut options = MessageOptions::new(types);
        (options.strings, options.names) = (strings, names);
        (options.pointers, options.brackets) = (pointers, brackets);
        options
    });
    let compile = |options| MessagePlan::compile(format, options, abi, &NoNames);
    options
        .iter()
        .map(compile)
        .map(|(plan, schema)| (plan, assert_eq!(tags(&schema.tags), schema.arguments.len())).0)
        .collect()
}

fn tags(tags: &str) -> usize {
    tags.chars().filter(|c| !matches!(c, '[' | ']')).count()
}

fn each<E: ByteOrder>(format: EventFormat, abi: Abi, choices: u8, mut rest: &[u8]) {
    let (id, plan, messages) = (format.id, Plan::compile(&format), messages(&format, abi, choices));
    let filter = Filter::parse("common_pid > 0 && !(name ~ \"a*\") || comm == \"x\"").expect("a filter");
    let filter = filter.compile(&format);
    let (names, mut options) = (names(), LineOptions::default());
    options.sym_offset = choices & 8 == 0;
    options.record_tgid = choices & 16 == 0;
    options.set_clock(if choices & 32 == 0 { "local" } else { "counter" });
    let mut text = TraceText::new(options, abi.long).with_overrun(choices & 64 == 0);
    if choices & 128 != 0 {
        text = text.with_graph(GraphOptions::default());
    }
    text.insert(&format, abi.endian, &NoNames, DYNAMIC_EVENTS);
    let events = EventTable::new([format]);
    assert!(events.get(id).is_some());
    let (mut out, mut datagram, mut time) = (Vec::new(), vec![0; 8192], 0u64);
    while let Some((len, behind)) = rest.split_first_chunk() {
        let len = behind.len().min(u16::from_le_bytes(*len).into());
        let (bytes, behind) = behind.split_at(len);
        rest = behind;
        let mut bytes = bytes.to_vec();
        if let Some(first) = bytes.first_chunk_mut::<2>() {
            E::write_u16(first, id.0);
        }
        for value in plan.values::<E>(&bytes) {
            let seen = value.map(|value| visit::<E>(&value)).unwrap_or_default();
            assert!(seen <= bytes.len() * 8, "{seen} of {}", bytes.len());
        }
        let pid = plan.pid::<E>(&bytes);
        let comm = Comm::new(names.comms.shown(pid));
        let head = Head { time, dt: 0.5, cpu: 1, pid, comm: &comm };
        for plan in &messages {
            if let Ok(written) = plan.encode::<E>(&bytes, &head, &mut datagram) {
                assert!(written.is_multiple_of(4));
                let mut parts = 0;
                ftrace_live::osc::packet::take_apart(&datagram[..written], &mut |part| {
                    part.unwrap_or_else(|e| panic!("{e}: what we send is OSC"));
                    parts += 1;
                });
                assert_eq!(parts, 1);
            }
        }
        if let Ok(matcher) = &filter {
            _ = matcher.matches::<E>(&bytes, &Around(&names));
        }
        let record = Record {
            cpu: u32::from(bytes.last().is_some_and(|b| b & 1 == 1)),
            time,
            ticks: time,
            lost: Lost::Nothing,
            bytes: &bytes,
        };
        text.write::<E>(&mut out, &record, &names);
        text.write_text::<E>(&mut out, &record, &names);
        assert!(out.len() <= super::LONGEST_TEXT, "{} bytes of text", out.len());
        time = time.wrapping_mul(3).wrapping_add(1_000_000_007);
    }
    text.finish(&mut out, &names);
}

struct Around<'a>(&'a Names);

impl Surroundings for Around<'_> {
    fn cpu(&self) -> u32 {
        1
    }

    fn comm(&self, pid: i32) -> &[u8] {
        self.0.comms.shown(pid)
    }
}

pub fn run(input: &[u8]) {
    let Some((&choices, input)) = input.split_first() else { return };
    let (source, records) = super::at_nul(&input[..input.len().min(super::LONGEST_SOURCE)]);
    let source = String::from_utf8_lossy(source);
    let (system, text) = source.split_once('\n').unwrap_or(("system", &source));
    let (endian, long) = super::abi(choices);
    let Ok(format) = EventFormat::parse(system, text, long) else { return };
    let abi = Abi { endian, long };
    match endian {
        Endian::Little => each::<LittleEndian>(format, abi, choices, records),
        Endian::Big => each::<BigEndian>(format, abi, choices, records),
    }
}
