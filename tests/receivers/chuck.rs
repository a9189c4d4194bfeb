//! ChucK without a sound card: `--silent` renders as fast as it can.

use crate::{
    common::program,
    launch::chuck,
    seen::{self, AWAKE, Echo, Seen},
    sound, stream,
};

/// Sends back every message, argument by argument as its type tag says.
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

/// Writes what the patch plays to a file for some seconds, then says so. `--silent` has no clock: it waits for the machine's.
const RECORDER: &str = r#"
dac => WvOut2 wave => blackhole;
"sound.wav" => wave.wavFilename;
while (Math.fabs(dac.left.last()) + Math.fabs(dac.right.last()) < 0.001) { 50::ms => now; Std.system("sleep 0.04"); }
now + 6::second => time end;
while (now < end) { 50::ms => now; Std.system("sleep 0.04"); }
"" => wave.closeFile;
<<< "recorded" >>>;
"#;

#[test]
fn the_chuck_patch_is_heard() {
    if !program::installed("chuck") {
        return;
    }
    let stream = stream::of("chuck");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let text = stream.patch(port);
    let mut chuck = chuck(home.path(), &[("ftrace.ck", text), ("recorder.ck", RECORDER.into())]);
    // What comes before ChucK waits for it is lost.
    chuck.wait_while_doing("ftrace-live: started on", || stream.send_first(port));
    sound::send_load(port);
    chuck.wait_for("ftrace-live: stopped");
    chuck.wait_for("recorded");
    chuck.assert_no_complaint(&["--caution-to-the-wind"]);
    sound::assert_load(&home.path().join("sound.wav"));
}
