//! Answers one HTTP request, or upgrades it to a WebSocket. No sockets are used here.
//!
//! Only GET is supported, and it changes nothing. Against DNS rebinding, `Host` must be one of ours; against other
//! sites' pages, `Origin` must be that host; no header allows another site to read an answer.

use std::net::{IpAddr, SocketAddr};

use httparse::{EMPTY_HEADER, Status};
use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;

use super::files;
use crate::osc::frames::Frames;
use crate::osc::{Types, oscquery};
use crate::sound::Timbre;

/// The longest request head, bytes.
pub const LONGEST_HEAD: usize = 8 << 10;
/// The most header fields of a request.
const HEADERS: usize = 64;

/// What is served, and to whom.
pub struct Site {
    /// The address it listens on.
    pub address: SocketAddr,
    /// This machine's name.
    pub host: String,
    /// The stream, for its addresses.
    pub frames: Frames,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request is incomplete.
    More,
    /// This response, after which the connection is closed.
    Close(Vec<u8>),
    /// This response, after which it is a WebSocket; `taken` bytes were the request. `browser`: there was an
    /// `Origin`, which every browser sends.
    WebSocket {
        /// `101 Switching Protocols`.
        response: Vec<u8>,
        /// Bytes of the request.
        taken: usize,
        /// Whether it comes from a page.
        browser: bool,
    },
}

/// The header fields that are used.
#[derive(Default)]
struct Fields<'r> {
    host: Option<&'r str>,
    origin: Option<&'r str>,
    accept: &'r str,
    connection: &'r str,
    upgrade: &'r str,
    key: &'r str,
    version: &'r str,
    body: bool,
}

impl Site {
    /// The answer to a request of which `head` has arrived so far.
    pub fn reply(&self, head: &[u8]) -> Reply {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let taken = match request.parse(head) {
            Ok(Status::Complete(taken)) if taken <= LONGEST_HEAD => taken,
            Ok(Status::Partial) if head.len() < LONGEST_HEAD => return Reply::More,
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return refuse(431, "the request's header is too long"),
            Err(_) => return refuse(400, "this is not an HTTP request"),
        };
        let Some(fields) = fields(request.headers) else { return refuse(400, "invalid header field") };
        if request.method != Some("GET") {
            return refuse(405, "GET alone");
        }
        let Some(host) = fields.host.filter(|host| self.is_ours(host)) else {
            return refuse(403, "wrong host; open the URL as it was printed");
        };
        if fields.body {
            return refuse(400, "a GET must not have a body");
        }
        if fields.upgrade.eq_ignore_ascii_case("websocket") {
            return self.web_socket(&fields, host, taken);
        }
        Reply::Close(self.get(request.path.unwrap_or("/"), host, fields.accept))
    }

    fn web_socket(&self, fields: &Fields<'_>, host: &str, taken: usize) -> Reply {
        let ours =
            |origin: &str| origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host));
        if !fields.origin.is_none_or(ours) {
            return refuse(403, "requests from pages of other sites are refused");
        }
        let upgrades = fields.connection.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
        if !upgrades || fields.version != "13" || fields.key.len() != 24 {
            return refuse(400, "this is not a WebSocket handshake of RFC 6455");
        }
        let accept = derive_accept_key(fields.key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        Reply::WebSocket { response: response.into_bytes(), taken, browser: fields.origin.is_some() }
    }

    /// Whether a `Host` refers to this server. Others can make names point here, but not addresses.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let loopback = host.eq_ignore_ascii_case("localhost");
        match address.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => true,
            // From another machine: one of this machine's addresses, or one that is forwarded here.
            Ok(ip) => ip == self.address.ip() || self.address.ip().is_unspecified(),
            Err(_) if self.address.ip().is_loopback() => loopback,
            Err(_) => {
                let name = host.strip_suffix(".local").unwrap_or(host);
                loopback || (!self.host.is_empty() && name.eq_ignore_ascii_case(&self.host))
            }
        }
    }

    /// The response to a GET: a file of the page, or the OSCQuery answer for the path.
    fn get(&self, target: &str, host: &str, accept: &str) -> Vec<u8> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        // Programs that ask for the tree do not accept HTML; browsers do.
        let page = path == "/" && query.is_none() && accept.contains("text/html");
        let name = if page { "index.html" } else { path.strip_prefix('/').unwrap_or_default() };
        if query.is_none()
            && let Some((kind, bytes)) = files::get(name)
        {
            return response(200, kind, host, bytes);
        }
        if query.is_none() && name == "recipes.json" {
            let recipes = json!(Timbre::ALL.map(Timbre::recipe));
            return response(200, "application/json", host, recipes.to_string().as_bytes());
        }
        match self.oscquery(path, query) {
            Ok(Some(value)) => response(200, "application/json", host, value.to_string().as_bytes()),
            Ok(None) => response(204, "application/json", host, b""),
            Err(code) => response(code, "text/plain", host, b"there is no such address\n"),
        }
    }

    /// The OSCQuery answer for a path: the node, or one of its attributes. `None`: the node lacks the attribute.
    fn oscquery(&self, path: &str, query: Option<&str>) -> Result<Option<Value>, u16> {
        if query == Some("HOST_INFO") {
            return Ok(Some(self.host_info()));
        }
        let schemas: Vec<_> = self.frames.known().schemas.into_values().collect();
        let tree = oscquery::tree(&schemas, &self.frames.prefix(), Types::Full);
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let node = parts.try_fold(&tree, |node, part| node.get("CONTENTS")?.get(part)).ok_or(404_u16)?;
        Ok(match query {
            None => Some(node.clone()),
            Some(name) if oscquery::ATTRIBUTES.contains(&name) => node.get(name).map(|value| json!({ name: value })),
            Some(_) => return Err(400),
        })
    }

    fn host_info(&self) -> Value {
        json!({
            "NAME": format!("ftrace-live on {}", self.host),
            "EXTENSIONS": {
                "ACCESS": true, "TYPE": true, "DESCRIPTION": true, "EXTENDED_TYPE": true, "VALUE": false, "RANGE": false,
                "LISTEN": true, "PATH_CHANGED": false, "PATH_ADDED": false, "PATH_REMOVED": false, "PATH_RENAMED": false,
            },
            "OSC_TRANSPORT": "UDP",
            "WS_IP": self.address.ip().to_string(),
            "WS_PORT": self.address.port(),
        })
    }
}

