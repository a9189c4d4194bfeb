//! Finds tracefs: mounted, mounted by us, or given (`--tracefs DIR`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Files, bytes_of, folders_of};
use super::{Lent, TracefsError};
use crate::keeper::{Answer, Base, Hands, Keeper, Request, lent};

/// The mount point of tracefs, and its place before 4.1 (where debugfs mounts it on first use).
const USUAL: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// `TRACEFS_MAGIC` of include/uapi/linux/magic.h, the type that statfs(2) reports for tracefs.
const TRACEFS_MAGIC: i64 = 0x7472_6163;

/// What a [`Tracefs`] can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The running kernel's.
    Live,
    /// A folder of files that mirrors one, as written by `capture`: read only.
    Capture,
}

/// A tracefs: the running kernel's, or a folder that mirrors one.
#[derive(Debug, Clone)]
pub struct Tracefs {
    root: PathBuf,
    kind: Kind,
    mounted_by_us: bool,
    lent: bool,
    /// The keeper that opens its files, if we cannot.
    keeper: Option<Arc<Keeper>>,
}

impl Tracefs {
    /// The running kernel's tracefs; mounts it if it is not mounted and we are root (see
    /// [`mounted_by_us`](Tracefs::mounted_by_us)). Without root's rights, the instance that root [lends](Lent) to us.
    ///
    /// # Errors
    /// [`TracefsError::NoTracefs`], [`NotMounted`](TracefsError::NotMounted), [`Mount`](TracefsError::Mount), or
    /// [`Closed`](TracefsError::Closed) if it is mounted but not accessible.
    pub fn find() -> Result<Tracefs, TracefsError> {
        if let Some(lent) = Tracefs::lent_to_us() {
            return lent;
        }
        if let Some(root) = mounted() {
            let closed = root.clone();
            let found = Tracefs { root, kind: Kind::Live, mounted_by_us: false, lent: false, keeper: None }.checked();
            return found.map_err(|error| match error {
                TracefsError::NotRoot { .. } => TracefsError::Closed(closed),
                error => error,
            });
        }
        let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !filesystems.lines().any(|line| line.split_whitespace().last() == Some("tracefs")) {
            return Err(TracefsError::NoTracefs);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(TracefsError::NotMounted);
        }
        let root = PathBuf::from(USUAL[0]);
        rustix::mount::mount("nodev", &root, "tracefs", rustix::mount::MountFlags::empty(), None)
            .map_err(|errno| TracefsError::Mount { at: root.clone(), source: errno.into() })?;
        Tracefs { root, kind: Kind::Live, mounted_by_us: true, lent: false, keeper: None }.checked()
    }

    /// Checked before the mount points: those may be inaccessible, this is not.
    fn lent_to_us() -> Option<Result<Tracefs, TracefsError>> {
        if crate::rights::is_privileged() { None } else { Lent::to_us().map(Tracefs::at) }
    }

    /// The running kernel's tracefs if it is mounted, without changing anything.
    ///
    /// # Errors
    /// As for [`find`](Tracefs::find), if it is not accessible.
    pub fn mounted() -> Option<Result<Tracefs, TracefsError>> {
        if let Some(lent) = Tracefs::lent_to_us() {
            return Some(lent);
        }
        Some(Tracefs { root: mounted()?, kind: Kind::Live, mounted_by_us: false, lent: false, keeper: None }.checked())
    }

    /// The tracefs at `dir`: another mount of it, or a capture folder.
    ///
    /// # Errors
    /// [`TracefsError::NotTracefs`] if `dir` has no `events/`.
    pub fn at(dir: impl Into<PathBuf>) -> Result<Tracefs, TracefsError> {
        let root = dir.into();
        let kind = if is_tracefs(&root) { Kind::Live } else { Kind::Capture };
        let lent = kind == Kind::Live && lent::is_instance(&root);
        Tracefs { root, kind, mounted_by_us: false, lent, keeper: None }.checked()
    }

    /// Opens `events/` once, so that a refusal is reported before anything else is done.
    fn checked(self) -> Result<Tracefs, TracefsError> {
        let events = self.root.join("events");
        match fs::read_dir(&events) {
            Ok(_) => Ok(self),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(TracefsError::NotTracefs(self.root))
            }
            Err(e) => Err(TracefsError::io("read", &events, e)),
        }
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is the running kernel's or a folder of files.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is one instance, [lent](Lent) by root, rather than all of tracefs.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// Whether [`find`](Tracefs::find) mounted it, which the user should know.
    pub fn mounted_by_us(&self) -> bool {
        self.mounted_by_us
    }

