//! Files written by trace-cmd: we read all events that `trace-cmd report` lists.

mod common;

use byteorder::LittleEndian;
use common::{
    corpus,
    report::{merged, ours, report, same},
};
use ftrace_live::{
    capture::trace_dat::{Compression, Open, TraceDat, Version},
    format::Endian,
    tracefs::TraceClock,
};

fn file(name: &str) -> Option<std::path::PathBuf> {
    Some(corpus::folder()?.join("tracedat").join(name))
}

#[test]
fn version_6_gives_the_events_that_trace_cmd_lists() {
    let Some(file) = file("x86_64-6.18-v6.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 11_286);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn version_6_of_another_machine_gives_the_events_that_trace_cmd_lists() {
    let Some(file) = file("arm64-sched_load-v6.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 3724);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn zstd_and_two_buffers_give_the_events_that_trace_cmd_lists() {
    let Some(file) = file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 32_208);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn a_zstd_file_of_1_8_million_events_gives_the_events_that_trace_cmd_lists() {
    let Some(file) = file("x86_64-6.18-v7-zstd.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 1_826_228);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn the_options_and_descriptions_of_a_file_are_read() {
    let Some(file) = file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let dat = TraceDat::open(&file, Open::default()).unwrap();
    assert_eq!((dat.version, dat.compression), (Version::V7, Compression::Zstd));
    assert_eq!((dat.endian, dat.page_size), (Endian::Little, 4096));
    let options = &dat.options;
    assert_eq!(options.uname.as_deref(), Some("Linux vm 6.18.44-fc-v669 x86_64"));
    assert_eq!(options.clock(), Some(TraceClock::Mono));
    assert_eq!(options.trace_id, Some(0x1EB1_E2ED_E237_0C1B));
    assert_eq!(options.version.as_deref(), Some("3.1.6 not-a-git-repo"));
    assert_eq!(options.cpu_count, Some(2));
    let names: Vec<_> = dat.buffers.iter().map(|buffer| (buffer.name.as_str(), buffer.clock.as_deref())).collect();
    assert_eq!(names, [("", Some("mono")), ("side", Some("mono"))]);
    let side = dat.cpu_stats(&dat.buffers[1]);
    assert_eq!(side.len(), 2);
    assert!(side[1].1.contains("read events: 10257"));
    assert_eq!(dat.kallsyms().unwrap().len(), 5_414_658);
    assert!(dat.metadata.printk_formats.starts_with(b"0x"));
    assert!(String::from_utf8_lossy(&dat.metadata.saved_cmdlines).contains(" spike\n"));
    assert!(dat.metadata.header_event.contains("type_len"));
    assert_eq!(dat.metadata.formats.iter().filter(|format| format.system == "ftrace").count(), 18);
}

#[test]
fn one_buffer_can_be_read_alone() {
    let Some(file) = file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let dat = TraceDat::open(&file, Open::default()).unwrap();
    let mut side = dat.capture(Some("side")).unwrap();
    // Its cpustat has 10310 and 10257 events read.
    assert_eq!(merged::<LittleEndian>(&mut side).len(), 10_310 + 10_257);
    let error = dat.capture(Some("other")).err().unwrap().to_string();
    assert_eq!(error, "the table of CPU data at byte 0: there is no buffer \"other\"; there are: \"\", \"side\"");
}
