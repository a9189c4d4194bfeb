//! Copies what somebody else's instance has recorded without consuming it: its owner goes on tracing and reads
//! everything. Only its snapshot, and a ring that is kept over reboots, must be consumed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use super::clock_file::{CLOCK_FILE, ClockFile};
use super::freeze::drain_ring;
use super::kernel::{uname, write_constants};
use super::new_folder::{NewFolder, NewFolderError};
use super::{CommandEnd, FreezeError, Frozen};
use crate::format::{Endian, EventFormat, EventId, HeaderPage, LongSize};
use crate::ring::{Times, Walk};
use crate::tracefs::{
    ClockPair, CpuStats, EventName, Files, Instance, LastBoot, MappedRing, RawBuffer, Timeline, TraceClock, Tracefs,
    TracefsError,
};

/// The byte order of the running kernel.
type Native = byteorder::NativeEndian;

/// What is copied from an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhatOf {
    /// The contents of its ring, without consuming them.
    #[default]
    Ring,
    /// The contents of its ring, consuming them.
    Taken,
    /// Its snapshot, consuming it; if there is none, one is taken now and freed again.
    Snapshot,
}

/// How an instance is copied.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CopyOptions {
    /// What to copy.
    pub what: WhatOf,
    /// Whether to store `kallsyms` too. For a ring of the last boot they are always stored, with the addresses of
    /// that boot.
    pub kallsyms: bool,
}

/// Copies the instance `name` of `tracefs` into the new folder `output`.
///
/// # Errors
/// There is no such instance, this kernel shows rings only by consuming them, or the folder cannot be written.
pub fn copy_instance(
    tracefs: &Tracefs,
    name: &str,
    output: &Path,
    options: CopyOptions,
) -> Result<Frozen, FreezeError> {
    let path = folder_of(tracefs, name)?;
    let read = |file: &str| {
        let failed = |source| TracefsError::Io { action: "read", path: path.join(file), source };
        path.as_path().bytes(Path::new(file)).map_err(failed)
    };
    let text = |file: &str| read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let kept = read("last_boot_info").ok();
    let last_boot = kept.as_ref().and_then(|text| LastBoot::parse(&String::from_utf8_lossy(text)));
    let of_last_boot = matches!(last_boot, Some(LastBoot::Last { .. }));
    if kept.is_some() && options.what == WhatOf::Ring {
        return Err(FreezeError::KeptOverReboots(name.to_owned()));
    }
    let mut notes = Vec::new();
    let mut folder = NewFolder::create(output)?;
    let snapshot = match options.what {
        WhatOf::Snapshot => Some(Snapshot::of(&path, name, kept.is_some(), &mut notes)?),
        WhatOf::Ring | WhatOf::Taken => None,
    };
    let header_text = text("events/header_page")?;
    let header = HeaderPage::parse(&header_text)?;
    folder.write("events/header_page", header_text.as_bytes())?;
    let clock = TraceClock::in_use(&text("trace_clock")?).unwrap_or(TraceClock::Other("unknown".to_owned()));
    let clock = match &last_boot {
        Some(LastBoot::Last { clock: Some(then), .. }) => TraceClock::from_name(then),
        _ => clock,
    };

    let CopiedRings { ids, stats, recorded, bytes } = copy_rings(&path, name, options.what, &header, &mut folder)?;
    if let Some(snapshot) = snapshot {
        snapshot.give_back();
    }
    // The clock of the last boot had another, unknown relation to the time of day.
    let (scale, pair) = if of_last_boot { Default::default() } else { moment(tracefs, &clock) };
    if let Some(text) = &kept {
        folder.write("last_boot_info", text)?;
    }
    copy_files(tracefs, &path, of_last_boot, &mut folder)?;
    let mut warnings = Vec::new();
    if let Some(last_boot) = last_boot.as_ref().filter(|_| of_last_boot) {
        names_then(tracefs, name, last_boot, &mut folder, (&mut notes, &mut warnings))?;
    } else if options.kallsyms
        && let Ok(symbols) = tracefs.read_proc("kallsyms")
    {
        folder.write("kallsyms", &symbols)?;
    }
    let events = copy_formats(tracefs, &ids, header.long_size(), &mut folder, &mut warnings)?;
    let times = Times::new(Vec::new(), false, scale);
    let file = ClockFile { clock, pair, times, endian: Endian::NATIVE, long_size: header.long_size() };
    folder.write(CLOCK_FILE, file.to_string().as_bytes())?;
    folder.write("uname", uname().as_bytes())?;
    let (folder, failures) = (folder.keep(), Vec::new());
    let (cut, command) = (None, CommandEnd::None);
    Ok(Frozen { folder, events, failures, stats, recorded, bytes, warnings, notes, cut, command })
}

