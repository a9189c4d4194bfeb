//! An event as three numbers from 0 to 1, every tick: how often it occurs, how densely, and how large it is. For
//! receivers that have parameters rather than voices.
//!
//! | number | meaning |
//! |---|---|
//! | rate | events a second, averaged over about the last quarter of a second, on a logarithmic scale on which 1 is the maximum of that average in the last minute |
//! | density | the share of the ticks in which it occurred, averaged over about the same time |
//! | number | the mean size of the events of the tick; without events, it falls like the others |
//!
//! The numbers of an event that does not occur any more fall to 0, are sent once as 0, and then not until it occurs
//! again.

use byteorder::ByteOrder;

use super::When;
use super::size::{Begun, Size};
use super::telling::Telling;
use crate::format::{EventFormat, EventId};

/// The time constant of the averages, ns.
pub const MEAN_NS: u64 = 250_000_000;
/// Below it, a number is 0.
const FLOOR: f64 = 0.005;
/// Slots that make up the minute for the maximum rate, and the length of one, ns.
const SLOTS: usize = 6;
const SLOT_NS: u64 = 10_000_000_000;
/// Ticks that are processed late after time has jumped; by then all but the most frequent events have fallen to 0.
const MAX_CATCH_UP: u32 = 256;

/// The numbers of an event at the end of a tick, each from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signal {
    /// How often it occurs.
    pub rate: f32,
    /// How densely.
    pub density: f32,
    /// How large it is.
    pub number: f32,
}

/// One event.
struct Source {
    name: String,
    size: Size,
    peak: Peak,
    /// Events of this tick, and the sum of their sizes.
    count: u32,
    sizes: f64,
    /// Events a second.
    rate: f64,
    density: f64,
    number: f64,
    /// Whether it has numbers to send.
    active: bool,
}

/// The maximum rate of the last minute.
#[derive(Default)]
struct Peak {
    slots: [f64; SLOTS],
    /// The number of 10 s since the beginning of time for the slot in use.
    current: u64,
}

/// The signals of all events of a stream.
pub struct Signals {
    tick_ns: u64,
    /// The weight of a new tick in an average.
    weight: f64,
    by_id: Vec<Option<u16>>,
    sources: Vec<Source>,
    begun: Begun,
    /// The end of the current tick; none before the first event.
    end: Option<u64>,
    active: usize,
}

impl Signals {
    /// No events yet; their numbers are sent every `tick_ns`.
    pub fn new(tick_ns: u64) -> Signals {
        let tick_ns = tick_ns.max(1);
        let weight = -(-(tick_ns as f64) / MEAN_NS as f64).exp_m1();
        Signals { tick_ns, weight, by_id: vec![], sources: vec![], begun: Begun::new(), end: None, active: 0 }
    }

    /// Adds an event. Returns its number, as passed by [`tick`](Signals::tick), if it is a new one: they are counted
    /// from 0.
    pub fn add(&mut self, format: &EventFormat) -> Option<u16> {
        let (index, name) = (format.id.index(), format.full_name());
        if self.by_id.len() <= index {
            self.by_id.resize(index + 1, None);
        }
        if let Some(known) = self.sources.iter().position(|source| source.name == name) {
            self.by_id[index] = u16::try_from(known).ok();
            return None;
        }
        let number = u16::try_from(self.sources.len()).ok()?;
        self.by_id[index] = Some(number);
        self.sources.push(Source {
            name,
            size: Size::new(Telling::of(format)),
            peak: Peak::default(),
            count: 0,
            sizes: 0.0,
            rate: 0.0,
            density: 0.0,
            number: 0.0,
            active: false,
        });
        Some(number)
    }

    /// Processes an event. The ticks before it must have been [closed](Signals::tick).
    pub fn event<E: ByteOrder>(&mut self, id: EventId, record: &[u8], when: When) {
        let Some(number) = self.by_id.get(id.index()).copied().flatten() else { return };
        let Some(source) = self.sources.get_mut(usize::from(number)) else { return };
        source.count = source.count.saturating_add(1);
        source.sizes += f64::from(source.size.rank::<E>(record, &when, &mut self.begun));
        self.active += usize::from(!std::mem::replace(&mut source.active, true));
    }

