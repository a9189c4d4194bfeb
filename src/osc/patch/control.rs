//! The part of a patch that controls the stream (`patch --control`): docs/CONTROL.md in the receiver's own language.

use super::canvas::{Canvas, word};
use super::{Listen, quoted};

/// The lines for sclang, within its block; empty without control.
pub(super) fn sc(listen: Listen<'_>) -> String {
    let Some(control) = listen.control else { return String::new() };
    let address = |name: &str| quoted(&format!("{}/control/{name}", listen.prefix), '\'');
    let (host, port) = (quoted(control.host, '"'), control.port);
    let (prefix, state, error) =
        (quoted(&format!("{}/control/", listen.prefix), '"'), address("state"), address("error"));
    format!(
        r#"	// What is sent can be changed from here: ~control.(\solo, "irq"); ~control.(\solo); ~control.(\enable, "exceptions");
	// ~control.(\pause); ~control.(\resume); a replay: ~control.(\speed, 0.25); ~control.(\seek, 1.5);
	~ftrace = NetAddr({host}, {port});
	~control = {{ |word ... arguments| ~ftrace.sendMsg({prefix} ++ word, *arguments) }};
	// at and length in s, speed, paused, loop, events heard: each second, and when it changes.
	OSCdef({state}, {{ |msg|
		if(~state.notNil and: {{ ~state[1..] != msg[2..] }}) {{
			"ftrace-live: speed %, paused %, loop %, % events".format(*msg[3..6]).postln;
		}};
		~state = msg[1..];
	}}, {state});
	OSCdef({error}, {{ |msg| msg[2].asString.warn }}, {error});
	fork {{ loop {{ ~control.(\notify, 1); 30.wait }} }};
"#
    )
}

/// The lines for Python, before its server runs.
/// Long: it is the text as it goes into the file.
pub(super) fn python(listen: Listen<'_>) -> String {
    let Some(control) = listen.control else { return String::new() };
    let own = |name: &str| quoted(&format!("{}/control/{name}", listen.prefix), '"');
    let (host, port) = (quoted(control.host, '"'), control.port);
    format!(
        r#"
# What is sent can be changed: type `solo irq`, `enable exceptions`, `mute`, `pause`, `resume`, `speed 0.25` …
commands = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def control(word, *arguments):
    message = OscMessageBuilder({prefix} + word)
    for argument in arguments:
        message.add_arg(argument)
    commands.sendto(message.build().dgram, ({host}, {port}))


def answers():
    while True:
        try:
            dispatcher.call_handlers_for_packet(*commands.recvfrom(65536))
        except ConnectionError:
            pass  # Nobody listens there yet.


def typed():
    for line in sys.stdin:
        word, *arguments = line.split() or ["query", "paused"]
        control(word, *map(number, arguments))


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def told():
    """The state comes each second on a lease of a minute."""
    while True:
        control("notify", 1)
        time.sleep(30)


def state(address, at, length, speed, paused, repeat, events):
    print(f"at {{at:.1f}} s of {{length:.1f}}, speed {{speed:g}}, paused {{paused}}, {{events}} events", flush=True)


def refused(address, what, why):
    print(f"ftrace-live: {{why}}", flush=True)


dispatcher.map({state}, state)
dispatcher.map({error}, refused)
for part in (told, answers, typed):
    threading.Thread(target=part, daemon=True).start()
"#,
        prefix = own(""),
        state = own("state"),
        error = own("error"),
    )
}

/// The buttons for Pd, in a canvas of their own: each sends to `ftrace-control`, as other objects may.
/// Long: objects and wires are in the order of the file, which numbers them.
pub(super) fn pd(listen: Listen<'_>) -> Option<Canvas> {
    let control = listen.control?;
    let mut c = Canvas::default();
    c.comment(20, "Click, or send your own to ftrace-control: [enable exceptions( into [s ftrace-control]");
    let send = c.object_at(320, "s ftrace-control");
    let buttons = [
        "enable irq",
        "disable irq",
        "solo irq",
        "solo",
        "mute sched",
        "mute",
        "pause",
        "resume",
        "speed 0.25",
        "speed 1",
        "seek 0",
    ];
    for text in buttons {
        let button = c.message(text);
        c.wire(button, 0, send, 0);
    }
    c.gap();
    let receive = c.object("r ftrace-control");
    // The word becomes a part of the address; what follows it becomes the arguments.
    let list = c.chain(receive, 0, &["list", "t l l"]);
    let first = c.object("list split 1");
    c.wire(list, 1, first, 0);
    let parts: Vec<_> = listen.prefix.split('/').filter(|part| !part.is_empty()).map(word).collect();
    let set = c.chain(first, 0, &[&format!("list prepend set {} control", parts.join(" ")), "list trim"]);
    let rest = c.object("list split 1");
    c.wire(list, 0, rest, 0);
    let format = c.object("oscformat ftrace");
    c.wire(set, 0, format, 0);
    c.wire(rest, 1, format, 0);
    let out = c.chain(format, 0, &["list prepend send", "list trim"]);
    let net = c.object("netsend -u -b");
    c.wire(out, 0, net, 0);
    let load = c.object("loadbang");
    let connect = c.message(&format!("connect {} {}", word(control.host), control.port));
    c.wire(load, 0, connect, 0);
    c.wire(connect, 0, net, 0);
    c.comment(20, "every half minute: subscribes to the state for a minute");
    let later = c.chain(load, 0, &["delay 100", "t b"]);
    let every = c.object("metro 30000");
    c.wire(later, 0, every, 0);
    let notify = c.message("notify 1");
    c.wire(every, 0, notify, 0);
    c.wire(notify, 0, send, 0);
    c.gap();
    c.comment(20, "answers: at, length, speed, paused, loop, events heard; what was refused and why");
    let mut last = c.chain(net, 1, &["oscparse", "list trim"]);
    for part in parts.iter().map(String::as_str).chain(["control"]) {
        last = c.chain(last, 0, &[&format!("route {part}")]);
    }
    let answers = c.chain(last, 0, &["route state error"]);
    for (outlet, name) in ["state", "error"].into_iter().enumerate() {
        let print = c.object(&format!("print ftrace-{name}"));
        c.wire(answers, outlet, print, 0);
        let send = c.object(&format!("s ftrace-{name}"));
        c.wire(answers, outlet, send, 0);
    }
    Some(c)
}
