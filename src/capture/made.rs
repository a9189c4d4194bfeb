//! Captures in memory, for tests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use byteorder::LittleEndian;

use super::{Capture, CpuRing, origin};
use crate::format::{Endian, EventFormat, LongSize};
use crate::names::Names;
use crate::ring::page::{Page, layout};
use crate::ring::{Feed, Times};

/// Sub-buffers that can be searched, and read several times.
#[derive(Clone)]
pub(super) struct Ring {
    pub(super) pages: Arc<Vec<Vec<u8>>>,
    pub(super) next: u64,
    /// Whether it can be read several times.
    pub(super) twins: bool,
    /// How often its twins can still be positioned.
    pub(super) seeks: Option<Arc<AtomicUsize>>,
    is_twin: bool,
    pub(super) skipped: Option<(u64, String)>,
    /// The number of the sub-buffer that cannot be read, and why.
    pub(super) fails: Option<(u64, &'static str)>,
}

impl Ring {
    pub(super) fn new(pages: Vec<Vec<u8>>) -> Ring {
        Ring { pages: Arc::new(pages), next: 0, twins: true, seeks: None, is_twin: false, skipped: None, fails: None }
    }
}

impl Feed for Ring {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        if let Some((_, why)) = self.fails.filter(|(index, _)| *index == self.next) {
            return Err(io::Error::other(why));
        }
        let next = self.pages.get(self.next as usize);
        self.next += 1;
        Ok(next.map(|next| page.clone_from(next)).is_some())
    }

    fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
        Ok(Some(self.pages.len() as u64))
    }

    fn seek(&mut self, index: u64) -> io::Result<bool> {
        let used_up = |seeks: &Arc<AtomicUsize>| {
            seeks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
        };
        if self.is_twin && self.seeks.as_ref().is_some_and(used_up) {
            return Err(io::Error::other("it cannot be read any more"));
        }
        self.next = index;
        Ok(true)
    }

    fn skipped(&self) -> Option<(u64, String)> {
        self.skipped.clone()
    }

    fn twin(&mut self) -> Option<Box<dyn Feed + Send>> {
        let twin = Ring { next: 0, is_twin: true, ..self.clone() };
        self.twins.then(|| Box::new(twin) as Box<dyn Feed + Send>)
    }
}

/// A sub-buffer of 4 KiB with events of these times and payloads.
pub(super) fn page(records: &[(u64, &[u8])], lost: Option<Option<u64>>) -> Vec<u8> {
    let mut last = records.first().map_or(0, |(time, _)| *time);
    let mut page = Page::<LittleEndian>::new(LongSize::Eight, last);
    for (time, payload) in records {
        let delta = *time - std::mem::replace(&mut last, *time);
        page = page.time_extend(delta >> 27 << 27).data((delta % (1 << 27)) as u32, payload);
    }
    match lost {
        Some(count) => page.lost(count).build(),
        None => page.build(),
    }
}

/// A record of event `id`, by task `pid`.
pub(super) fn record(id: u16, pid: i32, fields: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &[0, 0], &pid.to_le_bytes(), fields].concat()
}

/// An event with these fields of four bytes, one after the other.
pub(super) fn event(id: u16, system: &str, name: &str, fields: &[&str]) -> EventFormat {
    let field =
        |(at, name): (usize, &&str)| format!("\tfield:int {name};\toffset:{};\tsize:4;\tsigned:1;\n", 8 + at * 4);
    event_of(id, system, name, &fields.iter().enumerate().map(field).collect::<String>())
}

/// An event like `sched_switch`, with the fields of the next task: its name, of 16 bytes, and its pid.
pub(super) fn switch(id: u16, system: &str, name: &str) -> EventFormat {
    let fields = "\tfield:char next_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\
                  \tfield:int next_pid;\toffset:24;\tsize:4;\tsigned:1;\n";
    event_of(id, system, name, fields)
}

/// A record of such an event: task `pid` gives way to `next`.
pub(super) fn switch_to(id: u16, pid: i32, (comm, next): (&str, i32)) -> Vec<u8> {
    let mut fields = comm.as_bytes().to_vec();
    fields.resize(16, 0);
    fields.extend(next.to_le_bytes());
    record(id, pid, &fields)
}

/// An event with these lines of fields.
pub(super) fn event_of(id: u16, system: &str, name: &str, fields: &str) -> EventFormat {
    let text = format!(
        "name: {name}\nID: {id}\nformat:\n\
         \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n{fields}\nprint fmt: \"\"\n"
    );
    EventFormat::parse(system, &text, LongSize::Eight).unwrap()
}

pub(super) fn capture(events: Vec<EventFormat>, rings: Vec<(u32, Ring)>) -> Capture {
    Capture {
        header: layout(LongSize::Eight, 4096),
        endian: Endian::Little,
        events,
        broken: vec![],
        clock: "mono".to_owned(),
        times: Times::default(),
        clock_pair: None,
        uname: None,
        origin: origin::Origin::default(),
        problems: vec![],
        rings: rings.into_iter().map(|(cpu, feed)| CpuRing { cpu, feed: Box::new(feed), stats: None }).collect(),
        names: Box::new(|| (Names::default(), vec![])),
    }
}