    /// When there is next something to send without an event, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        self.end.filter(|_| self.active > 0)
    }

    /// Closes the ticks that are over at `now_ns`. `each` is called with the number of each event to be sent, the end
    /// of the tick, and its signal.
    pub fn tick(&mut self, now_ns: u64, mut each: impl FnMut(u16, u64, Signal)) {
        let mut end = *self.end.get_or_insert(now_ns.saturating_add(self.tick_ns));
        let mut left = MAX_CATCH_UP;
        while end <= now_ns && self.active > 0 {
            left -= 1;
            self.close(end, left == 0, &mut each);
            end = end.saturating_add(self.tick_ns);
        }
        if end <= now_ns {
            end = end.saturating_add((now_ns - end) / self.tick_ns * self.tick_ns).saturating_add(self.tick_ns);
        }
        self.end = Some(end);
    }

    /// Ends signals that are still on: each is sent as 0.
    pub fn stop(&mut self, each: &mut impl FnMut(u16, u64, Signal)) {
        if let Some(end) = self.end {
            self.close(end, true, each);
        }
    }

    fn close(&mut self, end: u64, last: bool, each: &mut impl FnMut(u16, u64, Signal)) {
        let seconds = self.tick_ns as f64 / 1e9;
        let active = self.sources.iter_mut().zip(0..).filter(|(source, _)| source.active);
        for (source, number) in active {
            source.close(end, seconds, self.weight);
            if last || source.is_over() {
                (source.rate, source.density, source.number, source.active) = (0.0, 0.0, 0.0, false);
                self.active -= 1;
            }
            each(number, end, source.says());
        }
    }
}

impl Source {
    fn close(&mut self, end: u64, seconds: f64, weight: f64) {
        let count = f64::from(self.count);
        self.rate += weight * (count / seconds - self.rate);
        self.density += weight * (count.min(1.0) - self.density);
        self.number = if self.count > 0 { self.sizes / count } else { self.number * (1.0 - weight) };
        self.peak.take(self.rate, end);
        (self.count, self.sizes) = (0, 0.0);
    }

    fn says(&self) -> Signal {
        // 0 / 0 is not a number.
        let rate = if self.rate > 0.0 { self.rate.ln_1p() / self.peak.greatest().ln_1p() } else { 0.0 };
        let [rate, density, number] = [rate, self.density, self.number].map(|number| number.clamp(0.0, 1.0) as f32);
        Signal { rate, density, number }
    }

    fn is_over(&self) -> bool {
        let Signal { rate, density, number } = self.says();
        [rate, density, number].iter().all(|number| f64::from(*number) < FLOOR)
    }
}

impl Peak {
    fn take(&mut self, rate: f64, now_ns: u64) {
        let slot = now_ns / SLOT_NS;
        if slot > self.current {
            for old in 0..(slot - self.current).min(SLOTS as u64) {
                self.slots[((slot - old) % SLOTS as u64) as usize] = 0.0;
            }
            self.current = slot;
        }
        let greatest = &mut self.slots[(self.current % SLOTS as u64) as usize];
        *greatest = greatest.max(rate);
    }

