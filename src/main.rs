//! The `ftrace-live` program.
fn main() {}
