//! A private instance: a set of rings and switches of our own, which nobody else's tracing sees or disturbs.
//!
//! Made with tracing off, so that nothing is recorded before all is set; removed by [`Instance::close`], by `Drop` (on a
//! panic too), and where neither runs, by the [`Keeper`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::files::{Files, bytes_of, folders_of};
use super::settings::Settings;
use super::{
    CpuStats, EventFilter, EventName, Kind, PidView, RawBuffer, TraceClock, TraceClocks, Tracefs, TracefsError,
};
use crate::keeper::{Answer, Base, Hands, Keeper, MOST_TASKS, Request, Setting};
use crate::ring::{CpuList, CpuListError};

/// A private instance, removed when it is dropped.
///
/// Its [`RawBuffer`]s belong to the caller of [`Instance::open_raw`] and must be dropped first: while one is open the kernel refuses to
/// remove the instance.
#[derive(Debug)]
pub struct Instance {
    tracefs: Tracefs,
    name: String,
    path: PathBuf,
    cpus: Vec<u32>,
    pids: PidView,
    access: Access,
    /// What was set through us, to tell it from what others set.
    ours: Mutex<Settings>,
    removed: bool,
}

/// What [`Instance::enable`] did.
#[derive(Debug)]
pub struct Enabled {
    /// The events that are on, in the order given.
    pub events: Vec<EventName>,
    /// Those that the kernel refused.
    pub failures: Vec<EnableFailure>,
}

/// An event that could not be enabled. Its `Display` is the warning.
#[derive(Debug)]
pub struct EnableFailure {
    /// Which event.
    pub event: EventName,
    /// What the kernel said.
    pub source: io::Error,
}

impl fmt::Display for EnableFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be enabled ({})", self.event, self.source)
    }
}

impl Instance {
    /// Makes an instance `ftrace-live-<pid>` with tracing off; the keeper makes it and owns it, where there is one. Where
    /// `tracefs` is an instance that root [lends](super::Lent) to us, takes that one.
    ///
    /// # Errors
    /// [`TracefsError::NotRoot`] and its like; [`TracefsError::ReadOnly`] for a capture folder.
    pub fn create(tracefs: &Tracefs, keeper: Option<&Arc<Keeper>>) -> Result<Instance, TracefsError> {
        if tracefs.kind() != Kind::Live {
            return Err(TracefsError::ReadOnly(tracefs.root().to_path_buf()));
        }
        let hands = Mutex::new(Hands::new(tracefs.root(), std::process::id()));
        let access = keeper.map_or(Access::Own(hands), |keeper| Access::Kept(keeper.clone()));
        let lent = tracefs.is_lent();
        let failed = |e: io::Error| match e.raw_os_error() {
            Some(libc::EBUSY) if lent => TracefsError::LentInUse(tracefs.root().to_path_buf()),
            _ if lent => TracefsError::io("make use of", tracefs.root(), e),
            _ => TracefsError::io("create an instance in", &tracefs.root().join("instances"), e),
        };
        let made = access.ask(&Request::Make).map_err(failed)?;
        let name = made.words.into_iter().next().unwrap_or_default();
        let path = if lent { tracefs.root().to_path_buf() } else { tracefs.root().join("instances").join(&name) };
        // From here on `Drop` cleans up, whichever step fails.
        let (tracefs, pids, ours) = (tracefs.clone(), PidView::ours(), Mutex::default());
        let mut instance = Instance { tracefs, name, path, cpus: Vec::new(), pids, access, ours, removed: false };
        instance.cpus = instance.list_cpus()?;
        Ok(instance)
    }

    /// Whether root lends it to us: there is no other one then.
    pub(super) fn is_lent(&self) -> bool {
        self.tracefs.is_lent()
    }

    /// Makes another one as this one was made.
    pub(super) fn another(&self) -> Result<Instance, TracefsError> {
        let keeper = if let Access::Kept(keeper) = &self.access { Some(keeper) } else { None };
        Instance::create(&self.tracefs, keeper)
    }

