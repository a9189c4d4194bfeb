//! `replay` for several captures, and for the buffers of one, each with its own name in `--prefix`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::play::{self, addresses, events, left_out, options, say_played, speed, start_at};
use super::send::{self, Receiver};
use super::{Usage, captures, control, follow, page};
use crate::capture::origin::{self, NoCommonClock};
use crate::capture::{self, Capture, trace_dat};
use crate::cli::{ReplayArgs, SendArgs};
use crate::map::Map;
use crate::osc::address_part;
use crate::output::Outputs;
use crate::page::Page;
use crate::replay::{Machine, RealTime, Speed, play_together};
use crate::terminal;

/// The placeholders for the machine's name in `--prefix`, and for the buffer's.
const HOST: &str = "%h";
const BUFFER: &str = "%b";
/// The name of the top-level buffer.
const TOP: &str = "top";

/// Whether a replay has several machines, or one with its name in the addresses.
pub fn is_asked(args: &ReplayArgs) -> bool {
    !args.more.is_empty() || args.send.form.prefix.contains('%')
}

/// `--prefix` with the name of this machine, for live tracing.
pub fn with_this_host(prefix: &str) -> Result<String> {
    let prefix = prefix.replace(HOST, &address_part(&rustix::system::uname().nodename().to_string_lossy()));
    if prefix.contains('%') {
        return Err(Usage(format!("--prefix {prefix:?}: {HOST} is the machine's name, and % has no other use")).into());
    }
    Ok(prefix)
}

/// Replays.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    refuse(args)?;
    let _follower = follow::start(follow::address(&args.send)?)?;
    let speed = speed(&args.speed)?;
    let mut select = captures::select(&args.select)?;
    let map = send::map(args.send.map.as_deref())?;
    let receivers = send::receivers(&args.send, map.as_deref())?;
    let mut parts = parts(args)?;
    let all: Vec<&Capture> = parts.iter().map(|part| &part.capture).collect();
    let offsets = origin::offsets(&all).map_err(|NoCommonClock(index)| no_clock(&parts, index))?;
    let hosts = hosts(&parts);
    let (salvage, sources) = (args.open.salvage, sources(&parts));
    let mut opened: Vec<_> = parts.iter_mut().map(|part| &mut part.capture).zip(offsets.iter().copied()).collect();
    captures::narrow_together(&args.select, &mut select, &mut opened, &mut |index| {
        let (path, buffer) = sources.get(index).ok_or_else(|| Usage("there is no such capture".to_owned()))?;
        captures::open_again(path, salvage, buffer.as_deref())
    })?;
    let common = common_prefix(&args.send.form.prefix);
    let mut page = args.send.page.as_deref().map(page::open).transpose()?;
    let control = {
        let events: BTreeSet<_> = parts.iter().flat_map(|part| events(&select, &part.capture)).collect();
        control::open_for_replay(args, &select, events.into_iter().collect(), page.as_mut(), &common)?
    };
    let mut machines = Vec::new();
    for ((part, offset), host) in parts.into_iter().zip(offsets).zip(&hosts) {
        let (mut outputs, prefix) = open_outputs(&part, host, args, map.as_ref(), &receivers, page.as_ref())?;
        if let (Some(hits), Speed::Times(times)) = (&mut outputs.hits, speed) {
            hits.set_speed(times);
        }
        let machine = Machine { capture: part.capture, offset: Some(offset), host: host.clone(), outputs };
        machines.push((machine, part.path.clone(), prefix));
    }
    warn_of_same_addresses(machines.iter().map(|(.., prefix)| prefix.as_str()));
    let target = send::names(&args.send, &receivers, page.as_ref());
    terminal::say(format_args!("{} machines to {target}", machines.len()));
    let options = options(speed, select, start_at(args)?, args.repeat);
    let mut shown = page::shown(args, &receivers, page, control);
    let (machines, names): (Vec<_>, Vec<_>) = machines.into_iter().map(|(m, path, prefix)| (m, (path, prefix))).unzip();
    let open = |(path, buffer): &(PathBuf, Option<String>)| {
        capture::open_buffer(path, trace_dat::Open { salvage }, buffer.as_deref())
    };
    let again = &mut || sources.iter().map(open).collect::<Result<Vec<_>, _>>();
    let (played, outputs) = play_together(machines, again, &options, &mut RealTime::new()?, &mut shown)?;
    shown.close().into_iter().for_each(terminal::lost);
    for ((played, outputs), (path, prefix)) in played.iter().zip(&outputs).zip(&names) {
        let events = format!("{} events", played.counts.read);
        let done = send::done(&args.send, &receivers, outputs.counts(), &events, outputs.is_whole());
        say_played(format!("{prefix}: {done}"), left_out(played, outputs));
        if let Some((event, error)) = &played.counts.first_error {
            terminal::say(format_args!("{}: first malformed record: {event}: {error}", path.display()));
        }
        captures::say_errors(&played.errors, args.open.salvage);
    }
    let whole = played.iter().all(|played| played.errors.is_empty());
    if !played.iter().any(|played| played.ended) {
        let read = played.iter().map(|played| played.counts.read).sum();
        captures::refuse_empty(&args.select, &args.capture, read)?;
    }
    Ok(if whole && send::all_written(&outputs) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Warns if two machines have the same addresses.
fn warn_of_same_addresses<'p>(prefixes: impl IntoIterator<Item = &'p str>) {
    let mut known = BTreeSet::new();
    if !prefixes.into_iter().all(|prefix| known.insert(prefix)) {
        terminal::warn(format_args!(
            "several machines have the same addresses: --prefix '/ftrace/{HOST}' gives each its own"
        ));
    }
}

