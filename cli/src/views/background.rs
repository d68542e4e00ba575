//! The history behind a question: the commit and its images, the commits since what runs, and the failures before.

use super::time;
use lockstep_domain::delivery::commits::CommitList;
use lockstep_domain::model::error::bracketed;
use lockstep_domain::model::image_lock::LockedImage;
use lockstep_domain::records::{Deployment, ImageOrigin, ListedCommit, Release};

/// Maximum number of releases, and of failures, that are listed.
pub const LISTED: usize = 10;

/// Maximum number of commits that are listed.
const COMMITS_LISTED: usize = 30;

/// The records behind a question about a release.
#[derive(Clone, Debug, Default)]
pub struct Background {
    /// The release.
    pub release: Option<Release>,
    /// The release that runs now.
    pub running: Option<Release>,
    /// The releases between the two and the newer one of them, oldest first.
    pub between: Vec<Release>,
    /// The commits of these releases, as the git host lists them.
    pub commits: CommitList,
    /// The images of the release, with their origins as far as they are known.
    pub images: Vec<(LockedImage, Option<ImageOrigin>)>,
    /// Earlier deployments to the environment that did not succeed, newest first.
    pub failed: Vec<Deployment>,
    /// Address of the page that compares the two commits, if the git host has one.
    pub compared_at: Option<String>,
}

/// Returns the lines about a question's background.
pub fn lines(background: &Background) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(release) = &background.release {
        lines.push(format!("  release     {}", described(release)));
        lines.push(match &background.running {
            None => "  runs now    no release of this component".to_owned(),
            Some(running) => format!("  runs now    {}", described(running)),
        });
        if background.running.as_ref().is_some_and(|running| release.version < running.version) {
            lines.push(
                "  ROLLBACK: the release is older than the one that runs; it undoes the following".to_owned(),
            );
        }
    }
    lines.extend(
        shortened(&background.between).map(|release| format!("  since then  {}", described(release))),
    );
    let more = background.between.len().saturating_sub(LISTED);
    if more > 0 {
        lines.push(format!("  and {more} more releases: lockstep releases"));
    }
    lines.extend(commits(&background.commits));
    lines.extend(background.compared_at.iter().map(|page| format!("  all changes {page}")));
    lines.extend(
        background
            .images
            .iter()
            .map(|(image, origin)| format!("  image       {}", image_of(image, origin.as_ref()))),
    );
    lines.extend(background.failed.iter().map(|deployment| format!("  failed here {}", failed(deployment))));
    lines
}

/// Returns the lines about single commits.
pub fn commits(list: &CommitList) -> Vec<String> {
    let shown = list.listed.iter().take(COMMITS_LISTED);
    let mut lines: Vec<String> = shown.map(commit).collect();
    let left = list.listed.len().saturating_sub(COMMITS_LISTED) as u64 + list.more;
    if left > 0 {
        lines.push(format!("  and {left} more commits, which are not listed"));
    }
    let unknown: Vec<String> = list.unknown.iter().map(ToString::to_string).collect();
    if !unknown.is_empty() {
        lines.push(format!("  NOT SHOWN: the git host did not list the commits of {}", unknown.join(", ")));
    }
    lines
}

fn commit(listed: &ListedCommit) -> String {
    let ListedCommit { commit, subject, author } = listed;
    format!("  commit      {} {subject} ({author})", commit.short())
}

/// Returns the newest releases of the list, oldest first.
fn shortened(releases: &[Release]) -> impl Iterator<Item = &Release> {
    releases.iter().skip(releases.len().saturating_sub(LISTED))
}

fn described(release: &Release) -> String {
    let (version, commit) = (&release.version, release.commit.short());
    format!("{version}, commit {commit} of {} by {}", release.repository, release.author)
}

fn image_of(image: &LockedImage, origin: Option<&ImageOrigin>) -> String {
    let commit = image.commit.as_ref().map_or("unknown", |commit| commit.short());
    let from = match origin {
        Some(ImageOrigin::Baked { repository, .. }) => format!("commit {commit} of {repository}"),
        Some(ImageOrigin::Imported { .. }) => format!("IMPORTED, commit {commit}"),
        None => format!("of unknown origin, commit {commit}"),
    };
    format!("{} {} for {}, {from}", image.name, image.version, image.parameter)
}

