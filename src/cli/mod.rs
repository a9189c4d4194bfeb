//! The command line: options, subcommands and the help text. What they do is in [`commands`](crate::commands).

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
  ftrace-live listen                          print what arrives, synth or none
  sudo ftrace-live --raw -e sched --for pd    the scheduler, for Pure Data
  sudo ftrace-live --raw -e syscalls -- ls    what one command does
  sudo ftrace-live -e sched_switch irq        as text: /ftrace ,dsii
  sudo ftrace-live --raw -e irq --record x.dat    send, and keep it for later
  sudo ftrace-live capture -e irq -o one --seconds 1    keep a second of it …
  ftrace-live replay one --raw --speed 0.1    … and play it ten times slower
  ftrace-live replay x.dat --raw --from 5s --until -3s --loop    a part of it
  ftrace-live stat x.dat --plot               what is in a trace.dat
  ftrace-live page --demo                     hear and see a kernel in a browser
  sudo ftrace-live --page -e irq exceptions   … this one
";

const AFTER: &str = "\
Exit codes: 0 success, 1 failure, 2 the command line is wrong, 3 events were lost and \
--fail-on-loss was given. With -- COMMAND: the command's own; 126 it cannot be run, 127 it does not exist.";

/// A running Linux kernel as a stream of typed OSC messages.
#[derive(Debug, Parser)]
#[command(name = "ftrace-live", version = about::version(), about, long_about = None, before_help = EXAMPLES, after_help = AFTER)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, arg_required_else_help = true)]
#[command(max_term_width = 100)]
// First what it is, then how it is used.
#[command(help_template = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}")]
pub struct Cli {
    /// What to do instead of tracing.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options for live tracing.
    #[command(flatten)]
    pub live: LiveArgs,

    /// Use another tracefs root than the kernel's, or a capture (a folder or a trace.dat) whose events are then used
    #[arg(long, value_name = "PATH", global = true)]
    pub tracefs: Option<PathBuf>,

    /// Take options from FILE, a score: TOML with the long options' names; the command line wins over it (docs/SCORES.md)
    #[arg(long, value_name = "FILE", global = true)]
    pub score: Option<PathBuf>,

    /// Write the options of the command line and the score to FILE, a new score
    #[arg(long, value_name = "FILE", global = true)]
    pub save_score: Option<PathBuf>,

    /// Take no defaults from ~/.config/ftrace-live/config.toml, which is a score too
    #[arg(long, global = true)]
    pub no_config: bool,

    /// Print only warnings, errors, and what was lost or thinned
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print more: the events, what each receiver is sent, whose rights are used
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the available events; the best-known ones have a description
    List(ListArgs),
    /// Describe the message of an event: address, type tags, arguments, omitted fields
    Describe(DescribeArgs),
    /// Record events to a folder or a trace.dat that can be replayed on any machine
    Capture(CaptureArgs),
    /// Send a capture as it would have been sent live; needs neither root nor tracefs
    Replay(Box<ReplayArgs>),
    /// Render a capture to a sound file: 48 kHz, stereo, 24 bits
    Render(RenderArgs),
    /// Print statistics of a capture: events by count and rate, losses, CPUs, clock, span, kernel
    Stat(StatArgs),
    /// Convert a capture: a folder to a trace.dat for trace-cmd and KernelShark, or a trace.dat to a folder
    Convert(ConvertArgs),
    /// Play a capture in a browser: the given one, or with --demo a built-in one
    Page(PageArgs),
    /// Print the OSC messages that arrive
    Listen(ListenArgs),
    /// Print a program that makes a receiver play the events
    Patch(PatchArgs),
    /// Print a shell's completion script: ftrace-live completions bash
    Completions(CompletionsArgs),
    /// Print the manual as a man page: ftrace-live man | man -l -
    Man,
    /// Allow a user to trace without root: lends an instance. As root, once
    Setup(SetupArgs),
    /// Take back what setup lent. As root
    Teardown(TeardownArgs),
}

