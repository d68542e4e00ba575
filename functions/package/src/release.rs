//! Pure decisions about the release of a component.

use jiff::Timestamp;
use lockstep_domain::delivery::environment::test_name;
use lockstep_domain::delivery::gate::deploy_execution;
use lockstep_domain::delivery::ownership::{Push, right};
use lockstep_domain::delivery::packaging::{BranchKind, Package};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::delivery::webhook::BranchName;
use lockstep_domain::delivery::webhook_delivery::unreleased;
use lockstep_domain::messages::package::{CommitRequest, NextDeployment, PackagedComponent, PackagedRelease};
use lockstep_domain::model::error::{Failure, FailureKind, Problem};
use lockstep_domain::model::ids::{CommitSha, ComponentName, Digest, RepositoryId};
use lockstep_domain::model::person::GithubLogin;
use lockstep_domain::model::token::client_token;
use lockstep_domain::model::version::{MajorMinor, Version};
use lockstep_domain::records::{
    BuildCounter, CommitVersion, Cursor, OwnedName, Ownership, Rejection, Release, ReleaseCommits,
    ReleaseState, Repository, WebhookDelivery,
};

/// Returns the branch of a git ref: `refs/heads/main`, or `main` as a person writes it.
pub fn branch(reference: &str) -> Result<BranchName, Failure> {
    let name = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    if name.starts_with("refs/") {
        return Err(Failure::rejected("only branches are released; write the ref as refs/heads/<branch>"));
    }
    name.parse().map_err(|error| Failure::rejected("write the ref as refs/heads/<branch>").caused_by(&error))
}

/// Confirms that a branch still points to a pushed commit. `head` is its present commit, or `None` if the branch is gone.
///
/// Pushes may arrive in any order, late, or after a force-push: only the live head identifies the newest.
///
/// # Errors
/// `Superseded` if the branch moved: the head has, or will have, a release of its own.
pub fn still_the_head(
    commit: &CommitSha,
    branch: &BranchName,
    head: Option<&CommitSha>,
) -> Result<(), Failure> {
    let now = match head {
        Some(head) if head == commit => return Ok(()),
        Some(head) => format!("is at {} now", head.short()),
        None => "is gone".to_owned(),
    };
    Err(Failure::new(
        FailureKind::Superseded,
        format!(
            "commit {} was pushed to {branch}, which {now}; to release it all the same, start lockstep-release \
             for it without a delivery",
            commit.short()
        ),
    ))
}

/// Refuses a branch whose pushes are not released, also if an operator names it: what is built runs in the development
/// account.
pub fn released(repository: &Repository, branch: &BranchName) -> Result<(), Failure> {
    unreleased(repository, branch.as_str()).map_or(Ok(()), |reason| Err(Failure::rejected(reason)))
}

/// Returns the refusal of a commit that is not on the branch: that of a fork, of another branch, or one that a force-push
/// removed.
pub fn not_on_branch(repository: &Repository, branch: &BranchName, commit: &CommitSha) -> Failure {
    Failure::rejected(format!(
        "commit {} is not on the branch {branch} of {}, so it is not released as that branch; push it to the branch, or name \
         a branch that it is on",
        commit.short(),
        repository.id.full_name()
    ))
}

/// Returns the cursor of the repository after this push, or `None` if the push does not move it. Only the default branch
/// does.
pub fn moved(
    old: Option<&Cursor>,
    repository: &RepositoryId,
    commit: &CommitSha,
    branch: BranchKind<'_>,
) -> Option<Cursor> {
    let wanted = Cursor { repository: repository.clone(), commit: commit.clone() };
    (branch == BranchKind::Default && old != Some(&wanted)).then_some(wanted)
}

/// Returns the problem of a name that `push` may not use. `file` names it in the repository.
///
/// `ledger` decides again, and claims the name, before it begins the test: two first pushes may both come this far.
pub fn foreign(name: &OwnedName, claim: Option<&Ownership>, push: Push<'_>, file: &str) -> Option<Problem> {
    right(name, claim, push).err().map(|failure| Problem::at(file, None, failure.message))
}

/// Next step for a valid component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// None: this release has the same content.
    Unchanged(Version),
    /// Continue with this published release of the same commit: an execution died before it reached every stage.
    Continue(&'a Release),
    /// Build a release.
    Build,
}

