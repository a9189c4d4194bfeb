//! The command line: what can be said, and how the help reads. What it does is in [`commands`](crate::commands).

pub mod about;
mod render;
pub mod score;
mod select;
mod send;
mod setup;
mod trace;
mod value;
pub mod words;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use render::RenderArgs;
pub use select::{OpenArgs, SelectArgs};
pub use send::{FormArgs, SendArgs, StringsArg, TimetagArg};
pub use setup::{SetupArgs, TeardownArgs};
pub use trace::TraceArgs;

use crate::capture::parts::Jobs;
use crate::replay::StartAt;
use about::CompletionsArgs;
use value::{address, whole};

const EXAMPLES: &str = "\
Examples:
  sudo ftrace-live --raw -e irq exceptions    interrupts, page faults, to sclang
  ftrace-live listen                          see what arrives, with no synth
  sudo ftrace-live --raw -e sched --for pd    the scheduler, for Pure Data
  sudo ftrace-live --raw -e syscalls -- ls    what one command does
  sudo ftrace-live -e sched_switch irq        as text: /ftrace ,dsii
  sudo ftrace-live --raw -e irq --record x.dat    send, and keep it for later
  sudo ftrace-live capture -e irq -o one --seconds 1    keep a second of it …
  ftrace-live replay one --raw --speed 0.1    … and play it ten times slower
  ftrace-live replay x.dat --raw --from 5s --until -3s --loop    a part of it
  ftrace-live stat x.dat --plot               what a trace.dat holds
  ftrace-live page --demo                     hear and see a kernel in a browser
  sudo ftrace-live --page -e irq exceptions   … this one
";

const AFTER: &str = "\
Exit codes: 0 done, 1 it could not be done, 2 the command line asks for what cannot be, 3 events were lost and \
--fail-on-loss was given. With -- COMMAND: the command's own; 126 it cannot be run, 127 it is not there.";

/// A running Linux kernel as a stream of typed OSC messages.
#[derive(Debug, Parser)]
#[command(name = "ftrace-live", version = about::version(), about, long_about = None, before_help = EXAMPLES, after_help = AFTER)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, arg_required_else_help = true)]
#[command(max_term_width = 100)]
pub struct Cli {
    /// What to do instead of tracing.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Tracing live.
    #[command(flatten)]
    pub live: LiveArgs,

    /// Another tracefs root than the kernel's, or a capture: a folder or a trace.dat, whose events are then the ones there are
    #[arg(long, value_name = "PATH", global = true)]
    pub tracefs: Option<PathBuf>,

    /// Take options from FILE, a score: TOML with the long options' names; the command line wins over it (docs/SCORES.md)
    #[arg(long, value_name = "FILE", global = true)]
    pub score: Option<PathBuf>,

    /// Write what the command line and the score say into FILE, a new score
    #[arg(long, value_name = "FILE", global = true)]
    pub save_score: Option<PathBuf>,

    /// Take no defaults from ~/.config/ftrace-live/config.toml, which is a score too
    #[arg(long, global = true)]
    pub no_config: bool,

    /// Say nothing but warnings, errors and what was lost or thinned
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more: the events, what each receiver is sent, whose rights are used
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the events there are, with what the best-known ones mean
    List(ListArgs),
    /// Say what an event's message looks like: address, type tags, arguments, what is left out
    Describe(DescribeArgs),
    /// Record events into a folder or a trace.dat that can be replayed anywhere
    Capture(CaptureArgs),
    /// Send a capture as it would have been sent live; needs neither root nor tracefs
    Replay(Box<ReplayArgs>),
    /// Make a sound file of a capture: 48 kHz, stereo, 24 bits
    Render(RenderArgs),
    /// Say what a capture holds: events by count and rate, losses, CPUs, clock, span, kernel
    Stat(StatArgs),
    /// Write a capture anew: a folder as a trace.dat for trace-cmd and KernelShark, or a trace.dat as a folder
    Convert(ConvertArgs),
    /// Play a capture in a browser: the one named, or with --demo one that is a part of the program
    Page(PageArgs),
    /// Print what arrives
    Listen(ListenArgs),
    /// Print a program for a receiver that plays the events as it is
    Patch(PatchArgs),
    /// Print what a shell reads to complete this command line: ftrace-live completions bash
    Completions(CompletionsArgs),
    /// Print the manual as a man page: ftrace-live man | man -l -
    Man,
    /// Let a user trace without root from now on: lends an instance. As root, once
    Setup(SetupArgs),
    /// Take back what setup lent. As root
    Teardown(TeardownArgs),
}

