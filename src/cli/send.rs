//! Options that say where events go, and in what form.

use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::value::{Bare, share, time, whole};
use crate::osc::aggregate::{MAX_WINDOW, MIN_WINDOW};
use crate::osc::datagram::{MAX_MTU, MIN_MTU};
use crate::osc::preset::Target;

/// Which strings are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StringsArg {
    /// All strings
    All,
    /// Task names only; others are empty, in their place
    Comm,
    /// None; all are empty, in their place
    None,
}

/// What a bundle's timetag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimetagArg {
    /// When the event happened
    On,
    /// When it is sent
    Off,
}

/// The longest string where nobody says another length, bytes.
const STRING_LIMIT: usize = 64;

/// The form of messages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Messages")]
pub struct FormArgs {
    /// The receiver, which sets port, types, rate and datagram size in one word; without a value: list them
    #[arg(long = "for", value_name = "RECEIVER", num_args = 0..=1, default_missing_value = "")]
    pub preset: Option<String>,

    /// Which OSC types the receiver takes: full, double or portable
    #[arg(long, value_name = "LEVEL")]
    pub types: Option<String>,

    /// What every address begins with; %h is the machine's name, in a replay %b the buffer's
    #[arg(long, value_name = "ADDRESS", default_value = "/ftrace")]
    pub prefix: String,

    /// Send pointers too, where the types leave them out
    #[arg(long)]
    pub pointers: bool,

    /// Send enums and flags as the kernel's own words instead of numbers
    #[arg(long)]
    pub names: bool,

    /// Which strings are sent: SuperCollider and Pd keep every distinct one for ever
    #[arg(long, value_enum, default_value_t = StringsArg::All)]
    pub strings: StringsArg,

    /// The longest string, bytes
    #[arg(long, value_name = "BYTES", default_value_t = STRING_LIMIT, allow_negative_numbers = true)]
    #[arg(value_parser = whole::<usize>(0, u64::MAX))]
    pub string_limit: usize,
}

/// Where events go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sending", group(ArgGroup::new("heard").args(["hits", "page", "map"]).multiple(true)))]
#[command(group(ArgGroup::new("instead").args(["aggregate", "signals"]).multiple(true)))]
pub struct SendArgs {
    /// Typed messages, one address for each event; without it text, as /ftrace ,dsii. Options that are about typed messages
    /// (--for, --types, --to RECEIVER@…, --hits and others) imply it
    #[arg(long)]
    pub raw: bool,

    /// The UDP port to send to [default: that of --for, 57120 for sc]
    #[arg(short, long, value_name = "PORT", allow_negative_numbers = true)]
    pub port: Option<String>,

    /// Where to send: HOST, HOST:PORT or RECEIVER@HOST:PORT, as 10.0.0.5:57120 or pd@studio; may be given several times.
    /// midi:FILE.mid writes what is to be heard into a MIDI file; midi:PORT plays it (with the feature midi)
    #[arg(long, value_name = "TARGET")]
    pub to: Vec<String>,