/// Opens the captures, and each of their buffers separately if the addresses name it.
fn parts(args: &ReplayArgs) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    for path in std::iter::once(&args.capture).chain(&args.more) {
        for buffer in buffers(path, args)? {
            parts.push(Part { capture: captures::open(path, args.open.salvage, buffer.as_deref())?, path, buffer });
        }
    }
    Ok(parts)
}

/// Opens the outputs of one machine, and prints the prefix of its addresses; returns both.
fn open_outputs(
    part: &Part<'_>,
    host: &str,
    args: &ReplayArgs,
    map: Option<&Arc<Map>>,
    receivers: &[Receiver],
    page: Option<&Page>,
) -> Result<(Outputs, String)> {
    let Part { capture, path, buffer } = part;
    let common = common_prefix(&args.send.form.prefix);
    let buffer = buffer.as_deref().filter(|name| !name.is_empty()).unwrap_or(TOP);
    let mut send = args.send.clone();
    let prefix = send.form.prefix.replace(HOST, &address_part(host)).replace(BUFFER, &address_part(buffer));
    send.form.prefix.clone_from(&prefix);
    let mut receivers = receivers.to_vec();
    receivers.iter_mut().for_each(|receiver| receiver.options.message.prefix.clone_from(&prefix));
    let addresses = if send.raw { addresses(capture, &prefix) } else { Arc::default() };
    let settings = captures::settings(path, capture);
    let mut outputs = send::open(&send, map, &receivers, settings.clone(), false, &addresses)?;
    if let Some(page) = page {
        // It shows one kernel's events: those of all machines under the same addresses.
        send.form.prefix.clone_from(&common);
        let addresses = play::addresses(capture, &common);
        page::add(&mut outputs, page, &send, settings, &addresses)?;
        page::know(page, capture, &common, &addresses);
    }
    terminal::say(format_args!("{} at {prefix}", path.display()));
    Ok((outputs, prefix))
}

struct Part<'a> {
    capture: Capture,
    path: &'a PathBuf,
    /// `None`: all buffers as one.
    buffer: Option<String>,
}