/// Compares a package with the newest published release of the default branch.
///
/// `arrived` is true if that release has evidence in every stage that it propagates to. Only a run for the same commit
/// continues it: a later push must not repeat a deployment that failed for its own reason.
pub fn fate<'a>(
    package: &Package,
    published: Option<&'a Release>,
    commit: &CommitSha,
    branch: BranchKind<'_>,
    arrived: bool,
) -> Fate<'a> {
    let Some(published) = published else { return Fate::Build };
    // The artifact holds the folder and every lock: equal content, equal digest.
    match (published.digest == package.digest, branch) {
        (false, _) => Fate::Build,
        (true, BranchKind::Default) if published.commit == *commit && !arrived => Fate::Continue(published),
        (true, _) => Fate::Unchanged(published.version.clone()),
    }
}

/// Returns true if the recorded version of a commit is valid on this branch. A commit with a pre-release gets another
/// version when a fast-forward brings it to the default branch.
pub fn serves(version: &Version, branch: BranchKind<'_>) -> bool {
    branch != BranchKind::Default || !version.is_pre_release()
}

/// Returns the build counter after one more number was taken.
pub fn counted(old: Option<&BuildCounter>, component: &ComponentName, of: MajorMinor) -> BuildCounter {
    let last = old.map_or(0, |counter| counter.last + 1);
    BuildCounter { component: component.clone(), of, last }
}

/// Returns the version to record for a commit, or `None` if another run recorded a valid one before `made`.
pub fn settled(
    old: Option<&CommitVersion>,
    made: &CommitVersion,
    branch: BranchKind<'_>,
) -> Option<CommitVersion> {
    let kept = old.is_some_and(|old| serves(&old.version, branch));
    (!kept).then(|| made.clone())
}

/// Returns the account that pushed the commit of `request`, if the webhook delivery that it names reported this commit.
///
/// An operator who starts the state machine can name any delivery, but cannot give a commit another pusher.
pub fn pusher(request: &CommitRequest, delivery: Option<&WebhookDelivery>) -> Option<GithubLogin> {
    let reported = delivery.filter(|delivery| {
        delivery.repository == request.repository
            && delivery.reference == request.reference
            && delivery.commit == request.commit
    });
    reported.and_then(|delivery| delivery.pusher.clone())
}

/// Parts of the record of a release.
pub struct Making<'a> {
    /// The request.
    pub request: &'a CommitRequest,
    /// The author of the commit.
    pub author: &'a str,
    /// The account that pushed the commit.
    pub pusher: Option<&'a GithubLogin>,
    /// The component's folder.
    pub folder: &'a str,
    /// The planned package.
    pub package: &'a Package,
    /// Its version.
    pub version: &'a Version,
    /// The commits since the release before it, if the git host lists them.
    pub commits: Option<&'a ReleaseCommits>,
    /// The time of packaging.
    pub now: Timestamp,
}

/// Returns the S3 key of an artifact, which names its content.
pub fn artifact_key(package: &Package) -> String {
    format!("releases/{}/{}.zip", package.manifest.component.name, package.digest)
}

/// Returns the record of a new release.
pub fn packaged(making: &Making<'_>) -> Release {
    let Making { request, author, pusher, folder, package, version, commits, now } = *making;
    let component = &package.manifest.component;
    Release {
        component: component.name.clone(),
        version: version.clone(),
        state: ReleaseState::Packaged,
        repository: request.repository.clone(),
        commit: request.commit.clone(),
        author: author.to_owned(),
        pusher: pusher.cloned(),
        folder: folder.to_owned(),
        template: component.template.to_string(),
        artifact: artifact_key(package),
        digest: package.digest.clone(),
        source_digest: package.source_digest.clone(),
        template_digest: package.template_digest.clone(),
        test_template_digest: package.test_template_digest.clone(),
        test_differences: package.test_differences.clone(),
        serial_tests: package.serial_tests,
        commits: commits.cloned(),
        permissions: package.permissions.as_deref().map(Digest::of),
        image_lock: package.image_lock.clone(),
        outputs: package.outputs.clone(),
        producers: package.producers(),
        team: component.team.to_string(),
        function: component.function.to_string(),
        packaged_at: now,
        execution: request.execution.clone(),
        failure: None,
    }
}

