//! Handles commands without a socket: datagrams in, commands and answers out.
//!
//! Commands received at the same time are coalesced, since tracefs is slow, and only the last of ten slider positions
//! matters. A message is answered when its command was carried out or refused.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rosc::{OscMessage, OscPacket, OscType, encoder};

use super::request::{Request, request};
use super::switches::Switches;
use super::{Caller, Command, PREFIX, Refused, State};
use crate::osc::aggregate::AggregateOptions;
use crate::osc::message::{Fault, Message};
use crate::osc::packet;
use crate::tracefs::EventName;

/// The most messages of a datagram that are handled, and the most commands waiting.
const MESSAGES: usize = 64;
const COMMANDS: usize = 256;
/// How long a sender receives the state.
const LEASE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// How many senders receive the state.
const LISTENERS: usize = 16;
/// The most bytes of names in one answer to a query: a datagram that no network fragments.
const NAMES: usize = 1200;
/// How often a second the available events may be read: a flood of patterns must not cause one reading each.
const LOOKS: u32 = 50;
/// How many filters are remembered.
const FILTERS: usize = 256;

/// The options that can be changed and queried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Whether it is live: then there is no speed and no position.
    pub live: bool,
    /// Whether there are typed messages; only these have names and aggregates.
    pub typed: bool,
    /// The rate cap, if all receivers have the same.
    pub rate: Option<u32>,
    /// The processes.
    pub pids: Vec<u32>,
    /// The window and the fields.
    pub aggregate: Option<AggregateOptions>,
    /// Whether enums and flags are sent as names.
    pub names: bool,
    /// Conditions by event.
    pub filters: BTreeMap<EventName, String>,
}

/// Returns the events available now.
pub type EventsNow = Box<dyn FnMut() -> Vec<EventName> + Send>;

/// Reads the available events, with a limit.
struct Look {
    events: EventsNow,
    /// The beginning of the current second, and how often the events were read in it.
    second: Option<(Instant, u32)>,
}

impl Look {
    /// The events available now; `None` if the limit is reached.
    fn look(&mut self, now: Instant) -> Option<Vec<EventName>> {
        let (began, looks) = self.second.filter(|(began, _)| now.duration_since(*began) < SECOND).unwrap_or((now, 0));
        self.second = Some((began, looks + 1));
        (looks < LOOKS).then(|| (self.events)())
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("second", &self.second).finish_non_exhaustive()
    }
}

/// A sender that receives the state.
#[derive(Debug)]
struct Listener {
    caller: Caller,
    until: Instant,
}

/// A sender that waits for an answer.
#[derive(Debug)]
struct Asker {
    from: Caller,
    /// The message's address.
    address: String,
    /// The events that it would turn on.
    events: Vec<EventName>,
}

/// A waiting command, and those who sent it.
#[derive(Debug)]
struct Waiting {
    command: Command,
    askers: Vec<Asker>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Desk {
    prefix: String,
    switches: Switches,
    look: Option<Look>,
    settings: Settings,
    /// How many events are not heard.
    silent: usize,
    state: Option<State>,
    told: Option<(Instant, State, usize)>,
    listeners: Vec<Listener>,
    /// A new listener receives the state at once.
    joined: bool,
    waiting: VecDeque<Waiting>,
    /// The command being carried out.
    doing: Option<Waiting>,
}

impl Desk {
    /// For a stream with these events.
    pub fn new(prefix: &str, switches: Switches, settings: Settings) -> Desk {
        Desk {
            prefix: prefix.to_owned(),
            silent: switches.silent().len(),
            switches,
            look: None,
            settings,
            state: None,
            told: None,
            listeners: vec![],
            joined: false,
            waiting: VecDeque::new(),
            doing: None,
        }
    }

    /// Sets the function that returns the available events, which may change.
    pub fn look_at(&mut self, events: EventsNow) {
        self.look = Some(Look { events, second: None });
    }

