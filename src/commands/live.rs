//! Live tracing.

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::send::{self, Receiver};
use super::source::Source;
use super::written::{self, What};
use super::{Usage, control, follow, list, page, player};
use crate::cli::{LiveArgs, TraceArgs};
use crate::control::switches::Switches;
use crate::control::udp::Control;
use crate::live::{self, LiveOptions, Recorded, Traced};
use crate::map::Map;
use crate::output::Outputs;
use crate::page::Page;
use crate::render::Settings;
use crate::ring::CpuList;
use crate::terminal::{self, Verbosity};
use crate::tracefs::{EventFilter, Setup, TraceClock, Tracefs, TracefsError, exit_code};

/// How often the rings are read while many events occur, by default.
const TICK: Duration = Duration::from_millis(1);

/// Traces.
pub fn run(args: &LiveArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    if send::lists_presets(&args.send.form)? {
        return Ok(ExitCode::SUCCESS);
    }
    // All errors of the options are found before anything is changed.
    check_readers(args)?;
    if let Some(file) = &args.record {
        written::check("--record", file, What::Dat)?;
    }
    let map = send::map(args.send.map.as_deref())?;
    let midi = send::midi(&args.send)?.and_then(send::midi_file);
    let player = player::start(&args.trace, tracefs, args.record.as_deref().or(midi))?;
    let receivers = send::receivers(&args.send, map.as_deref())?;
    let readers = args.readers.min(std::thread::available_parallelism().map_or(1, usize::from));
    let (readers, merged) = if args.merged { (1, Some(readers)) } else { (readers, None) };
    let clock = follow::address(&args.send)?;
    let tracefs = player.tracefs.clone();
    let setup = Setup { sub_buffer_kib: args.sub_buffer, ..setup(&args.trace, &tracefs)? };
    setup.check()?;
    let mut page = args.send.page.as_deref().map(page::bind).transpose()?;
    let mut outputs = open_outputs(args, map.as_ref(), &receivers, readers, &setup.clock, page.as_ref())?;
    if !args.send.aggregate_fields.is_empty() || !args.send.aggregate_latencies.is_empty() || args.send.map.is_some() {
        check_fields(&tracefs, &setup, &mut outputs)?;
    }
    let control = open_control(args, &tracefs, &setup, page.as_mut())?;
    say_begin(args, &setup, &receivers, page.as_ref(), (readers, merged));
    player.confine(args.record.as_deref())?;
    let follower = follow::start(clock)?;
    page.as_mut().map_or(Ok(()), page::serve)?;
    let options = LiveOptions {
        setup,
        keeper: player.keeper,
        stopped: player.command,
        command: args.trace.command.clone(),
        duration: args.trace.seconds,
        tick: args.send.tick.unwrap_or(TICK),
        merged,
        guard: !args.no_guard,
        record: args.record.clone(),
        control,
    };
    let (traced, outputs) = live::trace(&tracefs, options, outputs, &mut say)?;
    drop(follower);
    say_end(args, &traced, &outputs, &receivers, page.and_then(page::close));
    let written = send::all_written(&outputs);
    Ok(match traced.command {
        Some(status) if !status.success() => ExitCode::from(exit_code(status) as u8),
        _ if traced.recorded.as_ref().is_some_and(|recorded| recorded.cut.is_some()) => ExitCode::FAILURE,
        _ if !written => ExitCode::FAILURE,
        _ if args.fail_on_loss && is_incomplete(&traced, &outputs) => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    })
}

/// Prints where the events go, and with `-v` which they are.
fn say_begin(
    args: &LiveArgs,
    setup: &Setup,
    receivers: &[Receiver],
    page: Option<&Page>,
    (readers, merged): (usize, Option<usize>),
) {
    let target = send::names(&args.send, receivers, page);
    let seen_alone = page.is_some() && receivers.is_empty() && !args.send.print;
    say(format!("{} {target}", if seen_alone { "open" } else { "sending to" }));
    if terminal::says(Verbosity::Verbose) {
        let events: Vec<_> = setup.events.iter().map(ToString::to_string).collect();
        terminal::detail(format_args!("events: {}", events.join(" ")));
        let threads = merged.map_or_else(String::new, |threads| format!(", rings emptied by {threads} threads"));
        terminal::detail(format_args!("clock {}, {readers} readers{threads}", setup.clock));
        receivers.iter().for_each(|receiver| terminal::detail(receiver.described(args.send.raw)));
    }
}

