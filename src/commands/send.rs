//! Opens the outputs from the options.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::address::refused;
use super::{Usage, toml_file};
use crate::capture::latency::Pair;
use crate::cli::{FormArgs, SendArgs, StringsArg, TimetagArg};
use crate::map::{self, Map};
use crate::osc::addresses::Addresses;
use crate::osc::aggregate::{AggregateField, AggregateOptions};
use crate::osc::datagram::{MAX_MTU, Tag};
use crate::osc::preset::{self, Preset, Target};
use crate::osc::print::Form;
use crate::osc::stream::{Stream, StreamOptions};
use crate::osc::text_stream::TextStream;
use crate::osc::transport::{SendCounts, Transport};
use crate::osc::{MessageOptions, Strings, Types};
use crate::output::calm::LINES_A_SECOND;
use crate::output::{Hits, Latencies, Lines, Mapped, Midi, MidiFile, Outputs, Signals, TICK, Text};
use crate::page::Page;
use crate::render::Settings;
use crate::sound::MapperOptions;
use crate::terminal;
use crate::tracefs::EventName;

/// Whether `--for` has no value: then the receivers are listed, and nothing else is done.
pub fn lists_presets(args: &FormArgs) -> Result<bool> {
    let asked = args.preset.as_deref() == Some("");
    if asked {
        let mut out = terminal::stdout();
        out.write_all(preset::listing().to_string().as_bytes())?;
        out.flush()?;
    }
    Ok(asked)
}

/// The preset for targets without one.
pub fn preset_of(args: &FormArgs) -> Result<&'static Preset> {
    Ok(match args.preset.as_deref() {
        None | Some("") => Preset::default_preset(),
        Some(name) => Preset::named(name)?,
    })
}

/// The form of messages for this kind of receiver.
pub fn message_options(args: &FormArgs, preset: &Preset) -> Result<MessageOptions> {
    let types = match &args.types {
        Some(level) => level.parse::<Types>().map_err(|error| Usage(error.to_string()))?,
        None => preset.types,
    };
    let bad_prefix = |c: char| !c.is_ascii_graphic() || matches!(c, '#' | '*' | ',' | '?' | '[' | ']' | '{' | '}');
    if !args.prefix.starts_with('/')
        || args.prefix.len() < 2
        || args.prefix.ends_with('/')
        || args.prefix.contains("//")
        || args.prefix.contains(bad_prefix)
    {
        let why = "write /name, without spaces and # * , ? [ ] { }";
        return Err(Usage(format!("--prefix {:?} is not an OSC address: {why}", args.prefix)).into());
    }
    if !(1..=MAX_MTU).contains(&args.string_limit) {
        let why = format!("it must be from 1 to {MAX_MTU} bytes (--strings none sends all strings empty)");
        return Err(Usage(format!("--string-limit {} cannot be: {why}", args.string_limit)).into());
    }
    let strings = match args.strings {
        StringsArg::All => Strings::All,
        StringsArg::Comm => Strings::Comm,
        StringsArg::None => Strings::None,
    };
    let (prefix, pointers, string_limit) = (args.prefix.clone(), args.pointers, args.string_limit);
    let (names, addresses, brackets) = (args.names, Arc::default(), preset.brackets);
    Ok(MessageOptions { types, prefix, pointers, strings, string_limit, names, addresses, brackets })
}

/// The addresses of all events of a kernel; reports events whose address differs from their name.
pub fn addresses(events: &[EventName], prefix: &str) -> Arc<Addresses> {
    let addresses = Addresses::of(events.iter().map(|event| (event.system.as_str(), event.name.as_str())));
    addresses.notes(prefix).for_each(terminal::say);
    Arc::new(addresses)
}

/// A receiver: its address, and the options of its stream.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its address.
    pub address: SocketAddr,
    /// The options of its stream.
    pub options: StreamOptions,
}

