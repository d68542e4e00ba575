//! Loads, plans and applies, one component after the other.

use crate::commit::{self, Source};
use crate::context::PackageContext;
use crate::input::{self, CommitInput};
use crate::recipes;
use crate::records::{change, find};
use crate::release::{self, Fate, Making};
use jiff::Timestamp;
use lockstep_aws::scope;
use lockstep_domain::delivery::function_code::lock_digest;
use lockstep_domain::delivery::order::cycle_problem;
use lockstep_domain::delivery::ownership::Push;
use lockstep_domain::delivery::packaging::{BranchKind, Package, next_version, plan};
use lockstep_domain::delivery::webhook::BranchName;
use lockstep_domain::messages::package::{CommitRequest, PackagedComponent, Request, Response};
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::{CommitSha, ComponentName};
use lockstep_domain::model::person::GithubLogin;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    BuildCounter, CommitVersion, Cursor, Evidence, OwnedName, Record, Release, ReleaseCommits, ReleaseState,
    Repository, WebhookDelivery,
};
use lockstep_domain::stacks::permissions::excerpt_key;

/// Handles one request.
///
/// # Errors
/// Failures of the commit or of the recipe as a whole.
pub async fn handle(
    context: &impl PackageContext,
    request: Request,
    now: Timestamp,
) -> Result<Response, Failure> {
    match request {
        Request::Commit(request) => package_commit(context, &request, now).await,
        Request::Recipe(input) => {
            let recipe = recipes::package(context, &input).await?;
            Ok(Response::Recipe { recipe })
        }
    }
}

/// Packages every component of a commit.
///
/// # Errors
/// Failures of the commit as a whole. An invalid component is part of the response, and its siblings are packaged.
async fn package_commit(
    context: &impl PackageContext,
    request: &CommitRequest,
    now: Timestamp,
) -> Result<Response, Failure> {
    let key = Repository::key_of(&request.repository);
    let repository = find::<Repository>(context.ledger(), &key).await?;
    let repository = repository.ok_or_else(|| Repository::not_registered(&request.repository))?;
    let branch = release::branch(&request.reference)?;
    // A webhook delivery may be overtaken by a later push. An operator who names a commit wants that commit, but the git
    // host also has commits that were never pushed to the branch.
    if request.delivery.is_some() {
        let head = context.head(&repository, branch.as_str()).await?;
        release::still_the_head(&request.commit, &branch, head.as_ref())?;
    } else {
        require_on_branch(context, &repository, &branch, &request.commit).await?;
    }
    release::released(&repository, &branch)?;
    let branch = BranchKind::of(branch.as_str(), &repository.branch);
    let fetched = context.archive(&repository, &request.commit).await?;
    let commit = commit::open(&fetched.tarball, &request.commit)?;
    let judged = recipes::judge(context, request, branch, &fetched.author, &commit.recipes, now).await?;
    if !request.baked && !judged.changed.is_empty() {
        // Images come first: the components of the commit may require them.
        return Ok(Response::BakeFirst { components: judged.rejected, recipes: judged.changed });
    }
    let sources = commit.components;
    let input = input::load(context, &sources).await?;
    let pusher = pusher(context, request).await?;
    let (author, pusher) = (fetched.author.as_str(), pusher.as_ref());
    let repository = &repository;
    let run = Run { context, request, repository, branch, author, pusher, input: &input, now };
    let mut components = judged.rejected;
    for source in &sources {
        components.push(run.component(source).await?);
    }
    change(context.ledger(), &Cursor::key_of(&repository.id), |old| {
        release::moved(old, &repository.id, &request.commit, branch)
    })
    .await?;
    Ok(Response::Packaged { components })
}

