//! The server as seen by a program: the token, OSCQuery's LISTEN and IGNORE, and a client that is too slow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ftrace_live::control::Clients;
use ftrace_live::osc::{Argument, Schema};
use ftrace_live::page::Page;
use rosc::{OscMessage, OscPacket, OscType, decoder, encoder};
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::{Error, Message, WebSocket};

use crate::common::program::PATIENCE;

const ADDRESS: &str = "/ftrace/irq/softirq_entry";

pub fn page() -> Page {
    let page = Page::open("127.0.0.1:0".parse().unwrap()).unwrap();
    page.frames().started("/ftrace", OscMessage { addr: "/ftrace/start".into(), args: vec![] });
    page.frames().add(&Schema {
        address: ADDRESS.into(),
        tags: "i".into(),
        arguments: vec![Argument { name: "vec".into(), tag: 'i', kernel_type: "unsigned int".into(), note: None }],
        omitted: vec![],
        system: "irq".into(),
        event: "softirq_entry".into(),
    });
    page
}

pub fn packet(address: &str, args: Vec<OscType>) -> Vec<u8> {
    encoder::encode(&OscPacket::Message(OscMessage { addr: address.into(), args })).unwrap()
}

/// A page's connection to this URL, which has shown its token.
pub fn open(url: &str) -> WebSocket<TcpStream> {
    let (place, token) = url.split_once('#').unwrap();
    let place = place.replace("http:", "ws:");
    let host = place.trim_start_matches("ws://").trim_end_matches('/');
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut socket, _) = tungstenite::client(&*place, stream).unwrap();
    socket.send(Message::text(token)).unwrap();
    socket
}

