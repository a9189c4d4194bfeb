//! Encodes the header of a version 6 file: everything before the ring data.

use super::{Description, Guest, MAGIC, Metadata, Options, TimeShift, Tsc2Nsec, options::id};
use crate::{format::Endian, tracefs::TraceClock};

/// A version 6 header as bytes.
pub(in crate::capture) struct Header {
    pub(in crate::capture) bytes: Vec<u8>,
    /// The offset of the (offset, size) pairs of the top-level buffer.
    pub(in crate::capture) table: u64,
    /// The offset of each instance's table offset.
    pub(super) instances: Vec<u64>,
}

/// The word before a table of CPU data.
const FLYRECORD: &[u8] = b"flyrecord\0";

/// Appends numbers in the byte order of the traced machine.
pub(in crate::capture) struct Encoder {
    pub(in crate::capture) bytes: Vec<u8>,
    endian: Endian,
}

impl Encoder {
    pub(in crate::capture) fn new(endian: Endian) -> Encoder {
        Encoder { bytes: Vec::new(), endian }
    }

    fn u16(&mut self, value: u16) {
        let bytes = if self.endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn u32(&mut self, value: u32) {
        let bytes = if self.endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    pub(in crate::capture) fn u64(&mut self, value: u64) {
        let bytes = if self.endian == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    /// Appends a count; one that does not fit into its four bytes cannot be written.
    fn count(&mut self, count: usize) -> Result<(), TooLong> {
        self.u32(u32::try_from(count).map_err(|_| TooLong)?);
        Ok(())
    }

    /// Appends eight bytes of length, then the text.
    fn long_text(&mut self, text: &[u8]) {
        self.u64(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }

    fn option(&mut self, number: u16, body: &[u8]) -> Result<(), TooLong> {
        self.u16(number);
        self.count(body.len())?;
        self.bytes.extend_from_slice(body);
        Ok(())
    }

    /// Appends an option that is a NUL-terminated text.
    fn text_option(&mut self, number: u16, text: &str) -> Result<(), TooLong> {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        self.option(number, &body)
    }

    /// Appends the table of a buffer's CPUs: (offset, size) of each, then the clock. Returns the offset of the first
    /// pair.
    ///
    /// The clock is there if the options have TRACECLOCK, which is when readers expect it.
    pub(super) fn table(&mut self, cpus: &[(u64, u64)], clock: Option<&str>) -> u64 {
        self.bytes.extend_from_slice(FLYRECORD);
        let table = self.bytes.len() as u64;
        for &(offset, size) in cpus {
            self.u64(offset);
            self.u64(size);
        }
        if let Some(clock) = clock {
            self.long_text(format!("[{clock}]").as_bytes());
        }
        table
    }
}

/// A text is longer than the format can express.
#[derive(Debug, thiserror::Error)]
#[error("longer than a trace.dat can hold")]
pub(in crate::capture) struct TooLong;

impl Description {
    /// The header of a file with these `cpus` in its top-level buffer and with these `instances`.
    pub(in crate::capture) fn encode(&self, cpus: &[(u64, u64)], instances: &[&str]) -> Result<Header, TooLong> {
        let mut out = Encoder::new(self.endian);
        out.bytes.extend_from_slice(&MAGIC);
        out.bytes.extend_from_slice(b"6\0");
        out.bytes.push(u8::from(self.endian == Endian::Big));
        out.bytes.push(self.user_long_size.bytes() as u8);
        out.u32(self.sub_buffer_size);

        out.bytes.extend_from_slice(b"header_page\0");
        out.long_text(self.metadata.header_page.as_bytes());
        out.bytes.extend_from_slice(b"header_event\0");
        out.long_text(self.metadata.header_event.as_bytes());

        let systems = self.metadata.by_system();
        let (ftrace, others): (Vec<_>, Vec<_>) = systems.into_iter().partition(|(system, _)| *system == "ftrace");
        out.count(ftrace.iter().map(|(_, texts)| texts.len()).sum())?;
        ftrace.iter().flat_map(|(_, texts)| texts).for_each(|text| out.long_text(text.as_bytes()));
        out.count(others.len())?;
        for (system, texts) in others {
            out.bytes.extend(system.bytes().filter(|&b| b != 0));
            out.bytes.push(0);
            out.count(texts.len())?;
            texts.iter().for_each(|text| out.long_text(text.as_bytes()));
        }

        out.count(self.kallsyms.len())?;
        out.bytes.extend_from_slice(&self.kallsyms);
        out.count(self.metadata.printk_formats.len())?;
        out.bytes.extend_from_slice(&self.metadata.printk_formats);
        out.long_text(&self.metadata.saved_cmdlines);
        out.count(cpus.len())?;

        out.bytes.extend_from_slice(b"options  \0");
        self.options.encode(&mut out)?;
        let mut pointers = Vec::new();
        for name in instances {
            let mut body = vec![0; 8];
            body.extend(name.bytes().filter(|&b| b != 0));
            body.push(0);
            out.option(id::BUFFER, &body)?;
            pointers.push((out.bytes.len() - body.len()) as u64);
        }
        out.u16(id::DONE);

        let clock = self.options.clock();
        let clock = self.options.trace_clock.is_some().then(|| clock.as_ref().map_or("local", TraceClock::name));
        let table = out.table(cpus, clock);
        Ok(Header { bytes: out.bytes, table, instances: pointers })
    }

    /// The alignment of each CPU's data: the sub-buffer size, since readers need whole ones; and 64 KiB if the size
    /// divides that, so that a reader can map the data with any page size.
    pub(in crate::capture) fn alignment(&self) -> u64 {
        const LARGEST_PAGE: u64 = 64 << 10;
        let size = u64::from(self.sub_buffer_size).max(1);
        if LARGEST_PAGE.is_multiple_of(size) { LARGEST_PAGE } else { size }
    }
}

impl Metadata {
    /// The formats by system, in the order of the systems' first appearance.
    pub fn by_system(&self) -> Vec<(&str, Vec<&str>)> {
        let mut systems: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut index = std::collections::HashMap::new();
        for format in &self.formats {
            let at = *index.entry(format.system.as_str()).or_insert_with(|| {
                systems.push((format.system.as_str(), Vec::new()));
                systems.len() - 1
            });
            if let Some((_, texts)) = systems.get_mut(at) {
                texts.push(&format.text);
            }
        }
        systems
    }
}

impl Options {
    /// Long: one option after the other, each in its own form.
    fn encode(&self, out: &mut Encoder) -> Result<(), TooLong> {
        let texts = [
            (id::DATE, &self.date),
            (id::TRACECLOCK, &self.trace_clock),
            (id::UNAME, &self.uname),
            (id::OFFSET, &self.offset),
            (id::VERSION, &self.version),
        ];
        for (number, text) in texts {
            if let Some(text) = text {
                out.text_option(number, text)?;
            }
        }
        if let Some(trace_id) = self.trace_id {
            let mut body = Encoder::new(out.endian);
            body.u64(trace_id);
            out.option(id::TRACEID, &body.bytes)?;
        }
        for (number, texts) in [(id::CPUSTAT, &self.cpustat), (id::HOOK, &self.hooks), (id::PROCMAPS, &self.procmaps)] {
            for text in texts {
                out.text_option(number, text)?;
            }
        }
        if let Some(count) = self.cpu_count {
            let mut body = Encoder::new(out.endian);
            body.u32(count);
            out.option(id::CPUCOUNT, &body.bytes)?;
        }
        if let Some(Tsc2Nsec { multiplier, shift, offset }) = self.tsc2nsec {
            let mut body = Encoder::new(out.endian);
            body.u32(multiplier);
            body.u32(shift);
            body.u64(offset);
            out.option(id::TSC2NSEC, &body.bytes)?;
        }
        for TimeShift { peer, flags, cpus } in &self.time_shifts {
            let mut body = Encoder::new(out.endian);
            body.u64(*peer);
            body.u32(*flags);
            body.count(cpus.len())?;
            for samples in cpus {
                body.count(samples.len())?;
                samples.iter().for_each(|sample| body.u64(sample.time));
                samples.iter().for_each(|sample| body.u64(sample.offset.cast_unsigned()));
                samples.iter().for_each(|sample| body.u64(sample.scaling));
            }
            cpus.iter().flatten().for_each(|sample| body.u64(sample.fraction));
            out.option(id::TIME_SHIFT, &body.bytes)?;
        }
        for Guest { name, trace_id, cpus } in &self.guests {
            let mut body = Encoder::new(out.endian);
            body.bytes.extend(name.bytes().filter(|&b| b != 0));
            body.bytes.push(0);
            body.u64(*trace_id);
            body.count(cpus.len())?;
            for &(cpu, pid) in cpus {
                body.u32(cpu);
                body.u32(pid);
            }
            out.option(id::GUEST, &body.bytes)?;
        }
        Ok(())
    }
}
