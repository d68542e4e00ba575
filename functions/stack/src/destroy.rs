//! Deletion of a test stack, and the check that it is gone.

use crate::context::StackContext;
use crate::load;
use crate::observe::{self, Depth, StackReading};
use lockstep_aws::cloudformation::Stacks;
use lockstep_aws::ledger::Versioned;
use lockstep_domain::delivery::environment;
use lockstep_domain::messages::Task;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{StackName, StageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::Environment;
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::plan::{self, Destroy, PlanInput, operation_key};
use lockstep_runtime::deployment_log;
use lockstep_runtime::stages::stages;
use std::collections::BTreeSet;

/// The test environment and its location.
struct Target {
    environment: Option<Versioned<Environment>>,
    stack: StackName,
    identity: StackIdentity,
    location: Location,
    session: String,
}

impl Target {
    async fn load<C: StackContext>(context: &C, stage: &StageName, name: &str) -> Result<Self, Failure> {
        let stages = stages(context.ledger()).await?;
        let stage = load::stage(&stages, stage)?;
        if !stage.is_test() {
            return Err(Failure::rejected(format!(
                "only test stacks are destroyed, and `{}` is not the stage of test stacks",
                stage.name
            )));
        }
        let environment =
            context.ledger().get::<Environment>(&Environment::key_of(&stage.name, name)).await?;
        let identity = StackIdentity {
            stage: stage.name.clone(),
            environment: name.to_owned(),
            component: environment.as_ref().map(|environment| environment.record.component.clone()),
            installation: context.installation(),
        };
        Ok(Self {
            environment,
            identity,
            stack: environment::stack_name(&stage.name, name)?,
            location: stage.location(),
            session: format!("lockstep-destroy-{name}"),
        })
    }

    fn recorded_arn(&self) -> Option<&str> {
        self.environment.as_ref().and_then(|environment| environment.record.stack_arn.as_deref())
    }

    fn decide(&self, reading: Option<&StackReading>) -> Destroy {
        let known = PlanInput {
            identity: &self.identity,
            environment_stack: self.recorded_arn(),
            ever_stable: false,
            has_release: false,
            deployment_stack: None,
            change_sets: &[],
            operations: &[],
            allowed: &[],
            waited_seconds: 0,
            protect: &BTreeSet::new(),
            deployed: None,
            wanted: None,
        };
        plan::destroy(reading.map(|reading| &reading.observed), &known)
    }

    /// Writes to the deployment log of the deployment that made the stack.
    async fn note<C: StackContext>(&self, context: &C, text: &str) -> Result<(), Failure> {
        let environment = self.environment.as_ref().map(|environment| &environment.record);
        let holder = environment.and_then(|e| e.holder.as_ref().map(|holder| &holder.deployment));
        match holder.or(environment.and_then(|e| e.last_deployment.as_ref())) {
            Some(deployment) => {
                deployment_log::append(context.ledger(), deployment, text, context.now()).await
            }
            None => Ok(()),
        }
    }
}

/// Handles `destroy`.
pub async fn destroy<C: StackContext>(
    context: &C,
    stage: &StageName,
    name: &str,
    task: &Task,
) -> Result<(), Failure> {
    let target = Target::load(context, stage, name).await?;
    let stacks = context.stacks(&target.location, &target.session).await?;
    let reading = observe::look(&stacks, target.stack.as_str(), Depth::Status).await?;
    match target.decide(reading.as_ref()) {
        Destroy::Gone => {
            let key = operation_key(target.stack.as_str(), "gone");
            context.callbacks().register(&key, task).await?;
            context.callbacks().wake(&key).await
        }
        Destroy::Delete { arn, token, empty } => {
            target.note(context, &format!("deleting the test stack {arn}")).await?;
            let key = operation_key(&arn, &token);
            context.callbacks().register(&key, task).await?;
            for bucket in &empty {
                context.empty_bucket(&target.location, &target.session, bucket).await?;
            }
            stacks.delete_stack(&arn, &token, &load::execution_role(context, &target.location), &[]).await?;
            // The deletion of a stack that was only reviewed ends at once and may send no event.
            match stacks.describe(target.stack.as_str()).await? {
                None => context.callbacks().wake(&key).await,
                Some(_) => Ok(()),
            }
        }
        Destroy::Wait { key } => {
            context.callbacks().register(&key, task).await?;
            let reading = observe::look(&stacks, target.stack.as_str(), Depth::Status).await?;
            match target.decide(reading.as_ref()) {
                Destroy::Wait { key: still } if still == key => Ok(()),
                _ => context.callbacks().wake(&key).await,
            }
        }
        Destroy::LookAgain => Err(Failure::new(
            FailureKind::Transient,
            format!("an operation runs on {} that is not visible in its events yet", target.stack),
        )),
        Destroy::NeedsHuman { why } => Err(Failure::new(FailureKind::StackNeedsHuman, why)),
    }
}

/// Handles `destroyed`.
pub async fn destroyed<C: StackContext>(
    context: &C,
    stage: &StageName,
    name: &str,
) -> Result<NextStep, Failure> {
    let target = Target::load(context, stage, name).await?;
    let stacks = context.stacks(&target.location, &target.session).await?;
    let reading = observe::look(&stacks, target.stack.as_str(), Depth::Status).await?;
    match plan::destroyed(reading.as_ref().map(|reading| &reading.observed)) {
        Destroy::NeedsHuman { why } => Err(Failure::new(FailureKind::StackNeedsHuman, why)),
        Destroy::Gone => {
            target.note(context, "the test stack is gone").await?;
            Ok(NextStep::Done)
        }
        Destroy::Delete { .. } | Destroy::Wait { .. } | Destroy::LookAgain => Ok(NextStep::Wait),
    }
}
