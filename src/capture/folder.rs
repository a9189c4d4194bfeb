//! Capture folders: a folder that mirrors tracefs (`events/`, `per_cpu/cpuN/trace_pipe_raw`, `trace_clock` …).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::{Endian, EventFormat, HeaderPage};
use crate::names::Names;
use crate::ring::{Feed, detect_byte_order};
use crate::tracefs::TraceClock;

use super::clock_file::ClockFile;
use super::origin::Origin;
use super::{Capture, CaptureError, CpuRing, counts_ticks};

/// Bytes read from a ring file at once: some thousand events, so that the cost of the system call is negligible, with
/// at most 64 KiB per CPU.
const WINDOW: usize = 48 * 1024;
/// The limit for all ring files together: a machine may have thousands of CPUs.
const WINDOW_OF_ALL: usize = 64 << 20;
/// Ring files that are kept open. If there are more, each is opened for every read: a process may usually have 1024
/// open files.
const MOST_OPEN: usize = 256;

/// Opens the capture in `folder`.
///
/// # Errors
/// If `events/header_page` or `per_cpu` is missing or unreadable. A single unreadable `format` file is not an error:
/// see [`Capture::broken`].
pub fn open(folder: &Path) -> Result<Capture, CaptureError> {
    let header_path = folder.join("events/header_page");
    if !header_path.is_file() {
        return Err(CaptureError::NotACapture { path: folder.to_owned(), missing: "events/header_page" });
    }
    let text = read_text(&header_path)?;
    let header = HeaderPage::parse(&text).map_err(|source| CaptureError::Format { path: header_path, source })?;
    let files = ring_files(folder)?;
    if files.is_empty() {
        return Err(CaptureError::NotACapture { path: folder.to_owned(), missing: "per_cpu/cpu0/trace_pipe_raw" });
    }
    let endian = byte_order(folder, &header, &files)?;
    let (events, broken) = formats(folder, &header)?;
    let clock = fs::read_to_string(folder.join("trace_clock")).ok().and_then(|text| TraceClock::in_use(&text));
    let clock = clock.map_or("local".to_owned(), |clock| clock.to_string());
    let (hold, window) = (files.len() <= MOST_OPEN, window_of(files.len()));
    let rings = files
        .into_iter()
        .map(|(cpu, path)| {
            let file = File::open(&path).map_err(|source| CaptureError::Read { path: path.clone(), source })?;
            let stats = fs::read_to_string(path.with_file_name("stats")).ok();
            let held = if hold { Held::Open(Arc::new(file)) } else { Held::Path(path) };
            let feed = Box::new(RingFile::held(held, header.sub_buffer_size(), window));
            Ok(CpuRing { cpu, feed, stats })
        })
        .collect::<Result<_, CaptureError>>()?;
    let noted = ClockFile::load(folder);
    let (times, clock_pair) = noted.map(|noted| (noted.times, noted.pair)).unwrap_or_default();
    // A clock that counts ticks has no time of day.
    let clock_pair = clock_pair.filter(|_| !counts_ticks(&clock, &times));
    let from = folder.to_owned();
    let names = Box::new(move || Names::load(&from));
    let uname = fs::read_to_string(folder.join("uname")).ok();
    let uname = uname.and_then(|text| text.lines().next().map(str::to_owned)).filter(|line| !line.is_empty());
    let origin = Origin { host: uname.as_deref().and_then(Origin::host_of), ..Origin::default() };
    let problems = Vec::new();
    Ok(Capture { header, endian, events, broken, clock, times, clock_pair, uname, origin, problems, rings, names })
}

/// Bytes read at once from each of so many ring files.
fn window_of(files: usize) -> usize {
    WINDOW.min(WINDOW_OF_ALL / files.max(1))
}

