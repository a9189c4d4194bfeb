//! `--clock-from`: machines whose clocks differ by seconds report the same time for simultaneous events. Two network
//! namespaces are the machines; there are no namespaces for the time of day, so a shared object preloaded into the
//! program shifts the time that it reads.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use common::live::may_trace;
use common::machines::{Machines, run};
use common::program::{PATIENCE, Program, free_port, installed};
use common::skipped;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");
const HOST: &str = "10.98.0.1:57120";
const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;
/// How far the clock of the queried machine is ahead of the true one, s.
const HOST_SHIFT: i64 = 40;

/// Two machines, and the object that shifts their clocks.
struct Shifted {
    machines: Machines,
    folder: tempfile::TempDir,
}

impl Shifted {
    fn new() -> Result<Shifted, String> {
        if cfg!(target_feature = "crt-static") {
            return Err("nothing can be preloaded into a static program".to_owned());
        }
        let shifted = Shifted { folder: tempfile::tempdir().unwrap(), machines: Machines::new()? };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/shifted_clock.c");
        run("cc", &format!("-shared -fPIC -o {} {source}", shifted.object()))?;
        Ok(shifted)
    }

    fn object(&self) -> String {
        self.folder.path().join("shifted_clock.so").display().to_string()
    }

    /// The program on a machine, with a host name, and with its clock ahead of the true one.
    fn on(&self, machine: usize, name: &str, shift: i64) -> Command {
        let mut command = self.machines.on(machine, "unshare");
        command.args(["--uts", "sh", "-c", "echo $0 > /proc/sys/kernel/hostname && exec \"$@\""]).arg(name);
        command.arg("env").arg(format!("LD_PRELOAD={}", self.object())).arg(format!("SHIFT_S={shift}")).arg(PROGRAM);
        command
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// ns since 1970.
fn time(value: &serde_json::Value) -> i64 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

/// A message printed by `listen --json`; `None` for other lines.
fn message(line: &str) -> Option<serde_json::Value> {
    serde_json::from_str(line).ok()
}

fn argument<'m>(message: &'m serde_json::Value, name: &str) -> &'m serde_json::Value {
    let arguments = message["arguments"].as_array().unwrap();
    &arguments.iter().find(|argument| argument["name"] == name).unwrap_or_else(|| panic!("{name}: {message}"))["value"]
}

/// What two senders report about the execution of one program: its bundle's timetag and its own time, by sender; and
/// the interval of true time in which it occurred.
struct Instants {
    told: BTreeMap<String, (i64, i64)>,
    between: (i64, i64),
    /// The first `/NAME/clock` from each.
    clocks: BTreeMap<String, serde_json::Value>,
}

fn at_the_same_time(machines: &Shifted, option: &[&str]) -> Instants {
    let mut listen = machines.on(0, "host", HOST_SHIFT);
    listen.args(["listen", "0.0.0.0:57120", "--json"]);
    let mut listen = Program::start(listen);
    listen.wait_for("listening on");
    let mark = machines.folder.path().join("mark");
    fs::create_dir_all(&mark).unwrap();
    let filter = format!("sched_process_exec=filename ~ \"{}/*\"", mark.display());
    let senders = [("alpha", 3), ("beta", -5)].map(|(name, shift)| {
        let mut command = machines.on(1, name, shift);
        command.args(["--to", &format!("liblo@{HOST}"), "--prefix", "/%h/trace", "-e", "sched:sched_process_exec"]);
        command.args(["--filter", &filter, "--timetag", "on"]).args(option);
        let mut sender = Program::start(command);
        let line = if option.is_empty() { "events enabled" } else { "times are those of 10.98.0.1:57120" };
        sender.wait_for(line);
        sender
    });
    let mut told: BTreeMap<u32, BTreeMap<String, (i64, i64)>> = BTreeMap::new();
    let mut between = BTreeMap::new();
    let mut clocks = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    for number in 0.. {
        assert!(Instant::now() < end, "{told:?}");
        // Each execution is of another file, whose name is in the event.
        let file = mark.join(number.to_string());
        fs::copy("/bin/true", &file).unwrap();
        let before = now();
        assert!(Command::new(&file).status().unwrap().success());
        between.insert(number, (before, now()));
        for message in listen.said().iter().filter_map(|line| message(line)) {
            let address = message["address"].as_str().unwrap();
            let (sender, rest) = address.split_once("/trace/").unwrap();
            match rest {
                "clock" => drop(clocks.entry(sender.to_owned()).or_insert(message)),
                "sched/sched_process_exec" => {
                    let number = argument(&message, "filename").as_str().unwrap().rsplit('/').next().unwrap();
                    let times = (time(&message["time"]), time(argument(&message, "time")));
                    told.entry(number.parse().unwrap()).or_default().insert(sender.to_owned(), times);
                }
                _ => {}
            }
        }
        if let Some((number, both)) = told.iter().find(|(_, told)| told.len() == 2) {
            let instants = Instants { told: both.clone(), between: between[number], clocks };
            for mut sender in senders {
                assert_eq!(sender.end(libc::SIGINT), Some(0), "{:?}", sender.said());
            }
            return instants;
        }
    }
    unreachable!()
}

