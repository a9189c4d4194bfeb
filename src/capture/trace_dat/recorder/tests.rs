//! A recording on a small scale: what is in the file, and when.

use byteorder::LittleEndian;

use super::*;
use crate::capture::trace_dat::{BufferData, write::tests::description};
use crate::format::LongSize;
use crate::ring::{Feed, Walk, page::Page};

const PAGE: usize = 4096;

fn begun() -> (tempfile::TempDir, PathBuf, Recorder) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.dat");
    let recorder = Recorder::create(&path, description(Endian::Little), 1).unwrap();
    (folder, path, recorder)
}

/// A sub-buffer with one record of this time and 4 bytes.
fn single(time: u64) -> Vec<u8> {
    Page::<LittleEndian>::new(LongSize::Eight, time).data(0, &[time as u8; 4]).build()
}

/// A sub-buffer to which no other can be joined: events were lost before it.
fn alone(time: u64) -> Vec<u8> {
    Page::<LittleEndian>::new(LongSize::Eight, time).data(0, &[time as u8; 4]).lost(None).build()
}

fn open(path: &Path) -> TraceDat {
    TraceDat::open(path, Open::default()).unwrap()
}

/// Sub-buffers, and the times of all records, of each CPU that is listed in the file.
fn listed(path: &Path) -> Vec<(usize, Vec<u64>)> {
    let dat = open(path);
    let header = HeaderPage::parse(&dat.metadata.header_page).unwrap();
    let mut page = Vec::new();
    let mut cpu = |mut feed: super::super::SubBuffers| {
        let (mut pages, mut times) = (0, Vec::new());
        while feed.advance(&mut page).unwrap() {
            let (mut walk, _) = Walk::open::<LittleEndian>(&header, &page).unwrap();
            times.extend(std::iter::from_fn(|| walk.next_in::<LittleEndian>(&page).map(|record| record.unwrap().time)));
            pages += 1;
        }
        (pages, times)
    };
    dat.feeds(&dat.buffers[0]).into_iter().map(|(_, feed)| cpu(feed)).collect()
}

