//! Takes screenshots of the page, such as docs/page.png. Run by `docs/screenshots`.

use std::path::PathBuf;

use crate::demo::demo;
use crate::devtools::Browser;

/// Where an event that is a note is drawn.
const CHOSEN: &str = "(() => {
    const { lanes } = ftraceLive, stage = document.getElementById('stage');
    const items = [...lanes.lanes.values()].flatMap((lane) => lane.items).filter((item) => item.args && item.hit?.form === 0);
    const item = (window.chosen ??= items.filter((item) => item.ms < lanes.clock - 2500).at(-1));
    stage.scrollTop = lanes.y(item.lane, item.event) - stage.clientHeight / 2;
    const box = document.getElementById('field').getBoundingClientRect();
    return [box.x + lanes.x(item.ms), box.y + lanes.y(item.lane, item.event)];
})()";

#[test]
#[ignore = "docs/screenshots runs it: it writes pictures"]
fn pictures() {
    let Some(folder) = std::env::var_os("FTRACE_LIVE_PICTURES").map(PathBuf::from) else { return };
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    for (name, width, height, scheme) in [
        ("telephone-dark", 360, 740, "dark"),
        ("telephone-light", 360, 740, "light"),
        ("desk-dark", 1280, 720, "dark"),
        ("desk-light", 1280, 720, "light"),
        ("wall-dark", 3840, 2160, "dark"),
    ] {
        let tab = browser.tab(width, height);
        tab.prefers("prefers-color-scheme", scheme);
        tab.open(&url);
        tab.until("hits arrive", "ftraceLive.totals.hits > 3");
        let write = |what: &str| std::fs::write(folder.join(format!("{name}{what}.png")), tab.picture()).unwrap();
        write("-start");
        tab.click("#start");
        // A few seconds later all lanes have events.
        tab.get("window.began = performance.now()");
        tab.until("it is under way", "performance.now() > began + 9000 && ftraceLive.sound.level() > 0.001");
        write("");
        let place = || {
            let place = tab.get(CHOSEN);
            (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
        };
        // It moves meanwhile.
        let shown = |id: &str, act: &dyn Fn(f64, f64)| {
            while tab.get(&format!("document.getElementById('{id}').hidden")) == true {
                let (x, y) = place();
                act(x, y);
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        };
        shown("tip", &|x, y| tab.hover(x, y));
        write("-name");
        shown("detail", &|x, y| tab.click_at(x, y));
        write("-message");
        tab.call("Page.close", serde_json::json!({}));
    }
}
