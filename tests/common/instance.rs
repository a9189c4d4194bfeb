//! A trace instance for a test, and its ring frozen into a capture folder.

use std::{
    fs,
    io::Read,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use super::live::tracefs;

/// An instance for a test, removed at the end.
pub struct Instance(pub PathBuf);

impl Instance {
    /// Creates one; `purpose` is a part of its name.
    fn new(tracing: &Path, purpose: &str) -> Result<Instance, String> {
        let path = tracing.join(format!("instances/ftrace-live-{purpose}-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Instance(path))
    }

    /// tracefs and a new instance in it; if a test cannot have them, says why it is skipped.
    pub fn or_skip(purpose: &str) -> Option<(PathBuf, Instance)> {
        let tracing = tracefs()?.root().to_path_buf();
        match Instance::new(&tracing, purpose) {
            Ok(instance) => Some((tracing, instance)),
            Err(why) => {
                crate::common::skipped::say(format_args!("{why}"));
                None
            }
        }
    }

    /// Writes a control file.
    pub fn write(&self, file: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.0.join(file), text)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        _ = self.write("tracing_on", "0");
        _ = self.write("events/enable", "0");
        _ = fs::remove_dir(&self.0);
    }
}

/// Freezes the instance's ring into a capture folder: the text first, then the bytes.
pub fn freeze(tracing: &Path, instance: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in ["trace", "trace_clock", "trace_options", "current_tracer"] {
        fs::write(folder.join(file), fs::read(instance.join(file)).unwrap()).unwrap();
    }
    for file in ["saved_cmdlines", "saved_tgids"] {
        fs::write(folder.join(file), fs::read(tracing.join(file)).unwrap()).unwrap();
    }
    fs::write(folder.join("uname"), fs::read("/proc/version").unwrap()).unwrap();
    let events = folder.join("events");
    fs::create_dir(&events).unwrap();
    for system in fs::read_dir(instance.join("events")).unwrap().flatten().filter(|e| e.path().is_dir()) {
        symlink(system.path(), events.join(system.file_name())).unwrap();
    }
    // One read: the kernel returns nothing more to a second one.
    let mut header = vec![0; 4096];
    let len = fs::File::open(instance.join("events/header_page")).unwrap().read(&mut header).unwrap();
    fs::write(events.join("header_page"), &header[..len]).unwrap();
    symlink("/proc/kallsyms", folder.join("kallsyms")).unwrap();
    symlink("/sys/kernel/btf/vmlinux", folder.join("btf")).unwrap();
    symlink(tracing.join("printk_formats"), folder.join("printk_formats")).unwrap();
    for cpu in fs::read_dir(instance.join("per_cpu")).unwrap().flatten() {
        let target = folder.join("per_cpu").join(cpu.file_name());
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("stats"), fs::read(cpu.path().join("stats")).unwrap()).unwrap();
        let mut ring = fs::OpenOptions::new();
        let mut ring = ring.read(true).custom_flags(libc::O_NONBLOCK).open(cpu.path().join("trace_pipe_raw")).unwrap();
        let (mut bytes, mut page) = (vec![], vec![0; 1 << 16]);
        // One read returns one sub-buffer; at the end of the ring it would block.
        while let Ok(len @ 1..) = ring.read(&mut page) {
            bytes.extend_from_slice(&page[..len]);
        }
        fs::write(target.join("trace_pipe_raw"), bytes).unwrap();
    }
}
