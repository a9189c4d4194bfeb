//! 2 000 datagrams a second do not make the page's memory grow.

use std::time::{Duration, Instant};

use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType, encoder};
use serde_json::json;

use crate::devtools::{Browser, Tab};
use crate::server;

const PER_SECOND: u64 = 2000;

/// A bundle of an event and a hit with the current time.
fn bundle(k: u64) -> Vec<u8> {
    let now = OscTime::try_from(std::time::SystemTime::now()).unwrap();
    let event = OscMessage { addr: "/ftrace/irq/softirq_entry".into(), args: vec![OscType::Int(k as i32 % 10)] };
    let args = [0.5, 200.0, 0.0, 0.5].map(OscType::Float).to_vec();
    let head = ["irq:softirq_entry".into(), OscType::Int(k as i32 % 2), OscType::Int(0), OscType::Float(60.0)];
    let hit = OscMessage { addr: "/ftrace/hit".into(), args: [head.to_vec(), args].concat() };
    let mut content = vec![OscPacket::Message(event)];
    // The largest number allowed.
    if k.is_multiple_of(50) {
        content.push(OscPacket::Message(hit));
    }
    encoder::encode(&OscPacket::Bundle(OscBundle { timetag: now, content })).unwrap()
}

/// Bytes on the page's heap after garbage collection.
fn heap(tab: &Tab) -> f64 {
    tab.call("HeapProfiler.enable", json!({}));
    tab.call("HeapProfiler.collectGarbage", json!({}));
    tab.call("Runtime.getHeapUsage", json!({}))["usedSize"].as_f64().unwrap()
}

#[test]
fn two_thousand_datagrams_a_second_do_not_make_it_grow() {
    let Some(browser) = Browser::start() else { return };
    let page = server::page();
    let tab = browser.tab(1280, 800);
    tab.open(page.url());
    tab.until("it is connected", "ftraceLive.totals.frames > 0");
    tab.click("#start");
    // A window of 12 s is drawn: the deep form continues long after that is full.
    let seconds = if std::env::var_os("FTRACE_LIVE_DEEP").is_some() { [14, 60] } else { [1, 2] };
    let (mut sent, mut refused, mut heaps) = (0, 0, vec![]);
    for seconds in seconds {
        let began = Instant::now();
        let first = sent + refused;
        while began.elapsed() < Duration::from_secs(seconds) {
            let due = first + began.elapsed().as_millis() as u64 * PER_SECOND / 1000;
            while sent + refused < due {
                let bundle = bundle(sent);
                page.frames().send(std::iter::once((&bundle[..], 1)), |_, taken| {
                    *if taken { &mut sent } else { &mut refused } += 1;
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        tab.until(
            "all has arrived or is said to be lost",
            &format!("ftraceLive.totals.messages + ftraceLive.totals.pageLost >= {sent}"),
        );
        heaps.push(heap(&tab));
    }
    assert!(tab.number("ftraceLive.totals.messages") > sent as f64 * 0.5, "{sent} sent, {refused} refused");
    assert!(tab.number("ftraceLive.sound.level()") > 0.0);
    let kept = tab.number("[...ftraceLive.lanes.lanes.values()].reduce((sum, lane) => sum + lane.items.length, 0)");
    assert!(kept <= 15_000.0, "{kept} are kept");
    // In the short form the window may still be filling: allow 1 kB for each item, more than it takes.
    let growth = heaps[1] - heaps[0];
    assert!(growth < 1000.0 * 12_000.0, "{heaps:?}");
    let drawing = tab.number("ftraceLive.totals.drawing / ftraceLive.totals.drawn");
    eprintln!("{drawing:.2} ms to draw a frame, {} frames, {heaps:?} bytes", tab.number("ftraceLive.totals.drawn"));
    if seconds[1] == 60 {
        assert!(growth < 2e6, "{heaps:?}");
    }
    tab.assert_no_complaint();
}
