//! `-- COMMAND`: its very first events are traced, and no one else's.

use ftrace_live::tracefs::{Instance, StoppedCommand};

use crate::{event, live};

#[test]
fn the_commands_own_execve_and_its_children_are_in_the_trace_and_nothing_else() {
    let Some(tracefs) = live() else { return };
    let arguments = ["sh", "-c", "/bin/echo > /dev/null; exit 3"].map(Into::into);
    let command = StoppedCommand::spawn(&arguments).unwrap();
    let pid = command.pid();
    let instance = Instance::create(&tracefs, None).unwrap();
    let events = ["syscalls:sys_enter_execve", "sched:sched_process_exec", "sched:sched_process_fork"];
    instance.enable(&events.map(event)).unwrap();
    instance.only_processes(&[pid]).unwrap();
    instance.follow_forks().unwrap();
    instance.exclude_ourselves().unwrap();
    instance.start().unwrap();
    let status = command.release().unwrap().wait().unwrap();
    instance.stop().unwrap();
    assert_eq!(ftrace_live::tracefs::exit_code(status), 3);

    let trace = instance.read("trace").unwrap();
    let lines: Vec<&str> = trace.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines[0].contains(&format!("-{pid} ")) && lines[0].contains("sys_execve("), "{trace}");
    let execs: Vec<&&str> = lines.iter().filter(|line| line.contains("sched_process_exec:")).collect();
    assert_eq!(execs.len(), 2, "{trace}");
    assert!(execs[0].contains(&format!("pid={pid} ")) && execs[0].contains("/sh "), "{trace}");
    assert!(execs[1].contains("/echo "), "{trace}");
}