    /// The available events that match `patterns`.
    fn find(&mut self, patterns: &[String], now: Instant) -> Result<Vec<EventName>, String> {
        let look = self.look.as_mut().filter(|_| !patterns.is_empty());
        if let Some(events) = look.and_then(|look| look.look(now)) {
            self.switches.take_up(events);
            self.silent = self.switches.silent().len();
        }
        self.switches.find(patterns)
    }

    /// Handles a datagram. Returns the answers to its sender that can be given at once.
    pub fn datagram(&mut self, datagram: &[u8], from: impl Into<Caller>, now: Instant) -> Vec<Vec<u8>> {
        let from = from.into();
        let mut messages = Vec::new();
        packet::messages(datagram, &mut |_, found| {
            // What is not OSC is not answered: two programs could otherwise reply to each other forever.
            if let Ok((bytes, _)) = found
                && messages.len() < MESSAGES
            {
                let message = Message::read(bytes);
                let why = message.fault.filter(|_| !message.is_whole());
                messages.push((message.flat(), why.map(|Fault { at, what }| format!("byte {at}: {what}"))));
            }
        });
        let mut answers = Vec::new();
        for (message, malformed) in messages {
            let Some(word) = message.addr.strip_prefix(&self.prefix).filter(|rest| rest.starts_with(PREFIX)) else {
                let why = format!("control messages begin with {}{PREFIX}", self.prefix);
                answers.extend(malformed.is_none().then(|| self.error(&message.addr, why)));
                continue;
            };
            if matches!(word, "/control/ok" | "/control/error") {
                continue;
            }
            if let Some(why) = malformed {
                answers.push(self.error(&message.addr, why));
                continue;
            }
            let asked = OscMessage { addr: word.to_owned(), args: message.args };
            // Its message begins with the address, here without the prefix.
            let done = request(&asked).map_err(|error| format!("{}{error}", self.prefix));
            match done.and_then(|request| self.obey(request, (from, &message.addr), now, &mut answers)) {
                Ok(true) => answers.push(self.ok(&message.addr)),
                // Answered when it is done.
                Ok(false) => {}
                Err(why) => answers.push(self.error(&message.addr, why)),
            }
        }
        answers
    }

    /// The next command to carry out, if there is one; its result must be passed to [`answer`](Desk::answer).
    pub fn command(&mut self) -> Option<Command> {
        self.doing = self.waiting.pop_front();
        self.doing.as_ref().map(|doing| doing.command.clone())
    }

    /// Handles the result of the last command. Returns the answers, each with its recipient.
    pub fn answer(&mut self, done: Result<(), Refused>) -> Vec<(Caller, Vec<u8>)> {
        let Some(Waiting { command, askers }) = self.doing.take() else { return vec![] };
        let refused = done.err();
        match &refused {
            None => self.note(command),
            Some(refused) => {
                self.switches.disable(refused.events.clone());
                self.silent = self.switches.silent().len();
            }
        }
        let answer = |asker: Asker| {
            let concerned = |refused: &&Refused| {
                refused.events.is_empty() || refused.events.iter().any(|event| asker.events.contains(event))
            };
            let message = match refused.as_ref().filter(concerned) {
                None => self.ok(&asker.address),
                Some(refused) => self.error(&asker.address, refused.why.clone()),
            };
            (asker.from, message)
        };
        askers.into_iter().map(answer).collect()
    }

    /// Remembers the new state.
    fn note(&mut self, command: Command) {
        match command {
            Command::Rate(rate) => self.settings.rate = Some(rate.unwrap_or(0)),
            Command::Pids(pids) => self.settings.pids = pids,
            Command::Aggregate(aggregate) => self.settings.aggregate = aggregate,
            Command::Names(names) => self.settings.names = names,
            Command::Filter(events, condition) => {
                for event in events {
                    match &condition {
                        Some(condition) if self.settings.filters.len() < FILTERS => {
                            self.settings.filters.insert(event, condition.clone());
                        }
                        _ => drop(self.settings.filters.remove(&event)),
                    }
                }
            }
            _ => {}
        }
    }

