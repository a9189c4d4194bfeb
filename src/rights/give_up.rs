//! Gives up rights permanently.

use std::io;
use std::path::Path;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

use super::{Caller, landlock};

/// Why rights could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// The kernel refused a step.
    #[error("cannot become {who} ({step}: {source}); use --user NAME for another user, or --stay-root")]
    Refused {
        /// The target user.
        who: String,
        /// The step.
        step: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel has Landlock, but it failed.
    #[error("Landlock refuses to confine this process ({0}); use --stay-root to do without")]
    Confine(io::Error),
    /// It seemed to work, but did not.
    #[error("root was given up but can be regained: this is a bug, or a very unusual kernel")]
    StillThere,
}

/// Whether this process has rights to give up: it is root, or has a capability.
pub fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
        || capabilities(None).is_ok_and(|sets| !(sets.permitted | sets.effective).is_empty())
}

/// Gives up file capabilities, for work that needs none: with `CAP_DAC_OVERRIDE` anybody could read and write
/// everybody's files. Root stays root, who owns its files.
///
/// # Errors
/// As for [`give_up`].
pub fn give_up_capabilities() -> Result<(), GiveUpError> {
    let only_capabilities = !rustix::process::geteuid().is_root() && is_privileged();
    if only_capabilities { give_up(&Caller::ourselves()) } else { Ok(()) }
}

/// Runs `what` with no more rights than the caller has: as the user behind sudo if this process is root, and without
/// any capability in any case. It runs in its own thread, since rights are per thread here; the files are named by
/// whoever wrote the command line, who may have fewer rights than we do.
pub fn as_caller<T: Send>(what: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    if !is_privileged() {
        return what();
    }
    let root = rustix::process::geteuid().is_root();
    let caller = if root { Caller::behind_sudo() } else { None };
    if root && caller.is_none() {
        // Root itself is the caller.
        return what();
    }
    let lower = || {
        if let Some(caller) = &caller {
            let (uid, gid) = (rustix::process::Uid::from_raw(caller.uid), rustix::process::Gid::from_raw(caller.gid));
            set_thread_groups(&[gid])?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)?;
        }
        let mut sets = capabilities(None)?;
        (sets.effective, sets.permitted, sets.inheritable) =
            (CapabilitySet::empty(), CapabilitySet::empty(), CapabilitySet::empty());
        set_capabilities(None, sets)?;
        io::Result::Ok(())
    };
    std::thread::scope(|scope| {
        let done = scope.spawn(|| lower().and_then(|()| what())).join();
        done.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
    })
}

/// Becomes `caller` (if it is root now), without other groups or capabilities, irrevocably.
///
/// To be called before this process has threads that read untrusted data: capabilities are per thread, and threads
/// started later inherit them.
///
/// # Errors
/// The step that failed; the process should then exit.
pub fn give_up(caller: &Caller) -> Result<(), GiveUpError> {
    let refused =
        |step: &'static str| move |source: io::Error| GiveUpError::Refused { who: caller.to_words(), step, source };
    let root = rustix::process::geteuid().is_root();
    // Otherwise a program that is executed could have them again. Capabilities unknown to this kernel do not matter,
    // and without CAP_SETPCAP no_new_privs below has the same effect.
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    if root {
        let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        // SAFETY: setgroups(2) with length 0 reads nothing; setresgid(2) and setresuid(2) take numbers. The C
        // library's functions, not the system calls: they change all threads of the process.
        unsafe {
            done(libc::setgroups(0, std::ptr::null())).map_err(refused("setgroups"))?;
            done(libc::setresgid(caller.gid, caller.gid, caller.gid)).map_err(refused("setresgid"))?;
            done(libc::setresuid(caller.uid, caller.uid, caller.uid)).map_err(refused("setresuid"))?;
        }
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|e| refused("capset")(e.into()))?;
    set_no_new_privs(true).map_err(|e| refused("no_new_privs")(e.into()))?;
    // The result is verified. SAFETY: setresuid(2) takes numbers.
    if is_privileged() || unsafe { libc::setresuid(0, 0, 0) } == 0 {
        return Err(GiveUpError::StillThere);
    }
    Ok(())
}

/// If the kernel has Landlock: from now on this thread, and those that it starts, can read what tracing needs, write
/// below `writable`, and execute nothing. Returns whether the kernel has it. To be called after [`give_up`], which
/// sets no_new_privs.
///
/// # Errors
/// The kernel has it, but refuses.
pub fn confine(writable: Option<&Path>) -> Result<bool, GiveUpError> {
    landlock::restrict(writable).map_err(GiveUpError::Confine)
}
