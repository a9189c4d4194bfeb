//! Captures given on the command line: opens them, reports their errors, selects parts.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::Usage;
use crate::capture::moment::{Between, FindError};
use crate::capture::select::{Select, SelectError};
use crate::capture::trace_dat::{Open, Problem};
use crate::capture::window::{Span, Window};
use crate::capture::{self, Capture, CaptureError, perf_data};
use crate::cli::SelectArgs;
use crate::render::Settings;
use crate::ring::CpuList;
use crate::terminal::{self, warn};
use crate::tracefs::{CpuStats, EventFilter, Selection, TracefsError};

/// How many problems of a file are listed.
const TOLD: usize = 5;

/// Opens a capture and reports its errors.
pub fn open(path: &Path, salvage: bool, buffer: Option<&str>) -> Result<Capture> {
    let capture = open_again(path, salvage, buffer)?;
    for (event, error) in &capture.broken {
        warn(format_args!("{event} cannot be decoded: {error}"));
    }
    if capture.counts_ticks() {
        warn(format_args!(
            "the trace clock {} counts ticks of unknown length: dt is 0 and events have no time of day; a replay \
             plays as if a tick were a nanosecond",
            capture.clock
        ));
    }
    capture.problems.iter().take(TOLD).for_each(warn);
    if let Some(more) = capture.problems.len().checked_sub(TOLD).filter(|&more| more > 0) {
        warn(format_args!("{more} more problems of this kind"));
    }
    Ok(capture)
}

/// Opens a capture without reporting errors.
pub fn open_again(path: &Path, salvage: bool, buffer: Option<&str>) -> Result<Capture> {
    if !path.exists() {
        let how = "give a capture folder or a trace.dat (ftrace-live capture -o NAME makes one)";
        return Err(Usage(format!("{} does not exist: {how}", path.display())).into());
    }
    if !path.is_dir() && !path.is_file() {
        let how = "a capture is read at several places at once, so write it to a file first";
        return Err(Usage(format!("{} is neither a file nor a folder: {how}", path.display())).into());
    }
    // A capture has no file that waits for events.
    if path.join("events").is_dir() && path.join("trace_pipe").exists() {
        let how = "record it first: ftrace-live capture -e EVENT… -o NAME, or --instance NAME for what it has recorded";
        return Err(Usage(format!("{} is the running kernel's tracefs: {how}", path.display())).into());
    }
    if let Some(name) = buffer.filter(|name| !name.is_empty()) {
        let mut components = Path::new(name).components();
        if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
            return Err(Usage(format!("--buffer {name:?} is not the name of an instance")).into());
        }
    }
    capture::open_buffer(path, Open { salvage }, buffer).map_err(|error| remedy(error, salvage))
}

