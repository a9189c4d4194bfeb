//! The OSCQuery tree: every address with its type tags as JSON, for programs that read such trees.
//!
//! The attributes are those of the OSCQuery proposal (github.com/Vidvox/OSCQueryProposal): `FULL_PATH`, `CONTENTS`, `TYPE`,
//! `ACCESS`, `DESCRIPTION`, `EXTENDED_TYPE`. `describe` prints the tree; the [page](crate::page)'s server serves it.

use serde_json::{Map, Value, json};

use super::{
    Argument, Schema, Types,
    about::{self, Stat},
    print,
};

/// The attributes that a node may have.
pub const ATTRIBUTES: [&str; 6] = ["FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "DESCRIPTION", "EXTENDED_TYPE"];

/// `ACCESS` of an address that can be read but not set.
const READ: u8 = 1;
/// `ACCESS` of a container.
const NONE: u8 = 0;

/// The tree of the events in `schemas` and of the messages about the stream, below `prefix`.
///
/// ```
/// use ftrace_live::osc::{Argument, Schema, Types, oscquery};
/// let schema = Schema {
///     address: "/ftrace/irq/softirq_entry".into(),
///     tags: "i".into(),
///     arguments: vec![Argument { name: "vec".into(), tag: 'i', kernel_type: "unsigned int".into(), note: None }],
///     omitted: vec![],
///     system: "irq".into(),
///     event: "softirq_entry".into(),
/// };
/// let tree = oscquery::tree(&[schema], "/ftrace", Types::Portable);
/// let event = &tree["CONTENTS"]["ftrace"]["CONTENTS"]["irq"]["CONTENTS"]["softirq_entry"];
/// assert_eq!((event["FULL_PATH"].as_str(), event["TYPE"].as_str()), (Some("/ftrace/irq/softirq_entry"), Some("i")));
/// ```
pub fn tree(schemas: &[Schema], prefix: &str, types: Types) -> Value {
    let mut root = container("/");
    for schema in schemas {
        let mut description = match schema.address.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
            // Messages about the stream describe their arguments, since no kernel does.
            Some(name) if !name.contains('/') => {
                let argument = |argument: &Argument| format!("{}: {}", argument.name, argument.kernel_type);
                schema.arguments.iter().map(argument).collect::<Vec<_>>().join(". ")
            }
            _ => format!("{}:{}", schema.system, schema.event),
        };
        for omitted in &schema.omitted {
            description += &format!("; not sent: {} ({})", omitted.name, omitted.why);
        }
        let names = schema.arguments.iter().map(|a| a.name.as_str()).collect();
        put(&mut root, &schema.address, &schema.tags, &description, names);
    }
    // The signatures are taken from real messages, so that they are defined once.
    let of_the_stream = [
        (about::start(prefix, types, "", 0, 0), "sent once, when the stream starts"),
        (about::stat(prefix, &Stat::default()), "each second: what was read, sent and lost"),
        (about::stop(prefix), "sent once, when the stream ends"),
    ];
    for (message, description) in of_the_stream {
        put(&mut root, &message.addr, &print::tags(&message.args), description, vec![]);
    }
    put(
        &mut root,
        &format!("{prefix}/schema"),
        "sss",
        "at the start and every 10 s: the signature of an address",
        vec!["address", "type tags", "argument names"],
    );
    Value::Object(root)
}

fn container(path: &str) -> Map<String, Value> {
    let Value::Object(node) = json!({ "FULL_PATH": path, "ACCESS": NONE, "CONTENTS": {} }) else { return Map::new() };
    node
}

