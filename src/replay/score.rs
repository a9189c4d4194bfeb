//! The hits of a capture, without waiting for them: from these, `render` makes a sound file.

use super::{JumpingTime, Observer, PlayOptions, Played, ReplayError, Speed, Time, play};
use crate::capture::select::Select;
use crate::capture::{Capture, CaptureError};
use crate::output::{Hits, Outputs};
use crate::sound::{MapperOptions, Score};

/// The score of the selected part of `capture`, at the speed of `options`. `again` opens it once more.
///
/// # Errors
/// As [`play`].
pub fn score(
    capture: Capture,
    again: &mut dyn FnMut() -> Result<Capture, CaptureError>,
    select: Select,
    options: MapperOptions,
    observer: &mut dyn Observer,
) -> Result<(Played, Score), ReplayError> {
    let speed = Speed::Times(options.speed);
    let mut outputs = Outputs::default();
    outputs.hits = Some(Hits::new(options, "/ftrace").keep());
    let options = PlayOptions { speed, select, start_at: None, repeat: false, host: String::new() };
    let mut time = JumpingTime::default();
    let began = time.now();
    let (played, mut outputs) = play(capture, again, outputs, &options, &mut time, observer)?;
    let hits = outputs.hits.take().map(Hits::into_kept).unwrap_or_default();
    Ok((played, Score::new(hits, began, time.now())))
}