    fn list_cpus(&self) -> Result<Vec<u32>, TracefsError> {
        let folders = self.folders(Path::new("per_cpu"));
        let folders = folders.map_err(|e| TracefsError::io("read", &self.path.join("per_cpu"), e))?;
        let mut cpus: Vec<u32> = folders.iter().filter_map(|folder| folder.strip_prefix("cpu")?.parse().ok()).collect();
        cpus.sort_unstable();
        Ok(cpus)
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instance's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The CPUs that have a ring, ascending: those that could ever be online.
    pub fn cpus(&self) -> &[u32] {
        &self.cpus
    }

    /// The text of a file of the instance, as `events/header_page` or `trace`. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<String, TracefsError> {
        self.read_bytes(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of a file of the instance.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    pub fn read_bytes(&self, file: impl AsRef<Path>) -> Result<Vec<u8>, TracefsError> {
        self.bytes(file.as_ref()).map_err(|e| TracefsError::io("read", &self.path.join(file), e))
    }

    /// Opens a file of the instance for reading.
    ///
    /// # Errors
    /// The file is missing, or not one of those that may be read.
    pub fn open(&self, file: impl AsRef<Path>) -> Result<File, TracefsError> {
        self.open_file(file.as_ref()).map_err(|e| TracefsError::io("open", &self.path.join(file), e))
    }

    fn open_file(&self, file: &Path) -> io::Result<File> {
        let answer = self.access.ask(&Request::Open(Base::Instance(self.name.clone()), file.to_owned()))?;
        answer.file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Changes a setting, through the keeper where there is one.
    fn change(&self, setting: Setting) -> io::Result<()> {
        let request = Request::Set(self.name.clone(), setting);
        self.access.ask(&request)?;
        if let Request::Set(_, setting) = &request {
            self.ours.lock().unwrap_or_else(PoisonError::into_inner).note(setting);
        }
        Ok(())
    }

    /// What others have changed since the last time, each as a sentence: root can write to the instance as well. What is
    /// found counts as ours from now on, so that each change is told once.
    ///
    /// # Errors
    /// The instance, or its keeper, is gone.
    pub fn changed_outside(&self) -> Result<Vec<String>, TracefsError> {
        let found = Settings {
            on: Some(self.is_on()?),
            clock: self.read("trace_clock").ok().and_then(|text| TraceClock::in_use(&text)),
            kib: self.read("buffer_size_kb").ok().and_then(|text| text.split_whitespace().next()?.parse().ok()),
            events: self.read("set_event")?.lines().filter_map(|line| line.parse().ok()).collect(),
        };
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = ours.changes(&found);
        *ours = found;
        Ok(changes)
    }

    fn set(&self, file: &str, setting: Setting) -> Result<(), TracefsError> {
        self.change(setting).map_err(|e| TracefsError::io("write", &self.path.join(file), e))
    }

    /// The layout of this instance's sub-buffers: the top level's differs once
    /// [`set_sub_buffer_kib`](Instance::set_sub_buffer_kib) was used.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn header_page(&self) -> Result<String, TracefsError> {
        self.read("events/header_page")
    }

    /// Sets the trace clock. It empties the ring, so it comes before the events.
    ///
    /// # Errors
    /// [`TracefsError::NoClock`] where this kernel has no such clock.
    pub fn set_clock(&self, clock: &TraceClock) -> Result<(), TracefsError> {
        let path = self.path.join("trace_clock");
        self.change(Setting::Clock(clock.name().to_owned())).map_err(|e| {
            // EPERM: no name that a clock can have.
            if !matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) {
                return TracefsError::io("write", &path, e);
            }
            let available = self.clocks().map(|clocks| clocks.available).unwrap_or_default();
            let available: Vec<&str> = available.iter().map(TraceClock::name).collect();
            TracefsError::NoClock { clock: clock.name().to_string(), available: available.join(", ") }
        })
    }

    fn clocks(&self) -> Option<TraceClocks> {
        TraceClocks::parse(&self.read("trace_clock").ok()?)
    }

    /// Sets how full a ring must be before a waiting reader is woken, in percent. 0 wakes it for each event; with the
    /// default of 50 an edge-triggered poll, which is mio's, is woken once and never again (`ring_buffer_poll_wait`).
    /// Kernels before 5.0 have no such file and wake as with 0.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_buffer_percent(&self, percent: u8) -> Result<(), TracefsError> {
        match self.set("buffer_percent", Setting::BufferPercent(percent)) {
            Err(TracefsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Sets the size of each CPU's ring, KiB. Before the events are enabled: resizing needs the ring at rest.
    ///
    /// # Errors
    /// [`TracefsError::BufferTooLarge`] where there is no memory for it.
    pub fn set_buffer_kib(&self, kib: u64) -> Result<(), TracefsError> {
        let path = self.path.join("buffer_size_kb");
        self.change(Setting::BufferKib(kib)).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOMEM | libc::EINVAL | libc::EOVERFLOW | libc::ERANGE) => {
                TracefsError::BufferTooLarge { kib, cpus: self.cpus.len() }
            }
            _ => TracefsError::io("write", &path, e),
        })
    }

