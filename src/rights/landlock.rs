//! Landlock: the kernel restricts this thread and those it starts to a part of the file system, regardless of the
//! user.
//!
//! Own code rather than the `landlock` crate: three system calls with plain numbers.
//! Documentation/userspace-api/landlock.rst.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

// These numbers are the same on all architectures (include/uapi/asm-generic/unistd.h).
const CREATE_RULESET: libc::c_long = 444;
const ADD_RULE: libc::c_long = 445;
const RESTRICT_SELF: libc::c_long = 446;
const RULE_PATH_BENEATH: libc::c_int = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
/// All rights of the first version: up to MAKE_SYM.
const FIRST: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// Read while tracing: names of tasks and sockets, kernel types, libraries and databases for host names, time zones.
const READ: [&str; 9] = ["/proc", "/sys", "/etc", "/usr", "/lib", "/lib64", "/run", "/dev", "/nix/store"];

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// From now on only what is needed can be read, nothing executed, and only `writable` written below. Returns whether
/// the kernel has Landlock. Open files stay open. The thread must have set no_new_privs.
///
/// # Errors
/// The kernel has it, but refuses.
pub(super) fn restrict(writable: Option<&Path>) -> io::Result<bool> {
    // SAFETY: with a NULL attribute of length 0 and the flag 1 (VERSION) the call reads nothing and returns a number.
    let version = unsafe { libc::syscall(CREATE_RULESET, std::ptr::null::<u64>(), 0usize, 1u32) };
    if version < 1 {
        return Ok(false);
    }
    let handled = FIRST | if version >= 2 { REFER } else { 0 } | if version >= 3 { TRUNCATE } else { 0 };
    // SAFETY: the attribute's first member, `handled_access_fs`, is a live u64, and its length is given.
    let rules = unsafe { libc::syscall(CREATE_RULESET, &raw const handled, size_of::<u64>(), 0u32) };
    let rules = i32::try_from(rules).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the call returned a new descriptor, which nobody else owns.
    let rules = unsafe { OwnedFd::from_raw_fd(rules) };
    let allow = |path: &Path, allowed: u64| {
        // Paths that do not exist, or that we may not open, need no rule.
        let options = File::options().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path);
        let Ok(parent) = options else { return Ok(()) };
        let rule = PathBeneath { allowed: allowed & handled, parent: parent.as_raw_fd() };
        // SAFETY: the rule is live and of the type for RULE_PATH_BENEATH; both descriptors are open.
        let added = unsafe { libc::syscall(ADD_RULE, rules.as_raw_fd(), RULE_PATH_BENEATH, &raw const rule, 0u32) };
        if added == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    READ.iter().try_for_each(|path| allow(Path::new(path), READ_FILE | READ_DIR))?;
    if let Some(folder) = writable {
        allow(folder, READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE)?;
    }
    debug_assert!(handled & EXECUTE != 0);
    // SAFETY: the call takes an open descriptor and a number.
    match unsafe { libc::syscall(RESTRICT_SELF, rules.as_raw_fd(), 0u32) } {
        0 => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}
