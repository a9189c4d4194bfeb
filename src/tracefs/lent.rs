//! An instance that root lends to a user, who then traces without root's rights: created once (`setup`), used by one
//! run after another, removed by `teardown`.
//!
//! The instance is a folder below `instances/` like all others, but only root can enter that folder. So it is mounted
//! (`mount --bind`) at `/run/ftrace-live/UID`, and the files that a run needs are owned by the user.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use super::{Kind, Tracefs, is_tracefs};
use crate::keeper::{instance_path, lent, remove_instance};
use crate::rights::Caller;

/// Lent instances are mounted here, each below its user's id.
const MOUNTS: &str = "/run/ftrace-live";
/// How long removing an instance that is in use is retried.
const PATIENCE: Duration = Duration::from_secs(2);

/// A lent instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    user: u32,
    instance: PathBuf,
    at: PathBuf,
}

/// Why an instance could not be lent, or taken back.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// Only root can lend an instance.
    #[error("only root can lend a trace instance, and take it back: run this again with sudo")]
    NotRoot,
    /// The folder is a capture, or itself a lent instance.
    #[error("{} is not the top folder of the kernel's tracefs, where instances are created: leave out --tracefs", .0.display())]
    NotTop(PathBuf),
    /// Its user is using it.
    #[error("{} is in use by its user: end that run first", .0.display())]
    InUse(PathBuf),
    /// The kernel refused an operation.
    #[error("cannot {action} {}: {source}", .path.display())]
    Refused {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LendError {
    move |source| LendError::Refused { action, path: path.to_owned(), source }
}

impl Lent {
    /// The mount point of the instance lent to this process's user, if there is one.
    pub fn to_us() -> Option<PathBuf> {
        let at = Path::new(MOUNTS).join(rustix::process::geteuid().as_raw().to_string());
        (is_tracefs(&at) && lent::is_instance(&at)).then_some(at)
    }

    /// Lends an instance of `tracefs` to `user`: creates it, changes the owner of its files and mounts it, as far as
    /// that is not done yet. If it is not in use, it is reset as well.
    ///
    /// # Errors
    /// We are not root, or the kernel refuses a step.
    pub fn set_up(tracefs: &Tracefs, user: &Caller) -> Result<Lent, LendError> {
        let lent = Lent::of(checked(tracefs)?, user.uid);
        match fs::create_dir(&lent.instance) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused("make", &lent.instance)(error));
            }
            _ => {}
        }
        // If it is in use, only owners are updated: events of a module loaded since then still belong to root. A run
        // that was just killed may be about to end.
        if let Ok(_lock) = lent::lock(&lent.instance, PATIENCE) {
            lent::leave_quiet(&lent.instance).map_err(refused("quieten", &lent.instance))?;
        }
        lent.give_to(user.gid)?;
        lent.mount()?;
        Ok(lent)
    }

    /// All lent instances of `tracefs`.
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

    /// Stops, unmounts and removes it. It is not an error if it does not exist.
    ///
    /// # Errors
    /// It is in use, or the kernel refuses.
    pub fn take_back(&self) -> Result<(), LendError> {
        let busy = || LendError::InUse(self.at.clone());
        let exists = self.instance.is_dir();
        // Held to the end, so that no run begins meanwhile.
        let _lock = exists.then(|| lent::lock(&self.instance, PATIENCE)).transpose().map_err(|_| busy())?;
        while is_tracefs(&self.at) {
            // The working directory of a shell may be in it.
            unmount(&self.at, UnmountFlags::DETACH).map_err(|e| refused("unmount", &self.at)(e.into()))?;
        }
        for folder in [&self.at, Path::new(MOUNTS)] {
            // The common folder is removed with the last one.
            let _ = fs::remove_dir(folder);
        }
        remove_instance(&self.instance, PATIENCE).map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => busy(),
            _ => refused("remove", &self.instance)(error),
        })
    }

    /// Its mount point.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Its user.
    pub fn user(&self) -> u32 {
        self.user
    }

    /// The instance of this user, whether it exists or not.
    fn of(root: &Path, user: u32) -> Lent {
        let instance = instance_path(root, &format!("{}{user}", lent::LENT));
        Lent { user, instance, at: Path::new(MOUNTS).join(user.to_string()) }
    }

    /// Gives the files that a run needs, and their folders, to the user.
    fn give_to(&self, group: u32) -> Result<(), LendError> {
        let give = |path: PathBuf| match lchown(&path, Some(self.user), Some(group)) {
            // Kernels differ in the files they have.
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
        // The top folder last: before, the user cannot enter it.
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
            // Regardless of the umask.
            fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(refused("open", folder))?;
        }
        let inode = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        while is_tracefs(&self.at) {
            if inode(&self.at).ok() == inode(&self.instance).ok() {
                return Ok(());
            }
            // A mount left from an instance that was removed.
            unmount(&self.at, UnmountFlags::DETACH).map_err(|e| refused("unmount", &self.at)(e.into()))?;
        }
        mount_bind(&self.instance, &self.at).map_err(|e| refused("mount", &self.at)(e.into()))?;
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount_remount(&self.at, flags, "").map_err(|e| refused("mount", &self.at)(e.into()))
    }
}

/// The top folder of the kernel's tracefs, if we are root.
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