    /// Handles a request. Returns true if it is done, false if it waits.
    /// Long: one arm for each request.
    fn obey(
        &mut self,
        request: Request,
        (from, address): (Caller, &str),
        now: Instant,
        answers: &mut Vec<Vec<u8>>,
    ) -> Result<bool, String> {
        let mut events = Vec::new();
        let command = match request {
            Request::Notify(on) => return self.notify(on, from, now).map(|()| true),
            Request::Query(what) => return self.query(&what, now, answers).map(|()| true),
            Request::Do(command) => {
                self.check(&command)?;
                command
            }
            Request::Filter(pattern, condition) => {
                Command::Filter(self.find(&[pattern], now)?, Some(condition).filter(|text| !text.is_empty()))
            }
            Request::Pids(pids) => Command::Pids(pids),
            Request::Aggregate(..) | Request::Names(_) if !self.settings.typed => {
                return Err("text has neither names nor aggregates; restart with --raw".to_owned());
            }
            Request::Aggregate(window, fields) => Command::Aggregate(window.map(|window| {
                let events_too = self.settings.aggregate.as_ref().is_some_and(|options| options.events_too);
                AggregateOptions { window, fields, events_too }
            })),
            Request::Names(names) => Command::Names(names),
            Request::Enable(patterns) => {
                events = self.find(&patterns, now)?;
                self.switches.enable(events.clone());
                self.switch()
            }
            Request::Disable(patterns) => {
                let events = self.find(&patterns, now)?;
                self.switches.disable(events);
                self.switch()
            }
            Request::Mute(patterns) => {
                let events = self.find(&patterns, now)?;
                self.switches.mute(events);
                self.switch()
            }
            Request::Solo(patterns) => {
                let events = self.find(&patterns, now)?;
                self.switches.solo(events);
                self.switch()
            }
            Request::Hush => {
                self.switches.hush();
                self.switch()
            }
        };
        let mut askers = vec![Asker { from, address: address.to_owned(), events }];
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.command.gives_way_to(&command))
            && let Some(before) = self.waiting.remove(at)
        {
            askers.splice(0..0, before.askers);
        }
        if self.waiting.len() >= COMMANDS {
            return Err("too many commands at once; send it again".to_owned());
        }
        self.waiting.push_back(Waiting { command, askers });
        Ok(false)
    }

    fn switch(&mut self) -> Command {
        let switched = self.switches.switched();
        self.silent = switched.silent.len();
        Command::Switch(Arc::new(switched))
    }

