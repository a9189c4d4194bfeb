//! A `trace.dat` as a [`Capture`], like a capture folder.

use std::thread;

use super::metadata::EventText;
use super::{Buffer, BufferData, DatError, Part, Problem, TraceDat};
use crate::{
    capture::{Capture, CpuRing, counts_ticks, origin::Origin},
    format::{EventFormat, FieldLines, HeaderPage},
    names::{Enums, Kallsyms, Names, NamesError, PrintkFormats, SavedCmdlines, hz},
};

/// The clock of a recording that does not state one: the kernel's default.
const DEFAULT_CLOCK: &str = "local";

impl TraceDat {
    /// The capture in this file: one buffer by name (`""` is the top-level one), or all buffers as one.
    ///
    /// Buffers can differ in sub-buffer size and clock. The layout is that of the largest sub-buffers, which fits
    /// smaller ones as well; buffers whose clock differs from the first one's are left out, since their times cannot
    /// be compared.
    pub fn capture(&self, name: Option<&str>) -> Result<Capture, DatError> {
        let failed = |part, problem| DatError { offset: 0, part, problem };
        let layout = HeaderPage::parse(&self.metadata.header_page);
        let layout = layout.map_err(|error| failed(Part::HeaderPage, error.into()))?;
        let buffers = self.chosen(name)?;
        let first = buffers.first().ok_or_else(|| failed(Part::Buffer, Problem::Missing))?;
        let clock = first.clock.clone().or_else(|| Some(self.options.clock()?.to_string()));
        let clock = clock.unwrap_or(DEFAULT_CLOCK.to_owned());
        let size = buffers.iter().map(|buffer| buffer.sub_buffer_size).max().unwrap_or_default();
        let header = layout.with_sub_buffer_size(size).map_err(|error| failed(Part::HeaderPage, error.into()))?;
        let mut rings = Vec::new();
        for buffer in &buffers {
            let stats = self.cpu_stats(buffer);
            for (cpu, feed) in self.feeds(buffer) {
                let stats = stats.iter().find(|(other, _)| *other == cpu).map(|(_, text)| (*text).to_owned());
                rings.push(CpuRing { cpu, feed: Box::new(feed), stats });
            }
        }
        let (events, broken) = self.events(&header);
        let times = self.options.times();
        // A clock that counts ticks has no time of day.
        let clock_pair = self.options.wall_clock().filter(|_| !counts_ticks(&clock, &times));
        let names = Box::new(self.load_names());
        let endian = self.endian;
        let problems = self.problems.iter().map(|problem| problem.to_string()).collect();
        let uname = self.options.uname.clone();
        let origin = Origin {
            host: uname.as_deref().and_then(Origin::host_of),
            trace_id: self.options.trace_id,
            peer: self.options.time_shifts.last().map(|shift| shift.peer),
            guests: self.options.guests.iter().map(|guest| (guest.trace_id, guest.name.clone())).collect(),
        };
        Ok(Capture { header, endian, events, broken, clock, times, clock_pair, uname, origin, problems, rings, names })
    }

    /// Loads the names in the file when called, since kallsyms is long. The file has no enum constants except the one
    /// that its formats state.
    fn load_names(&self) -> impl Fn() -> (Names, Vec<NamesError>) + Send + use<> {
        let (printk_formats, comms) = (self.metadata.printk_formats.clone(), self.metadata.saved_cmdlines.clone());
        let kallsyms = self.kallsyms_reader();
        let mut enums = Enums::default();
        enums.set_hz(self.metadata.formats.iter().find_map(|format| hz::told_by(&format.text)));
        move || {
            let kallsyms = kallsyms();
            let errors = kallsyms.as_ref().err().map(|error| {
                let source = std::io::Error::other(error.to_string());
                NamesError::Read { name: "kallsyms".to_owned(), source }
            });
            let names = Names {
                kallsyms: kallsyms.map(Kallsyms::parse_later).unwrap_or_default().into(),
                printk_formats: PrintkFormats::parse(&printk_formats),
                comms: SavedCmdlines::parse(&comms),
                enums: enums.clone(),
                ..Names::default()
            };
            (names, errors.into_iter().collect())
        }
    }

    /// The buffers for a capture of `name`, all with one clock.
    fn chosen(&self, name: Option<&str>) -> Result<Vec<&Buffer>, DatError> {
        let failed = |problem| DatError { offset: 0, part: Part::Buffer, problem };
        let named = |buffer: &&Buffer| name.is_none_or(|name| buffer.name == name);
        let mut chosen: Vec<&Buffer> = self.buffers.iter().filter(named).collect();
        if let (Some(name), true) = (name, chosen.is_empty()) {
            let known: Vec<_> = self.buffers.iter().map(|buffer| format!("{:?}", buffer.name)).collect();
            return Err(failed(Problem::NoBuffer { name: name.to_owned(), known: known.join(", ") }));
        }
        let any = !chosen.is_empty();
        chosen.retain(|buffer| matches!(buffer.data, BufferData::Cpus(_)));
        if any && chosen.is_empty() {
            return Err(failed(Problem::TextOnly));
        }
        let clock = chosen.first().and_then(|first| first.clock.clone());
        chosen.retain(|buffer| buffer.clock == clock);
        Ok(chosen)
    }

