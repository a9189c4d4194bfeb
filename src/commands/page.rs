//! The page: served beside a stream, or with a capture of its own.

use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use rosc::{OscMessage, OscPacket, OscType, encoder};

use super::address::refused;
use super::progress::Bar;
use super::send::Receiver;
use super::{Usage, captures, control, play, send};
use crate::capture::Capture;
use crate::capture::select::Select;
use crate::cli::{PageArgs, ReplayArgs, SendArgs};
use crate::control::desk::Settings as Desk;
use crate::control::switches::Switches;
use crate::control::{Command, Refused, udp::Control};
use crate::format::Abi;
use crate::osc::addresses::Addresses;
use crate::osc::datagram::Tag;
use crate::osc::stream::{Stream, StreamOptions};
use crate::osc::transport::Transport;
use crate::osc::{MessageOptions, MessagePlan, Strings, Types, hit, text_message};
use crate::output::audience::News;
use crate::output::{Hits, Outputs, TextMessages};
use crate::page::demo::Demo;
use crate::page::{ADDRESS, Page};
use crate::render::Settings;
use crate::replay::{Observer, Speed, State};
use crate::sound::MapperOptions;
use crate::terminal;

/// The default prefix of addresses.
const PREFIX: &str = "/ftrace";
/// The default for messages a second sent to a page: more than anybody sees. Hits are not thinned.
const MAX_RATE: u32 = 20_000;
/// The longest datagram: there is no network that would have to fragment it.
const MTU: usize = 8192;
/// How often a page is sent the position of the replay, ns.
const STATE_NS: u64 = 100_000_000;

/// Opens the page at `at` (see [`bind`]) and serves it.
pub fn open(at: &str) -> Result<Page> {
    let mut page = bind(at)?;
    serve(&mut page)?;
    Ok(page)
}

/// Serves it, and announces it with the feature `mdns`.
pub fn serve(page: &mut Page) -> Result<()> {
    page.serve().context("cannot serve the page")?;
    #[cfg(feature = "mdns")]
    if let Err(error) = page.announce() {
        terminal::warn(format_args!("the page is not announced by multicast DNS: {error}"));
    }
    Ok(())
}

/// Parses the page's address, `HOST:PORT` or empty, and warns if others can reach it.
pub fn bind(at: &str) -> Result<Page> {
    let address = if at.is_empty() { ADDRESS } else { address(at)? };
    if !address.ip().is_loopback() {
        terminal::warn(format_args!(
            "everybody who can reach {address} and has the URL sees what this kernel does; nothing is encrypted"
        ));
    }
    Page::bind(address).map_err(|error| refused(&format!("cannot serve the page at {address}"), error))
}

fn address(at: &str) -> Result<SocketAddr> {
    let usage = || {
        let how = "write HOST:PORT, such as 0.0.0.0:8000 (a capture goes before --page)";
        Usage(format!("--page {at:?} is not an address to serve at: {how}"))
    };
    let mut found = at.to_socket_addrs().map_err(|_| usage())?;
    Ok(found.next().ok_or_else(usage)?)
}

/// Adds the page's outputs to those of a run: every message, hits, and the kernel's own text.
pub fn add(
    outputs: &mut Outputs,
    page: &Page,
    args: &SendArgs,
    settings: Settings,
    addresses: &Arc<Addresses>,
) -> Result<()> {
    let hits = outputs.hits.take();
    outputs.hits = Some(hits.unwrap_or_else(|| send::hits(args)));
    stream(outputs, page, &args.form.prefix, args.max_rate, settings, addresses);
    if args.signals
        && let Some(stream) = outputs.streams.pop()
    {
        outputs.streams.push(stream.with_signals(true));
    }
    Ok(())
}

/// The form of a page's messages: everything.
fn message_options(prefix: &str, addresses: &Arc<Addresses>) -> MessageOptions {
    MessageOptions {
        types: Types::Full,
        prefix: prefix.to_owned(),
        pointers: true,
        strings: Strings::All,
        string_limit: 256,
        names: true,
        brackets: true,
        addresses: addresses.clone(),
    }
}

/// Sends all addresses of a capture to the page before its first event: an OSCQuery client queries them early, and
/// once.
pub fn know(page: &Page, capture: &Capture, prefix: &str, addresses: &Arc<Addresses>) {
    let ((names, _), options) = (capture.names(), message_options(prefix, addresses));
    let abi = Abi { endian: capture.endian, long: capture.header.long_size() };
    for format in &capture.events {
        page.frames().add(&MessagePlan::compile(format, &options, abi, &names).1);
    }
}

fn stream(
    outputs: &mut Outputs,
    page: &Page,
    prefix: &str,
    max_rate: Option<u32>,
    settings: Settings,
    addresses: &Arc<Addresses>,
) {
    let message = message_options(prefix, addresses);
    let max_rate = match max_rate {
        Some(0) => None,
        Some(rate) => Some(rate),
        None => Some(MAX_RATE),
    };
    let options = StreamOptions { message, mtu: MTU, tag: Tag::Event { latency_ns: 0 }, max_rate, aggregate: None };
    for schema in [hit::schema(prefix), text_message::schema(prefix)] {
        page.frames().add(&schema);
    }
    let stream = Stream::new(options, vec![Transport::frames(page.frames().clone())]);
    outputs.streams.push(stream.with_hits().with_text());
    outputs.words = Some(TextMessages::new(settings, prefix));
}

/// The datagrams of a run for which pages had no room, as a message.
pub fn close(page: Page) -> Option<String> {
    let lost = page.close();
    (lost > 0).then(|| format!("{lost} datagrams for which a page had no room"))
}

