//! rosc as used by a receiving program: one datagram, `decode_udp`, and a buffer of `decoder::MTU`.

use std::net::UdpSocket;

use rosc::{OscPacket, decoder};

use crate::stream;

#[test]
fn rosc_decodes_the_rust_stream_within_its_own_mtu() {
    let stream = stream::of("rust");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    stream.send(socket.local_addr().unwrap().port());
    let mut messages = Vec::new();
    let mut buffer = [0; decoder::MTU];
    for _ in &stream.datagrams {
        let length = socket.recv(&mut buffer).unwrap();
        let (rest, packet) = decoder::decode_udp(&buffer[..length]).unwrap();
        assert!(rest.is_empty(), "{} bytes behind the packet", rest.len());
        let OscPacket::Bundle(bundle) = packet else { panic!("{packet:?} is no bundle") };
        for packet in bundle.content {
            let OscPacket::Message(message) = packet else { panic!("a nested bundle") };
            messages.push((message, bundle.timetag));
        }
    }
    assert_eq!(messages, stream.messages);
}
