//! One thread compared with two: the program with `--jobs 1` and `--jobs 2` in turn, on the capture given by
//! `$CAPTURE`.
//!
//! Besides wall-clock time, which other work on the machine distorts, it prints all processor time: with two evenly
//! loaded threads, the speedup on a quiet machine is twice the time of one divided by that of both.

use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs of each, of which the median is used.
const ROUNDS: usize = 5;

pub fn jobs() {
    let Some(capture) = std::env::var_os("CAPTURE") else {
        println!("\njobs: CAPTURE names no capture");
        return;
    };
    let program = std::env::var_os("FTRACE_LIVE").unwrap_or_else(|| env!("CARGO_BIN_EXE_ftrace-live").into());
    println!("\njobs: {}, medians of {ROUNDS}", capture.display());
    println!(
        "{:>28} {:>10} {:>10} {:>8} {:>10} {:>10} {:>12}",
        "", "1: wall, s", "2: wall, s", "times", "1: CPU, s", "2: CPU, s", "attainable"
    );
    let json = std::env::temp_dir().join(format!("ftrace-live-bench-{}.json", std::process::id()));
    let ways: [(&str, &[&str]); 4] = [
        ("stat", &["stat"]),
        ("replay --print", &["replay", "--print", "--speed", "max"]),
        ("replay --raw --print", &["replay", "--raw", "--print", "--speed", "max"]),
        ("convert -o x.json", &["convert", "-o"]),
    ];
    for (name, arguments) in ways {
        let mut figures = [vec![], vec![]];
        for _ in 0..ROUNDS {
            for (jobs, figures) in [1, 2].into_iter().zip(&mut figures) {
                let mut command = Command::new(&program);
                command.args(arguments);
                if name.starts_with("convert") {
                    command.arg(&json);
                }
                command.arg(&capture).args(["--jobs", &format!("{jobs}")]);
                let (before, began) = (children_s(), Instant::now());
                let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
                assert!(status.is_ok_and(|status| status.success()), "{command:?}");
                figures.push((began.elapsed().as_secs_f64(), children_s() - before));
                let _ = std::fs::remove_file(&json);
            }
        }
        let median = |figures: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
            let mut all: Vec<_> = figures.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let wall = figures.each_ref().map(|figures| median(figures, |figure| figure.0));
        let cpu = figures.each_ref().map(|figures| median(figures, |figure| figure.1));
        println!(
            "{name:>28} {:>10.2} {:>10.2} {:>8.2} {:>10.2} {:>10.2} {:>12.2}",
            wall[0],
            wall[1],
            wall[0] / wall[1],
            cpu[0],
            cpu[1],
            2.0 * cpu[0] / cpu[1]
        );
    }
}

/// Processor time of all children that have ended, s: the last four fields of `/proc/self/stat` before the priority are their
/// and our times, in hundredths (proc_pid_stat(5)).
fn children_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (field(16) + field(17)) / 100.0
}
