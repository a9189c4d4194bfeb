//! Damaged and hostile files: an error with its place, in little memory and time, and never a panic. Salvaging reads
//! what is readable.

mod common;

use std::{
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use common::corpus;
use ftrace_live::{
    capture::trace_dat::{BufferData, DatError, Open, Problem, TraceDat},
    ring::Feed,
};

const SALVAGE: Open = Open::new(true);

fn corpus_file(name: &str) -> Option<PathBuf> {
    Some(corpus::folder()?.join("tracedat").join(name))
}

/// Reads everything; returns the number of complete sub-buffers.
fn read_all(file: File, how: Open) -> Result<usize, DatError> {
    let dat = TraceDat::from_file(file, how)?;
    let mut sub_buffers = 0;
    let mut page = Vec::new();
    for buffer in &dat.buffers {
        for (_, mut feed) in dat.feeds(buffer) {
            while let Ok(true) = feed.next_into(&mut page) {
                sub_buffers += usize::from(page.len() == buffer.sub_buffer_size);
            }
            // Building the index walks the same chunks, and must end as well.
            let _ = Feed::sub_buffers(&mut feed);
            let _ = feed.seek(3);
            let _ = feed.seek_near_end();
            let _ = feed.next_into(&mut page);
        }
        if let Some(mut text) = dat.text(buffer) {
            let _ = std::io::copy(&mut text, &mut std::io::sink());
        }
    }
    // Further reads.
    let _ = (dat.capture(None).is_ok(), dat.kallsyms().is_ok());
    Ok(sub_buffers)
}

/// A writable copy.
fn copy(of: &Path) -> File {
    let mut copy = tempfile::tempfile().unwrap();
    std::io::copy(&mut File::open(of).unwrap(), &mut copy).unwrap();
    copy
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_whole_and_salvaging_reads_what_is_left() {
    for name in ["x86_64-6.18-v7-two-buffers.dat", "arm64-sched_load-v6.dat"] {
        let Some(path) = corpus_file(name) else { return };
        let file = copy(&path);
        let len = file.metadata().unwrap().len();
        let whole = read_all(file.try_clone().unwrap(), Open::default()).unwrap();
        let mut before = whole;
        // From the end to the beginning: every byte of the first hundred, then in steps.
        let cuts: Vec<u64> = (0..120).chain((120..len).step_by(len as usize / 100 + 1)).collect();
        for &cut in cuts.iter().rev() {
            file.set_len(cut).unwrap();
            let strict = read_all(file.try_clone().unwrap(), Open::default());
            if let Ok(read) = strict {
                panic!("{name} cut to {cut} bytes reads as if whole: {read} of {whole}");
            }
            let error = strict.unwrap_err();
            assert!(error.offset <= len && error.to_string().contains(" at byte "), "{error}");
            let salvaged = read_all(file.try_clone().unwrap(), SALVAGE);
            let read = salvaged.unwrap_or(0);
            assert!(read <= before, "{name} cut to {cut}: {read} sub-buffers, more than before");
            before = read;
        }
    }
}

#[test]
fn half_a_version_6_file_gives_half_its_sub_buffers_when_salvaging() {
    let Some(path) = corpus_file("x86_64-6.18-v6.dat") else { return };
    let file = copy(&path);
    let dat = TraceDat::open(&path, Open::default()).unwrap();
    let BufferData::Cpus(cpus) = &dat.buffers[0].data else { panic!() };
    let (first, second) = (&cpus[0], &cpus[1]);
    // In the middle of the second CPU's third sub-buffer.
    file.set_len(second.offset + 2 * 4096 + 100).unwrap();
    let error = read_all(file.try_clone().unwrap(), Open::default()).unwrap_err();
    let left = 2 * 4096 + 100;
    assert_eq!(
        error.to_string(),
        format!("the data of CPU 1 at byte {}: {} more bytes expected, {left} left", second.offset, second.size)
    );
    assert_eq!(read_all(file, SALVAGE).unwrap() as u64, first.size / 4096 + 2);
}

#[test]
fn bytes_changed_anywhere_never_panic() {
    for name in ["x86_64-6.18-v7-two-buffers.dat", "arm64-sched_load-v6.dat"] {
        let Some(path) = corpus_file(name) else { return };
        let file = copy(&path);
        let len = file.metadata().unwrap().len();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..80 {
            // Half of the changes are in the structure: header, options, table.
            let span = if round % 2 == 0 { len } else { 2048 };
            let start = match round % 4 {
                1 => 0,
                3 => len.saturating_sub(200_000) + random() % 190_000,
                _ => 0,
            };
            let offset = (start + random() % span).min(len - 8);
            let mut old = [0; 8];
            file.read_exact_at(&mut old, offset).unwrap();
            let new = match round % 3 {
                0 => u64::MAX.to_le_bytes(),
                1 => random().to_le_bytes(),
                _ => [old[0] ^ 1 << (random() % 8), old[1], old[2], old[3], old[4], old[5], old[6], old[7]],
            };
            file.write_all_at(&new, offset).unwrap();
            let _ = read_all(file.try_clone().unwrap(), Open::default());
            let _ = read_all(file.try_clone().unwrap(), SALVAGE);
            file.write_all_at(&old, offset).unwrap();
        }
        assert!(read_all(file, Open::default()).is_ok());
    }
}

#[test]
fn salvaging_loses_only_the_damaged_chunk() {
    let Some(path) = corpus_file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let dat = TraceDat::open(&path, Open::default()).unwrap();
    let BufferData::Cpus(cpus) = &dat.buffers[1].data else { panic!() };
    let file = copy(&path);
    let whole = read_all(file.try_clone().unwrap(), Open::default()).unwrap();
    // Behind the count and the two sizes of the first chunk: its frame's magic and header, whose reserved bit is set, or its
    // middle. There damage may be valid to libzstd, since trace-cmd's frames have no checksum.
    let chunk = cpus[0].offset + 4 + 8;
    let middle = (!cfg!(feature = "zstd-c")).then_some((chunk + 4 + 3000, 0x55));
    for (inside, byte) in [(chunk, 0xff)].into_iter().chain(middle) {
        let mut old = [0; 64];
        file.read_exact_at(&mut old, inside).unwrap();
        file.write_all_at(&[byte; 64], inside).unwrap();
        let dat = TraceDat::from_file(file.try_clone().unwrap(), Open::default()).unwrap();
        let mut page = Vec::new();
        let (_, feed) = &mut dat.feeds(&dat.buffers[1])[0];
        let error = feed.next_into(&mut page).unwrap_err();
        assert!(matches!(error.problem, Problem::Corrupt(_)), "{error}");
        assert_eq!(error.offset, chunk);
        // Ten sub-buffers per chunk.
        assert_eq!(read_all(file.try_clone().unwrap(), SALVAGE).unwrap(), whole - 10);
        file.write_all_at(&old, inside).unwrap();
    }
}

/// A version 7 file by hand.
struct Builder(Vec<u8>);

impl Builder {
    fn new(compression: &str) -> Builder {
        let mut bytes = b"\x17\x08\x44tracing7\0\0\x08\0\x10\0\0".to_vec();
        bytes.extend(compression.as_bytes());
        bytes.extend(b"\x001\0");
        bytes.extend(0u64.to_le_bytes());
        Builder(bytes)
    }

    fn at(&self) -> u64 {
        self.0.len() as u64
    }

    /// Sets the offset of the first options.
    fn first_options(&mut self, offset: u64) {
        // After the NULs that end the compression's name and version.
        let ends: Vec<_> = (18..self.0.len()).filter(|&at| self.0[at] == 0).collect();
        let at = ends[1] + 1;
        self.0[at..at + 8].copy_from_slice(&offset.to_le_bytes());
    }

    fn section(&mut self, id: u16, flags: u16, body: &[u8]) -> u64 {
        let offset = self.at();
        self.0.extend(id.to_le_bytes());
        self.0.extend(flags.to_le_bytes());
        self.0.extend(0u32.to_le_bytes());
        self.0.extend((body.len() as u64).to_le_bytes());
        self.0.extend(body);
        offset
    }

    fn open(&self, how: Open) -> Result<TraceDat, DatError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.0).unwrap();
        TraceDat::from_file(file, how)
    }
}

