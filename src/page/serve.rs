//! The server's loop: one poll for the listener, all connections and the stream's waker.
//!
//! A silent connection occupies a slot until its deadline; there are `CONNECTIONS` slots, and further connections
//! are closed at once. No connection uses more memory than [`http::LONGEST_HEAD`] before it is a WebSocket.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tungstenite::Bytes;

use super::calls::Calls;
use super::client::Client;
use super::http::{LONGEST_HEAD, Reply, Site};
use super::owner;
use crate::osc::frames::Batch;

/// The waker's token in the poll.
pub const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST: usize = 2;
/// The most connections at a time.
const CONNECTIONS: usize = 64;
/// How long a request and its response may take.
const REQUEST: Duration = Duration::from_secs(5);
const RESPONSE: Duration = Duration::from_secs(10);
/// How long the other side may take to close after the response.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes in a client's socket buffer: what waits there is late when it is heard.
const SOCKET: usize = 256 << 10;
/// How often deadlines are checked while there are connections.
const TICK: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);

/// The state of a connection.
enum Phase {
    /// The request received so far.
    Request(Vec<u8>),
    /// The response, and how much of it was sent.
    Response(Vec<u8>, usize),
    /// Done: the other side closes.
    Linger,
}

enum Connection {
    Http { stream: TcpStream, phase: Phase, deadline: Instant, peer: SocketAddr },
    WebSocket(Box<Client>),
}

/// What happens to a connection next.
enum Next {
    Stay,
    Upgrade { taken: usize, browser: bool },
    Gone,
}

/// See the [module](self).
pub struct Server {
    poll: Poll,
    listener: TcpListener,
    site: Site,
    token: String,
    calls: Calls,
    ended: Arc<AtomicBool>,
    connections: BTreeMap<Token, Connection>,
    next: usize,
    batch: Batch,
    second: Instant,
    /// Datagrams lost by clients that have left.
    lost: u64,
}

impl Server {
    /// A server that does not run yet.
    pub fn new(
        poll: Poll,
        listener: std::net::TcpListener,
        site: Site,
        token: String,
        calls: Calls,
        ended: Arc<AtomicBool>,
    ) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Server {
            poll,
            listener,
            site,
            token,
            calls,
            ended,
            connections: BTreeMap::new(),
            next: FIRST,
            batch: Batch::new(),
            second: Instant::now(),
            lost: 0,
        })
    }

    /// Serves until it is stopped. Returns the number of datagrams for which clients had no room.
    pub fn run(mut self) -> u64 {
        let mut events = Events::with_capacity(256);
        loop {
            let timeout = if self.connections.is_empty() { SECOND } else { TICK };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A poll that fails does not recover.
                Err(_) => return self.lost,
            }
            let ended = self.ended.load(Ordering::Acquire);
            // Even without an event: if descriptors ran out, a connection may have waited.
            self.accept();
            for event in &events {
                if event.token().0 >= FIRST {
                    self.progress(event.token());
                }
            }
            self.answer();
            self.send();
            self.tick();
            if ended {
                self.each_client(|client| {
                    client.close();
                    Ok(())
                });
                return self.lost + self.clients().map(Client::lost).sum::<u64>();
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, peer)) = self.listener.accept() {
            if self.connections.len() >= CONNECTIONS {
                continue;
            }
            let token = Token(self.next);
            self.next += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, token, interest).is_ok() {
                let (phase, deadline) = (Phase::Request(vec![]), Instant::now() + REQUEST);
                self.connections.insert(token, Connection::Http { stream, phase, deadline, peer });
                self.progress(token);
            }
        }
    }

    /// Advances a connection as far as possible without blocking.
    fn progress(&mut self, token: Token) {
        let Some(mut connection) = self.connections.remove(&token) else { return };
        let now = Instant::now();
        let stays = match &mut connection {
            Connection::Http { stream, phase, deadline, peer } => match http(stream, phase, deadline, &self.site) {
                Next::Stay => true,
                Next::Gone => false,
                Next::Upgrade { taken, browser } => {
                    let Phase::Request(head) = phase else { return };
                    let rest = head.split_off(taken);
                    let (peer, ours) = (*peer, stream.local_addr());
                    let ours = !browser && ours.is_ok_and(|ours| owner::is_ours(peer, ours));
                    let Connection::Http { stream, .. } = connection else { return };
                    let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SOCKET);
                    let _ = stream.set_nodelay(true);
                    connection = Connection::WebSocket(Box::new(Client::new(stream, rest, ours, now)));
                    true
                }
            },
            Connection::WebSocket(_) => true,
        };
        let stays = stays
            && match &mut connection {
                Connection::WebSocket(client) => {
                    let done = client.progress(&self.token, &self.site.frames, (token.0 as u64, &self.calls), now);
                    if done.is_err() {
                        self.lost += client.lost();
                    }
                    done.is_ok()
                }
                Connection::Http { .. } => true,
            };
        if stays {
            self.connections.insert(token, connection);
        }
        self.count();
    }

    /// Passes the stream's datagrams to every client.
    fn send(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.site.frames.take(&mut batch);
        for datagram in batch.iter() {
            let datagram = Bytes::copy_from_slice(datagram);
            self.each_client(|client| client.send(&datagram));
        }
        if batch.iter().next().is_some() {
            self.each_client(Client::flush);
        }
        self.batch = batch;
    }

    /// Passes answers to their recipients.
    fn answer(&mut self) {
        while let Some((client, packet)) = self.calls.answer() {
            let token = usize::try_from(client).map(Token);
            // The recipient may have left.
            if let Ok(Some(Connection::WebSocket(client))) = token.map(|token| self.connections.get_mut(&token)) {
                // An error is found again when it is read.
                let _ = client.answer(&packet).and_then(|()| client.flush());
            }
        }
    }

    /// Deadlines, and what clients are sent once a second.
    fn tick(&mut self) {
        let now = Instant::now();
        self.connections.retain(|_, connection| match connection {
            Connection::Http { deadline, .. } => *deadline > now,
            Connection::WebSocket(_) => true,
        });
        if now.duration_since(self.second) >= SECOND {
            self.second = now;
            let clients = self.clients().filter(|client| client.receives()).count();
            let prefix = self.site.frames.prefix();
            self.each_client(|client| client.tick(&prefix, clients, now));
        }
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.connections.values().filter_map(|connection| match connection {
            Connection::WebSocket(client) => Some(&**client),
            Connection::Http { .. } => None,
        })
    }

    /// Calls `each` for every client, and disconnects those for which it fails.
    fn each_client(&mut self, mut each: impl FnMut(&mut Client) -> Result<(), super::client::Gone>) {
        let lost = &mut self.lost;
        let before = self.connections.len();
        self.connections.retain(|_, connection| match connection {
            Connection::WebSocket(client) => {
                let stays = each(client).is_ok();
                *lost += if stays { 0 } else { client.lost() };
                stays
            }
            Connection::Http { .. } => true,
        });
        if self.connections.len() < before {
            self.count();
        }
    }

    /// Reports whether anybody receives.
    fn count(&self) {
        self.site.frames.set_connected(self.clients().filter(|client| client.receives()).count());
    }
}

