//! What the organisation says about images: the table `[images]` of its `stages.toml`.

use crate::error::Problem;
use crate::toml_file::{Problems, Table, document, integer, wrong_type};
use crate::traffic::COPIES_AT_ONCE;
use std::ops::RangeInclusive;

/// How many copies into one account and region may be allowed at once: AWS's own limit can be raised.
const COPIES_RANGE: RangeInclusive<i64> = 1..=200;

/// What the organisation says about images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSettings {
    /// How many copies may run into one account and region at once.
    pub copies_at_once: u32,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { copies_at_once: COPIES_AT_ONCE }
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
        table.refuse_unknown(&["copies_at_once"], problems);
        if let Some(value) = table.get("copies_at_once") {
            let name = table.path("copies_at_once");
            match integer(value.get_ref()) {
                Some(n) if COPIES_RANGE.contains(&n) => {
                    settings.copies_at_once = u32::try_from(n).unwrap_or(1)
                }
                Some(_) => problems.add(
                    &value.span(),
                    format!("`{name}` must be from {} to {}", COPIES_RANGE.start(), COPIES_RANGE.end()),
                ),
                None => problems.add(&value.span(), wrong_type(&name, "a whole number", value.get_ref())),
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageSettings, String> {
        ImageSettings::parse("stages.toml", text).map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn what_the_organisation_does_not_say_is_as_ever() {
        assert_eq!(parse(""), Ok(ImageSettings { copies_at_once: 18 }));
        assert_eq!(parse("[images]\n"), Ok(ImageSettings::default()));
        assert_eq!(parse("[images]\ncopies_at_once = 40\n"), Ok(ImageSettings { copies_at_once: 40 }));
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_told_with_its_line() {
        assert_eq!(
            parse("[images]\ncopies_at_once = 0\n").unwrap_err(),
            "stages.toml:2: `images.copies_at_once` must be from 1 to 200"
        );
        assert!(parse("[images]\ncopies_at_once = \"x\"\n").unwrap_err().contains("a whole number"));
        assert!(parse("[images]\ncopies = 1\n").unwrap_err().contains("`images.copies` is not known"));
    }
}