/// The fields that are used; `None` if one is not text, or is repeated although it must not be.
fn fields<'r>(headers: &[httparse::Header<'r>]) -> Option<Fields<'r>> {
    let mut fields = Fields::default();
    for header in headers.iter() {
        let value = || std::str::from_utf8(header.value).ok();
        let name = header.name;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            if fields.host.replace(value()?).is_some() {
                return None;
            }
        } else if is("origin") {
            if fields.origin.replace(value()?).is_some() {
                return None;
            }
        } else if is("accept") {
            fields.accept = value()?;
        } else if is("connection") {
            fields.connection = value()?;
        } else if is("upgrade") {
            fields.upgrade = value()?;
        } else if is("sec-websocket-key") {
            fields.key = value()?;
        } else if is("sec-websocket-version") {
            fields.version = value()?;
        } else if is("content-length") {
            fields.body |= value()? != "0";
        } else if is("transfer-encoding") {
            fields.body = true;
        }
    }
    Some(fields)
}

fn refuse(code: u16, why: &str) -> Reply {
    Reply::Close(response(code, "text/plain", "", format!("{why}\n").as_bytes()))
}

/// A complete response. `host` is one of ours.
fn response(code: u16, kind: &str, host: &str, body: &[u8]) -> Vec<u8> {
    let reason = match code {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Request Header Fields Too Large",
    };
    // Not every browser takes 'self' to include the WebSocket of the same host.
    let connect = if host.is_empty() { String::new() } else { format!(" ws://{host}") };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{connect}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let allow = if code == 405 { "Allow: GET\r\n" } else { "" };
    let length = if code == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let mut out = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {kind}; charset=utf-8\r\n{length}{allow}Connection: close\r\n\
         Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\nCache-Control: no-store\r\n\r\n"
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osc::{Argument, Schema};

    fn site(address: &str) -> Site {
        let frames = Frames::new(|| {});
        frames.add(&Schema {
            address: "/ftrace/irq/softirq_entry".into(),
            tags: "tfiisi".into(),
            arguments: vec![Argument { name: "vec".into(), tag: 'i', kernel_type: "unsigned int".into(), note: None }],
            omitted: vec![],
            system: "irq".into(),
            event: "softirq_entry".into(),
        });
        Site { address: address.parse().unwrap(), host: "box".into(), frames }
    }

    /// The code, header and body of the answer to a request.
    fn answer(site: &Site, request: &str) -> (u16, String, String) {
        let bytes = match site.reply(request.as_bytes()) {
            Reply::Close(bytes) => bytes,
            Reply::WebSocket { response, .. } => response,
            Reply::More => panic!("more"),
        };
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
    }

    fn get(target: &str, fields: &str) -> (u16, String, String) {
        answer(&site("127.0.0.1:5000"), &format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:5000\r\n{fields}\r\n"))
    }

    const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    #[test]
    fn a_browser_gets_the_page_and_nothing_from_elsewhere() {
        let (code, head, body) = get("/", "Accept: text/html,*/*\r\n");
        assert_eq!(code, 200);
        assert!(body.contains("<title>"), "{body}");
        assert!(head.contains("Content-Security-Policy: default-src 'none'; "), "{head}");
        assert!(head.contains("connect-src 'self' ws://127.0.0.1:5000;"), "{head}");
        assert!(!head.to_ascii_lowercase().contains("access-control"), "{head}");
        assert_eq!(get("/page.js", "").0, 200);
        assert_eq!(get("/../Cargo.toml", "").0, 404);
    }

    #[test]
    fn a_program_gets_the_tree_of_addresses() {
        let (code, head, body) = get("/", "Accept: */*\r\n");
        assert!(code == 200 && head.contains("Content-Type: application/json"), "{head}");
        let tree: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(tree["CONTENTS"]["ftrace"]["CONTENTS"]["irq"]["CONTENTS"]["softirq_entry"]["TYPE"], "tfiisi");
        let (_, _, body) = get("/ftrace/irq/softirq_entry?TYPE", "");
        assert_eq!(body, r#"{"TYPE":"tfiisi"}"#);
        let (_, _, body) = get("/nowhere?HOST_INFO", "");
        let info: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&info["EXTENSIONS"]["LISTEN"], &info["WS_PORT"]), (&json!(true), &json!(5000)));
        assert_eq!(get("/ftrace/nothing", "").0, 404);
        assert_eq!(get("/ftrace/irq/softirq_entry?CONTENTS", "").0, 204, "an attribute that it lacks");
        assert_eq!(get("/ftrace/irq?NONSENSE", "").0, 400);
    }

    #[test]
    fn the_web_socket_handshake_follows_the_rfc() {
        let (code, head, _) = get("/", &format!("{UPGRADE}Origin: http://127.0.0.1:5000\r\n"));
        assert_eq!(code, 101);
        // The example of RFC 6455, section 1.3.
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert_eq!(get("/", UPGRADE).0, 101, "a program sends no origin");
        assert_eq!(get("/", &UPGRADE.replace("13", "12")).0, 400);
        assert_eq!(get("/", &UPGRADE.replace("keep-alive, Upgrade", "close")).0, 400);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for origin in
            ["http://evil.example", "null", "https://127.0.0.1:5000", "http://127.0.0.1:5001", "http://localhost:5000"]
        {
            assert_eq!(get("/", &format!("{UPGRADE}Origin: {origin}\r\n")).0, 403, "{origin}");
        }
        let ours = "Origin: http://127.0.0.1:5000\r\n";
        assert_eq!(get("/", &format!("{UPGRADE}Origin: http://evil.example\r\n{ours}")).0, 400, "two of them");
    }

    #[test]
    fn names_that_are_not_ours_are_refused() {
        let host =
            |address: &str, host: &str| answer(&site(address), &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).0;
        // Another port may be forwarded here.
        for ours in ["127.0.0.1:5000", "localhost:5000", "LOCALHOST", "[::1]:5000", "localhost:8000"] {
            assert_eq!(host("127.0.0.1:5000", ours), 200, "{ours}");
        }
        for not in ["evil.example:5000", "box:5000", "10.0.0.1:5000", "localhost.evil.example", "", "127.0.0.1.nip.io"]
        {
            assert_eq!(host("127.0.0.1:5000", not), 403, "{not}");
        }
        for ours in ["10.0.0.1:5000", "box:5000", "box.local:5000", "localhost:5000"] {
            assert_eq!(host("0.0.0.0:5000", ours), 200, "{ours}");
        }
        assert_eq!(host("0.0.0.0:5000", "evil.example:5000"), 403);
        let nameless = Site { host: String::new(), ..site("0.0.0.0:5000") };
        assert_eq!(answer(&nameless, "GET / HTTP/1.1\r\nHost: .local:5000\r\n\r\n").0, 403);
        assert_eq!(host("10.0.0.1:5000", "10.0.0.2:5000"), 403);
        assert_eq!(answer(&site("127.0.0.1:5000"), "GET / HTTP/1.1\r\n\r\n").0, 403);
        let twice = "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
        assert_eq!(answer(&site("127.0.0.1:5000"), twice).0, 400);
    }

    #[test]
    fn methods_other_than_get_are_refused() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let (code, head, _) = answer(&site("127.0.0.1:5000"), &request);
            assert!(code == 405 && head.contains("Allow: GET"), "{method}: {head}");
        }
        assert_eq!(get("/", "Content-Length: 5\r\n").0, 400);
    }

    #[test]
    fn a_header_is_awaited_up_to_its_limit_and_invalid_ones_are_refused() {
        let site = site("127.0.0.1:5000");
        assert_eq!(site.reply(b"GET / HT"), Reply::More);
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LONGEST_HEAD));
        assert_eq!(answer(&site, &long).0, 431);
        let complete = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(LONGEST_HEAD));
        assert_eq!(answer(&site, &complete).0, 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(HEADERS + 1));
        assert_eq!(answer(&site, &many).0, 431);
        assert_eq!(answer(&site, "\u{16}\u{3}\u{1} a TLS hello\r\n\r\n").0, 400);
    }
}
