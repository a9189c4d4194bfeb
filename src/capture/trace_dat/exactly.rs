//! Reads as many bytes from a decoder as were announced: no more and no fewer.

use std::io::Read;

/// Reads until `out` is full, and checks that nothing follows.
///
/// # Errors
/// The decoder fails, ends before, or has more.
pub(super) fn exactly(mut decoder: impl Read, out: &mut [u8]) -> Result<(), String> {
    decoder.read_exact(out).map_err(|error| error.to_string())?;
    match decoder.read(&mut [0]).map_err(|error| error.to_string())? {
        0 => Ok(()),
        _ => Err(too_long(out)),
    }
}

/// What there is more than fits into `out`.
pub(super) fn too_long(out: &[u8]) -> String {
    format!("more than the announced {} bytes", out.len())
}