/// Options for live tracing.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// What is traced.
    #[command(flatten)]
    pub trace: TraceArgs,

    /// Where events are sent.
    #[command(flatten)]
    pub send: SendArgs,

    /// Read with N threads, each a part of the CPUs: for machines with many; dt is then counted within a part
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, help_heading = "Tracing")]
    #[arg(value_parser = whole::<usize>(1, 1024))]
    pub readers: usize,

    /// With --readers: one stream in the order of time. N threads empty the rings, one sends; every output goes with it
    #[arg(long, help_heading = "Tracing")]
    pub merged: bool,

    /// KiB per read: larger is cheaper at high rates; the kernel's default is a page
    #[arg(long, value_name = "KIB", allow_negative_numbers = true, help_heading = "Tracing")]
    #[arg(value_parser = whole::<u32>(0, u32::MAX.into()))]
    pub sub_buffer: Option<u32>,

    /// Also record to FILE, a trace.dat that trace-cmd, KernelShark and replay open; what is sent stays the same
    #[arg(long, value_name = "FILE", help_heading = "Tracing")]
    pub record: Option<PathBuf>,

    /// Accept OSC commands by UDP while tracing: enable, disable, mute, solo, filter … (docs/CONTROL.md); a bare PORT
    /// accepts them from this machine only
    #[arg(long, value_name = "[HOST:]PORT", help_heading = "Tracing")]
    pub control: Option<String>,

    /// Exclude nobody from the trace: neither the receiving program on this machine, nor its replies to our messages
    #[arg(long, help_heading = "Tracing")]
    pub no_guard: bool,

    /// Exit with code 3 if an event was lost, by the kernel, by us or by the receiver
    #[arg(long, help_heading = "Tracing")]
    pub fail_on_loss: bool,
}

impl LiveArgs {
    /// `--events too` is an alias of `--events-too`: no event has that name.
    pub fn take_events_too(&mut self) {
        take_events_too(&mut self.trace.events, &mut self.send);
    }
}

impl ReplayArgs {
    /// See [`LiveArgs::take_events_too`].
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
    /// Groups, events or globs, as for -e; by default all. A capture may come first: x.dat, or folder/
    pub patterns: Vec<String>,

    /// The same
    #[arg(short = 'e', long = "events", value_name = "EVENT", num_args = 1..)]
    pub named: Vec<String>,

    /// List ten events to try first, and what they sound like
    #[arg(long, conflicts_with_all = ["patterns", "named", "tracers"])]
    pub start: bool,

    /// List the tracers that -t takes, instead of events
    #[arg(long)]
    pub tracers: bool,

    /// List the existing instances, for capture --instance, instead of events
    #[arg(long, conflicts_with_all = ["patterns", "named", "tracers", "start"])]
    pub instances: bool,

    /// A line of JSON for each, for programs (docs/WIRE.md)
    #[arg(long)]
    pub json: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = LinesFormat::Text)]
    pub format: LinesFormat,
}

/// The forms of `list` and `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LinesFormat {
    /// Text for people
    Text,
    /// As --json
    Json,
}

/// The forms of `describe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// Text for people
    Text,
    /// One array with an object for each event
    Json,
    /// The OSCQuery tree
    Oscquery,
}

/// `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Groups, events or globs, as for -e. A capture may come first: x.dat, or folder/
    #[arg(required_unless_present_any = ["all", "named"])]
    pub events: Vec<String>,

    /// The same
    #[arg(short = 'e', long = "events", value_name = "EVENT", num_args = 1..)]
    pub named: Vec<String>,

    /// Describe all events
    #[arg(long, conflicts_with_all = ["events", "named"])]
    pub all: bool,

    /// A line of JSON for each address, for programs (docs/WIRE.md)
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = DescribeFormat::Text)]
    pub format: DescribeFormat,

    /// Describe the messages of this map instead: a file, or superdirt, vcv and others (docs/MAPS.md)
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

    /// The folder to create, or a trace.dat if the name ends in .dat, which is written while tracing
    #[arg(short = 'o', long, value_name = "PATH")]
    pub output: PathBuf,

    /// Copy what the instance NAME has recorded, without consuming it: its owner is not affected
    #[arg(long, value_name = "NAME", conflicts_with_all = ["events", "pids", "filters", "cpu", "tracer", "buffer", "seconds", "command"])]
    pub instance: Option<String>,

    /// With --instance, copy its snapshot; if it has none, take one now. The snapshot is consumed
    #[arg(long, requires = "instance", conflicts_with = "take")]
    pub snapshot: bool,

    /// With --instance, consume the events: the only way if its ring is kept over reboots (trace_instance=NAME@…)
    #[arg(long, requires = "instance")]
    pub take: bool,

    /// Store kallsyms too (10 MB): names for the addresses that some events print. A trace.dat always has them
    #[arg(long)]
    pub kallsyms: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A capture folder, a trace.dat, or a perf.data with tracepoints
    pub capture: PathBuf,

    /// More captures, merged with it by time of day; --prefix /ftrace/%h gives each machine its own addresses
    pub more: Vec<PathBuf>,

    /// 1 is the recorded speed, 0.1 or 1/10 ten times slower, max as fast as possible
    #[arg(long, value_name = "FACTOR", default_value = "1", allow_negative_numbers = true, help_heading = "Time")]
    pub speed: String,

    /// Begin at this time of day, to start several machines together: 20:15, 20:15:30, RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub start_at: Option<StartAt>,

    /// Accept OSC commands by UDP while playing: pause, speed, seek, mute, solo … (docs/CONTROL.md); a bare PORT
    /// accepts them from this machine only
    #[arg(long, value_name = "[HOST:]PORT", help_heading = "Time")]
    pub control: Option<String>,

    /// Repeat it without a gap until Ctrl-C
    #[arg(long = "loop", help_heading = "Time")]
    pub repeat: bool,

    /// The part to use.
    #[command(flatten)]
    pub select: SelectArgs,

    /// How it is opened.
    #[command(flatten)]
    pub open: OpenArgs,

    /// The number of threads for printing as fast as possible.
    #[command(flatten)]
    pub jobs: JobsArgs,

    /// Where events are sent.
    #[command(flatten)]
    pub send: SendArgs,
}