    /// The same, with files opened and instances created by `keeper`: for a process that has given up its rights.
    pub fn through(mut self, keeper: &Arc<Keeper>) -> Tracefs {
        self.keeper = Some(keeper.clone());
        self
    }

    /// Sends a request that concerns no instance of ours.
    pub(super) fn ask(&self, request: &Request) -> io::Result<Answer> {
        match &self.keeper {
            Some(keeper) => keeper.ask(request),
            None => Hands::new(&self.root, std::process::id()).carry_out(request),
        }
    }

    /// Opens a file or folder below the top one through the keeper. `None`: there is no keeper, we open it ourselves.
    fn open_kept(&self, base: Base, path: &Path) -> Option<io::Result<File>> {
        let answer = self.keeper.as_ref()?.ask(&Request::Open(base, path.to_owned()));
        Some(answer.and_then(|answer| answer.file.ok_or_else(|| io::ErrorKind::NotFound.into())))
    }

    /// The bytes of a file of `/proc` that is complete only for root: `kallsyms`.
    pub(crate) fn read_proc(&self, file: &str) -> io::Result<Vec<u8>> {
        let bytes = match self.open_kept(Base::Proc, Path::new(file)) {
            Some(file) => bytes_of(file?)?,
            None => fs::read(Path::new("/proc").join(file))?,
        };
        // Unprivileged readers see zero addresses (`kptr_restrict`).
        let zero = |line: &[u8]| line.iter().take(16).all(|digit| *digit == b'0');
        if file == "kallsyms" && bytes.split(|byte| *byte == b'\n').all(zero) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(bytes)
    }

    /// The text of a file below the top folder, such as `printk_formats`. Bytes that are not UTF-8 (a task's name may
    /// contain any) become U+FFFD.
    ///
    /// # Errors
    /// The file is missing or not accessible.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<String, TracefsError> {
        self.read_bytes(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of a file below the top folder.
    ///
    /// # Errors
    /// The file is missing or not accessible.
    pub fn read_bytes(&self, file: impl AsRef<Path>) -> Result<Vec<u8>, TracefsError> {
        let path = self.root.join(&file);
        self.bytes(file.as_ref()).map_err(|e| TracefsError::io("read", &path, e))
    }
}

impl Files for Tracefs {
    fn bytes(&self, file: &Path) -> io::Result<Vec<u8>> {
        self.open_kept(Base::Top, file).map_or_else(|| self.root.bytes(file), |file| bytes_of(file?))
    }

    fn folders(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.open_kept(Base::Top, folder).map_or_else(|| self.root.folders(folder), |folder| folders_of(folder?))
    }
}

pub(crate) fn is_tracefs(dir: &Path) -> bool {
    // The width and sign of f_type differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type as i64 == TRACEFS_MAGIC)
}

/// The mount point of tracefs: one of the usual places, otherwise from /proc/mounts.
fn mounted() -> Option<PathBuf> {
    if let Some(usual) = USUAL.iter().map(Path::new).find(|dir| is_tracefs(dir)) {
        return Some(usual.to_path_buf());
    }
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    // The mount of a lent instance does not count.
    mount_points(&mounts).find(|dir| is_tracefs(dir) && !lent::is_instance(dir))
}

/// The mount points of type tracefs in the text of /proc/mounts.
fn mount_points(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (point, kind) = (words.nth(1)?, words.next()?);
        (kind == "tracefs").then(|| PathBuf::from(unescape(point)))
    })
}

/// /proc/mounts escapes space, tab, newline and backslash as three octal digits (`mangle` in fs/proc_namespace.c).
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                out.push(byte as char);
                rest = &rest[3..];
            }
            _ => out.push('\\'),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_taken_from_lines_of_type_tracefs_and_unescaped() {
        let mounts =
            "proc /proc proc rw 0 0\nnodev /mnt/my\\040trace tracefs rw 0 0\ntracefs /a\\134b tracefs rw 0 0\nbroken\n";
        let found: Vec<_> = mount_points(mounts).collect();
        assert_eq!(found, [PathBuf::from("/mnt/my trace"), PathBuf::from("/a\\b")]);
    }

    #[test]
    fn a_folder_without_events_is_not_a_tracefs() {
        let dir = tempfile::tempdir().unwrap();
        let error = Tracefs::at(dir.path()).unwrap_err();
        assert!(matches!(error, TracefsError::NotTracefs(_)), "{error}");
        assert!(error.to_string().contains("neither a tracefs nor a capture folder"));
    }

    #[test]
    fn a_folder_with_events_is_a_capture() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("events")).unwrap();
        let tracefs = Tracefs::at(dir.path()).unwrap();
        assert_eq!(tracefs.kind(), Kind::Capture);
        assert!(!tracefs.mounted_by_us());
    }
}
