//! Messages about the stream itself: start, schema, stat, stop.
//!
//! They are rare, so they are encoded by rosc.

use rosc::{OscMessage, OscType};

use super::plan::SCHEMA_VERSION;
use super::schema::Schema;
use super::timetag;
use super::types::Types;

/// `/ftrace/start`: host, CPUs, schema version, time. Sent once.
pub fn start(prefix: &str, types: Types, host: &str, cpus: usize, unix_ns: u64) -> OscMessage {
    let mut args = vec![
        OscType::String(super::osc_string::repaired(host.as_bytes(), 64)),
        OscType::Int(cpus as i32),
        OscType::Int(SCHEMA_VERSION),
    ];
    match types {
        Types::Portable => {
            args.push(OscType::Int((unix_ns / 1_000_000_000) as i32));
            args.push(OscType::Int((unix_ns % 1_000_000_000 / 1000) as i32));
        }
        Types::Full | Types::Double => args.push(OscType::Time(timetag::osc_time(unix_ns))),
    }
    message(prefix, "start", args)
}

/// `/ftrace/schema`: an address, its type tags, its argument names.
pub fn schema(prefix: &str, schema: &Schema) -> OscMessage {
    let names: Vec<_> = schema.arguments.iter().map(|a| a.name.as_str()).collect();
    let args = [schema.address.clone(), schema.tags.clone(), names.join(" ")];
    message(prefix, "schema", args.into_iter().map(OscType::String).collect())
}

/// The numbers of `/ftrace/stat`, for the time since the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stat {
    /// Events read from the ring.
    pub read: u64,
    /// Messages sent to this receiver.
    pub sent: u64,
    /// Events left out because of the rate cap.
    pub thinned: u64,
    /// Events the kernel lost: overwritten or dropped.
    pub kernel_lost: u64,
    /// Records that do not match their format.
    pub malformed: u64,
    /// Datagrams dropped because the receiver's socket was full, if known.
    pub receiver_drops: u64,
    /// Length of the window, s.
    pub window_s: f32,
}

/// `/ftrace/stat`.
pub fn stat(prefix: &str, stat: &Stat) -> OscMessage {
    let counts = [stat.read, stat.sent, stat.thinned, stat.kernel_lost, stat.malformed, stat.receiver_drops];
    let mut args: Vec<_> = counts.iter().map(|&n| OscType::Int(i32::try_from(n).unwrap_or(i32::MAX))).collect();
    args.push(OscType::Float(stat.window_s));
    message(prefix, "stat", args)
}

/// `/ftrace/stop`.
pub fn stop(prefix: &str) -> OscMessage {
    message(prefix, "stop", vec![])
}

fn message(prefix: &str, name: &str, args: Vec<OscType>) -> OscMessage {
    OscMessage { addr: format!("{prefix}/{name}"), args }
}