/// Tracing live.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// What is traced.
    #[command(flatten)]
    pub trace: TraceArgs,

    /// Where it goes.
    #[command(flatten)]
    pub send: SendArgs,

    /// Read with N threads, each some of the CPUs: for machines with many; dt then counts within such a part
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, help_heading = "Tracing")]
    #[arg(value_parser = whole::<usize>(1, 1024))]
    pub readers: usize,

    /// KiB that are read at once: more is cheaper at high rates; the kernel's default is a page
    #[arg(long, value_name = "KIB", allow_negative_numbers = true, help_heading = "Tracing")]
    #[arg(value_parser = whole::<u32>(0, u32::MAX.into()))]
    pub sub_buffer: Option<u32>,

    /// Keep what is read in FILE too, a trace.dat that trace-cmd, KernelShark and replay open; what is sent stays the same
    #[arg(long, value_name = "FILE", help_heading = "Tracing")]
    pub record: Option<PathBuf>,

    /// Take OSC commands by UDP while it runs: enable, disable, mute, solo, filter … (docs/CONTROL.md); PORT is this machine's
    /// alone
    #[arg(long, value_name = "[HOST:]PORT", help_heading = "Tracing")]
    pub control: Option<String>,

    /// Keep nobody out of the trace: neither the program that receives on this machine, nor its answers to our messages
    #[arg(long, help_heading = "Tracing")]
    pub no_guard: bool,

    /// End with exit code 3 if an event was lost, by the kernel, by us or by the receiver
    #[arg(long, help_heading = "Tracing")]
    pub fail_on_loss: bool,
}

impl LiveArgs {
    /// `--events too` is the other way to say `--events-too`: no event has that name.
    pub fn take_events_too(&mut self) {
        take_events_too(&mut self.trace.events, &mut self.send);
    }
}

impl ReplayArgs {
    /// As [`LiveArgs::take_events_too`].
    pub fn take_events_too(&mut self) {
        take_events_too(&mut self.select.events, &mut self.send);
    }
}

fn take_events_too(events: &mut Vec<String>, send: &mut SendArgs) {
    let before = events.len();
    events.retain(|event| event != "too");
    send.events_too |= events.len() < before;
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Groups, events or globs, as for -e; all without one. First of them may stand a capture: x.dat, or folder/
    pub patterns: Vec<String>,

    /// The same
    #[arg(short = 'e', long = "events", value_name = "EVENT", num_args = 1..)]
    pub named: Vec<String>,

    /// List ten events to try first, with what they sound like
    #[arg(long, conflicts_with_all = ["patterns", "named", "tracers"])]
    pub start: bool,

    /// List the tracers that -t takes, instead of events
    #[arg(long)]
    pub tracers: bool,

    /// List the instances there are, which capture --instance takes, instead of events
    #[arg(long, conflicts_with_all = ["patterns", "named", "tracers", "start"])]
    pub instances: bool,

    /// A line of JSON for each, for programs (docs/WIRE.md)
    #[arg(long)]
    pub json: bool,

    /// The form of the list
    #[arg(long, value_enum, default_value_t = LinesFormat::Text)]
    pub format: LinesFormat,
}

/// The forms of `list` and `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LinesFormat {
    /// For people
    Text,
    /// As --json
    Json,
}

/// The forms of `describe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// For people
    Text,
    /// One array with an object for each event
    Json,
    /// The OSCQuery tree
    Oscquery,
}

