//! `setup` and `teardown`: an instance for a user who then needs no root.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::{Usage, source};
use crate::cli::{SetupArgs, TeardownArgs};
use crate::rights::Caller;
use crate::terminal;
use crate::tracefs::{LendError, Lent};

/// The systemd unit, with exactly the rights that `setup` needs.
const UNIT: &str = "\
[Unit]
Description=A trace instance for %WHO% (ftrace-live)
Documentation=man:ftrace-live(1)
After=sys-kernel-tracing.mount local-fs.target nss-user-lookup.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%PROGRAM% setup --user %USER%
ExecStop=%PROGRAM% teardown --user %USER%
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_SYS_ADMIN
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX
MemoryDenyWriteExecute=yes

[Install]
WantedBy=multi-user.target
";

/// Lends an instance, or prints the unit that does.
pub fn set_up(args: &SetupArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    if args.print_unit {
        std::io::stdout().lock().write_all(unit(args.user.as_deref())?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    only_root()?;
    let user = match &args.user {
        Some(name) => named(name)?,
        None => Caller::behind_sudo()
            .ok_or_else(|| Usage("setup: give the user to lend the instance to, with --user NAME".to_owned()))?,
    };
    let lent = Lent::set_up(&source::open_tracefs(tracefs)?, &user)?;
    terminal::say(format_args!(
        "{} can trace without root now, in {}: ftrace-live -e irq (until teardown or reboot; setup \
         --print-unit prints a unit that does it at boot)",
        user.to_words(),
        lent.at().display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Takes instances back.
pub fn tear_down(args: &TeardownArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    only_root()?;
    let user = args.user.as_deref().map(named).transpose()?;
    let mut taken = Lent::all(&source::open_tracefs(tracefs)?)?;
    taken.retain(|lent| user.as_ref().is_none_or(|user| user.uid == lent.user()));
    if taken.is_empty() {
        terminal::say("nothing is lent");
    }
    for lent in taken {
        lent.take_back()?;
        terminal::say(format_args!("took back {}", lent.at().display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reported before other errors caused by missing rights.
fn only_root() -> Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LendError::NotRoot.into()) }
}

fn named(name: &str) -> Result<Caller> {
    Ok(Caller::named(name).map_err(|error| Usage(error.to_string()))?)
}

/// The unit for this user; without one, for the user in the unit's name.
fn unit(user: Option<&str>) -> Result<String> {
    // The user may be on another machine: the name is not looked up, but it must be only a name.
    let sound = |c: char| c.is_ascii_alphanumeric() || "._-$".contains(c);
    let user = match user {
        Some(name) if !name.is_empty() && !name.starts_with('-') && name.chars().all(sound) => name.replace('$', "$$"),
        Some(name) => return Err(Usage(format!("--user {name:?}: not a name that can be used in a unit")).into()),
        None => "%i".to_owned(),
    };
    Ok(UNIT.replace("%PROGRAM%", &program()).replace("%WHO%", &user).replace("%USER%", &user))
}

/// The path of the program in a unit: that of this one if it is installed, otherwise that of a package.
fn program() -> String {
    let sound = |path: &String| {
        let installed = ["/usr/", "/opt/"].iter().any(|folder| path.starts_with(folder));
        installed && path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    };
    let ours = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    ours.filter(sound).unwrap_or_else(|| "/usr/bin/ftrace-live".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_contains_the_user_and_cannot_be_extended_by_it() {
        let unit = |user| unit(user).ok();
        assert!(unit(Some("ada")).unwrap().contains("\nExecStart=/usr/bin/ftrace-live setup --user ada\n"));
        assert!(unit(None).unwrap().contains("\nExecStop=/usr/bin/ftrace-live teardown --user %i\n"));
        for name in ["", "--all", "a b", "a\nExecStart=/bin/sh", "%h", "a;b", "a'b"] {
            assert_eq!(unit(Some(name)), None, "{name:?}");
        }
    }
}
