//! ChangeSet: creates the change set, reads all of it, and decides if it needs an approval.

use crate::context::StackContext;
use crate::late;
use crate::load::{self, CHANGE_SETS_MAX, Loaded};
use crate::nested;
use crate::observe::{self, NESTING_MAX, StackReading, unreadable};
use crate::permissions;
use crate::plan::{decide, unchanged, unexpected_plan};
use crate::review;
use crate::template;
use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use lockstep_aws::cloudformation::{ChangeSetState, ChangeSetView, NewChangeSet, Stacks, TemplateSource};
use lockstep_domain::delivery::function_code::FunctionCode;
use lockstep_domain::delivery::packaging::PackedContents;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::model::ids::{DeploymentId, Digest, LogicalId};
use lockstep_domain::model::late_values::{self, LateChange, LateReadings};
use lockstep_domain::model::resource_change::{Change, NESTED_STACK};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{ApprovalDecision, ChangeSet, DeployBody, NamedResource, Release, Review};
use lockstep_domain::stacks::change_set_review::{self, NestedChanges, ProposedChange};
use lockstep_domain::stacks::drift::{Drift, Examined};
use lockstep_domain::stacks::exports;
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::plan::{ChangeSetKind, Plan};
use lockstep_runtime::deployment_log;
use lockstep_runtime::stages::stages;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Maximum number of warnings of CloudFormation that a question shows.
const WARNINGS_MAX: usize = 20;

/// Returns the pauses between reads of a change set in creation: 0.1 s, doubled up to 12 s, eight minutes in
/// all. That is below the timeout of the state.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(12))
        .with_max_times(45)
        .build()
}

/// Handles `change_set`.
pub async fn change_set<C: StackContext>(context: &C, id: &DeploymentId) -> Result<NextStep, Failure> {
    let mut loaded = Loaded::load(context, id).await?;
    loaded.ensure_not_cancelled()?;
    let deploy = loaded.deploy()?;
    let (plan_only, revert_drift) = (deploy.plan_only, deploy.revert_drift);
    if plan_only && deploy.change_set.is_some() {
        // An earlier try has shown the change set. The next deployment removes its remains.
        return Ok(NextStep::Planned);
    }
    let release = loaded.release(context).await?;
    let stages = stages(context.ledger()).await?;
    let stage = load::stage(&stages, &loaded.deployment.record.stage)?;
    let contents = load::contents(context, &release).await?;
    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let protect = &contents.manifest.protect.logical_ids;
    let (plan, reading) = decide(context, &stacks, &loaded, protect).await?;
    let kind = match plan {
        Plan::CreateChangeSet(kind) => kind,
        Plan::NoChanges => return unchanged(context, loaded, reading).await,
        // Another operation began after the plan. The deployment waits for it and plans again.
        Plan::Adopt { .. } | Plan::AwaitOther { .. } => return Ok(NextStep::Recover),
        other => return Err(unexpected_plan(other)),
    };
    ensure_exports_unused(&stacks, reading.as_ref(), &contents).await?;
    let spec = ChangeSetSpec { release: &release, contents: &contents, stage, kind };
    let (attempt, view) = make(context, &stacks, &loaded, &spec).await?;
    ensure_of_the_plan(context, &stacks, &loaded, &spec, &view).await?;
    let unexamined = match kind {
        ChangeSetKind::Update if revert_drift || nested::is_without_nested(&view) => {
            unexamined(&stacks, &view).await?
        }
        ChangeSetKind::Create | ChangeSetKind::Update => Vec::new(),
    };
    if view.state == ChangeSetState::Empty {
        return empty(context, &stacks, loaded, reading, (attempt, view), unexamined).await;
    }
    let changes = judge(&stacks, &view, protect).await?;
    let lack = permissions::lack(context, &loaded, loaded.deploy()?, &release, &contents).await;
    let mut change_set = record(loaded.deploy()?, &view, attempt, changes, unexamined)?;
    // Only a question shows the review, and a plan of one.
    if plan_only || !change_set_review::reasons(&change_set, stage.approval.is_some()).is_empty() {
        let existing = reading.as_ref().filter(|_| kind == ChangeSetKind::Update);
        let template = contents.deployed_template(stage)?;
        let changes = &change_set.changes;
        let templates = (&contents, &template);
        change_set.review = review::review(context, &stacks, &loaded, existing, templates, changes).await?;
        change_set.review.late = late_changes(context, &loaded).await?.1;
        add_warnings(&stacks, &view, &mut change_set.review).await?;
    }
    let go = match plan_only {
        true => NextStep::Planned,
        false => next(&loaded.decisions(context).await?, &change_set, stage, &release, context.now()),
    };
    let lines = change_set_review::summary(&change_set).join("; ");
    loaded
        .change_deploy(context, |deploy| {
            deploy.stack.arn = Some(view.stack_arn.clone());
            deploy.change_set = Some(change_set);
            deploy.lack = Some(lack);
        })
        .await?;
    let line = format!("change set of attempt {attempt}: {lines}");
    deployment_log::append(context.ledger(), id, &line, context.now()).await?;
    if go == NextStep::Planned {
        delete_change_set(context, &stacks, &loaded, &view, kind).await?;
    }
    Ok(go)
}

