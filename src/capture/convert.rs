//! Converts between containers: a capture folder or a `trace.dat` into a `trace.dat` or a folder.
//!
//! Sub-buffers are copied unchanged. A `trace.dat` of version 6 has no place for a folder's `trace` text,
//! `saved_tgids` and `constants`, which are left out.

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use super::{
    CaptureError, RingFeed,
    clock_file::{CLOCK_FILE, ClockFile},
    folder,
    new_folder::{NewFolder, NewFolderError},
    open_file,
    trace_dat::{
        BufferData, BufferOut, DatError, Description, DescriptionError, Open, WriteError, Written,
        description::trace_clock_text, write,
    },
};
use crate::{
    format::{FormatError, HeaderPage},
    ring::Feed,
    tracefs::TraceClock,
};

/// Why a capture could not be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The input cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The input's descriptions cannot be read.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// The input's layout of sub-buffers is not one that the kernel writes.
    #[error("header_page: {0}")]
    Layout(#[from] FormatError),
    /// A `trace.dat` cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A folder cannot be written.
    #[error(transparent)]
    Folder(#[from] NewFolderError),
    /// Version 6 has one sub-buffer size for all buffers.
    #[error(
        "the buffers have sub-buffers of {0} and of {1} bytes, which a trace.dat of version 6 cannot hold; convert into a folder"
    )]
    SubBufferSizes(usize, usize),
    /// A name in the input cannot be a file name.
    #[error(
        "{0:?} is the name of an event, a group or an instance in it, but cannot be a file name: convert into a trace.dat, -o NAME.dat"
    )]
    Name(String),
}

impl ConvertError {
    /// Whether the command line is at fault rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        matches!(self, ConvertError::Folder(NewFolderError::NotEmpty(_)) | ConvertError::SubBufferSizes(..))
    }
}

/// The result of a conversion.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Converted {
    /// What was written.
    pub written: Written,
    /// The errors of the input, when salvaging.
    pub problems: Vec<DatError>,
}

/// A capture with all its buffers.
struct Contents {
    description: Description,
    buffers: Vec<BufferOut<RingFeed>>,
    /// The sub-buffer size of each buffer.
    sizes: Vec<usize>,
    problems: Vec<DatError>,
}

/// Whether the ending of `output` means a `trace.dat` rather than a folder.
pub fn is_dat_name(output: &Path) -> bool {
    output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("dat")) && !output.is_dir()
}

/// Converts the capture at `input` to `output`: a `trace.dat` if the name ends so, otherwise a new folder. `progress`
/// is called with the bytes of sub-buffers written so far.
pub fn convert(
    input: &Path,
    output: &Path,
    how: Open,
    progress: &mut dyn FnMut(u64),
) -> Result<Converted, ConvertError> {
    let contents = read(input, how)?;
    if is_dat_name(output) { to_dat(contents, output, progress) } else { to_folder(contents, output, progress) }
}

fn read(input: &Path, how: Open) -> Result<Contents, ConvertError> {
    if input.is_dir() {
        let capture = folder::open(input)?;
        let description = Description::of_folder(input, capture.endian)?;
        let cpus = capture.rings.into_iter().map(|ring| (ring.cpu, ring.feed)).collect();
        let buffer = BufferOut { name: String::new(), clock: Some(capture.clock), cpus };
        let sizes = vec![capture.header.sub_buffer_size()];
        return Ok(Contents { description, buffers: vec![buffer], sizes, problems: Vec::new() });
    }
    let dat = open_file(input, how)?;
    let mut description = dat.description().map_err(|source| CaptureError::dat(input, source))?;
    let mut buffers = Vec::new();
    let mut sizes = Vec::new();
    for buffer in dat.buffers.iter().filter(|buffer| matches!(buffer.data, BufferData::Cpus(_))) {
        let cpus = dat.feeds(buffer).into_iter().map(|(cpu, feed)| (cpu, Box::new(feed) as RingFeed)).collect();
        buffers.push(BufferOut { name: buffer.name.clone(), clock: buffer.clock.clone(), cpus });
        sizes.push(buffer.sub_buffer_size);
    }
    // The top-level buffer is always the first in a file; it is empty if only instances were recorded.
    match buffers.iter().position(|buffer| buffer.name.is_empty()) {
        Some(top) => {
            buffers.swap(0, top);
            sizes.swap(0, top);
        }
        None => {
            buffers.insert(0, BufferOut { name: String::new(), clock: None, cpus: Vec::new() });
            sizes.insert(0, sizes.first().copied().unwrap_or(dat.page_size as usize));
        }
    }
    if let (None, Some(clock)) = (&description.options.trace_clock, buffers.iter().find_map(|b| b.clock.as_deref())) {
        description.options.trace_clock = Some(format!("[{clock}]"));
    }
    Ok(Contents { description, buffers, sizes, problems: dat.problems })
}