    /// Send messages in the receiver's own words: a map of yours, or superdirt, tidal, vcv, processing, unity, openframeworks,
    /// ossia, chataigne, resolume, faust (docs/MAPS.md)
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["hits", "aggregate"])]
    pub map: Option<String>,

    /// Print each message on a line instead of sending; with --to, do both. A terminal gets about five lines a second, in a
    /// form to be read; a pipe gets all of them, exact
    #[arg(long)]
    pub print: bool,

    /// With --print, a line of JSON for each message, for programs (docs/WIRE.md)
    #[arg(long, requires = "print")]
    pub json: bool,

    /// Serve a page that plays and shows the events, and print its URL; at HOST:PORT, or on this machine alone
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "")]
    pub page: Option<String>,

    /// Messages a second at most, thinned fairly; 0 sends everything
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(0, u32::MAX.into()))]
    pub max_rate: Option<u32>,

    /// Send each event's count, rate and mean, least and greatest of a number for each WINDOW (50ms), zeros included
    #[arg(long, value_name = "WINDOW", allow_hyphen_values = true)]
    #[arg(value_parser = time(Bare::Seconds, MIN_WINDOW, MAX_WINDOW))]
    pub aggregate: Option<Duration>,

    /// The number that --aggregate takes of an event: irq:softirq_entry=vec; else it is the first it has
    #[arg(long = "aggregate-field", value_name = "EVENT=FIELD", requires = "aggregate")]
    pub aggregate_fields: Vec<String>,

    /// With --aggregate, send how long it takes from one event to another as well: BEGIN..END, as stat --latency has it; may be given
    /// several times
    #[arg(long = "aggregate-latency", value_name = "PAIR", requires = "aggregate")]
    pub aggregate_latencies: Vec<String>,

    /// Send each event's rate, density and main number as 0…1, steadily while it comes: for what has knobs (docs/WIRE.md)
    #[arg(long, conflicts_with = "map")]
    pub signals: bool,

    /// How often --signals are said [default: 20ms]; live also how often it is looked for new events while many come, 0 to 10s
    /// [default: 1ms]; one that comes alone is sent at once
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    #[arg(value_parser = time(Bare::Milliseconds, Duration::ZERO, Duration::from_secs(10)))]
    pub tick: Option<Duration>,

    /// With --aggregate or --signals, send the events as well (also said as: --events too)
    #[arg(long, requires = "instead")]
    pub events_too: bool,

    /// Send what is to be heard as well: /ftrace/hit, by the mapping of docs/SOUND.md; the patches play it
    #[arg(long)]
    pub hits: bool,

    /// With --hits, --page or --map, how long events are heard one by one: 0 is calm, 1 all detail
    #[arg(long, value_name = "0…1", requires = "heard", default_value_t = 0.5, allow_negative_numbers = true, value_parser = share)]
    pub detail: f32,

    /// The longest datagram, bytes
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    #[arg(value_parser = whole::<usize>(MIN_MTU as u64, MAX_MTU as u64))]
    pub mtu: Option<usize>,

    /// Shift timetags into the future, for receivers that schedule by them: 50ms
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    #[arg(value_parser = time(Bare::Milliseconds, Duration::ZERO, Duration::from_secs(60)))]
    pub latency: Option<Duration>,

    /// What timetags say [default: on for receivers on this machine, off for others]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub timetag: Option<TimetagArg>,

    /// Say all times by the clock of HOST, where `ftrace-live listen` or a run with --control answers; so several machines'
    /// events go together (docs/REMOTE.md)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub clock_from: Option<String>,

    /// Send from this UDP port
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
    #[arg(value_parser = whole::<u16>(0, 65535))]
    pub source_port: u16,

    /// The form of messages.
    #[command(flatten)]
    pub form: FormArgs,
}

impl SendArgs {
    /// Sends typed messages where an option is about these and means nothing to text. Returns the options that are.
    pub fn imply_raw(&mut self) -> Vec<&'static str> {
        let form = &self.form;
        let receiver = |target: &String| target.parse::<Target>().is_ok_and(|target| target.preset.is_some());
        let options = [
            ("--for", form.preset.as_deref().is_some_and(|name| !name.is_empty())),
            ("--types", form.types.is_some()),
            ("--pointers", form.pointers),
            ("--names", form.names),
            ("--strings", form.strings != StringsArg::All),
            ("--string-limit", form.string_limit != STRING_LIMIT),
            ("--to RECEIVER@HOST", self.to.iter().any(receiver)),
            ("--aggregate", self.aggregate.is_some()),
            ("--hits", self.hits),
            ("--signals", self.signals),
            ("--to midi:FILE", self.to.iter().any(|target| target.starts_with("midi:"))),
            ("--map", self.map.is_some()),
            ("--json", self.json),
            ("--mtu", self.mtu.is_some()),
            ("--latency", self.latency.is_some()),
            ("--timetag", self.timetag.is_some()),
            ("--clock-from", self.clock_from.is_some()),
        ];
        if self.raw {
            return Vec::new();
        }
        let asked: Vec<_> = options.into_iter().filter_map(|(option, given)| given.then_some(option)).collect();
        self.raw = !asked.is_empty();
        asked
    }
}
