//! The page: what a browser hears and sees of the kernel, and the server behind it.
//!
//! The page is a receiver like any other. It gets the bundles that others get by UDP as binary WebSocket frames, the schema
//! of every address first. The server is a thread of its own with a poll of its own, so that nothing of it is on the way
//! of an event: the stream leaves its datagrams in [`Frames`], and what a slow page has no room for is lost and counted.
//!
//! | file | what it does |
//! |---|---|
//! | `http` | one request → its response; who is let in |
//! | `serve` | the poll, the connections, their deadlines |
//! | `client` | one WebSocket: token, what it says, what it is sent, what it loses |
//! | `calls` | what clients say to the stream's loop, and its answers |
//! | `owner` | whose the other end of a local connection is |
//! | `files` | the page itself |
//! | `mdns` | the announcement for OSCQuery clients; with the feature `mdns` |
//! | `demo` | the capture that is a part of the program |
//!
//! # Who is let in
//! Loopback alone, unless another address is asked for. A page shows with its first frame the token that stands in the
//! URL's fragment, which browsers send nowhere. A program that names no origin, as no browser does, and that runs as the
//! user who started the server (or as root) needs none: OSCQuery has no place for a token.

mod calls;
mod client;
pub mod demo;
mod files;
mod http;
#[cfg(feature = "mdns")]
mod mdns;
mod owner;
mod serve;

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use mio::{Poll, Waker};

use crate::control::Clients;
use crate::osc::frames::Frames;
use calls::Answers;
use http::Site;
use serve::Server;

/// Where the page is served unless another address is asked for.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 57180);

/// The server, for as long as this lives.
pub struct Page {
    frames: Frames,
    url: String,
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    waker: Arc<Waker>,
    /// Until it serves.
    server: Option<Server>,
    thread: Option<JoinHandle<u64>>,
    /// Until somebody obeys them.
    answers: Option<Answers>,
    #[cfg(feature = "mdns")]
    announced: Option<mdns::Announced>,
}

impl Page {
    /// Listens at `address`; where that is [`ADDRESS`] and taken, at any free port. Who connects waits until it
    /// [serves](Page::serve).
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn bind(address: SocketAddr) -> io::Result<Page> {
        let listener = TcpListener::bind(address).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse if address == ADDRESS => TcpListener::bind(SocketAddr::new(address.ip(), 0)),
            _ => Err(error),
        })?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), serve::WAKER)?);
        let token = token()?;
        let wake = waker.clone();
        // That cannot fail but for a poll that is gone.
        let frames = Frames::new(move || drop(wake.wake()));
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let site = Site { address, host: host.clone(), frames: frames.clone() };
        let wake = waker.clone();
        let (calls, answers) = calls::way(move || drop(wake.wake()));
        let ended = Arc::new(AtomicBool::new(false));
        let server = Server::new(poll, listener, site, token.clone(), calls, ended.clone())?;
        let shown = match address.ip() {
            ip if ip.is_unspecified() && !host.is_empty() => format!("{host}:{}", address.port()),
            _ => address.to_string(),
        };
        let url = format!("http://{shown}/#{token}");
        Ok(Page {
            frames,
            url,
            address,
            ended,
            waker,
            server: Some(server),
            thread: None,
            answers: Some(answers),
            #[cfg(feature = "mdns")]
            announced: None,
        })
    }

    /// Serves from here on, in a thread that has the rights of this one: it is to be called when these are given up.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn serve(&mut self) -> io::Result<()> {
        if let Some(server) = self.server.take() {
            self.thread = Some(std::thread::Builder::new().name("page".to_owned()).spawn(move || server.run())?);
        }
        Ok(())
    }

    /// Announces the server by multicast DNS, so that OSCQuery clients find it, until it ends.
    ///
    /// # Errors
    /// If the network does not take it.
    #[cfg(feature = "mdns")]
    pub fn announce(&mut self) -> io::Result<()> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.announced = Some(mdns::Announced::new(&host, self.address).map_err(io::Error::other)?);
        Ok(())
    }

    /// Listens and serves at `address`, as [`bind`](Page::bind) and [`serve`](Page::serve).
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn open(address: SocketAddr) -> io::Result<Page> {
        let mut page = Page::bind(address)?;
        page.serve()?;
        Ok(page)
    }

    /// The URL to open; the token is in it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the stream sends to.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// What clients say, for one who obeys and answers; `None` where somebody does already.
    pub fn clients(&mut self) -> Option<impl Clients + 'static> {
        self.answers.take()
    }

    /// Sends what is left and ends. Returns how many datagrams pages had no room for.
    pub fn close(mut self) -> u64 {
        self.end()
    }

    fn end(&mut self) -> u64 {
        self.ended.store(true, Ordering::Release);
        drop(self.waker.wake());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(0)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.end();
    }
}

/// 128 random bits in hexadecimal.
fn token() -> io::Result<String> {
    let mut bits = [0_u8; 16];
    // The kernel fills as few bytes as these at once.
    let filled = rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
    if filled != bits.len() {
        return Err(io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(bits.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