fn option(id: u16, body: &[u8]) -> Vec<u8> {
    let mut option = id.to_le_bytes().to_vec();
    option.extend((body.len() as u32).to_le_bytes());
    option.extend(body);
    option
}

const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
    \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
    \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
    \tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";

/// The section with `header_page`.
fn header_info(builder: &mut Builder) -> u64 {
    let mut body = b"header_page\0".to_vec();
    body.extend((HEADER_PAGE.len() as u64).to_le_bytes());
    body.extend(HEADER_PAGE.as_bytes());
    body.extend(b"header_event\0");
    body.extend(0u64.to_le_bytes());
    builder.section(16, 0, &body)
}

/// A buffer option: the offset of its section, and (CPU, offset, size) of each CPU.
fn buffer(section: u64, cpus: &[(u32, u64, u64)]) -> Vec<u8> {
    let mut body = section.to_le_bytes().to_vec();
    body.extend(b"\0mono\0");
    body.extend(4096u32.to_le_bytes());
    body.extend((cpus.len() as u32).to_le_bytes());
    for (cpu, offset, size) in cpus {
        body.extend(cpu.to_le_bytes());
        body.extend(offset.to_le_bytes());
        body.extend(size.to_le_bytes());
    }
    option(3, &body)
}

/// A file with one CPU whose compressed data are `data`.
fn with_data(compression: &str, data: &[u8], cpus: u32) -> Builder {
    let mut file = Builder::new(compression);
    let header = header_info(&mut file);
    let section = file.section(3, 1, &[]);
    let places: Vec<_> = (0..cpus)
        .map(|cpu| {
            let place = (cpu, file.at(), data.len() as u64 - 4);
            file.0.extend(data);
            place
        })
        .collect();
    let mut options = option(16, &header.to_le_bytes());
    options.extend(buffer(section, &places));
    options.extend(option(0, &0u64.to_le_bytes()));
    let options = file.section(0, 0, &options);
    file.first_options(options);
    file
}

