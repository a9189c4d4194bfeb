//! `stat`: its numbers equal those counted by hand, and by the kernel.

mod common;

use std::collections::HashMap;

use common::{corpus, report::ours};
use ftrace_live::capture::{self, parts::Jobs, select::Select, stat::Stat, trace_dat::Open};

fn stat(name: &str, select: &Select) -> Option<(std::path::PathBuf, Stat)> {
    let path = corpus::folder()?.join(name);
    let capture = capture::open(&path, Open::default()).unwrap();
    Some((path, Stat::of(capture, select, 100, Jobs::Number(1), &mut |_| {}).unwrap()))
}

#[test]
fn events_are_counted_correctly() {
    for name in ["tracedat/x86_64-6.18-v7-two-buffers.dat", "s390x-6.1.176/syscalls", "armhf-6.1.176/sched-local"] {
        let Some((path, stat)) = stat(name, &Select::default()) else { return };
        let all = ours(&path);
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for line in &all {
            *counts.entry(line.event.as_str()).or_default() += 1;
        }
        let mut counted: HashMap<&str, u64> = HashMap::new();
        for event in &stat.by_event {
            *counted.entry(event.name.as_str()).or_default() += event.count;
        }
        assert_eq!(counted, counts, "{name}");
        assert_eq!(stat.events, all.len() as u64);
        let span = stat.span.unwrap();
        assert_eq!((span.first, span.last), (all[0].time, all[all.len() - 1].time));
        let longest = all.windows(2).map(|pair| pair[1].time - pair[0].time).max();
        assert_eq!(stat.longest_silence.map(|silence| silence.length), longest);
        assert!(stat.by_event.is_sorted_by_key(|event| std::cmp::Reverse(event.count)));
        // Nothing is missing from the plot's data.
        let drawn: u64 = stat.activity.systems.iter().flat_map(|system| &system.counts).sum();
        assert_eq!(drawn, stat.events);
    }
}

#[test]
fn losses_are_those_that_the_kernel_counted() {
    for machine in ["x86_64-6.1.176", "s390x-6.1.176"] {
        let Some((path, stat)) = stat(&format!("{machine}/overflow"), &Select::default()) else { return };
        let overruns = stat.cpus.iter().map(|cpu| {
            let stats = std::fs::read_to_string(path.join(format!("per_cpu/cpu{}/stats", cpu.cpu))).unwrap();
            let line = stats.lines().find_map(|line| line.strip_prefix("overrun: ")).unwrap();
            line.parse::<u64>().unwrap()
        });
        assert!(stat.lost() > 0);
        assert_eq!(stat.lost(), overruns.sum::<u64>(), "{machine}");
        assert_eq!(stat.losses.len(), stat.cpus.iter().filter(|cpu| cpu.lost + cpu.gaps > 0).count());
    }
}

#[test]
fn the_text_names_the_kernel_the_clock_and_the_commonest_event() {
    let Some((_, stat)) = stat("tracedat/x86_64-6.18-v7-two-buffers.dat", &Select::default()) else { return };
    let text = stat.text(3);
    for expected in [
        "kernel     Linux vm 6.18.44-fc-v669 x86_64",
        "machine    little-endian, 64 bits",
        "clock      mono",
        "events     32208 of ",
        "lost       nothing",
        " more kinds",
    ] {
        assert!(text.contains(expected), "{expected:?} in:\n{text}");
    }
    let json: serde_json::Value = serde_json::to_value(&stat).unwrap();
    assert_eq!(json["events"], 32_208);
    assert_eq!(json["by_event"][0]["count"], stat.by_event[0].count);
    let plot = stat.plot(80);
    assert_eq!(plot.lines().count(), stat.activity.systems.len() + 1);
    assert!(plot.lines().all(|line| line.chars().count() <= 80), "{plot}");
    assert!(plot.contains('█'), "{plot}");
}

#[test]
fn only_the_selected_part_is_counted() {
    let mut select = Select::default();
    select.cpus = Some("1".parse().unwrap());
    let Some((path, stat)) = stat("tracedat/x86_64-6.18-v6.dat", &select) else { return };
    assert_eq!(stat.events, ours(&path).iter().filter(|line| line.cpu == 1).count() as u64);
}
