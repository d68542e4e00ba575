//! Reads of stacks, their resources, and their events.

use jiff::Timestamp;
use lockstep_aws::cloudformation::{ChangeSetView, Stack, Stacks, TemplateForm};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::policies::Policies;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::stacks::diagnosis::{StackEvent, Stream};
use lockstep_domain::stacks::plan::{
    self, HeldChangeSet, LatestOperation, LiveResource, Phase, Progress, Remains, StackSnapshot, StackStatus,
};
use lockstep_domain::stacks::protected::is_protected;

/// The deepest nesting of stacks that is read.
pub const NESTING_MAX: usize = 10;

/// A stack as it was read.
pub struct StackReading {
    /// The facts that the plan decides from.
    pub observed: StackSnapshot,
    /// The stack as CloudFormation describes it.
    pub stack: Stack,
}

/// The extent of a look at a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The contents that the status of the stack makes relevant.
    Status,
    /// All contents, for a deletion.
    Contents,
}

/// Reads `stack` (a name or an ARN). Returns `None` if it does not exist.
pub async fn look(stacks: &impl Stacks, stack: &str, depth: Depth) -> Result<Option<StackReading>, Failure> {
    let Some(found) = stacks.describe(stack).await? else { return Ok(None) };
    let (arn, status) = (found.arn.clone(), found.status.clone());
    let (newest, was_stable) = match status {
        StackStatus::DeleteComplete => (LatestOperation::Unseen, None),
        _ => history(stacks, &arn, &status).await?,
    };
    let wanted = depth == Depth::Contents || status.contents_decide();
    let ended = status.phase() == Phase::Ended && status != StackStatus::DeleteComplete;
    let remains = if wanted && ended { Some(remains(stacks, &arn, &status, depth).await?) } else { None };
    let observed = StackSnapshot {
        arn,
        status,
        tags: found.tags.clone(),
        parent: found.parent.clone(),
        newest,
        remains,
        was_stable,
        termination_protection: found.termination_protection,
        is_express: found.is_express,
    };
    Ok(Some(StackReading { observed, stack: found }))
}

/// Returns the newest operation. Also returns if the stack ever was stable, where the status makes that
/// relevant and the events show it.
async fn history(
    stacks: &impl Stacks,
    arn: &str,
    status: &StackStatus,
) -> Result<(LatestOperation, Option<bool>), Failure> {
    let whole = status.history_decides();
    let enough = |events: &[StackEvent]| !whole && events.iter().any(StackEvent::is_about_the_stack);
    let events = stacks.events(arn, &enough).await?;
    let own: Vec<&StackEvent> = events.iter().filter(|event| event.is_about_the_stack()).collect();
    let newest = LatestOperation::of(status, own.first().copied());
    let stable = own.iter().any(|event| StackStatus::parse(&event.status).proves_stability());
    let from_the_beginning = own
        .last()
        .is_some_and(|event| ["CREATE_IN_PROGRESS", "REVIEW_IN_PROGRESS"].contains(&event.status.as_str()));
    let was_stable = if stable { Some(true) } else { from_the_beginning.then_some(false) };
    Ok((newest, was_stable.filter(|_| whole)))
}

async fn remains(
    stacks: &impl Stacks,
    arn: &str,
    status: &StackStatus,
    depth: Depth,
) -> Result<Remains, Failure> {
    let change_sets = match status {
        StackStatus::ReviewInProgress => change_sets(stacks, arn).await?,
        _ => Vec::new(),
    };
    let resources = resources(stacks, arn).await?;
    let policies = match (depth, status) {
        // A stack that does not exist yet has no template.
        (Depth::Status, _) | (_, StackStatus::ReviewInProgress) => None,
        (Depth::Contents, _) => policies(stacks, arn, &resources).await?,
    };
    Ok(Remains { resources, change_sets, policies })
}

/// Returns the change sets of a stack, without those that were removed meanwhile.
async fn change_sets(stacks: &impl Stacks, arn: &str) -> Result<Vec<HeldChangeSet>, Failure> {
    let mut held = Vec::new();
    for name in stacks.change_sets(arn).await? {
        if let Some(ChangeSetView { tags, .. }) = stacks.describe_change_set(arn, &name).await? {
            held.push(HeldChangeSet { name, tags });
        }
    }
    Ok(held)
}

