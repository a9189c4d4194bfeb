//! System calls: `sys_openat(dfd: ffffff9c, filename: 7f…)` and `sys_openat -> 0x3` (`print_syscall_enter`,
//! `print_syscall_exit`, kernel/trace/trace_syscalls.c). Their print formats say `dfd: 0x%08lx` without the name.

use byteorder::ByteOrder;

use super::number::Number;
use crate::{
    format::EventFormat,
    render::line::{LineOptions, write_hex},
};

/// The text of one system call's entry or exit.
#[derive(Debug, Clone)]
pub(super) enum Syscall {
    Enter {
        /// `sys_openat(`
        name: String,
        arguments: Vec<Argument>,
    },
    Exit {
        /// `sys_openat -> 0x`.
        name: String,
        ret: Number,
    },
}

/// An argument of a system call.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    /// `const char *`
    type_name: String,
    /// `filename: `
    name: String,
    number: Number,
}

impl Syscall {
    pub(super) fn compile(format: &EventFormat) -> Option<Syscall> {
        if let Some(name) = format.name.strip_prefix("sys_enter_") {
            // The first field, the number of the call, is called `nr` (before 5.0) or `__syscall_nr`.
            let arguments = format.fields.get(1..)?.iter().map(|field| {
                let type_name = field.declaration.strip_suffix(&field.name).unwrap_or_default();
                Some(Argument {
                    type_name: format!("{} ", type_name.trim_end()),
                    name: format!("{}: ", field.name),
                    number: Number::of(format, &field.name)?,
                })
            });
            return Some(Syscall::Enter { name: format!("sys_{name}("), arguments: arguments.collect::<Option<_>>()? });
        }
        let name = format.name.strip_prefix("sys_exit_")?;
        Some(Syscall::Exit { name: format!("sys_{name} -> 0x"), ret: Number::of(format, "ret")? })
    }

    /// Appends the text with its line break.
    pub(super) fn write<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &[u8], options: &LineOptions) {
        match self {
            Syscall::Enter { name, arguments } => {
                out.extend_from_slice(name.as_bytes());
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    if options.verbose {
                        out.extend_from_slice(argument.type_name.as_bytes());
                    }
                    out.extend_from_slice(argument.name.as_bytes());
                    let value = argument.number.unsigned::<E>(record);
                    if options.syscall_prefix && value > 9 {
                        out.extend_from_slice(b"0x");
                    }
                    write_hex(out, value, 1);
                }
                out.extend_from_slice(b")\n");
            }
            Syscall::Exit { name, ret } => {
                out.extend_from_slice(name.as_bytes());
                write_hex(out, ret.unsigned::<E>(record), 1);
                out.push(b'\n');
            }
        }
    }
}
