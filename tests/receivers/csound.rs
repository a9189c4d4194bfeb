//! Csound without a sound card: `-+rtaudio=null` keeps real time, `-o` renders as fast as it can.

use std::time::Instant;

use crate::{
    common::program::{self, Program, command},
    launch::{csound, csound_variables},
    seen::{self, AWAKE, Echo, Seen},
    sound, stream,
};

/// Listens to each address with its exact type string and sends back what it receives: orchestra and score.
fn driver(port: u16, back: u16, signatures: &[(String, String)]) -> (String, String) {
    let (mut orchestra, mut score) = (format!("giPort OSCinit {port}\n"), String::new());
    for (k, (address, tags)) in signatures.iter().enumerate() {
        let (names, init) = csound_variables(tags);
        orchestra += &format!(
            "instr {instr}\n{init}kCount init 0\nnext:\nkGot OSClisten giPort, \"{address}\", \"{tags}\", {args}\n\
             if kGot == 1 then\nkCount += 1\nOSCsend kCount, \"127.0.0.1\", {back}, \"{address}\", \"{tags}\", {args}\n\
             kgoto next\nendif\nendin\n",
            instr = k + 1,
            args = names.join(", "),
        );
        score += &format!("i {} 0 z\n", k + 1);
    }
    orchestra += "instr 9999\nprints \"ready%n\"\nendin\n";
    score += "i 9999 0 1\n";
    (orchestra, score)
}

#[test]
fn csound_sees_every_value_of_the_csound_stream_in_order() {
    if !program::installed("csound") {
        return;
    }
    let stream = stream::of("csound");
    let home = tempfile::tempdir().unwrap();
    let (port, mut echo) = (program::free_port(), Echo::new());
    let mut signatures = vec![(AWAKE.to_owned(), "i".to_owned())];
    signatures.extend(stream.events().iter().map(|a| (a.to_string(), stream.schema(a).0.to_owned())));
    signatures.extend(
        [("start", "siiii"), ("schema", "sss"), ("stat", "iiiiiif")].map(|(a, t)| (format!("/ftrace/{a}"), t.into())),
    );
    let (orchestra, score) = driver(port, echo.port(), &signatures);
    let mut csound = csound(home.path(), &orchestra, &score);
    csound.wait_for("ready");
    echo.awaken(port);
    // OSClisten cannot listen to a message without arguments.
    let want: Vec<Seen> = stream.as_seen(|n| n).into_iter().filter(|s| s.address != "/ftrace/stop").collect();
    let seen: Vec<Seen> = stream
        .send_for_echo(port, &mut echo, |m| m.addr != "/ftrace/stop")
        .iter()
        .map(|m| Seen { address: m.addr.clone(), values: m.args.iter().map(seen::value).collect() })
        .collect();
    // Each address has its own instrument, so order is kept within an address only.
    for (address, _) in &signatures {
        let of = |all: &[Seen]| all.iter().filter(|s| s.address == *address).cloned().collect::<Vec<_>>();
        seen::assert_same(&of(&seen), &of(&want));
    }
    assert_eq!(seen.len(), want.len());
    csound.assert_no_complaint(&[]);
}

#[test]
fn the_csound_patch_loads_without_a_complaint_and_reacts() {
    if !program::installed("csound") {
        return;
    }
    let stream = stream::of("csound");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let text = stream.patch(port);
    std::fs::write(home.path().join("ftrace.csd"), text).unwrap();
    let mut csound = command("csound", home.path());
    csound.args(["-+rtaudio=null", "ftrace.csd"]);
    let mut csound = Program::start(csound);
    // Messages sent before the instruments have started are lost.
    csound.wait_while_doing("ftrace-live: started on ", || stream.send_first(port));
    stream.send(port);
    csound.end(libc::SIGINT);
    csound.assert_no_complaint(&["0 errors in performance"]);
}

#[test]
fn the_csound_patch_is_heard_and_a_recording_is_as_long() {
    if !program::installed("csound") {
        return;
    }
    let stream = stream::of("csound");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let text = stream.patch(port);
    std::fs::write(home.path().join("ftrace.csd"), text).unwrap();
    let mut csound = command("csound", home.path());
    csound.args(["-o", "sound.wav", "ftrace.csd"]);
    let began = Instant::now();
    let mut csound = Program::start(csound);
    csound.wait_while_doing("ftrace-live: started on ", || stream.send_first(port));
    sound::send_load(port);
    csound.end(libc::SIGINT);
    // Without real time, Csound writes a file as fast as it can.
    let (lasted, heard) = (sound::assert_load(&home.path().join("sound.wav")), began.elapsed().as_secs_f64());
    assert!(lasted < heard + 1.0, "{lasted} s of sound in {heard} s");
    assert!(lasted > sound::SECONDS - 0.5, "{lasted} s of sound");
}
