//! Captures as the command line names them: opened, described, selected from.

use std::path::{Component, Path};

use anyhow::Result;

use super::Usage;
use crate::capture::moment::Between;
use crate::capture::select::Select;
use crate::capture::trace_dat::Open;
use crate::capture::window::{Point, Span, Window};
use crate::capture::{self, Capture};
use crate::cli::SelectArgs;
use crate::render::Settings;
use crate::terminal::warn;
use crate::tracefs::{CpuList, CpuStats, EventFilter, Selection};

/// Problems of a file that are told one by one.
const TOLD: usize = 5;

/// Opens a capture and says what is wrong with it.
pub fn open(path: &Path, salvage: bool, buffer: Option<&str>) -> Result<Capture> {
    let capture = open_again(path, salvage, buffer)?;
    for (event, error) in &capture.broken {
        warn(format_args!("{event} cannot be decoded: {error}"));
    }
    capture.problems.iter().take(TOLD).for_each(warn);
    if let Some(more) = capture.problems.len().checked_sub(TOLD).filter(|&more| more > 0) {
        warn(format_args!("{more} more problems of this kind"));
    }
    Ok(capture)
}

/// Opens a capture, without a word.
pub fn open_again(path: &Path, salvage: bool, buffer: Option<&str>) -> Result<Capture> {
    if !path.exists() {
        let how = "name a capture folder or a trace.dat (ftrace-live capture -o NAME makes one)";
        return Err(Usage(format!("{} is not there: {how}", path.display())).into());
    }
    if let Some(name) = buffer.filter(|name| !name.is_empty()) {
        let mut components = Path::new(name).components();
        if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
            return Err(Usage(format!("--buffer {name:?} is no name of an instance")).into());
        }
    }
    Ok(capture::open_buffer(path, Open { salvage }, buffer)?)
}

/// What the options select.
pub fn select(args: &SelectArgs) -> Result<Select> {
    Ok(Select {
        events: if args.events.is_empty() { None } else { Some(Selection::parse(&args.events)?) },
        pids: args.pids.clone(),
        cpus: args.cpu.as_deref().map(str::parse::<CpuList>).transpose()?,
        filters: args.filters.iter().map(|filter| filter.parse::<EventFilter>()).collect::<Result<_, _>>()?,
        window: Window { from: args.from, until: args.until },
    })
}

/// Narrows `select` to what is between the moments that the options name; `open` is how the capture was opened.
pub fn narrow(
    args: &SelectArgs,
    select: &mut Select,
    capture: &mut Capture,
    open: &mut dyn FnMut() -> Result<Capture>,
) -> Result<()> {
    let Point::AfterStart(margin) = args.margin else {
        return Err(Usage("--margin takes a length of time, such as 500ms".to_owned()).into());
    };
    let between = Between {
        from: args.from_event.clone(),
        until: args.until_event.clone(),
        around: args.around.clone().map(|moment| (moment, margin)),
    };
    if let (false, Some(span)) = (between.is_all(), Span::of(capture)?) {
        select.window = between.narrow(select.window, span, open)?;
    }
    Ok(())
}

/// What the capture at `path` says about its text.
pub fn settings(path: &Path, capture: &Capture) -> Settings {
    let mut settings = Settings::load(path, &capture.clock);
    if let (None, Some(uname)) = (settings.release, &capture.uname) {
        settings.set_release(uname);
    }
    let stats = capture.rings.iter().filter_map(|ring| ring.stats.as_deref());
    settings.overrun |= stats.map(CpuStats::parse).any(|stats| stats.overrun > 0);
    settings
}
