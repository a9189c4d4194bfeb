//! Texts worked out by hand from the kernel's rules.

use super::*;
use crate::{
    format::{Endian, EventFormat, LongSize},
    names::{Constants, Enums, Names, NoNames, Symbol, Symbols},
};

/// An event with `fields` (`declaration;offset;size;signed` a line) and a print format.
fn event(fields: &str, print_fmt: &str, long: LongSize) -> EventFormat {
    let mut text = String::from(
        "name: e\nID: 3\nformat:\n\
         \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n",
    );
    for line in fields.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let parts: Vec<&str> = line.split(';').map(str::trim).collect();
        let [declaration, offset, size, signed] = parts[..] else { panic!("{line}") };
        text += &format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n");
    }
    text += &format!("\nprint fmt: {print_fmt}\n");
    EventFormat::parse("s", &text, long).unwrap()
}

struct Known;

impl Constants for Known {
    fn value(&self, name: &str) -> Option<i64> {
        [("TCP_SYN_SENT", 2), ("MINUS", -1), ("BIG", 0x1_0000_0000), ("HZ", 250)]
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| *v)
    }

    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)> {
        if enum_name == "zone_type" { vec![("ZONE_DMA", 0), ("ZONE_NORMAL", 2)] } else { vec![] }
    }
}

impl Symbols for Known {
    fn symbol(&self, address: u64) -> Option<Symbol<'_>> {
        let inside = (0xffff_ffff_8100_0000..0xffff_ffff_8100_0040).contains(&address);
        let offset = address.wrapping_sub(0xffff_ffff_8100_0000);
        inside.then_some(Symbol { name: "do_it", offset, size: 0x40, module: Some("mod") })
    }

    fn string(&self, address: u64) -> Option<&[u8]> {
        (address == 0xffff_ffff_8200_0000).then_some(b"rcu_sched")
    }
}

