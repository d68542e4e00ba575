//! What wants a person, oldest first: the beginning of `lockstep status`.
//!
//! The records of the environments decide, with the deployments that were read. No record is read here.

use super::question::answer_with;
use super::status::StaleValue;
use super::{age, drift, last_part, why};
use jiff::{Timestamp, ToSpan};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{RepositoryId, StageName, TEST};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::{
    Approval, BreakGlass, Deployed, Deployment, DeploymentBody, DeploymentState, DriftReport, Environment,
    Rejection, Release, ReleaseState, WebhookDelivery,
};
use serde::Serialize;
use std::collections::BTreeMap;
use strum::{Display, VariantArray};

/// Kind of a matter that wants a person.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, Display, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// A deployment waits for an answer.
    #[strum(to_string = "question")]
    Question,
    /// The last deployment, build or test failed.
    #[strum(to_string = "failed")]
    Failure,
    /// The release runs, and its checks gave no good result.
    #[strum(to_string = "checks")]
    Checks,
    /// A commit was rejected, and no release followed it.
    #[strum(to_string = "rejected")]
    Rejected,
    /// An input differs from its source.
    #[strum(to_string = "stale")]
    Stale,
    /// A resource differs from its declaration, or the look for drift failed.
    #[strum(to_string = "drift")]
    Drift,
    /// Pushes wait until an operator resumes the environment.
    #[strum(to_string = "hold")]
    Hold,
    /// The release runs with overridden parameters.
    #[strum(to_string = "override")]
    Override,
    /// The last recovery left something unreconciled.
    #[strum(to_string = "taint")]
    Taint,
    /// The release runs without evidence, or may be deployed without it.
    #[strum(to_string = "break-glass")]
    BreakGlass,
    /// Deployments wait for the environment.
    #[strum(to_string = "queue")]
    Queue,
}

/// A matter that wants a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attention {
    /// The kind.
    pub kind: AttentionKind,
    /// Time since which it is so.
    pub since: Timestamp,
    /// The sentence about it.
    pub what: String,
    /// The command or the step that ends it.
    pub next: String,
}

/// The records that decide what wants a person.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusRecords<'a> {
    /// The stages, if they are known.
    pub stages: Option<&'a Stages>,
    /// Every environment of every stage.
    pub environments: &'a [Environment],
    /// The unfinished deployments, the newest others, and the last ones of the environments.
    pub deployments: &'a [Deployment],
    /// The open questions.
    pub questions: &'a [(Deployment, Approval)],
    /// The newest releases.
    pub releases: &'a [Release],
    /// The newest rejections.
    pub rejections: &'a [Rejection],
    /// The newest webhook deliveries.
    pub deliveries: &'a [WebhookDelivery],
    /// The reports of drift.
    pub drift: &'a [DriftReport],
    /// The uses of break-glass.
    pub break_glass: &'a [BreakGlass],
    /// The stale environments with their inputs.
    pub stale: &'a [(Environment, Vec<StaleValue>)],
    /// The present time.
    pub now: Timestamp,
}

/// Returns what wants a person, oldest first.
pub fn attention(records: &StatusRecords<'_>) -> Vec<Attention> {
    let kept = || records.environments.iter().filter(|environment| environment.stage.as_str() != TEST);
    let mut found: Vec<Attention> = records.questions.iter().map(question).collect();
    found.extend(failures(records));
    found.extend(failed_tests(records.releases));
    found.extend(kept().filter_map(|environment| checks(environment, records)));
    found.extend(rejected(records));
    found.extend(records.stale.iter().map(|(environment, values)| stale(environment, values, records)));
    found.extend(records.drift.iter().filter_map(drifted));
    found.extend(kept().filter_map(hold));
    found.extend(kept().filter_map(|environment| overridden(environment, records)));
    found.extend(kept().filter_map(|environment| taint(environment, records)));
    found.extend(kept().filter_map(|environment| admitted(environment, records)));
    found.extend(records.break_glass.iter().filter_map(|permission| open_glass(permission, records.now)));
    found.extend(kept().filter_map(|environment| queued(environment, records)));
    found.sort_by(|a, b| (a.since, a.kind, &a.what).cmp(&(b.since, b.kind, &b.what)));
    found
}

