//! Interval between two looks for drift by schedule: `drift` of a stage.

use super::ids::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Hours of a day.
const DAY_HOURS: u32 = 24;

/// Maximum number of hours: thirty days.
const HOURS_MAX: u32 = 30 * DAY_HOURS;

/// Seconds of an hour.
const HOUR_SECONDS: i64 = 3600;

/// The form of an interval, as the end of a sentence.
const WANTED: &str =
    "write it as \"rate(6 hours)\" or \"rate(1 day)\": an hour at least, thirty days at most";

/// Whole number of hours, from one to thirty days, in the form of a
/// [rate expression](https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LookInterval(u32);

impl LookInterval {
    /// Returns the beginning of the window that holds `now`. A window is as long as the interval. `key` shifts it, so that
    /// the looks of many environments are spread over the interval.
    pub fn window(self, key: &str, now: Timestamp) -> Timestamp {
        let length = i64::from(self.0) * HOUR_SECONDS;
        let shift = shift(key) % length;
        let begin = (now.as_second() - shift).div_euclid(length) * length + shift;
        Timestamp::from_second(begin).unwrap_or(Timestamp::MIN)
    }
}

/// Returns a number that depends on `key` alone, not negative.
fn shift(key: &str) -> i64 {
    let digest = Digest::of(key.as_bytes());
    i64::from_str_radix(&digest.as_str()[..12], 16).unwrap_or_default()
}

impl FromStr for LookInterval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).ok_or(WANTED)?;
        let (number, unit) = inner.split_once(' ').ok_or(WANTED)?;
        if number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WANTED);
        }
        let number: u32 = number.parse().map_err(|_| WANTED)?;
        let hours = match (number, unit) {
            (1, "hour") | (2.., "hours") => Some(number),
            (1, "day") | (2.., "days") => number.checked_mul(DAY_HOURS),
            _ => None,
        };
        hours.filter(|hours| *hours <= HOURS_MAX).map(Self).ok_or(WANTED)
    }
}

impl TryFrom<String> for LookInterval {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LookInterval> for String {
    fn from(interval: LookInterval) -> Self {
        interval.to_string()
    }
}

impl fmt::Display for LookInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) =
            if self.0.is_multiple_of(DAY_HOURS) { (self.0 / DAY_HOURS, "day") } else { (self.0, "hour") };
        write!(f, "rate({number} {unit}{})", if number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_interval_has_the_form_of_a_rate() {
        for (text, written) in [
            ("rate(1 hour)", "rate(1 hour)"),
            ("rate(6 hours)", "rate(6 hours)"),
            ("rate(24 hours)", "rate(1 day)"),
            ("rate(30 days)", "rate(30 days)"),
            ("rate(720 hours)", "rate(30 days)"),
        ] {
            assert_eq!(text.parse::<LookInterval>().map(|it| it.to_string()), Ok(written.to_owned()));
        }
        for text in [
            "",
            "6 hours",
            "rate(6)",
            "rate(0 hours)",
            "rate(06 hours)",
            "rate(1 hours)",
            "rate(2 hour)",
            "rate(+2 hours)",
            "rate(-2 hours)",
            "rate(30 minutes)",
            "rate(31 days)",
            "rate(721 hours)",
            "rate(4294967295 days)",
            "rate(99999999999 hours)",
            "cron(0 6 * * ? *)",
            "rate(6  hours)",
            " rate(6 hours)",
        ] {
            assert_eq!(text.parse::<LookInterval>(), Err(WANTED), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_window_holds_its_time_and_meets_the_next(
            hours in 1u32..=HOURS_MAX, key in "[a-z/]{1,20}", second in 0i64..4_000_000_000
        ) {
            let (interval, now) = (LookInterval(hours), Timestamp::from_second(second).unwrap());
            let length = i64::from(hours) * HOUR_SECONDS;
            let begin = interval.window(&key, now).as_second();
            prop_assert!(begin <= second && second < begin + length);
            let next = interval.window(&key, Timestamp::from_second(begin + length).unwrap());
            prop_assert_eq!(next.as_second(), begin + length);
        }
    }

    #[test]
    fn the_windows_of_many_environments_are_spread() {
        let (interval, now) = (LookInterval(6), Timestamp::from_second(1_800_000_000).unwrap());
        let mut begins = [0; 24];
        for number in 0..2400 {
            let begin = interval.window(&format!("production/service-{number}"), now);
            let age = now.as_second() - begin.as_second();
            begins[usize::try_from(age / 900).unwrap()] += 1;
        }
        // A hundred in each quarter of an hour, if they were spread evenly.
        assert!(begins.iter().all(|count| (60..=140).contains(count)), "{begins:?}");
    }
}
