//! Pure Data, vanilla, without a window and without a sound card.

use std::path::Path;

use crate::{
    common::program,
    launch::pd,
    seen::{self, Echo, Seen, Value},
    sound, stream,
};

/// Sends every list from `[oscparse]` back: the parts of the address as strings, then the values.
fn driver(port: u16, back: u16) -> String {
    format!(
        "#N canvas 0 0 450 300 12;
#X obj 10 10 netreceive -u -b {port};
#X obj 10 40 oscparse;
#X obj 10 70 oscformat seen;
#X obj 10 100 list prepend send;
#X obj 10 130 list trim;
#X obj 10 190 netsend -u -b;
#X obj 200 10 loadbang;
#X msg 200 40 connect 127.0.0.1 {back};
#X obj 300 40 print ready;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
#X connect 2 0 3 0;
#X connect 3 0 4 0;
#X connect 4 0 5 0;
#X connect 6 0 8 0;
#X connect 6 0 7 0;
#X connect 7 0 5 0;
"
    )
}

#[test]
fn pd_sees_every_value_of_the_pd_stream_in_order() {
    if !program::installed("pd") {
        return;
    }
    let stream = stream::of("pd");
    let home = tempfile::tempdir().unwrap();
    let (port, mut echo) = (program::free_port(), Echo::new());
    let mut pd = pd(home.path(), &[("driver.pd", driver(port, echo.port()))]);
    pd.wait_for("ready");
    echo.awaken(port);
    // Every number in Pd is a 32-bit float: integers above 2^24 are rounded.
    let mut want = stream.as_seen(|n| f64::from(n as f32));
    // `[oscparse]` outputs the address in parts.
    for seen in &mut want {
        let parts = seen.address.split('/').skip(1).map(|p| Value::Text(p.into()));
        seen.values = parts.chain(std::mem::take(&mut seen.values)).collect();
    }
    let seen: Vec<Seen> = stream
        .send_for_echo(port, &mut echo, |_| true)
        .iter()
        .zip(&want)
        .map(|(m, want)| Seen { address: want.address.clone(), values: m.args.iter().map(seen::value).collect() })
        .collect();
    seen::assert_same(&seen, &want);
    pd.assert_no_complaint(&[]);
}

/// Records the generated patch's output to a file.
fn recorder(file: &Path) -> String {
    format!(
        "#N canvas 0 0 450 300 12;
#X obj 10 200 writesf~ 2;
#X obj 100 10 loadbang;
#X msg 100 40 open {} \\, start;
#X obj 200 10 receive~ ftrace-out-left;
#X obj 300 10 receive~ ftrace-out-right;
#X obj 200 100 delay 7000;
#X msg 200 140 stop;
#X obj 300 100 delay 300;
#X obj 300 140 print recorded;
#X connect 1 0 2 0;
#X connect 2 0 0 0;
#X connect 3 0 0 0;
#X connect 4 0 0 1;
#X connect 1 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 0 0;
#X connect 5 0 7 0;
#X connect 7 0 8 0;
",
        file.display()
    )
}

#[test]
fn the_pd_patch_is_heard() {
    if !program::installed("pd") {
        return;
    }
    let stream = stream::of("pd");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let (text, file) = (stream.patch(port), home.path().join("sound.wav"));
    let mut pd = pd(home.path(), &[("ftrace.pd", text), ("recorder.pd", recorder(&file))]);
    pd.wait_while_doing("ftrace-start: ", || stream.send_first(port));
    sound::send_load(port);
    pd.wait_for("ftrace-stop");
    pd.wait_for("recorded");
    pd.assert_no_complaint(&[]);
    sound::assert_load(&file);
}
