//! The end of a `cargo test` run: lists which tests skipped something, and why. It runs last, as its name sorts last.
//!
//! It has no harness, so that cargo shows its output.

#[path = "common/skipped.rs"]
#[allow(dead_code, reason = "nothing is skipped here")]
mod skipped;

use std::collections::BTreeMap;

fn main() {
    let Some(notes) = skipped::notes() else { return };
    let text = std::fs::read_to_string(&notes).unwrap_or_default();
    let _ = std::fs::remove_file(&notes);
    let run = skipped::run();
    // Grouped by reason: many tests lack the same thing.
    let mut reasons: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for line in text.lines() {
        let [of, file, _test, why] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { continue };
        // Records of an earlier, interrupted run are ignored.
        if of == run {
            *reasons.entry(why).or_default().entry(file).or_default() += 1;
        }
    }
    let count: usize = reasons.values().flat_map(BTreeMap::values).sum();
    match count {
        0 => println!("nothing was SKIPPED"),
        _ => println!("SKIPPED: {count} tests or parts of tests, for {} reasons", reasons.len()),
    }
    for (why, files) in &reasons {
        let files: Vec<_> = files.iter().map(|(file, times)| format!("{file} ({times})")).collect();
        println!("  {why}\n      in {}", files.join(", "));
    }
}
