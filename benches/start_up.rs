//! Start-up on the running kernel: reads, parses and compiles its descriptions for messages and for text, including
//! BTF.
//!
//! `cargo bench --bench start_up`, as root. All of its events, then ten of them. If tracefs cannot be read, the
//! project's own format files are used, without BTF.
use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
};

use criterion::{Criterion, criterion_group, criterion_main};
use ftrace_live::{
    format::{Abi, Endian, EventFormat, LongSize, btf::Btf},
    names::{Enums, Names},
    osc::{MessageOptions, MessagePlan},
    render::Settings,
};

const ABI: Abi = Abi { endian: Endian::NATIVE, long: LongSize::Eight };

/// Ten events that a user might choose: scheduler, interrupts, system calls, blocks, and two that need BTF.
const TEN: [&str; 10] = [
    "sched/sched_switch",
    "sched/sched_waking",
    "sched/sched_process_exec",
    "irq/irq_handler_entry",
    "irq/softirq_entry",
    "timer/hrtimer_start",
    "syscalls/sys_enter_openat",
    "syscalls/sys_exit_openat",
    "block/block_rq_issue",
    "tcp/tcp_probe",
];

/// Every `SYSTEM/EVENT/format`: the system and the path.
fn all(events: &Path) -> Vec<(String, PathBuf)> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let event = |system: fs::DirEntry| {
        let name = system.file_name().to_string_lossy().into_owned();
        entries(&system.path()).map(move |event| (name.clone(), event.path().join("format")))
    };
    let mut found: Vec<_> = entries(events).filter(|system| system.path().is_dir()).flat_map(event).collect();
    found.retain(|(_, path)| path.is_file());
    found.sort();
    found
}

fn read(files: &[(String, PathBuf)]) -> Vec<EventFormat> {
    let format = |(system, path): &(String, PathBuf)| {
        let text = fs::read(path).ok()?;
        EventFormat::parse(system, &String::from_utf8_lossy(&text), ABI.long).ok()
    };
    files.iter().filter_map(format).collect()
}

fn names() -> Names {
    let btf = fs::read("/sys/kernel/btf/vmlinux").ok().and_then(|bytes| Btf::parse(&bytes).ok());
    let mut names = Names::default();
    names.enums = btf.map(Enums::from).unwrap_or_default();
    names
}

fn messages(formats: &[EventFormat], names: &Names) -> Vec<MessagePlan> {
    let mut options = MessageOptions::default();
    options.names = true;
    formats.iter().map(|format| MessagePlan::compile(format, &options, ABI, names).0).collect()
}

fn start_up(c: &mut Criterion) {
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/x86_64-6.18/events");
    let events = [Path::new("/sys/kernel/tracing/events"), Path::new(project)];
    let events = events.into_iter().find(|events| events.join("sched").is_dir()).expect("format files");
    let ten: Vec<_> = TEN
        .iter()
        .map(|event| (event.split('/').next().unwrap_or("").to_owned(), events.join(event).join("format")))
        .collect();
    for (name, files) in [("every event", all(events)), ("ten events", ten)] {
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        let (formats, known) = (read(&files), names());
        println!("{}: {} formats below {}", name, formats.len(), events.display());
        let texts = |formats: &[EventFormat], names: &Names| {
            black_box(Settings::default().text(formats, ABI.long, ABI.endian, names));
        };
        group.bench_function("formats read and parsed", |b| b.iter(|| read(&files)));
        group.bench_function("BTF read and parsed", |b| b.iter(names));
        group.bench_function("messages with names compiled", |b| b.iter(|| messages(&formats, &known)));
        group.bench_function("texts compiled", |b| b.iter(|| texts(&formats, &known)));
        group.bench_function("all of it", |b| {
            b.iter(|| {
                let (formats, names) = (read(&files), names());
                texts(&formats, &names);
                messages(&formats, &names)
            })
        });
    }
}

criterion_group!(benches, start_up);
criterion_main!(benches);