#[test]
fn senders_with_different_clocks_use_the_time_of_the_queried_machine() {
    if !may_trace() || !["ip", "nsenter", "unshare", "cc"].into_iter().all(installed) {
        return;
    }
    let machines = match Shifted::new() {
        Ok(machines) => machines,
        Err(why) => return skipped::say(why),
    };
    // Without the option each uses its own clock: 3 s ahead, 5 s behind.
    let own = at_the_same_time(&machines, &[]);
    let [alpha, beta] = ["/alpha", "/beta"].map(|name| own.told[name]);
    for (alpha, beta) in [(alpha.0, beta.0), (alpha.1, beta.1)] {
        assert!((alpha - beta - 8 * SECOND).abs() <= 20 * MS, "{alpha} {beta}");
    }
    assert_eq!(own.clocks["/alpha"]["arguments"][0]["value"], "");
    let asked = at_the_same_time(&machines, &["--clock-from", "10.98.0.1"]);
    let [alpha, beta] = ["/alpha", "/beta"].map(|name| asked.told[name]);
    let (before, after) = (asked.between.0 + HOST_SHIFT * SECOND, asked.between.1 + HOST_SHIFT * SECOND);
    // Within the bounds that the two report. 1 ms more: the trace clock and the time of day are read one after the
    // other.
    let bound = |name: &str| (asked.clocks[name]["arguments"][4]["value"].as_f64().unwrap() * 1e6) as i64;
    let near = bound("/alpha") + bound("/beta") + MS;
    for (alpha, beta) in [(alpha.0, beta.0), (alpha.1, beta.1)] {
        assert!((alpha - beta).abs() <= near, "{alpha} {beta} {near}");
        assert!((before - near..=after + near).contains(&alpha), "{before} {alpha} {after} {near}");
    }
    // The reported offset is that of the shifts, within the bound. Tags: host, s, µs, two times in ms, the kernel's
    // three.
    for (name, ahead) in [("/alpha", HOST_SHIFT - 3), ("/beta", HOST_SHIFT + 5)] {
        let clock = &asked.clocks[name];
        assert_eq!((&clock["tags"], &clock["arguments"][0]["value"]), (&"siiffiff".into(), &HOST.into()));
        let number = |index: usize| clock["arguments"][index]["value"].as_f64().unwrap();
        let off = number(1) * 1e3 + number(2) / 1e3 - ahead as f64 * 1e3;
        let (round_trip, bound) = (number(3), number(4));
        // Truncated to whole microseconds, and the two own clocks are read within one.
        assert!(off.abs() <= bound + 0.002, "{clock}");
        // Half of the round trip, which the drift (50 ppm) since a short one may exceed.
        assert!(bound >= round_trip / 2.0 * 0.999_999, "{clock}");
        let kernel = Command::new("adjtimex").arg("--print").output();
        if let Ok(Output { stdout, .. }) = kernel {
            let unsynchronised = String::from_utf8_lossy(&stdout).lines().any(|line| {
                line.trim()
                    .strip_prefix("status:")
                    .is_some_and(|status| status.trim().parse::<u32>().unwrap() & 64 != 0)
            });
            assert_eq!(number(5) == 0.0, unsynchronised);
        }
    }
    a_replay_too(&machines);
}

/// A replay at the recorded speed uses the other machine's time.
fn a_replay_too(machines: &Shifted) {
    let mut listen = machines.on(0, "host", HOST_SHIFT);
    listen.args(["listen", "0.0.0.0:57120", "--json"]);
    let mut listen = Program::start(listen);
    listen.wait_for("listening on");
    let before = now();
    let mut replay = machines.on(1, "alpha", 3);
    let to = format!("liblo@{HOST}");
    replay.args(["replay", FIXTURE, "--to", &to, "--clock-from", HOST, "--until", "20ms"]);
    let output = replay.output().unwrap();
    let (after, said) = (now(), String::from_utf8_lossy(&output.stderr).into_owned());
    // "times are those of 10.98.0.1:57120, whose clock is 36999.998 ms ahead of this machine's, ± 0.016 ms (…":
    // within that bound.
    let number = |after: &str| said.split_once(after).and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    let (ahead, bound) = (number("whose clock is ").unwrap(), number("± ").unwrap());
    assert!(output.status.success() && (ahead - 37_000.0).abs() <= bound + 0.002, "{said}");
    listen.wait_for("/ftrace/stop");
    let tags: Vec<i64> =
        listen.said().iter().filter_map(|line| message(line)).map(|message| time(&message["time"])).collect();
    assert!(tags.len() > 10 && tags.is_sorted(), "{tags:?}");
    let (before, after) = (before + HOST_SHIFT * SECOND, after + HOST_SHIFT * SECOND);
    let near = (bound * 1e6) as i64 + MS;
    assert!(tags.iter().all(|tag| (before - near..=after + near).contains(tag)), "{before} {tags:?} {after}");
}

#[test]
fn a_machine_that_does_not_answer_is_reported_with_what_to_start_there() {
    let at = format!("127.0.0.1:{}", free_port());
    let replay =
        |host: &str| Command::new(PROGRAM).args(["replay", FIXTURE, "--print", "--clock-from", host]).output().unwrap();
    let output = replay(&at);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains(&at) && said.contains("start `ftrace-live listen"), "{said}");
    assert_eq!(replay("sc@localhost").status.code(), Some(2));
    // A run that accepts commands answers as well.
    assert!(Path::new(FIXTURE).is_dir());
    let port = free_port().to_string();
    let mut controlled = Command::new(PROGRAM);
    controlled.args(["replay", FIXTURE, "--to", "127.0.0.1:9", "--raw", "--loop", "--control", &port]);
    let mut controlled = Program::start(controlled);
    controlled.wait_for("accepts commands at");
    let output = replay(&format!("127.0.0.1:{port}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("times are those of"), "{said}");
}
