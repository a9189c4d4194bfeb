//! Ready-made patches: a complete program in a receiver's own language, for given events and their real signatures.
//!
//! A patch runs as it is printed. It listens on the preset's port, plays the hits sent by `--hits` (Python prints
//! them), reports when the stream starts, stops and loses events, and has comments that name every argument of the
//! events, as a starting point for changes. Which event makes which sound is decided in [`sound`](crate::sound).

mod canvas;
mod chuck;
mod control;
mod csound;
mod hit;
mod pd;
mod python;
mod sc;

use std::net::IpAddr;

use super::{Schema, preset::Preset};
use crate::escape::is_escaped;

/// The languages a patch can be written in: the presets of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// SuperCollider's sclang.
    SuperCollider,
    /// A Pure Data patch file.
    PureData,
    /// ChucK.
    Chuck,
    /// A Csound document (CSD).
    Csound,
    /// Python with python-osc.
    Python,
}

/// Where the patch listens, and the prefix of addresses.
#[derive(Debug, Clone, Copy)]
pub struct Listen<'a> {
    /// The UDP port.
    pub port: u16,
    /// The address, if one was given.
    pub bind: Option<IpAddr>,
    /// The beginning of all addresses: `/ftrace`.
    pub prefix: &'a str,
    /// Where the stream accepts commands, if the patch should send some: `--control`.
    pub control: Option<Control<'a>>,
}

/// Where a stream accepts commands.
#[derive(Debug, Clone, Copy)]
pub struct Control<'a> {
    /// The machine.
    pub host: &'a str,
    /// The UDP port.
    pub port: u16,
}

/// Why there is no patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// No patch is written for this receiver.
    #[error("there is no patch for {0:?}: use one of --for {known}", known = named(|_| true))]
    Language(String),
    /// The receiver's patch cannot send commands.
    #[error("the patch for {0} cannot send commands: use one of --for {can}, or send by hand (docs/CONTROL.md)", can = named(|row| row.commands))]
    Control(&'static str),
    /// The receiver listens on every address of its machine and has no option for that.
    #[error("{0} listens on every address of its machine: leave out --bind (a firewall can keep others out)")]
    Bind(&'static str),
    /// Nothing to listen to.
    #[error("a patch needs at least one event: give it as SYSTEM:EVENT")]
    NoEvents,
    /// The receiver misreads a type this signature has.
    #[error("{receiver} cannot take the type '{tag}' of {address} (,{tags}): use --types {types}")]
    Tag {
        /// The receiver's name.
        receiver: &'static str,
        /// The type tag.
        tag: char,
        /// The address.
        address: String,
        /// Its whole signature.
        tags: String,
        /// The types that the receiver takes.
        types: &'static str,
    },
}

/// A language, and what its receiver can do.
struct Row {
    language: Language,
    /// The preset's name.
    name: &'static str,
    /// The file name ending of such a program.
    extension: &'static str,
    /// The type tags that the receiver decodes without corrupting later arguments.
    takes: &'static str,
    /// Whether its patch can send commands: [`Listen::control`].
    commands: bool,
    /// Whether it can listen on one address only: [`Listen::bind`].
    binds: bool,
    /// Writes the program.
    patch: fn(&[Schema], Listen<'_>) -> String,
}

/// A row for each language.
const LANGUAGES: &[Row] = &[
    Row {
        language: Language::SuperCollider,
        name: "sc",
        extension: "scd",
        takes: "ifsbtd",
        commands: true,
        binds: false,
        patch: sc::patch,
    },
    Row {
        language: Language::PureData,
        name: "pd",
        extension: "pd",
        takes: "ifs",
        commands: true,
        binds: false,
        patch: pd::patch,
    },
    Row {
        language: Language::Chuck,
        name: "chuck",
        extension: "ck",
        takes: "ifs",
        commands: false,
        binds: false,
        patch: chuck::patch,
    },
    Row {
        language: Language::Csound,
        name: "csound",
        extension: "csd",
        takes: "ifsdh",
        commands: false,
        binds: false,
        patch: csound::patch,
    },
    Row {
        language: Language::Python,
        name: "python",
        extension: "py",
        takes: "ifsbtdhTF[]",
        commands: true,
        binds: true,
        patch: python::patch,
    },
];

/// The names of the languages that can do something, as a list for people.
fn named(can: impl Fn(&&Row) -> bool) -> String {
    LANGUAGES.iter().filter(can).map(|row| row.name).collect::<Vec<_>>().join(", ")
}

impl Language {
    /// All languages.
    pub fn all() -> impl Iterator<Item = Language> {
        LANGUAGES.iter().map(|row| row.language)
    }

    fn row(self) -> &'static Row {
        LANGUAGES.iter().find(|row| row.language == self).unwrap_or(&LANGUAGES[0])
    }

    /// The language for `--for name`.
    pub fn named(name: &str) -> Result<Language, PatchError> {
        Language::all().find(|l| l.name() == name).ok_or_else(|| PatchError::Language(name.to_owned()))
    }

    /// The preset's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The preset with this receiver's port and types.
    pub fn preset(self) -> &'static Preset {
        Preset::named(self.name()).unwrap_or(Preset::default_preset())
    }

    /// The file name ending such a program has.
    pub fn extension(self) -> &'static str {
        self.row().extension
    }

    /// The type tags that the receiver decodes without corrupting later arguments.
    fn takes(self) -> &'static str {
        self.row().takes
    }
}