fn read_text(path: &Path) -> Result<String, CaptureError> {
    let bytes = fs::read(path).map_err(|source| CaptureError::Read { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `(cpu, per_cpu/cpuN/trace_pipe_raw)`, or `snapshot_raw`, of every CPU, by number.
fn ring_files(folder: &Path) -> Result<Vec<(u32, PathBuf)>, CaptureError> {
    let mut files = Vec::new();
    let per_cpu = folder.join("per_cpu");
    for entry in fs::read_dir(&per_cpu).into_iter().flatten() {
        let entry = entry.map_err(|source| CaptureError::Read { path: per_cpu.clone(), source })?;
        let cpu = entry.file_name().to_str().and_then(|name| name.strip_prefix("cpu")).and_then(|n| n.parse().ok());
        // A snapshot is read in place of the ring.
        let rings = ["trace_pipe_raw", "snapshot_raw"].map(|file| entry.path().join(file));
        if let Some((cpu, ring)) = cpu.zip(rings.into_iter().find(|ring| ring.is_file())) {
            files.push((cpu, ring));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The byte order, from the commit words of the rings. A capture without events could have either; then the `clock`
/// file decides.
fn byte_order(folder: &Path, header: &HeaderPage, files: &[(u32, PathBuf)]) -> Result<Endian, CaptureError> {
    for (_, path) in files {
        let mut ring = File::open(path)
            .map(|file| RingFile::new(file, header.sub_buffer_size()))
            .map_err(|source| CaptureError::Read { path: path.clone(), source })?;
        let mut page = Vec::new();
        while ring.advance(&mut page).map_err(|source| CaptureError::Read { path: path.clone(), source })? {
            if let Some(endian) = detect_byte_order(header, [page.as_slice()]) {
                return Ok(endian);
            }
        }
    }
    Ok(ClockFile::load(folder).map_or(Endian::NATIVE, |file| file.endian))
}

type Formats = (Vec<EventFormat>, Vec<(String, crate::format::FormatError)>);

/// Reads every `events/<system>/<event>/format`; returns them by id, and those that could not be parsed.
fn formats(folder: &Path, header: &HeaderPage) -> Result<Formats, CaptureError> {
    let (mut events, mut broken) = (Vec::new(), Vec::new());
    let events_dir = folder.join("events");
    let list = |dir: &Path| -> io::Result<Vec<(String, PathBuf)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        entries.sort_unstable();
        Ok(entries)
    };
    let systems = list(&events_dir).map_err(|source| CaptureError::Read { path: events_dir, source })?;
    for (system, path) in systems.into_iter().filter(|(_, path)| path.is_dir()) {
        for (name, path) in list(&path).map_err(|source| CaptureError::Read { path, source })? {
            let path = path.join("format");
            if !path.is_file() {
                continue;
            }
            match EventFormat::parse(&system, &read_text(&path)?, header.long_size()) {
                Ok(event) => events.push(event),
                Err(error) => broken.push((format!("{system}:{name}"), error)),
            }
        }
    }
    events.sort_by_key(|event| event.id);
    Ok((events, broken))
}

/// The sub-buffers of one file in order.
pub struct RingFile {
    held: Held,
    sub_buffer: usize,
    /// The bytes that were read last, and the offset of the next sub-buffer in them.
    window: Vec<u8>,
    at: usize,
    /// Bytes read at once: whole sub-buffers.
    most: usize,
    /// The file offset of the end of the window.
    offset: u64,
}

/// A file that is kept open, or opened for each read.
#[derive(Clone)]
enum Held {
    Open(Arc<File>),
    Path(PathBuf),
}

impl Held {
    fn with<T>(&self, read: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match self {
            Held::Open(file) => read(file),
            Held::Path(path) => read(&File::open(path)?),
        }
    }
}

impl RingFile {
    /// Sub-buffers of `sub_buffer` bytes, from the beginning of the file.
    pub fn new(file: File, sub_buffer: usize) -> RingFile {
        RingFile::held(Held::Open(Arc::new(file)), sub_buffer, WINDOW)
    }

    fn held(held: Held, sub_buffer: usize, window: usize) -> RingFile {
        let sub_buffer = sub_buffer.max(1);
        let most = (window / sub_buffer).max(1) * sub_buffer;
        RingFile { held, sub_buffer, window: Vec::new(), at: 0, most, offset: 0 }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.window.clear();
        // Exactly: a vector that grows by itself takes up to twice as much.
        self.window.reserve_exact(self.most);
        self.window.resize(self.most, 0);
        let (window, offset) = (&mut self.window, self.offset);
        // Positioned reads: twins share the file and its own position.
        let read = self.held.with(|file| {
            let mut read = 0;
            while let Some(room) = window.get_mut(read..).filter(|room| !room.is_empty()) {
                match file.read_at(room, offset + read as u64) {
                    Ok(0) => break,
                    Ok(more) => read += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(read)
        });
        self.window.truncate(*read.as_ref().unwrap_or(&0));
        self.offset += read? as u64;
        Ok(())
    }
}

impl Feed for RingFile {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        if self.at >= self.window.len() {
            self.fill()?;
        }
        let end = (self.at + self.sub_buffer).min(self.window.len());
        page.clear();
        page.extend_from_slice(&self.window[self.at..end]);
        self.at = end;
        Ok(!page.is_empty())
    }

    fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
        let length = self.held.with(|file| file.metadata())?.len();
        Ok(Some(length.div_ceil(self.sub_buffer as u64)))
    }

    fn seek(&mut self, index: u64) -> io::Result<bool> {
        self.offset = index.saturating_mul(self.sub_buffer as u64);
        self.window.clear();
        self.at = 0;
        Ok(true)
    }

    fn twin(&mut self) -> Option<Box<dyn Feed + Send>> {
        Some(Box::new(RingFile::held(self.held.clone(), self.sub_buffer, self.most)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{page, record};
    use super::*;

    const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
        \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
        \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n";

    fn write(folder: &Path, file: &str, bytes: impl AsRef<[u8]>) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn format(id: u16) -> String {
        format!(
            "name: x\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
             print fmt: \"\"\n"
        )
    }

    /// All that is left of a feed, and no more than ten sub-buffers.
    fn rest(feed: &mut dyn Feed) -> Vec<Vec<u8>> {
        let mut pages = Vec::new();
        let mut page = Vec::new();
        while pages.len() < 10 && feed.advance(&mut page).unwrap() {
            pages.push(page.clone());
        }
        pages
    }

    #[test]
    fn a_folder_is_read_as_a_capture() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let missing = |result: Result<Capture, CaptureError>| match result {
            Err(CaptureError::NotACapture { missing, .. }) => missing,
            _ => "nothing",
        };
        assert_eq!(missing(open(folder)), "events/header_page");
        write(folder, "events/header_page", HEADER_PAGE);
        assert_eq!(missing(open(folder)), "per_cpu/cpu0/trace_pipe_raw");
        let pages: Vec<_> = (1..4).map(|time| page(&[(time, &record(7, 1, &[]))], None)).collect();
        write(folder, "per_cpu/cpu10/trace_pipe_raw", pages.concat());
        write(folder, "per_cpu/cpu10/stats", "entries: 3\n");
        write(folder, "per_cpu/cpu2/snapshot_raw", &pages[0]);
        write(folder, "per_cpu/cpu3/stats", "entries: 0\n");
        write(folder, "events/enable", "1\n");
        write(folder, "events/sched/enable", "1\n");
        write(folder, "events/sched/a/format", format(7));
        write(folder, "events/sched/b/format", format(3));
        write(folder, "events/sched/c/format", "nonsense");
        write(folder, "events/sched/d/enable", "1\n");
        write(folder, "trace_clock", "local [mono] boot\n");
        write(folder, "uname", "Linux mars 6.18.1 #1 x86_64\nsecond line\n");
        let clock = "clock mono\nbyte_order little\ntrace_ns 3\nrealtime_ns 4\nuncertainty_ns 5\n";
        write(folder, "clock", clock);
        write(folder, "saved_cmdlines", "12 sh\n");

        let mut capture = open(folder).unwrap();
        assert_eq!(capture.events.iter().map(|event| event.id.0).collect::<Vec<_>>(), [3, 7]);
        assert_eq!(capture.broken.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["sched:c"]);
        assert_eq!((capture.clock.as_str(), capture.endian), ("mono", Endian::Little));
        assert_eq!(capture.clock_pair.map(|pair| (pair.trace_ns, pair.realtime_ns)), Some((3, 4)));
        assert_eq!(capture.uname.as_deref(), Some("Linux mars 6.18.1 #1 x86_64"));
        assert_eq!(capture.origin.host.as_deref(), Some("mars"));
        assert_eq!(capture.names().0.comms.get(12), Some(&b"sh"[..]));
        let rings: Vec<_> = capture.rings.iter().map(|ring| (ring.cpu, ring.stats.as_deref())).collect();
        assert_eq!(rings, [(2, None), (10, Some("entries: 3\n"))]);
        // The files are kept open.
        fs::remove_dir_all(folder.join("per_cpu")).unwrap();
        assert_eq!(rest(&mut *capture.rings[1].feed), pages);
    }

    #[test]
    fn a_clock_that_counts_ticks_has_no_time_of_day() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "events/header_page", HEADER_PAGE);
        write(dir.path(), "per_cpu/cpu0/trace_pipe_raw", "");
        write(dir.path(), "trace_clock", "local [x86-tsc]\n");
        let clock = "clock x86-tsc\nbyte_order big\ntrace_ns 3\nrealtime_ns 4\nuncertainty_ns 5\n";
        write(dir.path(), "clock", clock);
        let capture = open(dir.path()).unwrap();
        assert!(capture.counts_ticks());
        assert_eq!((capture.clock_pair, capture.endian, capture.uname), (None, Endian::Big, None));
    }

    #[test]
    fn a_ring_file_is_read_on_from_any_sub_buffer_and_by_twins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        // The last one is cut.
        let pages: Vec<Vec<u8>> = vec![vec![1; 64], vec![2; 64], vec![3; 64], vec![4; 64], vec![5; 10]];
        fs::write(&path, pages.concat()).unwrap();
        let open = || Held::Open(Arc::new(File::open(&path).unwrap()));
        // Two sub-buffers at once, all of them, and less than one.
        for (held, window) in [(open(), 140), (Held::Path(path.clone()), 1 << 16), (open(), 10)] {
            let mut feed = RingFile::held(held, 64, window);
            assert_eq!(feed.sub_buffers().unwrap(), Some(5));
            assert_eq!(rest(&mut feed), pages);
            assert_eq!(rest(&mut feed), [[0; 0]; 0]);
            let mut twin = feed.twin().unwrap();
            assert!(feed.seek(3).unwrap());
            assert_eq!(rest(&mut feed), pages[3..]);
            assert_eq!(rest(&mut *twin), pages);
            assert!(twin.seek(1).unwrap() && feed.seek(9).unwrap());
            assert_eq!((rest(&mut *twin).len(), rest(&mut feed).len()), (4, 0));
        }
        assert_eq!(rest(&mut RingFile::new(File::open(&path).unwrap(), 64)), pages);
    }

    #[test]
    fn whole_sub_buffers_are_read_at_once_and_less_if_there_are_many_files() {
        let most = |sub_buffer, window| RingFile::held(Held::Path(PathBuf::new()), sub_buffer, window).most;
        assert_eq!((most(4096, 49_152), most(5000, 49_152), most(65_536, 49_152)), (49_152, 45_000, 65_536));
        assert_eq!((window_of(0), window_of(2), window_of(4096)), (49_152, 49_152, 16_384));
    }

    #[test]
    fn a_ring_file_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        // read(2) of a folder: EISDIR.
        let mut feed = RingFile::new(File::open(dir.path()).unwrap(), 64);
        assert!(feed.advance(&mut Vec::new()).is_err());
        let mut feed = RingFile::held(Held::Path(dir.path().join("none")), 64, 64);
        assert!(feed.advance(&mut Vec::new()).is_err());
    }
}
