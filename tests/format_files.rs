//! Every available format file: all can be parsed, and print back to the same bytes.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::corpus;
use ftrace_live::format::{EventFormat, LongSize};

/// Parses every `SYSTEM/EVENT/format` below `events`, and returns how many there were.
fn round_trips(events: &Path, long: LongSize) -> usize {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut count = 0;
    for system in entries(events) {
        let name = system.file_name().unwrap().to_string_lossy().into_owned();
        for path in entries(&system).into_iter().map(|event| event.join("format")) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let format = EventFormat::parse(&name, &text, long).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert_eq!(format.to_string(), text, "{}", path.display());
            count += 1;
        }
    }
    count
}

#[test]
fn formats_of_other_kernels_print_back_to_the_same_bytes() {
    let Some(corpus) = corpus::folder() else { return };
    let mut count = 0;
    for kernel in fs::read_dir(corpus.join("formats")).unwrap().flatten() {
        // In some the systems are in `events`, in others at the top.
        let folder = kernel.path();
        let events = Some(folder.join("events")).filter(|events| events.is_dir()).unwrap_or(folder);
        count += round_trips(&events, LongSize::Eight);
    }
    assert_eq!(count, 5254);
}

#[test]
fn formats_of_the_machines_of_the_corpus_print_back_to_the_same_bytes() {
    let Some(corpus) = corpus::folder() else { return };
    for machine in corpus::machines(corpus) {
        let long = if machine.to_string_lossy().contains("armhf") { LongSize::Four } else { LongSize::Eight };
        let count = round_trips(&machine.join("events"), long);
        assert!(count > 1000, "{}: only {count}", machine.display());
    }
}

#[test]
fn formats_of_the_running_kernel_print_back_to_the_same_bytes() {
    let events = Path::new("/sys/kernel/tracing/events");
    let long = if cfg!(target_pointer_width = "32") { LongSize::Four } else { LongSize::Eight };
    match round_trips(events, long) {
        0 => crate::common::skipped::say(format_args!("{} is not to be read", events.display())),
        count => eprintln!("{count} formats"),
    }
}