impl Receiver {
    /// What it is sent, as a message.
    fn parts(&self) -> String {
        let StreamOptions { message, mtu, tag, max_rate, .. } = &self.options;
        let rate = max_rate.map_or("any rate".to_owned(), |rate| format!("at most {rate} messages/s"));
        let tag = match tag {
            Tag::Event { latency_ns } => format!("the event's time + {} ms", *latency_ns as f64 / 1e6),
            Tag::Now => "the time of sending".to_owned(),
        };
        format!("types {}, {rate}, datagrams of {mtu} bytes, timetags: {tag}", message.types)
    }

    /// The receiver and what it is sent.
    pub fn described(&self, raw: bool) -> String {
        format!("{}: {}", self.address, if raw { self.parts() } else { "text, /ftrace ,dsii".to_owned() })
    }
}

/// The receivers in the options, for messages of `map` if there is one; none if only `--print` is given.
pub fn receivers(args: &SendArgs, map: Option<&Map>) -> Result<Vec<Receiver>> {
    let default = preset_of(&args.form)?;
    aggregate(args)?;
    let port = args.port.as_deref().map(port).transpose()?.or(map.and_then(|map| map.port));
    let local = "127.0.0.1".to_owned();
    let targets = match args.to.as_slice() {
        [] if args.print || args.page.is_some() => vec![],
        [] => vec![local],
        targets => targets.to_vec(),
    };
    let targets = targets.iter().filter(|target| !target.starts_with(MIDI));
    targets.map(|target| receiver(args, (default, map), port, target)).collect()
}

