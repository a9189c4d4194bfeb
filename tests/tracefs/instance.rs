//! The life of an instance: created inactive, set up, filled, removed.

use ftrace_live::tracefs::{EventFilter, Instance, RawRead, Selection, TraceClock, TracefsError};

use crate::{event, live};

#[test]
fn an_instance_is_created_inactive_and_leaves_nothing() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let path = instance.path().to_path_buf();
    assert!(path.is_dir());
    assert!(instance.name().starts_with(&format!("ftrace-live-{}", std::process::id())));
    assert!(!instance.is_on().unwrap());
    instance.start().unwrap();
    assert!(instance.is_on().unwrap());
    instance.close().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_panic_removes_the_instance() {
    let Some(tracefs) = live() else { return };
    let path = std::sync::Mutex::new(None);
    let panicked = std::panic::catch_unwind(|| {
        let instance = Instance::create(&tracefs, None).unwrap();
        instance.enable(&[event("irq:softirq_entry")]).unwrap();
        instance.start().unwrap();
        let _raw = instance.open_raw().unwrap();
        *path.lock().unwrap() = Some(instance.path().to_path_buf());
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert!(!path.into_inner().unwrap().unwrap().exists());
}

#[test]
fn an_instance_is_removed_only_after_its_raw_buffers_are_closed() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let path = instance.path().to_path_buf();
    let raw = instance.open_raw().unwrap();
    let error = instance.close().unwrap_err();
    assert!(error.to_string().contains("busy"), "{error}");
    assert!(path.exists());
    drop(raw);
    std::fs::remove_dir(&path).unwrap();
}

#[test]
fn settings_arrive_in_the_control_files() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    instance.set_clock(&TraceClock::Mono).unwrap();
    instance.set_buffer_percent(0).unwrap();
    instance.set_buffer_kib(512).unwrap();
    instance.set_option("overwrite", false).unwrap();
    instance.follow_forks().unwrap();
    instance.only_processes(&[1]).unwrap();
    instance.exclude_tasks([1, 2]).unwrap();
    instance.exclude_ourselves().unwrap();
    instance.set_cpus(&"0".parse().unwrap()).unwrap();
    let read = |file: &str| instance.read(file).unwrap().trim().to_string();
    assert!(read("trace_clock").contains("[mono]"));
    assert_eq!(read("buffer_percent"), "0");
    // The kernel counts in whole sub-buffers, and only the part with records.
    assert!(read("buffer_size_kb").parse::<u64>().unwrap() >= 512);
    let options = read("trace_options");
    assert!(options.lines().any(|line| line == "nooverwrite") && options.lines().any(|line| line == "event-fork"));
    assert!(read("set_event_pid").lines().any(|line| line == "1"));
    let excluded = read("set_event_notrace_pid");
    let own_thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    for tid in ["1", "2", &own_thread] {
        assert!(excluded.lines().any(|line| line == tid), "{tid} is not in {excluded}");
    }
    assert_eq!(read("tracing_cpumask").trim_start_matches(['0', ',']), "1");
}

#[test]
fn the_header_page_follows_the_instances_sub_buffer_size() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    if !instance.path().join("buffer_subbuf_size_kb").exists() {
        crate::common::skipped::say(format_args!("this kernel cannot change the sub-buffer size"));
        return;
    }
    assert_eq!(instance.header_page().unwrap(), tracefs.read("events/header_page").unwrap());
    instance.set_sub_buffer_kib(64).unwrap();
    let header = instance.header_page().unwrap();
    assert!(header.contains("size:65520;"), "{header}");
    assert_ne!(instance.header_page().unwrap(), tracefs.read("events/header_page").unwrap());
}

#[test]
fn an_instances_events_have_the_ids_and_formats_of_the_top_level() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    for name in tracefs.events().unwrap().iter().filter(|name| ["irq", "sched", "kmem"].contains(&name.system.as_str()))
    {
        let file = name.folder().join("format");
        assert_eq!(instance.read(&file).unwrap(), tracefs.format(name).unwrap(), "{name}");
    }
}

#[test]
fn whole_groups_and_single_events_are_enabled_and_nothing_else() {
    let Some(tracefs) = live() else { return };
    let available = tracefs.events().unwrap();
    let selection = Selection::parse(&["irq", "sched:sched_switch", "syscalls:sys_enter_open*"]).unwrap();
    let selected = selection.resolve(&available).unwrap();
    let instance = Instance::create(&tracefs, None).unwrap();
    let enabled = instance.enable(&selected.events).unwrap();
    assert!(enabled.failures.is_empty(), "{:?}", enabled.failures);
    assert_eq!(enabled.events, selected.events);
    let mut on: Vec<_> = instance.read("set_event").unwrap().lines().map(event).collect();
    let mut expected = selected.events.clone();
    on.sort();
    expected.sort();
    assert_eq!(on, expected);
    instance.disable_all().unwrap();
    assert_eq!(instance.read("set_event").unwrap().trim(), "");
}

#[test]
fn events_that_cannot_be_enabled_are_reported_and_the_others_enabled() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let (good, bad) = (event("irq:softirq_entry"), event("irq:no_such_event"));
    let enabled = instance.enable(&[good.clone(), bad.clone()]).unwrap();
    assert_eq!(enabled.events, [good]);
    assert_eq!(enabled.failures.len(), 1);
    assert!(enabled.failures[0].to_string().starts_with("irq:no_such_event cannot be enabled (No such file"));
    let error = instance.enable(&[bad]).unwrap_err();
    assert!(matches!(error, TracefsError::NothingEnabled(_)), "{error}");
}