/// Adds the warnings of CloudFormation's validation to what a question shows. An error that passes by itself fails the step,
/// which is repeated: a review without the warnings would be another question.
async fn add_warnings(
    stacks: &impl Stacks,
    view: &ChangeSetView,
    review: &mut Review,
) -> Result<(), Failure> {
    match stacks.validation_warnings(&view.arn).await {
        Ok(mut warnings) => {
            let more = warnings.len().saturating_sub(WARNINGS_MAX);
            warnings.truncate(WARNINGS_MAX);
            review.warnings = warnings;
            if more > 0 {
                review.unseen.push(format!("{more} more warnings of CloudFormation's validation"));
            }
        }
        Err(passing) if passing.kind.policy() == Policy::Retryable => return Err(passing),
        Err(unread) => review.unseen.push(format!("warnings of CloudFormation: {}", unread.chain())),
    }
    Ok(())
}

/// Deletes a change set for which CloudFormation may have read another value than the plan, which the question shows.
async fn ensure_of_the_plan<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    spec: &ChangeSetSpec<'_>,
    view: &ChangeSetView,
) -> Result<(), Failure> {
    let as_planned = late::ensure_as_planned(context, loaded, spec.contents).await;
    if as_planned.as_ref().is_err_and(|failure| failure.kind == FailureKind::StackFailed) {
        delete_change_set(context, stacks, loaded, view, spec.kind).await?;
    }
    as_planned
}

/// Ends a deployment whose change set is empty.
///
/// If drift was to be reverted, an empty change set says nothing of nested stacks. They are recorded as
/// unexamined. They need no approval, because nothing is done to them.
async fn empty<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    mut loaded: Loaded,
    reading: Option<StackReading>,
    (attempt, view): (u32, ChangeSetView),
    unexamined: Vec<NamedResource>,
) -> Result<NextStep, Failure> {
    let mut change_set = record(loaded.deploy()?, &view, attempt, Vec::new(), unexamined)?;
    let (before, changes) = late_changes(context, &loaded).await?;
    let reached = loaded.deploy()?.late_values.reached(before.as_ref(), &BTreeSet::new());
    // What is still another value after an empty change set does not reach the stack.
    change_set.review.late = changes
        .into_iter()
        .filter(|change| reached.0.get(&change.name).is_none_or(|it| !it.reading.is_same(&change.new)))
        .collect();
    let uncovered = late_values::unread(&change_set.review.late);
    let lines = [format!("the change set is empty: nothing to change{uncovered}")];
    let lines: Vec<String> = lines.into_iter().chain(change_set_review::summary(&change_set)).collect();
    deployment_log::append(context.ledger(), loaded.id(), &lines.join("; "), context.now()).await?;
    stacks.delete_change_set(loaded.stack.as_str(), &view.arn).await?;
    let is_shown = loaded.deploy()?.plan_only
        && !(change_set.unexamined.is_empty() && change_set.review.late.is_empty());
    loaded
        .change_deploy(context, |deploy| {
            deploy.late_values = reached;
            deploy.change_set = is_shown.then_some(change_set).or(deploy.change_set.take());
        })
        .await?;
    unchanged(context, loaded, reading).await
}