/// The forms of `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatFormat {
    /// Text for people
    Text,
    /// One object, with the activity over time
    Json,
}

/// The number of threads that read a capture.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Read a large capture with N threads; the output is the same [default: one per processor]
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

    /// Plot the activity over time, a line for each system
    #[arg(long)]
    pub plot: bool,

    /// Print a line of JSON for the capture, each event, CPU, loss and system, for programs (docs/WIRE.md)
    #[arg(long, conflicts_with_all = ["format", "plot"])]
    pub json: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = StatFormat::Text)]
    pub format: StatFormat,

    /// Measure the time from one event to another: BEGIN..END, such as irq_handler_entry..irq_handler_exit;
    /// BEGIN..END@FIELD or @FIELD_OF_BEGIN,FIELD_OF_END gives the fields to pair them by
    #[arg(long, value_name = "PAIR", conflicts_with = "plot")]
    pub latency: Option<String>,

    /// List the N most frequent events [default: 30 as text, all as JSON]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>(0, u64::MAX))]
    pub top: Option<usize>,

    /// The number of threads.
    #[command(flatten)]
    pub jobs: JobsArgs,

    /// The part to use.
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

    /// The output: a trace.dat if the name ends in .dat; JSON for Perfetto and Chrome's trace viewer if it ends in
    /// .json; otherwise a new folder
    #[arg(short = 'o', long, value_name = "PATH")]
    pub output: PathBuf,

    /// Keep as much as possible of a damaged trace.dat
    #[arg(long)]
    pub salvage: bool,

    /// The number of threads that format JSON.
    #[command(flatten)]
    pub jobs: JobsArgs,
}

/// `page`.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// A capture folder, or a trace.dat; replay --page has more options
    #[arg(required_unless_present = "demo")]
    pub capture: Option<PathBuf>,

    /// Play a built-in capture repeatedly; needs neither root nor tracefs
    #[arg(long, conflicts_with = "capture")]
    pub demo: bool,

    /// Serve at this address; by default on this machine only
    #[arg(long, value_name = "HOST:PORT")]
    pub at: Option<String>,

    /// 1 is the recorded speed, 0.1 or 1/10 ten times slower
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub speed: String,

    /// Repeat it
    #[arg(long = "loop")]
    pub repeat: bool,
}

/// `listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// The UDP port, or ADDRESS:PORT, to listen on
    #[arg(default_value = "57120")]
    pub port: String,

    /// Print a live table of rates instead of the messages
    #[arg(long)]
    pub rates: bool,

    /// Write the messages to FILE instead
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Exit after N messages
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>(1, u64::MAX))]
    pub count: Option<u64>,

    /// Print a line of JSON for each message, or with --rates for each address, for programs (docs/WIRE.md)
    #[arg(long)]
    pub json: bool,

    /// The output format
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

    /// Listen on this address of the machine that runs the patch: 0.0.0.0 accepts messages from other machines
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub bind: Option<std::net::IpAddr>,

    /// The UDP port on which the program listens [default: that of --for]
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<String>,

    /// Add controls for a stream started with the same option: lines and buttons for sc, pd, python
    #[arg(long, value_name = "[HOST:]PORT")]
    pub control: Option<String>,

    /// The form of messages: --for says which program the patch is for (sc, pd, chuck, csound or python).
    #[command(flatten)]
    pub form: FormArgs,
}