fn to_dat(contents: Contents, output: &Path, progress: &mut dyn FnMut(u64)) -> Result<Converted, ConvertError> {
    let Contents { mut description, buffers, sizes, problems } = contents;
    let size = sizes.first().copied().unwrap_or_default();
    if let Some(other) = sizes.iter().find(|&&other| other != size) {
        return Err(ConvertError::SubBufferSizes(size, *other));
    }
    let layout = HeaderPage::parse(&description.metadata.header_page)?;
    if layout.sub_buffer_size() != size {
        description.metadata.header_page = layout.with_sub_buffer_size(size)?.to_string();
    }
    description.sub_buffer_size = u32::try_from(size).unwrap_or(u32::MAX);
    let written = write(output, &description, buffers, progress)?;
    Ok(Converted { written, problems })
}

fn to_folder(contents: Contents, output: &Path, progress: &mut dyn FnMut(u64)) -> Result<Converted, ConvertError> {
    let Contents { description, buffers, sizes, problems } = contents;
    let layout = HeaderPage::parse(&description.metadata.header_page)?;
    let mut written = Written::default();
    let mut folder = NewFolder::create(output)?;
    for (buffer, size) in buffers.into_iter().zip(sizes) {
        // An instance becomes a capture folder inside the first one, as in tracefs.
        let stats = if buffer.name.is_empty() {
            description.options.cpustat.as_slice()
        } else {
            folder.enter(Path::new("instances").join(file_name(&buffer.name)?));
            &[][..]
        };
        let layout = layout.with_sub_buffer_size(size)?;
        describe(&mut folder, &description, &layout, &buffer)?;
        for text in stats.iter().take_while(|text| !text.trim().starts_with("Buffer: ")) {
            if let Some((cpu, text)) = cpu_stat(text) {
                folder.write(format!("per_cpu/cpu{cpu}/stats"), text.as_bytes())?;
            }
        }
        for (cpu, feed) in buffer.cpus {
            ring(&mut folder, cpu, feed, &mut written, progress)?;
        }
    }
    folder.keep();
    Ok(Converted { written, problems })
}

/// The description files of a capture folder.
fn describe(
    folder: &mut NewFolder,
    description: &Description,
    layout: &HeaderPage,
    buffer: &BufferOut<RingFeed>,
) -> Result<(), ConvertError> {
    let Description { endian, metadata, kallsyms, options, .. } = description;
    folder.write("events/header_page", layout.to_string().as_bytes())?;
    folder.write("events/header_event", metadata.header_event.as_bytes())?;
    let mut seen = std::collections::HashSet::new();
    for format in &metadata.formats {
        let first = format.text.lines().next().unwrap_or_default();
        let name = first.strip_prefix("name: ").unwrap_or_default();
        let path = Path::new("events").join(file_name(&format.system)?).join(file_name(name)?).join("format");
        // The same event in two sections of a file is written once.
        if seen.insert(path.clone()) {
            folder.write(path, format.text.as_bytes())?;
        }
    }
    for (file, bytes) in [
        ("kallsyms", kallsyms.as_slice()),
        ("printk_formats", &metadata.printk_formats),
        ("saved_cmdlines", &metadata.saved_cmdlines),
    ] {
        if !bytes.is_empty() {
            folder.write(file, bytes)?;
        }
    }
    let clock = trace_clock_text(options, buffer.clock.as_deref());
    folder.write("trace_clock", format!("{}\n", clock.trim_end()).as_bytes())?;
    if let Some(uname) = &options.uname {
        folder.write("uname", format!("{uname}\n").as_bytes())?;
    }
    let clock = TraceClock::in_use(&clock).unwrap_or(TraceClock::from_name("local"));
    let (pair, times, long_size) = (options.wall_clock(), options.times(), layout.long_size());
    let file = ClockFile { clock, pair, times, endian: *endian, long_size };
    folder.write(CLOCK_FILE, file.to_string().as_bytes())?;
    Ok(())
}