/// Returns the late values of the last deployment, and those that differ now.
async fn late_changes<C: StackContext>(
    context: &C,
    loaded: &Loaded,
) -> Result<(Option<LateReadings>, Vec<LateChange>), Failure> {
    let values = &loaded.deploy()?.late_values;
    if values.is_empty() {
        return Ok((None, Vec::new()));
    }
    let before = late::deployed(context, loaded).await?;
    let changes = values.changes(before.as_ref());
    Ok((before, changes))
}

/// Removes a change set that was only shown or failed. For a new stack it removes the placeholder, and the change set with
/// it: without its change set, nothing shows whose placeholder it is.
async fn delete_change_set<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    view: &ChangeSetView,
    kind: ChangeSetKind,
) -> Result<(), Failure> {
    match kind {
        ChangeSetKind::Update => stacks.delete_change_set(loaded.stack.as_str(), &view.arn).await,
        ChangeSetKind::Create => {
            let token = client_token(loaded.id().as_str(), "forget", 1);
            let role = load::execution_role(context, &loaded.deployment.record.location);
            stacks.delete_stack(&view.stack_arn, &token, &role, &[]).await
        }
    }
}

/// Returns the next step: the execution, or an approval if `change_set` needs one and has none.
fn next(
    decisions: &[ApprovalDecision],
    change_set: &ChangeSet,
    stage: &Stage,
    release: &Release,
    now: Timestamp,
) -> NextStep {
    let needs_no_approval = change_set_review::reasons(change_set, stage.approval.is_some()).is_empty();
    if needs_no_approval || change_set_review::is_approved(decisions, change_set, &release.digest, now) {
        NextStep::Execute
    } else {
        NextStep::Approve
    }
}

/// The input of a change set.
struct ChangeSetSpec<'a> {
    release: &'a Release,
    contents: &'a PackedContents,
    stage: &'a Stage,
    kind: ChangeSetKind,
}

