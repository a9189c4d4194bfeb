//! Filters on records written by hand. The live tests compare the same filters with the kernel's own.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use proptest::prelude::*;

use super::*;
use crate::format::LongSize;

struct On {
    cpu: u32,
    comm: &'static [u8],
}

impl Surroundings for On {
    fn cpu(&self) -> u32 {
        self.cpu
    }

    fn comm(&self, _: i32) -> &[u8] {
        self.comm
    }

    fn cpus(&self) -> u32 {
        8
    }
}

const EVENT: &str = "name: e\nID: 3\nformat:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
    \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
    \tfield:int irq;\toffset:8;\tsize:4;\tsigned:1;\n\
    \tfield:unsigned int flags;\toffset:12;\tsize:4;\tsigned:0;\n\
    \tfield:char who[8];\toffset:16;\tsize:8;\tsigned:0;\n\
    \tfield:__data_loc char[] name;\toffset:24;\tsize:4;\tsigned:0;\n\
    \tfield:__data_loc cpumask_t mask;\toffset:28;\tsize:4;\tsigned:0;\n\
    \tfield:int dfd;\toffset:32;\tsize:8;\tsigned:0;\n\
    \tfield:u8 mac[6];\toffset:40;\tsize:6;\tsigned:0;\n\
    \nprint fmt: \"\"\n";

fn format() -> EventFormat {
    EventFormat::parse("s", EVENT, LongSize::Eight).unwrap()
}

/// pid 77, irq 5, flags 0x81, who "worker", name "eth0", mask of CPUs 1 and 65, dfd −100.
fn record<E: ByteOrder>() -> Vec<u8> {
    let mut record = vec![0; 72];
    E::write_u16(&mut record, 3);
    E::write_i32(&mut record[4..], 77);
    E::write_i32(&mut record[8..], 5);
    E::write_u32(&mut record[12..], 0x81);
    record[16..22].copy_from_slice(b"worker");
    E::write_u32(&mut record[24..], 5 << 16 | 48);
    E::write_u32(&mut record[28..], 16 << 16 | 56);
    E::write_u64(&mut record[32..], u64::from((-100i32).cast_unsigned()));
    record[48..52].copy_from_slice(b"eth0");
    E::write_u64(&mut record[56..], 1 << 1);
    E::write_u64(&mut record[64..], 1 << 1);
    record
}

fn matches(filter: &str) -> bool {
    let matcher = Filter::parse(filter).unwrap().compile(&format()).unwrap_or_else(|e| panic!("{filter}: {e}"));
    let on = On { cpu: 3, comm: b"bash" };
    let little = matcher.matches::<LittleEndian>(&record::<LittleEndian>(), &on);
    assert_eq!(little, matcher.matches::<BigEndian>(&record::<BigEndian>(), &on), "{filter}");
    little
}

#[test]
fn numbers_are_compared_with_the_sign_and_width_of_the_field() {
    let yes = ["irq == 5", "irq!=4", "irq>4", "irq >= 5", "irq<6", "irq <= 5", "irq > -1", "irq == 0x5", "irq == 05"];
    let no = ["irq == 4", "irq != 5", "irq > 5", "irq < 5", "irq < -1", "irq == 0x15"];
    assert!(matches("flags == 0201") && matches("flags == 129") && !matches("flags == 201"), "octal");
    yes.iter().for_each(|filter| assert!(matches(filter), "{filter}"));
    no.iter().for_each(|filter| assert!(!matches(filter), "{filter}"));
    assert!(matches("flags & 0x80") && matches("flags & 3") && !matches("flags & 0x7e"));
    // Stored as 0x00000000ffffff9c: to the kernel an unsigned number of eight bytes.
    assert!(matches("dfd == 0xffffff9c") && matches("dfd > 0x7fffffff") && !matches("dfd == 0x9c"));
}

/// The kernel truncates the number to the field's width, and compares with the field's sign:
/// `DEFINE_COMPARISON_PRED`.
#[test]
fn numbers_are_cut_to_the_width_of_the_field() {
    assert!(matches("irq == 0x100000005") && matches("irq == 0xf00000005") && !matches("irq == 0x100000006"));
    assert!(matches("irq > 0xfffffffa") && !matches("irq < 0xfffffffa"), "-6");
    assert!(matches("flags == 0x100000081") && matches("flags < 0x2ffffffff"));
    assert!(!matches("flags & 0x7f00000000"));
    assert!(matches("common_pid != 0x200000000") && matches("common_type == 0x10003"));
}

