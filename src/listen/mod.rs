//! `listen`: prints the OSC messages that arrive, decoded with the schemas it receives.
//!
//! A receiver to compare with one's own patch: if `listen` prints a message, it arrived. It prints one line a message
//! ([`print`](crate::osc::print)), or a live table of rates; malformed packets are counted and described, never
//! fatal.

mod heard;

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    net::SocketAddr,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::UdpSocket};
use signal_hook::consts::{SIGINT, SIGTERM};
use socket2::{Domain, Protocol, Socket, Type};

use terminal_size::terminal_size;

use crate::escape::{Escaped, escape_json};
use crate::follow;

pub use heard::{Heard, Rate};

use crate::terminal::{Verbosity, say_text, says};

/// The receive buffer requested, bytes. The kernel grants at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The largest UDP datagram, bytes.
const LARGEST_DATAGRAM: usize = 65_535;

/// How often the table of rates is printed.
const TABLE_EVERY: Duration = Duration::from_secs(1);

/// The options of `listen`.
#[derive(Debug)]
pub struct ListenOptions {
    /// Print a table of rates instead of the messages.
    pub rates: bool,
    /// Write the messages to this file instead of standard output.
    pub write: Option<File>,
    /// Exit after this many messages.
    pub count: Option<u64>,
    /// Print JSON: an object for each message, or for each table of rates.
    pub json: bool,
}

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program uses the port.
    #[error("another program already listens on {0}: give another port, or end that program (ss -lup shows it)")]
    Taken(SocketAddr),
    /// The socket could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
    /// Receiving or printing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Listens until Ctrl-C (or `count` messages), then prints a summary to standard error.
pub fn run(mut socket: UdpSocket, mut options: ListenOptions) -> Result<(), ListenError> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let mut out = Output::new(options.write.take(), options.rates);
    let address = socket.local_addr()?;
    if says(Verbosity::Usual) {
        say_text(format_args!("listening on {address}; Ctrl-C ends\n"));
    }

    let began = Instant::now();
    let mut heard = Heard::new().as_json(options.json);
    let end = listen(&mut socket, &mut heard, &mut out, &options, &ended);
    match end {
        // The reader of our output closed the pipe: `listen | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        end => end?,
    }
    let written = match out.lines.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    };
    let drops = drops(address);
    say_text(heard.summary(began.elapsed(), drops));
    written
}

/// Opens a socket that listens at `address`, with as large a buffer as the kernel grants.
///
/// # Errors
/// Another program uses the port, or the address is not one of ours.
pub fn open(address: SocketAddr) -> Result<UdpSocket, ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        // A smaller buffer than requested is acceptable.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::from_std(socket.into()))
    };
    bind().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Bind { address, source },
    })
}

/// The destination of lines and tables.
struct Output {
    lines: Box<dyn Write>,
    /// Whether messages are printed.
    messages: bool,
    /// Whether the table may be overwritten.
    terminal: bool,
}

impl Output {
    fn new(file: Option<File>, rates: bool) -> Output {
        let messages = file.is_some() || !rates;
        let lines: Box<dyn Write> = match file {
            Some(file) => Box::new(BufWriter::new(file)),
            None if rates => Box::new(io::sink()),
            None => Box::new(BufWriter::new(io::stdout())),
        };
        Output { lines, messages, terminal: io::stdout().is_terminal() }
    }
}