fn connect(page: &Page, fields: &[(&str, &str)]) -> Result<WebSocket<TcpStream>, u16> {
    let stream = TcpStream::connect(page.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = page.address().to_string();
    let mut request = Request::builder().uri(format!("ws://{host}/"));
    let standard = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    for (name, value) in standard.iter().chain(fields) {
        request = request.header(*name, *value);
    }
    if !fields.iter().any(|(name, _)| *name == "Host") {
        request = request.header("Host", &host);
    }
    let request = request.header("Sec-WebSocket-Key", generate_key()).body(()).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// The next message that is sent.
fn next(socket: &mut WebSocket<TcpStream>) -> Option<OscMessage> {
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => match decoder::decode_udp(&bytes).unwrap().1 {
                OscPacket::Message(message) => return Some(message),
                OscPacket::Bundle(bundle) => match &bundle.content[..] {
                    [OscPacket::Message(message)] => return Some(message.clone()),
                    other => panic!("{other:?}"),
                },
            },
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// Waits until this many clients receive.
fn until_connected(page: &Page, count: usize) {
    let end = Instant::now() + PATIENCE;
    while page.frames().connected() != count {
        assert!(Instant::now() < end, "{} are connected", page.frames().connected());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(page: &Page, packet: &[u8]) -> bool {
    let mut taken = false;
    page.frames().send(std::iter::once((packet, 1)), |_, took| taken = took);
    taken
}

#[test]
fn a_page_shows_its_token_and_gets_the_schema_first() {
    let page = page();
    let token = page.url().split_once('#').unwrap().1.to_owned();
    let origin = format!("http://{}", page.address());
    let mut socket = connect(&page, &[("Origin", &origin)]).unwrap();
    socket.send(Message::text(&*token)).unwrap();
    assert_eq!(next(&mut socket).unwrap().addr, "/ftrace/start");
    let schema = next(&mut socket).unwrap();
    assert_eq!((schema.addr.as_str(), &schema.args[0]), ("/ftrace/schema", &OscType::String(ADDRESS.into())));
    until_connected(&page, 1);
    assert!(send(&page, &packet(ADDRESS, vec![OscType::Int(3)])));
    let message = std::iter::from_fn(|| next(&mut socket)).find(|message| message.addr == ADDRESS).unwrap();
    assert_eq!(message.args, [OscType::Int(3)]);
    drop(socket);
    until_connected(&page, 0);
}

#[test]
fn a_browser_without_the_token_and_other_origins_and_hosts_are_refused() {
    let mut page = page();
    let mut clients = page.clients().unwrap();
    let host = page.address().to_string();
    let origin = format!("http://{host}");
    let token = page.url().split_once('#').unwrap().1.to_owned();
    for first in ["", "0123456789abcdef0123456789abcdef", &token[1..], r#"{"COMMAND":"LISTEN","DATA":"/x"}"#] {
        let mut socket = connect(&page, &[("Origin", &origin)]).unwrap();
        socket.send(Message::text(first)).unwrap();
        assert!(next(&mut socket).is_none(), "{first:?}");
    }
    let refused = |fields: &[(&str, &str)]| connect(&page, fields).map(drop).unwrap_err();
    assert_eq!(refused(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(refused(&[("Origin", "null")]), 403);
    assert_eq!(refused(&[("Host", "evil.example")]), 403);
    // Packets of a client that has not shown a token are ignored.
    let mut socket = connect(&page, &[]).unwrap();
    socket.send(Message::binary(packet("/ftrace/control/pause", vec![]))).unwrap();
    assert!(next(&mut socket).is_none());
    assert!(clients.take().is_none());
    until_connected(&page, 0);
}

#[test]
fn commands_of_a_page_are_passed_on_and_answered_to_it_only() {
    let mut page = page();
    let mut clients = page.clients().unwrap();
    assert!(page.clients().is_none(), "there is one desk");
    let token = page.url().split_once('#').unwrap().1.to_owned();
    let open = || {
        let mut socket = connect(&page, &[]).unwrap();
        socket.send(Message::text(&*token)).unwrap();
        (0..2).for_each(|_| drop(next(&mut socket).unwrap()));
        socket
    };
    let (mut first, mut second) = (open(), open());
    let (pause, speed) =
        (packet("/ftrace/control/pause", vec![]), packet("/ftrace/control/speed", vec![OscType::Float(0.5)]));
    let woken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let wakes = woken.clone();
    clients.wake_by(Box::new(move || {
        wakes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }));
    let end = Instant::now() + PATIENCE;
    let mut said = |packet: &[u8], socket: &mut WebSocket<TcpStream>| {
        socket.send(Message::binary(packet.to_vec())).unwrap();
        loop {
            if let Some((client, bytes)) = clients.take() {
                assert_eq!(bytes, packet);
                // Answers to disconnected clients do no harm.
                clients.answer(client + 1000, &bytes);
                clients.answer(client, &bytes);
                return client;
            }
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let numbers = [said(&pause, &mut first), said(&speed, &mut second), said(&pause, &mut first)];
    assert!(numbers[0] == numbers[2] && numbers[0] != numbers[1], "{numbers:?}");
    assert_eq!(woken.load(std::sync::atomic::Ordering::SeqCst), 3);
    let answers = |socket: &mut WebSocket<TcpStream>, count: usize| {
        let heard = std::iter::from_fn(|| next(socket)).filter(|message| message.addr.contains("/control/"));
        heard.take(count).map(|message| message.addr).collect::<Vec<_>>()
    };
    assert_eq!(answers(&mut first, 2), ["/ftrace/control/pause", "/ftrace/control/pause"]);
    assert_eq!(answers(&mut second, 1), ["/ftrace/control/speed"]);
}

#[test]
fn oscquery_clients_listen_to_single_addresses() {
    let page = page();
    // It runs as the same user and is not a browser, so it needs no token.
    let mut socket = connect(&page, &[]).unwrap();
    let say = |socket: &mut WebSocket<TcpStream>, command: &str, address: &str| {
        let text = serde_json::json!({ "COMMAND": command, "DATA": address }).to_string();
        socket.send(Message::text(text)).unwrap();
    };
    say(&mut socket, "LISTEN", ADDRESS);
    until_connected(&page, 1);
    let other = packet("/ftrace/irq/softirq_exit", vec![OscType::Int(1)]);
    assert!(send(&page, &other) && send(&page, &packet(ADDRESS, vec![OscType::Int(1)])));
    assert_eq!(next(&mut socket).unwrap().args, [OscType::Int(1)]);
    say(&mut socket, "IGNORE", ADDRESS);
    say(&mut socket, "LISTEN", "/ftrace/irq/softirq_exit");
    // It takes effect at some time from now on.
    let end = Instant::now() + PATIENCE;
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    loop {
        send(&page, &packet(ADDRESS, vec![OscType::Int(2)]));
        send(&page, &other);
        let address = match socket.read() {
            Ok(Message::Binary(bytes)) => bytes.split(|&byte| byte == 0).next().unwrap().to_vec(),
            _ => vec![],
        };
        if address == b"/ftrace/irq/softirq_exit" {
            break;
        }
        assert!(Instant::now() < end);
    }
}

/// What the server answers to a GET.
fn get(host: &str, path: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_tree_is_read_over_http() {
    let page = page();
    let host = page.address().to_string();
    let node = get(&host, ADDRESS);
    assert_eq!((&node["FULL_PATH"], &node["TYPE"]), (&ADDRESS.into(), &"i".into()));
    assert_eq!(get(&host, "/?HOST_INFO")["EXTENSIONS"]["LISTEN"], true);
}

#[test]
fn a_waiting_replay_already_has_all_its_addresses() {
    let (_program, url) = crate::demo::demo(&[]);
    let host = url.trim_start_matches("http://").split('/').next().unwrap();
    let tree = get(host, "/");
    let event = &tree["CONTENTS"]["ftrace"]["CONTENTS"]["irq"]["CONTENTS"]["softirq_entry"];
    assert_eq!(event["TYPE"], "tfiiss", "vec is a name");
    assert_eq!(get(host, "/ftrace/hit")["TYPE"], "siifffff");
}

#[test]
fn a_slow_client_loses_datagrams_which_are_counted_and_others_lose_none() {
    let page = page();
    let token = page.url().split_once('#').unwrap().1.to_owned();
    let open = || {
        let mut socket = connect(&page, &[]).unwrap();
        socket.send(Message::text(&*token)).unwrap();
        (0..2).for_each(|_| drop(next(&mut socket).unwrap()));
        socket
    };
    let mut slow = open();
    let mut quick = open();
    until_connected(&page, 2);
    // 24 MB; sockets and buffers hold a few.
    let large = packet(ADDRESS, vec![OscType::Blob(vec![0; 8000])]);
    let (count, mut taken, mut heard) = (3000, 0, 0);
    for _ in 0..count {
        // The sender never waits; if the server is behind, sending fails and is tried again.
        while !send(&page, &large) {
            std::thread::yield_now();
        }
        taken += 1;
        heard += usize::from(next(&mut quick).unwrap().addr == ADDRESS);
    }
    while heard < taken {
        heard += usize::from(next(&mut quick).unwrap().addr == ADDRESS);
    }
    assert_eq!(heard, count, "one who reads gets them all");
    // The slow client gets some, and is told how many it lost.
    let (mut had, mut told) = (0, 0);
    let end = Instant::now() + PATIENCE;
    while had + told < count {
        assert!(Instant::now() < end, "{had} had, {told} told");
        let message = next(&mut slow).unwrap();
        match (message.addr.as_str(), &message.args[..]) {
            (ADDRESS, _) => had += 1,
            ("/ftrace/page", [_, OscType::Int(lost), OscType::Int(2)]) => told += *lost as usize,
            other => panic!("{other:?}"),
        }
    }
    assert!(told > count / 2, "{told} lost, {had} had");
    assert_eq!(had + told, count);
    assert_eq!(page.close(), told as u64);
}

#[test]
fn the_sender_never_waits_for_the_server() {
    let page = page();
    page.frames().set_connected(1);
    // More than there is room for, faster than anybody reads: each call returns at once whether there was room.
    let large = packet(ADDRESS, vec![OscType::Blob(vec![0; 60_000])]);
    let sent = (0..2000).filter(|_| send(&page, &large)).count();
    assert!(sent >= 16, "{sent}");
}