fn receiver(
    args: &SendArgs,
    (default, map): (&'static Preset, Option<&Map>),
    port: Option<u16>,
    target: &str,
) -> Result<Receiver> {
    let mut target: Target = target.parse()?;
    if target.preset.is_none() {
        target.port = target.port.or(port);
    }
    if let Some(warning) = target.warning() {
        terminal::warn(warning);
    }
    let preset = target.preset_or(default);
    let address = target.resolve(default)?;
    let mtu = args.mtu.unwrap_or(preset.mtu);
    // That of a map is in ms, and was checked when the map was parsed.
    let of_map = map.and_then(|map| map.latency_ms).map(|ms| Duration::from_nanos((ms * 1e6) as u64));
    let latency = args.latency.or(of_map);
    let latency_ns = latency.map_or(0, |latency| u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    let tag = match args.timetag {
        Some(TimetagArg::On) => Tag::Event { latency_ns },
        None if address.ip().is_loopback() || latency.is_some() || args.clock_from.is_some() => {
            Tag::Event { latency_ns }
        }
        Some(TimetagArg::Off) | None => Tag::Now,
    };
    let max_rate = match args.max_rate {
        Some(0) => None,
        Some(rate) => Some(rate),
        None => map.and_then(|map| map.rate).or(preset.max_rate),
    };
    let message = message_options(&args.form, preset)?;
    let aggregate = aggregate(args)?;
    Ok(Receiver { address, options: StreamOptions { message, mtu, tag, max_rate, aggregate } })
}

/// `--aggregate` and related options.
pub fn aggregate(args: &SendArgs) -> Result<Option<AggregateOptions>> {
    let Some(window) = args.aggregate else {
        // clap checks --events-too, but not its alias.
        let why = "--events too needs --signals or --aggregate 50ms; without them, events are sent anyway";
        return if args.events_too && !args.signals { Err(Usage(why.to_owned()).into()) } else { Ok(None) };
    };
    let fields = args.aggregate_fields.iter().map(|field| field.parse::<AggregateField>());
    let fields = fields.collect::<Result<_, _>>()?;
    Ok(Some(AggregateOptions { window, fields, events_too: args.events_too }))
}

/// A UDP port.
pub fn port(text: &str) -> Result<u16> {
    let usage = || Usage(format!("-p {text:?} is not a UDP port: it must be a number from 1 to 65535"));
    Ok(text.parse().ok().filter(|&port| port != 0).ok_or_else(usage)?)
}

/// Opens the outputs: receivers of the same kind share a stream.
///
/// `settings` are those of the kernel's own text; `live`: whether task names come with the events; `addresses`: those
/// of all events of the traced kernel.
pub fn open(
    args: &SendArgs,
    map: Option<&Arc<Map>>,
    receivers: &[Receiver],
    settings: Settings,
    live: bool,
    addresses: &Arc<Addresses>,
) -> Result<Outputs> {
    let mut groups: Vec<(&StreamOptions, Vec<Transport>)> = Vec::new();
    for Receiver { address, options } in receivers {
        let transport = Transport::connect(*address, args.source_port);
        let from = if args.source_port == 0 { String::new() } else { format!(" from port {}", args.source_port) };
        let transport = transport.map_err(|error| refused(&format!("cannot send to {address}{from}"), error))?;
        match groups.iter_mut().find(|(known, _)| *known == options) {
            Some((_, transports)) => transports.push(transport),
            None => groups.push((options, vec![transport])),
        }
    }
    let mut outputs = Outputs::default();
    if let Some(map) = map {
        outputs.hits = if map.has_hits() { Some(hits(args)) } else { None };
        let options = receivers.first().map(|receiver| &receiver.options);
        let (mtu, tag) = options.map_or((MAX_MTU, Tag::Now), |options| (options.mtu, options.tag));
        let transports = groups.into_iter().flat_map(|(_, transports)| transports).collect();
        let mapped = Mapped::new(map.clone(), mtu, tag, options.and_then(|options| options.max_rate), transports);
        outputs.mapped = Some(if args.print { mapped.to_lines(line_form(args), terminal::stdout()) } else { mapped });
    } else if !args.raw && (args.print || !receivers.is_empty()) {
        let transports = groups.into_iter().flat_map(|(_, transports)| transports).collect();
        outputs.text = Some(open_text(args, settings, live, transports));
    } else if args.raw {
        open_typed(args, groups, addresses, &mut outputs)?;
    }
    if args.signals {
        outputs.signals = Some(Signals::new(args.tick.unwrap_or(TICK), &args.form.prefix, addresses));
    }
    if let Some(name) = midi(args)? {
        outputs.midi = Some(open_midi(name)?);
        if outputs.hits.is_none() {
            outputs.hits = Some(hits(args));
        }
    }
    Ok(outputs)
}

/// The kernel's own text, sent to `transports` and printed.
fn open_text(args: &SendArgs, settings: Settings, live: bool, transports: Vec<Transport>) -> Text {
    for option in &settings.other_forms {
        let lines = "so the kernel printed other lines; these are the ordinary ones";
        terminal::warn(format_args!("the trace option {option} was on when this was captured: {lines}"));
    }
    let mut text = Text::new(settings, live);
    if !transports.is_empty() {
        // By default text is sent without a rate cap, as the program always did.
        let max_rate = args.max_rate.filter(|&rate| rate != 0);
        text = text.to_stream(TextStream::new(&args.form.prefix, transports), max_rate);
    }
    if args.print { text_lines(args, text, terminal::stdout()) } else { text }
}

/// `--raw`: a stream for each group of receivers, and what is sent in addition to the events.
fn open_typed(
    args: &SendArgs,
    groups: Vec<(&StreamOptions, Vec<Transport>)>,
    addresses: &Arc<Addresses>,
    outputs: &mut Outputs,
) -> Result<()> {
    let stream = |(options, to): (&StreamOptions, _)| {
        let mut options = options.clone();
        options.message.addresses = addresses.clone();
        let stream = Stream::new(options, to);
        if args.signals { stream.with_signals(args.events_too) } else { stream }
    };
    outputs.streams = groups.into_iter().map(stream).collect();
    if args.hits {
        outputs.hits = Some(hits(args));
        outputs.streams = std::mem::take(&mut outputs.streams).into_iter().map(Stream::with_hits).collect();
    }
    if let (Some(window), false) = (args.aggregate, args.aggregate_latencies.is_empty()) {
        let pairs = args.aggregate_latencies.iter().map(|pair| pair.parse::<Pair>());
        outputs.latencies = Some(Latencies::new(window, pairs.collect::<Result<_, _>>()?));
    }
    if args.print {
        let lines = message_lines(args, printed_options(args, addresses)?, terminal::stdout());
        let signals_alone = args.signals && !args.events_too;
        let lines = if signals_alone { lines.without_events() } else { lines };
        let mut lines = if args.hits { lines.with_hits() } else { lines };
        lines.set_aggregate(aggregate(args)?);
        outputs.lines = Some(lines);
    }
    Ok(())
}

/// The form of messages that are printed.
fn printed_options(args: &SendArgs, addresses: &Arc<Addresses>) -> Result<MessageOptions> {
    Ok(MessageOptions { addresses: addresses.clone(), ..message_options(&args.form, preset_of(&args.form)?)? })
}

fn text_lines(args: &SendArgs, text: Text, out: Box<dyn io::Write + Send>) -> Text {
    let text = text.to_lines(out);
    if io::stdout().is_terminal() { text.calm(lines_a_second(args)) } else { text }
}

fn message_lines(args: &SendArgs, options: MessageOptions, out: Box<dyn io::Write + Send>) -> Lines {
    let lines = Lines::new(options, line_form(args), out);
    // JSON is for programs, even on a terminal.
    let calm = io::stdout().is_terminal() && !args.json;
    if calm { lines.calm(lines_a_second(args)) } else { lines }
}

/// Opens the outputs for `--print` alone, each with its own destination.
pub fn printers<'a>(
    args: &'a SendArgs,
    settings: &'a Settings,
    addresses: &Arc<Addresses>,
) -> Result<impl Fn(Box<dyn io::Write + Send>) -> Outputs + Sync + use<'a>> {
    let options = printed_options(args, addresses)?;
    Ok(move |out| {
        let mut outputs = Outputs::default();
        match args.raw {
            true => outputs.lines = Some(message_lines(args, options.clone(), out)),
            false => outputs.text = Some(text_lines(args, Text::new(settings.clone(), false), out)),
        }
        outputs
    })
}