/// Returns the name of an environment within its stage, such as `logs in ci`.
fn label(environment: &Environment) -> String {
    format!("{} in {}", environment.name, environment.stage)
}

/// Returns the arguments that name an environment.
fn named(environment: &Environment) -> String {
    let Environment { component, stage, name, .. } = environment;
    match name == component.as_str() {
        true => format!("{component} --in {stage}"),
        false => format!("{component} --in {stage} --environment {name}"),
    }
}

/// Returns the command that brings a version to an environment.
fn bring(environment: &Environment, version: &str, records: &StatusRecords<'_>) -> String {
    let Environment { component, stage, name, .. } = environment;
    let promotes = records
        .stages
        .and_then(|stages| stages.get(stage))
        .is_some_and(|stage| stage.path() == DeploymentPath::Promotion);
    match (name == component.as_str(), promotes) {
        (false, _) => format!("lockstep clone {component}@{version} --environment {name} --in {stage}"),
        (true, true) => format!("lockstep promote {component}@{version} --to {stage}"),
        (true, false) => format!("lockstep deploy {component}@{version} --to {stage}"),
    }
}

fn question((deployment, asked): &(Deployment, Approval)) -> Attention {
    Attention {
        kind: AttentionKind::Question,
        since: asked.asked_at,
        what: format!("{} waits for approval: {}", why::title(deployment), asked.reasons.join("; ")),
        next: answer_with(deployment, asked),
    }
}

/// Returns the subject of a deployment: its stage and its environment or image. Builds, copies and publications of an image
/// are apart.
fn subject(deployment: &Deployment) -> (&StageName, &'static str, String) {
    let (kind, name) = match &deployment.body {
        DeploymentBody::Deploy(deploy) => ("stack", deploy.stack.environment.clone()),
        DeploymentBody::Teardown(teardown) => ("stack", teardown.stack.environment.clone()),
        DeploymentBody::PromoteImage(promotion) => ("copy", promotion.image.to_string()),
        DeploymentBody::BuildImage(build) => ("build", build.image.to_string()),
        DeploymentBody::PublishImage(publication) => ("publication", publication.image.to_string()),
    };
    (&deployment.stage, kind, name)
}

/// Returns true if a deployment says how its subject does. What a person stopped, what was overtaken and what was only
/// planned say nothing about it.
pub fn judges(deployment: &Deployment) -> bool {
    let stopped = matches!(
        deployment.state,
        DeploymentState::Refused | DeploymentState::Cancelled | DeploymentState::Superseded
    );
    deployment.state.is_final() && !stopped && !deployment.is_plan_only()
}

/// Returns the last deployment of each subject that says how the subject does. Test stacks are left out: their releases say
/// so.
pub fn last_of_each<'a>(
    deployments: impl IntoIterator<Item = &'a Deployment>,
) -> impl Iterator<Item = &'a Deployment> {
    let mut last = BTreeMap::new();
    for deployment in deployments.into_iter().filter(|it| judges(it) && it.stage.as_str() != TEST) {
        let newest = last.entry(subject(deployment)).or_insert(deployment);
        if (newest.started_at, &newest.id) < (deployment.started_at, &deployment.id) {
            *newest = deployment;
        }
    }
    last.into_values()
}

fn failures(records: &StatusRecords<'_>) -> impl Iterator<Item = Attention> {
    let exists = |deployment: &Deployment| match deployment.stack() {
        None => true,
        Some(run) => records
            .environments
            .iter()
            .any(|environment| environment.stage == deployment.stage && environment.name == run.environment),
    };
    last_of_each(records.deployments)
        .filter(move |deployment| !is_success(deployment) && exists(deployment))
        .map(|deployment| Attention {
            kind: AttentionKind::Failure,
            since: deployment.finished_at.unwrap_or(deployment.started_at),
            what: cause(deployment),
            next: format!("lockstep why {}", deployment.id.short()),
        })
}