/// Returns the deletion policies of a stack and of its nested stacks, or `None` if a template cannot be read.
async fn policies(
    stacks: &impl Stacks,
    arn: &str,
    resources: &[LiveResource],
) -> Result<Option<Policies>, Failure> {
    let nested = resources.iter().filter(|resource| is_nested(resource));
    let nested = nested.map(|nested| (format!("{}.", nested.logical_id), nested.physical_id.as_str()));
    let mut all = Policies::new();
    for (path, arn) in std::iter::once((String::new(), arn)).chain(nested) {
        let Some(found) = plan::policies(&stacks.template(arn, TemplateForm::Expanded).await?) else {
            return Ok(None);
        };
        all.extend(found.into_iter().map(|(id, policy)| (format!("{path}{id}"), policy)));
    }
    Ok(Some(all))
}

/// Returns true if the resource is a nested stack that can be read.
fn is_nested(resource: &LiveResource) -> bool {
    resource.resource_type == NESTED_STACK && resource.survives() && !resource.physical_id.is_empty()
}

/// Returns every resource of a stack, including those of nested stacks.
pub async fn resources(stacks: &impl Stacks, arn: &str) -> Result<Vec<LiveResource>, Failure> {
    let mut all = Vec::new();
    let mut open = vec![(Vec::<String>::new(), arn.to_owned())];
    while let Some((path, arn)) = open.pop() {
        if path.len() > NESTING_MAX {
            return Err(unreadable(&arn, "its stacks are nested too deep"));
        }
        for mut resource in stacks.resources(&arn).await? {
            let mut path = path.clone();
            path.push(resource.logical_id);
            resource.logical_id = path.join(".");
            if is_nested(&resource) {
                open.push((path, resource.physical_id.clone()));
            }
            all.push(resource);
        }
    }
    Ok(all)
}

/// Returns true if the stack holds a protected resource, at any depth.
pub async fn holds_protected(stacks: &impl Stacks, arn: &str) -> Result<bool, Failure> {
    let all = resources(stacks, arn).await?;
    Ok(all.iter().any(|resource| resource.survives() && is_protected(&resource.resource_type)))
}

/// Returns the progress of an operation on the stack `arn` that began about `since`. `tokens` are its own and
/// that of its cancellation, because later events may carry the latter.
pub async fn progress(
    stacks: &impl Stacks,
    arn: &str,
    tokens: &[String],
    since: Timestamp,
) -> Result<(Progress, Option<Stack>), Failure> {
    // The stack is read before its events. If the operation ends between the two calls, they disagree and the
    // function looks again. In the other order an old status could agree with a newer event.
    let stack = stacks.describe(arn).await?;
    let events = events(stacks, arn, since).await?;
    let own: Vec<&StackEvent> = events.iter().filter(|event| event.is_about_the_stack()).collect();
    let is_of_it = |event: &StackEvent| event.token.as_ref().is_some_and(|token| tokens.contains(token));
    let of_operation = own.iter().find(|event| is_of_it(event));
    let progress = Progress {
        of_operation: of_operation.map(|event| StackStatus::parse(&event.status)),
        is_newest: own.first().is_some_and(|event| is_of_it(event)),
        now: stack.as_ref().map(|stack| stack.status.clone()),
    };
    Ok((progress, stack))
}

/// Returns the events of `arn` since an operation began. `since` is read from our clock, which may be ahead
/// of CloudFormation's.
async fn events(stacks: &impl Stacks, arn: &str, since: Timestamp) -> Result<Vec<StackEvent>, Failure> {
    const SKEW_SECONDS: i64 = 300;
    let earliest = since.as_second() - SKEW_SECONDS;
    let enough = |events: &[StackEvent]| events.last().is_some_and(|event| event.at.as_second() < earliest);
    stacks.events(arn, &enough).await
}

/// Returns the events of a failed operation: those of the stack, and of every nested stack that failed.
pub async fn failure_events(
    stacks: &impl Stacks,
    arn: &str,
    token: &str,
    since: Timestamp,
) -> Result<Vec<Stream>, Failure> {
    let all = events(stacks, arn, since).await?;
    // The times from here on are CloudFormation's own.
    let began = all.iter().filter(|event| event.token.as_deref() == Some(token)).map(|event| event.at).min();
    let began = began.unwrap_or(since);
    let root = Stream { path: Vec::new(), events: all }.of_operation(token, began);
    let mut open = root.failed_nested_stacks();
    let mut streams = vec![root];
    while let Some((path, arn)) = open.pop() {
        if path.len() > NESTING_MAX {
            continue;
        }
        let stream = Stream { path, events: events(stacks, &arn, since).await? }.of_operation(token, began);
        open.extend(stream.failed_nested_stacks());
        streams.push(stream);
    }
    Ok(streams)
}

/// Returns the failure for something that cannot be read. It needs an operator and is never treated as safe.
pub fn unreadable(what: &str, why: &str) -> Failure {
    Failure::new(
        FailureKind::StackNeedsHuman,
        format!("{what} cannot be read: {why}; look at it before deploying again"),
    )
}
