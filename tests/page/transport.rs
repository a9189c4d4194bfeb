//! Pause, seek, speed and loop.

use crate::demo::demo;
use crate::devtools::Browser;

#[test]
fn a_replay_is_paused_sought_slowed_and_looped() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(1280, 800);
    tab.open(&url);
    tab.until("it plays", "ftraceLive.replay?.at > 0.2");
    assert_eq!(tab.get("document.getElementById('transport').hidden"), false);
    assert_eq!(tab.text("document.getElementById('loop').getAttribute('aria-pressed')"), "true", "the demo loops");

    tab.click("#play");
    tab.until("paused", "ftraceLive.replay.paused");
    assert_eq!(tab.text("document.getElementById('play').getAttribute('aria-label')"), "Play");

    // By keyboard, as a slider is moved: to its end, and ten steps back.
    tab.get("document.getElementById('seek').focus()");
    tab.get("(() => { const seek = document.getElementById('seek'); seek.value = 700; seek.dispatchEvent(new Event('input')); seek.dispatchEvent(new Event('change')); })()");
    tab.until("it is there", "Math.abs(ftraceLive.replay.said / ftraceLive.replay.length - 0.7) < 0.01");
    assert_eq!(tab.get("ftraceLive.replay.paused"), true, "still paused");
    let at = tab.number("ftraceLive.replay.said");

    tab.get("document.getElementById('seek').blur()");
    tab.key(" ");
    tab.until("it goes on from there", &format!("!ftraceLive.replay.paused && ftraceLive.replay.at > {at} + 0.1"));

    tab.get("(() => { const speed = document.getElementById('speed'); speed.value = '0.1'; speed.dispatchEvent(new Event('change')); })()");
    tab.until("slower", "Math.abs(ftraceLive.replay.speed - 0.1) < 1e-6");
    tab.get("(() => { const speed = document.getElementById('speed'); speed.value = '10'; speed.dispatchEvent(new Event('change')); })()");
    tab.until("it begins again at its end", &format!("ftraceLive.replay.speed > 9 && ftraceLive.replay.at < {at} / 2"));

    tab.key("l");
    tab.until("no loop", "!ftraceLive.replay.repeat");
    tab.until(
        "it stays at its end",
        "ftraceLive.replay.paused && ftraceLive.replay.at > ftraceLive.replay.length * 0.99",
    );
    tab.click("#play");
    tab.until(
        "from the beginning",
        "!ftraceLive.replay.paused && ftraceLive.replay.at < ftraceLive.replay.length * 0.9",
    );
    tab.assert_no_complaint();
}