/// Returns the deployment's change set, ready or empty. Reuses the one of an earlier try if it can still be
/// executed. Otherwise creates one under the name of the next attempt.
async fn make<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    spec: &ChangeSetSpec<'_>,
) -> Result<(u32, ChangeSetView), Failure> {
    let deploy = loaded.deploy()?;
    let last = deploy.change_set.as_ref().map_or(1, |change_set| change_set.attempt);
    // The reason for which nested stacks cannot be examined.
    let mut unexaminable = None;
    for attempt in last..=CHANGE_SETS_MAX {
        let name = client_token(loaded.id().as_str(), "change-set", attempt);
        let mut view = stacks.describe_change_set(loaded.stack.as_str(), &name).await?;
        let vanished = view.is_none() && recorded(deploy, attempt);
        if view.is_none() && !vanished {
            let with_nested = unexaminable.is_none();
            create(context, stacks, loaded, spec, (attempt, with_nested), &name).await?;
            view = stacks.describe_change_set(loaded.stack.as_str(), &name).await?;
        }
        let Some(view) = finished(context, stacks, loaded, &name, view).await? else { continue };
        match view.state {
            // The template or the parameters changed after the change set was created.
            _ if !is_described(&view, loaded.id(), deploy) => {}
            ChangeSetState::Ready | ChangeSetState::Empty => return Ok((attempt, view)),
            ChangeSetState::Obsolete => {}
            ChangeSetState::Failed(ref why) => {
                let examines =
                    !nested::is_without_nested(&view) && nested::has_nested(&spec.contents.template);
                let cause = nested::failed_nested(stacks, &view, why).await?;
                if let (true, Some(cause)) = (examines && attempt < CHANGE_SETS_MAX, &cause) {
                    note_unexaminable(context, loaded, cause).await?;
                    unexaminable = Some(cause.clone());
                    continue;
                }
                let why = match cause.or(unexaminable) {
                    Some(cause) => format!("{}; {cause}", invalid(stacks, &view.arn, why).await),
                    None => invalid(stacks, &view.arn, why).await,
                };
                delete_change_set(context, stacks, loaded, &view, spec.kind).await?;
                return Err(Failure::new(
                    FailureKind::StackFailed,
                    format!("the change set for {} could not be made: {why}", loaded.stack),
                ));
            }
            ChangeSetState::Executed => {
                return Err(Failure::new(
                    FailureKind::StackFailed,
                    format!("the change set {} was executed before; deploy again", view.arn),
                ));
            }
            ChangeSetState::InProgress => {
                return Err(Failure::new(
                    FailureKind::Transient,
                    format!("the change set {} takes long to be made", view.arn),
                ));
            }
        }
    }
    Err(Failure::new(
        FailureKind::StackNeedsHuman,
        format!(
            "{CHANGE_SETS_MAX} change sets for {} became obsolete before they were executed: something else changes \
             the stack; find out what, then deploy again",
            loaded.stack
        ),
    ))
}

/// Writes to the deployment log that the nested stacks are not examined, and the reason.
async fn note_unexaminable<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    cause: &str,
) -> Result<(), Failure> {
    let line = format!("the nested stacks cannot be examined before the deployment: {cause}");
    deployment_log::append(context.ledger(), loaded.id(), &line, context.now()).await
}

/// Refuses an update that withdraws an export that another stack imports.
async fn ensure_exports_unused(
    stacks: &impl Stacks,
    reading: Option<&StackReading>,
    contents: &PackedContents,
) -> Result<(), Failure> {
    let Some(reading) = reading else { return Ok(()) };
    for export in exports::withdrawn(&reading.stack.exports, &contents.template.to_json()) {
        let importers = stacks.importers(export).await?;
        if !importers.is_empty() {
            return Err(Failure::rejected(exports::refusal(export, &importers)));
        }
    }
    Ok(())
}

/// Returns why the change set was not created: the findings of the validation, else the reason in the change
/// set.
async fn invalid(stacks: &impl Stacks, change_set: &str, why: &str) -> String {
    match stacks.validation_failures(change_set).await {
        Ok(found) if !found.is_empty() => found.join("; "),
        Ok(_) => why.to_owned(),
        Err(unread) => format!("{why} (what validation found could not be read: {})", unread.chain()),
    }
}

/// Returns true if the change set of this attempt was read before. If it is missing now, it was removed.
fn recorded(deploy: &DeployBody, attempt: u32) -> bool {
    deploy.change_set.as_ref().is_some_and(|change_set| change_set.attempt == attempt)
}

/// Waits for the end of the creation of the change set and returns it as read last.
async fn finished<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    name: &str,
    mut view: Option<ChangeSetView>,
) -> Result<Option<ChangeSetView>, Failure> {
    for pause in pauses() {
        match &view {
            Some(seen) if seen.state == ChangeSetState::InProgress => {}
            _ => break,
        }
        context.sleep(pause).await;
        view = stacks.describe_change_set(loaded.stack.as_str(), name).await?;
    }
    Ok(view)
}

