//! Options that select what is traced.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::value::{Bare, time, whole};

/// What is traced.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tracing")]
pub struct TraceArgs {
    /// Groups (irq), events (sched_switch, sched:sched_switch), globs (ext4_*, syscalls:sys_enter_*); !PATTERN
    /// excludes
    #[arg(short, long, value_name = "EVENT", num_args = 1..)]
    pub events: Vec<String>,

    /// Trace this process and its children only; may be given several times
    #[arg(short = 'i', long = "pid", value_name = "PID", allow_negative_numbers = true)]
    #[arg(value_parser = whole::<u32>(1, i32::MAX as u64))]
    pub pids: Vec<u32>,

    /// The kernel's filter on events: 'irq:irq_handler_entry=irq>3'; may be given several times, all must hold
    #[arg(long = "filter", value_name = "EVENT=CONDITION")]
    pub filters: Vec<String>,

    /// Trace these CPUs only: 0,2-3
    #[arg(long, value_name = "LIST")]
    pub cpu: Option<String>,

    /// Use this tracer besides events: function, function_graph, blk …
    #[arg(short = 't', long, value_name = "TRACER")]
    pub tracer: Option<String>,

    /// The functions to trace
    #[arg(long, value_name = "GLOB", num_args = 1.., requires = "tracer")]
    pub functions: Vec<String>,

    /// Size of the ring for unread events, KiB per CPU
    #[arg(short, long, value_name = "KIB", allow_negative_numbers = true, value_parser = whole::<u64>(0, u64::MAX))]
    pub buffer: Option<u64>,

    /// The clock of the events
    #[arg(long, value_name = "CLOCK", default_value = "mono")]
    pub clock: String,

    /// End after this time: 5, 500ms, 2m
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    #[arg(value_parser = time(Bare::Seconds, Duration::ZERO, Duration::MAX))]
    pub seconds: Option<Duration>,

    /// Become this user once tracefs is open, and run the command as this user [default: the user who called sudo,
    /// otherwise nobody]
    #[arg(long, value_name = "NAME", conflicts_with = "stay_root")]
    pub user: Option<String>,

    /// Stay root: files are read and written, and the command runs, as root
    #[arg(long)]
    pub stay_root: bool,

    /// Run this command; trace only it and its children, until it ends
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
