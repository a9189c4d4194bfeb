//! Typed values compared with the kernel's own text by name: if a print format shows a field as `name=%d`,
//! `name=0x%lx` or `name="%s"`, the value read by the plan must be there in what that machine's kernel printed for
//! the same bytes.
//!
//! All captures with the kernel's text, of the project and of the corpus. Values that the kernel computes from a
//! field before it prints them are not compared here; `tests/kernel_text.rs` compares the whole text.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use common::{corpus, kernel_text};
use ftrace_live::capture::{Capture, folder};
use ftrace_live::decode::{Element, FieldPlan, Plan, Read, Value};
use ftrace_live::format::print_fmt::PrintFmt;
use ftrace_live::format::{Endian, EventFormat, LongSize};
use ftrace_live::names::Names;
use ftrace_live::render::Settings;

/// A place in a print format that shows exactly one field.
struct Shown {
    field: FieldPlan,
    name: String,
    /// The text before the value: `prev_pid=`, `ptr=0x`, `comm="`.
    label: String,
    /// The argument's size in bits, according to the conversion.
    bits: u32,
    /// `%08lx`: a zero-filled width.
    zeros: usize,
    conversion: char,
}

/// The field of an argument: `REC->name`, `(unsigned long)REC->name`, `__get_str(name)`.
fn field_of(argument: &str) -> Option<&str> {
    let argument = argument.trim();
    if let Some(name) = argument.strip_prefix("__get_str(") {
        return name.strip_suffix(')');
    }
    let (casts, name) = argument.split_once("REC->")?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // A narrowing cast is a computation of the kernel's.
    (is_name && matches!(casts, "" | "(unsigned long)" | "(unsigned long long)" | "(long)" | "(long long)"))
        .then_some(name)
}

/// The places where the print format of `format` shows single fields.
fn shown(format: &EventFormat, long: LongSize) -> Vec<Shown> {
    let PrintFmt { literal, args } = PrintFmt::parse(&format.print_fmt);
    let literal = String::from_utf8_lossy(&literal).into_owned();
    let plan = Plan::compile(format);
    let (mut found, mut rest, mut arguments) = (vec![], literal.as_str(), args.iter());
    while let Some((before, spec)) = rest.split_once('%') {
        if let Some(behind) = spec.strip_prefix('%') {
            rest = behind;
            continue;
        }
        let len = spec.find(|c: char| c.is_ascii_alphabetic() && !"lLhzt".contains(c)).unwrap_or(spec.len());
        let (modifiers, behind) = spec.split_at(len);
        let Some(conversion) = behind.chars().next() else { break };
        rest = &behind[1..];
        // Widths given by arguments and letters of pointers are not tested here.
        if modifiers.contains('*') {
            break;
        }
        let Some(argument) = arguments.next() else { break };
        let flags = modifiers.trim_end_matches(['l', 'L', 'h', 'z', 't']);
        let bits = match &modifiers[flags.len()..] {
            "" => 32,
            "l" | "z" | "t" => long.bytes() * 8,
            "ll" | "L" => 64,
            "h" => 16,
            _ => 8,
        };
        let zeros = match flags.strip_prefix('0') {
            Some(width) => width.parse().unwrap_or(0),
            None if flags.is_empty() || flags == "#" => 0,
            None => continue,
        };
        let start = before.rfind([' ', ',', '(', '%']).map_or(0, |at| at + 1);
        let label = before[start..].replace("\\\"", "\"") + if flags == "#" { "0x" } else { "" };
        let Some((word, _)) = label.split_once('=') else { continue };
        let is_label = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let of = |name| format.fields.iter().position(|field| field.name == name);
        if let (true, 'd' | 'i' | 'u' | 'x' | 's', Some(index)) =
            (is_label, conversion, field_of(&argument.text).and_then(of))
        {
            let (field, name) = (plan.fields()[index], format.fields[index].name.clone());
            found.push(Shown { field, name, label, bits, zeros, conversion });
        }
    }
    found
}

impl Shown {
    /// What the kernel's text must contain; `None` for a value that this conversion shows differently.
    fn wanted(&self, value: &Value<'_>) -> Option<Vec<u8>> {
        let number = match *value {
            Value::Signed(v) => v as u64,
            Value::Unsigned(v) | Value::Pointer(v) => v,
            Value::Bool(v) => v.into(),
            Value::Text(text) if self.conversion == 's' => return Some([self.label.as_bytes(), text].concat()),
            _ => return None,
        };
        let unused = 64 - self.bits;
        let (label, zeros) = (&self.label, self.zeros);
        Some(match self.conversion {
            'd' | 'i' => format!("{label}{:0zeros$}", ((number << unused) as i64) >> unused).into_bytes(),
            'u' => format!("{label}{:0zeros$}", number << unused >> unused).into_bytes(),
            'x' => format!("{label}{:0zeros$x}", number << unused >> unused).into_bytes(),
            _ => return None,
        })
    }
}

/// Whether `text` contains `wanted` as a whole value: no longer name before it, no digit after it.
fn stands_in(text: &[u8], wanted: &[u8], conversion: char) -> bool {
    let goes_on = |byte: &u8| match conversion {
        's' => false,
        'x' => byte.is_ascii_hexdigit(),
        _ => byte.is_ascii_digit(),
    };
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    memchr::memmem::find_iter(text, wanted).any(|at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        !before.is_some_and(is_word) && !text.get(at + wanted.len()).is_some_and(goes_on)
    })
}

