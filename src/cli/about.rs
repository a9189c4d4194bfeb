//! About the program: its version and commit, its man page, completions for shells. All of it is generated from the
//! definition of the command line.

use std::io::{self, Write};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{AFTER, Cli, EXAMPLES};

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// The version, and the commit if it is known: `0.2.0 (8220410e1)`.
pub fn version() -> &'static str {
    if env!("FTRACE_LIVE_COMMIT").is_empty() {
        env!("CARGO_PKG_VERSION")
    } else {
        concat!(env!("CARGO_PKG_VERSION"), " (", env!("FTRACE_LIVE_COMMIT"), ")")
    }
}

/// The build: the target machine, and the formats it supports.
pub fn features() -> String {
    let linked = if cfg!(target_feature = "crt-static") { "static" } else { "dynamic" };
    format!(
        "built for {}, {linked}
opens capture folders, trace.dat 6 and 7 (also zlib, zstd), perf.data (file, pipe, zstd)
sends OSC 1.0 by UDP and WebSocket; writes trace.dat 6, WAV, MIDI and JSON",
        env!("FTRACE_LIVE_TARGET")
    )
}

/// Writes a shell's completion script.
pub fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    // The generators use `expect`, but writing to a Vec cannot fail.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ftrace-live", &mut text);
    // clap_complete 4.6 separates subcommands with `__subcmd__`, and takes the hyphen in our name for a separator,
    // but only in one of the two places that must agree.
    out.write_all(String::from_utf8_lossy(&text).replace("ftrace__subcmd__live", "ftrace__live").as_bytes())
}

/// Writes one page with a section for each subcommand.
pub fn man(out: &mut dyn Write) -> io::Result<()> {
    let mut page = Vec::new();
    write_page(&mut page)?;
    // Not every troff reads UTF-8, but all understand numeric character escapes.
    String::from_utf8_lossy(&page).chars().try_for_each(|c| match c.is_ascii() {
        true => write!(out, "{c}"),
        false => write!(out, "\\[u{:04X}]", u32::from(c)),
    })
}

fn write_page(out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page =
        Man::new(command.clone()).title("FTRACE-LIVE").source(concat!("ftrace-live ", env!("CARGO_PKG_VERSION")));
    page.render_title(out)?;
    page.render_name_section(out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    usage(&mut roff, &mut command);
    roff.control("SH", ["EXAMPLES"]);
    example(&mut roff, EXAMPLES);
    roff.to_writer(out)?;
    page.render_options_section(out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SUBCOMMANDS"]);
    roff.to_writer(out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        section(out, subcommand)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(AFTER.trim_start_matches("Exit codes: "))]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("trace-cmd"), roman("(1), "), bold("perf"), roman("(1), /usr/share/doc/ftrace-live/")]);
    roff.to_writer(out)
}

/// A subcommand's part of the page, with its headings one level lower.
fn section(out: &mut dyn Write, command: &Command) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SS", [command.get_name()]);
    roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    roff.control("PP", []);
    usage(&mut roff, &mut command.clone());
    roff.to_writer(out)?;
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    for line in String::from_utf8_lossy(&options).lines() {
        match line.strip_prefix(".SH ") {
            Some("OPTIONS") => {}
            Some(heading) => writeln!(out, ".PP\n\\fB{}\\fR", heading.trim_matches('"'))?,
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

fn usage(roff: &mut Roff, command: &mut Command) {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    for (k, line) in usage.lines().enumerate() {
        if k > 0 {
            roff.control("br", []);
        }
        roff.text([bold(line.trim())]);
    }
}

/// Lines as they are, without their heading.
fn example(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    for line in text.lines().skip(1) {
        roff.text([roman(line.trim())]);
    }
    roff.control("fi", []);
}