    fn greatest(&self) -> f64 {
        self.slots.iter().copied().fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use byteorder::LittleEndian;

    use super::*;
    use crate::format::LongSize;

    const MS: u64 = 1_000_000;
    const TICK: u64 = 20 * MS;

    fn signals() -> Signals {
        let mut signals = Signals::new(TICK);
        for (id, name) in [(3, "entry"), (4, "raise")] {
            let text = format!(
                "name: {name}\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                 \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
                 \tfield:int vec;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n"
            );
            let format = EventFormat::parse("softirq", &text, LongSize::Eight).unwrap();
            assert_eq!(signals.add(&format), Some(id - 3));
            assert_eq!(signals.add(&format), None, "it is known");
        }
        signals
    }

    /// The signals up to a time.
    fn until(signals: &mut Signals, ms: u64) -> Vec<(u16, u64, Signal)> {
        let mut said = vec![];
        signals.tick(ms * MS, |number, end, signal| said.push((number, end / MS, signal)));
        said
    }

    fn come(signals: &mut Signals, id: u16, ms: u64, vec: i32, count: usize) -> Vec<(u16, u64, Signal)> {
        let said = until(signals, ms);
        let record = [&id.to_le_bytes()[..], &[0; 6], &vec.to_le_bytes()].concat();
        let when = When { event_ns: ms * MS, play_ns: ms * MS, cpu: 0, pid: 1 };
        (0..count).for_each(|_| signals.event::<LittleEndian>(EventId(id), &record, when));
        said
    }

    fn is(signal: Signal, rate: f64, density: f64, number: f64) {
        let Signal { rate: r, density: d, number: n } = signal;
        for (got, want) in [(r, rate), (d, density), (n, number)] {
            assert!((f64::from(got) - want).abs() < 1e-4, "{signal:?}, not {rate} {density} {number}");
        }
    }

    #[test]
    fn the_numbers_are_those_worked_out_by_hand() {
        let mut signals = signals();
        assert!(until(&mut signals, 1000).is_empty() && signals.due().is_none(), "nothing came");
        // The tick from 1000 to 1020 ms has five events of one and the same number.
        assert!(come(&mut signals, 3, 1005, 7, 5).is_empty());
        assert_eq!(signals.due(), Some(1020 * MS));
        assert!(until(&mut signals, 1019).is_empty());
        // 1 - e^(-20/250) = 0.0768837 of the tick's 250 a second is 19.2209, the greatest so far.
        let said = until(&mut signals, 1020);
        assert_eq!((said.len(), said[0].0, said[0].1), (1, 0, 1020));
        is(said[0].2, 1.0, 0.0768837, 0.5);
        // None in the next: 19.2209 * 0.9231163 = 17.7431; ln 18.7431 / ln 20.2209 = 2.93083 / 3.00672.
        let said = until(&mut signals, 1045);
        assert_eq!((said.len(), said[0].1), (1, 1040));
        is(said[0].2, 0.974761, 0.0709726, 0.5 * 0.923_116_3);
        // Ten in the third: 17.7431 * 0.9231163 + 0.0768837 * 500 = 54.8208, the greatest again.
        come(&mut signals, 3, 1050, 7, 10);
        let said = until(&mut signals, 1060);
        is(said[0].2, 1.0, 0.0709726 * 0.923_116_3 + 0.076_883_7, 0.5);
    }

    #[test]
    fn signals_are_sent_every_tick_fall_to_zero_and_stop() {
        let mut signals = signals();
        until(&mut signals, 0);
        let mut said = vec![];
        for tick in 0..100 {
            said.extend(come(&mut signals, 3, tick * 20 + 1, 1, 2));
        }
        said.extend(until(&mut signals, 2000));
        let times: Vec<_> = said.iter().map(|(.., end, _)| *end).collect();
        assert_eq!(times, (1..=100).map(|tick| tick * 20).collect::<Vec<_>>(), "one a tick");
        // 1 - e^(-8): two seconds of events in each tick.
        is(said[99].2, 1.0, 0.999_665, 0.5);
        let rest = until(&mut signals, 60_000);
        let (zeros, falling) = rest.split_last().unwrap();
        assert_eq!(zeros.2, Signal::default());
        assert!(falling.iter().all(|(.., signal)| *signal != Signal::default()));
        assert!(falling.windows(2).all(|two| two[0].2.rate > two[1].2.rate && two[0].2.density > two[1].2.density));
        // ln(1 + r) falls to 0.005 of ln 101 at r = 0.02334, so from 100 after 0.25 ln(100 / 0.02334) = 2.0907 s.
        assert_eq!(zeros.1, 2000 + 2100);
        assert!(until(&mut signals, 61_000).is_empty() && signals.due().is_none());
    }

    #[test]
    fn a_rate_is_relative_to_the_maximum_of_the_last_minute() {
        let mut signals = signals();
        until(&mut signals, 0);
        let mut rate_at_end_of = |from: u64, to: u64, count: usize| {
            let mut last = Signal::default();
            for tick in from / 20..to / 20 {
                come(&mut signals, 3, tick * 20 + 1, 1, count).iter().for_each(|(.., signal)| last = *signal);
            }
            f64::from(last.rate)
        };
        assert!((rate_at_end_of(0, 5000, 20) - 1.0).abs() < 1e-6, "1000 a second, and never more");
        // ln 51 / ln 1001 while the maximum is remembered; later it is forgotten.
        assert!((rate_at_end_of(5000, 50_000, 1) - 3.93183 / 6.90875).abs() < 1e-3);
        assert!(rate_at_end_of(50_000, 72_000, 1) > 0.99);
    }

    #[test]
    fn numbers_calibrate_themselves_and_events_do_not_mix() {
        let mut signals = signals();
        until(&mut signals, 0);
        let mut said = vec![];
        for tick in 0..200u64 {
            said.extend(come(&mut signals, 3, tick * 20 + 1, if tick % 2 == 0 { 1 } else { 1000 }, 1));
            said.extend(come(&mut signals, 4, tick * 20 + 2, 5, 1));
        }
        let last =
            |number: u16, back: usize| said.iter().filter(|(n, ..)| *n == number).rev().nth(back).unwrap().2.number;
        let (low, high) = (last(0, 0).min(last(0, 1)), last(0, 0).max(last(0, 1)));
        assert!(low < 0.05 && high > 0.95, "{low} {high}");
        assert_eq!(last(1, 0), 0.5);
    }

    #[test]
    fn a_jump_of_time_does_not_cause_a_flood_and_the_end_is_zero() {
        let mut signals = Signals::new(MS);
        let text =
            "name: e\nID: 3\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n";
        signals.add(&EventFormat::parse("s", text, LongSize::Eight).unwrap());
        come(&mut signals, 3, 10, 0, 1000);
        let said = until(&mut signals, 86_400_000);
        assert_eq!((said.len(), said[255].2), (256, Signal::default()));
        come(&mut signals, 3, 86_400_001, 0, 1);
        let mut said = vec![];
        signals.stop(&mut |_, _, signal| said.push(signal));
        assert_eq!(said, [Signal::default()]);
        assert!(signals.due().is_none());
    }
}
