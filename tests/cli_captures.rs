//! Captures on the command line: played in part, counted, converted, listed, described, salvaged.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{made, report::report};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18").join(name)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

/// The output of the program, which must succeed.
fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code and message for a wrong command line.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The typed messages of a replay at full speed.
fn messages(capture: &Path, options: &[&str]) -> Vec<String> {
    let capture = capture.to_str().unwrap();
    let mut arguments = vec!["replay", capture, "--raw", "--print", "--speed", "max"];
    arguments.extend(options);
    printed(&arguments).lines().map(str::to_owned).collect()
}

fn stat(capture: &Path, options: &[&str]) -> Value {
    let mut arguments = vec!["stat", capture.to_str().unwrap(), "--format", "json"];
    arguments.extend(options);
    serde_json::from_str(&printed(&arguments)).unwrap()
}

/// The capture as a trace.dat in a folder of the test.
fn converted(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let dat = dir.path().join("x.dat");
    printed(&["convert", fixture(name).to_str().unwrap(), "-o", dat.to_str().unwrap()]);
    (dir, dat)
}

/// `TIME /ftrace/system/event`, without what a trace.dat cannot store.
fn time_and_address(line: &str) -> (f64, String) {
    let mut words = line.split_whitespace();
    (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned())
}

/// Without times of day: the timetag, and the argument `time`.
fn without_times(line: &str) -> String {
    let words = line.split(' ').skip(1).filter(|word| !word.starts_with("time="));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_folder_becomes_a_trace_dat_and_a_folder_again_and_plays_the_same() {
    for name in ["sched", "irq-exceptions", "syscalls"] {
        let (dir, dat) = converted(name);
        let back = dir.path().join("back");
        printed(&["convert", dat.to_str().unwrap(), "-o", back.to_str().unwrap()]);
        let (from_folder, from_dat) = (messages(&fixture(name), &[]), messages(&dat, &[]));
        assert!(!from_folder.is_empty());
        assert_eq!(from_folder.len(), from_dat.len(), "{name}");
        for (a, b) in from_folder.iter().zip(&from_dat) {
            // The date in a trace.dat is in µs: the times of day differ by less, everything else is equal.
            assert!((time_and_address(a).0 - time_and_address(b).0).abs() < 2e-6, "{a}\n{b}");
            assert_eq!(without_times(a), without_times(b));
        }
        assert_eq!(from_dat, messages(&back, &[]), "{name}");
    }
}

#[test]
fn trace_cmd_lists_every_event_of_what_is_converted() {
    let (_dir, dat) = converted("sched");
    let Some(lines) = report(&dat) else { return };
    let ours = stat(&dat, &[]);
    assert_eq!(lines.len() as u64, ours["events"].as_u64().unwrap());
    for event in ours["by_event"].as_array().unwrap() {
        let name = event["name"].as_str().unwrap();
        let count = lines.iter().filter(|line| line.event == name).count();
        assert_eq!(event["count"].as_u64(), Some(count as u64), "{name}");
    }
}

#[test]
fn stat_counts_what_replay_plays() {
    let capture = fixture("sched");
    let (all, stat) = (messages(&capture, &[]), stat(&capture, &[]));
    assert_eq!(stat["events"].as_u64(), Some(all.len() as u64));
    for event in stat["by_event"].as_array().unwrap() {
        let address = format!("/ftrace/{}/{}", event["system"].as_str().unwrap(), event["name"].as_str().unwrap());
        let count = all.iter().filter(|line| time_and_address(line).1 == address).count();
        assert_eq!(event["count"].as_u64(), Some(count as u64), "{address}");
    }
    let text = printed(&["stat", capture.to_str().unwrap(), "--plot"]);
    assert!(text.contains("kernel     Linux") && text.contains("sched:sched_switch") && text.contains('█'), "{text}");
}

#[test]
fn from_and_until_select_the_events_of_that_time_at_any_speed() {
    let capture = fixture("irq-exceptions");
    let all: Vec<f64> = messages(&capture, &[]).iter().map(|line| time_and_address(line).0).collect();
    let (first, last) = (all[0], all[all.len() - 1]);
    let length = last - first;
    let within = |from: f64, until: f64| all.iter().filter(|&&time| time >= from && time <= until).count();
    // Between events, so that the rounding of the printed times does not matter.
    let gap = |near: f64| {
        let pair = all.windows(2).filter(|pair| pair[0] >= near).find(|pair| pair[1] - pair[0] > 1e-4).unwrap();
        (pair[0] + pair[1]) / 2.0
    };
    let (from, until) = (gap(first + length * 0.3), gap(first + length * 0.6));
    let expected = within(from, until);
    assert!(expected > 0 && expected < all.len());
    let (from, to_end) = (format!("{:.6}s", from - first), format!("-{:.6}s", last - until));
    let until = format!("{:.6}s", until - first);
    assert_eq!(messages(&capture, &["--from", &from, "--until", &until]).len(), expected);
    assert_eq!(messages(&capture, &["--from", &from, "--until", &to_end]).len(), expected);
    let path = capture.to_str().unwrap();
    let paced = printed(&["replay", path, "--raw", "--print", "--speed", "50", "--from", &from, "--until", &until]);
    assert_eq!(paced.lines().count(), expected);
    assert_eq!(stat(&capture, &["--from", &from, "--until", &until])["events"].as_u64(), Some(expected as u64));
}

#[test]
fn events_cpus_pids_and_conditions_select_as_they_do_live() {
    let (_dir, dat) = converted("sched");
    for capture in [fixture("sched"), dat] {
        let all = messages(&capture, &[]);
        let count = |holds: &dyn Fn(&str) -> bool| all.iter().filter(|line| holds(line)).count();
        let switch = count(&|line| line.contains("/sched_switch "));
        assert!(switch > 0 && switch < all.len());
        assert_eq!(messages(&capture, &["-e", "sched_switch"]).len(), switch);
        assert_eq!(messages(&capture, &["--events", "*", "!sched_switch"]).len(), all.len() - switch);
        let shell = count(&|line| line.contains("/sched_switch ") && line.contains(" next_pid=23116 "));
        assert!(shell > 0 && shell < switch);
        let filter = ["-e", "sched_switch", "--filter", "sched:sched_switch=next_pid==23116"];
        assert_eq!(messages(&capture, &filter).len(), shell);
        let cpus: Vec<usize> = ["0", "1"].map(|cpu| messages(&capture, &["--cpu", cpu]).len()).into();
        assert_eq!(cpus.iter().sum::<usize>(), all.len());
    }
}

#[test]
fn list_describe_and_patch_accept_a_trace_dat_like_a_folder() {
    let (_dir, dat) = converted("sched");
    let (folder, dat) = (fixture("sched"), dat.to_str().unwrap().to_owned());
    let folder = format!("{}/", folder.to_str().unwrap());
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let listed = sorted(printed(&["list", &dat]));
    assert!(listed.contains(&"sched:sched_switch".to_owned()));
    assert_eq!(listed, sorted(printed(&["list", "--tracefs", &folder])));
    assert_eq!(listed, sorted(printed(&["list", &folder])));
    assert_eq!(printed(&["list", &dat, "sched_switch"]), "sched:sched_switch\n");
    let described = printed(&["describe", "sched_switch", "--tracefs", &dat]);
    assert!(described.starts_with("/ftrace/sched/sched_switch ,"), "{described}");
    assert_eq!(described, printed(&["describe", &folder, "sched_switch"]));
    let patch = |path: &str| printed(&["patch", "sched_switch", "--tracefs", path]);
    assert_eq!(patch(&dat), patch(&folder));
}

#[test]
fn the_text_of_a_trace_dat_equals_that_of_its_folder() {
    let (_dir, dat) = converted("irq-exceptions");
    let text = |path: &Path| printed(&["replay", path.to_str().unwrap(), "--print", "--speed", "max"]);
    assert_eq!(text(&fixture("irq-exceptions")), text(&dat));
}

#[test]
fn salvage_reads_the_rest_of_a_truncated_file() {
    let (dir, dat) = converted("sched");
    let bytes = std::fs::read(&dat).unwrap();
    let all = messages(&dat, &[]).len();
    let cut = dir.path().join("cut.dat");
    // Within the last CPU's sub-buffers.
    std::fs::write(&cut, &bytes[..bytes.len() - 9000]).unwrap();
    let (code, said) = refused(&["replay", cut.to_str().unwrap(), "--raw", "--print", "--speed", "max"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cut.dat") && said.contains("byte") && said.contains("--salvage"), "{said}");
    for arguments in [vec!["stat"], vec!["list"], vec!["convert", "-o", "nowhere.dat"]] {
        let (code, said) = refused(&[&arguments[..], &[cut.to_str().unwrap()]].concat());
        assert!(code == Some(1) && said.contains("--salvage"), "{arguments:?}: {said}");
    }
    let left = messages(&cut, &["--salvage"]).len();
    assert!(left > 0 && left < all, "{left} of {all}");
    assert_eq!(stat(&cut, &["--salvage"])["events"].as_u64(), Some(left as u64));
}

/// Its version follows the magic bytes.
#[test]
fn the_version_of_trace_dat_that_is_written_is_the_one_that_version_names() {
    let (_dir, dat) = converted("sched");
    let written = std::fs::read(dat).unwrap();
    let version = written.strip_prefix(b"\x17\x08\x44tracing").unwrap()[0];
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_ftrace-live")).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains(&format!("writes trace.dat {},", char::from(version))), "{said}");
}

#[test]
fn wrong_command_lines_are_refused_with_a_remedy() {
    let (dir, dat) = converted("sched");
    let (folder, dat) = (fixture("sched"), dat.to_str().unwrap().to_owned());
    let folder = folder.to_str().unwrap();
    let full = dir.path().to_str().unwrap();
    for (arguments, words) in [
        (vec!["replay", folder, "--from", "soon"], "12.5s"),
        (vec!["replay", folder, "--speed", "0"], "such as 1"),
        (vec!["replay", folder, "--speed", "1/0"], "such as 1"),
        (vec!["replay", folder, "--start-at", "later"], "20:15"),
        (vec!["replay", folder, "--start-at", "1"], "is in the past"),
        (vec!["replay", folder, "--print", "-e", "shced_switch"], "nearest: "),
        (vec!["replay", folder, "--print", "--filter", "nosuch=a>1"], "no such event"),
        (vec!["replay", folder, "--print", "-e", "fs"], "of this capture matches \"fs\""),
        (vec!["list", folder, "fs"], "`ftrace-live list CAPTURE`"),
        (vec!["replay", folder, "--print", "--cpu", "99"], "it has 0-1"),
        (vec!["stat", folder, "--from", "300ms", "--until", "200ms"], "--from is after --until"),
        (vec!["replay", folder, "--speed", "max", "-i", "999999"], "no events of -i 999999"),
        (vec!["replay", folder, "--speed", "max", "-i", "999999", "--loop"], "no events of -i 999999"),
        (vec!["stat", folder, "-i", "999999"], "no events of -i 999999"),
        (vec!["stat", folder, "--filter", "sched_switch=next_pid==999999", "-e", "sched_switch"], "no events of -e"),
        (vec!["replay", "nowhere.dat"], "does not exist"),
        (vec!["convert", folder, "-o", &dat], "nothing is overwritten"),
        (vec!["convert", &dat, "-o", full], "nothing is overwritten"),
        (vec!["list", &dat, "--tracers"], "leave out --tracers"),
        (vec!["list", "./nowhere.dat"], "does not exist"),
        (vec!["replay", folder, "--raw", "--latency", "-5ms"], "it must be"),
    ] {
        let (code, said) = refused(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let (code, said) = refused(&["replay", &dat, "--buffer", "nosuch"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("nosuch"), "{said}");
}

#[test]
fn without_a_terminal_nothing_is_drawn() {
    let (dir, dat) = converted("sched");
    let back = dir.path().join("back");
    for arguments in [
        vec!["convert", dat.to_str().unwrap(), "-o", back.to_str().unwrap()],
        vec!["stat", dat.to_str().unwrap()],
        vec!["replay", dat.to_str().unwrap(), "--speed", "100", "--raw", "--print"],
    ] {
        let said = run(&arguments).stderr;
        assert!(!said.contains(&b'\x1b') && !said.contains(&b'\r'), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn names_that_are_paths_are_refused_and_a_refused_convert_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plain = |name: &str| made::format(name, 900, &["int a;\toffset:8;\tsize:4;\tsigned:1;"], "\"%d\", REC->a");
    for (system, name) in [("../../evil", "ev"), ("ok", "../../../evil"), ("/abs", "z"), ("dot", ".."), ("a/b", "x")] {
        let (folder, dat) = (dir.path().join("folder"), dir.path().join("x.dat"));
        let stand_in = "s".repeat(system.len());
        let page = made::page(1000, &[(0, made::record(900, 77, &[0; 4]))]);
        made::folder(&folder, "mono", &[(&stand_in, "event", plain(name))], &[(0, page)]);
        printed(&["convert", folder.to_str().unwrap(), "-o", dat.to_str().unwrap()]);
        fs::remove_dir_all(&folder).unwrap();
        // The group's name is between the number of groups and that of its events.
        let bytes = fs::read(&dat).unwrap();
        let head = [&1u32.to_le_bytes(), stand_in.as_bytes(), &[0], &1u32.to_le_bytes()].concat();
        let at = bytes.windows(head.len()).position(|window| window == head).unwrap();
        let hostile = [&bytes[..at + 4], system.as_bytes(), &bytes[at + 4 + system.len()..]].concat();
        fs::write(&dat, hostile).unwrap();
        let output = dir.path().join("out");
        let (code, said) = refused(&["convert", dat.to_str().unwrap(), "-o", output.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{system:?} {name:?}: {said}");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["x.dat"], "{system:?} {name:?}: {said}");
        fs::remove_file(&dat).unwrap();
    }
}

#[test]
fn a_capture_with_more_cpus_than_open_files_is_played_counted_and_converted() {
    let dir = tempfile::tempdir().unwrap();
    let (many, dat) = (dir.path().join("many"), dir.path().join("many.dat"));
    let format = made::format("ev", 900, &["int a;\toffset:8;\tsize:4;\tsigned:1;"], "\"a=%d\", REC->a");
    let ring = |cpu: u32| made::page(1000 + u64::from(cpu), &[(0, made::record(900, 77, &cpu.to_le_bytes()))]);
    let rings: Vec<_> = (0..1500).map(|cpu| (cpu, ring(cpu))).collect();
    made::folder(&many, "mono", &[("m", "ev", format)], &rings);
    let (many, dat) = (many.to_str().unwrap(), dat.to_str().unwrap());
    let limited = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 300; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ftrace-live")]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let values =
        |text: &str| -> Vec<u32> { text.lines().map(|l| l.rsplit('=').next().unwrap().parse().unwrap()).collect() };
    let all: Vec<u32> = (0..1500).collect();
    limited(&["convert", many, "-o", dat]);
    for capture in [many, dat] {
        assert_eq!(values(&limited(&["replay", capture, "--print", "--speed", "max"])), all);
        let json: Value = serde_json::from_str(&limited(&["stat", capture, "--format", "json"])).unwrap();
        assert_eq!(json["events"], 1500);
    }
}

#[test]
fn two_events_whose_names_clean_to_one_address_have_an_address_each() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("odd");
    let plain = made::format("a_b", 900, &["int x;\toffset:8;\tsize:4;\tsigned:1;"], "\"%d\", REC->x");
    let odd = made::format("a b", 901, &["char s[4];\toffset:8;\tsize:4;\tsigned:0;"], "\"%s\", REC->s");
    let records = [(0, made::record(901, 77, b"hi\0\0")), (10, made::record(900, 77, &[5, 0, 0, 0]))];
    let formats = [("own", "a b", odd), ("own", "a_b", plain)];
    made::folder(&folder, "mono", &formats, &[(0, made::page(1000, &records))]);
    let folder = folder.to_str().unwrap();
    let note = "own:a b is sent as /ftrace/own/a_b_2, since another event has the address /ftrace/own/a_b";

    let replayed = run(&["replay", folder, "--raw", "--print", "--speed", "max"]);
    let (lines, said) = (String::from_utf8(replayed.stdout).unwrap(), String::from_utf8(replayed.stderr).unwrap());
    let lines: Vec<_> = lines.lines().collect();
    assert!(lines[0].contains("/ftrace/own/a_b_2 ,tfiiss ") && lines[0].ends_with("s=\"hi\""), "{lines:?}");
    assert!(lines[1].contains("/ftrace/own/a_b ,tfiisi ") && lines[1].ends_with("x=5"), "{lines:?}");
    assert!(said.contains(note), "{said}");
    // Whatever is selected, and in whichever form it is described.
    let described = run(&["describe", &format!("{folder}/"), "own:a b"]);
    assert!(String::from_utf8(described.stdout).unwrap().starts_with("/ftrace/own/a_b_2 ,tfiiss\n"));
    assert!(String::from_utf8(described.stderr).unwrap().contains(note));
}

#[test]
fn with_full_types_addresses_are_sent_as_64_bits() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pointers");
    let fields = [
        "const void * ptr;\toffset:8;\tsize:8;\tsigned:0;",
        "unsigned long site;\toffset:16;\tsize:8;\tsigned:0;",
        "u64 count;\toffset:24;\tsize:8;\tsigned:0;",
    ];
    let print_fmt = "\"%p %pS %llu\", REC->ptr, (void *)REC->site, REC->count";
    let format = made::format("kfree", 900, &fields, print_fmt);
    let address = 0xffff_8880_0000_1000u64;
    let record = made::record(900, 77, &[address, address + 1, address].map(u64::to_le_bytes).concat());
    made::folder(&folder, "mono", &[("kmem", "kfree", format)], &[(0, made::page(1000, &[(0, record)]))]);
    let line = messages(&folder, &["--types", "full"]);
    // 0xffff888000001000 - 2^64, and a saturated value.
    let values = "ptr=-131391639515136 site=-131391639515135 count=9223372036854775807";
    assert!(line[0].ends_with(values), "{line:?}");
    let described = printed(&["describe", &format!("{}/", folder.display()), "--types", "full"]);
    let note = "the 64 bits in two's complement: negative from 2^63 on";
    for wanted in [format!("h ptr    void * ({note})"), format!("h site   unsigned long ({note})")] {
        assert!(described.contains(&wanted), "{described}");
    }
    assert!(described.contains("h count  u64 (at most 2^63 - 1)"), "{described}");
    let patch = printed(&["patch", &format!("{}/", folder.display()), "kfree", "--for", "python", "--types", "full"]);
    assert!(patch.contains(note), "{patch}");
}

#[test]
fn dynamic_fields_of_a_synthetic_event_have_one_value_each() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("synthetic");
    let fields = [
        "__data_loc char[] comm;\toffset:8;\tsize:8;\tsigned:1;",
        "__data_loc unsigned long[] stack;\toffset:16;\tsize:8;\tsigned:0;",
        "u64 lat;\toffset:24;\tsize:8;\tsigned:0;",
    ];
    let print_fmt = "\"comm=%s, stack=%s, lat=%llu\", __get_str(comm), __get_stacktrace(stack), REC->lat";
    let format = made::format("wl", 900, &fields, print_fmt);
    let words = [6u64 << 16 | 32, 16 << 16 | 40, 7].map(u64::to_le_bytes).concat();
    let stack = [1u64, 0xffff_ffff_8100_0010].map(u64::to_le_bytes).concat();
    let record = made::record(900, 77, &[&words[..], b"hello\0\0\0", &stack].concat());
    made::folder(&folder, "mono", &[("synthetic", "wl", format)], &[(0, made::page(1000, &[(0, record)]))]);
    fs::write(folder.join("uname"), "Linux version 6.12.0\n").unwrap();
    let line = messages(&folder, &[]);
    assert!(line[0].contains(" ,tfiissbd "), "{line:?}");
    assert!(line[0].ends_with("comm=\"hello\" stack=0x0000000000000001ffffffff81000010 lat=7.0"), "{line:?}");
    let path = folder.to_str().unwrap();
    let text = |filter: &str| printed(&["replay", path, "--print", "--speed", "max", "--filter", filter]);
    let shown = text("synthetic:wl=comm==\"hello\"");
    assert!(shown.ends_with("wl: comm=hello stack=STACK:\n=> 0xffffffff81000010\nlat=7\n"), "{shown}");
    let (code, said) =
        refused(&["replay", path, "--print", "--speed", "max", "--filter", "synthetic:wl=comm==\"hell\""]);
    assert!(code == Some(2) && said.contains("no events of --filter"), "{said}");
}
