//! What all patches know about hits: the address, and the recipe of each timbre. Which event makes which sound is
//! decided in [`sound`](crate::sound).

use super::Listen;
use crate::sound::{Recipe, Timbre};

/// The largest sample, enforced by limiters: −2 dBFS.
pub const CEILING: f32 = 0.794;
/// How many notes and grains may sound at once, and how many textures.
pub const NOTES: usize = 40;
/// See [`NOTES`].
pub const TEXTURES: usize = 24;

/// The address of hits.
pub fn address(listen: Listen<'_>) -> String {
    format!("{}/hit", listen.prefix)
}

/// A number of each timbre's recipe, in order of the timbres' numbers, separated by `separator`.
pub fn table(number: impl Fn(&Recipe) -> f32, separator: &str) -> String {
    let numbers = Timbre::ALL.iter().map(|timbre| format!("{:.3}", number(&timbre.recipe())));
    numbers.collect::<Vec<_>>().join(separator)
}
