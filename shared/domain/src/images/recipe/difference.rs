//! The difference of two recipes, as an approver of a build reads it: every changed line, and three lines around it.

use crate::delivery::archive::{ArchiveError, Files, Limits, unpack};
use crate::model::ids::Digest;
use similar::{Algorithm, ChangeTag, capture_diff_slices};
use std::collections::BTreeSet;

/// Number of unchanged lines around a change.
const CONTEXT: usize = 3;

/// Maximum number of pairs of lines that are compared. Longer files are shown as replaced: each of their lines is still
/// shown.
const PAIRS_MAX: usize = 4_000_000;

/// A line of a file, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    /// The line is in both.
    Same(&'a str),
    /// Only the earlier file has the line.
    Removed(&'a str),
    /// Only the later file has the line.
    Added(&'a str),
}

impl Line<'_> {
    fn is_change(&self) -> bool {
        !matches!(self, Self::Same(_))
    }
}

/// Returns the difference between the artifacts of two recipes. Without `before`, every line of `after` is new.
///
/// # Errors
/// An archive that cannot be unpacked.
pub fn of_artifacts(before: Option<&[u8]>, after: &[u8]) -> Result<Vec<String>, ArchiveError> {
    let unpacked = |zip: &[u8]| unpack(zip, &Limits::DEFAULT);
    let before = before.map(unpacked).transpose()?.unwrap_or_default();
    Ok(of_files(&before, &unpacked(after)?))
}

/// Returns the difference between two sets of files, in the order of their paths; empty if they are equal.
pub fn of_files(before: &Files, after: &Files) -> Vec<String> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths.into_iter().flat_map(|path| of_file(path, before.get(path), after.get(path))).collect()
}

fn of_file(path: &str, before: Option<&Vec<u8>>, after: Option<&Vec<u8>>) -> Vec<String> {
    let head = match (before, after) {
        (Some(before), Some(after)) if before == after => return Vec::new(),
        (Some(_), Some(_)) => format!("{path} (changed)"),
        (None, Some(_)) => format!("{path} (new)"),
        (Some(_), None) => format!("{path} (removed)"),
        (None, None) => return Vec::new(),
    };
    let text = |bytes: Option<&'_ Vec<u8>>| String::from_utf8(bytes.cloned().unwrap_or_default());
    let body = match (text(before), text(after)) {
        (Ok(before), Ok(after)) => of_texts(&before, &after),
        _ => vec![format!("  not text: {} -> {}", digest(before), digest(after))],
    };
    std::iter::once(head).chain(body).collect()
}

fn digest(bytes: Option<&Vec<u8>>) -> String {
    bytes.map_or_else(|| "none".to_owned(), |bytes| Digest::of(bytes).to_string())
}

/// Returns the changed lines with their surroundings. The end of a line counts: a carriage return is part of it.
fn of_texts(before: &str, after: &str) -> Vec<String> {
    let split = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (old, new) = (split(before), split(after));
    let lines = compare(&old, &new);
    let mut shown = Vec::new();
    let (mut number, mut gap) = (0_usize, true);
    for (n, line) in lines.iter().enumerate() {
        if !matches!(line, Line::Removed(_)) {
            number += 1;
        }
        let around = &lines[n.saturating_sub(CONTEXT)..lines.len().min(n + CONTEXT + 1)];
        if !around.iter().any(Line::is_change) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            shown.push(format!("  line {}:", number.max(1)));
        }
        shown.push(match line {
            Line::Same(text) => format!("      {}", ended(text)),
            Line::Removed(text) => format!("    - {}", ended(text)),
            Line::Added(text) => format!("    + {}", ended(text)),
        });
    }
    shown
}

/// Returns a line without its newline. A last line that has none says so.
fn ended(line: &str) -> String {
    line.strip_suffix('\n').map_or_else(|| format!("{line} (no newline at the end)"), str::to_owned)
}