    /// Sets the size of a sub-buffer, KiB; the kernel rounds it up to a power of two of pages. Kernels from 6.8 on.
    ///
    /// # Errors
    /// The kernel refuses the size, or has no such file.
    pub fn set_sub_buffer_kib(&self, kib: u32) -> Result<(), TracefsError> {
        match self.set("buffer_subbuf_size_kb", Setting::SubBufferKib(kib)) {
            Err(TracefsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(TracefsError::NoSubBufferSizes)
            }
            done => done,
        }
    }

    /// Keeps the events of these tasks (thread ids) out, in addition to those kept out already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn exclude_tasks(&self, tids: impl IntoIterator<Item = u32>) -> Result<(), TracefsError> {
        self.set_tasks("set_event_notrace_pid", tids, Setting::Exclude)
    }

    /// Keeps out all threads that this process has now, and the keeper.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn exclude_ourselves(&self) -> Result<(), TracefsError> {
        self.exclude_tasks(self.our_tasks())
    }

    /// The threads that this process has now, and the keeper, as the kernel calls them; none where that cannot be known.
    pub fn our_tasks(&self) -> BTreeSet<u32> {
        let keeper = self.access.keeper().and_then(|keeper| self.pids.kernel_pid(keeper.pid()).ok());
        self.pids.our_tasks().into_iter().chain(keeper).collect()
    }

    /// Whose numbers our pids are.
    pub(crate) fn pids(&self) -> PidView {
        self.pids
    }

    /// The processes that hold any of the sockets with these inodes, but for ourselves. Only root sees those of others.
    pub(crate) fn holders(&self, inodes: &BTreeSet<u64>) -> BTreeSet<u32> {
        let answer = self.access.ask(&Request::Holders(inodes.iter().copied().collect()));
        answer.map(|answer| answer.words.iter().filter_map(|pid| pid.parse().ok()).collect()).unwrap_or_default()
    }

    /// Lets only the events of these processes in, each with all the threads it has now, in addition to those let in
    /// already; the pids are those of our own namespace. [`follow_forks`](Instance::follow_forks) adds what they start later.
    ///
    /// # Errors
    /// [`TracefsError::NoSuchProcess`], or [`TracefsError::PidNamespace`] where the kernel's pids cannot be known.
    pub fn only_processes(&self, pids: &[u32]) -> Result<(), TracefsError> {
        self.set_tasks("set_event_pid", self.threads_of(pids)?, Setting::Only)
    }

    /// The same, but those let in already are not any more. With no process all are let in. For a moment all are in
    /// either case: recording should be off.
    ///
    /// # Errors
    /// As [`only_processes`](Instance::only_processes); then nothing has changed.
    pub fn only_these_processes(&self, pids: &[u32]) -> Result<(), TracefsError> {
        let threads = self.threads_of(pids)?;
        self.set("set_event_pid", Setting::Everybody)?;
        self.set_tasks("set_event_pid", threads, Setting::Only)
    }

    /// The threads that these processes have now, as the kernel numbers them.
    fn threads_of(&self, pids: &[u32]) -> Result<Vec<u32>, TracefsError> {
        let mut tids = Vec::new();
        for pid in pids {
            tids.extend(self.pids.kernel_tasks(*pid)?);
        }
        Ok(tids)
    }

    fn set_tasks(
        &self,
        file: &str,
        tids: impl IntoIterator<Item = u32>,
        setting: fn(Vec<u32>) -> Setting,
    ) -> Result<(), TracefsError> {
        let tids: Vec<u32> = tids.into_iter().collect();
        tids.chunks(MOST_TASKS).try_for_each(|tids| self.set(file, setting(tids.to_vec())))
    }

    /// Lets children inherit their parent's place in [`only_processes`](Instance::only_processes) and
    /// [`exclude_tasks`](Instance::exclude_tasks).
    ///
    /// # Errors
    /// The option cannot be set.
    pub fn follow_forks(&self) -> Result<(), TracefsError> {
        self.set_option("event-fork", true)
    }

    /// Switches an option of `options/` on or off.
    ///
    /// # Errors
    /// The kernel has no such option, or refuses it.
    pub fn set_option(&self, option: &str, on: bool) -> Result<(), TracefsError> {
        self.set(&format!("options/{option}"), Setting::Option(option.to_owned(), on))
    }

    /// Records on these CPUs only.
    ///
    /// # Errors
    /// [`TracefsError::BadCpus`] where the machine has no such CPU.
    pub fn set_cpus(&self, cpus: &CpuList) -> Result<(), TracefsError> {
        if let Some(missing) = cpus.iter().find(|cpu| !self.cpus.contains(cpu)) {
            let there_are: Vec<String> = self.cpus.iter().map(u32::to_string).collect();
            let list: Vec<String> = cpus.iter().map(|cpu| cpu.to_string()).collect();
            let reason = format!("there is no CPU {missing}; there are {}", there_are.join(","));
            return Err(TracefsError::BadCpus(CpuListError { list: list.join(","), reason }));
        }
        self.set("tracing_cpumask", Setting::Cpus(cpus.mask()))
    }

    /// Sets the kernel's own filter on those of `selected` that the filter names.
    ///
    /// # Errors
    /// [`TracefsError::FilterUnmatched`], or [`TracefsError::FilterRefused`] with the kernel's words.
    pub fn set_filter(&self, filter: &EventFilter, selected: &[EventName]) -> Result<(), TracefsError> {
        let events = filter.events().resolve(selected);
        let events = events.map_err(|_| TracefsError::FilterUnmatched(filter.text().to_owned()))?.events;
        events.iter().try_for_each(|event| self.replace_filter(event, Some(filter.condition())))
    }

    /// Gives an event this filter instead of the one it has; `None`: no filter.
    ///
    /// # Errors
    /// [`TracefsError::FilterRefused`] with the kernel's words; then the event has no filter that holds.
    pub fn replace_filter(&self, event: &EventName, condition: Option<&str>) -> Result<(), TracefsError> {
        // `apply_event_filter`: "0" takes the filter away.
        let condition = condition.unwrap_or("0").to_owned();
        self.change(Setting::Filter(event.clone(), condition)).map_err(|e| {
            let file = event.folder().join("filter");
            if e.raw_os_error() != Some(libc::EINVAL) {
                return TracefsError::io("write", &self.path.join(file), e);
            }
            // After a refusal the file holds the condition, a caret and the reason (`append_filter_err`).
            let said = self.read(&file).unwrap_or_default();
            let kernel = if said.contains("parse_error") { said.trim_end().to_string() } else { self.last_error() };
            TracefsError::FilterRefused { event: event.clone(), kernel }
        })
    }

    /// The condition of an event's filter, `None` where it has none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn condition(&self, event: &EventName) -> Result<Option<String>, TracefsError> {
        let text = self.read(event.folder().join("filter"))?;
        Ok(Some(text.trim().to_string()).filter(|text| text != "none"))
    }

    /// Gives an event's filter this condition instead of the one it has.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set_condition(&self, event: &EventName, condition: &str) -> Result<(), TracefsError> {
        self.change(Setting::Filter(event.clone(), condition.to_owned()))
            .map_err(|e| TracefsError::io("write", &self.path.join(event.folder()).join("filter"), e))
    }

    /// The last entry of `error_log`, or an empty text.
    fn last_error(&self) -> String {
        let log = self.read("error_log").unwrap_or_default();
        // Each entry begins with `[  988.542446] `.
        let start = log.rfind("\n[").map_or(0, |at| at + 1);
        log.get(start..).unwrap_or_default().trim_end().to_string()
    }

    /// Enables events. A group of which every event is asked for takes one write instead of one for each.
    ///
    /// # Errors
    /// [`TracefsError::NothingEnabled`] where the kernel refuses every one. Refusals of some are in the result.
    pub fn enable(&self, events: &[EventName]) -> Result<Enabled, TracefsError> {
        let mut in_group: BTreeMap<String, usize> = BTreeMap::new();
        for event in self.tracefs.events()? {
            *in_group.entry(event.system).or_default() += 1;
        }
        let mut asked: BTreeMap<&str, BTreeSet<&EventName>> = BTreeMap::new();
        for event in events {
            asked.entry(&event.system).or_default().insert(event);
        }
        let mut failures = Vec::new();
        for (system, group) in asked {
            let whole = in_group.get(system) == Some(&group.len());
            if whole && self.change(Setting::Group(system.to_owned(), true)).is_ok() {
                let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
                ours.events.extend(group.into_iter().cloned());
                continue;
            }
            // The group's switch goes on after a refusal and does not say whose it was: so each one by itself.
            for event in group {
                if let Err(source) = self.change(Setting::Event(event.clone(), true)) {
                    failures.push(EnableFailure { event: event.clone(), source });
                }
            }
        }
        let refused: BTreeSet<&EventName> = failures.iter().map(|failure| &failure.event).collect();
        let on: Vec<EventName> = events.iter().filter(|event| !refused.contains(event)).cloned().collect();
        if on.is_empty() && !events.is_empty() {
            return Err(TracefsError::NothingEnabled(failures.iter().map(EnableFailure::to_string).collect()));
        }
        Ok(Enabled { events: on, failures })
    }

    /// Switches one event off.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn disable(&self, event: &EventName) -> Result<(), TracefsError> {
        self.change(Setting::Event(event.clone(), false))
            .map_err(|e| TracefsError::io("write", &self.path.join(event.folder()).join("enable"), e))
    }

    /// Switches all events off.
    ///
    /// # Errors
    /// The switch cannot be written.
    pub fn disable_all(&self) -> Result<(), TracefsError> {
        self.set("events/enable", Setting::NoEvents)
    }

    /// Sets the tracer (`function`, `blk`, `nop`, …), for `function` tracers on the functions that match `functions`
    /// only. Before [`open_raw`](Instance::open_raw): the kernel does not change it while a ring is open.
    ///
    /// # Errors
    /// [`TracefsError::TracerRefused`] with the kernel's words.
    pub fn set_tracer(&self, tracer: &str, functions: &[String]) -> Result<(), TracefsError> {
        let refused = |what: &str, e: io::Error| {
            let log = self.last_error();
            let reason = if log.is_empty() { format!("{what}: {e}") } else { format!("{what}: {e}\n{log}") };
            let available = self.read("available_tracers").unwrap_or_default();
            let why = match e.raw_os_error() {
                // `trace_ok_for_array`: a tracer says whether it can have several rings (`allow_instances`).
                Some(libc::EINVAL) if !available.split_whitespace().any(|word| word == tracer) => {
                    "; it works for the whole machine only, and not in an instance of its own, which is what we trace in"
                }
                Some(libc::EPERM) => {
                    "; the kernel has it, but may not change its own code for it here (a hardened machine)"
                }
                _ => "",
            };
            let reason = reason + why;
            TracefsError::TracerRefused { tracer: tracer.to_string(), reason, available: available.trim().to_string() }
        };
        for function in functions {
            self.change(Setting::Function(function.clone()))
                .map_err(|e| refused(&format!("set_ftrace_filter {function:?}"), e))?;
        }
        self.change(Setting::Tracer(tracer.to_owned())).map_err(|e| refused("current_tracer", e))
    }

    /// Begins to record.
    ///
    /// # Errors
    /// The switch cannot be written.
    pub fn start(&self) -> Result<(), TracefsError> {
        self.set("tracing_on", Setting::Record(true))
    }

    /// Stops recording; the ring stays as it is: this freezes it.
    ///
    /// # Errors
    /// The switch cannot be written.
    pub fn stop(&self) -> Result<(), TracefsError> {
        self.set("tracing_on", Setting::Record(false))
    }

    /// Whether it records.
    ///
    /// # Errors
    /// The switch cannot be read.
    pub fn is_on(&self) -> Result<bool, TracefsError> {
        Ok(self.read("tracing_on")?.trim() == "1")
    }

    /// Writes a text into the ring, as `ftrace:print`, even though our other events are kept out.
    ///
    /// # Errors
    /// The file cannot be written: EBADF while tracing is off.
    pub fn mark(&self, text: &str) -> Result<(), TracefsError> {
        self.set("trace_marker", Setting::Mark(text.to_owned()))
    }

    /// Opens each CPU's `trace_pipe_raw`, ascending by CPU, non-blocking.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open_raw(&self) -> Result<Vec<RawBuffer>, TracefsError> {
        make_room_for_files(self.cpus.len());
        self.cpus.iter().map(|cpu| self.open_raw_of(*cpu)).collect()
    }

    fn open_raw_of(&self, cpu: u32) -> Result<RawBuffer, TracefsError> {
        self.open(format!("per_cpu/cpu{cpu}/trace_pipe_raw")).map(|file| RawBuffer::new(cpu, file))
    }

    /// The counts of one CPU's ring.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stats(&self, cpu: u32) -> Result<CpuStats, TracefsError> {
        self.read(format!("per_cpu/cpu{cpu}/stats")).map(|text| CpuStats::parse(&text))
    }

    /// Stops and removes the instance, and says if that failed. Then the keeper keeps it in mind and tries again after
    /// our end.
    ///
    /// # Errors
    /// Somebody holds it open (EBUSY), or the kernel refuses.
    pub fn close(mut self) -> Result<(), TracefsError> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), TracefsError> {
        if self.removed {
            return Ok(());
        }
        self.removed = true;
        let removed = self.access.ask(&Request::Remove(self.name.clone()));
        removed.map(drop).map_err(|e| TracefsError::io("remove", &self.path, e))
    }
}

