//! Record and print format → the text that the kernel prints.
//!
//! [`TextPlan::compile`] turns an event's [print format](crate::format::print_fmt) into a flat list of pieces once,
//! and looks up every field, constant and table; [`TextPlan::render`] only computes and appends. A value that only
//! the kernel knows (one of its functions or variables) is shown as `{name?}`, and the text around it is kept.
//!
//! ```
//! use ftrace_live::{format::{Endian, EventFormat, LongSize}, names::NoNames, render::TextPlan};
//! let text = "name: softirq_entry\nID: 9\nformat:\n\
//!             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
//!             \n\
//!             \tfield:unsigned int vec;\toffset:8;\tsize:4;\tsigned:0;\n\
//!             \n\
//!             print fmt: \"vec=%u [action=%s]\", REC->vec, __print_symbolic(REC->vec, { 0, \"HI\" }, { 1, \"TIMER\" })\n";
//! let format = EventFormat::parse("irq", text, LongSize::Eight).unwrap();
//! let plan = TextPlan::compile(&format, LongSize::Eight, Endian::Little, &NoNames);
//! let mut out = Vec::new();
//! plan.render(&[9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], &NoNames, &mut out);
//! assert_eq!(out, b"vec=1 [action=TIMER]");
//! ```

mod arguments;
pub mod builtin;
mod compile;
mod date;
mod errno;
mod escape;
mod fields;
mod flags;
pub mod graph;
pub mod line;
mod meaning;
mod plan;
mod pointer;
mod printf;
mod settings;
pub mod symbol;
mod text;
mod trace;
mod value;

pub use graph::GraphOptions;
pub use line::LineOptions;
pub use meaning::Meaning;
pub(crate) use meaning::shown_as_bits;
pub use plan::{FieldText, TextPlan, Unsupported};
pub use settings::Settings;
pub use trace::TraceText;

#[cfg(test)]
mod tests;
