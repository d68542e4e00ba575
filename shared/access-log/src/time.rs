//! The times in log lines, which become an event's `@timestamp` and the date of its index.

/// A validated time of a line, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time<'l> {
    /// The whole time, without `Z`.
    pub text: &'l [u8],
}

impl Time<'_> {
    /// Returns the day in Logstash's form for the dates of indices: `2026.11.26`.
    pub fn index_date(&self) -> [u8; 10] {
        let [a, b, c, d, _, e, f, _, g, h] = *self.text.first_chunk().expect("a time begins with a date");
        [a, b, c, d, b'.', e, f, b'.', g, h]
    }
}

/// Parses `2018-07-02T22:23:00`, with or without a fraction of at most nine digits and a `Z`. Accepts only
/// days that exist.
pub(crate) fn parse(token: &[u8]) -> Option<Time<'_>> {
    let text = token.strip_suffix(b"Z").unwrap_or(token);
    let (whole, fraction) = text.split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *whole
    else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let clock = two(h1, h2)? < 24 && two(n1, n2)? < 60 && two(s1, s2)? <= 60;
    let valid = clock && (1..=days(year, month)).contains(&day) && is_fraction(fraction);
    valid.then_some(Time { text })
}

fn two(tens: u8, ones: u8) -> Option<u16> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn is_fraction(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b'.', digits @ ..] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Returns the number of days of a month; zero if there is no such month.
fn days(year: u16, month: u16) -> u16 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u16::from(leap),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_aws_is_parsed_and_a_day_that_does_not_exist_is_not() {
        for time in [
            "2018-07-02T22:23:00.186641Z",
            "2018-12-20T02:59:40",
            "2024-02-29T00:00:00Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(parse(time.as_bytes()).is_some(), "{time}");
        }
        for no_time in [
            "",
            "-",
            "Z",
            "2018-07-02",
            "2018-07-02 22:23:00",
            "2018-02-29T00:00:00Z",
            "2018-13-01T00:00:00Z",
            "2018-00-01T00:00:00Z",
            "2018-01-00T00:00:00Z",
            "2018-01-01T24:00:00Z",
            "2018-01-01T00:60:00Z",
            "2018-01-01T00:00:61Z",
            "2018-01-01T00:00:00.Z",
            "2018-01-01T00:00:00.1234567890Z",
            "2018-01-01T00:00:00+01:00",
            "2018-01-01T00:00:00ZZ",
            "20a8-01-01T00:00:00Z",
        ] {
            assert!(parse(no_time.as_bytes()).is_none(), "{no_time}");
        }
    }

    #[test]
    fn the_date_of_the_index_is_the_day_of_the_event() {
        assert_eq!(&parse(b"2018-07-02T22:23:00.186641Z").unwrap().index_date(), b"2018.07.02");
    }
}