/// `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Groups, events or globs, as for -e. First of them may stand a capture: x.dat, or folder/
    #[arg(required_unless_present_any = ["all", "named"])]
    pub events: Vec<String>,

    /// The same
    #[arg(short = 'e', long = "events", value_name = "EVENT", num_args = 1..)]
    pub named: Vec<String>,

    /// Every event there is
    #[arg(long, conflicts_with_all = ["events", "named"])]
    pub all: bool,

    /// A line of JSON for each address, for programs (docs/WIRE.md)
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// The form of the description
    #[arg(long, value_enum, default_value_t = DescribeFormat::Text)]
    pub format: DescribeFormat,

    /// Describe what the events become by this map instead: a file, or superdirt, vcv and others (docs/MAPS.md)
    #[arg(long, value_name = "FILE|NAME")]
    pub map: Option<String>,

    /// The form of messages.
    #[command(flatten)]
    pub form: FormArgs,
}

/// `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// What is traced.
    #[command(flatten)]
    pub trace: TraceArgs,

    /// The folder to make, or the file if the name ends in .dat: a trace.dat, written while events come
    #[arg(short = 'o', long, value_name = "PATH")]
    pub output: PathBuf,

    /// Copy what the instance NAME has recorded so far, and take nothing out of it: whoever owns it goes on undisturbed
    #[arg(long, value_name = "NAME", conflicts_with_all = ["events", "pids", "filters", "cpu", "tracer", "buffer", "seconds", "command"])]
    pub instance: Option<String>,

    /// With --instance, copy the snapshot it has; where it has none, take one now. What is copied is gone from there
    #[arg(long, requires = "instance", conflicts_with = "take")]
    pub snapshot: bool,

    /// With --instance, take the events out of it: the only way where its ring is kept over reboots (trace_instance=NAME@…)
    #[arg(long, requires = "instance")]
    pub take: bool,

    /// Keep kallsyms as well (10 MB): names for the addresses that some events print. A trace.dat always has them
    #[arg(long)]
    pub kallsyms: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A capture folder, a trace.dat, or a perf.data with tracepoints
    pub capture: PathBuf,

    /// Others, played with it in one order of the time of day; --prefix /ftrace/%h gives each machine addresses of its own
    pub more: Vec<PathBuf>,

    /// 1 is the pace it was recorded at, 0.1 or 1/10 ten times slower, max as fast as possible
    #[arg(long, value_name = "FACTOR", default_value = "1", allow_negative_numbers = true, help_heading = "Time")]
    pub speed: String,

    /// Begin at this time of day, so that several machines begin together: 20:15, 20:15:30, RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub start_at: Option<StartAt>,

    /// Take OSC commands by UDP while it plays: pause, speed, seek, mute, solo … (docs/CONTROL.md); PORT is this machine's alone
    #[arg(long, value_name = "[HOST:]PORT", help_heading = "Time")]
    pub control: Option<String>,

    /// Play it again and again, without a gap, until Ctrl-C
    #[arg(long = "loop", help_heading = "Time")]
    pub repeat: bool,

    /// Which part of it.
    #[command(flatten)]
    pub select: SelectArgs,

    /// How it is opened.
    #[command(flatten)]
    pub open: OpenArgs,

    /// With how many threads it is printed as fast as possible.
    #[command(flatten)]
    pub jobs: JobsArgs,

    /// Where it goes.
    #[command(flatten)]
    pub send: SendArgs,
}

/// The forms of `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatFormat {
    /// For people
    Text,
    /// One object, with the activity over time
    Json,
}

/// How many threads read a capture.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Read a large capture with N threads, each parts of it; what comes out is the same [default: one for each processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>(1, 256))]
    pub jobs: Option<usize>,
}

impl JobsArgs {
    /// How many there are.
    pub fn jobs(&self) -> Jobs {
        self.jobs.map_or(Jobs::Processors, Jobs::Number)
    }
}

/// `stat`.
#[derive(Debug, Args)]
pub struct StatArgs {
    /// A capture folder, a trace.dat, or a perf.data with tracepoints
    pub capture: PathBuf,

