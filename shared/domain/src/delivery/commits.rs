//! The commits between two releases, as the git host lists them. They are shown to approvers and decide nothing.

use crate::model::ids::CommitSha;
use crate::model::version::Version;
use crate::model::visible::first_line;
use crate::records::{ListedCommit, Release, ReleaseCommits};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Maximum number of commits that a release lists.
const LISTED_MAX: usize = 20;

/// Maximum characters of the subject of a commit.
const SUBJECT_CHARS: usize = 100;

/// Maximum characters of the name of an author.
const AUTHOR_CHARS: usize = 60;

/// The fields of GitHub's comparison that are read; all others are ignored.
/// <https://docs.github.com/en/rest/commits/commits#compare-two-commits>
#[derive(Deserialize)]
struct Comparison {
    total_commits: u32,
    /// A part of the commits of the comparison, oldest first.
    commits: Vec<Compared>,
}

#[derive(Deserialize)]
struct Compared {
    sha: CommitSha,
    commit: Content,
}

#[derive(Deserialize)]
struct Content {
    message: String,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    name: Option<String>,
}

/// Reads the git host's comparison of `base` with the commit of a release, `head`; `None` if it has another form.
///
/// The host lists a part of a long comparison. If that part does not end with `head`, it has not the newest commits, and
/// all are counted alone.
pub fn read(base: &CommitSha, head: &CommitSha, comparison: &[u8]) -> Option<ReleaseCommits> {
    let Comparison { total_commits, commits } = serde_json::from_slice(comparison).ok()?;
    let has_newest = commits.last().is_some_and(|newest| newest.sha == *head);
    let newest = commits.into_iter().rev().take_while(|_| has_newest).take(LISTED_MAX);
    let listed: Vec<ListedCommit> = newest.map(listed).collect();
    let more = total_commits.saturating_sub(u32::try_from(listed.len()).unwrap_or(u32::MAX));
    Some(ReleaseCommits { base: base.clone(), listed, more })
}

fn listed(compared: Compared) -> ListedCommit {
    let author = compared.commit.author.and_then(|author| author.name).unwrap_or_default();
    ListedCommit {
        commit: compared.sha,
        subject: first_line(&compared.commit.message, SUBJECT_CHARS),
        author: first_line(&author, AUTHOR_CHARS),
    }
}

/// The commits of several releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitList {
    /// The commits that are listed, newest first, each once.
    pub listed: Vec<ListedCommit>,
    /// Number of commits that are not listed. Commits of two releases that were packaged at once may count twice.
    pub more: u64,
    /// The releases whose commits are not known.
    pub unknown: Vec<Version>,
}

