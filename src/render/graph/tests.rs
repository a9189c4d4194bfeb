use super::*;
use crate::names::{Functions, Kallsyms, SavedCmdlines};

fn names() -> Names {
    let kallsyms = b"c0300000 T _stext\nc0300100 T outer\nc0300200 T leaf\nc0300300 T __irqentry_text_start\n\
                     c0300300 T handler\nc0300400 T __irqentry_text_end\nc0300500 D _end\n";
    Names {
        kallsyms: Kallsyms::parse(kallsyms).into(),
        comms: SavedCmdlines::parse(b"1 init\n15 rcu_preempt\n"),
        ..Names::default()
    }
}

const OUTER: u64 = 0xc030_0100;
const LEAF: u64 = 0xc030_0200;
const HANDLER: u64 = 0xc030_0300;

fn entry(func: u64, depth: i64) -> Entry {
    Entry { func, depth, retaddr: None, args: None, long: 8 }
}

fn exit(func: u64, depth: i64, duration: u64) -> Exit {
    Exit { func, depth, overrun: 0, duration, retval: None, long: 8 }
}

enum Event {
    Enter(u64, i64),
    Leave(u64, i64, u64),
    Comment(&'static str),
}
use Event::*;

fn text(options: &str, events: &[(u32, i32, Event)]) -> String {
    let (names, line) = (names(), LineOptions::default());
    let with = With { names: &names, options: &line };
    let mut graph_options = GraphOptions::default();
    graph_options.set_trace_options(options);
    let mut graph = Graph::new(graph_options);
    let mut out = vec![];
    for (time, (cpu, pid, event)) in (29_076_925_999u64..).step_by(1000).zip(events) {
        let at = At { cpu: *cpu, time, common: Common { flags: 0, preempt_count: 0, pid: *pid } };
        match *event {
            Enter(func, depth) => graph.entry(&mut out, at, entry(func, depth), with),
            Leave(func, depth, duration) => {
                graph.exit(&mut out, at, exit(func, depth, duration), with);
            }
            Comment(text) => graph.comment(&mut out, at, with, |out| out.extend_from_slice(text.as_bytes())),
        }
    }
    graph.finish(&mut out, with);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_leaf_is_one_line_and_a_caller_opens_and_closes_a_brace() {
    let events = [
        (1, 1, Enter(OUTER, 0)),
        (1, 1, Enter(LEAF, 1)),
        (1, 1, Leave(LEAF, 1, 9_985)),
        (1, 1, Leave(OUTER, 0, 16_956)),
    ];
    assert_eq!(
        text("funcgraph-abstime funcgraph-proc", &events),
        "   29.076925 |   1)     init-1     |               |  outer() {\n\
         \x20  29.076926 |   1)     init-1     |   9.985 us    |    leaf();\n\
         \x20  29.076928 |   1)     init-1     | + 16.956 us   |  }\n"
    );
}

#[test]
fn lines_stay_in_the_order_of_time_while_a_leaf_waits_for_its_return() {
    let events = [
        (0, 1, Enter(LEAF, 0)),
        (1, 15, Leave(OUTER, 0, 5)),
        (1, 15, Comment("sched_switch: x\n")),
        (0, 1, Leave(LEAF, 0, 123_456_789)),
    ];
    assert_eq!(
        text("", &events),
        " 0) @ 123456.7 us |  leaf();\n 1)   0.005 us    |  } /* outer */\n 1)               |  /* sched_switch: x */\n"
    );
}

#[test]
fn a_switch_of_tasks_is_shown_between_rules() {
    let events = [(0, 1, Comment("a\n")), (0, 15, Comment("b\n"))];
    let rule = " ------------------------------------------\n";
    assert_eq!(
        text("", &events),
        format!(
            " 0)               |  /* a */\n{rule} 0)     init-1     =>   rcu_pre-15  \n{rule}\n 0)               |  /* b */\n"
        )
    );
}

#[test]
fn an_interrupt_s_code_has_arrows() {
    let events = [(0, 1, Enter(HANDLER, 0)), (0, 1, Leave(HANDLER, 0, 1))];
    assert_eq!(
        text("", &events),
        " 0)   ==========> |\n 0)   0.001 us    |  __irqentry_text_start();\n 0)   <========== |\n"
    );
}

#[test]
fn an_entry_that_waits_forever_holds_back_a_limited_number_of_lines() {
    let (names, line) = (names(), LineOptions::default());
    let with = With { names: &names, options: &line };
    let at = |cpu| At { cpu, time: 0, common: Common { flags: 0, preempt_count: 0, pid: 1 } };
    let mut graph = Graph::new(GraphOptions::default());
    let mut out = vec![];
    graph.entry(&mut out, at(0), entry(LEAF, 0), with);
    for _ in 0..=MAX_HELD {
        graph.comment(&mut out, at(1), with, |_| {});
    }
    assert!(out.starts_with(b" 0)               |  leaf() {\n") && graph.held.is_empty());
}

#[test]
fn functions_that_never_return_are_printed_at_the_end() {
    assert_eq!(text("", &[(0, 1, Enter(LEAF, 0))]), " 0)               |  leaf() {\n");
}

/// The lines of a leaf within `outer`, as printed by a kernel of `release` with `options`. `outer` was recorded with
/// arguments and return address, and each returned `retval`.
fn calls(options: &str, release: (u16, u16), retval: u64) -> String {
    let names = Names { functions: Functions::parse("outer file ptr n signed\n"), ..names() };
    let line = LineOptions { release, ..LineOptions::default() };
    let with = With { names: &names, options: &line };
    let mut graph_options = GraphOptions { duration: false, ..GraphOptions::default() };
    graph_options.set_trace_options(options);
    let mut graph = Graph::new(graph_options);
    let mut out = vec![];
    let at = At { cpu: 0, time: 0, common: Common { flags: 0, preempt_count: 0, pid: 1 } };
    let args = Some([0x1000, 7, 0, 0, 0, 0]);
    let retaddr = Some(LEAF + 0x10);
    graph.entry(&mut out, at, Entry { args, retaddr, ..entry(OUTER, 0) }, with);
    graph.entry(&mut out, at, Entry { args, retaddr, ..entry(LEAF, 1) }, with);
    graph.exit(&mut out, at, Exit { retval: Some(retval), ..exit(LEAF, 1, 1) }, with);
    graph.exit(&mut out, at, Exit { retval: Some(retval), ..exit(OUTER, 0, 2) }, with);
    String::from_utf8(out).unwrap()
}

// Worked out by hand from `print_graph_retval`, `print_graph_retaddr` and `print_function_args`.
#[test]
fn recorded_arguments_follow_the_name_of_the_function() {
    assert_eq!(calls("", (6, 15), 0), " 0) outer(file=0x1000, n=7) {\n 0)   leaf();\n 0) }\n");
}

#[test]
fn a_return_value_is_a_comment_and_an_error_is_decimal() {
    let value = |retval, options| calls(options, (6, 18), retval).lines().last().unwrap().to_owned();
    assert_eq!(value(0x40, "funcgraph-retval"), " 0) } /* outer ret=0x40 */");
    assert_eq!(value(0, "funcgraph-retval"), " 0) } /* outer ret=0x0 */");
    assert_eq!(value(-22i64 as u64, "funcgraph-retval"), " 0) } /* outer ret=-22 */");
    // An `int`: the upper half of the register is undefined.
    assert_eq!(value(0xffff_ffea, "funcgraph-retval"), " 0) } /* outer ret=-22 */");
    assert_eq!(value(0xffff_ffea, "funcgraph-retval funcgraph-retval-hex"), " 0) } /* outer ret=0xffffffea */");
    assert_eq!(value(0x1_8000_0000, "funcgraph-retval"), " 0) } /* outer ret=0x180000000 */");
    assert_eq!(value(-4096i64 as u64, "funcgraph-retval"), " 0) } /* outer ret=0xfffffffffffff000 */");
}

#[test]
fn the_return_value_and_address_of_a_leaf_follow_its_call() {
    let leaf = |release, options| calls(options, release, 0x40).lines().nth(1).unwrap().to_owned();
    assert_eq!(leaf((6, 18), "funcgraph-retval"), " 0)   leaf(); /* ret=0x40 */");
    assert_eq!(leaf((6, 12), "funcgraph-retval"), " 0)   leaf(); /* = 0x40 */");
    assert_eq!(leaf((6, 18), "funcgraph-retaddr"), " 0)   leaf(); /* <-leaf+0x10/0x100 */");
    assert_eq!(leaf((6, 18), "funcgraph-retval funcgraph-retaddr"), " 0)   leaf(); /* <-leaf+0x10/0x100 ret=0x40 */");
    let first = calls("funcgraph-retaddr", (6, 18), 0).lines().next().unwrap().to_owned();
    assert_eq!(first, " 0) outer(file=0x1000, n=7) { /* <-leaf+0x10/0x100 */");
}
