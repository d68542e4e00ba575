//! What the organisation says about images: the table `[images]` of its `stages.toml`.

use crate::images::copy_slots::COPIES_AT_ONCE;
use crate::images::retention::KEEP;
use crate::model::error::Problem;
use crate::model::toml_file::{Problems, Table, document, integer, wrong_type};
use std::ops::RangeInclusive;

/// How many copies into one account and region may be allowed at once: AWS's own limit can be raised.
const COPIES_RANGE: RangeInclusive<i64> = 1..=200;

/// How many versions of an image may be kept: each costs its snapshots in every account.
const KEEP_RANGE: RangeInclusive<i64> = 1..=1000;

/// What the organisation says about images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSettings {
    /// How many copies may run into one account and region at once.
    pub copies_at_once: u32,
    /// How many of an image's newest usable versions are kept whatever needs them.
    pub keep: u32,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { copies_at_once: COPIES_AT_ONCE, keep: KEEP }
    }
}

impl ImageSettings {
    /// Reads them from the text of a `stages.toml`; what it does not say is as ever.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let settings = Self::read(&Table::root(&document), &mut problems);
        problems.finish(Some(settings))
    }

    /// The table `[images]` of `root`.
    pub(crate) fn read(root: &Table<'_, '_>, problems: &mut Problems) -> Self {
        let mut settings = Self::default();
        let Some(table) = root.table("images", problems) else { return settings };
        table.refuse_unknown(&["copies_at_once", "keep"], problems);
        if let Some(copies) = number(&table, "copies_at_once", COPIES_RANGE, problems) {
            settings.copies_at_once = copies;
        }
        if let Some(keep) = number(&table, "keep", KEEP_RANGE, problems) {
            settings.keep = keep;
        }
        settings
    }
}

/// A whole number within a range; nothing if the table does not say, or says something that makes no sense.
fn number(
    table: &Table<'_, '_>,
    key: &str,
    range: RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<u32> {
    let value = table.get(key)?;
    let name = table.path(key);
    match integer(value.get_ref()) {
        Some(n) if range.contains(&n) => return u32::try_from(n).ok(),
        Some(_) => {
            problems
                .add(&value.span(), format!("`{name}` must be from {} to {}", range.start(), range.end()));
        }
        None => problems.add(&value.span(), wrong_type(&name, "a whole number", value.get_ref())),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageSettings, String> {
        ImageSettings::parse("stages.toml", text).map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn what_the_organisation_does_not_say_is_as_ever() {
        assert_eq!(parse(""), Ok(ImageSettings { copies_at_once: 18, keep: 5 }));
        assert_eq!(parse("[images]\n"), Ok(ImageSettings::default()));
        assert_eq!(
            parse("[images]\ncopies_at_once = 40\n"),
            Ok(ImageSettings { copies_at_once: 40, keep: 5 })
        );
        assert_eq!(parse("[images]\nkeep = 2\n"), Ok(ImageSettings { copies_at_once: 18, keep: 2 }));
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_told_with_its_line() {
        assert_eq!(
            parse("[images]\ncopies_at_once = 0\n").unwrap_err(),
            "stages.toml:2: `images.copies_at_once` must be from 1 to 200"
        );
        assert!(parse("[images]\nkeep = 0\n").unwrap_err().contains("`images.keep` must be from 1"));
        assert!(parse("[images]\ncopies_at_once = \"x\"\n").unwrap_err().contains("a whole number"));
        assert!(parse("[images]\ncopies = 1\n").unwrap_err().contains("`images.copies` is not known"));
    }
}