/// Writes the template of a deployment and what the template names to the bucket of the account. Returns the template's URL.
pub async fn upload<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    deploy: &DeployBody,
    (contents, stage): (&PackedContents, &Stage),
) -> Result<String, Failure> {
    let location = &loaded.deployment.record.location;
    let text = contents.template_in(stage);
    for code in functions_in_use(deploy, contents) {
        context.put_function(location, &loaded.session(), code).await?;
    }
    for (key, bytes) in contents.local.objects(stage.is_test()) {
        context.put_file(location, &loaded.session(), &key, bytes.into_owned()).await?;
    }
    let key = template::key(&Digest::of(text.as_bytes()));
    context.put_template(location, &loaded.session(), &key, text).await
}

async fn create<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    spec: &ChangeSetSpec<'_>,
    (attempt, with_nested): (u32, bool),
    name: &str,
) -> Result<(), Failure> {
    let (deploy, location) = (loaded.deploy()?, &loaded.deployment.record.location);
    let url = upload(context, loaded, deploy, (spec.contents, spec.stage)).await?;
    // A first attempt needs no number.
    let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
    let note = format!("making the change set {name}{again}");
    deployment_log::append(context.ledger(), loaded.id(), &note, context.now()).await?;
    let wanted = NewChangeSet {
        stack: loaded.stack.to_string(),
        name: name.to_owned(),
        token: name.to_owned(),
        kind: spec.kind,
        template: TemplateSource::Url(url),
        parameters: deploy.parameters.clone(),
        tags: tags(spec, &loaded.identity(context)?),
        capabilities: template::capabilities(&spec.contents.template),
        role: load::execution_role(context, location),
        imports_existing: false,
        // A stack that does not exist yet has no drift.
        revert_drift: deploy.revert_drift && spec.kind == ChangeSetKind::Update,
        with_nested,
        description: match with_nested {
            true => description(loaded.id(), deploy),
            false => nested::without_nested(&description(loaded.id(), deploy)),
        },
    };
    // An existing change set of that name is ours: the name is a hash of this deployment and attempt.
    stacks.create_change_set(&wanted).await.map(drop)
}

/// Returns the functions of Lockstep whose code a parameter of this deployment names.
fn functions_in_use<'a>(
    deploy: &'a DeployBody,
    contents: &'a PackedContents,
) -> impl Iterator<Item = &'a FunctionCode> {
    let named = |code: &&FunctionCode| deploy.parameters.values().any(|value| *value == code.to_string());
    contents.function_lock.0.values().filter(named)
}

/// Returns a description of the change set's input. It identifies a change set that was made from other
/// input.
fn description(id: &DeploymentId, deploy: &DeployBody) -> String {
    let parameters = deploy.parameters_digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let values = deploy.late_values.digest().map(|digest| format!(", values {digest}")).unwrap_or_default();
    format!("Lockstep deployment {id}, template {}, parameters {parameters}{values}", deploy.template_digest)
}

/// Returns true if the change set was made from the input of the deployment.
fn is_described(view: &ChangeSetView, id: &DeploymentId, deploy: &DeployBody) -> bool {
    let wanted = description(id, deploy);
    view.description == wanted || view.description == nested::without_nested(&wanted)
}

