//! The source of events for `list`, `describe` and `patch`: tracefs, or a capture.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result};

use super::captures;
use crate::capture::Capture;
use crate::format::{EventFormat, FormatError, HeaderPage, LongSize};
use crate::live;
use crate::names::Names;
use crate::terminal;
use crate::tracefs::{Among, EventName, Kind, Tracefs};

/// The events of a running or captured kernel.
pub enum Source {
    /// tracefs, or a capture folder, which mirrors it.
    Tracefs(Tracefs),
    /// A `trace.dat`.
    Dat(Box<Capture>),
}

/// The system of records written by tracers themselves and of `trace_marker`'s text, which cannot be enabled.
const FTRACE: &str = "ftrace";

/// The tracefs given by `--tracefs`, or the kernel's.
pub fn open_tracefs(dir: Option<&Path>) -> Result<Tracefs> {
    let tracefs = match dir {
        Some(dir) => Tracefs::at(dir)?,
        None => Tracefs::find()?,
    };
    if tracefs.mounted_by_us() {
        terminal::say(format_args!("mounted tracefs at {}", tracefs.root().display()));
    }
    Ok(tracefs)
}

/// Whether [`Source::open`] would open the running kernel's tracefs rather than something that the user names.
pub fn is_of_tracefs(tracefs: Option<&Path>, patterns: &[String]) -> bool {
    path_of(tracefs, patterns).0.is_none()
}

/// The file or folder given, and the patterns.
pub(super) fn path_of<'a>(tracefs: Option<&'a Path>, patterns: &'a [String]) -> (Option<&'a Path>, &'a [String]) {
    match (tracefs, patterns) {
        (Some(path), _) => (Some(path), patterns),
        (None, [first, rest @ ..]) if is_capture(first) => (Some(Path::new(first)), rest),
        (None, _) => (None, patterns),
    }
}

impl Source {
    /// Opens what `--tracefs` names; or a capture given before the patterns; or the running kernel. Returns the
    /// remaining patterns.
    pub fn open<'a>(tracefs: Option<&'a Path>, patterns: &'a [String]) -> Result<(Source, &'a [String])> {
        let (path, patterns) = path_of(tracefs, patterns);
        let source = match path {
            Some(path) if path.is_file() || (tracefs.is_none() && !path.exists()) => {
                Source::Dat(Box::new(captures::open(path, false, None)?))
            }
            path => Source::Tracefs(open_tracefs(path)?),
        };
        Ok((source, patterns))
    }

    /// Whose events they are.
    pub fn among(&self) -> Among {
        match self {
            Source::Tracefs(tracefs) if tracefs.kind() == Kind::Live => Among::Kernel,
            _ => Among::Capture,
        }
    }

    /// The events that can be enabled.
    pub fn events(&self) -> Result<Vec<EventName>> {
        match self {
            Source::Tracefs(tracefs) => Ok(tracefs.events()?),
            Source::Dat(_) => Ok(self.all_events()?.into_iter().filter(|event| event.system != FTRACE).collect()),
        }
    }

    /// Also records that occur without -e: those of tracers, and what is written to trace_marker.
    pub fn all_events(&self) -> Result<Vec<EventName>> {
        Ok(match self {
            Source::Tracefs(tracefs) => {
                let mut events = tracefs.events()?;
                events.extend(tracefs.tracer_records()?);
                events
            }
            Source::Dat(capture) => {
                let name = |format: &EventFormat| EventName::new(format.system.as_str(), format.name.as_str());
                capture.events.iter().map(name).collect()
            }
        })
    }

    /// The kernel's `long`.
    pub fn long_size(&self) -> Result<LongSize> {
        Ok(match self {
            Source::Tracefs(tracefs) => {
                let text = tracefs.read("events/header_page")?;
                HeaderPage::parse(&text).context("events/header_page")?.long_size()
            }
            Source::Dat(capture) => capture.header.long_size(),
        })
    }

    /// The format of one of [`Source::all_events`], for a kernel with this size of `long`.
    pub fn format(&self, event: &EventName, long: LongSize) -> Result<Result<Cow<'_, EventFormat>, FormatError>> {
        match self {
            Source::Tracefs(tracefs) => {
                Ok(EventFormat::parse(&event.system, &tracefs.format(event)?, long).map(Cow::Owned))
            }
            Source::Dat(capture) => {
                let named = |format: &&EventFormat| format.system == event.system && format.name == event.name;
                let format = capture.events.iter().find(named);
                format.map(|format| Ok(Cow::Borrowed(format))).with_context(|| format!("there is no event {event}"))
            }
        }
    }

    /// The names of numbers.
    pub fn names(&self) -> Names {
        match self {
            Source::Tracefs(tracefs) if tracefs.kind() == Kind::Live => {
                Names { enums: live::names::enums(), ..Names::default() }
            }
            Source::Tracefs(tracefs) => Names::load(tracefs.root()).0,
            Source::Dat(capture) => capture.names().0,
        }
    }
}

/// Whether a word is a capture rather than a pattern: an existing path with a slash or an ending, so that a folder
/// called `irq` does not hide the group; or a capture folder whose name is not one of the running kernel's.
fn is_capture(word: &str) -> bool {
    let path = Path::new(word);
    let ending = path.extension();
    let written_as_path = word.contains('/') || ending.is_some_and(|ending| ending == "dat" || ending == "data");
    let is_folder = path.join("events/header_page").is_file();
    if written_as_path {
        // `irq/irq_handler_entry` is an event in tracefs' own notation; what looks like a file may be missing.
        let certainly = word.starts_with(['/', '.']) || !word.contains('/');
        return path.is_file() || is_folder || (certainly && !path.exists());
    }
    let events = || Tracefs::find().and_then(|tracefs| tracefs.events()).unwrap_or_default();
    is_folder && !events().iter().any(|event| word == event.system || word == event.name)
}
