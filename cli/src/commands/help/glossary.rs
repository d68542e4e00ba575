//! The glossary, as `lockstep help <topic>` shows it. GLOSSARY.md is its only source.

use lockstep_domain::model::suggestion::nearest;
use serde::Serialize;

/// The glossary of the repository.
const GLOSSARY: &str = include_str!("../../../../GLOSSARY.md");

/// A row of the glossary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The word.
    pub word: String,
    /// Its meaning.
    pub meaning: String,
    /// The name of the same thing, or of what comes closest, in AWS or in the field; empty if there is none.
    pub elsewhere: String,
}

/// Returns the words of the glossary.
pub fn entries() -> Vec<Entry> {
    rows("## Words we use")
        .filter_map(|cells| match cells.as_slice() {
            [word, meaning, elsewhere] => Some(Entry {
                word: (*word).to_owned(),
                meaning: (*meaning).to_owned(),
                elsewhere: if *elsewhere == "-" { String::new() } else { (*elsewhere).to_owned() },
            }),
            _ => None,
        })
        .collect()
}

/// Returns the rows of the table below a heading, without its head.
fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let section = GLOSSARY.split_once(heading).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(|line| {
        let cells = line.trim_matches('|').split(" | ").map(str::trim);
        cells.collect()
    })
}

/// Returns the entries of a topic: that of the word itself, else those that name it as the word of the field. Cases do not
/// count.
pub fn find(topic: &str) -> Vec<Entry> {
    let topic = topic.to_lowercase();
    let exact: Vec<Entry> =
        entries().into_iter().filter(|entry| entry.word.to_lowercase() == topic).collect();
    if !exact.is_empty() {
        return exact;
    }
    let names = |entry: &Entry| {
        let elsewhere = entry.elsewhere.to_lowercase().replace('`', "");
        elsewhere.split([',', ';']).any(|name| name.trim() == topic)
    };
    entries().into_iter().filter(names).collect()
}

/// Returns the word that a misspelt topic may mean.
pub fn meant(topic: &str) -> Option<String> {
    let entries = entries();
    let words: Vec<&str> = entries.iter().map(|entry| entry.word.as_str()).collect();
    nearest(topic, &words).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_glossary_is_an_entry() {
        let entries = entries();
        assert!(entries.len() > 60, "{}", entries.len());
        assert!(entries.iter().all(|entry| !entry.word.is_empty() && entry.meaning.len() > 10));
        let written =
            GLOSSARY.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2);
        // The head of this table, and the rows of the other one.
        assert!(written.count() >= entries.len());
    }

    #[test]
    fn a_topic_is_found_by_our_word_and_by_that_of_the_field() {
        assert_eq!(find("Lease")[0].word, "lease");
        assert_eq!(find("fencing token")[0].word, "epoch");
        assert_eq!(find("service")[0].word, "component");
        assert_eq!((find("leese"), meant("leese").as_deref()), (Vec::new(), Some("lease")));
    }
}
