//! Code shared by several integration tests.
#![allow(dead_code, reason = "each test crate uses a part of it")]

pub mod beside;
pub mod chance;
pub mod corpus;
pub mod instance;
pub mod kernel_text;
pub mod live;
pub mod machines;
pub mod made;
pub mod program;
pub mod record;
pub mod replay;
pub mod report;
pub mod skipped;