/// `--json`.
fn line_form(args: &SendArgs) -> Form {
    if args.json { Form::Json } else { Form::Text }
}

/// The hits for the options.
pub fn hits(args: &SendArgs) -> Hits {
    let options = MapperOptions { detail: args.detail, ..MapperOptions::default() };
    Hits::new(options, &args.form.prefix)
}

/// The prefix of MIDI targets.
const MIDI: &str = "midi:";

/// `--to midi:FILE.mid`, or the name of a port.
pub fn midi(args: &SendArgs) -> Result<Option<&str>> {
    let mut names = args.to.iter().filter_map(|target| target.strip_prefix(MIDI));
    match (names.next(), names.next()) {
        (Some(_), Some(_)) => {
            Err(Usage("only one MIDI file or port is possible: give --to midi: once".to_owned()).into())
        }
        (name, _) => Ok(name),
    }
}

/// A name that ends in `.mid` or `.midi` is a file, any other one a port.
pub fn midi_file(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let ending = path.extension()?.to_str()?;
    ["mid", "midi"].iter().any(|known| ending.eq_ignore_ascii_case(known)).then_some(path)
}

fn open_midi(name: &str) -> Result<Midi> {
    let Some(path) = midi_file(name) else { return midi_port(name) };
    let file = MidiFile::create(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Usage(format!("{name} exists: give another name, nothing is overwritten")).into()
        }
        _ => anyhow::Error::from(error).context(format!("cannot write {name}")),
    })?;
    Ok(Midi::File(file))
}

#[cfg(feature = "midi")]
fn midi_port(name: &str) -> Result<Midi> {
    use crate::output::midi_port::{open, ports};
    if name.is_empty() {
        let there = ports().map_err(|why| anyhow::anyhow!("--to midi: {why}"))?;
        let there =
            if there.is_empty() { "there is none".to_owned() } else { format!("there are: {}", there.join(", ")) };
        return Err(Usage(format!("--to midi: has no port; {there}. midi:FILE.mid writes a file")).into());
    }
    let port = open(name).map_err(|why| anyhow::anyhow!("--to midi:{name}: {why}. midi:FILE.mid writes a file"))?;
    terminal::say(format_args!("plays on the MIDI port {}", port.name()));
    Ok(Midi::Port(port))
}