/// The complete program in `language` which plays (or prints) the events of `schemas`.
pub fn patch(language: Language, schemas: &[Schema], listen: Listen<'_>) -> Result<String, PatchError> {
    let only_some = listen.bind.is_some_and(|address| !address.is_unspecified());
    if only_some && !language.row().binds {
        return Err(PatchError::Bind(language.preset().receiver));
    }
    if schemas.is_empty() {
        return Err(PatchError::NoEvents);
    }
    if listen.control.is_some() && !language.row().commands {
        return Err(PatchError::Control(language.preset().receiver));
    }
    for schema in schemas {
        if let Some(tag) = schema.tags.chars().find(|&t| !language.takes().contains(t)) {
            return Err(PatchError::Tag {
                receiver: language.preset().receiver,
                tag,
                address: schema.address.clone(),
                tags: schema.tags.clone(),
                types: language.preset().types.name(),
            });
        }
    }
    Ok((language.row().patch)(schemas, listen))
}

/// The lines at the beginning of every patch, without comment signs: what it is, how to run it, how to send to it.
fn introduction(language: Language, schemas: &[Schema], listen: Listen<'_>, run: &str) -> Vec<String> {
    let preset = language.preset();
    let mut send = format!("ftrace-live --raw --hits --for {}", preset.name);
    if listen.port != preset.port {
        send += &format!(" --to 127.0.0.1:{}", listen.port);
    }
    if let Some(control) = listen.control {
        send += &format!(" --control {}", control.port);
    }
    if listen.prefix != "/ftrace" {
        send += &format!(" --prefix {}", shell_word(listen.prefix));
    }
    send += " -e";
    for schema in schemas {
        send += &format!(" {}", shell_word(&format!("{}:{}", schema.system, schema.event)));
    }
    vec![
        format!("The Linux kernel's events in {}, as ftrace-live sends them.", preset.receiver),
        format!("Run:   {run}"),
        format!("Then:  sudo {send}"),
    ]
}

/// Comments that name each event's address, type tags and arguments; `sign` begins a comment.
fn argument_comments(schemas: &[Schema], sign: &str, index: impl Fn(&Schema, usize) -> String) -> String {
    let mut out = String::new();
    for schema in schemas {
        out += &format!("{sign} {} ,{}\n", plain(&schema.address), schema.tags);
        for line in argument_lines(schema, |k| index(schema, k)) {
            out += &format!("{sign}   {line}\n");
        }
    }
    out
}

/// One line per argument: its index (counted from `first`), name, type tag, kernel type; and the omitted fields.
fn argument_lines(schema: &Schema, index: impl Fn(usize) -> String) -> Vec<String> {
    let width = schema.arguments.iter().map(|a| a.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = schema
        .arguments
        .iter()
        .enumerate()
        .map(|(k, a)| format!("{:<8} {}  {:<width$}  {}", index(k), a.tag, plain(&a.name), plain(&a.meaning())))
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.extend(
        schema.omitted.iter().map(|o| format!("(not sent: {} {}: {})", plain(&o.kernel_type), plain(&o.name), o.why)),
    );
    lines
}

/// `text` in a form that is safe in a comment of all languages: one line, without anything that could end or continue
/// the comment or be a tag of Csound's.
fn plain(text: &str) -> String {
    let harmless = |c| match c {
        '<' => '(',
        '>' => ')',
        '\\' => '/',
        c => c,
    };
    plain_controls(text).map(harmless).collect::<String>().replace("*/", "* /").replace("/*", "/ *")
}

/// `text` as one word of a shell command, since it will be copied from the comment.
fn shell_word(text: &str) -> String {
    let text = plain(text);
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:,/@%+=".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

/// `text` as a string literal with C escapes for `quote` and the backslash, without control characters and the like.
fn quoted(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in plain_controls(text) {
        if c == quote || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    out
}

fn plain_controls(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if is_escaped(c) { ' ' } else { c })
}

#[cfg(test)]
mod tests;