/// Prints a line about what is done.
fn say(line: String) {
    match line.strip_prefix("warning: ") {
        Some(warning) => terminal::warn(warning),
        None => terminal::say(line),
    }
}

/// Opens the outputs, one set for each reader.
fn open_outputs(
    args: &LiveArgs,
    map: Option<&Arc<Map>>,
    receivers: &[Receiver],
    readers: usize,
    clock: &TraceClock,
    page: Option<&Page>,
) -> Result<Vec<Outputs>> {
    // The rate cap is for the whole stream, so each reader gets its share.
    let mut parts = receivers.to_vec();
    for part in &mut parts {
        part.options.max_rate = part.options.max_rate.map(|rate| rate.div_ceil(readers as u32));
    }
    let mut settings = Settings::default();
    settings.line.set_clock(clock.name());
    settings.set_release(&rustix::system::uname().release().to_string_lossy());
    // In a running kernel no two names clean to the same address: it refuses names with other characters.
    let addresses = Arc::default();
    let open = |_| send::open(&args.send, map, &parts, settings.clone(), true, &addresses);
    let mut outputs = (0..readers).map(open).collect::<Result<Vec<_>>>()?;
    if let (Some(page), Some(outputs)) = (page, outputs.first_mut()) {
        page::add(outputs, page, &args.send, settings.clone(), &addresses)?;
    }
    Ok(outputs)
}

/// Opens the control port and the page's controls.
fn open_control(args: &LiveArgs, tracefs: &Tracefs, setup: &Setup, page: Option<&mut Page>) -> Result<Option<Control>> {
    if args.control.is_none() && page.is_none() {
        return Ok(None);
    }
    let switches = Switches::new(tracefs.events()?).with_on(&setup.events);
    let settings = control::settings(&args.send, true, &args.trace.pids, &setup.filters, &setup.events)?;
    let mut control = control::open(args.control.as_deref(), page, &args.send.form.prefix, (switches, settings))?;
    if let Some(control) = &mut control {
        // Probes may be created and removed while tracing.
        let tracefs = tracefs.clone();
        control.look_at(Box::new(move || tracefs.events().unwrap_or_default()));
    }
    Ok(control)
}

fn too_long(outputs: &[Outputs]) -> u64 {
    outputs.iter().map(Outputs::too_long).sum()
}

/// Whether events were lost, malformed or not sent, for `--fail-on-loss`.
fn is_incomplete(traced: &Traced, outputs: &[Outputs]) -> bool {
    let malformed = traced.counts.malformed + traced.malformed_sub_buffers + traced.counts.unknown;
    traced.lost() + malformed + traced.sent.unsent + too_long(outputs) + traced.receiver_drops > 0
}

/// Prints what was traced, where it went and what was lost.
fn say_end(
    args: &LiveArgs,
    traced: &Traced,
    outputs: &[Outputs],
    receivers: &[Receiver],
    lost_by_page: Option<String>,
) {
    let sent = traced.sent;
    let events = format!("{} events read", traced.counts.read);
    let done = send::done(&args.send, receivers, sent, &events, outputs.iter().all(Outputs::is_whole));
    say(format!("{:.1} s, {done}, {} lost by the kernel", traced.time.as_secs_f64(), traced.lost()));
    if traced.lost() > 0 && !terminal::says(Verbosity::Usual) {
        terminal::lost(format_args!("{} lost by the kernel", traced.lost()));
    }
    for (cpu, stats) in traced.cpus.iter().filter(|(_, stats)| stats.lost() > 0) {
        say(format!(
            "CPU {cpu}: {} overwritten before they were read (increase -b), {} not written by the kernel",
            stats.overrun,
            stats.lost() - stats.overrun
        ));
    }
    for (count, what) in [
        (traced.thinned, "thinned, to keep below the rate cap (--max-rate)"),
        (traced.counts.malformed + traced.malformed_sub_buffers, "malformed"),
        (traced.counts.unknown, "of events without a format"),
        (too_long(outputs), "too long for a datagram (--mtu)"),
        (sent.unsent, "could not be sent"),
        (traced.receiver_drops, "datagrams the receiver had no room for (its socket's buffer was full)"),
    ] {
        if count > 0 {
            terminal::lost(format_args!("{count} {what}"));
        }
    }
    lost_by_page.into_iter().for_each(terminal::lost);
    if let Some(absent) = &traced.absent {
        terminal::warn(format_args!("{absent} (refused {} times)", sent.refused));
    }
    if let Some((event, error)) = &traced.counts.first_error {
        say(format!("the first malformed record: {event}: {error}"));
    }
    if !traced.busiest.is_empty() {
        let busiest: Vec<_> = traced.busiest.iter().map(|(name, count)| format!("{name} {count}")).collect();
        say(format!("most: {}", busiest.join(", ")));
    }
    traced.recorded.iter().for_each(say_recorded);
    send::say_not_shown(outputs);
}

