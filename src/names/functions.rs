//! Parameters of the kernel's functions, from BTF.

use std::collections::HashMap;

use crate::format::btf::Parameter;

/// Parameters of functions by name.
#[derive(Debug, Clone, Default)]
pub struct Functions(HashMap<String, Vec<Parameter>>);

impl From<Vec<(String, Vec<Parameter>)>> for Functions {
    /// The first of several functions with one name wins, as in the kernel's `btf_find_by_name_kind`.
    fn from(found: Vec<(String, Vec<Parameter>)>) -> Functions {
        Functions(found.into_iter().rev().collect())
    }
}

impl Functions {
    /// The parameters of the function `name`.
    pub fn parameters(&self, name: &str) -> Option<&[Parameter]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

/// Whether records may hold arguments: the format of `function` or `funcgraph_entry` has a field for them, and the
/// tracer that writes such records is set, if a file says which one is. `read` returns a file by its path below
/// tracefs.
pub(crate) fn are_shown_in(mut read: impl FnMut(&str) -> Option<Vec<u8>>) -> bool {
    let mut text = |name: &str| read(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let formats = ["events/ftrace/function/format", "events/ftrace/funcgraph_entry/format"];
    text("current_tracer").is_none_or(|tracer| tracer.starts_with("function"))
        && formats.into_iter().filter_map(text).any(|format| format.contains(" args[]"))
}

#[cfg(test)]
impl Functions {
    /// Parses lines such as `f file ptr count unsigned - unknown s STRUCT/16`.
    pub(crate) fn parse(text: &str) -> Functions {
        use crate::format::btf::ParameterKind;
        let kind = |word: &str| match word {
            "ptr" => ParameterKind::Pointer,
            "signed" => ParameterKind::Signed,
            "unsigned" => ParameterKind::Unsigned,
            "enum" => ParameterKind::Enum,
            "unknown" => ParameterKind::Unknown,
            other => {
                let (kind, size) = other.split_once('/').unwrap();
                ParameterKind::Other(kind.to_owned(), size.parse().unwrap())
            }
        };
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let parameters = words[1..].chunks_exact(2);
            let parameters = parameters.map(|pair| Parameter { name: pair[0].replace('-', ""), kind: kind(pair[1]) });
            (words[0].to_owned(), parameters.collect())
        };
        Functions(text.lines().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::btf::ParameterKind;

    #[test]
    fn the_first_of_several_functions_with_one_name_wins() {
        let found = |n: usize| ("f".to_owned(), vec![Parameter { name: n.to_string(), kind: ParameterKind::Pointer }]);
        let functions = Functions::from(vec![found(1), found(2)]);
        assert_eq!(functions.parameters("f").unwrap()[0].name, "1");
        assert!(functions.parameters("g").is_none());
    }

    #[test]
    fn arguments_are_expected_if_a_format_has_the_field_and_no_other_tracer_is_set() {
        let shown = |files: &[(&str, &str)]| {
            are_shown_in(|name| files.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_bytes().to_vec()))
        };
        let format = ("events/ftrace/function/format", "field:unsigned long args[];");
        assert!(!shown(&[]));
        assert!(shown(&[format]));
        assert!(!shown(&[format, ("current_tracer", "nop\n")]));
        assert!(shown(&[format, ("current_tracer", "function_graph\n")]));
    }
}
