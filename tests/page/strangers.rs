//! Access control, as seen from a browser.

use crate::demo::demo;
use crate::devtools::Browser;

/// Whether a WebSocket to this URL can be opened from the page, and whether it receives anything.
fn connects(url: &str, first: &str) -> String {
    format!(
        "new Promise((done) => {{
            const socket = new WebSocket('{url}');
            let opened = false;
            socket.onopen = () => {{ opened = true; socket.send('{first}'); }};
            socket.onmessage = () => done('served');
            socket.onclose = () => done(opened ? 'let go' : 'refused');
        }})"
    )
}

#[test]
fn a_wrong_token_and_another_origin_are_refused() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let (_other, other) = demo(&[]);
    let (place, token) = url.split_once('#').unwrap();
    let socket = place.replace("http:", "ws:");

    let tab = browser.tab(800, 600);
    tab.open(place);
    tab.until("it says why", "document.getElementById('status').textContent.includes('no token')");
    assert_eq!(tab.number("ftraceLive.totals.frames"), 0.0);
    assert_eq!(tab.text(&connects(&socket, &token.replace(|c: char| c.is_ascii_digit(), "x"))), "let go");
    assert_eq!(tab.text(&connects(&socket, token)), "served");

    // From a page of another origin even the right token is refused, and nothing can be read.
    let stranger = browser.tab(800, 600);
    stranger.open("data:text/html,<title>x</title>");
    assert_eq!(stranger.text(&connects(&socket, token)), "refused");
    let read = format!("fetch('{place}').then((answer) => answer.text()).then(() => 'read', () => 'refused')");
    assert_eq!(stranger.text(&read), "refused");
    let neighbour = browser.tab(800, 600);
    neighbour.open(&other);
    assert_eq!(neighbour.text(&read), "refused", "by its own policy and by ours");
}

#[test]
fn another_name_that_resolves_to_this_host_is_refused() {
    let Some(browser) = Browser::start() else { return };
    let (_program, url) = demo(&[]);
    let tab = browser.tab(800, 600);
    tab.open(&url.replace("127.0.0.1", "localhost"));
    tab.until("localhost is we", "ftraceLive.totals.frames > 0");
    tab.call("Page.navigate", serde_json::json!({ "url": url.replace("127.0.0.1", "evil.example") }));
    tab.until("it is told", "document.body?.textContent.includes('wrong host')");
}
