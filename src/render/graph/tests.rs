use super::*;
use crate::names::{Comms, Kallsyms};

fn names() -> Names {
    let kallsyms = b"c0300000 T _stext\nc0300100 T outer\nc0300200 T leaf\nc0300300 T __irqentry_text_start\n\
                     c0300300 T handler\nc0300400 T __irqentry_text_end\nc0300500 D _end\n";
    Names { kallsyms: Kallsyms::parse(kallsyms), comms: Comms::parse(b"1 init\n15 rcu_preempt\n"), ..Names::default() }
}

const OUTER: u64 = 0xc030_0100;
const LEAF: u64 = 0xc030_0200;
const HANDLER: u64 = 0xc030_0300;

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
            Enter(func, depth) => graph.entry(&mut out, at, Entry { func, depth }, with),
            Leave(func, depth, duration) => {
                graph.exit(&mut out, at, Exit { func, depth, overrun: 0, duration }, with);
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
fn an_entry_that_waits_for_ever_holds_no_more_than_so_many_lines_back() {
    let (names, line) = (names(), LineOptions::default());
    let with = With { names: &names, options: &line };
    let at = |cpu| At { cpu, time: 0, common: Common { flags: 0, preempt_count: 0, pid: 1 } };
    let mut graph = Graph::new(GraphOptions::default());
    let mut out = vec![];
    graph.entry(&mut out, at(0), Entry { func: LEAF, depth: 0 }, with);
    for _ in 0..=MAX_HELD {
        graph.comment(&mut out, at(1), with, |_| {});
    }
    assert!(out.starts_with(b" 0)               |  leaf() {\n") && graph.held.is_empty());
}

#[test]
fn what_never_returns_is_written_in_the_end() {
    assert_eq!(text("", &[(0, 1, Enter(LEAF, 0))]), " 0)               |  leaf() {\n");
}