/// Returns the record of an invalid component.
pub fn rejection(
    component: &str,
    request: &CommitRequest,
    author: &str,
    problems: Vec<Problem>,
    now: Timestamp,
) -> Rejection {
    Rejection {
        component: component.to_owned(),
        repository: request.repository.clone(),
        commit: request.commit.clone(),
        author: author.to_owned(),
        problems,
        rejected_at: now,
    }
}

/// Returns the result for a release to test and deploy.
pub fn to_test(release: &Release, stages: &Stages, execution: &str) -> PackagedComponent {
    let Release { component, version, .. } = release;
    let pre_release = version.is_pre_release();
    let deployments = stages.propagating().filter(|_| !pre_release).map(|stage| NextDeployment {
        stage: stage.name.clone(),
        execution: deploy_execution(execution, &stage.name, component),
    });
    PackagedComponent::Packaged(PackagedRelease {
        component: component.clone(),
        version: version.clone(),
        environment: test_name(component, version),
        pre_release,
        producers: release.producers.clone(),
        test_execution: client_token(execution, &format!("test/{component}"), 1),
        deployments: deployments.collect(),
    })
}

/// Returns the result for a component whose newest release holds the same.
pub fn unchanged(component: &ComponentName, version: &Version) -> PackagedComponent {
    PackagedComponent::Unchanged { component: component.clone(), version: version.clone() }
}

/// Returns the result for an invalid component.
pub fn rejected(component: &str, problems: &[Problem]) -> PackagedComponent {
    let problems = problems.iter().map(ToString::to_string).collect();
    PackagedComponent::Rejected { component: component.to_owned(), problems }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::records::WebhookDeliveryState;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_ref_names_a_branch_or_is_refused() {
        for (reference, expected) in
            [("refs/heads/main", "main"), ("main", "main"), ("refs/heads/a/b", "a/b")]
        {
            assert_eq!(branch(reference).unwrap().as_str(), expected);
        }
        for bad in ["", "refs/tags/v1", "refs/heads/", "a..b", "-x"] {
            assert!(branch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_pusher_is_that_of_the_delivery_of_this_commit_alone() {
        let commit = |digit: &str| digit.repeat(40).parse::<CommitSha>().unwrap();
        let request = CommitRequest {
            repository: "github.acme.logs".parse().unwrap(),
            reference: "refs/heads/main".into(),
            commit: commit("1"),
            delivery: Some("d".into()),
            execution: "e".into(),
            baked: false,
        };
        let delivery = WebhookDelivery {
            provider: "github".into(),
            delivery: "d".into(),
            repository: request.repository.clone(),
            reference: request.reference.clone(),
            commit: request.commit.clone(),
            pusher: Some("ada-l".parse().unwrap()),
            state: WebhookDeliveryState::Started,
            execution: "e".into(),
            end: None,
            accepted_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        };
        assert_eq!(pusher(&request, Some(&delivery)), delivery.pusher);
        assert_eq!(pusher(&request, None), None);
        for other in [
            WebhookDelivery { commit: commit("2"), ..delivery.clone() },
            WebhookDelivery { reference: "refs/heads/fix".into(), ..delivery.clone() },
            WebhookDelivery { repository: "github.acme.cache".parse().unwrap(), ..delivery.clone() },
            WebhookDelivery { pusher: None, ..delivery },
        ] {
            assert_eq!(pusher(&request, Some(&other)), None);
        }
    }

    #[test]
    fn build_numbers_start_at_zero_and_rise_by_one() {
        let (component, of) = ("logs".parse().unwrap(), "2.1".parse().unwrap());
        let first = counted(None, &component, of);
        assert_eq!(first.last, 0);
        assert_eq!(counted(Some(&first), &component, of).last, 1);
    }

    #[test]
    fn a_pre_release_never_serves_the_default_branch() {
        assert!(serves(&version("2.1.0"), BranchKind::Default));
        assert!(!serves(&version("2.1.0-fix.1"), BranchKind::Default));
        assert!(serves(&version("2.1.0-fix.1"), BranchKind::Other("fix")));
        assert!(serves(&version("2.1.0"), BranchKind::Other("fix")));
    }
}
