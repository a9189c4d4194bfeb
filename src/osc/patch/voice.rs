//! What of an event is heard as what: decided once for all languages.
//!
//! Pitch follows one number of the event's own (the most telling field by its name), the stereo place follows the CPU,
//! and length and loudness follow the time since the event last occurred: what is rare rings, what is dense becomes grain.
//! Any number becomes a MIDI note as `36 + (5 · log2(1 + |x|) mod 60)`: small numbers lie a few semitones apart, a doubling
//! is five semitones, and no value leaves the range.

use super::super::Schema;

/// The lowest MIDI note of a patch.
pub const LOWEST_NOTE: u32 = 36;
/// How far notes reach above the lowest, in semitones.
pub const NOTE_RANGE: u32 = 60;
/// Semitones for a doubling of the value.
pub const SEMITONES: u32 = 5;

/// Where in the message the numbers lie that make the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    /// The argument that becomes the pitch.
    pub pitch: usize,
    /// `dt`, milliseconds since the event last occurred.
    pub dt: usize,
    /// `cpu`.
    pub cpu: usize,
    /// Timbre: 0 for the first event of the patch, then 1, 2 …; at most 7.
    pub timbre: usize,
}

impl Voice {
    /// The voice of the patch's event number `position`.
    pub fn of(schema: &Schema, position: usize) -> Voice {
        let header = |name: &str| schema.arguments.iter().position(|a| a.name == name).unwrap_or(0);
        let own = header("comm") + 1;
        // The first of the best: `max_by_key` would take the last.
        let best = (own..schema.arguments.len())
            .map(|k| (k, liking(schema, k)))
            .filter(|&(_, liking)| liking > 0)
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let pitch = best.map_or(header("pid"), |(k, _)| k);
        Voice { pitch, dt: header("dt"), cpu: header("cpu"), timbre: position.min(7) }
    }
}

/// Whether an argument with this type tag is a number.
fn is_number(tag: char) -> bool {
    matches!(tag, 'i' | 'f' | 'd' | 'h')
}

/// How telling the argument is as a pitch; 0: not at all.
fn liking(schema: &Schema, k: usize) -> u32 {
    let argument = &schema.arguments[k];
    let name = argument.name.as_str();
    if !is_number(argument.tag) {
        return 0;
    }
    // Always the same for one event, or never meant to be read.
    if matches!(name, "__syscall_nr" | "__probe_ip" | "__probe_func")
        || name.contains("pad")
        || name.contains("reserved")
    {
        return 0;
    }
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    let is = |words: &[&str]| words.contains(&name);
    if is(&["vec", "irq", "bytes_req", "bytes", "len", "length", "count", "size", "ret", "order", "error_code"]) {
        100
    } else if has(&["bytes", "len", "size", "count", "runtime", "delta", "delay", "latency", "duration", "freq"]) {
        90
    } else if name.starts_with("nr_") || name == "nr_sector" {
        80
    } else if is(&["id", "nr", "next_pid"]) {
        70
    } else if has(&["flag", "mask", "mode"]) {
        20
    } else if is(&["dev", "ino", "pfn", "prio", "prev_prio", "next_prio", "ip"])
        || has(&["addr", "ptr", "_ip", "cookie"])
    {
        10
    } else if name.starts_with("prev_") {
        30
    } else {
        40
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::schema, *};

    fn pitch_of(fields: &[(&str, char)]) -> String {
        let schema = schema("sys", "event", fields, false);
        schema.arguments[Voice::of(&schema, 0).pitch].name.clone()
    }

    #[test]
    fn the_pitch_is_the_most_telling_number() {
        assert_eq!(pitch_of(&[("irq", 'i'), ("name", 's')]), "irq");
        assert_eq!(pitch_of(&[("__syscall_nr", 'i'), ("fd", 'i'), ("count", 'd')]), "count");
        assert_eq!(
            pitch_of(&[("prev_comm", 's'), ("prev_pid", 'i'), ("prev_prio", 'i'), ("next_pid", 'i')]),
            "next_pid"
        );
        assert_eq!(pitch_of(&[("bytes_req", 'd'), ("bytes_alloc", 'd'), ("gfp_flags", 'd')]), "bytes_req");
    }

    #[test]
    fn an_event_without_numbers_is_heard_by_its_thread_id() {
        assert_eq!(pitch_of(&[]), "pid");
        assert_eq!(pitch_of(&[("buf", 's'), ("__syscall_nr", 'i')]), "pid");
    }

    #[test]
    fn a_field_called_like_a_header_argument_does_not_displace_it() {
        let schema = schema("sys", "event", &[("cpu", 'i'), ("dt", 'i'), ("comm", 's')], true);
        let voice = Voice::of(&schema, 0);
        assert_eq!((voice.dt, voice.cpu), (1, 2));
    }
}
