//! The eight rules of docs/SOUND.md, one file for the mapping and one for the samples, on real captures and on
//! made-up streams in simulated time.

mod command;
mod piece;
mod rules;
mod samples;
