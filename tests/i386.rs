//! A capture of a 32-bit x86 kernel, made by hand: four-byte longs and pointers, and 64-bit fields aligned to four
//! bytes (the i386 ABI; 32-bit ARM aligns them to eight). The text is what the kernel's code prints for such records.

use std::{fs, path::Path};

use byteorder::LittleEndian;
use ftrace_live::{
    capture::folder,
    decode::{EventTable, Plan, Value},
    format::{Abi, Endian, EventId, LongSize},
    names::{Names, NoNames},
    osc::{Comm, Head, MessageOptions, MessagePlan, Types, packet},
    render::Settings,
};
use rosc::OscType;

const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
    \tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n\
    \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
    \tfield: char data;\toffset:12;\tsize:4084;\tsigned:1;\n";

const KALLSYMS: &str = "c1000000 T _text\nc1000100 T do_one\nc1000200 T do_two\nc1000300 T _etext\n\
    f8000000 t mod_fn\t[mod]\n";

/// system, event, id, fields (`declaration;offset;size;signed`), print format.
type Event = (&'static str, &'static str, u16, &'static [&'static str], &'static str);

const EVENTS: [Event; 8] = [
    (
        "ftrace",
        "function",
        1,
        &["unsigned long ip;8;4;0", "unsigned long parent_ip;12;4;0"],
        "\" %ps <-- %ps\", (void *)REC->ip, (void *)REC->parent_ip",
    ),
    ("ftrace", "kernel_stack", 4, &["int size;8;4;1", "unsigned long caller[8];12;32;0"], "\"\""),
    ("ftrace", "print", 5, &["unsigned long ip;8;4;0", "char buf[];12;0;0"], "\"%ps: %s\", (void *)REC->ip, REC->buf"),
    (
        "syscalls",
        "sys_enter_openat",
        600,
        &[
            "int __syscall_nr;8;4;1",
            "int dfd;12;4;0",
            "const char * filename;16;4;0",
            "int flags;20;4;0",
            "umode_t mode;24;4;0",
        ],
        "\"dfd: 0x%08lx\", ((unsigned long)(REC->dfd))",
    ),
    ("syscalls", "sys_exit_openat", 601, &["int __syscall_nr;8;4;1", "long ret;12;4;1"], "\"0x%lx\", REC->ret"),
    (
        "block",
        "block_bio_queue",
        700,
        &[
            "dev_t dev;8;4;0",
            "sector_t sector;12;8;0",
            "unsigned int nr_sector;20;4;0",
            "char rwbs[8];24;8;0",
            "char comm[16];32;16;0",
        ],
        "\"%d,%d %s %llu + %u [%s]\", ((unsigned int) ((REC->dev) >> 20)), ((unsigned int) ((REC->dev) & ((1U << 20) - 1))), REC->rwbs, (unsigned long long)REC->sector, REC->nr_sector, REC->comm",
    ),
    (
        "timer",
        "timer_start",
        701,
        &["void * timer;8;4;0", "void * function;12;4;0", "unsigned long expires;16;4;0", "unsigned long now;20;4;0"],
        "\"timer=%p function=%ps expires=%lu [timeout=%ld]\", REC->timer, REC->function, REC->expires, (long)REC->expires - REC->now",
    ),
    (
        "kprobes",
        "p_one",
        1500,
        &["unsigned long __probe_ip;8;4;0", "u64 wide;12;8;0", "s32 narrow;20;4;1"],
        "\"(%lx) wide=%Lu narrow=%d\", REC->__probe_ip, REC->wide, REC->narrow",
    ),
];

fn format_file((_, name, id, fields, print_fmt): &Event) -> String {
    let line = |text: &&str| {
        let [declaration, offset, size, signed] = text.split(';').collect::<Vec<_>>()[..] else { panic!("{text}") };
        format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n")
    };
    let common = [
        "unsigned short common_type;0;2;0",
        "unsigned char common_flags;2;1;0",
        "unsigned char common_preempt_count;3;1;0",
        "int common_pid;4;4;1",
    ];
    let (common, own): (String, String) = (common.iter().map(line).collect(), fields.iter().map(line).collect());
    format!("name: {name}\nID: {id}\nformat:\n{common}\n{own}\nprint fmt: {print_fmt}\n")
}

/// A record of pid 42 with interrupts off and one preempt-disable.
fn record(id: u16, words: &[u32], tail: &[u8]) -> Vec<u8> {
    let head = [u32::from(id) | 0x0101_0000, 42];
    head.iter().chain(words).flat_map(|word| word.to_le_bytes()).chain(tail.iter().copied()).collect()
}

fn records() -> Vec<Vec<u8>> {
    vec![
        record(1, &[0xc100_0100, 0xc100_0210], b""),
        record(4, &[3, 0xc100_0104, 0xf800_0010, 0x1234, u32::MAX, 0xc100_0100, 0, 0, 0], b""),
        record(5, &[0xc100_0204], b"hello\n\0\0"),
        record(600, &[295, -100_i32 as u32, 0xbfd0_1234, 0x8000, 0], b""),
        record(601, &[295, -2_i32 as u32], b""),
        record(700, &[8 << 20 | 1, 7, 1, 8], b"R\0\0\0\0\0\0\0sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        // The jiffies counter has wrapped between the two: 5 − 0xfffffff0 in 32 bits.
        record(701, &[0xf000_1000, 0xf800_0000, 5, 0xffff_fff0], b""),
        record(1500, &[0xc100_0104, u32::MAX, 1, -5_i32 as u32], b""),
    ]
}

/// A sub-buffer with the records, a microsecond apart. i386 does not need `RB_FORCE_8BYTE_ALIGNMENT`: short records
/// have their length in the type.
fn page(records: &[Vec<u8>]) -> Vec<u8> {
    let mut data = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let delta = if index == 0 { 0 } else { 1000u32 };
        data.extend(((delta << 5) | (record.len() as u32 / 4)).to_le_bytes());
        data.extend(record);
    }
    let mut page = 1_000_000_000u64.to_le_bytes().to_vec();
    page.extend((data.len() as u32).to_le_bytes());
    page.extend(data);
    page.resize(4096, 0);
    page
}