/// A capture file that is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{0}; {SALVAGE}")]
pub struct Damaged(#[source] CaptureError);

/// A file or folder that is something else.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a capture{why}: {CAPTURES}", path.display())]
struct NoCapture {
    path: PathBuf,
    why: String,
}

/// What can be given.
const CAPTURES: &str = "give a trace.dat, a perf.data, or a folder from `ftrace-live capture -o NAME`";

/// The remedy for a damaged file.
pub const SALVAGE: &str =
    "--salvage reads what can still be read (ftrace-live convert --salvage -o NEW.dat keeps that)";

/// The error, with its remedy if there is one.
pub fn remedy(error: CaptureError, salvage: bool) -> anyhow::Error {
    match error {
        CaptureError::TraceDat { path, source } if matches!(source.problem, Problem::NotTraceDat) => {
            return NoCapture { path, why: String::new() }.into();
        }
        CaptureError::NotACapture { path, .. } if perf_data::is_perf_data(&path.join("data")).unwrap_or(false) => {
            let why = " that can be read (a folder of `perf record --threads`: record without that option)".to_owned();
            return NoCapture { path, why }.into();
        }
        CaptureError::NotACapture { path, missing } => {
            return NoCapture { path, why: format!(" ({missing} is missing)") }.into();
        }
        _ => {}
    }
    let damaged = match &error {
        CaptureError::TraceDat { source, .. } => !matches!(
            source.problem,
            Problem::Version(_)
                | Problem::Compression(_)
                | Problem::NoTracepoints
                | Problem::TextOnly
                | Problem::NoBuffer { .. }
                | Problem::Io(_)
        ),
        _ => false,
    };
    if damaged && !salvage { Damaged(error).into() } else { error.into() }
}

/// Reports what could not be read while a capture was played.
pub fn say_errors(errors: &[String], salvage: bool) {
    errors.iter().for_each(warn);
    if !errors.is_empty() && !salvage {
        terminal::say(SALVAGE);
    }
}

/// Refuses a selection without events, like one that matches no event.
pub fn refuse_empty(args: &SelectArgs, path: &Path, read: u64) -> Result<()> {
    let mut parts = Vec::new();
    parts.extend((!args.events.is_empty()).then(|| format!("-e {}", args.events.join(" "))));
    parts.extend(args.pids.iter().map(|pid| format!("-i {pid}")));
    parts.extend(args.cpu.iter().map(|cpu| format!("--cpu {cpu}")));
    parts.extend(args.filters.iter().map(|filter| format!("--filter '{filter}'")));
    let narrowed = [&args.from_event, &args.until_event, &args.around].into_iter().any(Option::is_some);
    if args.from.is_some() || args.until.is_some() || narrowed {
        parts.push("the selected time".to_owned());
    }
    if read > 0 || parts.is_empty() {
        return Ok(());
    }
    let (file, parts) = (path.display(), parts.join(" and "));
    Err(Usage(format!("{file} has no events of {parts}: `ftrace-live stat {file}` shows its contents")).into())
}

/// The selection from the options.
pub fn select(args: &SelectArgs) -> Result<Select> {
    Ok(Select {
        events: if args.events.is_empty() { None } else { Some(Selection::parse(&args.events)?) },
        pids: args.pids.clone(),
        cpus: args.cpu.as_deref().map(str::parse::<CpuList>).transpose().map_err(TracefsError::BadCpus)?,
        filters: args.filters.iter().map(|filter| filter.parse::<EventFilter>()).collect::<Result<_, _>>()?,
        window: Window { from: args.from, until: args.until },
    })
}

/// Narrows `select` to the part between the given moments; `open` is how the capture was opened.
pub fn narrow(
    args: &SelectArgs,
    select: &mut Select,
    capture: &mut Capture,
    open: &mut dyn FnMut() -> Result<Capture>,
) -> Result<()> {
    if capture.counts_ticks() && (args.from.is_some() || args.until.is_some() || args.around.is_some()) {
        let instead = "--from-event and --until-event work without times";
        let why = format!("--from, --until and --around: the trace clock {} counts ticks, not time", capture.clock);
        return Err(Usage(format!("{why}: {instead}")).into());
    }
    let between = between(args);
    if let (false, Some(span)) = (between.is_all(), Span::of(capture)?) {
        select.window = between.narrow(select.window, span, open)?;
    }
    Ok(())
}

fn between(args: &SelectArgs) -> Between {
    let margin = u64::try_from(args.margin.as_nanos()).unwrap_or(u64::MAX);
    Between {
        from: args.from_event.clone(),
        until: args.until_event.clone(),
        around: args.around.clone().map(|moment| (moment, margin)),
    }
}

/// The same for several captures, on their common clock: the number with each is added to its times. A moment is the
/// first occurrence in any of them. `open` opens one of them.
pub fn narrow_together(
    args: &SelectArgs,
    select: &mut Select,
    captures: &mut [(&mut Capture, u64)],
    open: &mut dyn FnMut(usize) -> Result<Capture>,
) -> Result<()> {
    let between = between(args);
    if between.is_all() {
        return Ok(());
    }
    let mut spans = Vec::new();
    for (capture, offset) in captures {
        let moved = |time: u64| time.wrapping_add(*offset);
        let span = Span::of(capture)?.map(|span| Span { first: moved(span.first), last: moved(span.last) });
        spans.push((span, *offset));
    }
    let spanned = spans.iter().filter_map(|(span, _)| *span);
    let Some(whole) = spanned.reduce(|a, b| Span { first: a.first.min(b.first), last: a.last.max(b.last) }) else {
        return Ok(());
    };
    select.window = between.narrow_by(select.window, whole, &mut |moment, from| {
        let (mut first, mut never) = (None, None);
        for (index, (span, offset)) in spans.iter().enumerate() {
            let Some(span) = span else { continue };
            let from = if from > span.first { from.wrapping_sub(*offset) } else { 0 };
            match moment.find(open(index)?, from) {
                Ok(time) => first = Some(first.unwrap_or(u64::MAX).min(time.wrapping_add(*offset))),
                // It may occur in another one.
                Err(
                    error @ (FindError::Never { .. }
                    | FindError::Select(SelectError::Events(_) | SelectError::NoEvent(_))),
                ) => drop(never.get_or_insert(error)),
                Err(error) => return Err(error.into()),
            }
        }
        let missing =
            || never.map_or_else(|| Usage("the captures have no events".to_owned()).into(), anyhow::Error::from);
        first.ok_or_else(missing)
    })?;
    Ok(())
}

/// The text settings of the capture at `path`.
pub fn settings(path: &Path, capture: &Capture) -> Settings {
    let mut settings = Settings::load(path, &capture.clock);
    // A folder's text is the kernel's, in ticks of its clock; that of a file is formatted as by trace-cmd.
    if path.is_file() && !capture.times.is_plain() {
        (settings.line.converted, settings.line.nanoseconds) = (true, true);
    }
    if let (None, Some(uname)) = (settings.release, &capture.uname) {
        settings.set_release(uname);
    }
    let stats = capture.rings.iter().filter_map(|ring| ring.stats.as_deref());
    settings.overrun |= stats.map(CpuStats::parse).any(|stats| stats.overrun > 0);
    settings
}
