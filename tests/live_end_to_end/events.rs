//! Events with known number, order, time and values.

use std::io::Write;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use rosc::OscType;

use crate::common::beside::Beside;
use crate::program::Running;
use crate::receiver::{Receiver, events};
use crate::{SLEWED_NS, live};

/// Set for the process that causes page faults.
const TOUCHER: &str = "FTRACE_LIVE_TEST_TOUCHER";
const PAGES: usize = 300;

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn assert_within(time: u64, before: u64, after: u64) {
    assert!((before - SLEWED_NS..=after + SLEWED_NS).contains(&time), "{time} is not within {before} to {after}");
}

/// Not a test: run by the test below. Waits for a line, touches fresh memory page by page, prints when and where, and
/// waits for another line.
#[test]
fn toucher_process() {
    if std::env::var_os(TOUCHER).is_none() {
        return;
    }
    let mut line = String::new();
    let page = rustix::param::page_size();
    // SAFETY: new anonymous memory at an address chosen by the kernel overlaps no memory that is in use.
    let memory = unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(std::ptr::null_mut(), PAGES * page, access, kind, -1, 0)
    };
    assert_ne!(memory, libc::MAP_FAILED);
    // SAFETY: the range is that of the mapping, and the advice does not change its contents.
    unsafe { libc::madvise(memory, PAGES * page, libc::MADV_NOHUGEPAGE) };
    let tid = rustix::thread::gettid().as_raw_nonzero();
    let comm = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm")).unwrap();
    println!("\ntoucher: {tid} {}", comm.trim_end());
    std::io::stdin().read_line(&mut line).unwrap();
    let before = now_ns();
    for index in 0..PAGES {
        // SAFETY: within the mapping, to which nothing else refers.
        unsafe { memory.cast::<u8>().add(index * page).write_volatile(1) };
    }
    let after = now_ns();
    println!("\ntouched: {} {page} {before} {after}", memory as usize);
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Starts it; returns the process, its thread's id and name.
fn start_toucher() -> (Beside, i32, String) {
    let mut toucher = Beside::start("events::toucher_process", TOUCHER);
    let said = toucher.says("toucher: ");
    let (tid, comm) = said.split_once(' ').unwrap();
    (toucher, tid.parse().unwrap(), comm.to_owned())
}

#[test]
fn each_page_touched_by_a_process_arrives_once_in_order_with_its_address_and_time() {
    let Some(live) = live() else { return };
    if !live.has("exceptions:page_fault_user") {
        return;
    }
    let receiver = Receiver::local();
    let (mut toucher, tid, comm) = start_toucher();
    let arguments =
        ["--raw", "-e", "page_fault_user", "-i", &tid.to_string(), "--to", &receiver.target(), "--max-rate", "0"];
    let program = Running::start(&live.tracefs, &arguments);
    toucher.tell("");
    let touched: Vec<u64> = toucher.says("touched: ").split(' ').map(|word| word.parse().unwrap()).collect();
    let [memory, page, before, after] = touched[..] else { panic!("{touched:?}") };
    program.stop();
    let messages = receiver.messages();

    assert_eq!(messages[0].address, "/ftrace/start");
    let address = "/ftrace/exceptions/page_fault_user";
    let schema = messages.iter().find(|m| m.address == "/ftrace/schema" && m.text(0) == address).unwrap();
    assert_eq!((schema.text(1), schema.text(2)), ("tfiisddd", "time dt cpu pid comm address ip error_code"));
    let events = events(&messages);
    assert!(events.iter().all(|event| event.address == address), "an event that nobody asked for");
    assert!(events.iter().all(|event| event.int(3) == tid), "a process that nobody asked for");
    let range = memory as f64..(memory + PAGES as u64 * page) as f64;
    let ours: Vec<_> = events.into_iter().filter(|event| range.contains(&event.double(5))).collect();

    let addresses: Vec<_> = ours.iter().map(|event| event.double(5) as u64).collect();
    let touched: Vec<_> = (0..PAGES as u64).map(|index| memory + index * page).collect();
    assert_eq!(addresses, touched);
    for event in &ours {
        assert_eq!((event.tags.as_str(), event.text(4)), ("tfiisddd", comm.as_str()));
        assert_within(event.time_ns(), before, after);
        assert!(event.bundle_ns <= event.time_ns(), "a bundle's time is that of its first event");
        if cfg!(target_arch = "x86_64") {
            // X86_PF_WRITE | X86_PF_USER: a page that was not there, written by user space.
            assert_eq!(event.double(7), 6.0);
        }
    }
    for (one, next) in ours.iter().zip(&ours[1..]) {
        assert!(one.time_ns() < next.time_ns());
        // `dt` is the difference of two times, in ms.
        let OscType::Float(dt) = next.arguments[1] else { panic!("{next:?}") };
        let between = (next.time_ns() - one.time_ns()) as f64 / 1e6;
        assert!((f64::from(dt) - between).abs() <= between * 1e-6 + 1e-6, "dt {dt} is not {between}");
    }
}