fn text(format: &EventFormat, long: LongSize, endian: Endian, record: &[u8]) -> String {
    let mut out = Vec::new();
    TextPlan::compile(format, long, endian, &Known).render(record, &Known, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A little-endian record: eight common bytes, then `payload`.
fn record(payload: &[u8]) -> Vec<u8> {
    [&[3, 0, 0, 0, 42, 0, 0, 0], payload].concat()
}

/// The text of a print format that uses no fields.
fn constant(print_fmt: &str) -> String {
    text(&event("", print_fmt, LongSize::Eight), LongSize::Eight, Endian::Little, &record(&[]))
}

#[test]
fn numbers_print_as_the_kernel_prints_them() {
    let table = [
        ("\"%d %u %x %X %o\", -1, -1, 255, 255, 8", "-1 4294967295 ff FF 10"),
        ("\"%ld %lu %lx\", -1L, -1L, -1L", "-1 18446744073709551615 ffffffffffffffff"),
        ("\"%hhd %hhu %hd %hu\", 255, 511, 65535, 65537", "-1 255 -1 1"),
        ("\"%llx %Lx %Lu %zu %zd %td\", -1LL, 1ULL, 2ULL, 3UL, -3L, 4L", "ffffffffffffffff 1 2 3 -3 4"),
        ("\"%#x %#X %#o %#o\", 0, 0, 0, 8", "0x0 0X0 0 010"),
        ("\"[%5d] [%-5d] [%05d] [%+d] [% d]\", 42, 42, -42, 42, 42", "[   42] [42   ] [-0042] [+42] [ 42]"),
        (
            "\"[%#08x] [%#016lx] [%8.3d] [%08.3d]\", 26, 26UL, 7, 7",
            "[0x00001a] [0x0000000000001a] [     007] [00000007]",
        ),
        ("\"[%*d] [%-*d] [%*d] [%.*d]\", 4, 1, 4, 1, -4, 1, 3, 1", "[   1] [1   ] [1   ] [001]"),
        ("\"[%c] [%3c] [%-3c]\", 'F', 'F', 70", "[F] [  F] [F  ]"),
        ("\"100%% %-1d\", 7", "100% 7"),
        ("\"%02x %0x %.2x %#.2x\", 10, 10, 10, 10", "0a a 0a 0x0a"),
        ("\"%ho\", 65544", "10"),
        ("\"%d %y %d\", 1, 2", "1 "),
    ];
    for (print_fmt, expected) in table {
        assert_eq!(constant(print_fmt), expected, "{print_fmt}");
    }
}

#[test]
fn texts_are_cut_to_the_precision_and_padded_to_the_width() {
    let table = [
        (
            "\"[%s] [%5s] [%-5s] [%.2s] [%5.1s]\", \"abc\", \"abc\", \"abc\", \"abc\", \"abc\"",
            "[abc] [  abc] [abc  ] [ab] [    a]",
        ),
        ("\"[%.*s] [%*s] [%.*s]\", 2, \"abc\", 5, \"abc\", -1, \"abc\"", "[ab] [  abc] []"),
        ("\"%s %s\", ((void *)0), NULL", "(null) (null)"),
        ("\"%s\", \"a\" \"b\"", "ab"),
    ];
    for (print_fmt, expected) in table {
        assert_eq!(constant(print_fmt), expected, "{print_fmt}");
    }
}

#[test]
fn expressions_follow_the_rules_of_c() {
    let table = [
        ("-1 < 0", 1),
        ("-1 < 0U", 0),
        ("-1L < 0U", 1),
        ("-1 == 0xffffffff", 1),
        ("-1L == 0xffffffffUL", 0),
        ("(unsigned char)300", 44),
        ("(signed char)200", -56),
        ("(short)40000 >> 1", -12768),
        ("~0U >> 31", 1),
        ("~0 >> 31", -1),
        ("1 << 31 >> 31", -1),
        ("7 / 2 * 2 + 7 % 2", 7),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("(-7L) / 2U", -3),
        ("5 & 6 == 6", 1),
        ("1 | 2 ^ 3 & 2", 1),
        ("4 & (1 | 4)", 4),
        ("!5 + !0", 1),
        ("2 > 1 > 0", 1),
        ("1 ? 2 : 1 / 0", 2),
        ("0 && 1 / 0", 0),
        ("0 ?: 9", 9),
        ("(long)-4095", -4095),
        ("((((0x00000000 | 0x00000001 | 0x00000040) + 1) << 1) - 1)", 131),
        ("sizeof(u64) + sizeof(int) + sizeof(long) + sizeof(char *) + sizeof(uint64_t)", 36),
        ("sizeof('a')", 4),
        ("TCP_SYN_SENT + MINUS", 1),
        ("BIG >> 32", 1),
        ("({ int x = (5); int y = (128); ((x) < (y) ? (x) : (y)); })", 5),
        ("({ typeof(1) x = 300; (u8)x; })", 44),
        ("__builtin_expect(!!(-1UL >= (unsigned long)-4095), 0)", 1),
        ("__builtin_constant_p(3)", 1),
        ("__builtin_choose_expr(1, 2, 3)", 2),
        ("(__u16)__fswab16(0x1234)", 0x3412),
        ("(bool)256", 1),
        ("__print_ns_to_secs(5000000007ULL)", 5),
        ("__print_ns_without_secs(5000000007ULL)", 7),
        ("jiffies_to_msecs(3)", 12),
        ("0xffffffff", 0xffff_ffff),
        ("2147483648 > 0", 1),
        ("-2147483648 < 0", 1),
    ];
    for (expression, expected) in table {
        assert_eq!(constant(&format!("\"%lld\", {expression}")), i64::to_string(&expected), "{expression}");
    }
    let narrow = event("", "\"%lu %ld %zu\", -1UL, 0x80000000 > 0, sizeof(long)", LongSize::Four);
    assert_eq!(text(&narrow, LongSize::Four, Endian::Little, &record(&[])), "4294967295 1 4");
}

#[test]
fn jiffies_are_converted_with_the_hz_of_the_kernel() {
    struct Timer(i64);
    impl Constants for Timer {
        fn value(&self, name: &str) -> Option<i64> {
            (name == "HZ" && self.0 > 0).then_some(self.0)
        }

        fn enumerators(&self, _: &str) -> Vec<(&str, i64)> {
            vec![]
        }
    }
    let format = event("", "\"%u %u\", jiffies_to_msecs(7), jiffies_to_usecs(7)", LongSize::Eight);
    let text = |hz, long| {
        let mut out = vec![];
        TextPlan::compile(&format, long, Endian::Little, &Timer(hz)).render(&record(&[]), &NoNames, &mut out);
        String::from_utf8(out).unwrap()
    };
    let unknown = "{jiffies_to_msecs()?} {jiffies_to_usecs()?}";
    for (hz, want) in [(100, "70 70000"), (250, "28 28000"), (1000, "7 7000"), (300, "24 23333"), (0, unknown)] {
        assert_eq!(text(hz, LongSize::Eight), want, "{hz}");
    }
    assert_eq!(text(250, LongSize::Four), "28 28000");
    assert_eq!(text(300, LongSize::Four), unknown);
}

#[test]
fn values_known_to_the_kernel_only_are_marked() {
    let table = [
        ("\"a=%d b=%d\", jiffies - 1, 2", "a={jiffies?} b=2"),
        ("\"%s on %d\", mc_event_error_type(1), 2", "{mc_event_error_type()?} on 2"),
        ("\"%d %d\", 1 / 0, 2", "{/0?} 2"),
        ("\"%d\"", "{missing argument?}"),
        ("\"%pd %d\", 0, 1", "{%pd?} 1"),
        ("\"%pGg|%pV|%pOF|%pfw|%ptx|%d\", 1, 2, 3, 4, 5, 6", "{%pGg?}|{%pV?}|{%pOF?}|{%pfw?}|{%ptx?}|6"),
        ("\"%d %d\", ({ int i = 1; i++; }), 7", "{a statement expression?} 7"),
        ("\"%d\", REC->absent", "{REC->absent?}"),
    ];
    for (print_fmt, expected) in table {
        assert_eq!(constant(print_fmt), expected, "{print_fmt}");
    }
    let format = event("", "\"%d %d\", 1, jiffies", LongSize::Eight);
    let plan = TextPlan::compile(&format, LongSize::Eight, Endian::Little, &NoNames);
    let expected = Unsupported { argument: 1, source: "jiffies".into(), reason: "jiffies".into() };
    assert_eq!(plan.unsupported(), [expected]);
}

/// The text of a record with `bytes` in a field `a`, an array of `u8` of that size at offset 8.
fn of_bytes(print_fmt: &str, bytes: &[u8]) -> String {
    let fields = format!("u8 a[{0}];8;{0};0", bytes.len());
    text(&event(&fields, print_fmt, LongSize::Eight), LongSize::Eight, Endian::Little, &record(bytes))
}

#[test]
fn internet_addresses() {
    let four = |format| of_bytes(&format!("\"[{format}]\", REC->a"), &[127, 0, 10, 200]);
    assert_eq!(four("%pI4"), "[127.0.10.200]");
    assert_eq!(four("%pi4"), "[127.000.010.200]");
    assert_eq!(four("%pI4h"), "[200.10.0.127]", "in the byte order of the kernel");
    assert_eq!(four("%pI4b"), "[127.0.10.200]");
    assert_eq!(four("%16pI4"), "[    127.0.10.200]");
    assert_eq!(four("%-16pI4"), "[127.0.10.200    ]");

    let six = |format: &str, groups: [u16; 8]| {
        let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_be_bytes()).collect();
        of_bytes(&format!("\"{format}\", REC->a"), &bytes)
    };
    let documentation = [0x2001, 0xdb8, 0, 0, 1, 0, 0, 1];
    assert_eq!(six("%pI6", documentation), "2001:0db8:0000:0000:0001:0000:0000:0001");
    assert_eq!(six("%pi6", documentation), "20010db8000000000001000000000001");
    let compressed = [
        (documentation, "2001:db8::1:0:0:1"),
        ([0; 8], "::"),
        ([0, 0, 0, 0, 0, 0, 0, 1], "::1"),
        ([1, 0, 0, 0, 0, 0, 0, 0], "1::"),
        ([1, 0, 2, 3, 4, 5, 6, 7], "1:0:2:3:4:5:6:7"),
        ([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001], "::ffff:10.0.0.1"),
        ([0xfe80, 0, 0, 0, 0x0200, 0x5efe, 0xc000, 0x0201], "fe80::200:5efe:192.0.2.1"),
    ];
    for (groups, expected) in compressed {
        assert_eq!(six("%pI6c", groups), expected);
    }
}

#[test]
fn socket_addresses_with_port_scope_and_flow() {
    let mut six = vec![10, 0, 0x30, 0x39, 0, 0, 0, 5, 0xfe, 0x80];
    six.extend([0; 13]);
    six.extend([1, 3, 0, 0, 0]);
    let six = |format: &str| of_bytes(&format!("\"{format}\", REC->a"), &six);
    assert_eq!(six("%pIS"), "fe80:0000:0000:0000:0000:0000:0000:0001");
    assert_eq!(six("%pISc"), "fe80::1");
    assert_eq!(six("%pISpc"), "[fe80::1]:12345");
    assert_eq!(six("%pISpsfc"), "[fe80::1]:12345/5%3");
    assert_eq!(six("%piSp"), "[fe800000000000000000000000000001]:12345");
    let four = [2, 0, 0x1f, 0x90, 192, 0, 2, 1];
    assert_eq!(
        of_bytes("\"%pIS %pISpc %piSp\", REC->a, REC->a, REC->a", &four),
        "192.0.2.1 192.0.2.1:8080 192.000.002.001:8080"
    );
    assert_eq!(of_bytes("\"%pISpc\", REC->a", &[1, 0, 0, 0]), "(einval)");
}

#[test]
fn hardware_addresses_and_uuids() {
    let mac = [0x2d, 0x48, 0xd6, 0xfc, 0x7a, 0x05];
    let mac = |format: &str| of_bytes(&format!("\"{format}\", REC->a"), &mac);
    assert_eq!(mac("%pM %pm"), "2d:48:d6:fc:7a:05 {missing argument?}");
    assert_eq!(mac("%pm"), "2d48d6fc7a05");
    assert_eq!(mac("%pMF"), "2d-48-d6-fc-7a-05");
    assert_eq!(mac("%pMR"), "05:7a:fc:d6:48:2d");
    assert_eq!(mac("%pMpmk"), "2d:48:d6:fc:7a:05", "unknown letters are ignored");
    let uuid: Vec<u8> = (0..16).collect();
    let uuid = |format: &str| of_bytes(&format!("\"{format}\", REC->a"), &uuid);
    assert_eq!(uuid("%pU"), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!(uuid("%pUb"), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!(uuid("%pUB"), "00010203-0405-0607-0809-0A0B0C0D0E0F");
    assert_eq!(uuid("%pUl"), "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert_eq!(uuid("%pUL"), "03020100-0504-0706-0809-0A0B0C0D0E0F");
}

#[test]
fn bytes_in_hexadecimal() {
    let hex = |print_fmt: &str| of_bytes(print_fmt, &[0xc0, 0xff, 0xee]);
    assert_eq!(hex("\"%3ph\", REC->a"), "c0 ff ee");
    assert_eq!(hex("\"%*phC\", 3, REC->a"), "c0:ff:ee");
    assert_eq!(hex("\"%*phD\", 2, REC->a"), "c0-ff");
    assert_eq!(hex("\"%3phN\", REC->a"), "c0ffee");
    assert_eq!(hex("\"[%*ph] [%ph]\", 0, REC->a, REC->a"), "[] [c0]");
    assert_eq!(hex("\"%*ph\", 64, REC->a"), "c0 ff ee", "up to the end of the record");
    assert_eq!(hex("\"%s %s\", __print_hex(REC->a, 3), __print_hex_str(REC->a, 2)"), "c0 ff ee c0ff");
    assert_eq!(hex("\"%s\", __print_hex(REC->a, -1)"), "");
    assert_eq!(hex("\"%s\", __print_array(REC->a, 3, 1)"), "{0xc0,0xff,0xee}");
    assert_eq!(hex("\"%s\", __print_array(REC->a, 1, 2)"), "{0xffc0}");
    assert_eq!(hex("\"%s\", __print_array(REC->a, 0, 8)"), "{}");
}

#[test]
fn bytes_escaped() {
    assert_eq!(of_bytes("\"[%*pE] [%pE] [%0pE]\", 4, REC->a, REC->a, REC->a", b"a\n\0b"), "[a\\n\\0b] [a] [a]");
    assert_eq!(of_bytes("\"%4pEhp\", REC->a", b"a\n\0b"), "a\\x0a\\x00b");
    assert_eq!(of_bytes("\"[%*pE]\", 0, REC->a", b"abcd"), "[]");
}

#[test]
fn dates_and_times_of_day() {
    let at = |print_fmt: &str, bytes: &[u8], endian| {
        let fields = format!("time64_t t;8;8;1\nstruct rtc_time tm;8;{};0", bytes.len());
        text(&event(&fields, print_fmt, LongSize::Eight), LongSize::Eight, endian, &record(bytes))
    };
    let seconds = 1_546_615_094_i64;
    assert_eq!(at("\"%ptT\", &REC->t", &seconds.to_le_bytes(), Endian::Little), "2019-01-04T15:18:14");
    assert_eq!(at("\"%ptTds %d\", &REC->t, 1", &seconds.to_be_bytes(), Endian::Big), "2019-01-04 1");
    let tm = [14, 18, 15, 4, 0, 119, 5, 3, 0].map(i32::to_le_bytes).concat();
    assert_eq!(at("\"%ptR %ptRtr\", &REC->tm, &REC->tm", &tm, Endian::Little), "2019-01-04T15:18:14 15:18:14");
    assert_eq!(at("\"%ptR\", &REC->tm", &tm[..20], Endian::Little), "{short record?}");
}

#[test]
fn a_hex_dump_is_lines_of_sixteen_bytes() {
    let bytes: Vec<u8> = (0x30..0x42).collect();
    let dump = |arguments: &str| of_bytes(&format!("\"%s\", __print_hex_dump({arguments})"), &bytes);
    let all = "30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f";
    assert_eq!(dump("\"x: \", DUMP_PREFIX_NONE, 16, 1, REC->a, 18, false"), format!("\nx: {all}\nx: 40 41\n"));
    // The column of characters begins after the widest line: 16 * 3 + 1 bytes in.
    let expected = format!("\n00000000: {all}  0123456789:;<=>?\n00000010: 40 41{}@A\n", " ".repeat(44));
    assert_eq!(dump("\"\", DUMP_PREFIX_OFFSET, 16, 1, REC->a, 18, true"), expected);
    assert_eq!(dump("\"\", 0, 16, 4, REC->a, 8, 0"), "\n33323130 37363534\n");
    assert_eq!(dump("\"\", 0, 16, 4, REC->a, 6, 0"), "\n30 31 32 33 34 35\n", "groups must fill the line");
}

#[test]
fn bitmaps_as_ranges_and_words() {
    let bitmap = |bits: &str| {
        of_bytes(&format!("\"%*pbl %*pb\", {bits}, REC->a, {bits}, REC->a"), &[0b1011_0111, 0, 0, 0x80, 1, 0, 0, 0])
    };
    assert_eq!(bitmap("64"), "0-2,4-5,7,31-32 00000001,800000b7");
    assert_eq!(bitmap("33"), "0-2,4-5,7,31-32 1,800000b7");
    assert_eq!(bitmap("6"), "0-2,4-5 37");
    assert_eq!(bitmap("0"), " ");
    assert_eq!(bitmap("1000000"), "0-2,4-5,7,31-32 00000001,800000b7", "up to the end of the record");
}

#[test]
fn pointers_symbols_and_errors() {
    let address = 0xffff_ffff_8100_0010_u64;
    let of = |format: &str, value: u64| {
        let event = event("void * p;8;8;0", &format!("\"[{format}]\", REC->p"), LongSize::Eight);
        text(&event, LongSize::Eight, Endian::Little, &record(&value.to_le_bytes()))
    };
    assert_eq!(of("%p", 0x1f), "[000000000000001f]");
    assert_eq!(of("%px", address), "[ffffffff81000010]");
    assert_eq!(of("%pK", 0), "[0000000000000000]");
    assert_eq!(of("%4p", 0x1f), "[  1f]");
    assert_eq!(of("%pS", address), "[do_it+0x10/0x40 [mod]]");
    assert_eq!(of("%ps", address), "[do_it [mod]]");
    assert_eq!(of("%pF", address), "[do_it+0x10/0x40 [mod]]");
    assert_eq!(of("%pf", address), "[do_it [mod]]");
    assert_eq!(
        of("%pB", address + 0x30),
        "[do_it+0x40/0x40 [mod]]",
        "the byte behind a function is its return address"
    );
    assert_eq!(of("%pSR", 0x12), "[0x12]");
    assert_eq!(of("%20ps", address), "[         do_it [mod]]");
    assert_eq!(of("%pe", -2_i64 as u64), "[-ENOENT]");
    assert_eq!(of("%pe", -516_i64 as u64), "[-ERESTART_RESTARTBLOCK]");
    assert_eq!(of("%pe", -4000_i64 as u64), "[-4000]");
    assert_eq!(of("%10pe", -4000_i64 as u64), "[     -4000]");
    assert_eq!(of("%pe", 0x1f), "[000000000000001f]");
    assert_eq!(of("%s", 0xffff_ffff_8200_0000), "[rcu_sched]");
    assert_eq!(of("%s", 0), "[(null)]");
    assert_eq!(of("%s", address), "[{*0xffffffff81000010?}]");
    assert_eq!(of("%pM", address), "[{*?}]", "data behind a kernel pointer are not in the record");

    let event = event("void * p;8;4;0", "\"%p %pe %d\", REC->p, REC->p, REC->p == ((void *)-2)", LongSize::Four);
    assert_eq!(text(&event, LongSize::Four, Endian::Little, &record(&[0xfe, 0xff, 0xff, 0xff])), "fffffffe -ENOENT 1");
}

#[test]
fn an_address_kept_as_a_number_is_as_wide_as_its_field() {
    let event = event("dma_addr_t a;8;8;0\nu32 b;16;4;0", "\"%pad %pa\", &REC->a, &REC->b", LongSize::Eight);
    let record = record(&[0, 0x10, 0, 0, 0, 0, 0, 0, 0x2a, 0, 0, 0]);
    assert_eq!(text(&event, LongSize::Eight, Endian::Little, &record), "0x0000000000001000 0x0000002a");
}

#[test]
fn tables_follow_the_kernel_s_rules() {
    let table = [
        ("__print_symbolic(2, { 1, \"a\" }, { 2, \"b\" }, { 2, \"c\" })", "b"),
        ("__print_symbolic(9, { 1, \"a\" })", "0x9"),
        ("__print_symbolic(0, { })", "0x0"),
        ("__print_symbolic(-1, { -1, \"minus\" })", "minus"),
        ("__print_symbolic(TCP_SYN_SENT, { TCP_NO_SUCH, \"x\" }, { TCP_SYN_SENT, \"SYN\" })", "SYN"),
        ("__print_symbolic(2, { 1, \"a\" }, { 0, ((void *)0) }, { 2, \"b\" })", "0x2"),
        ("__print_flags(6, \"|\", { 1, \"A\" }, { 2, \"B\" }, { 4, \"C\" })", "B|C"),
        ("__print_flags(0, \"|\", { 0, \"ZERO\" }, { 1, \"A\" })", ""),
        ("__print_flags(7, \"|\", { 3, \"AB\" }, { 1, \"A\" }, { 4, \"C\" })", "AB|C"),
        ("__print_flags(0x19, \"\", { 1, \"A\" }, { 8, \"D\" })", "AD0x10"),
        ("__print_flags(0x10, \"|\", { 1, \"A\" })", "0x10"),
        ("__print_flags(-1, \"|\", { 1, \"A\" })", "A|0xfffffffffffffffe"),
        ("__print_flags_u64(0x100000001ULL, \"|\", { 0x100000000ULL, \"HIGH\" })", "HIGH|0x1"),
        ("1 ? __print_symbolic(1, { 1, \"x\" }) : \"none\"", "x"),
    ];
    for (expression, expected) in table {
        assert_eq!(constant(&format!("\"%s\", {expression}")), expected, "{expression}");
    }
    // On a 32-bit kernel values have 32 bits, and 64 in the _u64 forms.
    let narrow = |expression: &str| {
        let event = event("", &format!("\"%s\", {expression}"), LongSize::Four);
        text(&event, LongSize::Four, Endian::Little, &record(&[]))
    };
    assert_eq!(narrow("__print_flags(0x100000001ULL, \"|\", { 2, \"B\" })"), "0x1");
    assert_eq!(narrow("__print_flags(-1, \"|\", { 1, \"A\" })"), "A|0xfffffffe");
    assert_eq!(narrow("__print_flags_u64(0x100000001ULL, \"|\", { 2, \"B\" })"), "0x100000001");
}

#[test]
fn fields_are_read_where_and_as_their_declarations_say() {
    let fields = "short a;8;2;1\nunsigned char b;10;1;0\nbool c;11;1;0\nint d[2];12;8;1\n__data_loc char[] name;20;4;0\n__rel_loc char[] rel;24;4;0\nchar tail[];28;0;0";
    let print_fmt = "\"%d %d %d %d %d %s %d %s %s %c %d\", REC->a, REC->b, REC->c, REC->d[0], REC->d[REC->c], __get_str(name), __get_dynamic_array_len(name), __get_rel_str(rel), REC->tail, __get_str(name)[1], __get_rel_dynamic_array_len(rel)";
    let event = event(fields, print_fmt, LongSize::Eight);
    for (endian, big) in [(Endian::Little, false), (Endian::Big, true)] {
        let mut bytes = vec![0; 8];
        let mut put = |value: u64, size: usize| {
            let le = &value.to_le_bytes()[..size];
            bytes.extend(if big { le.iter().rev().copied().collect::<Vec<_>>() } else { le.to_vec() });
        };
        put(-5_i64 as u64, 2);
        put(200, 1);
        put(1, 1);
        put(-7_i64 as u64, 4);
        put(7, 4);
        put(4 << 16 | 32, 4);
        // 8 bytes from the end of the location word, 28: at 36.
        put(3 << 16 | 8, 4);
        bytes.extend(b"end\0abc\0xy\0");
        assert_eq!(text(&event, LongSize::Eight, endian, &bytes), "-5 200 1 -7 7 abc 4 xy end b 3");
    }
}

#[test]
fn context_of_an_event_is_in_its_common_flags() {
    let event =
        event("", "\"%d %d %d\", !!__event_in_hardirq(), !!__event_in_softirq(), !!__event_in_irq()", LongSize::Eight);
    let mut record = record(&[]);
    assert_eq!(text(&event, LongSize::Eight, Endian::Little, &record), "0 0 0");
    record[2] = 0x10;
    assert_eq!(text(&event, LongSize::Eight, Endian::Little, &record), "0 1 1");
    record[2] = 0x08;
    assert_eq!(text(&event, LongSize::Eight, Endian::Little, &record), "1 0 1");
}

#[test]
fn a_record_that_is_too_short_keeps_what_it_has() {
    let event = event(
        "int a;8;4;1\nint b;12;4;1\n__data_loc char[] s;16;4;0",
        "\"%d %d %s\", REC->a, REC->b, __get_str(s)",
        LongSize::Eight,
    );
    assert_eq!(
        text(&event, LongSize::Eight, Endian::Little, &record(&[1, 0, 0, 0])),
        "1 {short record?} {short record?}"
    );
    let outside = record(&[1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 1, 0]);
    assert_eq!(text(&event, LongSize::Eight, Endian::Little, &outside), "1 2 {short record?}");
}

#[test]
fn a_field_of_an_enum_s_type_has_the_constant_s_name_without_any_table() {
    let event =
        event("enum zone_type zone;8;4;0\nenum unheard_of other;12;4;0", "\"zone=%d\", REC->zone", LongSize::Eight);
    let plan = TextPlan::compile(&event, LongSize::Eight, Endian::Little, &Known);
    let name = |zone: u8| {
        let record = record(&[zone, 0, 0, 0, 0, 0, 0, 0]);
        let (mut text, mut field) = (Vec::new(), Vec::new());
        plan.render(&record, &Known, &mut text);
        plan.render_field(&plan.fields()[0], &record, &Known, &mut field);
        (String::from_utf8(text).unwrap(), String::from_utf8(field).unwrap())
    };
    assert_eq!(plan.fields().iter().map(|f| (f.field, f.meaning)).collect::<Vec<_>>(), [(0, Meaning::Enum)]);
    assert_eq!(name(2), ("zone=2".into(), "ZONE_NORMAL".into()));
    assert_eq!(name(7), ("zone=7".into(), "0x7".into()));
}

#[test]
fn a_name_of_a_part_of_a_field_is_not_the_field_s_name() {
    let named = |print_fmt: &str| {
        let event = event("u32 v;8;4;0", print_fmt, LongSize::Eight);
        let plan = TextPlan::compile(&event, LongSize::Eight, Endian::Little, &Known);
        plan.fields().iter().map(|field| field.meaning).collect::<Vec<_>>()
    };
    let part = r#"__print_symbolic(REC->v >> 13 & 7, {1, "rt"}, {2, "be"})"#;
    // The rest is printed as a number: `be,4` has two parts, and `be` alone would lose one.
    assert_eq!(named(&format!(r#""%s,%u", {part}, REC->v & 7"#)), []);
    assert_eq!(named(&format!(r#""%u %s", (u8)REC->v, {part}"#)), []);
    // Nothing else of it is printed, or only as text.
    assert_eq!(named(&format!(r#""%s", {part}"#)), [Meaning::Enum]);
    assert_eq!(named(&format!(r#""%s%s", {part}, REC->v & 1 ? "+" : """#)), [Meaning::Enum]);
    // The whole value has a name, and is printed as a number as well.
    assert_eq!(named(r#""%u [%s]", REC->v, __print_symbolic((u32)REC->v, {1, "one"})"#), [Meaning::Enum]);
}

mod never_panics {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of print formats. Joined at random they are often, but not always, valid C.
    const PIECES: [&str; 60] = [
        "REC->a",
        "REC->b",
        "REC->s",
        "REC->t",
        "(REC)->a",
        "REC",
        "->",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        "?",
        ":",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<<",
        ">>",
        "<",
        ">=",
        "==",
        "!",
        "~",
        "&",
        "&&",
        "|",
        "0",
        "1",
        "64",
        "-1",
        "0xffffffffffffffffULL",
        "'x'",
        "\"text\"",
        "(unsigned long)",
        "(u8)",
        "(char *)",
        "(void *)",
        "sizeof(u64)",
        "sizeof",
        "__get_str(s)",
        "__get_dynamic_array(s)",
        "__get_dynamic_array_len(s)",
        "__get_cpumask(s)",
        "__print_flags(",
        "__print_symbolic(",
        "{ 1, \"x\" }",
        "__print_hex(",
        "__print_array(",
        "__print_hex_dump(",
        "__print_ns_to_secs(",
        "({ int x = ",
        "x; })",
        "jiffies",
    ];
    const CONVERSIONS: [&str; 30] = [
        "%d",
        "%u",
        "%lx",
        "%#08llx",
        "%-10d",
        "%*d",
        "%.*s",
        "%s",
        "%5c",
        "%p",
        "%pS",
        "%pI4",
        "%pI6c",
        "%pISpc",
        "%pM",
        "%pU",
        "%*pbl",
        "%*pb",
        "%*ph",
        "%pa",
        "%pe",
        "%pd",
        "%16s",
        "%%",
        "%",
        "%99999999d",
        "%.99999999x",
        "%hhd",
        "%zu",
        "%y",
    ];

    proptest! {
        #[test]
        fn on_any_print_format_and_record(
            conversions in prop::collection::vec(prop::sample::select(&CONVERSIONS[..]), 0..6),
            arguments in prop::collection::vec(prop::collection::vec(prop::sample::select(&PIECES[..]), 1..10), 0..6),
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            wide: bool,
            big: bool,
        ) {
            let arguments: String = arguments.iter().map(|pieces| format!(", {}", pieces.join(" "))).collect();
            let print_fmt = format!("\"{}\"{arguments}", conversions.join(" "));
            let long = if wide { LongSize::Eight } else { LongSize::Four };
            let fields = "int a;8;4;1\nu64 b;16;8;0\n__data_loc char[] s;12;4;0\nu8 t[16];24;16;0";
            let event = event(fields, &print_fmt.replace('\n', " "), long);
            let endian = if big { Endian::Big } else { Endian::Little };
            let plan = TextPlan::compile(&event, long, endian, &Known);
            let mut out = Vec::new();
            plan.render(&bytes, &Known, &mut out);
            prop_assert!(out.len() < 1 << 18);
            for field in plan.fields() {
                plan.render_field(field, &bytes, &Known, &mut out);
            }
        }

        #[test]
        fn on_any_text(text in "\\PC*") {
            let parsed = crate::format::print_fmt::PrintFmt::parse(&text);
            prop_assert!(parsed.args.len() <= text.len());
        }
    }
}

// Worked out by hand from include/linux/{math64,minmax,err,unaligned}.h and include/linux/byteorder/generic.h.
#[test]
fn functions_of_the_kernel_that_need_only_their_arguments_are_computed() {
    let table = [
        ("\"%x %x\", ntohs(0x1234), htonl(0x12345678)", "3412 78563412"),
        (
            "\"%x %llx %x\", be16_to_cpu(0x1234), be64_to_cpu(0x0102030405060708ULL), __le32_to_cpu(7)",
            "3412 807060504030201 7",
        ),
        ("\"%x %x\", cpu_to_be32(1), cpu_to_le16(1)", "1000000 1"),
        ("\"%llu %llu\", div_u64(1000000ULL, 1000), div64_u64(-1ULL, 2ULL)", "1000 9223372036854775807"),
        ("\"%lld %lld\", div_s64(-7LL, 2), div64_s64(-7LL, -2LL)", "-3 3"),
        ("\"%u\", do_div(1000003ULL, 1000)", "3"),
        ("\"%llu\", div_u64(10, 0x100000002ULL)", "5"),
        ("\"%d %d %u\", min(-1, 2), max(-1, 2), min(-1, 2U)", "-1 2 2"),
        ("\"%u %d %zu\", min_t(u8, 257, 2), max_t(int, -1U, 0), min_t(size_t, 5, 9)", "1 0 5"),
        ("\"%d %d %d %d\", min3(3, 1, 2), max3(3, 1, 2), clamp(9, 1, 5), abs(-4)", "1 3 5 4"),
        ("\"%pe %ld %d\", ERR_PTR(-22), PTR_ERR(ERR_PTR(-5)), IS_ERR(ERR_PTR(-4095))", "-EINVAL -5 1"),
        ("\"%d %d %d\", IS_ERR(NULL), IS_ERR_OR_NULL(NULL), PTR_ERR_OR_ZERO(ERR_PTR(-2))", "0 1 -2"),
        ("\"%d\", ntohs(1, 2)", "{ntohs()?}"),
        ("\"%d\", be24_to_cpu(1)", "{be24_to_cpu()?}"),
    ];
    for (print_fmt, expected) in table {
        assert_eq!(constant(print_fmt), expected, "{print_fmt}");
    }
}

#[test]
fn byte_order_functions_read_a_number_in_the_file_s_byte_order() {
    let fields = "__be32 saddr;8;4;0\nu8 raw[4];12;4;0";
    let print_fmt = "\"%x %x %x %x\", ntohl(REC->saddr), be32_to_cpup(&REC->saddr), get_unaligned_be16(&REC->raw[1]), \
        get_unaligned_le16(REC->raw)";
    let event = event(fields, print_fmt, LongSize::Eight);
    let bytes = record(&[0x7f, 0, 0, 1, 0xa, 0xb, 0xc, 0xd]);
    assert_eq!(text(&event, LongSize::Eight, Endian::Little, &bytes), "7f000001 7f000001 b0c b0a");
    assert_eq!(text(&event, LongSize::Eight, Endian::Big, &bytes), "7f000001 7f000001 b0c b0a");
}

#[test]
fn arrays_of_several_dimensions_lie_row_by_row() {
    let fields = "u16 a[2][3];8;12;0\nu8 mac[2][TCP_SYN_SENT];20;4;0\nfoo_t x[2][2];24;4;0";
    let bytes = record(&[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 0xaa, 0xbb, 0xcc, 0xdd, 7, 8, 9, 10]);
    let render =
        |print_fmt: &str| text(&event(fields, print_fmt, LongSize::Eight), LongSize::Eight, Endian::Little, &bytes);
    assert_eq!(render("\"%d %d %d\", REC->a[1][0], REC->a[0][2], REC->a[1][2]"), "4 3 6");
    assert_eq!(render("\"%x %d\", REC->mac[1][0], REC->x[1][1]"), "cc 10");
    assert_eq!(render("\"%2phC %d\", REC->mac[1], *(&REC->a[1][1])"), "cc:dd 5");
    assert_eq!(render("\"%d\", REC->a[1][0][0]"), "{[]?}");
}

#[test]
fn allocation_flags_are_named_by_the_table_of_another_event() {
    // `format_flags` (lib/vsprintf.c): names separated by bars, the remaining bits in hexadecimal, nothing for no
    // flags.
    let kmalloc = "\"%s\", (REC->gfp) ? __print_flags(REC->gfp, \"|\", {0xcc0UL, \"GFP_KERNEL\"}, {0x100UL, \"__GFP_ZERO\"}) : \"none\"";
    let kmalloc = event("gfp_t gfp;8;4;0", kmalloc, LongSize::Eight);
    let mine = event("gfp_t gfp;8;4;0", "\"gfp=%pGg\", &REC->gfp", LongSize::Eight);
    let render = |formats: &[&EventFormat], flags: u32| {
        let constants = flags::WithFlags::new(formats, LongSize::Eight, &NoNames, (6, 1));
        let mut out = Vec::new();
        let plan = TextPlan::compile(&mine, LongSize::Eight, Endian::Little, &constants);
        plan.render(&record(&flags.to_le_bytes()), &NoNames, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(render(&[&kmalloc, &mine], 0xdc0), "gfp=GFP_KERNEL|__GFP_ZERO");
    assert_eq!(render(&[&kmalloc, &mine], 0x20cc0), "gfp=GFP_KERNEL|0x20000");
    assert_eq!(render(&[&kmalloc, &mine], 0), "gfp=");
    assert_eq!(render(&[&mine], 0), "gfp={%pGg?}");
}

/// Worked out by hand from `format_page_flags` (lib/vsprintf.c) of each release, with the names from a table or an
/// enum.
#[test]
fn page_flags_are_named_by_the_kernels_enum_and_the_areas_by_a_table() {
    let enums = Enums::parse(
        "enum pageflags\nPG_locked 0\nPG_writeback 1\nPG_referenced 2\nPG_uptodate 3\nPG_lru 5\nPG_owner_2 7\nPG_mappedtodisk 7\n\
         __NR_PAGEFLAGS 8\n",
    );
    let names = Names { enums, ..Names::default() };
    let page = event("unsigned long f;8;8;0", "\"f=%pGp\", &REC->f", LongSize::Eight);
    let render = |mine: &EventFormat, others: &[&EventFormat], release, flags: u64| {
        let formats: Vec<&EventFormat> = others.iter().copied().chain([mine]).collect();
        let constants = flags::WithFlags::new(&formats, LongSize::Eight, &names, release);
        let mut out = Vec::new();
        let plan = TextPlan::compile(mine, LongSize::Eight, Endian::Little, &constants);
        plan.render(&record(&flags.to_le_bytes()), &NoNames, &mut out);
        String::from_utf8(out).unwrap()
    };
    let flags = 0x17_ffff_c000_00ae;
    let list = "referenced|uptodate|lru|owner_2|writeback";
    assert_eq!(render(&page, &[], (6, 12), flags), format!("f={flags:#x}({list}|{{fields?}})"));
    assert_eq!(render(&page, &[], (5, 15), flags), format!("f={list}|{{fields?}}"));
    assert_eq!(render(&page, &[], (5, 10), flags), format!("f={list}"));
    // A bit without a name.
    assert_eq!(render(&page, &[], (5, 10), 0x11), "f=locked|0x10");
    assert_eq!(render(&page, &[], (6, 12), 0), "f=0x0({fields?})");
    let area = event("unsigned long f;8;8;0", "\"f=%pGv\", &REC->f", LongSize::Eight);
    let shown = "\"%s\", __print_flags(REC->f, \"|\", {1UL, \"read\"}, {2UL, \"write\"}, {0x10UL, \"mayread\"})";
    let shown = event("unsigned long f;8;8;0", shown, LongSize::Eight);
    assert_eq!(render(&area, &[&shown], (6, 12), 0x8000_0011), "f=read|mayread|0x80000000");
    assert_eq!(render(&area, &[], (6, 12), 1), "f={%pGv?}");
}
