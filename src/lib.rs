//! A running Linux kernel as a stream of typed OSC messages: the library behind `ftrace-live`.
#![warn(missing_docs)]
pub mod capture;
pub mod cli;
pub mod commands;
pub mod decode;
pub mod format;
pub mod listen;
pub mod live;
pub mod names;
pub mod osc;
pub mod outputs;
pub mod pipeline;
pub mod render;
pub mod replay;
pub mod ring;
pub mod text_output;
pub mod tracefs;
