//! The description of the traced kernel for a new file: taken from a capture folder, from tracefs, or from another
//! file.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{DatError, EventText, Metadata, Options, TraceDat};
use crate::{
    capture::clock_file::ClockFile,
    format::{Endian, HeaderPage, LongSize},
    tracefs::{ClockPair, Files, TraceClock},
};

/// The description of the traced kernel and the recording, for a new file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Description {
    /// Byte order of the traced machine.
    pub endian: Endian,
    /// `long` of its user space.
    pub user_long_size: LongSize,
    /// Bytes of one sub-buffer. Version 6 has one size for all buffers and calls it the page size.
    pub sub_buffer_size: u32,
    /// The kernel's description files.
    pub metadata: Metadata,
    /// `kallsyms`, byte for byte.
    pub kallsyms: Vec<u8>,
    /// The options.
    pub options: Options,
}

/// Why a folder's descriptions could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct DescriptionError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub source: io::Error,
}

impl Description {
    /// Reads the description from a folder that mirrors tracefs: a capture folder.
    pub fn of_folder(folder: &Path, endian: Endian) -> Result<Description, DescriptionError> {
        let mut description = Description::of_files(folder, endian)?;
        if let Some(noted) = ClockFile::load(folder) {
            description.options.set_times(&noted.times);
            noted.pair.iter().for_each(|pair| description.options.set_wall_clock(pair));
        }
        Ok(description)
    }

    /// The same for an instance, or anything else with such files.
    ///
    /// For an instance, `kallsyms` and `printk_formats` are elsewhere: add them with
    /// [`Description::add_kernel_files`].
    pub(in crate::capture) fn of_files(
        folder: &(impl Files + ?Sized),
        endian: Endian,
    ) -> Result<Description, DescriptionError> {
        let header_path = Path::new("events/header_page");
        let header_page = text(folder, header_path)?;
        let header = HeaderPage::parse(&header_page);
        let header =
            header.map_err(|error| DescriptionError { path: header_path.into(), source: io::Error::other(error) })?;
        let optional = |name: &str| folder.bytes(Path::new(name)).unwrap_or_default();
        let optional_text = |name: &str| {
            let text = String::from_utf8_lossy(&optional(name)).trim_end().to_owned();
            Some(text).filter(|text| !text.is_empty())
        };
        let metadata = Metadata {
            header_page,
            header_event: String::from_utf8_lossy(&optional("events/header_event")).into_owned(),
            formats: formats(folder)?,
            printk_formats: optional("printk_formats"),
            saved_cmdlines: optional("saved_cmdlines"),
        };
        let stats = stats(folder);
        let options = Options {
            trace_clock: optional_text("trace_clock"),
            // The first line only: `uname` of some captures also contains /proc/version.
            uname: optional_text("uname").and_then(|text| text.lines().next().map(str::to_owned)),
            cpu_count: stats.last().map(|(cpu, _)| cpu + 1),
            cpustat: stats.into_iter().map(|(cpu, text)| format!("CPU: {cpu}\n{text}")).collect(),
            version: Some(concat!("ftrace-live ", env!("CARGO_PKG_VERSION")).to_owned()),
            ..Options::default()
        };
        Ok(Description {
            endian,
            user_long_size: header.long_size(),
            sub_buffer_size: u32::try_from(header.sub_buffer_size()).unwrap_or(u32::MAX),
            metadata,
            kallsyms: optional("kallsyms"),
            options,
        })
    }

    /// Adds the files of the running kernel outside of an instance's folder: symbols, constant strings, names of
    /// tasks. Those that cannot be read are left out.
    #[cfg(feature = "tracefs")]
    pub(in crate::capture) fn add_kernel_files(&mut self, tracefs: &crate::tracefs::Tracefs) {
        let read = |file: &str| tracefs.read_bytes(file).unwrap_or_default();
        self.kallsyms = tracefs.read_proc("kallsyms").unwrap_or_default();
        self.metadata.printk_formats = read("printk_formats");
        self.metadata.saved_cmdlines = read("saved_cmdlines");
    }
}

impl Options {
    /// Sets DATE from one moment on both clocks.
    pub fn set_wall_clock(&mut self, pair: &ClockPair) {
        // DATE is in microseconds; readers add it to every time, which leaves digits below a microsecond unchanged.
        let microseconds = (i128::from(pair.realtime_ns) - i128::from(pair.trace_ns)).div_euclid(1000);
        self.date = i64::try_from(microseconds).ok().map(|date| match date {
            0.. => format!("{date:#x}"),
            _ => date.to_string(),
        });
    }