/// Returns true if a deployment succeeded.
pub fn is_success(deployment: &Deployment) -> bool {
    deployment.state.outcome().is_some_and(Outcome::is_success)
}

/// Returns the sentence about the end of a deployment, which names its first cause.
pub fn cause(deployment: &Deployment) -> String {
    match &deployment.failure {
        Some(failure) => failure.message.clone(),
        None => format!("{}: {}", why::title(deployment), why::state(deployment.state)),
    }
}

/// Returns the components whose newest release failed its test.
fn failed_tests(releases: &[Release]) -> impl Iterator<Item = Attention> {
    let mut newest: BTreeMap<_, &Release> = BTreeMap::new();
    for release in releases.iter().filter(|release| !release.version.is_pre_release()) {
        let kept = newest.entry(&release.component).or_insert(release);
        if kept.version < release.version {
            *kept = release;
        }
    }
    newest.into_values().filter(|release| release.state == ReleaseState::TestFailed).map(|release| {
        let Release { component, version, .. } = release;
        let why = release.failure.as_deref().unwrap_or("no reason is on record");
        Attention {
            kind: AttentionKind::Failure,
            since: release.packaged_at,
            what: format!("{component} {version} failed its test: {why}"),
            next: format!("lockstep why {component}@{version}"),
        }
    })
}

/// Returns the matter of a release that runs with bad checks, unless its failure is listed already.
fn checks(environment: &Environment, records: &StatusRecords<'_>) -> Option<Attention> {
    let runs = environment.deployed.as_ref().filter(|runs| !runs.checked)?;
    let listed = last_of_each(records.deployments)
        .any(|deployment| deployment.id == runs.deployment && !is_success(deployment));
    (!listed).then(|| Attention {
        kind: AttentionKind::Checks,
        since: runs.since,
        what: format!("{} runs {}, whose checks did not pass there", label(environment), runs.version),
        next: format!("lockstep why {}", runs.deployment.short()),
    })
}

/// Returns the commits that were rejected and that no release or good push followed.
fn rejected(records: &StatusRecords<'_>) -> Vec<Attention> {
    let mut newest: BTreeMap<(&RepositoryId, &str), &Rejection> = BTreeMap::new();
    for rejection in records.rejections {
        let kept = newest.entry((&rejection.repository, &rejection.component)).or_insert(rejection);
        if kept.rejected_at < rejection.rejected_at {
            *kept = rejection;
        }
    }
    let open = newest.into_values().filter(|rejection| !is_followed(rejection, records));
    open.map(of_rejection).chain(unpackaged(records)).collect()
}

fn of_rejection(rejection: &Rejection) -> Attention {
    let Rejection { component, repository, commit, author, problems, rejected_at } = rejection;
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    let more = match problems.len() {
        0 | 1 => String::new(),
        many => format!(" (and {} more problems)", many - 1),
    };
    Attention {
        kind: AttentionKind::Rejected,
        since: *rejected_at,
        what: format!("commit {} of {repository} by {author}: {component}: {first}{more}", commit.short()),
        next: "correct it and push again: lockstep check, then lockstep push".to_owned(),
    }
}

/// Returns true if a release of the component or a good push to the same branch came after a rejection.
pub fn is_followed(rejection: &Rejection, records: &StatusRecords<'_>) -> bool {
    let branch = records
        .deliveries
        .iter()
        .find(|pushed| pushed.repository == rejection.repository && pushed.commit == rejection.commit)
        .map(|pushed| &pushed.reference);
    let good_push = records.deliveries.iter().any(|pushed| {
        pushed.repository == rejection.repository
            && Some(&pushed.reference) == branch
            && pushed.accepted_at > rejection.rejected_at
            && pushed.end.as_ref().is_some_and(|end| end.outcome == Outcome::Done)
    });
    let released = records.releases.iter().any(|release| {
        release.repository == rejection.repository
            && release.component.as_str() == rejection.component
            && release.packaged_at > rejection.rejected_at
    });
    good_push || released
}