/// One CPU's sub-buffers.
fn ring(
    folder: &mut NewFolder,
    cpu: u32,
    mut feed: RingFeed,
    written: &mut Written,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ConvertError> {
    let (path, out) = folder.file(format!("per_cpu/cpu{cpu}/trace_pipe_raw"))?;
    let failed = |source: io::Error| NewFolderError::Write { path: path.clone(), source };
    let mut out = io::BufWriter::with_capacity(256 << 10, out);
    let mut page = Vec::new();
    while feed.advance(&mut page).map_err(|source| WriteError::Read { cpu, source })? {
        out.write_all(&page).map_err(failed)?;
        written.sub_buffers += 1;
        written.bytes += page.len() as u64;
        progress(written.bytes);
    }
    out.flush().map_err(failed)?;
    Ok(())
}

/// The CPU and the text of a CPUSTAT option, which begins with `CPU: 3`.
fn cpu_stat(text: &str) -> Option<(u32, &str)> {
    let (first, rest) = text.trim_start().split_once('\n')?;
    Some((first.strip_prefix("CPU: ")?.trim().parse().ok()?, rest))
}

/// `name`, if it is a single path component and does not lead elsewhere.
fn file_name(name: &str) -> Result<PathBuf, ConvertError> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == OsStr::new(name) && !name.contains('\0') => Ok(only.into()),
        _ => Err(ConvertError::Name(name.chars().take(64).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::made::{Ring, page};

    #[test]
    fn an_output_is_a_file_by_its_ending_unless_it_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made.dat");
        std::fs::create_dir(&made).unwrap();
        assert!(is_dat_name(Path::new("a.dat")) && is_dat_name(Path::new("a.DAT")));
        assert!(!is_dat_name(Path::new("a")) && !is_dat_name(Path::new("a.data")) && !is_dat_name(&made));
    }

    #[test]
    fn a_name_is_one_component_of_a_path() {
        for name in ["sched", "a b", "..."] {
            assert_eq!(file_name(name).ok().as_deref(), Some(Path::new(name)));
        }
        for name in ["", ".", "..", "/", "/a", "a/", "a/b", "../a", "a\0"] {
            assert!(matches!(file_name(name), Err(ConvertError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn the_statistics_of_a_cpu_follow_its_number() {
        assert_eq!(cpu_stat("CPU: 3\nentries: 5\noverrun: 0\n"), Some((3, "entries: 5\noverrun: 0\n")));
        assert_eq!(cpu_stat("\nCPU: 12 \n"), Some((12, "")));
        for text in ["", "CPU: 3", "CPU: x\n", "entries: 5\nCPU: 3\n"] {
            assert_eq!(cpu_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_the_user_gave_is_the_fault_of_the_command_line() {
        assert!(ConvertError::SubBufferSizes(4096, 8192).is_usage());
        assert!(ConvertError::Folder(NewFolderError::NotEmpty(PathBuf::from("a"))).is_usage());
        assert!(!ConvertError::Name("..".to_owned()).is_usage());
    }

    #[test]
    fn the_sub_buffers_of_a_ring_are_copied_and_counted() {
        let parent = tempfile::tempdir().unwrap();
        let mut folder = NewFolder::create(&parent.path().join("new")).unwrap();
        let pages = [page(&[(1, b"abcd")], None), page(&[(2, b"efgh")], None)];
        let (mut written, mut progress) = (Written { sub_buffers: 3, bytes: 100, ..Written::default() }, Vec::new());
        let feed = Box::new(Ring::new(pages.to_vec()));
        ring(&mut folder, 5, feed, &mut written, &mut |bytes| progress.push(bytes)).unwrap();
        assert_eq!((written.sub_buffers, written.bytes, progress), (5, 8292, vec![4196, 8292]));
        let copied = std::fs::read(folder.keep().join("per_cpu/cpu5/trace_pipe_raw")).unwrap();
        assert!(copied == pages.concat());
    }
}
