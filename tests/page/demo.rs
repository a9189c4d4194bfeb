//! `page --demo`: played, displayed, muted, inspected and recorded as by a user with a browser.

use std::path::Path;
use std::process::Command;

use crate::common::program::Program;
use crate::devtools::{Browser, Tab};

/// The program, and the URL that it prints.
pub fn demo(arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["page", "--demo", "--at", "127.0.0.1:0"]).args(arguments);
    let mut program = Program::start(command);
    let url = program.wait_for("http://127.0.0.1:");
    (program, url)
}

/// A page that plays with sound on.
pub fn listen(browser: &Browser, url: &str) -> Tab {
    let tab = browser.tab(1280, 800);
    tab.open(url);
    tab.until("hits arrive", "ftraceLive.totals.hits > 3");
    tab.click("#start");
    tab.until("it is heard", "ftraceLive.sound.level() > 0.005");
    tab
}

/// How many pixels of the lanes differ from the background.
const DRAWN: &str = "(() => {
    const field = document.getElementById('field');
    const { data } = field.getContext('2d').getImageData(0, 0, field.width, field.height);
    let drawn = 0;
    for (let at = 0; at < data.length; at += 4) drawn += Math.max(data[at], data[at + 1], data[at + 2]) > 100;
    return drawn;
})()";

#[test]
fn the_demo_is_heard_and_seen_muted_and_played_alone() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(1280, 800);
    tab.open(&url);
    tab.until("hits arrive", "ftraceLive.totals.hits > 3 && ftraceLive.totals.messages > 3");
    assert_eq!(tab.number("ftraceLive.sound.level()"), 0.0, "before anybody has asked for it");
    tab.click("#start");
    tab.until("it is heard", "ftraceLive.sound.level() > 0.005");
    tab.until("it is drawn", &format!("{DRAWN} > 200"));
    tab.until("the numbers say so", "Number(document.getElementById('n-heard').textContent) > 0");
    tab.until("the kernel's host stands there", "document.getElementById('status').textContent.includes('CPU')");

    tab.until("several groups", "ftraceLive.lanes.lanes.size >= 3");
    // Every key, so that later events are muted as well.
    let mute_all = "document.querySelectorAll('.heads button[aria-label^=Mute][aria-pressed=false]').forEach((key) => key.click())";
    tab.until("muted, it is silent", &format!("{mute_all}, ftraceLive.sound.level() < 1e-5"));
    // Another group may have appeared in between.
    let pale = "[...document.querySelectorAll('.heads li')].every((head) => head.className === 'off')";
    tab.until("all are pale", &format!("{mute_all}, {pale}"));
    tab.get("for (const key of document.querySelectorAll('.heads button[aria-pressed=true]')) key.click()");
    tab.until("heard again", "ftraceLive.sound.level() > 0.003");

    tab.click(".heads li:nth-child(2) button[aria-label^='Play alone']");
    let alone = "[...document.querySelectorAll('.heads li')].filter((head) => head.className !== 'off').length";
    assert_eq!(tab.number(alone), 1.0);
    tab.get("ftraceLive.sound.stop()");
    tab.until("off", "ftraceLive.sound.on === false");
    tab.assert_no_complaint();
}

#[test]
fn an_event_is_inspected_by_mouse_and_by_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = listen(&browser, &url);
    // It is paused to be inspected.
    tab.until(
        "there is something",
        "[...ftraceLive.lanes.lanes.values()].some((lane) => lane.items.some((item) => item.args && item.hit))",
    );
    tab.key(" ");
    tab.until("paused", "ftraceLive.replay.paused");
    tab.until("it stands", "ftraceLive.stands");
    let place = tab.get(
        "(() => {
            const { lanes } = ftraceLive, box = document.getElementById('field').getBoundingClientRect();
            const items = [...lanes.lanes.values()].flatMap((lane) => lane.items).filter((item) => item.args && item.hit);
            const item = items.filter((item) => item.ms < lanes.clock).at(-1);
            window.chosen = item;
            return [box.x + lanes.x(item.ms), box.y + lanes.y(item.lane, item.event)];
        })()",
    );
    let (x, y) = (place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    tab.hover(x, y);
    tab.until("its name", "!document.getElementById('tip').hidden");
    let tip = tab.text("document.getElementById('tip').textContent");
    assert!(tip.contains(':') && tip.contains("cpu"), "{tip}");

    tab.click_at(x, y);
    tab.until("the whole message", "!document.getElementById('detail').hidden");
    let address = tab.text("document.getElementById('detail-address').textContent");
    assert!(address.starts_with("/ftrace/") && address.contains(" ,t"), "{address}");
    let rows = tab.number("document.querySelectorAll('#detail-fields tr').length");
    assert!(rows >= 5.0, "{rows} arguments");
    let (words, event) =
        (tab.text("document.getElementById('detail-text').textContent"), tab.text("window.chosen.event"));
    assert!(words.starts_with(&event) && words.contains(": "), "{words}");

    tab.key("Escape");
    assert_eq!(tab.get("document.getElementById('detail').hidden"), true);
    tab.key("ArrowLeft");
    tab.until("what is chosen is said", "document.getElementById('say').textContent.length > 5");
    tab.key("Enter");
    tab.until("the whole message", "!document.getElementById('detail').hidden");
    let before = tab.text("document.getElementById('detail-title').textContent");
    tab.key("ArrowDown");
    let group = |title: &str| title.split(':').next().unwrap().to_owned();
    let after = tab.text("document.getElementById('detail-title').textContent");
    tab.key("ArrowUp");
    tab.key("ArrowUp");
    let above = tab.text("document.getElementById('detail-title').textContent");
    assert!(group(&before) != group(&after) || group(&after) != group(&above), "{before} {after} {above}");
    tab.assert_no_complaint();
}

#[test]
fn what_is_heard_can_be_recorded() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    browser.download_to(folder.path());
    let (_program, url) = demo(&[]);
    let tab = listen(&browser, &url);
    tab.click("#record");
    tab.until("a second is there", "ftraceLive.sound.recordedSeconds() > 1");
    tab.click("#record");
    let mut wav = None;
    tab.until("it is saved", "document.getElementById('record').getAttribute('aria-pressed') === 'false'");
    for _ in 0..500 {
        let found = |entry: std::io::Result<std::fs::DirEntry>| entry.ok().map(|entry| entry.path());
        wav = std::fs::read_dir(folder.path())
            .unwrap()
            .filter_map(found)
            .find(|path| path.extension() == Some("wav".as_ref()));
        if wav.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_sound(&wav.expect("no file"));
    tab.assert_no_complaint();
}

/// More than a second, stereo, heard and not clipped.
fn assert_sound(wav: &Path) {
    let mut reader = hound::WavReader::open(wav).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.bits_per_sample), (2, 16));
    let samples: Vec<f64> = reader.samples::<i16>().map(|sample| f64::from(sample.unwrap()) / 32768.0).collect();
    assert!(samples.len() as f64 / 2.0 / f64::from(spec.sample_rate) > 1.0);
    let peak = samples.iter().fold(0.0, |most: f64, sample| most.max(sample.abs()));
    let level = (samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64).sqrt();
    assert!(level > 0.001 && peak < 0.892, "{level} {peak}");
}
