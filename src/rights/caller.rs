//! Finds users: the one behind sudo, one by name, and `nobody`.

use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStringExt;

use libc::{gid_t, uid_t};

/// A user and its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: uid_t,
    /// The group of the login.
    pub gid: gid_t,
    /// All groups, including the login's.
    pub groups: Vec<gid_t>,
    /// The name, if there is an entry.
    pub name: Option<OsString>,
    /// The home folder, if there is an entry.
    pub home: Option<OsString>,
}

/// Why a user was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// There is no entry in the user database.
    #[error("there is no user {0:?}: `getent passwd` lists those there are")]
    NoSuchUser(String),
    /// It is root.
    #[error("--user {0}: this is root; use --stay-root to stay root")]
    Root(String),
}

/// The user and group of nobody, unless an entry says otherwise.
const NOBODY: (uid_t, gid_t) = (65534, 65534);

/// An entry of the user database.
struct Entry {
    uid: uid_t,
    gid: gid_t,
    name: OsString,
    home: OsString,
}

impl Caller {
    /// The user that called sudo; `None` if there was none, or it was root.
    pub fn behind_sudo() -> Option<Caller> {
        let number = |name| std::env::var(name).ok()?.parse().ok();
        let (uid, gid): (uid_t, gid_t) = (number("SUDO_UID")?, number("SUDO_GID")?);
        (uid != 0).then(|| Caller::new(uid, gid, entry_of(Query::Uid(uid))))
    }

    /// The user with this name, or number.
    ///
    /// # Errors
    /// There is none, or it is root.
    pub fn named(name: &str) -> Result<Caller, CallerError> {
        let entry = CString::new(name).ok().and_then(|name| entry_of(Query::Name(&name)));
        let entry = entry.or_else(|| entry_of(Query::Uid(name.parse().ok()?)));
        let entry = entry.ok_or_else(|| CallerError::NoSuchUser(name.to_owned()))?;
        if entry.uid == 0 {
            return Err(CallerError::Root(name.to_owned()));
        }
        Ok(Caller::new(entry.uid, entry.gid, Some(entry)))
    }

    /// The user of this process.
    pub fn ourselves() -> Caller {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Caller::new(uid, gid, entry_of(Query::Uid(uid)))
    }

    /// The user without any rights.
    pub fn nobody() -> Caller {
        let entry = entry_of(Query::Name(c"nobody")).filter(|entry| entry.uid != 0);
        let (uid, gid) = entry.as_ref().map_or(NOBODY, |entry| (entry.uid, entry.gid));
        Caller { uid, gid, groups: vec![gid], name: entry.map(|entry| entry.name), home: None }
    }

    fn new(uid: uid_t, gid: gid_t, entry: Option<Entry>) -> Caller {
        let groups = entry.as_ref().and_then(|entry| groups_of(&entry.name, gid)).unwrap_or_else(|| vec![gid]);
        let (name, home) = entry.map(|entry| (entry.name, entry.home)).unzip();
        Caller { uid, gid, groups, name, home }
    }

    /// The name or number, for messages.
    pub fn to_words(&self) -> String {
        self.name.as_ref().map_or_else(|| format!("uid {}", self.uid), |name| name.to_string_lossy().into_owned())
    }
}

enum Query<'a> {
    Uid(uid_t),
    Name(&'a CStr),
}

/// Queries the user database as configured on the machine (files, LDAP …).
fn entry_of(query: Query<'_>) -> Option<Entry> {
    let mut buffer = vec![0; 1 << 10];
    loop {
        // SAFETY: `passwd` is a C structure of integers and pointers, for which all zeros is a valid value.
        let mut passwd: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: the structure, the buffer (with its length) and the result pointer are live and ours; the name ends
        // in NUL. getpwuid_r(3) and getpwnam_r(3) write only these.
        let error = unsafe {
            let (buffer, length) = (buffer.as_mut_ptr(), buffer.len());
            match query {
                Query::Uid(uid) => libc::getpwuid_r(uid, &mut passwd, buffer, length, &mut found),
                Query::Name(name) => libc::getpwnam_r(name.as_ptr(), &mut passwd, buffer, length, &mut found),
            }
        };
        if error == libc::ERANGE && buffer.len() < 1 << 20 {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if error != 0 || found.is_null() {
            return None;
        }
        let text = |pointer: *const libc::c_char| {
            // SAFETY: the call succeeded, so each pointer is NULL or points to a string in `buffer`, which is still
            // alive.
            let bytes = if pointer.is_null() { &[][..] } else { unsafe { CStr::from_ptr(pointer) }.to_bytes() };
            OsString::from_vec(bytes.to_vec())
        };
        let (name, home) = (text(passwd.pw_name), text(passwd.pw_dir));
        return Some(Entry { uid: passwd.pw_uid, gid: passwd.pw_gid, name, home });
    }
}

/// The groups of a user.
fn groups_of(name: &OsString, gid: gid_t) -> Option<Vec<gid_t>> {
    let name = CString::new(name.clone().into_vec()).ok()?;
    let mut groups: Vec<gid_t> = vec![0; 64];
    loop {
        let mut count = groups.len() as libc::c_int;
        // SAFETY: the name ends in NUL; `groups` has room for `count` numbers, and getgrouplist(3) writes only those
        // and the count.
        let found = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        if found >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return Some(groups);
        }
        if groups.len() >= 1 << 16 {
            return None;
        }
        groups.resize(groups.len() * 4, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number_and_root_is_none() {
        // Every machine has these two, and /etc/passwd has the same entries.
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let Some(line) = passwd.lines().find(|line| line.starts_with("daemon:")) else {
            eprintln!("SKIPPED: no user daemon");
            return;
        };
        let words: Vec<&str> = line.split(':').collect();
        let daemon = Caller::named("daemon").unwrap();
        assert_eq!((daemon.uid.to_string(), daemon.gid.to_string()), (words[2].to_owned(), words[3].to_owned()));
        assert_eq!(daemon.home, Some(words[5].into()));
        assert!(daemon.groups.contains(&daemon.gid));
        assert_eq!(Caller::named(words[2]).unwrap(), daemon);
        assert!(matches!(Caller::named("root"), Err(CallerError::Root(_))));
        assert!(matches!(Caller::named("no such user"), Err(CallerError::NoSuchUser(_))));
        assert_ne!(Caller::nobody().uid, 0);
    }
}