/// Returns the account that pushed the commit; `None` if no webhook delivery of this installation reported it.
async fn pusher(
    context: &impl PackageContext,
    request: &CommitRequest,
) -> Result<Option<GithubLogin>, Failure> {
    let Some(delivery) = &request.delivery else { return Ok(None) };
    let key = WebhookDelivery::key_of(request.repository.provider(), delivery);
    let found = find::<WebhookDelivery>(context.ledger(), &key).await?;
    Ok(release::pusher(request, found.as_ref()))
}

/// Refuses a commit that is not on the branch: it would get the branch's name and version without a push to it.
pub(crate) async fn require_on_branch(
    context: &impl PackageContext,
    repository: &Repository,
    branch: &BranchName,
    commit: &CommitSha,
) -> Result<(), Failure> {
    match context.is_on_branch(repository, branch.as_str(), commit).await? {
        true => Ok(()),
        false => Err(release::not_on_branch(repository, branch, commit)),
    }
}

/// Returns the push of a commit, as the owner of a name judges it.
pub(crate) fn push<'a>(request: &'a CommitRequest, branch: BranchKind<'_>) -> Push<'a> {
    Push { repository: &request.repository, is_default_branch: branch == BranchKind::Default }
}

/// One invocation.
struct Run<'a, C> {
    context: &'a C,
    request: &'a CommitRequest,
    repository: &'a Repository,
    branch: BranchKind<'a>,
    author: &'a str,
    pusher: Option<&'a GithubLogin>,
    input: &'a CommitInput,
    now: Timestamp,
}

