//! Pure functions from the ledger's records to the rows and lines that people read.

pub mod approvers;
pub mod attention;
pub mod background;
pub mod board;
pub mod change_set;
pub mod deployments;
pub mod diff;
pub mod drift;
pub mod images;
pub mod owners;
pub mod permissions;
pub mod plan;
pub mod question;
pub mod reach;
pub mod review;
pub mod status;
#[cfg(test)]
pub mod testing;
pub mod why;

use jiff::Timestamp;

/// Formats a time to the second, in UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Formats the time of day to the millisecond, for lists of many lines.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

/// Formats the time between two times by its largest unit, for a glance: `12 s`, `5 min`, `3 h`, `2 d`.
pub fn age(from: Timestamp, to: Timestamp) -> String {
    match to.duration_since(from).as_secs().max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Returns the last part of an ARN: the name of a person or a resource.
pub fn last_part(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or_default()
}

/// Breaks a text at spaces into lines of at most `width` characters. A longer word is broken too. Without a width, only the
/// text's own ends of lines break it.
pub fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let width = width.map_or(usize::MAX, |width| width.max(1));
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split(' ') {
            let (mut word, mut length) = (word, current.chars().count());
            if length > 0 && length + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut current));
                length = 0;
            }
            while length == 0 && word.chars().count() > width {
                let end = word.char_indices().nth(width).map_or(word.len(), |(end, _)| end);
                lines.push(word[..end].to_owned());
                word = &word[end..];
            }
            if length > 0 {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

/// Returns the seconds from one time to another.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_largest_unit() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, expected) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (200_000, "2 d")]
        {
            assert_eq!(age(at(0), at(seconds)), expected);
        }
        assert_eq!(age(at(9), at(0)), "0 s", "clocks differ");
    }

    #[test]
    fn no_wrapped_line_is_longer_than_the_width() {
        let text = "one two three\na-word-that-is-longer-than-any-line four";
        for width in 1..60 {
            let lines = wrapped(text, Some(width));
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(letters(&lines.concat()), letters(text), "{width}");
        }
        assert_eq!(wrapped(text, None), text.lines().collect::<Vec<_>>());
    }
}