/// Tried on a 6.18 kernel: a field of six bytes matches nothing, and `CPU` has no `&`.
#[test]
fn what_the_kernel_cannot_compare_is_never_true() {
    for filter in ["mac == 5", "mac != 5", "mac > 0", "mac & CPUS{1}", "mac != CPUS{1}", "CPU & 3", "CPU < 4294967296"]
    {
        assert!(!matches(filter), "{filter}");
    }
    assert!(matches("!(mac == 5)") && matches("CPU >= -1") && matches("CPU == 0x100000003"));
}

#[test]
fn texts_are_equal_or_match_a_pattern() {
    let yes = [
        "who == \"worker\"",
        "who.ustring == \"worker\"",
        "who == 'worker'",
        "who != \"work\"",
        "name ~ \"eth*\"",
        "name ~ \"*th?\"",
        "name ~ \"[de]*\"",
        "name == \"eth0\"",
        "name ~ \"!wlan*\"",
        "who ~ \"*ork*\"",
    ];
    let no = ["who == \"work\"", "name ~ \"eth\"", "name ~ \"wlan*\"", "name != \"eth0\"", "who ~ \"*er\""];
    yes.iter().for_each(|filter| assert!(matches(filter), "{filter}"));
    no.iter().for_each(|filter| assert!(!matches(filter), "{filter}"));
}

#[test]
fn and_binds_tighter_than_or_and_negation_tightest() {
    assert!(matches("irq == 5 || irq == 4 && irq == 3"));
    assert!(!matches("(irq == 5 || irq == 4) && irq == 3"));
    assert!(matches("!(irq == 4) && !irq == 4"));
    assert!(matches("irq==5&&who==\"worker\""));
    assert!(!matches("!(irq == 5 || who == \"x\")"));
}

#[test]
fn every_event_has_a_cpu_a_comm_and_common_fields() {
    for (operator, below, same, above) in [
        ("==", false, true, false),
        ("!=", true, false, true),
        ("<", false, false, true),
        ("<=", false, true, true),
        (">", true, false, false),
        (">=", true, true, false),
    ] {
        let found = [2, 3, 4].map(|cpu| matches(&format!("CPU {operator} {cpu}")));
        assert_eq!(found, [below, same, above], "{operator}");
    }
    assert!(matches("cpu > 2") && matches("common_cpu == 3"));
    assert!(matches("0") && matches(" 0 "), "no filter");
    assert!(matches("COMM == \"bash\"") && matches("comm ~ \"b*\"") && !matches("comm == \"sh\""));
    assert!(matches("common_pid == 77") && !matches("common_pid != 77"));
}

#[test]
fn sets_of_cpus_are_compared_with_masks_and_with_numbers() {
    assert!(matches("mask & CPUS{0-1}") && matches("mask & CPUS{65}") && !matches("mask & CPUS{0,2-64}"));
    assert!(matches("mask == CPUS{1,65}") && matches("mask != CPUS{1}") && !matches("mask == CPUS{0-65}"));
    assert!(matches("CPU & CPUS{2-3}") && matches("irq == CPUS{5}") && matches("irq != CPUS{5-6}"));
    assert!(matches("irq & CPUS{5-6}") && !matches("irq == CPUS{5-6}") && matches("irq & CPUS{5}"));
    // A number above this kernel's CPUs is in no set, and `!=` is false for it too.
    assert!(!matches("flags != CPUS{5-6}") && matches("flags != CPUS{5}"));
}

/// `do_filter_scalar_cpumask`, which knows no set that is one number, is asked for numbers below `nr_cpu_ids` only.
#[test]
fn a_number_is_a_cpu_below_the_number_of_cpus() {
    struct Unknown;
    impl Surroundings for Unknown {
        fn cpu(&self) -> u32 {
            0
        }

        fn comm(&self, _: i32) -> &[u8] {
            b""
        }
    }
    let with_irq = |irq: i32| {
        let mut record = record::<LittleEndian>();
        record[8..12].copy_from_slice(&irq.to_le_bytes());
        record
    };
    let matcher = Filter::parse("irq != CPUS{5-6}").unwrap().compile(&format()).unwrap();
    let of_8 = |irq| matcher.matches::<LittleEndian>(&with_irq(irq), &On { cpu: 3, comm: b"" });
    assert_eq!((of_8(6), of_8(7), of_8(8)), (true, true, false));
    let of_any = |irq| matcher.matches::<LittleEndian>(&with_irq(irq), &Unknown);
    assert_eq!((of_any(6), of_any(8), of_any(4096)), (true, true, true));
}

