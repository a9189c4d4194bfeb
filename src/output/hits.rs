//! Hits: each event goes through the [`Mapper`], and its hits go to every typed stream, or are kept.

use std::sync::Arc;

use byteorder::ByteOrder;

use super::{Event, Lines, Mapped, Midi};
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::about;
use crate::osc::hit::{HitMessage, NAMES};
use crate::osc::stream::Stream;
use crate::ring::Lost;
use crate::sound::{Hit, Mapper, MapperOptions, When};

/// Time between two announcements of the address, ns.
const ANNOUNCED_NS: u64 = 10_000_000_000;

/// Where hits go: streams and lines with hits, a map, and MIDI.
pub(super) type To<'a> = (&'a mut [Stream], Option<&'a mut Lines>, Option<&'a mut Mapped>, Option<&'a mut Midi>);

/// The streams with hits.
fn hearing(streams: &mut [Stream]) -> impl Iterator<Item = &mut Stream> {
    streams.iter_mut().filter(|stream| stream.has_hits())
}

/// Makes hits from events.
pub struct Hits {
    mapper: Mapper,
    message: HitMessage,
    prefix: String,
    /// The hits, if they are kept instead of sent.
    kept: Option<Vec<Hit>>,
    /// When the address was last announced, ns since 1970; `None` before the start.
    announced: Option<u64>,
}

impl Hits {
    /// Makes hits with these options, sent with `prefix`.
    pub fn new(options: MapperOptions, prefix: &str) -> Hits {
        let (mapper, message) = (Mapper::new(options), HitMessage::new(prefix));
        Hits { mapper, message, prefix: prefix.to_owned(), kept: None, announced: None }
    }

    /// Sets the speed of playback relative to the kernel's time: slower playback makes grains longer.
    pub fn set_speed(&mut self, speed: f64) {
        self.mapper.set_speed(speed);
    }

    /// Keeps the hits instead of sending them.
    pub fn keep(mut self) -> Hits {
        self.kept = Some(vec![]);
        self
    }

    /// The hits that were kept, in order.
    pub fn into_kept(self) -> Vec<Hit> {
        self.kept.unwrap_or_default()
    }

    pub(super) fn add(&mut self, format: &Arc<EventFormat>, _kernel: &Kernel) {
        self.mapper.add(format);
    }

    #[inline(never)]
    pub(super) fn event<E: ByteOrder>(&mut self, event: Event<'_>, to: To<'_>) {
        let moment = &event.moment;
        let (event_ns, play_ns) = (moment.event_ns, moment.play_ns);
        let when = When { event_ns, play_ns, cpu: moment.cpu, pid: moment.pid };
        if event.record.lost != Lost::Nothing {
            self.mapper.lost(event.id, when);
        }
        self.mapper.event::<E>(event.id, event.record.bytes, when);
        self.pass_on(to);
    }

    fn pass_on(&mut self, (streams, lines, mut mapped, mut midi): To<'_>) {
        if self.mapper.is_silent() {
            return;
        }
        let Hits { mapper, message, kept, .. } = self;
        let mut lines = lines.filter(|lines| lines.has_hits());
        mapper.take(|hit, name| match kept {
            Some(kept) => kept.push(*hit),
            None => {
                if let Some(midi) = &mut midi {
                    midi.hit(hit);
                }
                if let Some(mapped) = &mut mapped {
                    mapped.hit(hit, name);
                }
                if let Ok(bytes) = message.encode(hit, name) {
                    if let Some(lines) = &mut lines {
                        lines.message(bytes, &NAMES, hit.time_ns);
                    }
                    hearing(streams).for_each(|stream| stream.message(bytes, hit.time_ns));
                }
            }
        });
    }

    pub(super) fn start(&mut self, cpus: usize, now: u64, streams: &mut [Stream]) {
        self.mapper.set_cpus(u32::try_from(cpus).unwrap_or(u32::MAX));
        self.announced = Some(0);
        self.announce(now, streams);
    }

    pub(super) fn announce(&mut self, now: u64, streams: &mut [Stream]) {
        if self.announced.is_some_and(|last| now.saturating_sub(last) >= ANNOUNCED_NS) {
            self.announced = Some(now);
            let schema = about::schema(&self.prefix, &self.message.schema());
            hearing(streams).for_each(|stream| stream.about_at(schema.clone(), now));
        }
    }

    pub(super) fn due(&self) -> Option<u64> {
        self.mapper.due()
    }

    pub(super) fn tick(&mut self, now: u64, to: To<'_>) {
        self.mapper.tick(now);
        self.pass_on(to);
    }

    /// Ends sounds that are still on.
    pub(super) fn stop(&mut self, to: To<'_>) {
        if let Some(end) = self.mapper.now() {
            self.mapper.stop(end);
            self.pass_on(to);
        }
    }
}
