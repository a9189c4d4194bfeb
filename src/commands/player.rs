//! Does what needs root before anything is read (tracefs, keeper, command), and then gives up root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::{Usage, source};
use crate::cli::TraceArgs;
use crate::keeper::Keeper;
use crate::rights::{self, Caller};
use crate::terminal;
use crate::tracefs::{Kind, PidView, StoppedCommand, Tracefs, TracefsError, make_room_for_files};

/// What was set up with root's rights.
pub struct Player {
    /// The tracefs, and who opens its files.
    pub tracefs: Tracefs,
    /// The keeper, if one was needed.
    pub keeper: Option<Arc<Keeper>>,
    /// The command, stopped; it has its own user's rights, not ours.
    pub command: Option<StoppedCommand>,
    /// Whether rights were given up.
    given_up: bool,
}

/// The identity that a process takes.
enum Identity {
    /// It has nothing to give up.
    Itself,
    /// It stays as it is, for the given reason.
    Stays(String),
    /// It becomes this user; the command runs as the other one, or as we are now.
    Becomes { player: Caller, command: Option<Caller> },
}

/// Gives up root after doing what needs it. `output` is the file or folder that will be written.
///
/// - Under sudo, the player, its files and the command belong to the user who called sudo.
/// - Called by root itself, the player becomes `nobody` and the command runs as root, as it would without us. But
///   `nobody` cannot write a file of root, so with `output` it stays root, and says so.
pub fn start(args: &TraceArgs, tracefs: Option<&Path>, output: Option<&Path>) -> Result<Player> {
    let identity = identity(args, output)?;
    let tracefs = source::open_tracefs(tracefs)?;
    if tracefs.kind() == Kind::Live {
        translatable(args)?;
    }
    if tracefs.is_lent() {
        if let Some(tracer) = &args.tracer {
            let why = "the instance lent to this user has events, but no tracers";
            return Err(Usage(format!("-t {tracer}: {why}: run this with sudo")).into());
        }
        terminal::say(format_args!("traces without root, in the instance lent at {}", tracefs.root().display()));
    }
    let as_it_is = |tracefs| Player { tracefs, keeper: None, command: None, given_up: false };
    let (player, command) = match identity {
        // A capture needs no rights of root, and cannot be traced.
        _ if tracefs.kind() != Kind::Live => return Ok(as_it_is(tracefs)),
        // There is nothing to give up, but the process that reads the ring is confined nevertheless.
        Identity::Itself if tracefs.is_lent() => (Caller::ourselves(), None),
        Identity::Itself => return Ok(as_it_is(tracefs)),
        Identity::Stays(why) => {
            terminal::say(why);
            return Ok(as_it_is(tracefs));
        }
        Identity::Becomes { player, command } => (player, command),
    };
    let keeper = Keeper::start(&tracefs)?;
    let command = match args.command.as_slice() {
        [] => None,
        arguments => Some(StoppedCommand::spawn_as(arguments, command.as_ref())?),
    };
    let name = player.name.as_ref().map_or_else(|| player.uid.to_string(), |name| name.to_string_lossy().into_owned());
    // While we may: some descriptors for each CPU, and some more.
    make_room_for_files(3 * std::thread::available_parallelism().map_or(1, usize::from));
    rights::give_up(&player)?;
    terminal::detail(format_args!("reads and sends as {name}; only the keeper has root's rights"));
    let tracefs = tracefs.through(&keeper);
    Ok(Player { tracefs, keeper: Some(keeper), command, given_up: true })
}

/// Whether the kernel's pids of the traced processes can be known here.
fn translatable(args: &TraceArgs) -> Result<()> {
    let pid = args.pids.first().map(|pid| format!("pid {pid}"));
    let command = args.command.first().map(|name| format!("the command {name:?}"));
    match command.or(pid) {
        Some(what) if PidView::ours() == PidView::Hidden => Err(TracefsError::PidNamespace(what).into()),
        _ => Ok(()),
    }
}

impl Player {
    /// Restricts opening files to what tracing needs, and `output`: to be called when everything else is open.
    pub fn confine(&self, output: Option<&Path>) -> Result<()> {
        if self.given_up {
            rights::confine(output.map(folder_of).as_deref())?;
        }
        Ok(())
    }
}

fn identity(args: &TraceArgs, output: Option<&Path>) -> Result<Identity> {
    if args.stay_root {
        return Ok(Identity::Stays(
            "stays root (--stay-root): files are read and written, and the command runs, as root".to_owned(),
        ));
    }
    if let Some(name) = &args.user {
        if !rustix::process::geteuid().is_root() {
            return Err(Usage(format!("--user {name}: only root can become another user")).into());
        }
        let user = Caller::named(name).map_err(|error| Usage(error.to_string()))?;
        return Ok(Identity::Becomes { player: user.clone(), command: Some(user) });
    }
    if !rustix::process::geteuid().is_root() {
        let ourselves = || Identity::Becomes { player: Caller::ourselves(), command: None };
        return Ok(if rights::is_privileged() { ourselves() } else { Identity::Itself });
    }
    Ok(match (Caller::behind_sudo(), output) {
        (Some(user), _) => Identity::Becomes { player: user.clone(), command: Some(user) },
        (None, None) => Identity::Becomes { player: Caller::nobody(), command: None },
        (None, Some(output)) => {
            let why = "it was not called through sudo, so the file belongs to root";
            Identity::Stays(format!("stays root to write {}: {why} (--user NAME writes it as NAME)", output.display()))
        }
    })
}

/// The existing folder in which `output` will be created.
fn folder_of(output: &Path) -> PathBuf {
    let named = output.ancestors().skip(1).map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    named.into_iter().find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_path_buf()
}
