//! The beginning of a look: the state is noted, the caps are checked, and CloudFormation's detections begin.

use crate::context::DriftContext;
use crate::handler::{conclude_nothing, ensure_own, environment};
use crate::note::note;
use lockstep_aws::cloudformation::Stacks;
use lockstep_aws::cloudformation::detection::Detections;
use lockstep_domain::drift::look::{RESOURCES_MAX, STACKS_MAX};
use lockstep_domain::drift::report::can_detect;
use lockstep_domain::messages::drift::{BegunLook, Detection, LookStart, Subject};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::records::Inconclusive;
use lockstep_domain::stacks::plan::LiveResource;
use lockstep_runtime::stages::stage;

/// A stack with the logical ids of the nested stacks down to it.
type StackAt = (String, String);

/// Begins a look. Writes a report if the environment cannot be looked at.
pub async fn begin(context: &impl DriftContext, subject: &Subject) -> Result<LookStart, Failure> {
    ensure_own(context, &subject.stage).await?;
    let environment = environment(context, subject).await?;
    let location = stage(context.ledger(), &subject.stage).await?.location();
    let session = format!("lockstep-drift-{}", subject.environment);
    let (stacks, _) = context.sources(&location, &session).await?;
    let nothing = async |reason, message| {
        conclude_nothing(context, subject, reason, message).await.map(|_| LookStart { look: None })
    };
    let (noted, status) = match note(&environment, &stacks).await? {
        Ok(noted) => noted,
        Err(reason) => return nothing(Inconclusive::NotStable, reason).await,
    };
    if !can_detect(&status) {
        let message = format!("the stack is in {status}, in which CloudFormation detects no drift");
        return nothing(Inconclusive::NotStable, message).await;
    }
    let places = match places(&stacks, &noted.stack).await? {
        Ok(places) => places,
        Err(message) => return nothing(Inconclusive::TooLarge, message).await,
    };
    let at = context.now();
    let mut detections = Vec::new();
    for (path, stack) in places {
        let id = stacks.detect(&stack).await?;
        detections.push(Detection { path, stack, id });
    }
    Ok(LookStart { look: Some(BegunLook { subject: subject.clone(), at, noted, detections }) })
}

/// Returns the stack and its nested stacks, or a sentence if they are more than one look reads.
async fn places(stacks: &impl Stacks, root: &str) -> Result<Result<Vec<StackAt>, String>, Failure> {
    let mut places: Vec<StackAt> = vec![(String::new(), root.to_owned())];
    let (mut index, mut count) = (0, 0);
    while let Some((path, stack)) = places.get(index).cloned() {
        let resources = stacks.resources(&stack).await?;
        count += resources.len();
        let nested = resources.iter().filter(|one| one.resource_type == NESTED_STACK && one.survives());
        places.extend(nested.map(|one| (below(&path, one), one.physical_id.clone())));
        index += 1;
        if places.len() > STACKS_MAX || count > RESOURCES_MAX {
            let message = format!(
                "the stack has more than {STACKS_MAX} stacks or {RESOURCES_MAX} resources; a look reads no more"
            );
            return Ok(Err(message));
        }
    }
    Ok(Ok(places))
}

/// Returns the logical id of a resource, prefixed with the path of its stack.
pub(crate) fn below(path: &str, resource: &LiveResource) -> String {
    match path {
        "" => resource.logical_id.clone(),
        path => format!("{path}.{}", resource.logical_id),
    }
}