/// Returns the last pushes to branches that ended without a release and without a rejection of a component.
fn unpackaged<'a>(records: &StatusRecords<'a>) -> impl Iterator<Item = Attention> + use<'a> {
    let mut newest: BTreeMap<(&RepositoryId, &str), &WebhookDelivery> = BTreeMap::new();
    for pushed in records.deliveries {
        let kept = newest.entry((&pushed.repository, &pushed.reference)).or_insert(pushed);
        if kept.accepted_at < pushed.accepted_at {
            *kept = pushed;
        }
    }
    let (releases, rejections) = (records.releases, records.rejections);
    newest.into_values().filter_map(move |pushed| {
        let end = pushed.end.as_ref()?;
        let next = match end.outcome {
            Outcome::Rejected => "correct it and push again".to_owned(),
            Outcome::Quarantined => format!("lockstep retry {}", pushed.delivery),
            _ => return None,
        };
        let packaged = releases.iter().any(|release| release.commit == pushed.commit)
            || rejections.iter().any(|rejection| rejection.commit == pushed.commit);
        let reason = end.reason.lines().next().unwrap_or_default();
        (!packaged).then(|| Attention {
            kind: AttentionKind::Rejected,
            since: pushed.finished_at.unwrap_or(pushed.accepted_at),
            what: format!("the push of {} to {}: {reason}", pushed.commit.short(), pushed.repository),
            next,
        })
    })
}

fn stale(environment: &Environment, values: &[StaleValue], records: &StatusRecords<'_>) -> Attention {
    let producers = values.iter().filter_map(|value| {
        let of = |other: &&Environment| {
            other.stage == environment.stage && other.name == value.input.component.as_str()
        };
        records.environments.iter().find(of)?.deployed.as_ref().map(|runs| runs.since)
    });
    let since = producers.min().or_else(|| environment.deployed.as_ref().map(|runs| runs.since));
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    Attention {
        kind: AttentionKind::Stale,
        since: since.unwrap_or(records.now),
        what: format!("{}: {}", label(environment), values.join("; ")),
        next: match &environment.deployed {
            Some(runs) => bring(environment, &runs.version.to_string(), records),
            None => "lockstep push".to_owned(),
        },
    }
}

fn drifted(report: &DriftReport) -> Option<Attention> {
    let next = drift::explain_with(report)?;
    Some(Attention { kind: AttentionKind::Drift, since: report.since, what: drift::headline(report), next })
}

fn hold(environment: &Environment) -> Option<Attention> {
    let hold = environment.hold.as_ref()?;
    Some(Attention {
        kind: AttentionKind::Hold,
        since: hold.at,
        what: format!("{} holds pushes back: {}", label(environment), hold.reason),
        next: format!("lockstep resume {} --in {}", environment.component, environment.stage),
    })
}

fn overridden(environment: &Environment, records: &StatusRecords<'_>) -> Option<Attention> {
    let runs: &Deployed = environment.deployed.as_ref().filter(|runs| !runs.overridden.is_empty())?;
    let names: Vec<&str> = runs.overridden.iter().map(String::as_str).collect();
    Some(Attention {
        kind: AttentionKind::Override,
        since: runs.since,
        what: format!(
            "{} runs {} with overridden parameters: {}",
            label(environment),
            runs.version,
            names.join(", ")
        ),
        next: format!("without them: {}", bring(environment, &runs.version.to_string(), records)),
    })
}

fn taint(environment: &Environment, records: &StatusRecords<'_>) -> Option<Attention> {
    let taint = environment.taint.as_ref()?;
    let last = environment.last_deployment.as_ref();
    let last = records.deployments.iter().find(|deployment| Some(&deployment.id) == last);
    let since = last.map(|last| last.finished_at.unwrap_or(last.started_at));
    Some(Attention {
        kind: AttentionKind::Taint,
        since: since.or_else(|| environment.deployed.as_ref().map(|runs| runs.since)).unwrap_or(records.now),
        what: format!("{} is tainted: {taint}", label(environment)),
        next: format!("once it is repaired: lockstep reconcile {} --reason <TEXT>", named(environment)),
    })
}