fn write_capture(folder: &Path) {
    let write = |file: &str, bytes: &[u8]| {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("events/header_page", HEADER_PAGE.as_bytes());
    for event in &EVENTS {
        write(&format!("events/{}/{}/format", event.0, event.1), format_file(event).as_bytes());
    }
    write("kallsyms", KALLSYMS.as_bytes());
    write("saved_cmdlines", b"42 bash\n");
    write("trace_clock", b"[local] global\n");
    write("uname", b"Linux (none) 6.1.0-28-686 #1 SMP Debian i686\n");
    write("per_cpu/cpu0/trace_pipe_raw", &page(&records()));
}

const TEXT: &str = "            bash-42      [000] d..1.     1.000000: do_one <-do_two
            bash-42      [000] d..1.     1.000001: <stack trace>
 => do_one
 => mod_fn
 => 0x00001234
            bash-42      [000] d..1.     1.000002: do_two: hello
            bash-42      [000] d..1.     1.000003: sys_openat(dfd: ffffff9c, filename: bfd01234, flags: 8000, mode: 0)
            bash-42      [000] d..1.     1.000004: sys_openat -> 0xfffffffe
            bash-42      [000] d..1.     1.000005: block_bio_queue: 8,1 R 4294967303 + 8 [sh]
            bash-42      [000] d..1.     1.000006: timer_start: timer=f0001000 function=mod_fn [mod] expires=5 [timeout=21]
            bash-42      [000] d..1.     1.000007: p_one: (do_one+0x4/0x100) wide=8589934591 narrow=-5
";

fn text(folder: &Path, options: &str) -> String {
    let mut capture = folder::open(folder).unwrap();
    assert_eq!((capture.header.long_size(), capture.endian), (LongSize::Four, Endian::Little));
    assert!(capture.broken.is_empty(), "{:?}", capture.broken);
    let (names, errors) = Names::load(folder);
    assert!(errors.is_empty(), "{errors:?}");
    let mut settings = Settings::load(folder, &capture.clock);
    settings.line.set_trace_options(options);
    let mut text = settings.text(&capture.events, capture.header.long_size(), capture.endian, &names);
    let (mut out, mut merge) = (vec![], capture.merge());
    while let Some(record) = merge.next_record::<LittleEndian>() {
        text.write::<LittleEndian>(&mut out, &record, &names);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_are_those_of_a_32_bit_kernel() {
    let folder = tempfile::tempdir().unwrap();
    write_capture(folder.path());
    assert_eq!(text(folder.path(), ""), TEXT);
    let verbose = text(folder.path(), "verbose\nsym-addr\n");
    let call = "sys_openat(int dfd: ffffff9c, const char * filename: bfd01234, int flags: 8000, umode_t mode: 0)\n";
    assert!(verbose.contains(call), "{verbose}");
    assert!(verbose.contains("do_one <c1000100> <-do_two <c1000210>\n"), "{verbose}");
}

#[test]
fn values_and_messages_have_the_widths_of_a_32_bit_kernel() {
    let folder = tempfile::tempdir().unwrap();
    write_capture(folder.path());
    let mut capture = folder::open(folder.path()).unwrap();
    let events = EventTable::new(std::mem::take(&mut capture.events));
    let abi = Abi { endian: Endian::Little, long: LongSize::Four };
    let options = MessageOptions::new(Types::Full);
    let head = Head { time: 1, dt: 0.0, cpu: 0, pid: 42, comm: &Comm::EMPTY };
    // The arguments after the message's header.
    let message = |bytes: &[u8]| {
        let format = events.get(EventId(u16::from_le_bytes([bytes[0], bytes[1]]))).unwrap();
        let (plan, schema) = MessagePlan::compile(format, &options, abi, &NoNames);
        let mut datagram = vec![0; 1024];
        let written = plan.encode::<LittleEndian>(bytes, &head, &mut datagram).unwrap();
        let mut arguments = vec![];
        packet::take_apart(&datagram[..written], &mut |part| arguments = part.unwrap().0.args);
        (schema.tags, arguments.split_off(5))
    };
    let records = records();
    let (tags, arguments) = message(&records[3]);
    assert_eq!(tags, "tfiisiihii");
    let pointer = OscType::Long(0xbfd0_1234);
    let numbers = [295, -100].map(OscType::Int);
    assert_eq!(arguments, [&numbers[..], &[pointer], &[0x8000, 0].map(OscType::Int)].concat());
    assert_eq!(message(&records[4]).1[1], OscType::Int(-2), "a long has four bytes");
    assert_eq!(message(&records[5]).1[1], OscType::Long(4_294_967_303), "at offset 12");
    assert_eq!(message(&records[7]).1[1..], [OscType::Long(8_589_934_591), OscType::Int(-5)]);
    let stack = Plan::compile(events.get(EventId(4)).unwrap());
    let callers = stack.values::<LittleEndian>(&records[1]).nth(1).unwrap().unwrap();
    let Value::Array(callers) = callers else { panic!("{callers:?}") };
    assert_eq!(callers.iter().nth(3), Some(Value::Unsigned(u64::from(u32::MAX))));
}