/// Returns the lines of both files in an order that keeps as many as possible.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);
    let same = |lines: &[&'a str]| lines.iter().map(|line| Line::Same(line)).collect::<Vec<_>>();
    [same(&old[..start]), middle(old_middle, new_middle), same(&old_rest[old_rest.len() - end..])].concat()
}

/// Compares by the shortest edit, unless the files are too long for it.
fn middle<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        let removed = old.iter().map(|line| Line::Removed(line));
        return removed.chain(new.iter().map(|line| Line::Added(line))).collect();
    }
    let edits = capture_diff_slices(Algorithm::Myers, old, new);
    let changes = edits.iter().flat_map(|edit| edit.iter_changes(old, new));
    changes
        .map(|change| match change.tag() {
            ChangeTag::Equal => Line::Same(change.value()),
            ChangeTag::Delete => Line::Removed(change.value()),
            ChangeTag::Insert => Line::Added(change.value()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_first_recipe_is_shown_whole() {
        let after = files(&[("empty", ""), ("image.toml", "name = \"x\"\n"), ("install.sh", "one\ntwo")]);
        assert_eq!(
            of_files(&Files::new(), &after),
            [
                "empty (new)",
                "image.toml (new)",
                "  line 1:",
                "    + name = \"x\"",
                "install.sh (new)",
                "  line 1:",
                "    + one",
                "    + two (no newline at the end)",
            ]
        );
    }

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let text = |middle: &str| format!("1\n2\n3\n4\n5\n{middle}\n7\n8\n9\n10\n11\n");
        let (before, after) = (files(&[("a", &text("6"))]), files(&[("a", &text("six"))]));
        assert_eq!(
            of_files(&before, &after),
            [
                "a (changed)",
                "  line 3:",
                "      3",
                "      4",
                "      5",
                "    - 6",
                "    + six",
                "      7",
                "      8",
                "      9",
            ]
        );
        assert!(of_files(&after, &after).is_empty());
    }

    #[test]
    fn a_removed_file_and_a_file_that_is_no_text_are_shown() {
        let mut before = files(&[("gone.sh", "x\n")]);
        before.insert("tool".to_owned(), vec![0xff, 0xfe]);
        let mut after = Files::new();
        after.insert("tool".to_owned(), vec![0xff]);
        let shown = of_files(&before, &after);
        assert_eq!(shown[..3], ["gone.sh (removed)", "  line 1:", "    - x"]);
        assert_eq!(shown[3], "tool (changed)");
        assert!(shown[4].starts_with("  not text: ") && shown[4].contains(" -> "), "{shown:?}");
    }

    #[test]
    fn artifacts_are_compared_by_their_files() {
        let zip = |text: &str| crate::delivery::archive::pack(&files(&[("a", text)])).unwrap();
        let shown = of_artifacts(Some(&zip("x\n")), &zip("y\n")).unwrap();
        assert_eq!(shown, ["a (changed)", "  line 1:", "    - x", "    + y"]);
        assert!(of_artifacts(None, b"no zip").is_err());
    }

    proptest! {
        /// No changed line is missing: both texts can be read from the comparison.
        #[test]
        fn both_texts_can_be_read_from_the_comparison(
            old in proptest::collection::vec("[abc]", 0..12), new in proptest::collection::vec("[abc]", 0..12),
        ) {
            let (old, new): (Vec<&str>, Vec<&str>) =
                (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            let lines = compare(&old, &new);
            let side = |skip: fn(&Line<'_>) -> bool| {
                let kept = lines.iter().filter(|line| !skip(line));
                kept.map(|line| match line { Line::Same(l) | Line::Removed(l) | Line::Added(l) => *l }).collect::<Vec<_>>()
            };
            prop_assert_eq!(side(|line| matches!(line, Line::Added(_))), old);
            prop_assert_eq!(side(|line| matches!(line, Line::Removed(_))), new);
        }

        #[test]
        fn equal_texts_have_no_difference(text in "[a-c\n]{0,40}") {
            prop_assert!(of_texts(&text, &text).is_empty());
        }
    }
}