/// Chunks: (compressed bytes, announced size).
fn chunks(chunks: &[(&[u8], u32)]) -> Vec<u8> {
    let mut data = (chunks.len() as u32).to_le_bytes().to_vec();
    for (stored, size) in chunks {
        data.extend((stored.len() as u32).to_le_bytes());
        data.extend(size.to_le_bytes());
        data.extend(*stored);
    }
    data
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The first sub-buffer of the first CPU.
fn first_page(file: &Builder) -> Result<Vec<u8>, DatError> {
    let dat = file.open(Open::default())?;
    let (_, feed) = &mut dat.feeds(&dat.buffers[0])[0];
    let mut page = Vec::new();
    feed.next_into(&mut page).map(|_| page)
}

#[test]
fn zlib_chunks_are_read() {
    let pages: Vec<u8> = (0..3 * 4096u32).map(|i| (i % 251) as u8).collect();
    let (first, second) = (zlib(&pages[..8192]), zlib(&pages[8192..]));
    let file = with_data("zlib", &chunks(&[(&first, 8192), (&second, 4096)]), 1);
    let dat = file.open(Open::default()).unwrap();
    let mut read = Vec::new();
    let mut page = Vec::new();
    for (_, mut feed) in dat.feeds(&dat.buffers[0]) {
        while feed.next_into(&mut page).unwrap() {
            assert_eq!(page.len(), 4096);
            read.extend_from_slice(&page);
        }
    }
    assert!(read == pages);
}

#[test]
fn options_that_point_at_themselves_are_a_circle() {
    let mut file = Builder::new("none");
    let own = file.at();
    let options = file.section(0, 0, &option(0, &own.to_le_bytes()));
    file.first_options(options);
    let error = file.open(Open::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("the options at byte {own}: the chain of option sections runs in a circle"));
    assert!(file.open(SALVAGE).is_ok_and(|dat| !dat.problems.is_empty()));
}

#[test]
fn a_pointer_to_a_section_of_another_kind_is_refused() {
    let mut file = Builder::new("none");
    let header = header_info(&mut file);
    // The event formats would be at the offset of the header.
    let mut body = option(18, &header.to_le_bytes());
    body.extend(option(0, &0u64.to_le_bytes()));
    let options = file.section(0, 0, &body);
    file.first_options(options);
    let error = file.open(Open::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::Section { expected: 18, found: 16 }), "{error}");
}

#[test]
fn giant_lengths_are_refused_before_anything_is_allocated() {
    for (id, body) in [
        // A header_page of 2^60 bytes.
        (16, [b"header_page\0".as_slice(), &(1u64 << 60).to_le_bytes()].concat()),
        // Four billion formats.
        (17, u32::MAX.to_le_bytes().to_vec()),
        // As many systems.
        (18, u32::MAX.to_le_bytes().to_vec()),
        (20, u32::MAX.to_le_bytes().to_vec()),
        (21, u64::MAX.to_le_bytes().to_vec()),
    ] {
        let mut file = Builder::new("none");
        let section = file.section(id, 0, &body);
        let mut options = option(id, &section.to_le_bytes());
        options.extend(option(0, &0u64.to_le_bytes()));
        let options = file.section(0, 0, &options);
        file.first_options(options);
        let error = file.open(Open::default()).unwrap_err();
        assert!(matches!(error.problem, Problem::Truncated { .. }), "{id}: {error}");
    }
    // A section longer than the file.
    let mut file = Builder::new("none");
    let at = file.at();
    file.section(0, 0, &[]);
    let size = file.0.len() - 8;
    file.0[size..].copy_from_slice(&u64::MAX.to_le_bytes());
    file.first_options(at);
    let error = file.open(Open::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::Truncated { needed: u64::MAX, .. }), "{error}");
}

