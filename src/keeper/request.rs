//! The requests to a keeper: the complete list, and their encoding.
//!
//! A message consists of words separated by NUL bytes. Every word is checked here, on the keeper's side, before
//! anything is done.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::tracefs::EventName;

/// The folder of a file to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// The top of tracefs.
    Top,
    /// An instance that the keeper created for us.
    Instance(String),
    /// `/proc`.
    Proc,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Create an instance with tracing off. The answer is its name.
    Make,
    /// Stop and remove an instance that was created.
    Remove(String),
    /// Remove our instances whose owner has exited. The answer has their names, each followed by an errno, 0 for
    /// success.
    RemoveStale,
    /// Open a file or folder for reading, if it is in the list of those allowed.
    Open(Base, PathBuf),
    /// Change a setting of an instance.
    Set(String, Setting),
    /// Find the processes that hold any of the sockets with these inodes. The answer has their pids.
    Holders(Vec<u64>),
}

/// A setting of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The trace clock.
    Clock(String),
    /// How full a ring must be before a reader is woken, percent.
    BufferPercent(u8),
    /// The size of each CPU's ring, KiB.
    BufferKib(u64),
    /// The size of a sub-buffer, KiB.
    SubBufferKib(u32),
    /// An option of `trace_options`.
    Option(String, bool),
    /// The CPUs, in the form of `tracing_cpumask`.
    Cpus(String),
    /// Tasks to exclude in addition.
    Exclude(Vec<u32>),
    /// Tasks to include in addition.
    Only(Vec<u32>),
    /// Include all tasks.
    Everybody,
    /// The filter of an event.
    Filter(EventName, String),
    /// Switch an event on or off.
    Event(EventName, bool),
    /// Switch all events of a group on or off.
    Group(String, bool),
    /// Switch all events off.
    NoEvents,
    /// The tracer.
    Tracer(String),
    /// A function for the tracer, as a glob.
    Function(String),
    /// Whether to record.
    Record(bool),
    /// A text to write into the ring.
    Mark(String),
}

/// The answer of the keeper.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) words: Vec<String>,
    pub(crate) file: Option<File>,
}

/// The most tasks in one message.
pub(crate) const MOST_TASKS: usize = 4096;
/// The longest condition, name or mark: the kernel accepts a page.
const LONGEST: usize = 4096;
/// Options that affect more than an instance.
const NOT_OURS: [&str; 2] = ["trace_printk_dest", "trace_printk"];

fn refused() -> io::Error {
    io::Error::from_raw_os_error(libc::EPERM)
}

/// A name as used by the kernel: one component of a path, no control characters, no spaces.
fn name(text: &str) -> io::Result<&str> {
    let sound = |c: char| c.is_ascii_graphic() && c != '/';
    if text.is_empty() || text.len() > 255 || text.starts_with('.') || !text.chars().all(sound) {
        return Err(refused());
    }
    Ok(text)
}

/// A text for a control file: one line.
fn line(text: &str) -> io::Result<&str> {
    if text.is_empty() || text.len() > LONGEST || text.contains(['\0', '\n']) {
        return Err(refused());
    }
    Ok(text)
}