impl Files for Instance {
    fn bytes(&self, file: &Path) -> io::Result<Vec<u8>> {
        bytes_of(self.open_file(file)?)
    }

    fn folders(&self, folder: &Path) -> io::Result<Vec<String>> {
        folders_of(self.open_file(folder)?)
    }
}

/// Who does what an instance needs: a keeper, or we ourselves.
#[derive(Debug)]
enum Access {
    Own(Mutex<Hands>),
    Kept(Arc<Keeper>),
}

impl Access {
    fn ask(&self, request: &Request) -> io::Result<Answer> {
        match self {
            Access::Own(hands) => hands.lock().unwrap_or_else(PoisonError::into_inner).carry_out(request),
            Access::Kept(keeper) => keeper.ask(request),
        }
    }

    fn keeper(&self) -> Option<&Keeper> {
        match self {
            Access::Own(_) => None,
            Access::Kept(keeper) => Some(keeper),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nobody is left to tell; the keeper tries again.
        let _ = self.remove();
    }
}

/// Raises the limit of open files where `more` would go beyond it: the soft one as far as the hard one allows, and that one too
/// where we have the right to. What needs more than that says so when it is opened.
pub(crate) fn make_room_for_files(more: usize) {
    /// Sockets, pipes, control files, the output.
    const OTHERS: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let needed = more as u64 + OTHERS;
    let at_least = |limit: Option<u64>| limit.map(|limit| limit.max(needed));
    if limit.current.is_some_and(|current| current < needed)
        && setrlimit(Resource::Nofile, Rlimit { current: at_least(limit.current), maximum: at_least(limit.maximum) })
            .is_err()
    {
        let current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    }
}
