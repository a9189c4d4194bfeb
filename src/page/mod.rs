//! The page: plays and shows the kernel's events in a browser, and the server behind it.
//!
//! The page is a receiver like any other: it receives the same bundles as UDP receivers, in binary WebSocket frames,
//! after the schema of every address. The server runs in its own thread with its own poll, so that it never delays an
//! event: the stream leaves its datagrams in [`Frames`], and those for which a slow page has no room are dropped and
//! counted.
//!
//! | file | what it does |
//! |---|---|
//! | `http` | one request → its response; access control |
//! | `serve` | the poll, the connections, their deadlines |
//! | `client` | one WebSocket: token, its messages, what it receives, what it loses |
//! | `calls` | commands from clients to the stream's loop, and the answers |
//! | `owner` | the user at the other end of a local connection |
//! | `files` | the page itself |
//! | `mdns` | the announcement for OSCQuery clients; with the feature `mdns` |
//! | `demo` | the built-in capture |
//!
//! # Access
//! The server listens on loopback only, unless another address is given. A page shows in its first frame the token
//! from the URL's fragment, which browsers never send. A program without an `Origin` (browsers always have one) that
//! runs as the user who started the server (or as root) needs no token: OSCQuery has no place for one.

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

/// The default address of the page.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 57180);

/// The server, until it is dropped.
pub struct Page {
    frames: Frames,
    url: String,
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    waker: Arc<Waker>,
    /// Set until it serves.
    server: Option<Server>,
    thread: Option<JoinHandle<u64>>,
    /// Set until they are taken.
    answers: Option<Answers>,
    #[cfg(feature = "mdns")]
    announced: Option<mdns::Announced>,
}

impl Page {
    /// Listens at `address`; if that is [`ADDRESS`] and in use, at any free port. Clients that connect wait until it
    /// [serves](Page::serve).
    ///
    /// # Errors
    /// If it cannot listen on the address.
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
        // That fails only without the poll.
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

    /// Starts serving in a thread with the rights of this one, so it should be called after these are given up.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn serve(&mut self) -> io::Result<()> {
        if let Some(server) = self.server.take() {
            self.thread = Some(std::thread::Builder::new().name("page".to_owned()).spawn(move || server.run())?);
        }
        Ok(())
    }

    /// Announces the server by multicast DNS until it ends, so that OSCQuery clients find it.
    ///
    /// # Errors
    /// If the network refuses it.
    #[cfg(feature = "mdns")]
    pub fn announce(&mut self) -> io::Result<()> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.announced = Some(mdns::Announced::new(&host, self.address).map_err(io::Error::other)?);
        Ok(())
    }

    /// Listens and serves at `address`: [`bind`](Page::bind) and [`serve`](Page::serve).
    ///
    /// # Errors
    /// If it cannot listen on the address.
    pub fn open(address: SocketAddr) -> io::Result<Page> {
        let mut page = Page::bind(address)?;
        page.serve()?;
        Ok(page)
    }

    /// The URL to open, including the token.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The destination of the stream.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Takes the channel of clients' commands; `None` if it was taken already.
    pub fn clients(&mut self) -> Option<impl Clients + 'static> {
        self.answers.take()
    }

    /// Sends what is left and ends. Returns the number of datagrams for which pages had no room.
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
    // The kernel returns as few bytes as these at once.
    let filled = rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
    if filled != bits.len() {
        return Err(io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(bits.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