/// Checks that several readers are compatible with the other options.
fn check_readers(args: &LiveArgs) -> Result<()> {
    let readers = args.readers;
    let whole = args.send.print
        || args.send.hits
        || args.send.signals
        || args.send.aggregate.is_some()
        || args.send.map.is_some()
        || send::midi(&args.send)?.is_some();
    if readers > 1 && !args.merged && (!args.send.raw || whole || args.send.page.is_some()) {
        let why = "more than 1 need --raw, and exclude --print, --hits, --map, --aggregate, --signals and --page; \
                   --merged makes them one stream";
        return Err(Usage(format!("--readers {readers} cannot be: {why}")).into());
    }
    Ok(())
}

/// Checks that traced events have the fields used for aggregates or by a map.
fn check_fields(tracefs: &Tracefs, setup: &Setup, outputs: &mut [Outputs]) -> Result<()> {
    let source = Source::Tracefs(tracefs.clone());
    let long = source.long_size()?;
    let known = source.events()?;
    let mut formats = Vec::new();
    for event in &setup.events {
        // A format that cannot be parsed is reported when tracing begins.
        formats.extend(source.format(event, long)?.ok().map(Cow::into_owned));
    }
    Ok(outputs.iter_mut().try_for_each(|outputs| {
        outputs.check(&known, &formats)?;
        outputs.pair(&formats)
    })?)
}

/// Reports the result of `--record`.
fn say_recorded(recorded: &Recorded) {
    let (file, kib) = (recorded.path.display(), recorded.bytes / 1024);
    match &recorded.cut {
        None => say(format!("{file}: {} events recorded in {kib} KiB", recorded.events)),
        Some(why) => {
            let rest = if recorded.path.exists() { "; what was recorded can be played" } else { "" };
            terminal::warn(format_args!("{file}: the recording ended early, after {kib} KiB: {why}{rest}"));
        }
    }
    if let Some(why) = &recorded.not_compact {
        say(format!("{file} is valid, but could not be compacted ({why}): ftrace-live convert does that"));
    }
}

/// The setup from the options.
pub fn setup(args: &TraceArgs, tracefs: &Tracefs) -> Result<Setup> {
    if args.events.is_empty() && args.tracer.is_none() {
        let how = "select some with -e, such as -e irq exceptions (ftrace-live list shows what there is)";
        return Err(Usage(format!("no events to trace: {how}")).into());
    }
    let events = if args.events.is_empty() { vec![] } else { list::select(tracefs, &args.events)? };
    if let (Some(tracer), Ok(tracers)) = (&args.tracer, tracefs.tracers())
        && !tracers.contains(tracer)
    {
        let there = tracers.iter().map(String::as_str).filter(|&tracer| tracer != "nop").collect::<Vec<_>>().join(", ");
        return Err(Usage(format!("-t {tracer:?}: this kernel has no such tracer; it has {there}")).into());
    }
    let clock = TraceClock::from_name(&args.clock);
    Ok(Setup {
        clock,
        buffer_kib: args.buffer,
        cpus: args.cpu.as_deref().map(str::parse::<CpuList>).transpose().map_err(TracefsError::BadCpus)?,
        processes: args.pids.clone(),
        filters: args.filters.iter().map(|filter| filter.parse::<EventFilter>()).collect::<Result<_, _>>()?,
        tracer: args.tracer.clone(),
        functions: args.functions.clone(),
        events,
        ..Setup::default()
    })
}