/// The folder of the instance `name`.
fn folder_of(tracefs: &Tracefs, name: &str) -> Result<PathBuf, FreezeError> {
    let mut components = Path::new(name).components();
    let single = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    let path = tracefs.root().join("instances").join(name);
    if !single || !path.is_dir() {
        let names: Vec<_> = tracefs.instances().into_iter().map(|instance| instance.name).collect();
        return Err(FreezeError::NoInstance { name: name.to_owned(), there_are: names.join(", ") });
    }
    Ok(path)
}

/// What was copied of an instance's rings.
#[derive(Default)]
struct CopiedRings {
    /// The events that occur.
    ids: BTreeSet<EventId>,
    stats: Vec<(u32, CpuStats)>,
    recorded: u64,
    bytes: u64,
}

/// Copies the sub-buffers and the statistics of each CPU of the instance `name` in the folder `instance`.
fn copy_rings(
    instance: &Path,
    name: &str,
    what: WhatOf,
    header: &HeaderPage,
    folder: &mut NewFolder,
) -> Result<CopiedRings, FreezeError> {
    let mut copied = CopiedRings::default();
    for cpu in cpus(instance) {
        let dir = PathBuf::from(format!("per_cpu/cpu{cpu}"));
        if what != WhatOf::Snapshot {
            // A snapshot has no statistics.
            let file = dir.join("stats");
            let failed = |source| TracefsError::Io { action: "read", path: instance.join(&file), source };
            let counts = instance.bytes(&file).map_err(failed)?;
            folder.write(&file, &counts)?;
            copied.stats.push((cpu, CpuStats::parse(&String::from_utf8_lossy(&counts))));
        }
        if what != WhatOf::Ring {
            let raw = dir.join(if what == WhatOf::Snapshot { "snapshot_raw" } else { "trace_pipe_raw" });
            let (file, out) = folder.file(&raw)?;
            let ring =
                RawBuffer::open(cpu, &instance.join(&raw)).map_err(|source| FreezeError::Ring { cpu, source })?;
            let seen = &mut |page: &[u8]| copied.recorded += note(header, page, &mut copied.ids);
            copied.bytes += drain_ring(&ring, header.sub_buffer_size(), (&file, out), seen)?;
            continue;
        }
        let ring = MappedRing::open(&instance.join(&dir).join("trace_pipe_raw"));
        let ring = ring.map_err(|source| FreezeError::NoMapping { instance: name.to_owned(), source })?;
        let (file, mut out) = folder.file(dir.join("trace_pipe_raw"))?;
        for page in ring.sub_buffers(header) {
            copied.recorded += note(header, &page, &mut copied.ids);
            copied.bytes += page.len() as u64;
            out.write_all(&page).map_err(|source| NewFolderError::Write { path: file.clone(), source })?;
        }
    }
    Ok(copied)
}