/// Returns the commits of `releases`, oldest first, that `older` does not have.
///
/// A release lists the commits since the release that was published when it was packaged, which may be older than the
/// release before it.
pub fn of_releases(older: &Release, releases: &[Release]) -> CommitList {
    let known = older.commits.iter().flat_map(|commits| &commits.listed).map(|listed| &listed.commit);
    let mut seen: BTreeSet<&CommitSha> = known.chain([&older.commit]).collect();
    let mut found = CommitList::default();
    for release in releases.iter().rev() {
        let Some(commits) = &release.commits else {
            found.unknown.push(release.version.clone());
            continue;
        };
        found.more += u64::from(commits.more);
        found.listed.extend(commits.listed.iter().filter(|listed| seen.insert(&listed.commit)).cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::release;
    use serde_json::json;

    fn sha(number: usize) -> CommitSha {
        format!("{number:040x}").parse().unwrap()
    }

    fn compared(count: usize, total: usize, message: &str) -> Option<ReleaseCommits> {
        let commit =
            |number| json!({"sha": sha(number), "commit": {"message": message, "author": {"name": "Ada"}}});
        let commits: Vec<_> = (1..=count).map(commit).collect();
        read(&sha(0), &sha(count), json!({"total_commits": total, "commits": commits}).to_string().as_bytes())
    }

    #[test]
    fn a_release_lists_its_newest_commits_and_counts_the_rest() {
        let found = compared(25, 300, "Fix").unwrap();
        assert_eq!((found.listed.len(), found.more, &found.base), (LISTED_MAX, 280, &sha(0)));
        assert_eq!(found.listed[0].commit, sha(25));
        assert_eq!(compared(2, 2, "Fix").unwrap().more, 0);
        assert_eq!(compared(0, 0, "Fix").unwrap().listed, []);
    }

    #[test]
    fn a_part_without_the_newest_commits_lists_none() {
        let commits = json!([{"sha": sha(1), "commit": {"message": "Fix", "author": {"name": "Ada"}}}]);
        let body = json!({"total_commits": 300, "commits": commits}).to_string();
        let found = read(&sha(0), &sha(300), body.as_bytes()).unwrap();
        assert_eq!((found.listed.len(), found.more), (0, 300));
    }

    #[test]
    fn a_message_is_one_short_line_without_hidden_characters() {
        let message = format!("\u{1b}[2J\u{202e}Fix\u{7}{}\nApproved-by: Grace", "x".repeat(500));
        let subject = compared(1, 1, &message).unwrap().listed.remove(0).subject;
        assert!(subject.starts_with("[2JFixxx") && subject.chars().count() == SUBJECT_CHARS, "{subject}");
        assert!(!subject.contains(crate::model::visible::is_hidden), "{subject}");
    }

    #[test]
    fn a_comparison_of_another_form_lists_no_commits() {
        for body in ["", "[]", "{}", r#"{"total_commits": 1}"#, r#"{"total_commits": -1, "commits": []}"#] {
            assert_eq!(read(&sha(0), &sha(1), body.as_bytes()), None, "{body}");
        }
        let foreign = r#"{"total_commits": 1, "commits": [{"sha": "HEAD", "commit": {"message": "x"}}]}"#;
        assert_eq!(read(&sha(0), &sha(1), foreign.as_bytes()), None);
        let nameless = format!(
            r#"{{"total_commits": 1, "commits": [{{"sha": "{}", "commit": {{"message": "x", "author": null}}}}]}}"#,
            sha(1)
        );
        assert_eq!(read(&sha(0), &sha(1), nameless.as_bytes()).unwrap().listed[0].author, "");
    }

    fn released(version: &str, commit: usize, since: Option<(usize, u32)>) -> Release {
        let commits = since.map(|(base, more)| ReleaseCommits {
            base: sha(base),
            listed: (base + 1..=commit)
                .rev()
                .map(|number| ListedCommit {
                    commit: sha(number),
                    subject: "Fix".into(),
                    author: "Ada".into(),
                })
                .collect(),
            more,
        });
        Release { version: version.parse().unwrap(), commit: sha(commit), commits, ..release() }
    }

    #[test]
    fn commits_of_several_releases_are_listed_once_without_those_that_run() {
        // 2.1.2 was packaged while 2.1.1 was still tested, so both count from the commit 1.
        let running = released("2.1.1", 3, Some((1, 0)));
        let between = [released("2.1.2", 5, Some((1, 0))), released("2.1.3", 6, Some((5, 7)))];
        let found = of_releases(&running, &between);
        let listed: Vec<&CommitSha> = found.listed.iter().map(|listed| &listed.commit).collect();
        assert_eq!(listed, [&sha(6), &sha(5), &sha(4)]);
        assert_eq!((found.more, found.unknown), (7, Vec::new()));
    }

    #[test]
    fn a_release_without_commits_is_named() {
        let between = [released("2.1.2", 2, None), released("2.1.3", 3, Some((2, 0)))];
        let found = of_releases(&released("2.1.1", 1, None), &between);
        assert_eq!(found.unknown, ["2.1.2".parse().unwrap()]);
        assert_eq!(found.listed.len(), 1);
    }
}