fn pids(tasks: &[u32]) -> io::Result<String> {
    if tasks.is_empty() || tasks.len() > MOST_TASKS {
        return Err(refused());
    }
    Ok(tasks.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
}

fn folder(event: &EventName) -> io::Result<PathBuf> {
    Ok(Path::new("events").join(name(&event.system)?).join(name(&event.name)?))
}

fn switch(on: bool) -> String {
    u8::from(on).to_string()
}

impl Setting {
    /// The control file, below the instance, and the text to write.
    ///
    /// # Errors
    /// EPERM for what may not be requested, ENOMEM for a ring larger than the machine's memory.
    pub(crate) fn control(&self) -> io::Result<(PathBuf, String)> {
        let at = |file: &str, text: String| Ok((PathBuf::from(file), text));
        match self {
            Setting::Clock(clock) => at("trace_clock", name(clock)?.to_owned()),
            Setting::BufferPercent(percent) => at("buffer_percent", (*percent).min(100).to_string()),
            Setting::BufferKib(kib) => {
                let info = rustix::system::sysinfo();
                let memory = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)) / 1024;
                if *kib > memory {
                    return Err(io::Error::from_raw_os_error(libc::ENOMEM));
                }
                at("buffer_size_kb", kib.to_string())
            }
            Setting::SubBufferKib(kib) => at("buffer_subbuf_size_kb", kib.to_string()),
            Setting::Option(option, _) if NOT_OURS.contains(&option.as_str()) => Err(refused()),
            // Not `trace_options`, which is not accessible in a lent instance.
            Setting::Option(option, on) => Ok((Path::new("options").join(name(option)?), switch(*on))),
            Setting::Cpus(mask) if mask.chars().all(|c| c.is_ascii_hexdigit() || c == ',') => {
                at("tracing_cpumask", line(mask)?.to_owned())
            }
            Setting::Cpus(_) => Err(refused()),
            Setting::Exclude(tasks) => at("set_event_notrace_pid", pids(tasks)?),
            Setting::Only(tasks) => at("set_event_pid", pids(tasks)?),
            Setting::Everybody => at("set_event_pid", String::new()),
            Setting::Filter(event, condition) => Ok((folder(event)?.join("filter"), line(condition)?.to_owned())),
            Setting::Event(event, on) => Ok((folder(event)?.join("enable"), switch(*on))),
            Setting::Group(group, on) => Ok((Path::new("events").join(name(group)?).join("enable"), switch(*on))),
            Setting::NoEvents => at("events/enable", switch(false)),
            Setting::Tracer(tracer) => at("current_tracer", name(tracer)?.to_owned()),
            // `function:command` would be a command (`traceoff`, `dump`), not a function.
            Setting::Function(function) if function.contains(':') => Err(refused()),
            Setting::Function(function) => at("set_ftrace_filter", line(function)?.to_owned()),
            Setting::Record(on) => at("tracing_on", switch(*on)),
            Setting::Mark(text) if text.len() <= LONGEST => at("trace_marker", text.clone()),
            Setting::Mark(_) => Err(refused()),
        }
    }

    fn words(&self) -> Vec<String> {
        let word = |word: &str| word.to_owned();
        let two = |first: &str, second: &str| vec![word(first), word(second)];
        let tasks = |first: &str, tasks: &[u32]| {
            std::iter::once(word(first)).chain(tasks.iter().map(u32::to_string)).collect::<Vec<_>>()
        };
        match self {
            Setting::Clock(clock) => two("clock", clock),
            Setting::BufferPercent(percent) => two("percent", &percent.to_string()),
            Setting::BufferKib(kib) => two("buffer", &kib.to_string()),
            Setting::SubBufferKib(kib) => two("sub-buffer", &kib.to_string()),
            Setting::Option(option, on) => vec![word("option"), word(option), switch(*on)],
            Setting::Cpus(mask) => two("cpus", mask),
            Setting::Exclude(pids) => tasks("exclude", pids),
            Setting::Only(pids) => tasks("only", pids),
            Setting::Everybody => vec![word("everybody")],
            Setting::Filter(event, condition) => {
                vec![word("filter"), word(&event.system), word(&event.name), word(condition)]
            }
            Setting::Event(event, on) => vec![word("event"), word(&event.system), word(&event.name), switch(*on)],
            Setting::Group(group, on) => vec![word("group"), word(group), switch(*on)],
            Setting::NoEvents => vec![word("no-events")],
            Setting::Tracer(tracer) => two("tracer", tracer),
            Setting::Function(function) => two("function", function),
            Setting::Record(on) => vec![word("record"), switch(*on)],
            Setting::Mark(text) => two("mark", text),
        }
    }

    fn of_words(words: &[&str]) -> Option<Setting> {
        let on = |word: &str| match word {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        };
        let event = |system: &str, name: &str| EventName::new(system, name);
        let tasks = |pids: &[&str]| pids.iter().map(|pid| pid.parse().ok()).collect::<Option<Vec<u32>>>();
        Some(match words {
            ["clock", clock] => Setting::Clock((*clock).to_owned()),
            ["percent", percent] => Setting::BufferPercent(percent.parse().ok()?),
            ["buffer", kib] => Setting::BufferKib(kib.parse().ok()?),
            ["sub-buffer", kib] => Setting::SubBufferKib(kib.parse().ok()?),
            ["option", option, switch] => Setting::Option((*option).to_owned(), on(switch)?),
            ["cpus", mask] => Setting::Cpus((*mask).to_owned()),
            ["exclude", pids @ ..] => Setting::Exclude(tasks(pids)?),
            ["only", pids @ ..] => Setting::Only(tasks(pids)?),
            ["everybody"] => Setting::Everybody,
            ["filter", system, name, condition] => Setting::Filter(event(system, name), (*condition).to_owned()),
            ["event", system, name, switch] => Setting::Event(event(system, name), on(switch)?),
            ["group", group, switch] => Setting::Group((*group).to_owned(), on(switch)?),
            ["no-events"] => Setting::NoEvents,
            ["tracer", tracer] => Setting::Tracer((*tracer).to_owned()),
            ["function", function] => Setting::Function((*function).to_owned()),
            ["record", switch] => Setting::Record(on(switch)?),
            ["mark", text] => Setting::Mark((*text).to_owned()),
            _ => return None,
        })
    }
}

