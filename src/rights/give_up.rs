//! Giving rights up, for ever.

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
    /// The kernel refuses a step.
    #[error("cannot become {who} ({step}: {source}); --user NAME names another user, --stay-root stays root")]
    Refused {
        /// Who was to be become.
        who: String,
        /// Which step.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Landlock is there and refuses.
    #[error("Landlock refuses to confine this process ({0}); --stay-root does without")]
    Confine(io::Error),
    /// It seemed to work and did not.
    #[error("root was given up and is still there: this is a defect, or a very unusual kernel")]
    StillThere,
}

/// Whether this process has rights that are to be given up: it is root, or has a capability.
pub fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
        || capabilities(None).is_ok_and(|sets| !(sets.permitted | sets.effective).is_empty())
}

/// Gives a file capability up, for what needs none: with `CAP_DAC_OVERRIDE` anybody would read and write everybody's files.
/// Root stays root, whose files are root's.
///
/// # Errors
/// As [`give_up`].
pub fn give_up_capabilities() -> Result<(), GiveUpError> {
    let only_capabilities = !rustix::process::geteuid().is_root() && is_privileged();
    if only_capabilities { give_up(&Caller::ourselves()) } else { Ok(()) }
}

/// Does `what` with no more rights than the caller has: where this process is root behind sudo, as who called it; without any
/// capability in every case. In a thread of its own, whose rights are nobody else's; the files are for whoever wrote the
/// command line, who may not be allowed what we are.
pub fn as_caller<T: Send>(what: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    if !is_privileged() {
        return what();
    }
    let root = rustix::process::geteuid().is_root();
    let caller = if root { Caller::behind_sudo() } else { None };
    if root && caller.is_none() {
        // Root itself calls.
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
        done.unwrap_or_else(|_| Err(io::Error::other("the thread that does it panicked")))
    })
}

/// Becomes `caller` (where it is root now), without any other group, without a capability, and without a way back.
///
/// To be called while this process has no thread that reads what others wrote: capabilities are each thread's
/// own, and threads that are started later inherit them.
///
/// # Errors
/// Whatever could not be done; the process should then end.
pub fn give_up(caller: &Caller) -> Result<(), GiveUpError> {
    let refused =
        |step: &'static str| move |source: io::Error| GiveUpError::Refused { who: caller.to_words(), step, source };
    let root = rustix::process::geteuid().is_root();
    // What is executed could otherwise have them again. Those that this kernel does not know are no loss, and without
    // CAP_SETPCAP no_new_privs below does the same.
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    if root {
        let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        // SAFETY: setgroups(2) with a length of 0 reads nothing; setresgid(2) and setresuid(2) take numbers. The C library's
        // functions, and not the system calls: they change all threads of the process.
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
    // Each promise is looked at, not trusted.
    // SAFETY: setresuid(2) takes numbers.
    if is_privileged() || unsafe { libc::setresuid(0, 0, 0) } == 0 {
        return Err(GiveUpError::StillThere);
    }
    Ok(())
}

/// Where the kernel has Landlock: from now on this thread, and those that it starts, can read what tracing needs, write below
/// `writable`, and execute nothing. Returns whether it has. After [`give_up`], which sets no_new_privs.
///
/// # Errors
/// The kernel has it, and refuses.
pub fn confine(writable: Option<&Path>) -> Result<bool, GiveUpError> {
    landlock::restrict(writable).map_err(GiveUpError::Confine)
}
