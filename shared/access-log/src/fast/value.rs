//! Tests if a value is a number, an address or a time of day, for all its bytes at once.
//!
//! Every function receives a value that is not empty, and the [`BEHIND`] bytes of any content behind it. A
//! declined value may still be a number, an address or a time: the plain path decides.

use super::processor::digits;
use crate::ecs::parts::TLS_VERSIONS;
use crate::line::DIGITS_MAX;
use crate::time;

/// Number of bytes read behind the last one of a value.
pub(super) const BEHIND: usize = 40;

/// Returns the 16 bytes at `at`.
#[inline(always)]
pub(super) fn bytes(text: &[u8], at: usize) -> &[u8; 16] {
    text[at..].first_chunk().expect("bytes stand behind a value")
}

/// Returns the number of leading digits among the 16 bytes at `at`.
#[inline(always)]
fn count_digits(text: &[u8], at: usize) -> usize {
    digits(bytes(text, at)).trailing_ones() as usize
}

/// Returns true if the first `length` bytes of `text` are a JSON number without sign and exponent that a
/// double holds exactly.
#[inline(always)]
pub(super) fn is_number(text: &[u8], length: usize) -> bool {
    if length > DIGITS_MAX {
        return false;
    }
    let zero_leads = text[0] == b'0';
    let digits = digits(bytes(text, 0));
    let whole = digits.trailing_ones() as usize;
    if whole >= length {
        return !zero_leads || length == 1;
    }
    // The point must be the only other byte, and neither the first one nor the last.
    let next = (digits | 1 << whole).trailing_ones() as usize;
    let is_fraction = text[whole] == b'.' && next >= length && whole > 0 && whole + 1 < length;
    is_fraction && (!zero_leads || whole == 1)
}

/// Returns true if the first `length` bytes of `text` are a whole number in JSON's form, without a sign.
#[inline(always)]
pub(super) fn is_integer(text: &[u8], length: usize) -> bool {
    length <= DIGITS_MAX && count_digits(text, 0) >= length && (text[0] != b'0' || length == 1)
}

/// Returns the first `length` bytes of `text`, a number in seconds, in nanoseconds. `None` if they are no number of
/// at most eight digits before the point and nine behind it.
#[inline(always)]
pub(super) fn nanoseconds(text: &[u8], length: usize) -> Option<u64> {
    if !is_number(text, length) {
        return None;
    }
    let whole = count_digits(text, 0).min(length);
    let fraction = length.saturating_sub(whole + 1);
    if whole > 8 || fraction > 9 {
        return None;
    }
    let mut number = decimal(text, 0, whole) * POWERS[9];
    if fraction > 0 {
        let first = decimal(text, whole + 1, fraction.min(8)) * POWERS[9 - fraction.min(8)];
        let ninth = if fraction == 9 { text[length - 1] - b'0' } else { 0 };
        number += first + u64::from(ninth);
    }
    Some(number)
}

