//! Compares our text of a trace with the kernel's own, record by record.
//!
//! Differences that are expected are classified and counted; any other difference is a defect.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use byteorder::ByteOrder;
use ftrace_live::names::Names;
use ftrace_live::render::TraceText;
use ftrace_live::ring::{Feed, Merge};

/// Our text: for each record, its event's name and the place of its lines.
pub struct Rendered {
    pub text: Vec<u8>,
    pub records: Vec<(u16, usize, usize)>,
}

/// Writes the lines of all records.
pub fn render<E: ByteOrder, F: Feed>(merge: &mut Merge<F>, text: &mut TraceText, names: &Names) -> Rendered {
    let mut rendered = Rendered { text: vec![], records: vec![] };
    while let Some(record) = merge.next_record::<E>() {
        let start = rendered.text.len();
        text.write::<E>(&mut rendered.text, &record, names);
        rendered.records.push((E::read_u16(record.bytes), start, rendered.text.len()));
    }
    text.finish(&mut rendered.text, names);
    rendered
}

/// Why a record's text may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// `%p`: the kernel shows a hash that only it can compute.
    HashedPointer,
    /// The kernel had forgotten the name of a pid, or only learned it later.
    TaskName,
    /// The print format uses a function or variable of the kernel.
    OnlyTheKernelKnows,
    /// `name+0x10/0x40 [module]`: no file has the end of a module's code, on which the size of its last symbol
    /// depends.
    ModuleEnd,
    /// The capture has no kallsyms: it has an address where the kernel prints a function's name.
    NoKallsyms,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Tally {
    pub records: usize,
    pub equal: usize,
    pub masked: BTreeMap<Reason, usize>,
    /// The ids of the events seen.
    pub events: BTreeSet<u16>,
    /// By event: (count, the first few pairs of ours and the kernel's).
    pub defects: BTreeMap<String, (usize, Vec<(String, String)>)>,
}

impl Tally {
    pub fn defects(&self) -> usize {
        self.defects.values().map(|(count, _)| count).sum()
    }

    fn defect(&mut self, event: &str, ours: &[u8], theirs: &[u8]) {
        let (count, examples) = self.defects.entry(event.to_owned()).or_default();
        *count += 1;
        if examples.len() < 2 {
            examples.push((String::from_utf8_lossy(ours).into_owned(), String::from_utf8_lossy(theirs).into_owned()));
        }
    }

    /// The counts on one line.
    pub fn line(&self, name: &str) -> String {
        let masked = |reason| self.masked.get(&reason).copied().unwrap_or(0);
        format!(
            "{name:<36} {:>7} records {:>7} equal {:>5} %p {:>4} comm {:>4} kernel-only {:>2} module end {:>4} no kallsyms {:>5} defects",
            self.records,
            self.equal,
            masked(Reason::HashedPointer),
            masked(Reason::TaskName),
            masked(Reason::OnlyTheKernelKnows),
            masked(Reason::ModuleEnd),
            masked(Reason::NoKallsyms),
            self.defects()
        )
    }

    /// The defects by event, with examples.
    pub fn report(&self) -> String {
        let mut out = String::new();
        for (event, (count, examples)) in &self.defects {
            _ = writeln!(out, "  {event}: {count}");
            for (ours, theirs) in examples {
                _ = writeln!(out, "    ours   {ours:?}\n    kernel {theirs:?}");
            }
        }
        out
    }
}

/// The text without the `#` lines that the file begins with.
pub fn body(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while rest.first() == Some(&b'#') {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
        // `##### CPU 1 buffer started ####` belongs to the lines.
        if rest.starts_with(b"#####") {
            break;
        }
        rest = &rest[end..];
    }
    rest
}

/// The kernel's text cut into records: as long as ours where it is equal, otherwise up to the context of our next
/// record, and failing that to the end of the line.
pub fn cut<'t>(rendered: &Rendered, text: &'t [u8]) -> Vec<&'t [u8]> {
    let mut rest = text;
    let mut cuts = Vec::with_capacity(rendered.records.len());
    for (index, &(_, start, end)) in rendered.records.iter().enumerate() {
        let ours = &rendered.text[start..end];
        let len = if rest.starts_with(ours) {
            ours.len()
        } else {
            let next = rendered.records.get(index + 1).map(|&(_, start, end)| front(&rendered.text[start..end]));
            let window = &rest[..rest.len().min(ours.len() + 4096)];
            let found = next.and_then(|front| memchr_find(window, front, 1));
            found.unwrap_or_else(|| rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1))
        };
        let (cut, behind) = rest.split_at(len);
        cuts.push(cut);
        rest = behind;
    }
    if let Some(last) = cuts.last_mut() {
        // The rest belongs to the last record and shows as a defect.
        *last = &text[text.len() - rest.len() - last.len()..];
    }
    cuts
}

/// The first line up to `]`: the context `  bash-1 [001] ` without flags and time.
fn front(line: &[u8]) -> &[u8] {
    let end = line.windows(2).position(|w| w == b": ").unwrap_or(line.len().min(40));
    &line[..end]
}

