//! Starts receivers with our programs, without window and sound card. The load bench uses this too.

use std::path::Path;
use std::process::Command;

use crate::common::program::{self, Program, command};

/// SuperCollider's language, which runs `text`.
pub fn sclang(home: &Path, name: &str, text: &str) -> Program {
    std::fs::write(home.join(name), text).unwrap();
    let mut sclang = command("sclang", home);
    sclang.args(["-D", "-i", "none", name]);
    Program::start(sclang)
}

/// Pd with these patches.
pub fn pd(home: &Path, patches: &[(&str, String)]) -> Program {
    let mut pd = command("pd", home);
    pd.args(["-nogui", "-nosound", "-r", "48000", "-nomidi", "-stderr", "-noprefs"]);
    for (name, text) in patches {
        std::fs::write(home.join(name), text).unwrap();
        pd.arg(name);
    }
    Program::start(pd)
}

/// ChucK with these programs; `--silent` renders as fast as it can.
pub fn chuck(home: &Path, files: &[(&str, String)]) -> Program {
    let mut chuck = command("chuck", home);
    // The other port is that of ChucK's own remote control, different for each ChucK.
    chuck.args(["--silent", "--srate:48000", "--caution-to-the-wind", &format!("--port:{}", program::free_port())]);
    for (name, text) in files {
        std::fs::write(home.join(name), text).unwrap();
        chuck.arg(name);
    }
    Program::start(chuck)
}

/// Csound in real time, with this orchestra and score.
pub fn csound(home: &Path, orchestra: &str, score: &str) -> Program {
    let options = "-odac -+rtaudio=null -d -m0";
    let text = format!(
        "<CsoundSynthesizer>\n<CsOptions>\n{options}\n</CsOptions>\n<CsInstruments>\nsr = 48000\nksmps = 48\nnchnls = 1\n\
         0dbfs = 1\n{orchestra}</CsInstruments>\n<CsScore>\n{score}</CsScore>\n</CsoundSynthesizer>\n"
    );
    std::fs::write(home.join("driver.csd"), text).unwrap();
    let mut csound = command("csound", home);
    csound.arg("driver.csd");
    Program::start(csound)
}

/// The variables for a message with these type tags, and the lines that declare them.
pub fn csound_variables(tags: &str) -> (Vec<String>, String) {
    let name = |(n, tag): (usize, char)| if tag == 's' { format!("S{n}") } else { format!("k{n}") };
    let names: Vec<String> = tags.chars().enumerate().map(name).collect();
    let init =
        |name: &String| if name.starts_with('S') { format!("{name} = \"\"\n") } else { format!("{name} init 0\n") };
    let lines = names.iter().map(init).collect();
    (names, lines)
}

/// `python3` with python-osc; if there is none, says so.
pub fn python_installed() -> bool {
    let found = Command::new("python3").args(["-c", "import pythonosc"]).output().is_ok_and(|o| o.status.success());
    if !found {
        crate::common::skipped::say(format_args!("python-osc is not installed"));
    }
    found
}

/// Python searches modules below HOME, so this keeps the user's.
pub fn python(folder: &Path) -> Command {
    let mut command = command("python3", folder);
    if let Some(home) = std::env::var_os("HOME") {
        command.env("HOME", home);
    }
    command
}
