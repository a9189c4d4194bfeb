//! Texts worked out by hand from the kernel's rules.

use super::*;
use crate::{
    format::{Endian, EventFormat, LongSize},
    names::{Constants, NoNames, Symbol, Symbols},
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

    fn enumerator(&self, _: &str, _: i64) -> Option<&str> {
        None
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

/// The text of a print format without fields.
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
        ("\"%d %y %d\", 1, 2", "1 %y %d"),
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
fn what_only_the_kernel_knows_stands_alone() {
    let table = [
        ("\"a=%d b=%d\", jiffies - 1, 2", "a={jiffies?} b=2"),
        ("\"%s on %d\", mc_event_error_type(1), 2", "{mc_event_error_type()?} on 2"),
        ("\"%d %d\", 1 / 0, 2", "{/0?} 2"),
        ("\"%d\"", "{missing argument?}"),
        ("\"%pd %d\", 0, 1", "{%pd?} 1"),
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
