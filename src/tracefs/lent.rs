//! An instance that root lends to a user, who then traces without any right of root's: made once (`setup`), used by one run
//! after another, removed by `teardown`.
//!
//! The instance is a folder below `instances/` like all others, but tracefs lets nobody but root go there. So it is mounted
//! (`mount --bind`) at `/run/ftrace-live/UID`, and those of its files that a run needs are its user's.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use super::{Kind, Tracefs, is_tracefs};
use crate::keeper::{instance_path, lent, remove_instance};
use crate::rights::Caller;

/// Where lent instances are mounted, each below its user's number.
const MOUNTS: &str = "/run/ftrace-live";
/// How long an instance that is held open is tried to be removed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A lent instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    user: u32,
    instance: PathBuf,
    at: PathBuf,
}

/// Why nothing could be lent, or taken back.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// Only root has what is lent.
    #[error("only root can lend a trace instance, and take it back: run this again with sudo")]
    NotRoot,
    /// A capture, or an instance that is lent itself.
    #[error("{} is not the top of the kernel's tracefs, in which instances are made: leave out --tracefs", .0.display())]
    NotTop(PathBuf),
    /// A run of its user's goes on.
    #[error("{} is in use by a run of its user's: end that run first", .0.display())]
    InUse(PathBuf),
    /// The kernel refuses.
    #[error("cannot {action} {}: {source}", .path.display())]
    Refused {
        /// What was to be done, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LendError {
    move |source| LendError::Refused { action, path: path.to_owned(), source }
}

impl Lent {
    /// Where the instance lent to this process's user is mounted, if there is one.
    pub fn to_us() -> Option<PathBuf> {
        let at = Path::new(MOUNTS).join(rustix::process::geteuid().as_raw().to_string());
        (is_tracefs(&at) && lent::is_instance(&at)).then_some(at)
    }

    /// Lends an instance of `tracefs` to `user`: makes it, gives its files away and mounts it, each where it was not done
    /// before. One that is not in use is quiet afterwards.
    ///
    /// # Errors
    /// We are not root; the kernel refuses a step.
    pub fn set_up(tracefs: &Tracefs, user: &Caller) -> Result<Lent, LendError> {
        let lent = Lent::of(checked(tracefs)?, user.uid);
        match fs::create_dir(&lent.instance) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused("make", &lent.instance)(error));
            }
            _ => {}
        }
        // One in use is only mended: events of a module that was loaded since are root's still. A run that was just killed may
        // be about to end.
        if let Ok(_lock) = lent::lock(&lent.instance, PATIENCE) {
            lent::leave_quiet(&lent.instance).map_err(refused("quieten", &lent.instance))?;
        }
        lent.give_to(user.gid)?;
        lent.mount()?;
        Ok(lent)
    }

    /// All instances of `tracefs` that are lent.
    ///
    /// # Errors
    /// We are not root; `instances/` cannot be read.
    pub fn all(tracefs: &Tracefs) -> Result<Vec<Lent>, LendError> {
        let root = checked(tracefs)?;
        let instances = root.join("instances");
        let entries = fs::read_dir(&instances).map_err(refused("read", &instances))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let users = names.filter_map(|name| name.strip_prefix(lent::LENT)?.parse().ok());
        Ok(users.map(|user| Lent::of(root, user)).collect())
    }

    /// Quietens it, unmounts it and removes it. One that is not there is fine.
    ///
    /// # Errors
    /// It is in use; the kernel refuses.
    pub fn take_back(&self) -> Result<(), LendError> {
        let busy = || LendError::InUse(self.at.clone());
        let exists = self.instance.is_dir();
        // Held to the end, so that no run begins meanwhile.
        let _lock = exists.then(|| lent::lock(&self.instance, PATIENCE)).transpose().map_err(|_| busy())?;
        while is_tracefs(&self.at) {
            // A shell may stand in it.
            unmount(&self.at, UnmountFlags::DETACH).map_err(|e| refused("unmount", &self.at)(e.into()))?;
        }
        for folder in [&self.at, Path::new(MOUNTS)] {
            // The last one takes the folder of all with it.
            let _ = fs::remove_dir(folder);
        }
        remove_instance(&self.instance, PATIENCE).map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => busy(),
            _ => refused("remove", &self.instance)(error),
        })
    }

    /// Where it is mounted.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Whose it is.
    pub fn user(&self) -> u32 {
        self.user
    }

    /// The one of this user, whether it is there or not.
    fn of(root: &Path, user: u32) -> Lent {
        let instance = instance_path(root, &format!("{}{user}", lent::LENT));
        Lent { user, instance, at: Path::new(MOUNTS).join(user.to_string()) }
    }

    /// Makes the files its user's that a run needs, and the folders they are in.
    fn give_to(&self, group: u32) -> Result<(), LendError> {
        let give = |path: PathBuf| match lchown(&path, Some(self.user), Some(group)) {
            // Kernels differ in what they have.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(refused("give away", &path)),
        };
        let root = &self.instance;
        for name in lent::FILES.iter().chain(&["options", "per_cpu", "events"]) {
            give(root.join(name))?;
        }
        for cpu in folders(&root.join("per_cpu"))? {
            ["stats", "trace_pipe_raw"].iter().try_for_each(|name| give(cpu.join(name)))?;
            give(cpu)?;
        }
        for name in ["enable", "header_page", "header_event"] {
            give(root.join("events").join(name))?;
        }
        for system in folders(&root.join("events"))? {
            for event in folders(&system)? {
                ["enable", "filter", "format", "id"].iter().try_for_each(|name| give(event.join(name)))?;
                give(event)?;
            }
            give(system.join("enable"))?;
            give(system)?;
        }
        // The last one: before it nobody can go in.
        give(root.clone())
    }

    fn mount(&self) -> Result<(), LendError> {
        for folder in [Path::new(MOUNTS), &self.at] {
            if is_tracefs(folder) {
                break;
            }
            match DirBuilder::new().mode(0o755).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(refused("make", folder)(error));
                }
                _ => {}
            }
            // Whatever the umask is.
            fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(refused("open", folder))?;
        }
        let inode = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        while is_tracefs(&self.at) {
            if inode(&self.at).ok() == inode(&self.instance).ok() {
                return Ok(());
            }
            // Of an instance that is gone.
            unmount(&self.at, UnmountFlags::DETACH).map_err(|e| refused("unmount", &self.at)(e.into()))?;
        }
        mount_bind(&self.instance, &self.at).map_err(|e| refused("mount", &self.at)(e.into()))?;
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount_remount(&self.at, flags, "").map_err(|e| refused("mount", &self.at)(e.into()))
    }
}

/// The top of the kernel's tracefs, for root.
fn checked(tracefs: &Tracefs) -> Result<&Path, LendError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LendError::NotRoot);
    }
    if tracefs.kind() != Kind::Live || tracefs.is_lent() {
        return Err(LendError::NotTop(tracefs.root().to_owned()));
    }
    Ok(tracefs.root())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, LendError> {
    let entries = fs::read_dir(folder).map_err(refused("read", folder))?.flatten();
    Ok(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect())
}