/// Puts a leaf at `address`, and creates the containers above it.
fn put(root: &mut Map<String, Value>, address: &str, tags: &str, description: &str, names: Vec<&str>) {
    let mut node = root;
    let mut path = String::new();
    let mut parts = address.split('/').filter(|p| !p.is_empty()).peekable();
    while let Some(part) = parts.next() {
        path.push('/');
        path.push_str(part);
        // A leaf may also be a container: an event system called `stat` holds events besides the message of that
        // name.
        let contents = node.entry("CONTENTS").or_insert_with(|| json!({}));
        let Value::Object(contents) = contents else { return };
        let child = contents.entry(part).or_insert_with(|| Value::Object(container(&path)));
        let Value::Object(child) = child else { return };
        if parts.peek().is_none() {
            child.insert("ACCESS".into(), READ.into());
            child.insert("TYPE".into(), tags.into());
            child.insert("DESCRIPTION".into(), description.into());
            if !names.is_empty() {
                child.insert("EXTENDED_TYPE".into(), names.into());
            }
            if child.get("CONTENTS").is_some_and(|c| c.as_object().is_some_and(Map::is_empty)) {
                child.remove("CONTENTS");
            }
            return;
        }
        node = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osc::{Argument, Omitted};

    fn schema(system: &str, event: &str) -> Schema {
        Schema {
            address: format!("/ftrace/{system}/{event}"),
            tags: "is".into(),
            arguments: [("cpu", 'i'), ("comm", 's')]
                .map(|(name, tag)| Argument { name: name.into(), tag, kernel_type: "int".into(), note: None })
                .to_vec(),
            omitted: vec![Omitted { name: "skbaddr".into(), kernel_type: "void *".into(), why: "a pointer" }],
            system: system.into(),
            event: event.into(),
        }
    }

    /// Checks that every node is at the path that it states.
    fn check(node: &Value, at: &str, leaves: &mut Vec<(String, String)>) {
        let path = if at.is_empty() { "/" } else { at };
        assert_eq!(node["FULL_PATH"], path);
        if let Some(tags) = node.get("TYPE") {
            assert_eq!(node["ACCESS"], 1, "{path}");
            leaves.push((path.into(), tags.as_str().unwrap().into()));
        }
        for (name, child) in node.get("CONTENTS").and_then(Value::as_object).into_iter().flatten() {
            check(child, &format!("{at}/{name}"), leaves);
        }
    }

    #[test]
    fn every_event_is_at_its_path_with_its_type_tags() {
        let tree = tree(&[schema("irq", "x"), schema("irq", "y"), schema("stat", "z")], "/ftrace", Types::Double);
        let mut leaves = Vec::new();
        check(&tree, "", &mut leaves);
        leaves.sort_unstable();
        let leaves: Vec<_> = leaves.iter().map(|(path, tags)| (path.as_str(), tags.as_str())).collect();
        assert_eq!(
            leaves,
            [
                ("/ftrace/irq/x", "is"),
                ("/ftrace/irq/y", "is"),
                ("/ftrace/schema", "sss"),
                ("/ftrace/start", "siit"),
                ("/ftrace/stat", "iiiiiif"),
                ("/ftrace/stat/z", "is"),
                ("/ftrace/stop", ""),
            ]
        );
    }

    #[test]
    fn an_event_describes_its_arguments_and_omitted_fields() {
        let tree = tree(&[schema("irq", "x")], "/ftrace", Types::Portable);
        let event = &tree["CONTENTS"]["ftrace"]["CONTENTS"]["irq"]["CONTENTS"]["x"];
        assert_eq!(event["EXTENDED_TYPE"], json!(["cpu", "comm"]));
        assert_eq!(event["DESCRIPTION"], "irq:x; not sent: skbaddr (a pointer)");
        assert_eq!(event.get("CONTENTS"), None, "a leaf holds nothing");
    }

    #[test]
    fn a_hit_describes_its_arguments() {
        let tree = tree(&[crate::osc::hit::schema("/ftrace")], "/ftrace", Types::Full);
        let hit = &tree["CONTENTS"]["ftrace"]["CONTENTS"]["hit"];
        assert_eq!(hit["TYPE"], "siifffff");
        assert!(hit["DESCRIPTION"].as_str().unwrap().contains("note: MIDI note number"), "{hit}");
    }

    #[test]
    fn the_prefix_may_have_several_parts() {
        let tree = tree(&[], "/my/kernel", Types::Portable);
        assert_eq!(tree["CONTENTS"]["my"]["CONTENTS"]["kernel"]["CONTENTS"]["stop"]["FULL_PATH"], "/my/kernel/stop");
    }
}