#[test]
fn what_was_flushed_is_in_the_file_and_mostly_empty_sub_buffers_are_one() {
    let (folder, path, mut recorder) = begun();
    assert_eq!((listed(&path), recorder.recorded()), (vec![(0, vec![]), (0, vec![])], 0));
    recorder.append(0, &[single(10), single(20)].concat()).unwrap();
    recorder.append(1, &single(15)).unwrap();
    assert_eq!(listed(&path), [(0, vec![]), (0, vec![])]);
    recorder.flush().unwrap();
    assert_eq!((listed(&path), recorder.recorded()), (vec![(1, vec![10, 20]), (1, vec![15])], 2 * PAGE as u64));
    // It goes on in the place of the last.
    recorder.append(0, &single(30)).unwrap();
    recorder.append(0, &alone(40)).unwrap();
    recorder.flush().unwrap();
    assert_eq!((listed(&path), recorder.recorded()), (vec![(2, vec![10, 20, 30, 40]), (1, vec![15])], 3 * PAGE as u64));
    let finished = recorder.finish().unwrap();
    assert!(finished.unwritten.is_none() && finished.not_compact.is_none());
    assert_eq!(finished.written.sub_buffers, 3);
    assert_eq!(listed(&path), [(2, vec![10, 20, 30, 40]), (1, vec![15])]);
    assert_eq!(finished.written.bytes, path.metadata().unwrap().len());
    assert!(finished.written.bytes < 1 << 20);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_recording_of_nothing_is_removed_and_one_that_is_dropped_is_kept() {
    let (_folder, path, recorder) = begun();
    assert!(path.exists());
    drop(recorder);
    assert!(!path.exists());
    let (_folder, path, mut recorder) = begun();
    assert!(Recorder::create(&path, description(Endian::Little), 1).is_err());
    recorder.append(1, &single(5)).unwrap();
    recorder.flush().unwrap();
    drop(recorder);
    assert_eq!(listed(&path), [(0, vec![]), (1, vec![5])]);
}

#[test]
fn the_table_is_written_with_each_256_kib() {
    let (_folder, path, mut recorder) = begun();
    // The last stays in memory, to be joined with the next: 63 and 64 are in the file.
    (0..64).for_each(|time| recorder.append(0, &alone(time)).unwrap());
    assert_eq!(listed(&path)[0].0, 0);
    recorder.append(0, &alone(64)).unwrap();
    assert_eq!((listed(&path)[0].0, recorder.unlisted), (64, 0));
    (65..100).for_each(|time| recorder.append(0, &alone(time)).unwrap());
    assert_eq!(listed(&path)[0].0, 64);
    recorder.flush().unwrap();
    assert_eq!(listed(&path)[0], (100, (0..100).collect()));
}

#[test]
fn what_is_no_sub_buffer_or_of_no_cpu_is_refused() {
    let (_folder, path, mut recorder) = begun();
    assert!(recorder.append(0, &[0; PAGE - 1]).is_err());
    let error = recorder.append(2, &single(1)).unwrap_err();
    assert!(matches!(error, WriteError::Cpu { cpu: 2, limit: 2, .. }), "{error}");
    recorder.description.sub_buffer_size = 0;
    assert!(recorder.append(0, &[]).is_err());
    drop(recorder);
    assert!(!path.exists(), "nothing was recorded");
    for (last, refused) in [(MAX_CPU, false), (MAX_CPU + 1, true)] {
        let made = Recorder::create(&path, description(Endian::Little), last);
        assert_eq!(matches!(made, Err(WriteError::Cpu { .. })), refused, "{last}");
    }
}

#[test]
fn a_full_region_takes_no_more_and_keeps_what_it_has() {
    let (_folder, path, mut recorder) = begun();
    recorder.region = 2 * PAGE as u64;
    recorder.append(1, &[alone(1), alone(2)].concat()).unwrap();
    let error = recorder.append(1, &alone(3)).unwrap_err();
    assert!(matches!(error, WriteError::RegionFull { cpu: 1, size: 8192, .. }), "{error}");
    // The other CPU has a region of its own.
    recorder.append(0, &alone(4)).unwrap();
    recorder.finish().unwrap();
    assert_eq!(listed(&path), [(1, vec![4]), (2, vec![1, 2])]);
}

#[test]
fn a_write_that_fails_drops_the_records_that_are_not_in_the_file() {
    let (_folder, path, mut recorder) = begun();
    recorder.append(0, &[alone(1), alone(2)].concat()).unwrap();
    recorder.flush().unwrap();
    recorder.append(0, &single(3)).unwrap();
    let good = std::mem::replace(&mut recorder.file, File::open(&path).unwrap());
    assert!(recorder.flush().is_err());
    recorder.file = good;
    recorder.flush().unwrap();
    assert_eq!(listed(&path)[0], (2, vec![1, 2]));
    recorder.append(0, &single(5)).unwrap();
    let finished = recorder.finish().unwrap();
    assert!(finished.unwritten.is_none());
    assert_eq!(listed(&path)[0], (3, vec![1, 2, 5]));
}

/// A folder has the name of the file that would be renamed over the first.
#[test]
fn where_it_cannot_be_made_compact_the_file_is_completed_in_its_place() {
    let in_the_way = |path: &Path| std::fs::create_dir(path.with_extension("dat.part")).unwrap();
    let (_folder, path, mut recorder) = begun();
    in_the_way(&path);
    recorder.append(1, &[alone(1), alone(2)].concat()).unwrap();
    recorder.description_mut().metadata.saved_cmdlines = b"1 init\n".to_vec();
    let finished = recorder.finish().unwrap();
    assert!(finished.not_compact.is_some());
    assert_eq!((finished.written.sub_buffers, finished.written.bytes), (2, path.metadata().unwrap().len()));
    assert_eq!(listed(&path), [(0, vec![]), (2, vec![1, 2])]);
    assert_eq!(open(&path).metadata.saved_cmdlines, b"1 init\n");
    // More names than there was room for, and as many to the byte.
    for (more, whole) in [(0, true), (1, false)] {
        let (_folder, path, mut recorder) = begun();
        in_the_way(&path);
        recorder.append(0, &alone(1)).unwrap();
        let room = recorder.cpus[0].start as usize - recorder.encode().unwrap().len();
        recorder.description_mut().metadata.saved_cmdlines = vec![b'\n'; room + more];
        assert_eq!(recorder.finish().is_ok(), whole);
        assert_eq!(listed(&path)[0], (1, vec![1]));
    }
    let (_folder, path, mut recorder) = begun();
    in_the_way(&path);
    recorder.append(0, &alone(1)).unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = recorder.finish().unwrap_err();
    assert!(error.to_string().contains("was removed"), "{error}");
}

#[test]
fn regions_are_aligned_one_after_the_other_and_within_the_limit() {
    let (_folder, path, mut recorder) = begun();
    let (start, region) = (recorder.cpus[0].start, recorder.region);
    assert!(start >= SLACK && start.is_multiple_of(64 << 10) && region.is_multiple_of(64 << 10));
    assert_eq!((recorder.cpus[1].start, path.metadata().unwrap().len()), (start + region, start));
    assert!(region >= MIN_REGION / (64 << 10) * (64 << 10));
    let BufferData::Cpus(cpus) = &open(&path).buffers[0].data else { panic!("a text") };
    assert_eq!(cpus.iter().map(|cpu| (cpu.offset, cpu.size)).collect::<Vec<_>>(), [(start, 0), (start + region, 0)]);
    // A limit that leaves 64 KiB for each of the two, and one byte less.
    let least = start + 2 * (64 << 10);
    recorder.lay_out(Some(least)).unwrap();
    assert_eq!((recorder.region, recorder.cpus[1].start), (64 << 10, start + (64 << 10)));
    let error = recorder.lay_out(Some(least - 1)).unwrap_err();
    assert!(matches!(error, WriteError::FileSizeLimit { limit, header, .. } if (limit, header) == (least - 1, start)));
    // 32 MiB for both, or 400.
    assert_eq!(recorder.region_size(start, Some(start + (32 << 20))).unwrap(), 16 << 20);
    assert_eq!(recorder.region_size(start, Some(start + (400 << 20))).unwrap(), 200 << 20);
    // The whole disk, unless the file system has no file as long as that.
    let disk = rustix::fs::fstatvfs(&recorder.file).unwrap();
    let disk = (disk.f_blocks * disk.f_frsize).max(MIN_REGION);
    let region = recorder.region_size(start, None).unwrap();
    assert!((0..40).any(|halved| region == disk >> halved), "{region} of {disk}");
    assert_eq!(path.metadata().unwrap().len(), start);
}

#[test]
fn regions_are_halved_until_the_file_system_has_a_file_as_long_but_not_below_16_mib() {
    const MIB: u64 = 1 << 20;
    let tried = |kind: io::ErrorKind, longest: u64| {
        let mut tried = Vec::new();
        let found = accepted(100 * MIB, |region| {
            tried.push(region / MIB);
            if region <= longest { Ok(()) } else { Err(kind.into()) }
        });
        (found.map_err(|error| error.kind()), tried)
    };
    let large = io::ErrorKind::FileTooLarge;
    assert_eq!(tried(large, 100 * MIB), (Ok(100 * MIB), vec![100]));
    assert_eq!(tried(large, 30 * MIB), (Ok(25 * MIB), vec![100, 50, 25]));
    assert_eq!(tried(large, 0), (Err(large), vec![100, 50, 25, 12]));
    assert_eq!(tried(io::ErrorKind::Interrupted, 0), (Err(io::ErrorKind::Interrupted), vec![100]));
    let mut once = 0;
    let at_least = accepted(MIN_REGION, |_| {
        once += 1;
        Err(large.into())
    });
    assert!(at_least.is_err() && once == 1);
}

#[test]
fn a_file_system_without_holes_is_one_that_takes_the_space_of_one() {
    assert!(!takes_the_space(8, 8 + 2047) && takes_the_space(8, 8 + 2048) && !takes_the_space(2048, 0));
    let start = 5 << 20;
    assert!(has_room_for_the_probe(None, start) && has_room_for_the_probe(Some(start + PROBE), start));
    assert!(!has_room_for_the_probe(Some(start + PROBE - 1), start));
}
