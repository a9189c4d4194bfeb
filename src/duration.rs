//! Durations as the user writes them: `12.5s`, `250ms`.

/// The ns of `12.5s`, `250ms`, `10us`, `500ns`, `2m` or `1h`; a number without a unit counts `bare` ns each.
pub fn nanoseconds(text: &str, bare: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" => bare,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" => 1000,
        "ns" => 1,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    scaled(number, unit)
}

/// `12.5` times `unit`, without the errors of binary fractions.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut ns = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        ns = ns.checked_add(place.checked_mul(u64::from(digit.checked_sub(b'0').filter(|&d| d < 10)?))?)?;
    }
    Some(ns)
}