/// Checks the argument of a system call in `sys_openat(dfd: ffffff9c, …)`, limited to the bits of the field's type.
fn argument_is(text: &str, name: &str, field: &FieldPlan, value: &Value<'_>) -> Option<bool> {
    let bits = match field.read {
        Read::Scalar(Element::Integer { bits, .. }) => u32::from(bits),
        Read::Scalar(Element::Pointer { size }) => u32::from(size) * 8,
        _ => return None,
    };
    let behind = ["(", ", "].iter().find_map(|before| text.split_once(&format!("{before}{name}: ")))?.1;
    let digits = behind.trim_start_matches("0x").split(|c: char| !c.is_ascii_hexdigit()).next()?;
    let printed = u64::from_str_radix(digits, 16).ok()?;
    let value = match *value {
        Value::Signed(v) => v as u64,
        Value::Unsigned(v) | Value::Pointer(v) => v,
        _ => return None,
    };
    Some((printed ^ value) << (64 - bits) == 0)
}

#[derive(Default)]
struct Tally {
    compared: usize,
    events: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

fn compare<E: ByteOrder>(path: &Path, capture: &mut Capture, tally: &mut Tally) {
    let (names, errors) = Names::load(path);
    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    let (long, endian) = (capture.header.long_size(), capture.endian);
    let mut text = Settings::load(path, &capture.clock).text(&capture.events, long, endian, &names);
    let mut rendered = kernel_text::Rendered { text: vec![], records: vec![] };
    let mut records = vec![];
    let mut merge = capture.merge();
    while let Some(record) = merge.next_record::<E>() {
        let start = rendered.text.len();
        text.write::<E>(&mut rendered.text, &record, &names);
        rendered.records.push((E::read_u16(record.bytes), start, rendered.text.len()));
        records.push(record.bytes.to_vec());
    }
    text.finish(&mut rendered.text, &names);
    let kernel = fs::read(path.join("trace")).unwrap();
    let cuts = kernel_text::cut(&rendered, kernel_text::body(&kernel));
    let places: BTreeMap<u16, _> = capture
        .events
        .iter()
        .map(|format| (format.id.0, (format, Plan::compile(format), shown(format, long))))
        .collect();
    for (record, printed) in records.iter().zip(cuts) {
        let Some((format, plan, places)) = places.get(&E::read_u16(record)) else { continue };
        // Big-endian kernels before 6.6 print the wrong half of a synthetic event's numbers (`print_synth_event`).
        if format.system == "synthetic" && endian == Endian::Big {
            continue;
        }
        let mut check = |name: &str, value: &Value<'_>, right: bool| {
            tally.compared += 1;
            *tally.events.entry(format.full_name()).or_default() += 1;
            let what = format!("{} {name}", format.full_name());
            if !right && !tally.wrong.iter().any(|known| known.contains(&what)) {
                let printed = String::from_utf8_lossy(printed);
                tally.wrong.push(format!(
                    "{}: {} {name}: {value:?} in {printed:?}",
                    path.display(),
                    format.full_name()
                ));
            }
        };
        if format.system == "syscalls" {
            for (field, described) in plan.fields().iter().zip(&format.fields) {
                let value = field.value::<E>(record).unwrap();
                if let Some(right) = argument_is(&String::from_utf8_lossy(printed), &described.name, field, &value) {
                    check(&described.name, &value, right);
                }
            }
            continue;
        }
        for place in places {
            let value = place.field.value::<E>(record).unwrap();
            let Some(wanted) = place.wanted(&value) else { continue };
            // A string that could not be read is empty, and printed as a word.
            let fault = value == Value::Text(b"") && printed.windows(7).any(|w| w == b"(fault)");
            check(&place.name, &value, fault || stands_in(printed, &wanted, place.conversion));
        }
    }
}

/// Compares all captures in the folder `machine`.
fn every_value_of(machine: &Path) {
    let mut tally = Tally::default();
    for path in corpus::captures(machine).iter().filter(|path| path.join("trace").is_file()) {
        // In the graph tracer's text lines are not records.
        if fs::read_to_string(path.join("current_tracer")).is_ok_and(|tracer| tracer.trim() == "function_graph")
            || path.ends_with("function_graph")
        {
            continue;
        }
        let mut capture = folder::open(path).unwrap();
        match capture.endian {
            Endian::Little => compare::<LittleEndian>(path, &mut capture, &mut tally),
            Endian::Big => compare::<BigEndian>(path, &mut capture, &mut tally),
        }
    }
    eprintln!("{}: {} values of {} events", machine.display(), tally.compared, tally.events.len());
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.compared > 1000 && tally.events.len() > 20, "{} values are too few", tally.compared);
}

#[test]
fn every_typed_value_of_our_captures_is_in_the_kernels_text() {
    for machine in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).unwrap().flatten() {
        if machine.path().is_dir() {
            every_value_of(&machine.path());
        }
    }
}

#[test]
fn every_typed_value_of_other_kernels_is_in_their_text() {
    let Some(corpus) = corpus::folder() else { return };
    corpus::machines(corpus).iter().for_each(|machine| every_value_of(machine));
}