#[cfg(not(feature = "midi"))]
fn midi_port(name: &str) -> Result<Midi> {
    let how = "write midi:FILE.mid for a file; for ports, build with cargo build --features midi";
    Err(Usage(format!("--to midi:{name}: this program is built without MIDI ports: {how}")).into())
}

/// `--map`: a built-in map, or a file.
pub fn map(map: Option<&str>) -> Result<Option<Arc<Map>>> {
    let Some(name) = map else { return Ok(None) };
    if let Some(map) = Map::built_in(name) {
        return Ok(Some(Arc::new(map?)));
    }
    let instead = || {
        let known: Vec<_> = map::names().collect();
        let near = map::nearest(name, known.iter().copied()).map(|near| format!("; did you mean {near}?"));
        format!(", and the built-in maps are {}{}", known.join(", "), near.unwrap_or_default())
    };
    let toml = toml_file::read("--map", Path::new(name), ("map", "docs/MAPS.md"), instead)?;
    Ok(Some(Arc::new(Map::parse(name, &toml)?)))
}

/// How many lines a second a terminal gets; `None`: no limit.
fn lines_a_second(args: &SendArgs) -> Option<u32> {
    match args.max_rate {
        Some(0) => None,
        rate => Some(rate.unwrap_or(LINES_A_SECOND)),
    }
}

/// Reports how many events got no line on the terminal.
pub fn say_not_shown<'o>(outputs: impl IntoIterator<Item = &'o Outputs>) {
    let not_shown: u64 = outputs.into_iter().map(Outputs::not_shown).sum();
    if not_shown > 0 {
        terminal::say(format_args!(
            "{not_shown} events were not printed, to keep this readable; --max-rate 0 prints all, a pipe gets all in exact form"
        ));
    }
}

/// Whether all lines of `outputs` could be written; reports the error if not. A closed pipe is not an error.
pub fn all_written(outputs: &[Outputs]) -> bool {
    let failed = outputs.iter().find_map(Outputs::failure).filter(|kind| !are_written(Some(*kind)));
    let midi = outputs.iter().filter_map(|outputs| outputs.midi.as_ref()).find_map(Midi::failure);
    if let Some(why) = &midi {
        terminal::warn(why);
    }
    failed.is_none() && midi.is_none()
}

/// Whether all lines could be written; reports the error if not.
pub fn are_written(failure: Option<io::ErrorKind>) -> bool {
    let failed = failure.filter(|kind| *kind != io::ErrorKind::BrokenPipe);
    if let Some(kind) = failed {
        terminal::warn(format_args!("cannot write standard output: {kind}"));
    }
    failed.is_none()
}

/// The destinations as a message: receivers, standard output, and the page's URL.
pub fn names(args: &SendArgs, receivers: &[Receiver], page: Option<&Page>) -> String {
    let mut names: Vec<_> = receivers.iter().map(|receiver| receiver.address.to_string()).collect();
    names.extend(args.to.iter().filter(|target| target.starts_with(MIDI)).cloned());
    if names.is_empty() && args.print {
        names.push("standard output".to_owned());
    }
    names.extend(page.map(|page| page.url().to_owned()));
    names.join(", ")
}

/// What was done with the `events` ("3 events"), as a message. How many of them are in lines or in a file that could not be
/// written to their end (`!whole`) is not known.
pub fn done(args: &SendArgs, receivers: &[Receiver], sent: SendCounts, events: &str, whole: bool) -> String {
    if !receivers.is_empty() || args.page.is_some() {
        return format!("{events}, {} messages sent in {} datagrams", sent.sent, sent.datagrams);
    }
    let file = args.to.iter().find(|target| target.starts_with(MIDI));
    let done = file.map_or("printed".to_owned(), |file| format!("played into {file}"));
    if whole { format!("{events}, {done}") } else { format!("not all events are {done}") }
}