/// Returns the tags of the stack, which CloudFormation copies to its resources. The version differs in each release; the
/// manifest can leave it out.
fn tags(spec: &ChangeSetSpec<'_>, identity: &StackIdentity) -> Vec<(String, String)> {
    let ChangeSetSpec { release, contents, stage, .. } = spec;
    let of_release = [
        ("environment", stage.name.to_string()),
        ("application", release.component.to_string()),
        ("function", release.function.clone()),
        ("team", release.team.clone()),
    ];
    let version = ("environment:version", release.version.to_string());
    let version = contents.manifest.tags.version.then_some(version);
    let all = of_release.into_iter().chain(version).chain(identity.tags());
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn record(
    deploy: &DeployBody,
    view: &ChangeSetView,
    attempt: u32,
    changes: Vec<Change>,
    unexamined: Vec<NamedResource>,
) -> Result<ChangeSet, Failure> {
    let Some(parameters) = &deploy.parameters_digest else {
        return Err(Failure::bug("a change set was made before the plan"));
    };
    Ok(ChangeSet {
        arn: view.arn.clone(),
        attempt,
        changes,
        unexamined,
        template_digest: deploy.template_digest.clone(),
        parameters_digest: parameters.clone(),
        late_digest: deploy.late_values.digest(),
        review: Review::default(),
    })
}

/// Returns the nested stacks, at every depth, that a change set with reverted drift does not examine.
/// CloudFormation compares only the stack itself with its live resources.
async fn unexamined(stacks: &impl Stacks, view: &ChangeSetView) -> Result<Vec<NamedResource>, Failure> {
    let resources = observe::resources(stacks, &view.stack_arn).await?;
    let listed: BTreeMap<&str, DriftStatus> =
        view.changes.iter().flatten().filter_map(|c| Some((c.logical_id.as_str(), c.drift?))).collect();
    // A resource that the change set does not list has not drifted.
    let of = |id: &str| listed.get(id).copied().unwrap_or(DriftStatus::InSync);
    let root = resources.iter().filter(|resource| !resource.logical_id.contains('.'));
    let root = root.map(|resource| (resource.logical_id.clone(), of(&resource.logical_id))).collect();
    Ok(Drift::of(&resources, &Examined::from([(String::new(), root)])).unexamined())
}

/// Returns every change with its impact, including the changes of nested stacks.
async fn judge(
    stacks: &impl Stacks,
    view: &ChangeSetView,
    protect: &BTreeSet<LogicalId>,
) -> Result<Vec<Change>, Failure> {
    let mut judged = Vec::new();
    let mut open = vec![(Vec::<String>::new(), view.clone())];
    while let Some((path, view)) = open.pop() {
        // An unreadable change set is never safe.
        let changes = view.changes.ok_or_else(|| unreadable(&view.arn, "a change has an unknown form"))?;
        if path.len() > NESTING_MAX {
            return Err(unreadable(&view.arn, "its stacks are nested too deep"));
        }
        for change in changes {
            let beneath = beneath(stacks, &change).await?;
            if let (NestedChanges::Listed, Some(nested)) = (beneath, &change.change_set) {
                let mut path = path.clone();
                path.push(change.logical_id.clone());
                open.push((path, nested_view(stacks, nested).await?));
            }
            // `[protect]` names logical ids of the component's own template.
            let none = BTreeSet::new();
            let protect = if path.is_empty() { protect } else { &none };
            judged.push(change.judged(&path, protect, beneath));
        }
    }
    Ok(judged)
}

async fn beneath(stacks: &impl Stacks, change: &ProposedChange) -> Result<NestedChanges, Failure> {
    if change.resource_type != NESTED_STACK {
        return Ok(NestedChanges::NotNested);
    }
    if change.needs_a_look_beneath() {
        if change.physical_id.is_empty() {
            return Err(unreadable(&change.logical_id, "the nested stack has no ARN"));
        }
        let protected = observe::holds_protected(stacks, &change.physical_id).await?;
        return Ok(NestedChanges::Holds { protected });
    }
    Ok(if change.change_set.is_some() { NestedChanges::Listed } else { NestedChanges::NotNested })
}

async fn nested_view(stacks: &impl Stacks, arn: &str) -> Result<ChangeSetView, Failure> {
    let view = stacks.describe_change_set("", arn).await?;
    let view = view.ok_or_else(|| unreadable(arn, "it does not exist"))?;
    match &view.state {
        ChangeSetState::Ready | ChangeSetState::Empty => Ok(view),
        // A nested change set is executed by its parent and so is never available itself.
        ChangeSetState::InProgress if view.changes.is_some() => Ok(view),
        other => Err(unreadable(arn, &format!("it is {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_set_is_looked_at_within_the_time_of_its_state() {
        let total: Duration = pauses().sum();
        assert!(total > Duration::from_secs(300) && total < Duration::from_secs(600), "{total:?}");
    }
}
