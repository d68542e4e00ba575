//! Reads TOML of authors and reports every mistake at once, each with its line.
//!
//! A serde error stops at the first mistake. This module walks the parsed document, records each mistake and
//! continues.

use crate::model::error::Problem;
pub(crate) use crate::model::suggestion::{distance, nearest, suggestion};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Maximum size of a TOML file, in bytes. A larger file is not parsed.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// Problems of one file, collected while it is read.
pub(crate) struct Problems {
    file: String,
    line_starts: Vec<usize>,
    list: Vec<Problem>,
}

impl Problems {
    fn of(file: &str, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.to_owned(), line_starts, list: Vec::new() }
    }

    /// Returns the line, counted from 1, on which `span` starts.
    pub(crate) fn line(&self, span: &Range<usize>) -> u32 {
        let line = self.line_starts.partition_point(|start| *start <= span.start);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// Adds a problem at `span`.
    pub(crate) fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        let line = self.line(span);
        self.list.push(Problem::at(self.file.clone(), line, message));
    }

    /// Adds a problem of the file as a whole.
    pub(crate) fn add_whole(&mut self, message: impl Into<String>) {
        self.list.push(Problem::at(self.file.clone(), None, message));
    }

    /// Returns the value if there is no problem, else every problem in the order of the lines.
    pub(crate) fn finish<T>(mut self, read: Option<T>) -> Result<T, Vec<Problem>> {
        match read {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => {
                if self.list.is_empty() {
                    self.add_whole("cannot be read");
                }
                self.list.sort();
                self.list.dedup();
                Err(self.list)
            }
        }
    }
}

/// Parses `text`. Returns the document with an empty list of problems, or with every syntax error.
pub(crate) fn document<'t>(
    file: &str,
    text: &'t str,
) -> Result<(Spanned<DeTable<'t>>, Problems), Vec<Problem>> {
    let mut problems = Problems::of(file, text);
    if text.len() > MAX_BYTES {
        problems.add_whole(format!("is larger than {} KiB; shorten it", MAX_BYTES / 1024));
        return problems.finish(None);
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // Findings after a syntax error are guesswork, so only the syntax errors are reported.
        problems.add(&error.span().unwrap_or(0..0), error.message());
    }
    if errors.is_empty() { Ok((document, problems)) } else { problems.finish(None) }
}

/// A table of the document with its name for messages.
pub(crate) struct Table<'d, 't> {
    name: String,
    span: Range<usize>,
    entries: &'d DeTable<'t>,
}

impl<'d, 't> Table<'d, 't> {
    /// Returns the table at the top of a document.
    pub(crate) fn root(document: &'d Spanned<DeTable<'t>>) -> Self {
        Self { name: String::new(), span: 0..0, entries: document.get_ref() }
    }

    /// Returns `value` as the table called `name`, or `None` if it is no table.
    pub(crate) fn of(name: String, value: &'d Spanned<DeValue<'t>>, problems: &mut Problems) -> Option<Self> {
        let Some(entries) = value.get_ref().as_table() else {
            problems.add(&value.span(), wrong_type(&name, "a table", value.get_ref()));
            return None;
        };
        Some(Self { name, span: value.span(), entries })
    }

    /// Returns the span of the table.
    pub(crate) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// Returns the span of the value of `key`, or that of the table if the key is absent.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Returns each key with its span and its value, in alphabetical order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'d str, Range<usize>, &'d Spanned<DeValue<'t>>)> {
        self.entries.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    /// Returns the value of `key`, or `None` if it is absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.entries.get(key)
    }

    /// Rejects every key that is not in `known` and suggests the nearest.
    pub(crate) fn refuse_unknown(&self, known: &[&str], problems: &mut Problems) {
        for (key, span, _) in self.entries() {
            if !known.contains(&key) {
                let hint = suggestion(key, known);
                problems.add(&span, format!("`{}` is not known{hint}", self.path(key)));
            }
        }
    }

    /// Returns the table below `key`, or `None` if it is absent.
    pub(crate) fn table(&self, key: &str, problems: &mut Problems) -> Option<Table<'d, 't>> {
        Table::of(self.path(key), self.get(key)?, problems)
    }

    /// Returns the items of the array below `key` with the name of each. The list is empty if the key is
    /// absent.
    pub(crate) fn items(
        &self,
        key: &str,
        problems: &mut Problems,
    ) -> Vec<(String, &'d Spanned<DeValue<'t>>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            problems.add(&value.span(), wrong_type(&self.path(key), "an array", value.get_ref()));
            return Vec::new();
        };
        array.iter().enumerate().map(|(n, item)| (format!("{}[{n}]", self.path(key)), item)).collect()
    }

    /// Parses the text below `key` as a `T`. Adds a problem and returns `None` if it is absent or is no `T`.
    pub(crate) fn required<T: FromStr<Err: Display>>(&self, key: &str, problems: &mut Problems) -> Option<T> {
        match self.get(key) {
            Some(value) => text(&self.path(key), value, problems),
            None => {
                let message = format!("`{}` is missing", self.path(key));
                problems.add(&self.span, message);
                None
            }
        }
    }

    /// Returns the truth value below `key`; false if it is absent.
    pub(crate) fn flag(&self, key: &str, problems: &mut Problems) -> bool {
        let Some(value) = self.get(key) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            problems.add(&value.span(), wrong_type(&self.path(key), "true or false", value.get_ref()));
            false
        })
    }

    /// Returns `key` with the name of the table in front.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// Parses `value` as a `T`; `name` appears in the problem.
pub(crate) fn text<T: FromStr<Err: Display>>(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Problems,
) -> Option<T> {
    let Some(text) = value.get_ref().as_str() else {
        problems.add(&value.span(), wrong_type(name, "text in quotes", value.get_ref()));
        return None;
    };
    text.parse().map_err(|error| problems.add(&value.span(), format!("`{name}`: {error}"))).ok()
}

/// Returns the integer in `value`, or `None` if it is none or does not fit.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Returns the message that `name` must be `wanted` and not the type found. It never repeats the value.
pub(crate) fn wrong_type(name: &str, wanted: &str, found: &DeValue<'_>) -> String {
    let found = match found.type_str() {
        "string" => "text",
        "boolean" => "true or false",
        other => other,
    };
    format!("`{name}` must be {wanted}, not {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        match document("a.toml", text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_syntax_error_is_reported_with_its_line() {
        let problems = read("a = \nb = 1\nc = 'x\n");
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems[0].starts_with("a.toml:1: "), "{problems:?}");
        assert!(problems.last().is_some_and(|p| p.starts_with("a.toml:3: ")), "{problems:?}");
    }

    #[test]
    fn a_key_written_twice_is_refused() {
        assert_eq!(read("a = 1\na = 2\n").len(), 1);
    }

    #[test]
    fn a_file_beyond_the_cap_is_not_parsed() {
        assert_eq!(read(&"#".repeat(MAX_BYTES)), Vec::<String>::new());
        assert_eq!(read(&"#".repeat(MAX_BYTES + 1)), ["a.toml: is larger than 1024 KiB; shorten it"]);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        assert!(!read(&format!("a = {}", "[".repeat(100_000))).is_empty());
    }
}