    /// Draw the activity over time, a line for each system
    #[arg(long)]
    pub plot: bool,

    /// A line of JSON for the capture, each event, CPU, loss and system, for programs (docs/WIRE.md)
    #[arg(long, conflicts_with_all = ["format", "plot"])]
    pub json: bool,

    /// The form of the numbers
    #[arg(long, value_enum, default_value_t = StatFormat::Text)]
    pub format: StatFormat,

    /// How long it takes from one event to another: BEGIN..END, such as irq_handler_entry..irq_handler_exit; BEGIN..END@FIELD
    /// or @FIELD_OF_BEGIN,FIELD_OF_END says what they are paired by
    #[arg(long, value_name = "PAIR", conflicts_with = "plot")]
    pub latency: Option<String>,

    /// List this many events, the most frequent ones [default: 30 as text, all of them as JSON]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>(0, u64::MAX))]
    pub top: Option<usize>,

    /// With how many threads.
    #[command(flatten)]
    pub jobs: JobsArgs,

    /// Which part of it.
    #[command(flatten)]
    pub select: SelectArgs,

    /// How it is opened.
    #[command(flatten)]
    pub open: OpenArgs,
}

/// `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// A capture folder, a trace.dat, or a perf.data with tracepoints
    pub capture: PathBuf,

    /// What to write: a trace.dat if the name ends in .dat; JSON for Perfetto and Chrome's trace viewer, if in .json; else a
    /// new folder
    #[arg(short = 'o', long, value_name = "PATH")]
    pub output: PathBuf,

    /// Keep what still can be read of a damaged trace.dat
    #[arg(long)]
    pub salvage: bool,

    /// With how many threads JSON is made.
    #[command(flatten)]
    pub jobs: JobsArgs,
}

/// `page`.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// A capture folder, or a trace.dat; replay --page has more options
    #[arg(required_unless_present = "demo")]
    pub capture: Option<PathBuf>,

    /// Play the capture that is a part of the program, again and again; needs neither root nor tracefs
    #[arg(long, conflicts_with = "capture")]
    pub demo: bool,

    /// Serve at this address; without it on this machine alone
    #[arg(long, value_name = "HOST:PORT")]
    pub at: Option<String>,

    /// 1 is the pace it was recorded at, 0.1 or 1/10 ten times slower
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub speed: String,

    /// Play it again and again
    #[arg(long = "loop")]
    pub repeat: bool,
}

/// `listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// The UDP port, or ADDRESS:PORT, to listen on
    #[arg(default_value = "57120")]
    pub port: String,

    /// Show a live table of rates instead of the messages
    #[arg(long)]
    pub rates: bool,

    /// Write the messages to FILE instead
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// End after N messages
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>(1, u64::MAX))]
    pub count: Option<u64>,

    /// A line of JSON for each message, or with --rates for each address, for programs (docs/WIRE.md)
    #[arg(long)]
    pub json: bool,

    /// The form of the lines
    #[arg(long, value_enum, default_value_t = LinesFormat::Text)]
    pub format: LinesFormat,
}

/// `patch`.
#[derive(Debug, Args)]
pub struct PatchArgs {
    /// Groups, events or globs, as for -e
    #[arg(required_unless_present = "named")]
    pub events: Vec<String>,

    /// The same
    #[arg(short = 'e', long = "events", value_name = "EVENT", num_args = 1..)]
    pub named: Vec<String>,

    /// Listen at this address of the machine that the patch runs on: 0.0.0.0 takes what comes from other machines
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub bind: Option<std::net::IpAddr>,

    /// The UDP port that the program listens on [default: that of --for]
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<String>,

    /// Let the program control what is sent, for a stream started with the same option: lines and buttons for sc, pd, python
    #[arg(long, value_name = "[HOST:]PORT")]
    pub control: Option<String>,

    /// The form of messages: --for says which program the patch is for (sc, pd, chuck, csound or python).
    #[command(flatten)]
    pub form: FormArgs,
}