/// Advances a request or a response.
fn http(stream: &mut TcpStream, phase: &mut Phase, deadline: &mut Instant, site: &Site) -> Next {
    loop {
        let done = match phase {
            Phase::Request(head) => {
                let mut bytes = [0; 2048];
                let room = bytes.len().min((LONGEST_HEAD + 1).saturating_sub(head.len()));
                let read = stream.read(&mut bytes[..room]);
                head.extend_from_slice(&bytes[..*read.as_ref().unwrap_or(&0)]);
                match read.map(|len| if len == 0 { None } else { Some(site.reply(head)) }) {
                    Ok(None) => Ok(Some(Next::Gone)),
                    Ok(Some(Reply::More)) => Ok(None),
                    Ok(Some(Reply::Close(response))) => {
                        *phase = Phase::Response(response, 0);
                        *deadline = Instant::now() + RESPONSE;
                        Ok(None)
                    }
                    Ok(Some(Reply::WebSocket { response, taken, browser })) => {
                        // The socket is new and its buffer empty.
                        let whole = stream.write(&response).is_ok_and(|len| len == response.len());
                        Ok(Some(if whole { Next::Upgrade { taken, browser } } else { Next::Gone }))
                    }
                    Err(error) => Err(error),
                }
            }
            Phase::Response(response, gone) => match response.get(*gone..) {
                None | Some([]) => {
                    // If it were closed with unread bytes, the other side might lose the response.
                    let _ = stream.shutdown(Shutdown::Write);
                    *phase = Phase::Linger;
                    *deadline = Instant::now() + LINGER;
                    Ok(None)
                }
                Some(rest) => stream.write(rest).map(|len| {
                    *gone += len;
                    (len == 0).then_some(Next::Gone)
                }),
            },
            Phase::Linger => stream.read(&mut [0; 4096]).map(|len| (len == 0).then_some(Next::Gone)),
        };
        match done {
            Ok(None) => {}
            Ok(Some(next)) => return next,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Stay,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Next::Gone,
        }
    }
}
