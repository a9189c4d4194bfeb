//! Options that select a part of a capture, and how it is opened.

use std::time::Duration;

use clap::Args;

use super::value::{Bare, time, whole};

use crate::capture::moment::Moment;
use crate::capture::window::Point;

/// The part of a capture to use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selecting")]
pub struct SelectArgs {
    /// Use these events only: groups (irq), events (sched_switch), globs; !PATTERN excludes
    #[arg(short, long, value_name = "EVENT", num_args = 1..)]
    pub events: Vec<String>,

    /// Use this process with all its threads, or this thread, only; may be given several times
    #[arg(short = 'i', long = "pid", value_name = "PID", allow_negative_numbers = true)]
    #[arg(value_parser = whole::<i32>(0, i32::MAX as u64))]
    pub pids: Vec<i32>,

    /// Use these CPUs only: 0,2-3
    #[arg(long, value_name = "LIST")]
    pub cpu: Option<String>,

    /// Use events that match only, as live: 'irq:irq_handler_entry=irq>3'; may be given several times, all must hold
    #[arg(long = "filter", value_name = "EVENT=CONDITION")]
    pub filters: Vec<String>,

    /// Begin at this time: 12.5s after the first event, or -3s before the last (also ms, us, m, h)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<Point>,

    /// End at this time, in the same form
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<Point>,

    /// Begin when this first occurs: EVENT or EVENT:CONDITION, such as 'sched_switch:next_comm=="x"'
    #[arg(long, value_name = "EVENT")]
    pub from_event: Option<Moment>,

    /// End when this first occurs after that
    #[arg(long, value_name = "EVENT")]
    pub until_event: Option<Moment>,

    /// Use the time around the first occurrence of this: --margin before and after it
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["from_event", "until_event"])]
    pub around: Option<Moment>,

    /// The time before and after --around
    #[arg(long, value_name = "TIME", default_value = "500ms", requires = "around", allow_hyphen_values = true)]
    #[arg(value_parser = time(Bare::Seconds, Duration::ZERO, Duration::MAX))]
    pub margin: Duration,
}

/// How a capture is opened.
#[derive(Debug, Args)]
#[command(next_help_heading = "Opening")]
pub struct OpenArgs {
    /// Read as much as possible of a damaged trace.dat
    #[arg(long)]
    pub salvage: bool,

    /// Use only this buffer, by its instance's name; "" is the top-level one [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub buffer: Option<String>,
}
