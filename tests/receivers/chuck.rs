//! ChucK without a sound card: `--silent` renders as fast as it can.

use std::net::UdpSocket;
use std::time::Duration;

use crate::{
    common::program,
    launch::chuck,
    seen::{self, AWAKE, Echo, Seen},
    sound, stream,
};

/// Sends back every message, argument by argument according to its type tags.
fn driver(port: u16, back: u16, patterns: &[String]) -> String {
    let addresses: String = patterns.iter().map(|p| format!("in.addAddress(\"{p}\");\n")).collect();
    format!(
        r#"
OscIn in; OscMsg msg; OscOut out;
{port} => in.port;
out.dest("127.0.0.1", {back});
{addresses}
<<< "ready" >>>;
while (true) {{
    in => now;
    while (in.recv(msg)) {{
        out.start("/seen").add(msg.address);
        for (0 => int k; k < msg.numArgs(); k++) {{
            msg.typetag.substring(k, 1) => string tag;
            if (tag == "i") out.add(msg.getInt(k));
            else if (tag == "f") out.add(msg.getFloat(k));
            else out.add(msg.getString(k));
        }}
        out.send();
    }}
}}
"#
    )
}

#[test]
fn chuck_sees_every_value_of_the_chuck_stream_in_order() {
    if !program::installed("chuck") {
        return;
    }
    let stream = stream::of("chuck");
    let home = tempfile::tempdir().unwrap();
    let (port, mut echo) = (program::free_port(), Echo::new());
    let mut patterns = vec![format!("{AWAKE}, i")];
    patterns.extend(stream.events().iter().map(|address| format!("{address}, {}", stream.schema(address).0)));
    patterns.extend(["start, siiii", "schema, sss", "stat, iiiiiif", "stop"].map(|p| format!("/ftrace/{p}")));
    let mut chuck = chuck(home.path(), &[("driver.ck", driver(port, echo.port(), &patterns))]);
    chuck.wait_for("ready");
    echo.awaken(port);
    let seen: Vec<Seen> = stream
        .send_for_echo(port, &mut echo, |_| true)
        .iter()
        .map(|m| {
            let mut values: Vec<_> = m.args.iter().map(seen::value).collect();
            let seen::Value::Text(address) = values.remove(0) else { panic!("{m:?}") };
            Seen { address, values }
        })
        .collect();
    seen::assert_same(&seen, &stream.as_seen(|n| n));
    chuck.assert_no_complaint(&[]);
}

/// Records the patch's output to a file for some seconds, then says so. `--silent` has no clock, so the load follows
/// ChucK's: it reports each fortieth of a second of its time to `back`.
fn recorder(back: u16) -> String {
    format!(
        r#"
dac => WvOut2 wave => blackhole;
"sound.wav" => wave.wavFilename;
OscOut out;
out.dest("127.0.0.1", {back});
fun void tick() {{
    25::ms => now;
    out.start("/tick").send();
    Std.system("sleep 0.02");
}}
while (Math.fabs(dac.left.last()) + Math.fabs(dac.right.last()) < 0.001) tick();
now + 6::second => time end;
while (now < end) tick();
"" => wave.closeFile;
<<< "recorded" >>>;
"#
    )
}

#[test]
fn the_chuck_patch_is_heard() {
    if !program::installed("chuck") {
        return;
    }
    let stream = stream::of("chuck");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let text = stream.patch(port);
    let ticks = UdpSocket::bind("127.0.0.1:0").unwrap();
    ticks.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let back = ticks.local_addr().unwrap().port();
    let mut chuck = chuck(home.path(), &[("ftrace.ck", text), ("recorder.ck", recorder(back))]);
    // Messages sent before ChucK waits for them are lost.
    chuck.wait_while_doing("ftrace-live: started on", || stream.send_first(port));
    // Reports from before.
    ticks.set_nonblocking(true).unwrap();
    while ticks.recv(&mut [0; 64]).is_ok() {}
    ticks.set_nonblocking(false).unwrap();
    sound::send_load_by(port, |_| {
        ticks.recv(&mut [0; 64]).expect("ChucK's clock goes on");
    });
    chuck.wait_for("ftrace-live: stopped");
    chuck.wait_for("recorded");
    chuck.assert_no_complaint(&["--caution-to-the-wind"]);
    sound::assert_load(&home.path().join("sound.wav"));
}
