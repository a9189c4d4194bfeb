//! The part of each capture that is played, and when it begins and ends on the common clock.

use super::SelectError;
use crate::capture::Capture;
use crate::capture::select::{Select, Selector};
use crate::capture::window::{Point, Span, Window};
use crate::tracefs::EventName;

/// A capture, positioned at the beginning of its selected part.
pub(super) struct Part {
    pub(super) capture: Capture,
    /// `None`: all of it.
    pub(super) selector: Option<Selector>,
    /// Nothing of this one is selected, though something of another one is.
    pub(super) silent: bool,
}

impl Part {
    /// The part of one capture that `select` names, and when it begins and ends.
    ///
    /// # Errors
    /// Nothing is selected of it.
    pub(super) fn alone(mut capture: Capture, select: &Select) -> Result<(Part, Option<Span>), SelectError> {
        let span = played(Span::of(&mut capture)?, select);
        let selector = if select.is_all() { None } else { Some(select.bind(&mut capture)?) };
        Ok((Part { capture, selector, silent: false }, span))
    }
}

/// The captures that are played together.
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    /// When they begin and end, on the common clock.
    pub(super) span: Option<Span>,
}

impl Parts {
    /// The parts of the captures that `select` names; `offsets` are added to their times to get the common clock.
    /// `warn` is told which selections are empty.
    ///
    /// # Errors
    /// Nothing is selected in any of them.
    pub(super) fn of(
        captures: Vec<Capture>,
        offsets: &[u64],
        select: &Select,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Parts, SelectError> {
        let mut captures = captures;
        let mut spans = Vec::with_capacity(captures.len());
        for (capture, offset) in captures.iter_mut().zip(offsets) {
            spans.push(Span::of(capture)?.map(|span| moved(span, *offset)));
        }
        let whole = spans
            .iter()
            .flatten()
            .copied()
            .reduce(|a, b| Span { first: a.first.min(b.first), last: a.last.max(b.last) });
        let (from, until) = select.window.within(whole);
        let span = played(whole, select);
        let alone = captures.len() == 1;
        if !alone {
            filters_fit(&captures, select)?;
        }
        let (mut parts, mut refused) = (Vec::with_capacity(captures.len()), None);
        for (mut capture, own) in captures.into_iter().zip(spans) {
            let bound = match alone {
                true => select.clone(),
                false => Select {
                    window: within(&select.window, own, (from, until)),
                    filters: fitting(&capture, select),
                    ..select.clone()
                },
            };
            let bound = if bound.is_all() { Ok(None) } else { bound.bind(&mut capture).map(Some) };
            let (selector, silent) = match bound {
                Ok(selector) => (selector, false),
                Err(error) if alone => return Err(error),
                // Another machine may have what this one does not.
                Err(error @ SelectError::NoTime { .. }) => {
                    refused.get_or_insert(error);
                    (None, true)
                }
                Err(error @ (SelectError::Events(_) | SelectError::NoCpu(_))) => {
                    warn(&error.to_string());
                    refused.get_or_insert(error);
                    (None, true)
                }
                Err(error) => return Err(error),
            };
            selector.iter().flat_map(Selector::warnings).for_each(|warning| warn(warning));
            parts.push(Part { capture, selector, silent });
        }
        match refused {
            Some(error) if parts.iter().all(|part| part.silent) => Err(error),
            _ => Ok(Parts { parts, span }),
        }
    }

    /// ns, if known.
    pub(super) fn length(&self) -> u64 {
        self.span.map_or(0, |span| span.length())
    }
}

/// The part of a span that is played: given by the window, not by the selected events, so that machines that play
/// different events of one capture stay synchronous.
fn played(whole: Option<Span>, select: &Select) -> Option<Span> {
    let (from, until) = select.window.within(whole);
    whole.map(|whole| Span { first: whole.first.max(from), last: whole.last.min(until) })
}

/// A span on the common clock.
fn moved(span: Span, offset: u64) -> Span {
    Span { first: span.first.wrapping_add(offset), last: span.last.wrapping_add(offset) }
}

/// The window of one capture, whose span on the common clock is `own`, for what is played on that clock.
fn within(asked: &Window, own: Option<Span>, (from, until): (u64, u64)) -> Window {
    let Some(own) = own.filter(|_| !asked.is_all()) else { return Window::default() };
    let point = |time: u64| Some(Point::AfterStart(time.saturating_sub(own.first)));
    match until < own.first {
        // Before its first event: an empty window.
        true => Window { from: point(u64::MAX), until: point(u64::MAX) },
        false => Window { from: point(from), until: point(until) },
    }
}

/// Whether each filter fits an event of at least one capture.
fn filters_fit(captures: &[Capture], select: &Select) -> Result<(), SelectError> {
    let fits =
        |text: &str| captures.iter().any(|capture| fitting(capture, select).iter().any(|fit| fit.text() == text));
    match select.filters.iter().find(|filter| !fits(filter.text())) {
        Some(filter) => Err(SelectError::NoEvent(filter.text().to_owned())),
        None => Ok(()),
    }
}

/// The filters for events of this capture.
fn fitting(capture: &Capture, select: &Select) -> Vec<crate::tracefs::EventFilter> {
    let names: Vec<_> = capture.events.iter().map(|f| EventName::new(f.system.as_str(), f.name.as_str())).collect();
    select.filters.iter().filter(|filter| filter.events().resolve(&names).is_ok()).cloned().collect()
}