    /// One moment on both clocks, from DATE: the zero of the trace clock.
    pub fn wall_clock(&self) -> Option<ClockPair> {
        let offset = self.date_ns()?;
        // DATE was truncated to a microsecond.
        Some(ClockPair { trace_ns: 0, realtime_ns: u64::try_from(offset).ok()?, uncertainty_ns: 1000 })
    }
}

impl TraceDat {
    /// The description in this file, for a new file.
    pub fn description(&self) -> Result<Description, DatError> {
        let size = self.buffers.iter().map(|buffer| buffer.sub_buffer_size).max();
        Ok(Description {
            endian: self.endian,
            user_long_size: self.user_long_size,
            sub_buffer_size: size.and_then(|size| u32::try_from(size).ok()).unwrap_or(self.page_size),
            metadata: self.metadata.clone(),
            kallsyms: self.kallsyms()?,
            options: self.options.clone(),
        })
    }
}

fn text(folder: &(impl Files + ?Sized), path: &Path) -> Result<String, DescriptionError> {
    let bytes = folder.bytes(path).map_err(|source| DescriptionError { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Every `SYSTEM/EVENT/format` in `events`, sorted. Probes of others may be removed meanwhile, and their groups with them:
/// what is gone is left out.
fn formats(files: &(impl Files + ?Sized)) -> Result<Vec<EventText>, DescriptionError> {
    let events = Path::new("events");
    // In tracefs, files are beside the folders of events.
    let folders = |path: &Path| {
        let mut names = files.folders(path).map_err(|source| DescriptionError { path: path.to_owned(), source })?;
        names.sort_unstable();
        Ok::<_, DescriptionError>(names)
    };
    let mut formats = Vec::new();
    for system in folders(events)? {
        for event in unless_gone(folders(&events.join(&system)))?.unwrap_or_default() {
            let path = events.join(&system).join(event).join("format");
            if let Some(text) = unless_gone(text(files, &path))? {
                formats.push(EventText { system: system.clone(), text });
            }
        }
    }
    Ok(formats)
}

/// `None` for a file or folder of an event that was removed: before it was opened (ENOENT), or before it was read (ENODEV,
/// `f_start` in kernel/trace/trace_events.c).
fn unless_gone<T>(read: Result<T, DescriptionError>) -> Result<Option<T>, DescriptionError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.source.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `per_cpu/cpuN/stats` of each CPU, by number.
fn stats(files: &(impl Files + ?Sized)) -> Vec<(u32, String)> {
    let per_cpu = Path::new("per_cpu");
    let mut stats = Vec::new();
    for folder in files.folders(per_cpu).unwrap_or_default() {
        let cpu = folder.strip_prefix("cpu").and_then(|cpu| cpu.parse().ok());
        if let (Some(cpu), Ok(text)) = (cpu, files.bytes(&per_cpu.join(&folder).join("stats"))) {
            stats.push((cpu, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    stats.sort_unstable();
    stats
}

/// The text of a `trace_clock` file for a clock of which only the name is known.
pub(in crate::capture) fn trace_clock_text(options: &Options, clock: Option<&str>) -> String {
    match (&options.trace_clock, clock) {
        (Some(text), None) => text.clone(),
        (Some(text), Some(clock)) if TraceClock::in_use(text) == Some(TraceClock::from_name(clock)) => text.clone(),
        (_, clock) => format!("[{}]", clock.unwrap_or("local")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tracefs in which others remove their probes: the group `gone`, the events `a/closed` and `a/unlinked`.
    struct Churning;

    impl Files for Churning {
        fn bytes(&self, file: &Path) -> io::Result<Vec<u8>> {
            match file.to_str() {
                Some("events/a/kept/format") => Ok(b"name: kept".to_vec()),
                Some("events/a/closed/format") => Err(io::Error::from_raw_os_error(libc::ENODEV)),
                Some("events/a/unlinked/format") => Err(io::Error::from_raw_os_error(libc::ENOENT)),
                _ => Err(io::Error::from_raw_os_error(libc::EIO)),
            }
        }

        fn folders(&self, folder: &Path) -> io::Result<Vec<String>> {
            let names: &[&str] = match folder.to_str() {
                Some("events") => &["gone", "a"],
                Some("events/a") => &["unlinked", "kept", "closed"],
                Some("events/gone") => return Err(io::Error::from_raw_os_error(libc::ENOENT)),
                _ => return Err(io::Error::from_raw_os_error(libc::EIO)),
            };
            Ok(names.iter().map(|name| (*name).to_owned()).collect())
        }
    }

    #[test]
    fn events_that_are_removed_while_the_formats_are_read_are_left_out() {
        let formats = formats(&Churning).unwrap();
        assert_eq!(
            formats.iter().map(|format| (&*format.system, &*format.text)).collect::<Vec<_>>(),
            [("a", "name: kept")]
        );
        let broken = |number| DescriptionError { path: "events".into(), source: io::Error::from_raw_os_error(number) };
        assert!(unless_gone::<()>(Err(broken(libc::EIO))).is_err());
    }

    /// A folder with the files of a machine of 11 CPUs, two of which have statistics.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            "events/header_page",
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
             \tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n\
             \tfield: char data;\toffset:12;\tsize:65524;\tsigned:1;\n",
        );
        put("events/header_event", "event");
        put("events/sched/switch/format", "name: switch\n");
        put("printk_formats", "0x1 : \"a\"\n");
        put("saved_cmdlines", "1 init\n");
        put("kallsyms", "0 t a\n");
        put("trace_clock", "local [mono]\n");
        put("uname", "Linux host 6.1.0 x86_64\nLinux version 6.1.0\n");
        put("per_cpu/cpu10/stats", "entries: 10\n");
        put("per_cpu/cpu2/stats", "entries: 2\n");
        put("per_cpu/cpu3/other", "");
        put("per_cpu/other/stats", "entries: 3\n");
        folder
    }

    #[test]
    fn a_folder_describes_its_kernel_and_its_cpus() {
        let folder = folder();
        let description = Description::of_folder(folder.path(), Endian::Big).unwrap();
        assert_eq!((description.endian, description.user_long_size), (Endian::Big, LongSize::Four));
        assert_eq!((description.sub_buffer_size, &description.kallsyms[..]), (65536, &b"0 t a\n"[..]));
        assert_eq!(description.metadata.header_event, "event");
        assert_eq!(description.metadata.formats.len(), 1);
        assert_eq!(description.metadata.printk_formats, b"0x1 : \"a\"\n");
        assert_eq!(description.metadata.saved_cmdlines, b"1 init\n");
        let Options { trace_clock, uname, cpu_count, cpustat, version, .. } = description.options;
        assert_eq!((trace_clock.as_deref(), uname.as_deref()), (Some("local [mono]"), Some("Linux host 6.1.0 x86_64")));
        assert_eq!(
            (cpu_count, cpustat),
            (Some(11), vec!["CPU: 2\nentries: 2\n".into(), "CPU: 10\nentries: 10\n".into()])
        );
        assert_eq!(version.unwrap(), concat!("ftrace-live ", env!("CARGO_PKG_VERSION")));
        // A file that has nothing in it is none.
        std::fs::write(folder.path().join("trace_clock"), "\n").unwrap();
        assert_eq!(Description::of_folder(folder.path(), Endian::Big).unwrap().options.trace_clock, None);
    }

    #[test]
    #[cfg(feature = "tracefs")]
    fn the_kernels_names_come_from_outside_of_the_instance() {
        let (instance, kernel) = (folder(), folder());
        std::fs::write(kernel.path().join("printk_formats"), "0x2 : \"b\"\n").unwrap();
        std::fs::write(kernel.path().join("saved_cmdlines"), "2 other\n").unwrap();
        let mut description = Description::of_folder(instance.path(), Endian::Little).unwrap();
        description.add_kernel_files(&crate::tracefs::Tracefs::at(kernel.path()).unwrap());
        assert_eq!(description.metadata.printk_formats, b"0x2 : \"b\"\n");
        assert_eq!(description.metadata.saved_cmdlines, b"2 other\n");
    }

    #[test]
    fn the_text_of_a_clock_is_the_files_own_if_that_clock_is_in_use() {
        let mut options = Options::default();
        assert_eq!(trace_clock_text(&options, None), "[local]");
        assert_eq!(trace_clock_text(&options, Some("mono")), "[mono]");
        options.trace_clock = Some("local [mono] boot".to_owned());
        assert_eq!(trace_clock_text(&options, None), "local [mono] boot");
        assert_eq!(trace_clock_text(&options, Some("mono")), "local [mono] boot");
        assert_eq!(trace_clock_text(&options, Some("boot")), "[boot]");
    }

    #[test]
    fn a_date_is_the_distance_of_both_clocks_in_whole_microseconds() {
        let mut options = Options::default();
        let mut kept = |trace_ns, realtime_ns| {
            options.set_wall_clock(&ClockPair { trace_ns, realtime_ns, uncertainty_ns: 5 });
            (options.date.clone().unwrap(), options.wall_clock())
        };
        let pair = |realtime_ns| Some(ClockPair { trace_ns: 0, realtime_ns, uncertainty_ns: 1000 });
        assert_eq!(kept(1_000, 17_999), ("0x10".to_owned(), pair(16_000)));
        assert_eq!(kept(0, 0), ("0x0".to_owned(), pair(0)));
        // A clock that is ahead of the time of day: no moment of it was before 1970.
        assert_eq!(kept(2_001, 1_000), ("-2".to_owned(), None));
    }
}