/// Refuses options that only work with one capture.
fn refuse(args: &ReplayArgs) -> Result<()> {
    let prefix = &args.send.form.prefix;
    if prefix.replace(HOST, "").replace(BUFFER, "").contains('%') {
        let why = format!("{HOST} is the machine's name, {BUFFER} the buffer's, and % has no other use");
        return Err(Usage(format!("--prefix {prefix:?}: {why}")).into());
    }
    let SendArgs { page, hits, source_port, .. } = &args.send;
    let why = match () {
        // Each machine has its own sockets.
        () if *source_port != 0 => "--source-port works with one capture only",
        () if page.is_some() && *hits => "--page has its own hits here: leave out --hits",
        () => return Ok(()),
    };
    Err(Usage(format!("{why}, and with no {HOST} or {BUFFER} in --prefix")).into())
}

/// How each part is reopened.
fn sources(parts: &[Part<'_>]) -> Vec<(PathBuf, Option<String>)> {
    parts.iter().map(|part| (part.path.clone(), part.buffer.clone())).collect()
}

/// The common beginning of all machines' addresses: the prefix up to the first placeholder.
fn common_prefix(prefix: &str) -> String {
    let common: String =
        prefix.split('/').skip(1).filter(|part| !part.contains('%')).map(|part| format!("/{part}")).collect();
    if common.is_empty() { "/ftrace".to_owned() } else { common }
}

/// The buffers of a capture that are played, each by name if the addresses contain it.
fn buffers(path: &Path, args: &ReplayArgs) -> Result<Vec<Option<String>>> {
    if !args.send.form.prefix.contains(BUFFER) || args.open.buffer.is_some() {
        return Ok(vec![args.open.buffer.clone()]);
    }
    let mut names = vec![];
    if path.is_dir() {
        names.push(String::new());
        let folders = std::fs::read_dir(path.join("instances")).into_iter().flatten().flatten();
        let whole = folders.filter(|folder| folder.path().join("events/header_page").is_file());
        names.extend(whole.filter_map(|folder| folder.file_name().into_string().ok()));
    } else if path.exists() {
        let dat = capture::open_file(path, trace_dat::Open { salvage: args.open.salvage })?;
        let rings = dat.buffers.iter().filter(|buffer| match &buffer.data {
            trace_dat::BufferData::Cpus(cpus) => cpus.iter().any(|cpu| cpu.size > 0),
            trace_dat::BufferData::Text(_) => false,
        });
        names.extend(rings.map(|buffer| buffer.name.clone()));
    }
    if names.is_empty() {
        // Errors are reported when it is opened.
        names.push(String::new());
    }
    Ok(names.into_iter().map(Some).collect())
}

/// The machine's name of each part, one for each file.
fn hosts(parts: &[Part<'_>]) -> Vec<String> {
    let first_of = |path: &PathBuf| parts.iter().position(|part| part.path == path).unwrap_or(0);
    let files: Vec<usize> =
        parts.iter().enumerate().filter(|(at, part)| first_of(part.path) == *at).map(|(at, _)| at).collect();
    let captures: Vec<&Capture> = files.iter().filter_map(|at| parts.get(*at)).map(|part| &part.capture).collect();
    let stem = |index: usize| {
        let path = files.get(index).and_then(|at| parts.get(*at)).map(|part| part.path);
        let stem = path.and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
        stem.unwrap_or_else(|| format!("machine{}", index + 1))
    };
    let names = origin::hosts(&captures, stem);
    let of = |part: &Part<'_>| files.iter().position(|at| *at == first_of(part.path)).and_then(|file| names.get(file));
    parts.iter().map(|part| of(part).cloned().unwrap_or_default()).collect()
}

fn no_clock(parts: &[Part<'_>], index: usize) -> Usage {
    let name = parts.get(index).map(|part| part.path.display().to_string()).unwrap_or_default();
    let how = "trace-cmd record --date, perf record -k mono, or ftrace-live capture with a clock that counts time";
    Usage(format!(
        "the time of day at which {name} was recorded is not known, so it cannot be played with others: {how}"
    ))
}
