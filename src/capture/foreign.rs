//! What an instance of somebody else's has recorded, copied without taking anything out of it: its owner goes on tracing, and
//! reads what it would have read.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use super::clock_file::{CLOCK_FILE, ClockFile};
use super::freeze::{constants, uname};
use super::new_folder::NewFolder;
use super::{CommandEnd, FreezeError, Frozen};
use crate::format::{Endian, EventFormat, EventId, HeaderPage};
use crate::ring::{Times, Walk};
use crate::tracefs::{
    ClockPair, CpuStats, EventName, Files, Instance, MappedRing, Timeline, TraceClock, Tracefs, TracefsError,
};

/// The kernel's byte order: that of this machine.
type Native = byteorder::NativeEndian;

/// Copies the instance `name` of `tracefs` into the new folder `output`; with `kallsyms`, that as well.
///
/// # Errors
/// There is no such instance, this kernel shows no ring without taking from it, or the folder cannot be written.
pub fn copy_instance(tracefs: &Tracefs, name: &str, output: &Path, kallsyms: bool) -> Result<Frozen, FreezeError> {
    let none = || FreezeError::NoInstance { name: name.to_owned(), there_are: instances(tracefs).join(", ") };
    let mut components = Path::new(name).components();
    let single = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    let path = tracefs.root().join("instances").join(name);
    if !single || !path.is_dir() {
        return Err(none());
    }
    let read = |file: &str| {
        let failed = |source| TracefsError::Io { action: "read", path: path.join(file), source };
        path.as_path().bytes(Path::new(file)).map_err(failed)
    };
    let text = |file: &str| read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut folder = NewFolder::create(output)?;
    let header_text = text("events/header_page")?;
    let header = HeaderPage::parse(&header_text)?;
    folder.write("events/header_page", header_text.as_bytes())?;
    let clock = TraceClock::in_use(&text("trace_clock")?).unwrap_or(TraceClock::Other("unknown".to_owned()));

    let (mut ids, mut stats, mut recorded, mut bytes) = (BTreeSet::new(), Vec::new(), 0, 0);
    for cpu in cpus(&path) {
        let dir = PathBuf::from(format!("per_cpu/cpu{cpu}"));
        let counts = read(&format!("per_cpu/cpu{cpu}/stats"))?;
        folder.write(dir.join("stats"), &counts)?;
        stats.push((cpu, CpuStats::parse(&String::from_utf8_lossy(&counts))));
        let ring = MappedRing::open(&path.join(&dir).join("trace_pipe_raw"));
        let ring = ring.map_err(|source| FreezeError::NoMapping { instance: name.to_owned(), source })?;
        let (file, mut out) = folder.file(dir.join("trace_pipe_raw"))?;
        for page in ring.sub_buffers(&header) {
            recorded += note(&header, &page, &mut ids);
            bytes += page.len() as u64;
            out.write_all(&page).map_err(|source| FreezeError::Write { path: file.clone(), source })?;
        }
    }
    let (scale, pair) = moment(tracefs, &clock);
    for file in ["trace_clock", "trace_options", "current_tracer", "buffer_size_kb", "timestamp_mode"] {
        // Older kernels lack some.
        if let Ok(bytes) = read(file) {
            folder.write(file, &bytes)?;
        }
    }
    for file in ["saved_cmdlines", "saved_tgids", "events/header_event", "printk_formats"] {
        if let Ok(bytes) = tracefs.read_bytes(file) {
            folder.write(file, &bytes)?;
        }
    }
    if kallsyms && let Ok(symbols) = tracefs.read_proc("kallsyms") {
        folder.write("kallsyms", &symbols)?;
    }
    let (mut formats, mut events) = (Vec::new(), Vec::new());
    let tracer_records: BTreeSet<EventName> = tracefs.tracer_records()?.into_iter().collect();
    for event in tracer_records.iter().cloned().chain(tracefs.events()?) {
        let Ok(text) = tracefs.format(&event) else { continue };
        let Ok(format) = EventFormat::parse(&event.system, &text, header.long_size()) else { continue };
        if ids.contains(&format.id) || tracer_records.contains(&event) {
            folder.write(event.folder().join("format"), text.as_bytes())?;
            formats.push(format);
            events.push(event);
        }
    }
    let mut warnings = Vec::new();
    match constants(tracefs, &formats) {
        Ok(text) if !text.is_empty() => folder.write("constants", text.as_bytes())?,
        Ok(_) => {}
        Err(error) => warnings.push(format!("enum constants stay numbers in a replay: {error}")),
    }
    let times = Times::new(Vec::new(), false, scale);
    let file = ClockFile { clock, pair, times, endian: Endian::NATIVE, long_size: header.long_size() };
    folder.write(CLOCK_FILE, file.to_string().as_bytes())?;
    folder.write("uname", uname().as_bytes())?;
    let (folder, failures) = (folder.keep(), Vec::new());
    Ok(Frozen { folder, events, failures, stats, recorded, bytes, warnings, cut: None, command: CommandEnd::None })
}

/// The names of the instances there are.
fn instances(tracefs: &Tracefs) -> Vec<String> {
    let entries = fs::read_dir(tracefs.root().join("instances")).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn cpus(instance: &Path) -> Vec<u32> {
    let entries = fs::read_dir(instance.join("per_cpu")).into_iter().flatten().flatten();
    let mut cpus: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok()).collect();
    cpus.sort_unstable();
    cpus
}

/// Notes the ids of a sub-buffer's records, and counts them.
fn note(header: &HeaderPage, page: &[u8], ids: &mut BTreeSet<EventId>) -> u64 {
    let Ok((mut walk, _)) = Walk::open::<Native>(header, page) else { return 0 };
    let mut count = 0;
    while let Some(Ok(found)) = walk.next_in::<Native>(page) {
        let id = page.get(found.payload).and_then(|record| record.first_chunk::<2>());
        ids.extend(id.map(|id| EventId(u16::from_ne_bytes(*id))));
        count += 1;
    }
    count
}

/// The length of the clock's ticks, and one moment on it. A clock that no process can read is held against another one by
/// instances of our own.
fn moment(tracefs: &Tracefs, clock: &TraceClock) -> crate::tracefs::Noted {
    if !Timeline::is_needed_for(clock) {
        return (None, ClockPair::take(clock));
    }
    let beside = Instance::create(tracefs, None).and_then(|instance| {
        let noted = Timeline::start(&instance, clock).map(|timeline| timeline.noted());
        instance.close().and(noted)
    });
    beside.unwrap_or_default()
}

/// Whether mmap(2) of a ring failed since this kernel has no such thing.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL | libc::EOPNOTSUPP))
}