impl<C: PackageContext> Run<'_, C> {
    async fn component(&self, source: &Source) -> Result<PackagedComponent, Failure> {
        let done = match self.planned(source) {
            Ok(package) => self.package(source, package).await,
            Err(problems) => self.reject(source, problems).await,
        };
        match (&done, &source.name) {
            (Ok(component), _) => log(component),
            // The failure ends the invocation, whose last line reports it.
            (Err(_), Some(name)) => scope::about_component(name),
            (Err(_), None) => {}
        }
        done
    }

    fn planned(&self, source: &Source) -> Result<Package, Vec<Problem>> {
        let files = source.files.as_ref().map_err(|problem| vec![problem.clone()])?;
        let package = plan(&source.folder, files, &self.input.planner_input())?;
        let name = &package.manifest.component.name;
        let claim = self.input.owners.get(name);
        if let Some(problem) = cycle_problem(&package, &self.input.order) {
            return Err(vec![problem]);
        }
        let owned = OwnedName::Component(name.clone());
        match release::foreign(&owned, claim, push(self.request, self.branch), "") {
            Some(problem) => Err(vec![problem]),
            None => Ok(package),
        }
    }

    async fn reject(&self, source: &Source, problems: Vec<Problem>) -> Result<PackagedComponent, Failure> {
        let label = source.label(&self.request.repository);
        let answer = release::rejected(&label, &problems);
        let record = release::rejection(&label, self.request, self.author, problems, self.now);
        change(self.context.ledger(), &record.key(), |_| Some(record.clone())).await?;
        Ok(answer)
    }

    async fn package(&self, source: &Source, package: Package) -> Result<PackagedComponent, Failure> {
        let name = package.manifest.component.name.clone();
        let published = self.input.published.get(&name);
        let arrived = match published {
            Some(published) => self.has_arrived(published).await?,
            None => false,
        };
        match release::fate(&package, published, &self.request.commit, self.branch, arrived) {
            Fate::Unchanged(version) => Ok(release::unchanged(&name, &version)),
            Fate::Continue(release) => Ok(self.to_test(release)),
            Fate::Build => self.build(source, package).await,
        }
    }

    /// Returns true if a release has evidence in every stage that it propagates to.
    async fn has_arrived(&self, release: &Release) -> Result<bool, Failure> {
        for stage in self.input.stages.propagating() {
            let key = Evidence::key_of(&release.component, &release.digest, &stage.name);
            if find::<Evidence>(self.context.ledger(), &key).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the commits since the newest published release of the component. They are shown to approvers, so a git host
    /// that does not list them prevents no release.
    async fn commits(&self, component: &ComponentName) -> Option<ReleaseCommits> {
        let before = self.input.published.get(component)?;
        if before.repository != self.repository.id {
            return None;
        }
        if before.commit == self.request.commit {
            // The release differs by an image or by code of Lockstep.
            return Some(ReleaseCommits { base: before.commit.clone(), listed: Vec::new(), more: 0 });
        }
        let listed = self.context.commits_since(self.repository, &before.commit, &self.request.commit).await;
        let report =
            |failure: &Failure| tracing::warn!(%component, "no commits are listed: {}", failure.chain());
        listed.inspect_err(report).ok()
    }

    /// Stores version, artifact and record, in this order: a retry after a crash finds the version and repeats the rest.
    async fn build(&self, source: &Source, package: Package) -> Result<PackagedComponent, Failure> {
        let version = self.version(&package).await?;
        let commits = self.commits(&package.manifest.component.name).await;
        let made = release::packaged(&Making {
            request: self.request,
            author: self.author,
            pusher: self.pusher,
            folder: &source.folder,
            package: &package,
            version: &version,
            commits: commits.as_ref(),
            now: self.now,
        });
        if let (Some(digest), Some(permissions)) = (&made.permissions, package.permissions) {
            self.context.store_artifact(&excerpt_key(&made.component, digest), permissions).await?;
        }
        self.context.store_artifact(&made.artifact, package.artifact).await?;
        let published = Release::key_of(&made.component, &made.version);
        let stored = match find::<Release>(self.context.ledger(), &published).await? {
            Some(published) => published,
            None => {
                let draft = change(self.context.ledger(), &made.key(), |_| Some(made.clone())).await?;
                draft.unwrap_or(made)
            }
        };
        Ok(match stored.state {
            // An earlier run published it. Its content is out of date, or was tested already.
            ReleaseState::Published => release::unchanged(&stored.component, &stored.version),
            ReleaseState::Packaged | ReleaseState::TestFailed => self.to_test(&stored),
        })
    }

    /// Returns the version of this commit with these images and functions: the recorded one, or the next.
    async fn version(&self, package: &Package) -> Result<Version, Failure> {
        let (component, of) = (&package.manifest.component.name, package.manifest.component.version);
        let commit = &self.request.commit;
        let image_lock_digest = lock_digest(&package.image_lock, &package.function_lock);
        let key = CommitVersion::key_of(component, commit, &image_lock_digest);
        if let Some(known) = find::<CommitVersion>(self.context.ledger(), &key).await?
            && release::serves(&known.version, self.branch)
        {
            return Ok(known.version);
        }
        let counter_key = BuildCounter::key_of(component, of);
        let counter =
            change(self.context.ledger(), &counter_key, |old| Some(release::counted(old, component, of)))
                .await?;
        let count = counter.ok_or_else(|| Failure::bug("a build counter was written and is not there"))?.last;
        let made = CommitVersion {
            component: component.clone(),
            commit: commit.clone(),
            image_lock_digest,
            version: next_version(of, self.branch, count),
        };
        let kept =
            change(self.context.ledger(), &key, |old| release::settled(old, &made, self.branch)).await?;
        Ok(kept.unwrap_or(made).version)
    }

    fn to_test(&self, release: &Release) -> PackagedComponent {
        release::to_test(release, &self.input.stages, &self.request.execution)
    }
}

fn log(component: &PackagedComponent) {
    match component {
        PackagedComponent::Packaged(release) => {
            tracing::info!(component = %release.component, version = %release.version, "the component is packaged");
        }
        PackagedComponent::Unchanged { component, version } => {
            tracing::info!(%component, %version, "the component is unchanged");
        }
        PackagedComponent::Rejected { component, problems } => {
            tracing::warn!(component, problems = problems.len(), "the component is rejected");
        }
    }
}
