//! Pure Data, vanilla, without a window and without a sound card.

use rosc::OscType;

use crate::{
    common::program,
    launch::pd,
    seen::{self, Echo, Seen, Value},
    stream,
};

/// Sends every list from `[oscparse]` back: the address's parts as strings, then the values.
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
    // Every number in Pd is a 32-bit float: an integer above 2^24 is rounded there.
    let mut want = stream.as_seen(|n| f64::from(n as f32));
    // `[oscparse]` hands the address on in parts.
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

/// Sends back every hit that the generated patch makes.
fn hook(back: u16) -> String {
    format!(
        "#N canvas 0 0 450 300 12;
#X obj 10 10 r ftrace-hit;
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
#X connect 5 0 7 0;
#X connect 5 0 6 0;
#X connect 6 0 4 0;
"
    )
}

#[test]
fn the_pd_patch_plays_a_note_for_every_event() {
    if !program::installed("pd") {
        return;
    }
    let stream = stream::of("pd");
    let home = tempfile::tempdir().unwrap();
    let (port, mut echo) = (program::free_port(), Echo::new());
    let text = stream.patch(port);
    let mut pd = pd(home.path(), &[("ftrace.pd", text), ("hook.pd", hook(echo.port()))]);
    pd.wait_for("ready");
    let events = stream.event_messages();
    let hits = stream.send_for_echo(port, &mut echo, |m| stream.is_event(m));
    assert_eq!(hits.len(), events, "hits for events");
    for hit in &hits {
        let numbers: Vec<f32> =
            hit.args.iter().filter_map(|a| if let OscType::Float(v) = a { Some(*v) } else { None }).collect();
        let &[_timbre, note, loudness, length, pan] = numbers.as_slice() else { panic!("{hit:?}") };
        assert!((36.0..=96.0).contains(&note) && (0.0..=0.3).contains(&loudness), "{hit:?}");
        assert!((20.0..=600.0).contains(&length) && (0.0..=1.0).contains(&pan), "{hit:?}");
    }
    pd.wait_for("ftrace-stop");
    pd.assert_no_complaint(&[]);
    assert!(pd.said().iter().any(|l| l.starts_with("ftrace-start: ")));
}