fn memchr_find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    haystack.get(from..)?.windows(needle.len()).position(|w| w == needle).map(|at| at + from)
}

/// Compares record by record. `nohash` is the kernel's text with unhashed pointers, if there is one.
pub fn compare(rendered: &Rendered, kernel: &[u8], nohash: Option<&[u8]>, event: impl Fn(u16) -> String) -> Tally {
    let hashed = cut(rendered, body(kernel));
    let plain = nohash.map(|text| cut(rendered, body(text)));
    let mut tally = Tally { records: rendered.records.len(), ..Tally::default() };
    for (index, &(id, start, end)) in rendered.records.iter().enumerate() {
        let ours = &rendered.text[start..end];
        let theirs = hashed[index];
        tally.events.insert(id);
        if ours == theirs || plain.as_ref().is_some_and(|plain| plain[index] == ours) {
            tally.equal += 1;
            continue;
        }
        match reason(ours, theirs) {
            Some(reason) => *tally.masked.entry(reason).or_default() += 1,
            None => tally.defect(&event(id), ours, theirs),
        }
    }
    tally
}

/// The reason why the two texts may differ, if there is one.
fn reason(ours: &[u8], theirs: &[u8]) -> Option<Reason> {
    let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    if differ_in_pointers_only(&ours, &theirs) {
        return Some(Reason::HashedPointer);
    }
    // `{jiffies?}`: an argument that cannot be computed is shown as it is written in the print format.
    if let Some(reason) = differ_in_unknown_arguments_only(&ours, &theirs) {
        return Some(reason);
    }
    if without_module_sizes(&ours) == without_module_sizes(&theirs) {
        return Some(Reason::ModuleEnd);
    }
    if differ_in_symbols_only(&ours, &theirs) {
        return Some(Reason::NoKallsyms);
    }
    let front = |text: &str| text.split_once(" [").map(|(comm, rest)| (comm.to_owned(), rest.to_owned()));
    let ((our_comm, our_rest), (their_comm, their_rest)) = (front(&ours)?, front(&theirs)?);
    let forgotten = our_comm != their_comm && (our_comm.contains("<...>") || their_comm.contains("<...>"));
    (forgotten && (our_rest == their_rest || differ_in_pointers_only(&our_rest, &their_rest)))
        .then_some(Reason::TaskName)
}

/// `function=0xffffffff81234567` against `function=tick_nohz_handler`, and nothing else; pointers may be hashed, too.
fn differ_in_symbols_only(ours: &str, theirs: &str) -> bool {
    let tokens = |text: &str| -> Vec<String> { text.split([' ', '=', '(', ')', ',']).map(str::to_owned).collect() };
    let (ours, theirs) = (tokens(ours), tokens(theirs));
    let address = |token: &str| token.strip_prefix("0x").is_some_and(|hex| hex.len() == 16 && hex.starts_with("ffff"));
    let name = |token: &str| token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|(a, b)| {
            a == b || address(a.trim_end_matches([':', '\n'])) && name(b) || differ_in_pointers_only(a, b)
        })
}

/// The text without the sizes of modules' symbols.
fn without_module_sizes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("/0x") {
        let (before, size) = rest.split_at(at);
        let behind = size[3..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
        out.push_str(before);
        if !behind.starts_with(" [") {
            out.push_str(&size[..size.len() - behind.len()]);
        }
        rest = behind;
    }
    out + rest
}

/// Runs of hexadecimal digits, and what lies between them.
fn hex_runs(text: &str) -> Vec<&str> {
    let mut runs = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let is_hex = rest.as_bytes()[0].is_ascii_hexdigit();
        let end = rest.find(|c: char| c.is_ascii_hexdigit() != is_hex).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        runs.push(run);
        rest = behind;
    }
    runs
}

/// Both sides print a pointer as 8 or 16 digits; the hash of a 64-bit one begins with eight zeros.
fn differ_in_pointers_only(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (hex_runs(ours), hex_runs(theirs));
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|(a, b)| {
            let hash = a.len() == b.len() && (a.len() == 8 || a.len() == 16 && b.starts_with("00000000"));
            a == b || hash
        })
}

/// Every `{…?}` of ours matches whatever the kernel printed there.
fn differ_in_unknown_arguments_only(ours: &str, theirs: &str) -> Option<Reason> {
    let (mut ours, mut theirs) = (ours, theirs);
    let mut any = false;
    while let Some(open) = ours.find('{') {
        let Some(close) = ours[open..].find("?}").map(|at| open + at + 2) else { break };
        if !theirs.starts_with(&ours[..open]) {
            return None;
        }
        theirs = &theirs[open..];
        ours = &ours[close..];
        let literal = &ours[..ours.find(['{', '\n']).map_or(ours.len(), |at| at.clamp(1, 8)).min(ours.len())];
        theirs = &theirs[theirs.find(literal)?..];
        any = true;
    }
    (any && (ours == theirs || differ_in_pointers_only(ours, theirs))).then_some(Reason::OnlyTheKernelKnows)
}