    /// Checks whether this stream supports a command.
    fn check(&self, command: &Command) -> Result<(), String> {
        match command {
            Command::Speed(_) | Command::Seek(_) | Command::Loop(_) if self.settings.live => {
                Err("live tracing has no speed and no position; record and replay instead".to_owned())
            }
            Command::Speed(_) if self.state.is_some_and(|state| state.speed == 0.0) => {
                Err("a replay with --speed max has no speed; restart it with another --speed".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn notify(&mut self, on: bool, caller: Caller, now: Instant) -> Result<(), String> {
        self.listeners.retain(|listener| listener.caller != caller && listener.until > now);
        if on {
            if self.listeners.len() >= LISTENERS {
                return Err(format!("{LISTENERS} others receive the state already; try again in a minute"));
            }
            self.listeners.push(Listener { caller, until: now + LEASE });
            self.joined = true;
        }
        Ok(())
    }

    /// When the state must be sent even if it did not change.
    pub fn due(&self) -> Option<Instant> {
        let (told, ..) = self.told.filter(|_| !self.listeners.is_empty())?;
        Some(told + SECOND)
    }

    /// Returns the state and its recipients, if it changed or a second has passed.
    pub fn state(&mut self, state: &State, now: Instant) -> Option<(Vec<u8>, Vec<Caller>)> {
        self.state = Some(*state);
        if self.listeners.is_empty() {
            self.told = None;
            return None;
        }
        let silent = self.silent;
        let news = std::mem::take(&mut self.joined)
            || self.told.is_none_or(|(at, told, muted)| {
                now.duration_since(at) >= SECOND
                    || muted != silent
                    || State { at: 0, ..told } != State { at: 0, ..*state }
            });
        if !news {
            return None;
        }
        self.told = Some((now, *state, silent));
        self.listeners.retain(|listener| listener.until > now);
        let message = self.message("state", self.state_arguments(state));
        Some((message, self.listeners.iter().map(|listener| listener.caller).collect()))
    }

    fn query(&mut self, what: &str, now: Instant, answers: &mut Vec<Vec<u8>>) -> Result<(), String> {
        let state = self.state.unwrap_or_default();
        let int = |number: u32| OscType::Int(i32::try_from(number).unwrap_or(i32::MAX));
        let values = match what {
            "at" => vec![OscType::Float((state.at as f64 / 1e9) as f32)],
            "length" => vec![OscType::Float((state.length as f64 / 1e9) as f32)],
            "speed" => vec![OscType::Float(state.speed as f32)],
            "paused" => vec![OscType::Int(i32::from(state.paused))],
            "loop" => vec![OscType::Int(i32::from(state.repeat))],
            "names" => vec![OscType::Int(i32::from(self.settings.names))],
            "pid" => self.settings.pids.iter().map(|pid| int(*pid)).collect(),
            "rate" => match self.settings.rate {
                Some(rate) => vec![int(rate)],
                None => return Err("each kind of receiver has its own cap (--for); there is no common one".to_owned()),
            },
            "aggregate" => {
                let window = self.settings.aggregate.as_ref().map_or(0.0, |options| options.window.as_secs_f64());
                vec![OscType::Float((window * 1e3) as f32)]
            }
            "filter" => {
                for (event, condition) in &self.settings.filters {
                    let words = [what.to_owned(), event.to_string(), condition.clone()];
                    answers.push(self.message("value", words.map(OscType::String).to_vec()));
                }
                return Ok(());
            }
            _ => return self.list(what, now, answers),
        };
        let name = OscType::String(what.to_owned());
        answers.push(self.message("value", std::iter::once(name).chain(values).collect()));
        Ok(())
    }

    /// Answers with the events that match a pattern.
    fn list(&mut self, pattern: &str, now: Instant, answers: &mut Vec<Vec<u8>>) -> Result<(), String> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for event in self.find(&[pattern.to_owned()], now)? {
            let name = event.to_string();
            bytes += name.len() + 8;
            names.push(OscType::String(name));
            if bytes >= NAMES {
                answers.push(self.message("events", std::mem::take(&mut names)));
                bytes = 0;
            }
        }
        if !names.is_empty() {
            answers.push(self.message("events", names));
        }
        Ok(())
    }

    /// `at`, `length` in s, `speed`, `paused`, `loop`, events on: types that every receiver decodes.
    fn state_arguments(&self, state: &State) -> Vec<OscType> {
        let seconds = |ns: u64| OscType::Float((ns as f64 / 1e9) as f32);
        let heard = self.switches.len().saturating_sub(self.silent);
        vec![
            seconds(state.at),
            seconds(state.length),
            OscType::Float(state.speed as f32),
            OscType::Int(i32::from(state.paused)),
            OscType::Int(i32::from(state.repeat)),
            OscType::Int(i32::try_from(heard).unwrap_or(i32::MAX)),
        ]
    }

    fn ok(&self, address: &str) -> Vec<u8> {
        self.message("ok", vec![OscType::String(address.to_owned())])
    }

    fn error(&self, address: &str, why: String) -> Vec<u8> {
        let address = address.chars().take(80).collect();
        // It contains quoted patterns.
        let why = why.chars().take(500).collect();
        self.message("error", vec![OscType::String(address), OscType::String(why)])
    }

    fn message(&self, word: &str, args: Vec<OscType>) -> Vec<u8> {
        let message = OscMessage { addr: format!("{}{PREFIX}{word}", self.prefix), args };
        // rosc fails only for timetags and bundles.
        encoder::encode(&OscPacket::Message(message)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    fn desk(on: &[&str]) -> Desk {
        let events = ["irq:softirq_entry", "irq:softirq_exit", "sched:sched_switch"];
        let name = |text: &&str| text.split_once(':').map(|(system, name)| EventName::new(system, name)).unwrap();
        let switches = Switches::new(events.iter().map(name).collect());
        let on: Vec<_> = on.iter().map(name).collect();
        Desk::new("/ftrace", switches.with_on(&on), Settings { live: true, typed: true, ..Settings::default() })
    }

    fn say(desk: &mut Desk, port: u16, word: &str, args: &[&str]) -> Vec<Vec<u8>> {
        let args = args.iter().map(|text| OscType::String((*text).to_owned())).collect();
        send(desk, port, word, args, Instant::now())
    }

    fn send(desk: &mut Desk, port: u16, word: &str, args: Vec<OscType>, now: Instant) -> Vec<Vec<u8>> {
        let message = OscMessage { addr: format!("/ftrace/control/{word}"), args };
        let bytes = encoder::encode(&OscPacket::Message(message)).unwrap();
        desk.datagram(&bytes, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), now)
    }

    fn texts(answer: &[u8]) -> Vec<String> {
        let mut texts = vec![];
        packet::take_apart(answer, &mut |part| {
            let message = part.unwrap().0;
            texts.push(message.addr);
            texts.extend(message.args.into_iter().filter_map(|argument| argument.string()));
        });
        texts
    }

    fn port(caller: &Caller) -> u16 {
        match caller {
            Caller::Udp(address) => address.port(),
            Caller::Client(_) => 0,
        }
    }

    #[test]
    fn messages_of_other_programs_are_understood_or_answered() {
        let mut desk = desk(&["irq:softirq_entry", "sched:sched_switch"]);
        let mut answer = |tags: &[u8], arguments: &[u8]| {
            let bytes = [b"/ftrace/control/query\0\0\0", tags, arguments].concat();
            let answers = desk.datagram(&bytes, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), Instant::now());
            answers.iter().flat_map(|answer| texts(answer)).collect::<Vec<_>>().join(" ")
        };
        let irq = "/ftrace/control/events irq:softirq_entry irq:softirq_exit /ftrace/control/ok /ftrace/control/query";
        assert_eq!(answer(b",S\0\0", b"irq\0"), irq);
        assert_eq!(answer(b",[s]\0\0\0\0", b"irq\0"), irq);
        // No type tags: no arguments.
        assert!(answer(b"", b"").ends_with("takes one name or pattern"));
        assert!(answer(b",s\0\0", b"caf\xe9\0\0\0\0").contains("\"caf\u{fffd}\""));
        assert!(answer(b",sX\0", b"irq\0").ends_with("byte 26: an unknown type tag 'X'"));
        assert!(answer(b",s\0\0", b"irq").ends_with("an unterminated string"));
        // An answer of another such program, and what is for somebody else, is not answered with an error of its own.
        for address in [&b"/ftrace/control/error\0\0\0"[..], b"/other\0\0"] {
            let bytes = [address, b",X\0\0"].concat();
            assert!(desk.datagram(&bytes, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), Instant::now()).is_empty());
        }
    }

    #[test]
    fn coalesced_commands_are_answered_each_with_its_own_result() {
        let mut desk = desk(&["sched:sched_switch"]);
        assert!(say(&mut desk, 1, "enable", &["softirq_entry"]).is_empty(), "answered when it was carried out");
        assert!(say(&mut desk, 2, "enable", &["softirq_exit"]).is_empty());
        assert!(say(&mut desk, 3, "mute", &["sched"]).is_empty());
        let Some(Command::Switch(switched)) = desk.command() else { panic!("one command") };
        assert_eq!((switched.on.len(), switched.silent.len()), (3, 1));
        let refused = Refused { why: "no".to_owned(), events: vec![EventName::new("irq", "softirq_exit")] };
        let answers = desk.answer(Err(refused));
        let said: Vec<_> = answers.iter().map(|(to, answer)| (port(to), texts(answer))).collect();
        let word = |word: &str| format!("/ftrace/control/{word}");
        assert_eq!(said[0], (1, vec![word("ok"), word("enable")]));
        assert_eq!(said[1], (2, vec![word("error"), word("enable"), "no".to_owned()]));
        assert_eq!(said[2], (3, vec![word("ok"), word("mute")]));
        assert!(desk.command().is_none());
        // Refused events are off.
        say(&mut desk, 1, "mute", &[]);
        let Some(Command::Switch(switched)) = desk.command() else { panic!("a command") };
        assert_eq!(switched.silent.iter().map(ToString::to_string).collect::<Vec<_>>(), ["irq:softirq_exit"]);
    }

    #[test]
    fn available_events_are_read_for_patterns_but_not_for_each_of_a_flood() {
        let mut desk = desk(&["sched:sched_switch"]);
        let looks = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = looks.clone();
        desk.look_at(Box::new(move || {
            let look = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if look == 0 { vec![] } else { vec![EventName::new("uprobes", "mine")] }
        }));
        assert!(texts(&say(&mut desk, 1, "enable", &["uprobes"])[0])[0].ends_with("error"), "it does not exist yet");
        assert!(say(&mut desk, 1, "enable", &["uprobes:mine"]).is_empty());
        let Some(Command::Switch(switched)) = desk.command() else { panic!("a command") };
        assert_eq!((switched.on.len(), switched.silent.len()), (2, 2));
        for _ in 0..1000 {
            say(&mut desk, 1, "enable", &["nothing"]);
        }
        assert_eq!(looks.load(std::sync::atomic::Ordering::Relaxed), LOOKS);
    }

    #[test]
    fn a_flood_is_limited_and_refused() {
        let mut desk = desk(&[]);
        let conditions: Vec<_> = (0..3).map(|n| format!("vec == {n}")).collect();
        for condition in &conditions {
            assert!(say(&mut desk, 1, "filter", &["softirq_entry", condition]).is_empty());
        }
        let Some(Command::Filter(events, condition)) = desk.command() else { panic!("a filter") };
        assert_eq!((events.len(), condition.as_deref()), (1, Some("vec == 2")), "the last for the same events");
        assert_eq!(desk.answer(Ok(())).len(), 3);
        assert!(desk.command().is_none());
        let answers = say(&mut desk, 1, "query", &["filter"]);
        assert_eq!(texts(&answers[0])[1..], ["filter", "irq:softirq_entry", "vec == 2"]);
        say(&mut desk, 1, "filter", &["softirq_entry", ""]);
        assert!(matches!(desk.command(), Some(Command::Filter(_, None))));
        desk.answer(Ok(()));
        let answers = say(&mut desk, 1, "query", &["filter"]);
        assert_eq!(texts(&answers[0])[1..], ["/ftrace/control/query"], "none is left");
        for word in ["speed", "seek", "loop"] {
            let answers = send(&mut desk, 1, word, vec![OscType::Int(1)], Instant::now());
            assert!(texts(&answers[0])[0].ends_with("error"), "{word} live");
        }
    }

    #[test]
    fn a_refusal_that_names_no_event_concerns_everybody_who_asked() {
        let mut desk = desk(&[]);
        say(&mut desk, 1, "enable", &["softirq_entry"]);
        say(&mut desk, 2, "mute", &["sched"]);
        desk.command().unwrap();
        let answers = desk.answer(Err(Refused { why: "no".to_owned(), events: vec![] }));
        let said: Vec<_> = answers.iter().map(|(to, answer)| (port(to), texts(answer)[0].clone())).collect();
        assert_eq!(said, [(1, "/ftrace/control/error".to_owned()), (2, "/ftrace/control/error".to_owned())]);
    }

    #[test]
    fn the_limit_of_looks_is_one_for_each_second() {
        let mut desk = desk(&[]);
        let looks = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = looks.clone();
        desk.look_at(Box::new(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            vec![]
        }));
        let begin = Instant::now();
        for tenths in 0..100 {
            let now = begin + tenths * Duration::from_millis(100);
            send(&mut desk, 1, "enable", vec![OscType::String("nothing".to_owned())], now);
        }
        assert_eq!(looks.load(std::sync::atomic::Ordering::Relaxed), 100);
    }

    #[test]
    fn the_state_is_sent_when_it_changes_to_all_that_asked_in_the_last_minute() {
        let mut desk = desk(&["sched:sched_switch"]);
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let notify = |desk: &mut Desk, port, on, now| send(desk, port, "notify", vec![OscType::Int(on)], now);
        let state = |at, paused| State { at, paused, ..State::default() };
        let told = |desk: &mut Desk, state: State, now| {
            desk.state(&state, now).map(|(_, to)| to.iter().map(port).collect::<Vec<_>>())
        };
        assert_eq!(told(&mut desk, state(0, false), at(0)), None);
        notify(&mut desk, 1, 1, at(0));
        notify(&mut desk, 1, 1, at(0));
        assert_eq!(told(&mut desk, state(0, false), at(0)), Some(vec![1]), "once, however often it asks");
        assert_eq!(desk.due(), Some(at(1000)));
        // The position alone is told once a second.
        assert_eq!(told(&mut desk, state(10, false), at(10)), None);
        assert_eq!(told(&mut desk, state(999, false), at(999)), None);
        assert_eq!(told(&mut desk, state(1000, false), at(1000)), Some(vec![1]));
        // Everything else at once: another listener, a pause, an event that is muted.
        notify(&mut desk, 2, 1, at(1100));
        assert_eq!(told(&mut desk, state(1000, false), at(1100)), Some(vec![1, 2]));
        assert_eq!(told(&mut desk, state(1000, false), at(1100)), None);
        assert_eq!(told(&mut desk, state(1000, true), at(1200)), Some(vec![1, 2]));
        say(&mut desk, 3, "mute", &["sched"]);
        assert_eq!(told(&mut desk, state(1000, true), at(1300)), Some(vec![1, 2]));
        notify(&mut desk, 2, 0, at(1400));
        assert_eq!(told(&mut desk, state(1000, false), at(1400)), Some(vec![1]));
        notify(&mut desk, 4, 1, at(50_000));
        assert_eq!(told(&mut desk, state(0, false), at(60_001)), Some(vec![4]), "the first has not asked again");
        notify(&mut desk, 4, 0, at(60_002));
        assert_eq!(desk.due(), None);
    }

    #[test]
    fn a_long_list_of_events_is_answered_in_datagrams_that_no_network_fragments() {
        let events: Vec<_> = (0..200).map(|n| EventName::new("group", format!("event_{n:03}"))).collect();
        let mut desk = Desk::new("/ftrace", Switches::new(events.clone()), Settings::default());
        let answers = say(&mut desk, 1, "query", &["group"]);
        // `group:event_000` has 15 bytes, with 8 for its tag and padding 23: 53 names reach the limit of 1200.
        let counts: Vec<_> = answers.iter().map(|answer| texts(answer).len() - 1).collect();
        assert_eq!(counts[..4], [53, 53, 53, 41]);
        assert!(answers.iter().all(|answer| answer.len() < 1472));
    }
}