/// Copies the settings of the instance in the folder `instance`, and the kernel's files of names.
fn copy_files(
    tracefs: &Tracefs,
    instance: &Path,
    of_last_boot: bool,
    folder: &mut NewFolder,
) -> Result<(), FreezeError> {
    for file in ["trace_clock", "trace_options", "current_tracer", "buffer_size_kb", "timestamp_mode"] {
        // Older kernels lack some of these.
        if let Ok(bytes) = instance.bytes(Path::new(file)) {
            folder.write(file, &bytes)?;
        }
    }
    // The tasks of the last boot had other names.
    let of_this_boot: &[&str] = if of_last_boot { &[] } else { &["saved_cmdlines", "saved_tgids", "printk_formats"] };
    for file in of_this_boot.iter().chain(&["events/header_event"]) {
        if let Ok(bytes) = tracefs.read_bytes(file) {
            folder.write(file, &bytes)?;
        }
    }
    Ok(())
}

/// Copies the formats of the events with these ids and of the tracer's own records, and the constants they use.
fn copy_formats(
    tracefs: &Tracefs,
    ids: &BTreeSet<EventId>,
    long: LongSize,
    folder: &mut NewFolder,
    warnings: &mut Vec<String>,
) -> Result<Vec<EventName>, FreezeError> {
    let (mut formats, mut events) = (Vec::new(), Vec::new());
    let tracer_records: BTreeSet<EventName> = tracefs.tracer_records()?.into_iter().collect();
    for event in tracer_records.iter().cloned().chain(tracefs.events()?) {
        let Ok(text) = tracefs.format(&event) else { continue };
        let Ok(format) = EventFormat::parse(&event.system, &text, long) else { continue };
        if ids.contains(&format.id) || tracer_records.contains(&event) {
            folder.write(event.folder().join("format"), text.as_bytes())?;
            formats.push(format);
            events.push(event);
        }
    }
    write_constants(tracefs, &formats, folder, warnings)?;
    Ok(events)
}

