//! Properties of the patches in all languages. tests/receivers runs them.

use super::*;
use crate::osc::{Argument, Omitted};

/// A schema with the header of `double` or `portable` types and these fields.
pub fn schema(system: &str, event: &str, fields: &[(&str, char)], double: bool) -> Schema {
    let header: &[(&str, char)] = if double {
        &[("time", 't'), ("dt", 'f'), ("cpu", 'i'), ("pid", 'i'), ("comm", 's')]
    } else {
        &[("sec", 'i'), ("usec", 'i'), ("dt", 'f'), ("cpu", 'i'), ("pid", 'i'), ("comm", 's')]
    };
    let arguments: Vec<Argument> = header
        .iter()
        .chain(fields)
        .map(|&(name, tag)| Argument { name: name.into(), tag, kernel_type: "unsigned int".into(), note: None })
        .collect();
    Schema {
        address: format!("/ftrace/{system}/{event}"),
        tags: arguments.iter().map(|a| a.tag).collect(),
        arguments,
        omitted: vec![Omitted { name: "skbaddr".into(), kernel_type: "void *".into(), why: "a pointer" }],
        system: system.into(),
        event: event.into(),
    }
}

const LISTEN: Listen<'_> = Listen { port: 9999, bind: None, prefix: "/ftrace", control: None };

fn example(language: Language) -> Vec<Schema> {
    let double = language.preset().types != crate::osc::Types::Portable;
    vec![
        schema("irq", "softirq_entry", &[("vec", 'i')], double),
        schema("sched", "sched_switch", &[("prev_comm", 's'), ("prev_pid", 'i'), ("next_pid", 'i')], double),
    ]
}

#[test]
fn a_patch_names_every_argument_and_what_is_left_out() {
    for language in Language::all() {
        let mut schemas = example(language);
        schemas[0].arguments.last_mut().unwrap().note = Some("at most 2^63 - 1");
        let text = patch(language, &schemas, LISTEN).unwrap();
        assert!(text.contains("unsigned int (at most 2^63 - 1)"), "{language:?}: how a value is encoded");
        for argument in schemas.iter().flat_map(|s| &s.arguments) {
            assert!(text.contains(&argument.name), "{language:?}: {}", argument.name);
        }
        assert!(text.contains("skbaddr") && text.contains("a pointer"), "{language:?}");
        assert!(text.contains("9999"), "{language:?}: the port");
    }
}

#[test]
fn a_patch_says_how_to_run_it_and_send_to_it() {
    for language in Language::all() {
        let text = patch(language, &example(language), LISTEN).unwrap();
        let send = format!(
            "ftrace-live --raw --hits --for {} --to 127.0.0.1:9999 -e irq:softirq_entry sched:sched_switch",
            language.name()
        );
        assert!(text.contains(&send), "{language:?}:\n{text}");
    }
}

#[test]
fn a_signature_that_the_receiver_misreads_is_refused_with_the_remedy() {
    let wide = [schema("kmem", "kmalloc", &[("bytes_req", 'h')], true)];
    let said = patch(Language::SuperCollider, &wide, LISTEN).unwrap_err().to_string();
    assert_eq!(said, "SuperCollider cannot take the type 'h' of /ftrace/kmem/kmalloc (,tfiish): use --types double");
    let double = [schema("kmem", "kmalloc", &[("bytes_req", 'd')], true)];
    for language in [Language::PureData, Language::Chuck] {
        let said = patch(language, &double, LISTEN).unwrap_err().to_string();
        assert!(said.ends_with("use --types portable"), "{said}");
    }
}

#[test]
fn no_event_and_no_such_language_are_refused() {
    assert_eq!(patch(Language::Python, &[], LISTEN), Err(PatchError::NoEvents));
    let said = Language::named("max").unwrap_err().to_string();
    assert!(said.starts_with("there is no patch for \"max\": use one of --for sc, pd, "), "{said}");
    assert!(Language::all().all(|language| said.contains(language.name())));
}

#[test]
fn no_name_can_end_a_comment_or_a_string() {
    for language in Language::all() {
        let double = language.preset().types != crate::osc::Types::Portable;
        let mut odd = schema("u.pro-be", "0x1_e.v-t", &[("a\"b\\c'd;e,f$g\nh*/i", 'i')], double);
        odd.arguments.last_mut().unwrap().kernel_type = "evil */ type\n\"quote".into();
        let text = patch(language, &[odd], Listen { port: 9999, bind: None, prefix: "/f'\"t", control: None }).unwrap();
        assert!(!text.lines().any(|l| l.starts_with("h*/i") || l.starts_with("\"quote")), "{language:?}:\n{text}");
    }
}
