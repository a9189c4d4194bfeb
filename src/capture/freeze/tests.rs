//! Tests of a capture's steps that need no tracefs.

use std::fs;

use super::*;

#[test]
fn a_wrong_command_line_is_told_from_a_machine_that_refuses() {
    let instance = || "x".to_owned();
    let source = || io::Error::from_raw_os_error(libc::EIO);
    let usage = [
        FreezeError::Tracefs(TracefsError::BufferSize(0)),
        FreezeError::NoInstance { name: instance(), there_are: String::new() },
        FreezeError::Folder(NewFolderError::NotEmpty(PathBuf::new())),
        FreezeError::Recording(RecordingError::Exists(PathBuf::new())),
    ];
    assert!(usage.iter().all(FreezeError::is_usage));
    let others = [
        FreezeError::Tracefs(TracefsError::NoTracefs),
        FreezeError::Folder(NewFolderError::Write { path: PathBuf::new(), source: source() }),
        FreezeError::Snapshot { instance: instance(), source: source() },
        FreezeError::Ring { cpu: 0, source: source() },
    ];
    assert!(!others.iter().any(FreezeError::is_usage));
}

#[test]
fn only_a_mapping_that_the_kernel_does_not_have_is_explained() {
    let explained = |errno| {
        let source = io::Error::from_raw_os_error(errno);
        FreezeError::NoMapping { instance: "x".to_owned(), source }.to_string().contains("Linux 6.10")
    };
    assert!(explained(libc::ENODEV) && explained(libc::EINVAL) && !explained(libc::EIO));
}

#[test]
fn the_events_written_are_those_in_the_rings_and_those_read_from_them() {
    let stats = |entries, read| CpuStats { entries, read, overrun: 100, ..CpuStats::default() };
    assert_eq!(written(&[(0, stats(3, 4)), (5, stats(10, 0))]), 17);
    assert_eq!(written(&[]), 0);
}

#[test]
fn the_events_in_a_file_are_counted() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched"));
    let mut merge = super::super::open(path, Open::default()).unwrap().merge();
    let mut records = 0;
    while merge.next_record::<byteorder::LittleEndian>().is_some() {
        records += 1;
    }
    assert_eq!(recorded_in(path), records);
    assert_eq!(recorded_in(Path::new("/nonexistent")), 0);
}

#[test]
fn a_file_of_any_length_is_copied_and_one_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = NewFolder::create(&dir.path().join("to")).unwrap();
    // Two full buffers and some bytes.
    let bytes: Vec<u8> = (0..(2 << 20) + 5).map(|at: u32| at as u8).collect();
    fs::write(dir.path().join("from"), &bytes).unwrap();
    copy(File::open(dir.path().join("from")).unwrap(), &mut folder, "trace").unwrap();
    assert!(fs::read(dir.path().join("to/trace")).unwrap() == bytes);
    // read(2) of a folder: EISDIR.
    assert!(copy(File::open(dir.path()).unwrap(), &mut folder, "folder").is_err());
}

#[test]
fn a_file_that_older_kernels_lack_is_left_out_and_one_that_cannot_be_read_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = NewFolder::create(&dir.path().join("to")).unwrap();
    let mut warnings = Vec::new();
    let error = |errno| {
        let source = io::Error::from_raw_os_error(errno);
        Err(TracefsError::Io { action: "read", path: "saved_tgids".into(), source })
    };
    optional(Ok(b"text".to_vec()), "a", &mut folder, &mut warnings).unwrap();
    assert_eq!(fs::read(dir.path().join("to/a")).unwrap(), b"text");
    optional(error(libc::ENOENT), "b", &mut folder, &mut warnings).unwrap();
    assert_eq!(warnings, [""; 0]);
    optional(error(libc::EIO), "c", &mut folder, &mut warnings).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(!dir.path().join("to/b").exists() && !dir.path().join("to/c").exists());
}

#[test]
fn a_command_is_started_if_there_is_one() {
    assert!(waiting(None, &[]).unwrap().is_none());
    assert!(matches!(waiting(None, &["/nonexistent/x".into()]), Err(TracefsError::NoSuchCommand(_))));
    assert!(noted(&mut None).is_none());
}

#[test]
fn a_recording_ends_when_it_is_stopped_when_its_time_is_over_or_when_it_cannot_go_on() {
    let ticks = |duration, stop, most| {
        let mut ticks = 0;
        let end = record(None, duration, &AtomicBool::new(stop), &mut || {
            ticks += 1;
            Ok(ticks < most)
        });
        assert!(matches!(end, Ok(CommandEnd::None)));
        ticks
    };
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(ticks(hour, true, 5), 1);
    assert_eq!(ticks(None, true, 5), 1);
    assert_eq!(ticks(Some(Duration::ZERO), false, 5), 1);
    assert_eq!(ticks(hour, false, 3), 3);
    assert_eq!(ticks(None, false, 3), 3);
    assert_eq!(ticks(Some(Duration::MAX), false, 3), 3);
    let failed = record(None, None, &AtomicBool::new(false), &mut || {
        Err(FreezeError::Ring { cpu: 1, source: io::Error::from_raw_os_error(libc::EIO) })
    });
    assert!(matches!(failed, Err(FreezeError::Ring { cpu: 1, .. })));
}
