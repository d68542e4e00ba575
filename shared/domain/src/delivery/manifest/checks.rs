//! The `[[checks]]` of a manifest.

use super::Lines;
use crate::delivery::checks::{CHECKS_MAX, Check, Deadline, InvalidDeadline, InvalidStatuses, Statuses};
use crate::model::toml_file::{Problems, Table, integer, suggestion, text};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

pub(super) fn checks(root: &Table<'_, '_>, lines: &mut Lines, problems: &mut Problems) -> Vec<Check> {
    let mut checks = Vec::new();
    for (n, (name, value)) in root.items("checks", problems).into_iter().enumerate() {
        if n == CHECKS_MAX {
            problems.add(&value.span(), format!("there are more than {CHECKS_MAX} checks"));
        }
        let Some(table) = Table::of(name, value, problems) else { continue };
        if let Some(check) = check(&table, problems) {
            // The index counts parsed checks. After a problem above there is no manifest whose lines could be asked
            // for.
            let (key, path) = (check.subject_key(), format!("checks[{}]", checks.len()));
            table.get(key).into_iter().for_each(|value| lines.note(path.clone(), value, problems));
            checks.push(check);
        }
    }
    checks
}

fn check(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Check> {
    match table.required::<String>("kind", problems)?.as_str() {
        "output" => output(table, problems),
        "lambda" => {
            table.refuse_unknown(&["kind", "name", "deadline_seconds"], problems);
            let (name, deadline) = (table.required("name", problems), deadline(table, problems));
            Some(Check::Lambda { name: name?, deadline_seconds: deadline? })
        }
        "http" => {
            table.refuse_unknown(&["kind", "url", "status", "matches", "deadline_seconds"], problems);
            let (url, status) = (table.required("url", problems), status(table, problems));
            let pattern = table.get("matches").map(|value| text(&table.path("matches"), value, problems));
            let deadline = deadline(table, problems);
            // An invalid pattern differs from an absent one.
            let matches = pattern.map_or(Some(None), |read| read.map(Some));
            Some(Check::Http { url: url?, status: status?, matches: matches?, deadline_seconds: deadline? })
        }
        "tcp" => {
            table.refuse_unknown(&["kind", "address", "deadline_seconds"], problems);
            let (address, deadline) = (table.required("address", problems), deadline(table, problems));
            Some(Check::Tcp { address: address?, deadline_seconds: deadline? })
        }
        other => {
            let hint = suggestion(other, &Check::KINDS);
            problems.add(&table.span_of("kind"), format!("there is no such kind of check{hint}"));
            None
        }
    }
}

fn output(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Check> {
    if let Some(value) = table.get("deadline_seconds") {
        let path = table.path("deadline_seconds");
        problems.add(&value.span(), format!("`{path}`: an output does not change by waiting; remove it"));
    } else {
        table.refuse_unknown(&["kind", "name", "matches"], problems);
    }
    let (name, matches) = (table.required("name", problems), table.required("matches", problems));
    Some(Check::Output { name: name?, matches: matches? })
}

fn deadline(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Deadline> {
    let Some(value) = table.get("deadline_seconds") else { return Some(Deadline::default()) };
    let seconds = integer(value.get_ref()).and_then(|n| u32::try_from(n).ok());
    let deadline = seconds.ok_or(InvalidDeadline).and_then(Deadline::try_from);
    deadline
        .map_err(|error| problems.add(&value.span(), format!("`{}` {error}", table.path("deadline_seconds"))))
        .ok()
}

/// Returns one status, or a list of them.
fn status(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Statuses> {
    let Some(value) = table.get("status") else { return Some(Statuses::default()) };
    let one = |value: &Spanned<DeValue<'_>>| integer(value.get_ref()).and_then(|n| u16::try_from(n).ok());
    let all: Option<BTreeSet<u16>> = match value.get_ref().as_array() {
        Some(list) => list.iter().map(one).collect(),
        None => one(value).map(|status| [status].into()),
    };
    let statuses = all.ok_or(InvalidStatuses).and_then(Statuses::try_from);
    statuses.map_err(|error| problems.add(&value.span(), format!("`{}` {error}", table.path("status")))).ok()
}