    /// The formats by id, and those that could not be parsed.
    fn events(&self, header: &HeaderPage) -> (Vec<EventFormat>, Vec<(String, crate::format::FormatError)>) {
        let (mut events, mut broken) = (Vec::new(), Vec::new());
        let parse = |formats: &[EventText]| {
            let mut known = Some(FieldLines::new());
            let parsed = formats
                .iter()
                .map(|format| EventFormat::parse_one_of(&format.system, &format.text, header.long_size(), &mut known));
            parsed.collect()
        };
        for (format, parsed) in self.metadata.formats.iter().zip(on_all_processors(&self.metadata.formats, parse)) {
            match parsed {
                Ok(event) => events.push(event),
                Err(error) => {
                    let name = format.text.lines().next().unwrap_or_default();
                    let name = name.strip_prefix("name: ").unwrap_or(name);
                    broken.push((format!("{}:{}", format.system, name.chars().take(64).collect::<String>()), error));
                }
            }
        }
        events.sort_by_key(|event| event.id);
        (events, broken)
    }
}

/// Items that are worth a thread: to parse an event's format takes some 6 µs, to begin a thread some 50.
const WORTH_A_THREAD: usize = 100;

/// Applies `all` to parts of the items, in as many threads as there are processors, and returns the results in the items' order.
fn on_all_processors<T: Sync, R: Send>(items: &[T], all: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len() / WORTH_A_THREAD).max(1);
    let (first, rest) = items.split_at(items.len().div_ceil(threads).min(items.len()));
    let all = &all;
    thread::scope(|scope| {
        let begin = |items| (items, thread::Builder::new().spawn_scoped(scope, move || all(items)));
        let others: Vec<_> = rest.chunks(first.len().max(1)).map(begin).collect();
        let mut made = all(first);
        for (items, other) in others {
            // Where no thread could be begun, this one does its work.
            made.extend(other.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| all(items)));
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::super::write::tests::{description, pages};
    use super::super::{BufferOut, Open, write};
    use super::*;
    use crate::format::Endian;

    #[test]
    fn a_capture_is_one_buffer_or_all_that_have_the_clock_of_the_first() {
        let text = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n";
        let mut description = description(Endian::Little);
        description.metadata.formats = [text, "name: broken\nnothing"]
            .map(|text| EventText { system: "s".to_owned(), text: text.to_owned() })
            .into();
        description.options.trace_clock = Some("[local] mono".to_owned());
        description.options.date = Some("0x10".to_owned());
        description.options.cpustat = ["CPU: 0\nentries: 7\n", "CPU: 1\nentries: 8\n"].map(str::to_owned).into();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dat");
        let buffer = |name: &str, clock: Option<&str>| BufferOut {
            name: name.to_owned(),
            clock: clock.map(str::to_owned),
            cpus: vec![(1, pages([(b'a', 4096)]))],
        };
        let buffers = vec![buffer("", None), buffer("one", None), buffer("two", Some("mono"))];
        write(&path, &description, buffers, &mut |_| {}).unwrap();
        let dat = TraceDat::open(&path, Open::default()).unwrap();
        let cpus = |capture: &Capture| capture.rings.iter().map(|ring| ring.cpu).collect::<Vec<_>>();
        let all = dat.capture(None).unwrap();
        // The third counts by another clock.
        assert_eq!((cpus(&all), &*all.clock), (vec![0, 1, 0, 1], "local"));
        assert!(all.rings[0].stats.as_ref().is_some_and(|stats| stats.contains("entries: 7")));
        assert!(all.rings[1].stats.as_ref().is_some_and(|stats| stats.contains("entries: 8")));
        assert_eq!(all.clock_pair.unwrap().realtime_ns, 16_000);
        assert_eq!(all.events.iter().map(EventFormat::full_name).collect::<Vec<_>>(), ["s:e"]);
        assert_eq!(all.broken.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["s:broken"]);
        let two = dat.capture(Some("two")).unwrap();
        assert_eq!((cpus(&two), &*two.clock), (vec![0, 1], "mono"));
        let error = dat.capture(Some("three")).map(drop).unwrap_err();
        assert!(matches!(error.problem, Problem::NoBuffer { .. }), "{error}");
        // Of a latency tracer's text there are no events; of a file without buffers, nothing.
        let mut dat = dat;
        dat.buffers.truncate(1);
        let BufferData::Cpus(cpus) = dat.buffers[0].data.clone() else { panic!("a text") };
        dat.buffers[0].data = BufferData::Text(cpus[0].clone());
        let error = dat.capture(None).map(drop).unwrap_err();
        assert!(matches!(error.problem, Problem::TextOnly), "{error}");
        dat.buffers.clear();
        let error = dat.capture(None).map(drop).unwrap_err();
        assert!(matches!(error.problem, Problem::Missing), "{error}");
    }
}