/// Each was tried on a kernel 6.18.
#[test]
fn a_filter_may_end_with_an_operator_where_the_kernel_lets_it() {
    for filter in ["irq == 5 &&", "irq == 5 || ", "irq == 4 && irq == 5 &&", "irq == 4 || irq == 5 ||"] {
        assert!(Filter::parse(filter).is_ok(), "{filter}");
    }
    for filter in ["irq == 4 || irq == 5 &&", "irq == 4 && irq == 5 || irq == 3 &&", "irq == 5 && &&"] {
        assert!(Filter::parse(filter).is_err(), "{filter}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let padded = |len: usize| Filter::parse(&("irq == 5".to_owned() + &" ".repeat(len - 8))).err();
    assert_eq!((padded(65_536), padded(65_537)), (None, Some(FilterError::TooLong { len: 65_537, limit: 65_536 })));
    for (open, close) in [("(", ")"), ("!", "")] {
        let deep = |levels| Filter::parse(&(open.repeat(levels) + "irq == 5" + &close.repeat(levels))).err();
        assert_eq!((deep(100), deep(101)), (None, Some(FilterError::TooDeep { limit: 100 })), "{open}");
    }
    // The kernel's `num_buf` holds 23 characters.
    assert!(matches(&format!("irq == 0x{:021}", 5)) && Filter::parse(&format!("irq == 0x{:022}", 5)).is_err());
}

/// As `filter_assign_type`: what a `char *` pointed to is not in the record, and only `cpumask_t` is a set of CPUs.
#[test]
fn the_type_of_a_field_decides_what_it_is_compared_with() {
    let text = "name: e\nID: 9\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:char * path;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:__data_loc u32[] list;\toffset:16;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n";
    let format = EventFormat::parse("s", text, LongSize::Eight).unwrap();
    let error = |filter: &str| Filter::parse(filter).unwrap().compile(&format).unwrap_err().to_string();
    let path = "filter: s:e: path is the address of a string:";
    assert_eq!(
        error("path == \"x\""),
        format!("{path} the string itself was not recorded, so it can be used in a live filter only")
    );
    assert_eq!(error("path == 5"), format!("{path} a string in quotes is expected"));
    assert_eq!(error("list == \"x\""), "filter: s:e: list is an unsigned number: a number is expected");
}

#[test]
fn errors_say_what_does_not_suit_the_field() {
    let error = |filter: &str| match Filter::parse(filter) {
        Ok(parsed) => parsed.compile(&format()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(error("irk == 5"), "filter: s:e has no field \"irk\"; it has irq, flags, who, name, mask, dfd, mac");
    assert_eq!(error("irq ~ \"5*\""), "filter: s:e: irq is a signed number: a number is expected");
    assert_eq!(error("who == 5"), "filter: s:e: who is a string: a string in quotes is expected");
    assert_eq!(error("dfd == -100"), "filter: s:e: dfd is an unsigned number: it cannot be negative");
    let number = "a number is decimal, 0x… or, with a leading 0, octal, and has at most 64 bits";
    assert_eq!(error("irq == 08"), format!("filter: s:e: irq is a signed number: {number}"));
    assert_eq!(error("irq == -9223372036854775809"), format!("filter: s:e: irq is a signed number: {number}"));
    assert_eq!(error("flags == 08"), format!("filter: s:e: flags is an unsigned number: {number}"));
    assert_eq!(error("irq >"), "filter: expected a field, an operator and a value at column 6, found \"\"");
    let quotes = "expected a number or a string in quotes at column";
    assert_eq!(error("who == worker"), format!("filter: {quotes} 8, found \"worker\""));
    assert_eq!(error("irq == +5 && irq > 1"), format!("filter: {quotes} 8, found \"+5 && irq > 1\""));
    assert_eq!(error("irq == CPUS {5}"), format!("filter: {quotes} 8, found \"CPUS {{5}}\""));
    assert_eq!(error("irq ~ 5"), "filter: s:e: irq is a signed number: ~ applies to strings only");
    assert_eq!(error("flags == -1"), "filter: s:e: flags is an unsigned number: it cannot be negative");
    assert_eq!(error("who > 5"), "filter: s:e: who is a string: a string in quotes is expected");
    assert_eq!(error("who > \"x\""), "filter: s:e: who is a string: strings can be compared with ==, != and ~");
    assert!(error(&format!("who == \"{}\"", "x".repeat(256))).ends_with("at most 255 bytes"));
    assert!(error("irq == 0x000000000000000000000001").starts_with("filter: expected a number or"));
    assert_eq!(
        error("mask & CPUS{x}"),
        "filter: s:e: mask is a set of CPUs: CPUS{…} must contain a list of the kernel's CPUs, such as 0,2-3"
    );
    for (filter, column) in
        [("", 1), ("irq", 4), ("irq == 5 && &&", 13), ("irq == 5)", 9), ("(irq == 5", 10), ("irq = 5", 5)]
    {
        let error = Filter::parse(filter).unwrap_err();
        assert!(matches!(error, FilterError::Syntax { column: c, .. } if c == column), "{filter}: {error}");
    }
    let deep = "(".repeat(1000) + "irq==1" + &")".repeat(1000);
    assert_eq!(Filter::parse(&deep), Err(FilterError::TooDeep { limit: 100 }));
}

#[test]
fn the_last_cpu_and_functions_need_to_be_known() {
    let kallsyms =
        b"ffffffff81000000 T _stext\nffffffff81000010 T f\nffffffff81000030 T g\nffffffff81000080 T _etext\n";
    let kallsyms = Kallsyms::parse(kallsyms);
    let traced = Traced { kallsyms: Some(&kallsyms), cpus: Some(8) };
    let fields =
        "\tfield:unsigned long at;\toffset:8;\tsize:8;\tsigned:0;\n\tfield:int n;\toffset:16;\tsize:4;\tsigned:1;\n";
    let common = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n";
    let text = format!("name: e\nID: 9\nformat:\n{common}\n{fields}\nprint fmt: \"\"\n");
    let format = EventFormat::parse("s", &text, LongSize::Eight).unwrap();
    let matches = |filter: &str, at: u64, n: i32| {
        let record = [&9u64.to_le_bytes()[..], &at.to_le_bytes(), &n.to_le_bytes()].concat();
        let matcher = Filter::parse(filter).unwrap().compile_for(&format, &traced);
        matcher.map(|matcher| matcher.matches::<LittleEndian>(&record, &On { cpu: 3, comm: b"" }))
    };
    let f = 0xffff_ffff_8100_0010;
    for (at, inside) in [(f - 1, false), (f, true), (f + 0x1f, true), (f + 0x20, false), (0, false)] {
        for filter in ["at.function == f", "at.function == 0xffffffff8100002f", "!(at.function != f )"] {
            assert_eq!(matches(filter, at, 0), Ok(inside), "{filter} {at:x}");
        }
        assert_eq!(matches("at.function!=f", at, 0), Ok(!inside));
    }
    for filter in ["at.function > f", "n.function == f", "at.function == h", "at.function == 0", "(at.function == f)"] {
        let refused = Filter::parse(filter).map(|filter| filter.compile_for(&format, &traced).map(drop));
        assert!(!matches!(refused, Ok(Ok(()))), "{filter}");
    }
    let unknown = Filter::parse("at.function == f").unwrap().compile(&format).unwrap_err().to_string();
    assert!(unknown.contains("no symbols"), "{unknown}");
    assert_eq!((matches("n == CPUS{N}", 0, 7), matches("n == CPUS{N}", 0, 6)), (Ok(true), Ok(false)));
    assert_eq!((matches("n & CPUS{all:1/2}", 0, 4), matches("n & CPUS{all:1/2}", 0, 5)), (Ok(true), Ok(false)));
    assert!(matches("n & CPUS{8}", 0, 4).is_err());
    assert_eq!(matches("n == 4 &&", 0, 4), Ok(true));
}

#[test]
fn a_record_that_is_too_short_matches_nothing() {
    let matcher = Filter::parse("irq == 0").unwrap().compile(&format()).unwrap();
    assert!(!matcher.matches::<LittleEndian>(&[0; 9], &On { cpu: 0, comm: b"" }));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9 ()!&|<>=~\"'{}CPUS*-]{0,60}") {
        if let Ok(filter) = Filter::parse(&text) && let Ok(matcher) = filter.compile(&format()) {
            matcher.matches::<LittleEndian>(&record::<LittleEndian>(), &On { cpu: 0, comm: b"x" });
        }
    }
}
