//! A headless Chromium for the test, driven by the DevTools protocol: JSON over a WebSocket.
//!
//! <https://chromedevtools.github.io/devtools-protocol/>. Sessions are flat: every message has its session's id.

use std::cell::RefCell;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::common::program::{Group, PATIENCE};

/// Where Debian and others install it.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

struct Connection {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// Events of the browser: (session, method, parameters).
    events: Vec<(String, String, Value)>,
}

/// A browser; ended with all its processes when the last reference is dropped.
#[derive(Clone)]
pub struct Browser {
    connection: Rc<RefCell<Connection>>,
    _alive: Rc<(Group, TempDir)>,
}

/// A page in it.
pub struct Tab {
    browser: Browser,
    session: String,
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let found = || {
        std::env::split_paths(&path)
            .flat_map(|folder| PROGRAMS.map(|name| folder.join(name)))
            .find(|program| program.is_file())
    };
    named.or_else(found)
}

impl Browser {
    /// Starts one; if there is none, says so, and the test is skipped.
    pub fn start() -> Option<Browser> {
        let Some(program) = program() else {
            crate::common::skipped::say(format_args!("no Chromium (apt install chromium, or .ci/install-browser)"));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"])
            // It resolves only this host, and a name that somebody made point here.
            .arg("--host-resolver-rules=MAP evil.example 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE 127.0.0.1,EXCLUDE localhost")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .env_remove("DISPLAY")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let group = Group::start(&mut command);
        // When it is ready, it writes its port and the path of its WebSocket there.
        let file = profile.path().join("DevToolsActivePort");
        let end = Instant::now() + PATIENCE;
        let (port, path) = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n')
                && !path.is_empty()
            {
                break (port.parse::<u16>().unwrap(), path.trim().to_owned());
            }
            assert!(Instant::now() < end, "Chromium does not start");
            std::thread::sleep(Duration::from_millis(20));
        };
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        let connection = Rc::new(RefCell::new(Connection { socket, last: 0, events: vec![] }));
        Some(Browser { connection, _alive: Rc::new((group, profile)) })
    }

    /// Calls a method and waits for its result.
    fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let mut connection = self.connection.borrow_mut();
        connection.last += 1;
        let id = connection.last;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        connection.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let Message::Text(text) = connection.socket.read().unwrap_or_else(|error| panic!("{method}: {error}"))
            else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            if let Some(method) = answer["method"].as_str().map(str::to_owned) {
                let session = answer["sessionId"].as_str().unwrap_or_default().to_owned();
                let params = answer["params"].take();
                connection.events.push((session, method, params));
            }
        }
    }

    /// A new page of this size, CSS pixels.
    pub fn tab(&self, width: u32, height: u32) -> Tab {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", params)["sessionId"].as_str().unwrap().to_owned();
        let tab = Tab { browser: self.clone(), session };
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        tab.size(width, height);
        tab
    }

    /// Sets the folder for downloads.
    pub fn download_to(&self, folder: &Path) {
        let params = json!({ "behavior": "allow", "downloadPath": folder });
        self.call(None, "Browser.setDownloadBehavior", params);
    }
}

impl Tab {
    /// Calls a method of this page's.
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    /// Sets its size, CSS pixels.
    pub fn size(&self, width: u32, height: u32) {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// Sets a user preference, such as `prefers-reduced-motion`.
    pub fn prefers(&self, feature: &str, value: &str) {
        let features = json!([{ "name": feature, "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Opens a URL and waits until it is loaded.
    pub fn open(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.until("the page is loaded", "document.readyState === 'complete'");
    }

    /// The value of an expression; a promise is awaited. It counts as a user gesture.
    pub fn get(&self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The same for a number.
    pub fn number(&self, expression: &str) -> f64 {
        self.get(expression).as_f64().unwrap_or_else(|| panic!("{expression} is no number"))
    }

    /// The same for a text.
    pub fn text(&self, expression: &str) -> String {
        self.get(expression).as_str().unwrap_or_else(|| panic!("{expression} is no text")).to_owned()
    }

    /// Waits until a condition is true.
    pub fn until(&self, what: &str, condition: &str) {
        let end = Instant::now() + PATIENCE;
        while self.get(&format!("!!({condition})")) != true {
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}; {:?}", self.complaints());
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// Waits until the first element matching a selector exists, and returns its centre.
    fn middle(&self, selector: &str) -> (f64, f64) {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(selector, &format!("{found}?.getClientRects().length"));
        let place = self.get(&format!(
            "(() => {{ const box = {found}.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    /// Clicks on the centre of an element.
    pub fn click(&self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.click_at(x, y);
    }

    /// Clicks at a point.
    pub fn click_at(&self, x: f64, y: f64) {
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Moves the mouse to a point.
    pub fn hover(&self, x: f64, y: f64) {
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    /// Presses and releases a key: `a`, `Enter`, `ArrowLeft`.
    pub fn key(&self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            " " => 32,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            "Tab" => 9,
            _ => key.to_ascii_uppercase().bytes().next().unwrap().into(),
        };
        let text = if key == "Enter" {
            "\r"
        } else if key.len() == 1 {
            key
        } else {
            ""
        };
        let params = |kind| json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", params(if text.is_empty() { "rawKeyDown" } else { "keyDown" }));
        self.call("Input.dispatchKeyEvent", params("keyUp"));
    }

    /// A screenshot as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        base64(answer["data"].as_str().unwrap())
    }

    /// Exceptions, errors on the console, and what the browser refused.
    pub fn complaints(&self) -> Vec<String> {
        let connection = self.browser.connection.borrow();
        let mine = connection.events.iter().filter(|(session, ..)| *session == self.session);
        mine.filter_map(|(_, method, params)| match method.as_str() {
            "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
            "Log.entryAdded" if params["entry"]["level"] == "error" => Some(params["entry"]["text"].to_string()),
            _ => None,
        })
        .collect()
    }

    /// Fails if there were complaints.
    pub fn assert_no_complaint(&self) {
        // A round trip, so that all messages have arrived.
        self.get("0");
        assert_eq!(self.complaints(), [] as [String; 0]);
    }
}

/// The bytes of a base64 text (RFC 4648).
fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (vec![], 0u32, 0);
    for sextet in text.bytes().filter_map(|byte| LETTERS.iter().position(|&letter| letter == byte)) {
        bits = bits << 6 | sextet as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
