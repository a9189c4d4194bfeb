//! Receives in the test's own process what a live `ftrace-live` sends.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ftrace_live::tracefs::Tracefs;
use rosc::{OscPacket, OscType, decoder};

/// The running kernel's tracefs, if a test may create trace instances in it; otherwise says why the test is skipped.
pub fn tracefs() -> Option<Tracefs> {
    match Tracefs::find() {
        Ok(tracefs) if tracefs.root().join("instances").is_dir() && rustix::process::geteuid().is_root() => {
            return Some(tracefs);
        }
        Ok(_) => crate::common::skipped::say(format_args!("making trace instances needs root")),
        Err(error) => crate::common::skipped::say(format_args!("{error}")),
    }
    None
}

/// Whether this test may create trace instances; if not, says that it is skipped.
pub fn may_trace() -> bool {
    tracefs().is_some()
}

/// A message.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its address.
    pub address: String,
    /// Its arguments.
    pub arguments: Vec<OscType>,
}

impl Heard {
    /// An integer argument.
    pub fn int(&self, index: usize) -> i64 {
        match self.arguments.get(index) {
            Some(OscType::Int(value)) => i64::from(*value),
            Some(OscType::Long(value)) => *value,
            other => panic!("argument {index} of {} is {other:?}", self.address),
        }
    }
}

/// Receives every message at its port.
pub struct Listener {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Heard>>,
}

impl Listener {
    /// Starts listening, with as large a socket buffer as root may have.
    pub fn start() -> Listener {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        make_room(&socket);
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut heard = vec![];
            let mut datagram = vec![0; 1 << 16];
            loop {
                match socket.recv(&mut datagram) {
                    Ok(len) => take(&decoder::decode_udp(&datagram[..len]).unwrap().1, &mut heard),
                    Err(_) if asked.load(Ordering::Relaxed) => return heard,
                    Err(_) => {}
                }
            }
        });
        Listener { port, stop, thread }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends, and returns what was received.
    pub fn stop(self) -> Vec<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A receive buffer of 64 MiB, beyond `net.core.rmem_max`; without root, as much as everybody may have.
fn make_room(socket: &UdpSocket) {
    const BYTES: usize = 64 << 20;
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, BYTES).is_err() {
        rustix::net::sockopt::set_socket_recv_buffer_size(socket, BYTES).unwrap();
    }
}

fn take(packet: &OscPacket, heard: &mut Vec<Heard>) {
    match packet {
        OscPacket::Message(message) => {
            heard.push(Heard { address: message.addr.clone(), arguments: message.args.clone() });
        }
        OscPacket::Bundle(bundle) => bundle.content.iter().for_each(|packet| take(packet, heard)),
    }
}

/// The place of a function of this test for `uprobe_events`: `/path/of/the/test:0x1a040`.
pub fn place_of(function: *const ()) -> Option<String> {
    let address = function as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    // `55d0-55f0 r-xp 0001a000 fd:00 1234   /path/of/the/test`
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let hex = |word| usize::from_str_radix(word, 16).ok();
        let (start, end, offset) = (hex(start)?, hex(end)?, hex(words.nth(1)?)?);
        let path = words.nth(2)?;
        (start..end).contains(&address).then(|| format!("{path}:{:#x}", address - start + offset))
    })
}