impl Request {
    /// Encodes the message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let word = |word: &str| word.to_owned();
        let words = match self {
            Request::Make => vec![word("make")],
            Request::Remove(instance) => vec![word("remove"), word(instance)],
            Request::RemoveStale => vec![word("remove-stale")],
            Request::Open(base, path) => {
                let (base, instance) = match base {
                    Base::Top => ("top", ""),
                    Base::Instance(instance) => ("instance", instance.as_str()),
                    Base::Proc => ("proc", ""),
                };
                vec![word("open"), word(base), word(instance), path.to_string_lossy().into_owned()]
            }
            Request::Set(instance, setting) => {
                let mut words = vec![word("set"), word(instance)];
                words.extend(setting.words());
                words
            }
            Request::Holders(inodes) => {
                std::iter::once(word("holders")).chain(inodes.iter().map(u64::to_string)).collect()
            }
        };
        words.join("\0").into_bytes()
    }

    /// Decodes a message; `None` if it is not a request.
    pub(crate) fn decode(message: &[u8]) -> Option<Request> {
        let text = std::str::from_utf8(message).ok()?;
        let words: Vec<&str> = text.split('\0').collect();
        Some(match words.as_slice() {
            ["make"] => Request::Make,
            ["remove", instance] => Request::Remove((*instance).to_owned()),
            ["remove-stale"] => Request::RemoveStale,
            ["open", "top", "", path] => Request::Open(Base::Top, path.into()),
            ["open", "instance", instance, path] => Request::Open(Base::Instance((*instance).to_owned()), path.into()),
            ["open", "proc", "", path] => Request::Open(Base::Proc, path.into()),
            ["set", instance, setting @ ..] => Request::Set((*instance).to_owned(), Setting::of_words(setting)?),
            ["holders", inodes @ ..] => {
                Request::Holders(inodes.iter().map(|inode| inode.parse().ok()).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

/// Whether a file may be read. Not the top level's rings and switches, which belong to others.
pub(crate) fn may_read(base: &Base, path: &Path) -> bool {
    let mut names = Vec::new();
    for component in path.components() {
        let Component::Normal(component) = component else { return false };
        let Some(component) = component.to_str().filter(|text| name(text).is_ok()) else { return false };
        names.push(component);
    }
    let cpu = |folder: &str| folder.strip_prefix("cpu").is_some_and(|n| n.parse::<u32>().is_ok());
    match (base, names.as_slice()) {
        (Base::Proc, ["kallsyms"]) => true,
        (Base::Proc, _) => false,
        (_, ["events"] | ["events", _] | ["events", _, _] | ["events", _, _, "format" | "id"]) => true,
        (_, ["available_tracers" | "trace_clock" | "saved_cmdlines" | "saved_tgids" | "printk_formats"]) => true,
        (Base::Top, ["available_events" | "saved_cmdlines_size"]) => true,
        (Base::Top, _) => false,
        (Base::Instance(_), ["events", _, _, "filter" | "enable"] | ["per_cpu"]) => true,
        (Base::Instance(_), ["per_cpu", folder, "stats" | "trace_pipe_raw"]) => cpu(folder),
        (Base::Instance(_), [file]) => matches!(
            *file,
            "trace"
                | "trace_options"
                | "current_tracer"
                | "buffer_size_kb"
                | "buffer_subbuf_size_kb"
                | "buffer_percent"
                | "timestamp_mode"
                | "tracing_on"
                | "tracing_cpumask"
                | "error_log"
                | "set_event"
                | "set_event_pid"
                | "set_event_notrace_pid"
                | "set_ftrace_filter"
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventName {
        EventName::new("irq", "irq_handler_entry")
    }

    #[test]
    fn every_request_survives_encoding() {
        let set = |setting| Request::Set("ftrace-live-7".to_owned(), setting);
        for request in [
            Request::Make,
            Request::Remove("ftrace-live-7-1".to_owned()),
            Request::RemoveStale,
            Request::Open(Base::Top, "events/header_page".into()),
            Request::Open(Base::Instance("ftrace-live-7".to_owned()), "per_cpu/cpu0/stats".into()),
            Request::Open(Base::Proc, "kallsyms".into()),
            Request::Holders(vec![1, u64::MAX]),
            set(Setting::Clock("mono".to_owned())),
            set(Setting::BufferPercent(50)),
            set(Setting::BufferKib(1408)),
            set(Setting::SubBufferKib(16)),
            set(Setting::Option("event-fork".to_owned(), true)),
            set(Setting::Cpus("00000001,0000000d".to_owned())),
            set(Setting::Exclude(vec![1, 2])),
            set(Setting::Only(vec![3])),
            set(Setting::Everybody),
            set(Setting::Filter(event(), "irq > 3 && name != \"x\"".to_owned())),
            set(Setting::Event(event(), false)),
            set(Setting::Group("irq".to_owned(), true)),
            set(Setting::NoEvents),
            set(Setting::Tracer("function".to_owned())),
            set(Setting::Function("tcp_*".to_owned())),
            set(Setting::Record(true)),
            set(Setting::Mark("a mark\n".to_owned())),
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn an_invalid_message_is_not_a_request() {
        for message in [
            &b""[..],
            b"\0",
            b"make\0more",
            b"remove",
            b"open\0top\0x\0events",
            b"set\0ftrace-live-7\0record\x002",
            b"set\0ftrace-live-7\0exclude\x00-1",
            b"set\0ftrace-live-7\0trigger\0x",
            b"holders\0x",
            b"\xff",
        ] {
            assert_eq!(Request::decode(message), None, "{message:?}");
        }
    }

    #[test]
    fn settings_only_reach_their_own_file_in_the_instance() {
        let control = |setting: &Setting| setting.control().ok();
        assert_eq!(
            control(&Setting::Filter(event(), "irq>3".to_owned())),
            Some(("events/irq/irq_handler_entry/filter".into(), "irq>3".to_owned()))
        );
        for setting in [
            Setting::Event(EventName::new("..", "x"), true),
            Setting::Event(EventName::new("irq", "../../tracing_on"), true),
            Setting::Group("/etc".to_owned(), true),
            Setting::Group(String::new(), true),
            Setting::Clock("mono\nlocal".to_owned()),
            Setting::Option("trace_printk_dest".to_owned(), true),
            Setting::Cpus("all".to_owned()),
            Setting::Exclude(vec![]),
            Setting::Filter(event(), "a\nb".to_owned()),
            Setting::Filter(event(), "x".repeat(5000)),
            Setting::Function("schedule:traceoff".to_owned()),
            Setting::BufferKib(u64::MAX),
            Setting::Mark("x".repeat(5000)),
        ] {
            assert!(setting.control().is_err(), "{setting:?}");
        }
    }

    #[test]
    fn only_what_is_needed_may_be_read() {
        let instance = Base::Instance("ftrace-live-7".to_owned());
        for (base, path, may) in [
            (&Base::Top, "events/sched/sched_switch/format", true),
            (&Base::Top, "available_events", true),
            (&instance, "per_cpu/cpu11/trace_pipe_raw", true),
            (&instance, "events/header_page", true),
            (&Base::Proc, "kallsyms", true),
            (&Base::Top, "trace_pipe", false),
            (&Base::Top, "per_cpu/cpu0/trace_pipe_raw", false),
            (&Base::Top, "instances", false),
            (&Base::Top, "events/../trace", false),
            (&Base::Top, "/etc/shadow", false),
            (&Base::Top, "events/./sched", false),
            (&instance, "per_cpu/../../x", false),
            (&instance, "per_cpu/cpux/stats", false),
            (&Base::Proc, "1/environ", false),
            (&Base::Proc, "kcore", false),
        ] {
            // `Path` itself drops a `.` in the middle.
            let may = may || path == "events/./sched";
            assert_eq!(may_read(base, Path::new(path)), may, "{base:?} {path}");
        }
    }
}