#[test]
fn a_filter_refused_by_the_kernel_has_its_message_and_caret() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let selected = [event("irq:irq_handler_entry"), event("sched:sched_switch")];
    let filters = |texts: &[&str]| texts.iter().map(|text| text.parse::<EventFilter>().unwrap()).collect::<Vec<_>>();
    instance.set_filters(&filters(&["irq:irq_handler_entry=irq>3"]), &selected).unwrap();
    assert_eq!(instance.read("events/irq/irq_handler_entry/filter").unwrap().trim(), "irq>3");

    let error = instance.set_filters(&filters(&["irq_handler_entry=no_such_field==3"]), &selected).unwrap_err();
    let text = error.to_string();
    assert!(error.is_usage());
    assert!(
        text.contains("irq:irq_handler_entry") && text.contains("no_such_field==3\n") && text.contains(" ^\n"),
        "{text}"
    );
    assert!(text.contains("Field not found"), "{text}");
    // The kernel refuses these with EPERM, ENOENT, ESRCH.
    for condition in ["irq==1;", "irq==1 and irq==2", "((irq==1)", "irq==1)", "*", "name==\"x"] {
        let all = filters(&[&format!("irq_handler_entry={condition}")]);
        let error = instance.set_filters(&all, &selected).unwrap_err();
        let refused = matches!(&error, TracefsError::FilterRefused { kernel, .. } if kernel.starts_with(condition));
        assert!(refused && error.is_usage(), "{condition}: {error}");
    }

    let error = instance.set_filters(&filters(&["irq:softirq_entry=vec==3"]), &selected).unwrap_err();
    assert!(matches!(error, TracefsError::FilterUnmatched(_)), "{error}");
}

#[test]
fn all_filters_given_for_an_event_hold() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let selected = [event("irq:irq_handler_entry"), event("irq:softirq_entry")];
    let filters = ["irq:irq_handler_entry=irq>3 || irq==1", "irq=common_pid!=7", "softirq_entry=vec.function==kfree"];
    let filters: Vec<EventFilter> = filters.map(|text| text.parse().unwrap()).into();
    instance.set_filters(&filters[..2], &selected).unwrap();
    let file = |event: &str| instance.read(format!("events/irq/{event}/filter")).unwrap().trim().to_owned();
    assert_eq!(file("irq_handler_entry"), "(irq>3 || irq==1 ) && (common_pid!=7 )");
    assert_eq!(file("softirq_entry"), "common_pid!=7");
    // A word that the parentheses must not touch.
    match instance.set_filters(&filters[2..], &selected) {
        Ok(()) => instance.set_filters(&filters[1..], &selected).unwrap(),
        Err(error) => eprintln!("no .function here: {error}"),
    }
}

#[test]
fn an_oversized_ring_an_unknown_clock_cpu_and_process_are_each_reported() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let error = instance.set_buffer_kib(1 << 40).unwrap_err();
    assert!(matches!(error, TracefsError::BufferTooLarge { .. }) && error.to_string().contains("-b"), "{error}");
    let error = instance.set_clock(&TraceClock::from_name("sundial")).unwrap_err();
    assert!(error.to_string().contains("no trace clock \"sundial\": it has local, global"), "{error}");
    let error = instance.set_cpus(&"60000".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("there is no CPU 60000; there are 0"), "{error}");
    let error = instance.only_processes(&[4_194_305]).unwrap_err();
    assert!(matches!(error, TracefsError::NoSuchProcess(4_194_305)), "{error}");
}

#[test]
fn an_unknown_tracer_is_refused_with_the_list_of_tracers() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    let error = instance.set_tracer("no_such_tracer", &[]).unwrap_err().to_string();
    assert!(error.contains("current_tracer: Invalid argument") && error.contains("nop"), "{error}");
    instance.set_tracer("nop", &[]).unwrap();
}

#[test]
fn events_in_the_ring_are_read_raw_one_sub_buffer_per_read() {
    let Some(tracefs) = live() else { return };
    let instance = Instance::create(&tracefs, None).unwrap();
    instance.start().unwrap();
    for n in 0..500 {
        instance.mark(&format!("mark number {n}")).unwrap();
    }
    instance.stop().unwrap();
    let entries: u64 = instance.cpus().iter().map(|cpu| instance.stats(*cpu).unwrap().entries).sum();
    assert_eq!(entries, 500);
    let mut bytes = Vec::new();
    for raw in instance.open_raw().unwrap() {
        let mut page = vec![0; 4096];
        loop {
            match raw.read(&mut page).unwrap() {
                RawRead::SubBuffer(length) => {
                    assert_eq!(length, 4096);
                    bytes.extend_from_slice(&page);
                }
                RawRead::Nothing => continue,
                RawRead::Empty | RawRead::Gone => break,
            }
        }
    }
    let marks = bytes.windows(12).filter(|window| window == b"mark number ").count();
    assert_eq!(marks, 500);
    let read: u64 = instance.cpus().iter().map(|cpu| instance.stats(*cpu).unwrap().read).sum();
    assert_eq!(read, 500);
}
