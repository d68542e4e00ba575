//! Image settings of the organisation: the table `[images]` of its `stages.toml`.

use crate::images::copy_slots::COPIES_AT_ONCE;
use crate::images::retention::KEEP;
use crate::model::error::Problem;
use crate::model::toml_file::{Problems, Table, document, integer, wrong_type};
use std::ops::RangeInclusive;

/// Permitted number of concurrent copies into one account and region. AWS's own limit can be raised.
const COPIES_RANGE: RangeInclusive<i64> = 1..=200;

/// Permitted number of retained versions of an image: each costs its snapshots in every account.
const KEEP_RANGE: RangeInclusive<i64> = 1..=1000;

/// Image settings of the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub struct ImageSettings {
    /// Number of concurrent copies into one account and region.
    #[cfg_attr(test, schemars(range(min = 1, max = 200)))]
    pub copies_at_once: u32,
    /// Number of an image's newest usable versions that are retained even without a reference.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    pub keep: u32,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { copies_at_once: COPIES_AT_ONCE, keep: KEEP }
    }
}

impl ImageSettings {
    /// Parses the settings in the text of a `stages.toml`; a missing setting has its default.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let settings = Self::read(&Table::root(&document), &mut problems);
        problems.finish(Some(settings))
    }

    /// Reads the table `[images]` of `root`.
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

/// Returns a whole number within a range; `None` if it is missing or invalid.
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
    fn missing_settings_have_their_defaults() {
        assert_eq!(parse(""), Ok(ImageSettings { copies_at_once: 18, keep: 5 }));
        assert_eq!(parse("[images]\n"), Ok(ImageSettings::default()));
        assert_eq!(
            parse("[images]\ncopies_at_once = 40\n"),
            Ok(ImageSettings { copies_at_once: 40, keep: 5 })
        );
        assert_eq!(parse("[images]\nkeep = 2\n"), Ok(ImageSettings { copies_at_once: 18, keep: 2 }));
    }

    #[test]
    fn an_invalid_setting_is_reported_with_its_line() {
        assert_eq!(
            parse("[images]\ncopies_at_once = 0\n").unwrap_err(),
            "stages.toml:2: `images.copies_at_once` must be from 1 to 200"
        );
        assert!(parse("[images]\nkeep = 0\n").unwrap_err().contains("`images.keep` must be from 1"));
        assert!(parse("[images]\ncopies_at_once = \"x\"\n").unwrap_err().contains("a whole number"));
        assert!(parse("[images]\ncopies = 1\n").unwrap_err().contains("`images.copies` is not known"));
    }
}
