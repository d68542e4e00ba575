//! Change sets that are never executed: CloudFormation judges an update without making it.

use crate::aws::Aws;
use crate::cloudformation::read::means_no_changes;
use crate::failure::failure;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Parameter};
use lockstep_domain::model::error::{Failure, FailureKind};
use std::time::{Duration, Instant};

/// The prefix of the names of these change sets. No other change set of Lockstep has it.
const PREFIX: &str = "lockstep-doctor-";

/// Maximum time for one change set, and the pause between two reads of it.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);

/// CloudFormation's judgement of a change set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is executable.
    Valid {
        /// Number of resources it would change.
        changes: usize,
    },
    /// It is not executable.
    Invalid {
        /// CloudFormation's reason.
        reason: String,
    },
}

/// Creates change sets of the stacks of one account and region.
pub struct Trial {
    client: Client,
    name: String,
}

impl Trial {
    /// Prepares change sets with a name that no other run uses.
    pub fn new(aws: &Aws) -> Self {
        let name = format!("{PREFIX}{}", uuid::Uuid::new_v4().simple());
        Self { client: Client::new(aws.sdk_config()), name }
    }

    /// Creates a change set of a stack with its own template and parameters, and deletes it again.
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html>
    ///
    /// # Errors
    /// `Transient` if CloudFormation takes longer than two minutes. The change set then remains until [`Trial::clear`].
    pub async fn run(&self, stack: &str) -> Result<Outcome, Failure> {
        let described = self.client.describe_stacks().stack_name(stack).send().await;
        let described = described.map_err(|error| failure("DescribeStacks", stack, &error))?;
        let known = described.stacks().iter().flat_map(|stack| stack.parameters());
        let keep = |parameter: &Parameter| {
            let key = parameter.parameter_key().unwrap_or_default();
            Parameter::builder().parameter_key(key).use_previous_value(true).build()
        };
        self.client
            .create_change_set()
            .stack_name(stack)
            .change_set_name(&self.name)
            .change_set_type(ChangeSetType::Update)
            .use_previous_template(true)
            .set_parameters(Some(known.map(keep).collect()))
            .capabilities(Capability::CapabilityNamedIam)
            .description("Made by lockstep doctor --try, which deletes it again")
            .send()
            .await
            .map_err(|error| failure("CreateChangeSet", stack, &error))?;
        let outcome = self.outcome(stack).await;
        self.delete(stack, &self.name).await?;
        outcome
    }

    /// Deletes every change set of this kind that a stack has, including those of killed runs.
    pub async fn clear(&self, stack: &str) -> Result<(), Failure> {
        let mut next = None;
        loop {
            let request = self.client.list_change_sets().stack_name(stack).set_next_token(next);
            let page = match request.send().await {
                Ok(page) => page,
                // A stack that does not exist has no change sets.
                Err(error) if crate::failure::code(&error) == Some("ValidationError") => return Ok(()),
                Err(error) => return Err(failure("ListChangeSets", stack, &error)),
            };
            let names = page.summaries().iter().filter_map(|summary| summary.change_set_name());
            for name in names.filter(|name| name.starts_with(PREFIX)) {
                self.delete(stack, name).await?;
            }
            next = page.next_token;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn outcome(&self, stack: &str) -> Result<Outcome, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.client.describe_change_set().stack_name(stack).change_set_name(&self.name);
            let answer = answer.send().await;
            let answer = answer.map_err(|error| failure("DescribeChangeSet", stack, &error))?;
            match answer.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    return Ok(Outcome::Valid { changes: answer.changes().len() });
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason =
                        answer.status_reason().unwrap_or("CloudFormation gives no reason").to_owned();
                    return Ok(if means_no_changes(&reason) {
                        Outcome::Valid { changes: 0 }
                    } else {
                        Outcome::Invalid { reason }
                    });
                }
                _ if Instant::now() > deadline => {
                    let why = format!("the change set {} of stack {stack} is still being made", self.name);
                    return Err(Failure::new(FailureKind::Transient, why));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn delete(&self, stack: &str, name: &str) -> Result<(), Failure> {
        let request = self.client.delete_change_set().stack_name(stack).change_set_name(name);
        request.send().await.map(drop).map_err(|error| failure("DeleteChangeSet", name, &error))
    }
}