/// Returns the number of the `length` digits at `at`, one to eight.
#[inline(always)]
fn decimal(text: &[u8], at: usize, length: usize) -> u64 {
    let word: &[u8; 8] = text[at..].first_chunk().expect("bytes stand behind a value");
    // Shifting by the absent digits leaves zeros in front of the others. Each step joins two neighbours.
    let digits = (u64::from_le_bytes(*word) & 0x0f0f_0f0f_0f0f_0f0f) << (64 - 8 * length as u32);
    let twos = digits.wrapping_mul(10 * 256 + 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = twos.wrapping_mul(100 * 65_536 + 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

/// Powers of ten.
const POWERS: [u64; 10] = {
    let mut powers = [1; 10];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

/// Returns true if the first `length` bytes of `text` are a time.
#[inline(always)]
pub(super) fn is_time(text: &[u8], length: usize) -> bool {
    // Digits become numbers below ten, and hyphens zero. Only days that each month has are read here.
    let plain = length - usize::from(text[length - 1] == b'Z');
    let is_plain = plain >= 19 && is_clock(&text[10..]) && is_fraction(&text[19..], plain - 19);
    is_plain && is_common_date(text) || time::parse(&text[..length]).is_some()
}

/// Returns true if `text` begins with a date such as `2018-07-02`, on a day that every month has.
#[inline(always)]
fn is_common_date(text: &[u8]) -> bool {
    let numbers = u64::from_le_bytes(*bytes(text, 2).first_chunk().expect("16 bytes"))
        ^ u64::from_le_bytes(*b"00-00-00");
    let above = numbers.wrapping_add(0x7676_7f76_767f_7676);
    let twos = numbers.wrapping_mul(10).wrapping_add(numbers >> 8);
    let [_, _, _, month, _, _, day, _] = twos.to_le_bytes();
    let is_date = above & 0x8080_8080_8080_8080 == 0 && text[2..10].is_ascii();
    is_date && count_digits(text, 0) == 4 && matches!(month, 1..=12) && matches!(day, 1..=28)
}

/// Returns the index of a TLS version in [`TLS_VERSIONS`].
#[inline(always)]
pub(super) fn tls_version(text: &[u8], length: usize) -> Option<usize> {
    const WORDS: [u64; TLS_VERSIONS.len()] = {
        let mut words = [0; TLS_VERSIONS.len()];
        let mut at = 0;
        while at < words.len() {
            let name = TLS_VERSIONS[at].0.as_bytes();
            let mut byte = name.len();
            while byte > 0 {
                byte -= 1;
                words[at] = words[at] << 8 | name[byte] as u64;
            }
            at += 1;
        }
        words
    };
    if length >= 8 {
        return None;
    }
    let word: &[u8; 8] = text.first_chunk().expect("bytes stand behind a value");
    let word = u64::from_le_bytes(*word) & ((1 << (8 * length)) - 1);
    WORDS.iter().position(|&known| known == word)
}

/// Returns the position of the colon if the first `length` bytes of `text` are an IPv4 address and a port in
/// the form of a JSON number.
#[inline(always)]
pub(super) fn colon(text: &[u8], length: usize) -> Option<usize> {
    let colon = ipv4_length(text)?;
    let port = colon + 1;
    let port_length = length.checked_sub(port)?;
    let is_port = text[colon] == b':'
        && count_digits(text, port) >= port_length
        && is_decimal(&PORTS, text, port, port_length);
    is_port.then_some(colon)
}

/// Returns true if the first `length` bytes of `text` are a port in the form of a JSON number.
#[inline(always)]
pub(super) fn is_port(text: &[u8], length: usize) -> bool {
    count_digits(text, 0) >= length && is_decimal(&PORTS, text, 0, length)
}

/// Returns true if the first `length` bytes of `text` are an IPv4 address.
#[inline(always)]
pub(super) fn is_ipv4(text: &[u8], length: usize) -> bool {
    ipv4_length(text) == Some(length)
}

/// Returns the length of the IPv4 address at the beginning of `text`.
#[inline(always)]
fn ipv4_length(text: &[u8]) -> Option<usize> {
    let mut digits = digits(bytes(text, 0));
    let mut start = 0;
    for _ in 0..3 {
        let point = digits.trailing_ones() as usize;
        if point > 14 || text[point] != b'.' || !is_decimal(&GROUPS, text, start, point - start) {
            return None;
        }
        // Marks the point as a digit, so that the next byte that is none ends the next group.
        digits |= 1 << point;
        start = point + 1;
    }
    let end = digits.trailing_ones() as usize;
    is_decimal(&GROUPS, text, start, end - start).then_some(end)
}

/// For each length, the minimum number of so many digits, and the distance to the maximum. Big-endian words
/// have the same order as the digits that they hold.
type Ranges = [(u64, u64); 16];

/// Returns the ranges of numbers up to `most`, without leading zeros. `most` has so many digits, and zeros
/// behind them.
const fn ranges(digits: usize, most: &[u8; 8]) -> Ranges {
    let mut ranges = [(u64::MAX, 0); 16];
    let mut length = 1;
    while length <= digits {
        let unused = 64 - 8 * length as u32;
        let least = u64::from_be_bytes(if length == 1 { *b"00000000" } else { *b"10000000" }) >> unused;
        let most = u64::from_be_bytes(if length == digits { *most } else { *b"99999999" }) >> unused;
        ranges[length] = (least, most - least);
        length += 1;
    }
    ranges
}

const GROUPS: Ranges = ranges(3, b"25500000");
const PORTS: Ranges = ranges(5, b"65535000");

/// Returns true if the `length` digits at `at` are a number in the range.
#[inline(always)]
fn is_decimal(ranges: &'static Ranges, text: &[u8], at: usize, length: usize) -> bool {
    let Some(&(least, more)) = ranges.get(length) else { return false };
    let word: &[u8; 8] = text[at..].first_chunk().expect("bytes stand behind a value");
    let number = u64::from_be_bytes(*word) >> (64_usize.wrapping_sub(8 * length) % 64);
    number.wrapping_sub(least) <= more
}

/// Returns true if `text` begins with a time of day, such as `T22:23:00`.
#[inline(always)]
pub(super) fn is_clock(text: &[u8]) -> bool {
    let Some([b'T', clock @ ..]) = text.first_chunk::<9>() else { return false };
    // Digits become numbers, and colons become zero. A byte above nine, or above zero for a colon, gets its
    // highest bit.
    let numbers = u64::from_le_bytes(*clock) ^ u64::from_le_bytes(*b"00:00:00");
    let above = numbers.wrapping_add(0x7676_7f76_767f_7676);
    let twos = numbers.wrapping_mul(10).wrapping_add(numbers >> 8);
    let [hour, _, _, minute, _, _, second, _] = twos.to_le_bytes();
    above & 0x8080_8080_8080_8080 == 0 && clock.is_ascii() && hour < 24 && minute < 60 && second <= 60
}

/// Returns true if the first `length` bytes of `text` are a point and at most nine digits, or if `length` is
/// zero.
#[inline(always)]
pub(super) fn is_fraction(text: &[u8], length: usize) -> bool {
    length == 0 || (matches!(length, 2..=10) && text[0] == b'.' && count_digits(text, 1) >= length - 1)
}
