//! Commands to a replay: how each changes the pace, the selection and the outputs.

use super::{Player, Speed, Time, is_among, name_of};
use crate::control::{Command, Refused};
use crate::decode::Filter;
use crate::tracefs::{EventName, TracefsError};

impl<T: Time> Player<'_, T> {
    /// Executes a command. It sets `to` to ask for continuing from there.
    pub(super) fn carry_out(&mut self, command: Command, now: u64, to: &mut Option<u64>) -> Result<(), Refused> {
        match command {
            Command::Pause => self.halt(now),
            Command::Resume if self.at_end => *to = Some(0),
            Command::Resume => self.go_on(now),
            Command::Speed(times) => {
                let paused = self.paused;
                self.halt(now);
                if let Speed::Times(speed) = &mut self.pace.speed {
                    *speed = times;
                }
                if !paused {
                    self.go_on(now);
                }
            }
            // Of several, as a slider sends them, the last one counts.
            Command::Seek(seconds) => *to = Some((seconds * 1e9) as u64),
            Command::Loop(repeat) => self.repeat = repeat,
            Command::Rate(rate) => {
                self.voices.iter_mut().for_each(|voice| voice.pipeline.outputs().set_max_rate(rate));
            }
            Command::Switch(switched) => {
                self.switched = switched;
                let silent = &self.switched.silent;
                self.voices.iter_mut().for_each(|voice| voice.pipeline.mute(|format| is_among(silent, format)));
            }
            Command::Filter(events, condition) => {
                self.filter(&events, condition.as_deref())?;
                *to = to.or(Some(self.position(now)));
            }
            Command::Pids(pids) => {
                self.select.pids = pids.into_iter().filter_map(|pid| i32::try_from(pid).ok()).collect();
                *to = to.or(Some(self.position(now)));
            }
            Command::Aggregate(options) => {
                if let Some(options) = &options {
                    let formats = || self.voices.iter().flat_map(|voice| voice.table.iter());
                    options.fields.iter().try_for_each(|field| field.check(formats()))?;
                }
                for voice in &mut self.voices {
                    voice.pipeline.outputs().set_aggregate(options.as_ref());
                    voice.pipeline.add_again(None);
                }
            }
            Command::Names(names) => {
                for voice in &mut self.voices {
                    voice.pipeline.outputs().set_names(names);
                    voice.pipeline.add_again(None);
                }
            }
        }
        Ok(())
    }

    /// Gives events another filter from the next opening of the capture on; it must be valid for each of them.
    fn filter(&mut self, events: &[EventName], condition: Option<&str>) -> Result<(), Refused> {
        let formats: Vec<_> = self.voices.iter().flat_map(|voice| voice.table.iter()).collect();
        let mut names: Vec<_> = formats.iter().map(|format| name_of(format)).collect();
        names.sort();
        names.dedup();
        if let Some(condition) = condition {
            let condition = Filter::parse(condition)?;
            for format in formats.iter().filter(|format| events.contains(&name_of(format))) {
                condition.compile(format)?;
            }
        }
        // A filter of the options may apply to many events: the others keep it.
        let mut filters = Vec::new();
        for filter in &self.select.filters {
            let others = filter.events().resolve(&names).map(|selected| selected.events).unwrap_or_default();
            let others = others.iter().filter(|event| !events.contains(event));
            filters.extend(others.map(|event| format!("{event}={}", filter.condition())));
        }
        filters.extend(events.iter().zip(condition.into_iter().cycle()).map(|(event, text)| format!("{event}={text}")));
        self.select.filters = filters.iter().map(|filter| filter.parse()).collect::<Result<_, TracefsError>>()?;
        Ok(())
    }

    /// The position, ns since the beginning of the part.
    fn position(&self, now: u64) -> u64 {
        match self.pace.speed {
            Speed::Times(_) if self.paused => self.pace.from,
            Speed::Times(_) => self.pace.position(now),
            Speed::Max => self.at,
        }
    }
}
