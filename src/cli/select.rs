//! Options that say which part of a capture is meant, and how it is opened.

use std::time::Duration;

use clap::Args;

use super::value::{Bare, time, whole};

use crate::capture::moment::Moment;
use crate::capture::window::Point;

/// Which part of a capture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selecting")]
pub struct SelectArgs {
    /// These events only: groups (irq), events (sched_switch), globs; !PATTERN leaves out
    #[arg(short, long, value_name = "EVENT", num_args = 1..)]
    pub events: Vec<String>,

    /// This process only, with all its threads, or this thread; may be given several times
    #[arg(short = 'i', long = "pid", value_name = "PID", allow_negative_numbers = true)]
    #[arg(value_parser = whole::<i32>(0, i32::MAX as u64))]
    pub pids: Vec<i32>,

    /// These CPUs only: 0,2-3
    #[arg(long, value_name = "LIST")]
    pub cpu: Option<String>,

    /// Events for which this holds, as live: 'irq:irq_handler_entry=irq>3'; may be given several times
    #[arg(long = "filter", value_name = "EVENT=CONDITION")]
    pub filters: Vec<String>,

    /// From this time on: 12.5s after the first event, or -3s before the last (also ms, us, m, h)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<Point>,

    /// Up to this time, said in the same way
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<Point>,

    /// From when this first happens: EVENT or EVENT:CONDITION, such as 'sched_switch:next_comm=="x"'
    #[arg(long, value_name = "EVENT")]
    pub from_event: Option<Moment>,

    /// Until when this first happens after that
    #[arg(long, value_name = "EVENT")]
    pub until_event: Option<Moment>,

    /// Around when this first happens: --margin before and after it
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["from_event", "until_event"])]
    pub around: Option<Moment>,

    /// How far --around goes before and after
    #[arg(long, value_name = "TIME", default_value = "500ms", requires = "around", allow_hyphen_values = true)]
    #[arg(value_parser = time(Bare::Seconds, Duration::ZERO, Duration::MAX))]
    pub margin: Duration,
}

/// How a capture is opened.
#[derive(Debug, Args)]
#[command(next_help_heading = "Opening")]
pub struct OpenArgs {
    /// Read what still can be read of a damaged trace.dat
    #[arg(long)]
    pub salvage: bool,

    /// Of several buffers this one, by its instance's name; "" is the top-level one [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub buffer: Option<String>,
}
