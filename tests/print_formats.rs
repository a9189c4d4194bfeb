//! Every print format of real kernels: parsed, compiled, and evaluated on zeros and random records.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use ftrace_live::{
    format::{Endian, EventFormat, HeaderPage, LongSize, btf::Btf, print_fmt::PrintFmt},
    names::{Constants, Enums, Names, NoNames},
    render::TextPlan,
};

mod common;

use common::chance::Chance;

/// All formats below `events`, parsed with the size of `long` from its `header_page`, or with `long`.
fn formats(events: &Path, long: LongSize) -> (LongSize, Vec<EventFormat>) {
    // One read: the kernel returns nothing more to a second one.
    let mut header = vec![0; 4096];
    let len = fs::File::open(events.join("header_page")).and_then(|mut file| file.read(&mut header)).unwrap_or(0);
    let header = String::from_utf8_lossy(&header[..len]);
    let long = if len > 0 { HeaderPage::parse(&header).unwrap().long_size() } else { long };
    let mut found = Vec::new();
    for system in entries(events) {
        for event in entries(&system) {
            let Ok(text) = fs::read(event.join("format")) else { continue };
            let name = system.file_name().unwrap().to_string_lossy();
            found.push(EventFormat::parse(&name, &String::from_utf8_lossy(&text), long).unwrap());
        }
    }
    (long, found)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    found.sort();
    found
}

/// Renders records of all lengths and kinds; asserts only that it ends with a text of limited length.
fn evaluate(format: &EventFormat, plan: &TextPlan, chance: &mut Chance) {
    let end = format.fields.iter().map(|f| f.offset + f.size).max().unwrap_or(8) as usize;
    let mut out = Vec::new();
    for len in [end, end + 64, end / 2, 0, 7] {
        for record in [vec![0; len], vec![0xff; len], chance.bytes(len), chance.bytes(len)] {
            out.clear();
            plan.render(&record, &NoNames, &mut out);
            assert!(out.len() < 1 << 20, "{}: {} bytes of text", format.full_name(), out.len());
        }
    }
}

#[test]
fn print_formats_of_other_kernels_parse_and_evaluate() {
    let Some(corpus) = common::corpus::folder() else { return };
    let mut chance = Chance(1);
    let (mut events, mut whole, mut badly_parsed) = (0, 0, vec![]);
    for folder in entries(&corpus.join("formats")).into_iter().chain(common::corpus::machines(corpus)) {
        let (long, formats) = formats(&folder.join("events"), LongSize::Eight);
        let (names, _) = Names::load(&folder);
        for format in formats {
            let parsed = PrintFmt::parse(&format.print_fmt);
            badly_parsed.extend(parsed.args.iter().filter_map(|a| {
                let error = a.expr.as_ref().err()?;
                Some(format!("{}: {error}: {}", format.full_name(), a.text.chars().take(80).collect::<String>()))
            }));
            for endian in [Endian::Little, Endian::Big] {
                let plan = TextPlan::compile(&format, long, endian, &names);
                evaluate(&format, &plan, &mut chance);
                whole += usize::from(plan.unsupported().is_empty());
            }
            events += 1;
        }
    }
    println!("{events} events, {} with every argument; not C expressions: {badly_parsed:#?}", whole / 2);
    assert!(events > 10_000, "{events}");
    // Only statement expressions with statements in them cannot be parsed.
    let known = ["statement expression"];
    badly_parsed.retain(|e| !known.iter().any(|k| e.contains(k)));
    assert_eq!(badly_parsed, Vec::<String>::new());
}

#[test]
fn the_running_kernels_print_formats_are_computed_except_for_its_own_functions() {
    let events = Path::new("/sys/kernel/tracing/events");
    let btf = fs::read("/sys/kernel/btf/vmlinux").ok().and_then(|bytes| Btf::parse(&bytes).ok());
    let (Some(btf), true) = (btf, events.is_dir()) else {
        crate::common::skipped::say(format_args!("needs tracefs mounted at /sys/kernel/tracing, root, and BTF"));
        return;
    };
    let (long, formats) = formats(events, LongSize::Eight);
    let constants = BtfOnly(Enums::from(btf));
    let mut chance = Chance(2);
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut partly = 0;
    for format in &formats {
        let plan = TextPlan::compile(format, long, Endian::NATIVE, &constants);
        evaluate(format, &plan, &mut chance);
        partly += usize::from(!plan.unsupported().is_empty());
        for unsupported in plan.unsupported() {
            reasons.entry(unsupported.reason.clone()).or_default().push(format.full_name());
        }
    }
    println!("{} of {} print formats are not computed in full: {reasons:#?}", partly, formats.len());
    assert!(partly * 100 <= formats.len(), "{partly} of {}", formats.len());
}

struct BtfOnly(Enums);

impl Constants for BtfOnly {
    fn value(&self, name: &str) -> Option<i64> {
        self.0.value(name)
    }

    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)> {
        self.0.enumerators(enum_name).unwrap_or_default()
    }
}