/// Returns the matter of a release that runs because of break-glass.
fn admitted(environment: &Environment, records: &StatusRecords<'_>) -> Option<Attention> {
    let runs = environment.deployed.as_ref()?;
    let used = records.break_glass.iter().find(|used| used.used_by.as_ref() == Some(&runs.deployment))?;
    let version = &runs.version;
    Some(Attention {
        kind: AttentionKind::BreakGlass,
        since: runs.since,
        what: format!(
            "{} runs {version}, which break-glass admitted without evidence, by {}: {}",
            label(environment),
            last_part(&used.by),
            used.reason
        ),
        next: format!("a release with evidence: {}", bring(environment, "<VERSION>", records)),
    })
}

/// Returns the matter of a permission that no deployment has used and that is still valid.
fn open_glass(permission: &BreakGlass, now: Timestamp) -> Option<Attention> {
    let end = permission.at.checked_add(BreakGlass::VALID_HOURS.hours()).ok()?;
    (permission.used_by.is_none() && now < end).then(|| Attention {
        kind: AttentionKind::BreakGlass,
        since: permission.at,
        what: format!(
            "{} {} may enter {} without evidence for {} more, by {}: {}",
            permission.component,
            permission.version,
            permission.stage,
            age(now, end),
            last_part(&permission.by),
            permission.reason
        ),
        next: "no step: it ends by itself".to_owned(),
    })
}

fn queued(environment: &Environment, records: &StatusRecords<'_>) -> Option<Attention> {
    let first = environment.queue.first()?;
    let count = environment.queue.len();
    let asking = environment.holder.as_ref().and_then(|holder| {
        records.questions.iter().find(|(deployment, _)| deployment.id == holder.deployment)
    });
    let (behind, next) = match (asking, &environment.hold, &environment.holder) {
        (Some((asking, question)), ..) => {
            (format!("behind the open question of {}", why::title(asking)), answer_with(asking, question))
        }
        (None, Some(hold), _) => (
            format!("because pushes are held back ({})", hold.reason),
            format!("lockstep resume {} --in {}", environment.component, environment.stage),
        ),
        (None, None, Some(holder)) => (
            format!("behind the deployment {}", holder.deployment.short()),
            format!("lockstep watch {}", holder.deployment.short()),
        ),
        (None, None, None) => ("until it is free".to_owned(), "lockstep deployments --waiting".to_owned()),
    };
    let what = match count {
        1 => format!("{} waits for {}, {behind}", first.version, label(environment)),
        _ => format!("{count} deployments wait for {}, {behind}", label(environment)),
    };
    Some(Attention { kind: AttentionKind::Queue, since: first.since, what, next })
}

/// Columns from which on a matter begins on the line of its age and its kind.
const WIDE: usize = 80;

/// Returns the lines about what wants a person. With a width, the lines are broken at it.
pub fn lines(found: &[Attention], now: Timestamp, width: Option<usize>) -> Vec<String> {
    let head = match found.len() {
        0 => "no question, failure or other matter waits for a person".to_owned(),
        1 => "1 matter waits for a person".to_owned(),
        many => format!("{many} matters wait for a person, oldest first"),
    };
    let is_narrow = width.is_some_and(|width| width < WIDE);
    let beginning = if is_narrow { 4 } else { 22 };
    let broken = |text: &str| super::wrapped(text, width.map(|width| width.saturating_sub(beginning)));
    let mut lines = super::wrapped(&head, width);
    for Attention { kind, since, what, next } in found {
        let texts = broken(what).into_iter().chain(broken(&format!("next: {next}")));
        let mut texts = texts.map(|line| format!("{}{line}", " ".repeat(beginning)));
        let head = format!("{:>7}  {:<11}", age(*since, now), kind.to_string());
        match texts.next() {
            Some(first) if !is_narrow => lines.push(format!("{head:<beginning$}{}", &first[beginning..])),
            first => lines.extend([head.trim().to_owned()].into_iter().chain(first)),
        }
        lines.extend(texts);
    }
    lines
}

#[cfg(test)]
mod tests;
