//! Options for the receivers of events, and for the form of messages.

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
    /// Task names only; others are sent empty
    Comm,
    /// None; all are sent empty
    None,
}

/// The timetag of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimetagArg {
    /// When the event occurred
    On,
    /// When it is sent
    Off,
}

/// The default for the longest string, bytes.
const STRING_LIMIT: usize = 64;

/// The form of messages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Messages")]
pub struct FormArgs {
    /// The receiver; sets port, types, rate and datagram size; without a value: list the receivers
    #[arg(long = "for", value_name = "RECEIVER", num_args = 0..=1, default_missing_value = "")]
    pub preset: Option<String>,

    /// Which OSC types the receiver takes: full, double or portable
    #[arg(long, value_name = "LEVEL")]
    pub types: Option<String>,

    /// The beginning of every address; %h is the machine's name, in a replay %b the buffer's
    #[arg(long, value_name = "ADDRESS", default_value = "/ftrace")]
    pub prefix: String,

    /// Send pointers too, if the types leave them out
    #[arg(long)]
    pub pointers: bool,

    /// Send enums and flags as the kernel's own names instead of numbers
    #[arg(long)]
    pub names: bool,

    /// Which strings are sent: SuperCollider and Pd keep every distinct one forever
    #[arg(long, value_enum, default_value_t = StringsArg::All)]
    pub strings: StringsArg,

    /// The longest string, bytes
    #[arg(long, value_name = "BYTES", default_value_t = STRING_LIMIT, allow_negative_numbers = true)]
    #[arg(value_parser = whole::<usize>(0, u64::MAX))]
    pub string_limit: usize,
}

/// Where events are sent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sending", group(ArgGroup::new("heard").args(["hits", "page", "map"]).multiple(true)))]
#[command(group(ArgGroup::new("instead").args(["aggregate", "signals"]).multiple(true)))]
pub struct SendArgs {
    /// Send typed messages, one address for each event; otherwise text, as /ftrace ,dsii. Implied by options that
    /// only apply to typed messages (--for, --types, --to RECEIVER@…, --hits and others)
    #[arg(long)]
    pub raw: bool,

    /// The UDP port to send to [default: that of --for, 57120 for sc]
    #[arg(short, long, value_name = "PORT", allow_negative_numbers = true)]
    pub port: Option<String>,

    /// Where to send: HOST, HOST:PORT or RECEIVER@HOST:PORT, as 10.0.0.5:57120 or pd@studio; may be given several
    /// times. midi:FILE.mid writes the sounds to a MIDI file; midi:PORT plays them (with the feature midi)
    #[arg(long, value_name = "TARGET")]
    pub to: Vec<String>,

    /// Send messages defined by a map: a file, or superdirt, tidal, vcv, processing, unity, openframeworks, ossia,
    /// chataigne, resolume, faust (docs/MAPS.md)
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["hits", "aggregate"])]
    pub map: Option<String>,

    /// Print each message on a line instead of sending; with --to, do both. A terminal gets about five readable lines
    /// a second; a pipe gets all of them in exact form
    #[arg(long)]
    pub print: bool,

    /// With --print, print a line of JSON for each message, for programs (docs/WIRE.md)
    #[arg(long, requires = "print")]
    pub json: bool,

    /// Serve a page that plays and shows the events, and print its URL; at HOST:PORT, or on this machine only
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "")]
    pub page: Option<String>,

    /// Send at most this many messages a second, thinned fairly; 0 sends everything
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(0, u32::MAX.into()))]
    pub max_rate: Option<u32>,

    /// Send for each event its count and rate, and mean, minimum and maximum of a field, every WINDOW (50ms), even if
    /// zero
    #[arg(long, value_name = "WINDOW", allow_hyphen_values = true)]
    #[arg(value_parser = time(Bare::Seconds, MIN_WINDOW, MAX_WINDOW))]
    pub aggregate: Option<Duration>,

    /// The field that --aggregate uses of an event: irq:softirq_entry=vec; by default the first numeric one
    #[arg(long = "aggregate-field", value_name = "EVENT=FIELD", requires = "aggregate")]
    pub aggregate_fields: Vec<String>,

    /// With --aggregate, also send the time from one event to another: BEGIN..END, as for stat --latency; may be
    /// given several times
    #[arg(long = "aggregate-latency", value_name = "PAIR", requires = "aggregate")]
    pub aggregate_latencies: Vec<String>,

    /// Send each event's rate, density and main number as 0…1, every tick while it occurs: for parameters
    /// (docs/WIRE.md)
    #[arg(long, conflicts_with = "map")]
    pub signals: bool,

    /// The interval of --signals [default: 20ms]; live also how often the rings are read while many events occur, 0
    /// to 10s [default: 1ms]; a single event is sent at once
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    #[arg(value_parser = time(Bare::Milliseconds, Duration::ZERO, Duration::from_secs(10)))]
    pub tick: Option<Duration>,

    /// With --aggregate or --signals, send the events too (also: --events too)
    #[arg(long, requires = "instead")]
    pub events_too: bool,

    /// Also send sounds: /ftrace/hit, mapped as in docs/SOUND.md; the patches play them
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

    /// The time in timetags [default: on for receivers on this machine, off for others]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub timetag: Option<TimetagArg>,

    /// Use the clock of HOST for all times; `ftrace-live listen` or a run with --control must run there. It lets
    /// events of several machines be compared (docs/REMOTE.md)
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
    /// Selects typed messages if an option applies only to them. Returns these options.
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