/// Plays a capture on a page.
pub fn run(args: &PageArgs) -> Result<ExitCode> {
    let speed = play::speed(&args.speed)?;
    let mut page = open(args.at.as_deref().unwrap_or_default())?;
    let demo = if args.demo { Some(Demo::unpack().context("the demo cannot be unpacked")?) } else { None };
    let path = match (&demo, &args.capture) {
        (Some(demo), _) => demo.path(),
        (None, Some(path)) => path.clone(),
        (None, None) => return Err(Usage("give a capture, or --demo".to_owned()).into()),
    };
    let capture = captures::open(&path, false, None)?;
    let mut outputs = Outputs::default();
    let mut hits = Hits::new(MapperOptions::default(), PREFIX);
    if let Speed::Times(times) = speed {
        hits.set_speed(times);
    }
    outputs.hits = Some(hits);
    let addresses = play::addresses(&capture, PREFIX);
    know(&page, &capture, PREFIX, &addresses);
    stream(&mut outputs, &page, PREFIX, None, captures::settings(&path, &capture), &addresses);
    let mut out = terminal::stdout();
    writeln!(out, "{}", page.url())?;
    out.flush()?;
    let options = play::options(speed, Select::default(), None, args.repeat || args.demo);
    let events = play::events(&options.select, &capture);
    let desk = Desk { typed: true, names: true, ..Desk::default() };
    let control = control::open(None, Some(&mut page), PREFIX, (Switches::new(events), desk))?;
    let mut shown = Shown::new(Bar::none(), Some(page)).with_control(control);
    let (played, _) = play::play(&path, (false, None), capture, outputs, &options, &mut shown)?;
    for error in &played.errors {
        terminal::warn(error);
    }
    Ok(if played.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a replay is shown, in addition to its receivers.
pub(super) fn shown(args: &ReplayArgs, receivers: &[Receiver], page: Option<Page>, control: Option<Control>) -> Shown {
    // Lines on the same terminal would overwrite the bar.
    let lines = args.send.print && io::stdout().is_terminal();
    let mut shown = Shown::new(if lines { Bar::none() } else { Bar::over_time() }, page).with_control(control);
    // Other receivers do not wait until somebody opens the page.
    shown.waits &= receivers.is_empty() && !args.send.print && args.start_at.is_none();
    shown
}

/// Where a replay is shown and controlled.
pub struct Shown {
    bar: Bar,
    console: Option<Console>,
    control: Option<Control>,
    /// Whether it begins when the page is opened.
    pub waits: bool,
}

impl Shown {
    /// Shown on a bar, and on a page if there is one.
    pub fn new(bar: Bar, page: Option<Page>) -> Shown {
        Shown { bar, waits: page.is_some(), console: page.map(Console::new), control: None }
    }

    /// The same with control.
    pub fn with_control(mut self, control: Option<Control>) -> Shown {
        self.control = control;
        self
    }

    /// Whether nothing can control it.
    pub fn is_bar(&self) -> bool {
        self.console.is_none() && self.control.is_none()
    }

    /// Ends both. Returns what a page has lost, as a message.
    pub fn close(self) -> Option<String> {
        drop(self.bar);
        self.console.and_then(|console| close(console.page))
    }
}

/// Sends the state of a replay to a page.
struct Console {
    page: Page,
    told: Option<(State, u64)>,
    /// The number of pages at the last update.
    connected: usize,
}

impl Console {
    fn new(page: Page) -> Console {
        Console { page, told: None, connected: 0 }
    }

    /// Whether no page is open.
    fn is_alone(&self) -> bool {
        self.page.frames().connected() == 0
    }

    /// Sends the position of the replay to pages if it is due.
    fn tell(&mut self, state: &State, now: u64) {
        let connected = self.page.frames().connected();
        let news = connected > self.connected
            || self.told.is_none_or(|(told, at)| {
                let moved = told.at != state.at && now.saturating_sub(at) >= STATE_NS;
                moved || State { at: 0, ..told } != State { at: 0, ..*state }
            });
        self.connected = connected;
        if !news {
            return;
        }
        self.told = Some((*state, now));
        let number = |truth: bool| OscType::Int(i32::from(truth));
        let args = vec![
            OscType::Double(state.at as f64 / 1e9),
            OscType::Double(state.length as f64 / 1e9),
            OscType::Double(state.speed),
            number(state.paused),
            number(state.repeat),
        ];
        let message = OscMessage { addr: format!("{}/replay", self.page.frames().prefix()), args };
        if let Ok(packet) = encoder::encode(&OscPacket::Message(message)) {
            self.page.frames().send(std::iter::once((packet.as_slice(), 1)), |_, _| {});
        }
    }
}

/// How the replay uses it.
impl Observer for Shown {
    fn warn(&mut self, text: &str) {
        self.bar.warn(text);
    }

    fn audience(&mut self, news: &News, status: Option<String>) {
        self.bar.audience(news, status);
    }

    fn position(&mut self, at: u64, length: u64) {
        self.bar.position(at, length);
    }

    fn state(&mut self, state: &State, now: u64) {
        if let Some(console) = &mut self.console {
            console.tell(state, now);
        }
        if let Some(control) = &mut self.control {
            control.tell(state);
        }
    }

    fn command(&mut self) -> Option<Command> {
        self.control.as_mut()?.command()
    }

    fn answer(&mut self, done: Result<(), Refused>) {
        if let Some(control) = &mut self.control {
            control.answer(done);
        }
    }

    fn waits(&self) -> bool {
        self.waits && self.console.as_ref().is_some_and(Console::is_alone)
    }

    fn stays(&self) -> bool {
        self.console.is_some()
    }

    fn obeys(&self) -> bool {
        self.control.is_some()
    }
}