fn failed(deployment: &Deployment) -> String {
    let why = deployment.failure.as_ref().map_or_else(
        || "no reason is on record".to_owned(),
        |failure| bracketed(&failure.message, &failure.error),
    );
    let at = deployment.finished_at.unwrap_or(deployment.started_at);
    format!("{} at {}: {why} (lockstep why {})", deployment.version, time(at), deployment.id.short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployment, release};
    use lockstep_domain::records::{DeploymentState, FailureRecord};

    fn version(text: &str) -> Release {
        Release { version: text.parse().unwrap(), ..release() }
    }

    fn locked(origin: Option<ImageOrigin>) -> (LockedImage, Option<ImageOrigin>) {
        let image = LockedImage {
            parameter: "Image".parse().unwrap(),
            name: "logstash".parse().unwrap(),
            version: "2.1.1".parse().unwrap(),
            commit: Some("5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b".parse().unwrap()),
            source_ami: "ami-0123456789abcdef0".parse().unwrap(),
        };
        (image, origin)
    }

    fn listed(count: usize, more: u64) -> CommitList {
        let commit = |number| ListedCommit {
            commit: format!("{number:07x}{}", "0".repeat(33)).parse().unwrap(),
            subject: format!("Fix {number}"),
            author: "Ada".into(),
        };
        CommitList { listed: (1..=count).map(commit).collect(), more, unknown: Vec::new() }
    }

    fn full() -> Background {
        let failure = FailureRecord { error: "CheckFailed".into(), message: "no host answers".into() };
        let failed = Deployment {
            state: DeploymentState::Failed,
            failure: Some(failure),
            finished_at: Some(at(60)),
            ..deployment()
        };
        Background {
            release: Some(version("2.1.3")),
            running: Some(version("2.1.1")),
            between: vec![version("2.1.2"), version("2.1.3")],
            commits: listed(2, 3),
            images: vec![locked(Some(ImageOrigin::Imported { commit: None })), locked(None)],
            failed: vec![failed],
            compared_at: Some("https://github.com/acme/logs/compare/a...b".into()),
        }
    }

    #[test]
    fn a_question_shows_commits_images_and_earlier_failures() {
        insta::assert_snapshot!("background", lines(&full()).join("\n"));
    }

    #[test]
    fn commits_are_capped_and_what_is_missing_is_counted() {
        let lines = commits(&listed(COMMITS_LISTED + 2, 40));
        assert_eq!(lines.len(), COMMITS_LISTED + 1);
        assert_eq!(lines.last().unwrap(), "  and 42 more commits, which are not listed");
        assert!(commits(&CommitList::default()).is_empty());
        let unknown = CommitList { unknown: vec!["2.1.2".parse().unwrap()], ..CommitList::default() };
        assert!(commits(&unknown)[0].ends_with("did not list the commits of 2.1.2"));
    }

    #[test]
    fn a_rollback_is_marked_and_a_first_release_has_nothing_before() {
        let back = Background { running: Some(version("2.1.4")), ..full() };
        assert!(lines(&back).iter().any(|line| line.contains("ROLLBACK")));
        assert!(!lines(&full()).iter().any(|line| line.contains("ROLLBACK")));
        let first = Background { release: Some(version("2.1.3")), ..Background::default() };
        assert_eq!(lines(&first)[1], "  runs now    no release of this component");
        assert!(lines(&Background::default()).is_empty());
    }

    #[test]
    fn a_long_history_says_how_much_is_missing() {
        let between: Vec<Release> = (1..=LISTED + 2).map(|n| version(&format!("2.2.{n}"))).collect();
        let lines = lines(&Background { between, ..full() });
        assert!(lines.contains(&"  and 2 more releases: lockstep releases".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("2.2.2,")), "the oldest are left out: {lines:?}");
    }
}
