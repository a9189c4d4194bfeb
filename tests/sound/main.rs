//! The eight rules of docs/SOUND.md, one file for what is heard as what and one for the samples, on the real captures and on
//! made-up streams in simulated time.

mod command;
mod piece;
mod rules;
mod samples;