fn listen(
    socket: &mut UdpSocket,
    heard: &mut Heard,
    out: &mut Output,
    options: &ListenOptions,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(4);
    poll.registry().register(socket, Token(0), Interest::READABLE)?;
    let mut datagram = vec![0; LARGEST_DATAGRAM];
    let mut next_table = Instant::now() + TABLE_EVERY;
    let mut sink = io::sink();
    loop {
        // mio reports readiness once: read until there is nothing left.
        loop {
            let lines: &mut dyn Write = if out.messages { &mut out.lines } else { &mut sink };
            match socket.recv_from(&mut datagram) {
                Ok((length, from)) => match follow::answer(socket.as_fd(), &datagram[..length]) {
                    // The sender may have gone; no answer is needed then.
                    Some(answer) => drop(socket.send_to(&answer, from)),
                    None => heard.datagram(&datagram[..length], lines)?,
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if options.count.is_some_and(|count| heard.messages() >= count) || ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            if options.rates && Instant::now() >= next_table {
                break;
            }
        }
        out.lines.flush()?;
        if ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = Instant::now();
        if options.rates && now >= next_table {
            let over = now.saturating_duration_since(next_table) + TABLE_EVERY;
            match options.json {
                true => draw_json(heard, over)?,
                false => draw(heard, over, out.terminal)?,
            }
            next_table = now + TABLE_EVERY;
            // There may be more to read, which mio will not report again.
            continue;
        }
        // A signal that arrives just before the wait is noticed after it.
        let wait =
            Duration::from_millis(200).min(next_table.saturating_duration_since(now).max(Duration::from_millis(1)));
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}

/// Prints the table of rates: over the last one on a terminal, otherwise below it.
fn draw(heard: &mut Heard, over: Duration, terminal: bool) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if terminal {
        // Cursor to the top left, erase from there.
        out.write_all(b"\x1b[H\x1b[J")?;
    }
    let window = terminal_size().map(|(width, height)| (usize::from(width.0), usize::from(height.0)));
    let (width, height) = if terminal { window.unwrap_or((80, 24)) } else { (usize::MAX, usize::MAX) };
    for line in table(&heard.rates(over), width, height) {
        // The last line has no line break, which would scroll the window.
        out.write_all(line.as_bytes())?;
    }
    if !terminal {
        out.write_all(b"\n\n")?;
    }
    out.flush()
}

/// The lines of the table, each beginning with the line break of the one before; active addresses come first.
fn table(rates: &[Rate], width: usize, height: usize) -> Vec<String> {
    let mut lines = vec![format!("{:>10} {:>12}  address", "msg/s", "messages")];
    let room = height.saturating_sub(2).max(1);
    let shown = if rates.len() > room { room.saturating_sub(1) } else { rates.len() };
    lines.extend(
        rates
            .iter()
            .take(shown)
            .map(|rate| format!("{:>10.1} {:>12}  {}", rate.per_second, rate.messages, Escaped(&rate.address))),
    );
    if rates.len() > shown {
        let active = rates.iter().skip(shown).filter(|rate| rate.per_second > 0.0).count();
        lines.push(format!("{:>23}  and {} more, {active} of them active", "", rates.len() - shown));
    }
    let cut = |line: String| line.chars().take(width.saturating_sub(1)).collect::<String>();
    lines.into_iter().map(cut).enumerate().map(|(k, line)| if k == 0 { line } else { format!("\n{line}") }).collect()
}

/// The same as a line of JSON.
fn draw_json(heard: &mut Heard, over: Duration) -> io::Result<()> {
    let json = serde_json::to_string(&heard.rates(over)).map_err(io::Error::from)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escape_json(&json))?;
    out.flush()
}

/// Datagrams that the kernel dropped at this port, if /proc shows it.
fn drops(address: SocketAddr) -> Option<u64> {
    let table = if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    let text = std::fs::read_to_string(table).ok()?;
    let port = format!(":{:04X}", address.port());
    // Columns as in Documentation/networking/proc_net_tcp.rst; the last is the number of drops.
    let of_port = text.lines().filter(|l| l.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)));
    of_port.filter_map(|l| l.split_whitespace().last()?.parse::<u64>().ok()).reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_its_window() {
        let rate =
            |n: usize| Rate { address: format!("/ftrace/group/{n:060}"), messages: 7, per_second: 100.0 - n as f64 };
        let rates: Vec<_> = (0..200).map(rate).collect();
        for (width, height) in [(80, 24), (40, 10), (80, 300), (20, 3)] {
            let text: String = table(&rates, width, height).concat();
            assert!(text.lines().count() < height && text.lines().all(|line| line.len() < width), "{text}");
        }
        let text = table(&rates, 80, 24).concat();
        assert!(text.contains("and 179 more, 79 of them active"), "{text}");
        assert!(!table(&rates[..5], 80, 24).concat().contains("more"));
    }
}
