//! Record + print format → the kernel's own text.

pub mod builtin;
pub mod graph;
pub mod line;
pub mod symbol;
mod trace;

pub use graph::GraphOptions;
pub use line::LineOptions;
pub use trace::TraceText;
