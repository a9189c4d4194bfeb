//! Small and large windows, light and dark, keyboard and screen reader.

use crate::demo::demo;
use crate::devtools::Browser;

/// Elements that exceed the window, or can be pressed but have no name.
const FAULTS: &str = "(() => {
    const faults = [];
    if (document.documentElement.scrollWidth > innerWidth) faults.push(`scrolls to ${document.documentElement.scrollWidth}`);
    for (const element of document.querySelectorAll('button, input, select, canvas')) {
        const box = element.getBoundingClientRect();
        if (!box.width) continue;
        const name = element.ariaLabel || element.textContent.trim() || element.closest('label')?.textContent.trim();
        if (!name) faults.push(`no name: ${element.outerHTML}`);
        if (box.left < -1 || box.right > innerWidth + 1) faults.push(`sticks out: ${element.id || name}`);
        if (element.tagName === 'BUTTON' && box.height < 24) faults.push(`hard to press: ${name}`);
    }
    const text = [...document.querySelectorAll('dt, dd, .rate, .name span, button span')].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth);
    for (const element of text) faults.push(`cut: ${element.textContent}`);
    return faults;
})()";

#[test]
fn it_fits_from_a_telephone_to_a_wall() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(1280, 800);
    tab.open(&url);
    tab.until("hits arrive", "ftraceLive.totals.hits > 10");
    tab.click("#start");
    for (width, height) in [(360, 640), (1280, 800), (3840, 2160), (640, 360)] {
        tab.size(width, height);
        let laid_out =
            "ftraceLive.lanes.width > 0 && ftraceLive.lanes.width === document.getElementById('stage').clientWidth";
        tab.until("it is laid out", &format!("innerWidth === {width} && {laid_out}"));
        assert_eq!(tab.get(FAULTS), serde_json::json!([]), "{width} × {height}");
    }
    tab.assert_no_complaint();
}

#[test]
fn everything_is_reachable_by_tab_and_the_system_sets_light_or_dark_by_default() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(1280, 800);
    tab.prefers("prefers-color-scheme", "light");
    tab.open(&url);
    tab.until("hits arrive", "ftraceLive.totals.hits > 3");
    let ground = "getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3).map(Number)";
    let bright = |ground: serde_json::Value| ground[0].as_f64().unwrap() > 200.0;
    assert!(bright(tab.get(ground)));
    tab.key("t");
    assert!(!bright(tab.get(ground)));
    tab.get("localStorage.clear()");

    tab.click("#start");
    let wanted: Vec<String> = ["play", "seek", "speed", "loop", "listen", "volume", "calm", "record", "theme", "field"]
        .map(String::from)
        .into();
    let mut reached = std::collections::BTreeSet::new();
    for _ in 0..60 {
        tab.key("Tab");
        reached.insert(tab.text("document.activeElement.id"));
    }
    let missing: Vec<_> = wanted.iter().filter(|id| !reached.contains(*id)).collect();
    assert!(missing.is_empty(), "{missing:?} cannot be reached by Tab: {reached:?}");
    tab.assert_no_complaint();
}

#[test]
fn with_reduced_motion_only_the_line_moves() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(1280, 800);
    tab.prefers("prefers-reduced-motion", "reduce");
    tab.open(&url);
    tab.until("hits are drawn", "[...ftraceLive.lanes.lanes.values()].some((lane) => lane.items.some((item) => item.hit && item.ms < ftraceLive.lanes.clock))");
    let place = "(() => { const { lanes } = ftraceLive; window.one ??= [...lanes.lanes.values()].flatMap((lane) => lane.items).find((item) => item.hit); return lanes.x(window.one.ms); })()";
    let before = tab.number(place);
    tab.until("time goes on", "ftraceLive.lanes.clock > window.one.ms + 700");
    assert!((tab.number(place) - before).abs() < 1e-3);
    tab.assert_no_complaint();
}
