//! The text and the plot of numbers given by hand.

use super::*;
use crate::capture::stat::Activity;

fn event(name: &str, count: u64, rate: f64) -> EventStat {
    EventStat { system: "a".to_owned(), name: name.to_owned(), count, rate, first: 0, last: 0 }
}

fn cpu(cpu: u32, lost: u64, kernel_lost: Option<u64>, gaps: u64) -> CpuStat {
    CpuStat { cpu, events: 15, sub_buffers: 4, lost, gaps, malformed: 2, kernel_lost }
}

fn stat(cpus: Vec<CpuStat>) -> Stat {
    Stat {
        kernel: Some("Linux h 6.18".to_owned()),
        clock: "mono".to_owned(),
        nanoseconds: true,
        machine: "little-endian, 64 bits".to_owned(),
        recorded_unix_ns: None,
        span: Some(Span { first: 10_000_002_000, last: 11_500_002_999 }),
        seconds: 1.5,
        events: 30,
        longest_silence: Some(Silence { from: 10_250_000_000, length: 250_500_000 }),
        by_event: vec![event("one", 20, 13.333), event("two", 9, 6.0), event("th\nree", 1, 0.666)],
        cpus,
        losses: vec![],
        unknown: 0,
        activity: Activity::default(),
        problems: vec![],
    }
}

fn lines(stat: &Stat, top: usize) -> Vec<String> {
    stat.text(top).lines().map(str::to_owned).collect()
}

#[test]
fn the_text_has_a_line_for_each_number() {
    let mut stat = stat(vec![cpu(0, 0, None, 0), cpu(13, 0, Some(0), 0)]);
    let expected = "\
kernel     Linux h 6.18
machine    little-endian, 64 bits
clock      mono
span       1.500000 s, from 10.000002 to 11.500002
events     30 of 3 kinds, 20 a second
silence    250.500 ms at most, from 10.250000 on
lost       nothing

 CPU       events  sub-buffers         lost  malformed
   0           15            4            0          2
  13           15            4            0          2

       count   per second  event
          20         13.3  a:one
           9          6.0  a:two
                           1 more kinds
";
    assert_eq!(stat.text(2), expected);
    // All of them: no line for more.
    assert_eq!(lines(&stat, 3)[15..], ["           1          0.7  a:th\\nree".to_owned()]);
    assert_eq!(lines(&stat, 4), lines(&stat, 3));
    assert_eq!(lines(&stat, 0).last().unwrap(), "                           3 more kinds");
    (stat.unknown, stat.kernel, stat.seconds, stat.longest_silence) = (1, None, 0.0, None);
    stat.problems = vec!["CPU 1: a\nb".to_owned(), "c".to_owned()];
    let lines = lines(&stat, 3);
    assert_eq!(lines[0], "kernel     not noted");
    assert_eq!(lines[4], "events     30 of 3 kinds, 0 a second");
    assert_eq!(lines[5..8], ["lost       nothing", "unknown    1 events of unknown ids", ""]);
    assert_eq!(lines[lines.len() - 2..], ["problem: CPU 1: a\\nb", "problem: c"]);
}

#[test]
fn losses_are_those_in_the_rings_or_those_that_the_kernel_counted_if_they_are_more() {
    let said = |cpus| {
        let stat = stat(cpus);
        let lines = lines(&stat, 0);
        (
            stat.lost(),
            lines[6].clone(),
            lines[9..lines.len() - 3].iter().map(|line| line[31..44].trim().to_owned()).collect::<Vec<_>>(),
        )
    };
    let expected = |lost, line: &str, cpus: &[&str]| {
        (lost, format!("lost       {line}"), cpus.iter().map(|cpu| cpu.to_string()).collect())
    };
    assert_eq!(said(vec![cpu(0, 7, Some(5), 0), cpu(1, 2, Some(4), 0)]), expected(11, "11 events", &["7", "4"]));
    assert_eq!(
        said(vec![cpu(0, 7, None, 2), cpu(1, 0, None, 3)]),
        expected(7, "7 events, and 5 gaps of unknown size", &["7", "0"])
    );
    assert_eq!(said(vec![cpu(0, 0, None, 1)]), expected(0, "0 events, and 1 gaps of unknown size", &["0"]));
    assert_eq!(said(vec![]), expected(0, "nothing", &[]));
}

#[test]
fn a_clock_that_counts_ticks_has_no_seconds() {
    let mut stat = stat(vec![]);
    (stat.nanoseconds, stat.seconds, stat.span) = (false, 0.0, Some(Span { first: 70, last: 100 }));
    stat.longest_silence = Some(Silence { from: 80, length: 12 });
    let text = stat.text(0);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[3..6],
        [
            "span       30 ticks of unknown length, from 70 to 100",
            "events     30 of 3 kinds",
            "silence    12 ticks at most, from 80 on"
        ]
    );
    stat.activity = activity(3, &[("a", &[0, 6])]);
    assert_eq!(stat.plot(10), "a            6 │     █████\n               └0─30 ticks\n");
}

fn activity(interval: u64, systems: &[(&str, &[u64])]) -> Activity {
    let system =
        |(system, counts): &(&str, &[u64])| SystemActivity { system: system.to_string(), counts: counts.to_vec() };
    Activity { start: 5, interval, systems: systems.iter().map(system).collect() }
}

#[test]
fn each_line_of_the_plot_has_its_own_scale_and_its_highest_rate() {
    let mut stat = stat(vec![]);
    // Ten columns of half a second, or of two halves, or half of one.
    let counts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16];
    let pairs: Vec<u64> = counts.iter().flat_map(|count| [*count, 0]).collect();
    stat.activity =
        activity(500_000_000, &[("one", &counts), ("pairs", &pairs), ("few", &[1, 0, 0, 0, 2]), ("none", &[])]);
    // Names of five characters, a number of twelve, and what is around them.
    for width in [0, 20, 30] {
        let expected = "
  one         32/s │ ▁▁▂▂▃▃▄▄█
pairs         16/s │ ▁▁▂▂▃▃▄▄█
  few          8/s │▄▄      ██
 none          0/s │          
                   └0──1.500 s
"
        .trim_start_matches('\n');
        assert_eq!(stat.plot(width), expected, "{width}");
    }
    let plot = stat.plot(32);
    let lengths: Vec<_> = plot.lines().map(|line| line.chars().count()).collect();
    assert_eq!(lengths, [32; 5]);
    // A thousand columns at most, and no division by a length of nothing.
    stat.activity = activity(0, &[("one", &[1])]);
    let plot = stat.plot(100_000);
    let one = plot.lines().next().unwrap();
    assert!(one.starts_with("one          0/s │█") && one.chars().filter(|c| *c == '█').count() == 1000, "{one}");
    stat.activity = activity(1, &[]);
    assert_eq!(stat.plot(40), format!("{}└0{}1.500 s\n", " ".repeat(14), "─".repeat(17)));
}

#[test]
fn a_column_has_the_intervals_that_begin_in_it() {
    let shares =
        |counts: &[u64], columns| (0..columns).map(|column| share(counts, column, columns)).collect::<Vec<_>>();
    assert_eq!(shares(&[1, 2, 3, 4, 5, 6], 3), [3, 7, 11]);
    assert_eq!(shares(&[1, 2, 3, 4, 5, 6, 7], 3), [3, 7, 18]);
    assert_eq!(shares(&[1, 2, 3], 6), [1, 1, 2, 2, 3, 3]);
    assert_eq!(shares(&[1, 2, 3], 3), [1, 2, 3]);
    assert_eq!(shares(&[], 2), [0, 0]);
}