#[test]
fn text_written_to_the_trace_marker_arrives_unchanged() {
    let Some(live) = live() else { return };
    if !live.has("irq:softirq_entry") {
        return;
    }
    let receiver = Receiver::local();
    // An event that rarely occurs for a sleeping process.
    let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = sleeper.id().to_string();
    let arguments = ["--raw", "-e", "softirq_entry", "-i", &pid, "--to", &receiver.target(), "--max-rate", "0"];
    let program = Running::start(&live.tracefs, &arguments);
    let mut marker = std::fs::OpenOptions::new().write(true).open(program.instance().join("trace_marker")).unwrap();
    let before = now_ns();
    let texts: Vec<_> = (0..50).map(|n| format!("mark {n}: \"Käse\", ☃")).collect();
    for text in &texts {
        marker.write_all(text.as_bytes()).unwrap();
    }
    let after = now_ns();
    drop(marker);
    program.stop();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let messages = receiver.messages();

    let address = "/ftrace/ftrace/print";
    let at = |wanted: &str, text: Option<&str>| {
        messages.iter().position(|m| m.address == wanted && text.is_none_or(|text| m.text(0) == text)).unwrap()
    };
    assert!(at("/ftrace/schema", Some(address)) < at(address, None), "announced before it is first sent");
    let marks: Vec<_> = messages.iter().filter(|message| message.address == address).collect();
    // The kernel terminates each with a line break (`tracing_mark_write`).
    let arrived: Vec<_> = marks.iter().map(|mark| mark.text(6).trim_end_matches('\n')).collect();
    assert_eq!(arrived, texts);
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    for mark in marks {
        assert_eq!((mark.tags.as_str(), mark.int(3)), ("tfiisds", tid));
        assert_within(mark.time_ns(), before, after);
    }
}

#[test]
fn events_of_all_cpus_leave_in_the_order_of_time_and_the_statistics_count_them() {
    let Some(live) = live() else { return };
    if !live.has("raw_syscalls:sys_enter") {
        return;
    }
    let receiver = Receiver::local();
    let script = "for i in 1 2 3 4 5 6 7 8; do (ls / > /dev/null) & done; wait";
    let arguments =
        ["--raw", "-e", "raw_syscalls", "--to", &receiver.target(), "--max-rate", "0", "--", "sh", "-c", script];
    let ended = Running::spawn(&live.tracefs, &arguments).end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let messages = receiver.messages();
    let events = events(&messages);
    assert!(events.len() > 500, "only {} events", events.len());
    // A system call is entered before it is left, on any CPU: entries and exits of a thread alternate.
    let mut threads = std::collections::BTreeMap::<i32, Vec<(&str, u64, f64)>>::new();
    for event in &events {
        threads.entry(event.int(3)).or_default().push((&event.address[21..], event.time_ns(), event.double(5)));
    }
    for (tid, calls) in threads {
        assert!(calls.is_sorted_by_key(|call| call.1), "thread {tid} goes back in time");
    }
    // The last window's message precedes stop; each has the number of events read in it.
    let stats: Vec<_> = messages.iter().filter(|message| message.address == "/ftrace/stat").collect();
    assert!(stats.iter().all(|stat| stat.tags == "iiiiiif"));
    let read: i32 = stats.iter().map(|stat| stat.int(0)).sum();
    assert_eq!(read as usize, events.len());
    assert!(stats.iter().all(|stat| stat.int(3) == 0 && stat.int(4) == 0), "lost or malformed: {stats:?}");
}