#[test]
fn bombs_are_refused() {
    // A chunk that announces more than may be held.
    let small = zlib(&[0; 4096]);
    let error = first_page(&with_data("zlib", &chunks(&[(&small, u32::MAX)]), 1)).unwrap_err();
    assert!(matches!(error.problem, Problem::TooLarge { .. }), "{error}");
    // One that decompresses to more than announced, and one to less.
    for size in [4095, 4097] {
        let error = first_page(&with_data("zlib", &chunks(&[(&small, size)]), 1)).unwrap_err();
        assert!(matches!(error.problem, Problem::Corrupt(_)), "{error}");
    }
    // A section that announces more than any description has.
    let mut file = Builder::new("zlib");
    let mut body = 4u32.to_le_bytes().to_vec();
    body.extend(u32::MAX.to_le_bytes());
    body.extend(&small[..4]);
    let at = file.section(0, 1, &body);
    file.first_options(at);
    let error = file.open(Open::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::TooLarge { .. }), "{error}");
}

#[test]
fn the_memory_of_all_cpus_together_is_limited() {
    // 40 MiB each from 40 KB each: the second one is refused while the first is held.
    let large = zlib(&vec![0; 40 << 20]);
    let file = with_data("zlib", &chunks(&[(&large, 40 << 20)]), 4);
    let dat = file.open(Open::default()).unwrap();
    let mut feeds = dat.feeds(&dat.buffers[0]);
    let mut page = Vec::new();
    assert!(feeds[0].1.next_into(&mut page).unwrap());
    let error = feeds[1].1.next_into(&mut page).unwrap_err();
    assert!(matches!(error.problem, Problem::TooLarge { .. }), "{error}");
    // When the first has come to its end, there is room.
    while feeds[0].1.next_into(&mut page).unwrap() {}
    assert!(feeds[2].1.next_into(&mut page).unwrap());
}

#[test]
fn overlapping_data_are_reported_and_the_second_is_dropped() {
    let mut file = Builder::new("none");
    let header = header_info(&mut file);
    let section = file.section(3, 0, &[0; 16384]);
    let mut options = option(16, &header.to_le_bytes());
    options.extend(buffer(section, &[(0, section + 16, 8192), (1, section + 16 + 4096, 8192)]));
    options.extend(option(0, &0u64.to_le_bytes()));
    let options = file.section(0, 0, &options);
    file.first_options(options);
    let error = file.open(Open::default()).unwrap_err();
    let expected =
        format!("the data of CPU 1 at byte {}: overlaps the data of CPU 0 of buffer \"\"", section + 16 + 4096);
    assert_eq!(error.to_string(), expected);
    let dat = file.open(SALVAGE).unwrap();
    assert_eq!(dat.feeds(&dat.buffers[0]).len(), 1);
    assert_eq!(dat.problems.len(), 1);
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let error = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        TraceDat::from_file(file, SALVAGE).unwrap_err().to_string()
    };
    assert_eq!(error(b""), "the file header at byte 0: this is not a trace.dat file");
    assert_eq!(error(b"PERFILE2 and so on"), "the file header at byte 0: this is not a trace.dat file");
    assert_eq!(
        error(b"\x17\x08\x44tracing5\0\0\x08\0\x10\0\0"),
        "the file header at byte 12: version \"5\" is not known (6 and 7 are)"
    );
    assert_eq!(
        error(b"\x17\x08\x44tracing6\0\x02\x08\0\x10\0\0"),
        "the file header at byte 13: the byte order cannot be 2"
    );
    assert_eq!(
        error(b"\x17\x08\x44tracing7\0\0\x08\0\x10\0\0lz9\x001\0\0\0\0\0\0\0\0\0"),
        "the file header at byte 22: compression \"lz9\" is not known (none, zlib and zstd are)"
    );
}