/// Writes the names of addresses as they were in the last boot, and reports what was done.
fn names_then(
    tracefs: &Tracefs,
    name: &str,
    last_boot: &LastBoot,
    folder: &mut NewFolder,
    (notes, warnings): (&mut Vec<String>, &mut Vec<String>),
) -> Result<(), FreezeError> {
    notes.push(format!("the events of {name} are of the last boot: without time of day and task names"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let symbols = tracefs.read_proc("kallsyms").map(text).unwrap_or_default();
    let modules = tracefs.read_proc("modules").map(text).unwrap_or_default();
    let Some(moved) = last_boot.symbols_then(&symbols, &modules) else {
        let why =
            "the kernel's address in the last boot is not known (last_boot_info, and /proc/kallsyms read as root)";
        warnings.push(format!("addresses are shown as numbers in a replay: {why}"));
        return Ok(());
    };
    notes.push(format!(
        "the kernel was {:#x} bytes {} in the last boot: symbols were moved accordingly",
        moved.delta.unsigned_abs(),
        if moved.delta < 0 { "higher" } else { "lower" }
    ));
    folder.write("kallsyms", moved.kallsyms.as_bytes())?;
    if let Ok(formats) = tracefs.read("printk_formats") {
        folder.write("printk_formats", moved.printk_formats(&formats).as_bytes())?;
    }
    Ok(())
}

/// The snapshot of an instance: the second ring, which writing `snapshot` swaps with the first
/// (Documentation/trace/ftrace.rst).
struct Snapshot {
    file: PathBuf,
    /// Whether we allocated it.
    ours: bool,
}

impl Snapshot {
    /// The existing snapshot, or one taken now.
    fn of(instance: &Path, name: &str, kept: bool, notes: &mut Vec<String>) -> Result<Snapshot, FreezeError> {
        let file = instance.join("snapshot");
        if !file.exists() {
            let why = match kept {
                true => "a ring that is kept over reboots cannot have one",
                false => "this kernel does not support it (CONFIG_TRACER_SNAPSHOT)",
            };
            return Err(FreezeError::NoSnapshot { instance: name.to_owned(), why });
        }
        let failed = |source| FreezeError::Snapshot { instance: name.to_owned(), source };
        // The contents of the file follow its header, and may be long.
        let mut begin = Vec::new();
        File::open(&file).and_then(|file| file.take(4096).read_to_end(&mut begin)).map_err(failed)?;
        let says = |what: &str| String::from_utf8_lossy(&begin).contains(what);
        let (freed, empty) = (says("* Snapshot is freed *"), says("* Snapshot is allocated *"));
        if freed || empty {
            fs::write(&file, "1").map_err(failed)?;
            notes.push(format!("a snapshot of {name} was taken now, so its ring is empty"));
        } else {
            notes.push(format!("the snapshot of {name} was copied and consumed"));
        }
        Ok(Snapshot { file, ours: freed })
    }

    /// Frees the memory, if we allocated it.
    fn give_back(self) {
        if self.ours {
            // Otherwise it is freed with the instance.
            let _ = fs::write(&self.file, "0");
        }
    }
}

fn cpus(instance: &Path) -> Vec<u32> {
    let entries = fs::read_dir(instance.join("per_cpu")).into_iter().flatten().flatten();
    let mut cpus: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok()).collect();
    cpus.sort_unstable();
    cpus
}

/// Collects the ids of a sub-buffer's records, and counts them.
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

/// The length of the clock's ticks, and one moment on it. A clock that no process can read is compared with another
/// one by instances of our own.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::made::{page, record};
    use crate::ring::page::layout;

    /// The snapshot of an instance whose file says this, the note about it, and what is in the file afterwards: when it
    /// is there and when it is given back.
    fn snapshot(text: &str) -> (Vec<String>, [String; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("snapshot");
        fs::write(&file, text).unwrap();
        let mut notes = Vec::new();
        let snapshot = Snapshot::of(folder.path(), "mine", false, &mut notes).unwrap();
        let there = fs::read_to_string(&file).unwrap();
        snapshot.give_back();
        (notes, [there, fs::read_to_string(&file).unwrap()])
    }

    #[test]
    fn a_snapshot_is_taken_where_there_is_none_and_freed_where_it_had_no_memory() {
        let taken = || vec!["a snapshot of mine was taken now, so its ring is empty".to_owned()];
        let texts = |there: &str, then: &str| [there.to_owned(), then.to_owned()];
        assert_eq!(snapshot("# tracer: nop\n#\n# * Snapshot is freed *\n#\n"), (taken(), texts("1", "0")));
        assert_eq!(snapshot("# tracer: nop\n#\n# * Snapshot is allocated *\n#\n"), (taken(), texts("1", "1")));
        let events = "# tracer: nop\n#\n  bash-1 [000] 1.0: entry: irq=1\n";
        let consumed = vec!["the snapshot of mine was copied and consumed".to_owned()];
        assert_eq!(snapshot(events), (consumed, texts(events, events)));
    }

    #[test]
    fn an_instance_without_the_file_says_why() {
        let folder = tempfile::tempdir().unwrap();
        for (kept, want) in [(true, "kept over reboots"), (false, "CONFIG_TRACER_SNAPSHOT")] {
            match Snapshot::of(folder.path(), "mine", kept, &mut Vec::new()).err() {
                Some(FreezeError::NoSnapshot { instance, why }) => assert!(instance == "mine" && why.contains(want)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn cpus_are_those_of_the_folder_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cpu10", "cpu2", "cpu0", "cpux", "other3"] {
            fs::create_dir_all(folder.path().join("per_cpu").join(name)).unwrap();
        }
        assert_eq!(cpus(folder.path()), [0, 2, 10]);
        assert!(cpus(&folder.path().join("nowhere")).is_empty());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_events_of_a_sub_buffer_are_counted_and_their_ids_collected() {
        let header = layout(LongSize::Eight, 4096);
        let mut ids = BTreeSet::from([EventId(5)]);
        let (one, other) = (record(7, 1, &[]), record(300, 1, &[]));
        let page = page(&[(1, &one), (2, &other), (3, &one)], None);
        assert_eq!(note(&header, &page, &mut ids), 3);
        assert_eq!(ids, BTreeSet::from([EventId(5), EventId(7), EventId(300)]));
        assert_eq!(note(&header, &[], &mut ids), 0);
    }
}
