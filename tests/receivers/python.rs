//! python-osc: a driver that sends back what its dispatcher receives, and the generated program.

use rosc::OscType;

use crate::{
    common::program::{self, Program},
    launch::{python, python_installed},
    seen::{self, Echo, Seen, Value},
    stream,
};

const DRIVER: &str = r#"
import struct, sys
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from pythonosc.udp_client import SimpleUDPClient
from pythonosc.osc_message_builder import OscMessageBuilder
back = SimpleUDPClient("127.0.0.1", int(sys.argv[2]))
def seen(address, *arguments):
    m = OscMessageBuilder("/seen")
    m.add_arg(address, "s")
    for a in arguments:
        if isinstance(a, tuple): m.add_arg(0, "i")
        elif isinstance(a, str): m.add_arg(a, "s")
        elif isinstance(a, bytes): m.add_arg(a, "b")
        elif isinstance(a, int): m.add_arg(a, "i")
        else: m.add_arg(a, "d")
    back.send(m.build())
dispatcher = Dispatcher()
dispatcher.set_default_handler(seen)
server = BlockingOSCUDPServer(("127.0.0.1", int(sys.argv[1])), dispatcher)
print("ready", flush=True)
server.serve_forever()
"#;

#[test]
fn python_osc_sees_every_value_of_the_python_stream_in_order() {
    if !python_installed() {
        return;
    }
    let stream = stream::of("python");
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("driver.py"), DRIVER).unwrap();
    let (port, mut echo) = (program::free_port(), Echo::new());
    let mut driver = python(home.path());
    driver.args(["driver.py", &port.to_string(), &echo.port().to_string()]);
    let mut driver = Program::start(driver);
    driver.wait_for("ready");
    let seen: Vec<Seen> = stream.send_for_echo(port, &mut echo, |_| true).iter().map(|m| seen_of(&m.args)).collect();
    seen::assert_same(&seen, &stream.as_seen(|n| n));
    driver.assert_no_complaint(&[]);
}

fn seen_of(arguments: &[OscType]) -> Seen {
    let Some((OscType::String(address), values)) = arguments.split_first() else { panic!("{arguments:?}") };
    Seen { address: address.clone(), values: values.iter().map(seen::value).collect::<Vec<Value>>() }
}

#[test]
fn the_python_program_prints_every_event() {
    if !python_installed() {
        return;
    }
    let stream = stream::of("python");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let text = stream.patch(port);
    std::fs::write(home.path().join("ftrace.py"), text).unwrap();
    let mut program = python(home.path());
    program.arg("ftrace.py");
    let mut program = Program::start(program);
    program.wait_for("listening on port");
    stream.send(port);
    program.wait_for("ftrace-live: stopped");
    program.assert_no_complaint(&["/ftrace/"]);
    let said = program.said();
    assert!(said.iter().any(|l| l.starts_with("ftrace-live: started on ")));
    for address in stream.events() {
        let sent = stream.messages.iter().filter(|(m, _)| m.addr == address).count();
        let lines: Vec<&String> = said.iter().filter(|l| l.starts_with(&format!("{address} "))).collect();
        assert_eq!(lines.len(), sent, "{address}");
        for name in stream.schema(address).1 {
            assert!(lines.iter().all(|l| l.contains(&format!(" {name}="))), "{name}: {}", lines[0]);
        }
    }
}
