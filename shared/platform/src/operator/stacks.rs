//! Stacks as an installer sees them: brought to a template, waited for, removed.

use crate::aws::Aws;
use crate::cloudformation::{CloudFormation, Stack, Stacks};
use crate::failure::{code, failure};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter, Tag};
use lockstep_domain::diagnosis::{self, StackEvent, Stream};
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::stack_plan::{LiveResource, Phase, StackStatus};
use lockstep_domain::token::client_token;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The shortest and the longest pause between two looks at a stack.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A stack as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Where CloudFormation reads the template; it takes 51,200 bytes directly and 1 MB from S3.
    pub template: TemplateSource,
    /// The parameters, all of them.
    pub parameters: BTreeMap<String, String>,
}

/// Where a template is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateSource {
    /// An object's address.
    Url(String),
    /// The text itself: only for what comes before there is a bucket.
    Body(String),
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// There was none; now there is.
    Created,
    /// It was another.
    Updated,
    /// It was like this already.
    Unchanged,
}

/// Installs stacks in one account and region.
pub struct Installer {
    aws: Aws,
    stacks: CloudFormation,
}

impl Installer {
    /// The installer of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), stacks: CloudFormation::new(aws) }
    }

    /// Brings a stack to what is wanted and waits for the end, at most for `patience`.
    ///
    /// A creation that failed before is removed first: nothing of ours lives in it.
    ///
    /// # Errors
    /// `StackFailed` with the first resource that really failed; `StackNeedsHuman` if the stack is in a state that no
    /// update leaves; `Transient` if it takes longer.
    pub async fn apply(&self, wanted: &Wanted, patience: Duration) -> Result<(Applied, Stack), Failure> {
        let deadline = Instant::now() + patience;
        let mut found = self.settled(&wanted.name, deadline).await?;
        if found.as_ref().is_some_and(|stack| never_stood(&stack.status)) {
            self.delete(&wanted.name, patience).await?;
            found = None;
        }
        let token = client_token(&wanted.name, "install", unique());
        let begun = match &found {
            None => self.create(wanted, &token).await.map(|()| Some(Applied::Created))?,
            Some(_) => self.update(wanted, &token).await?.then_some(Applied::Updated),
        };
        let Some(applied) = begun else {
            return Ok((Applied::Unchanged, self.existing(&wanted.name).await?));
        };
        let stack = match self.settled(&wanted.name, deadline).await? {
            Some(stack) => stack,
            None => {
                return Err(Failure::new(
                    FailureKind::StackFailed,
                    format!("stack {} vanished", wanted.name),
                ));
            }
        };
        match stack.status {
            StackStatus::CreateComplete | StackStatus::UpdateComplete => Ok((applied, stack)),
            _ => Err(self.explain(&wanted.name, &stack, &token).await),
        }
    }

    /// Deletes a stack and waits for the end; there may be none.
    ///
    /// # Errors
    /// `StackFailed` with the first resource that could not be deleted.
    pub async fn delete(&self, name: &str, patience: Duration) -> Result<(), Failure> {
        let Some(stack) = self.stacks.describe(name).await? else { return Ok(()) };
        let token = client_token(name, "delete", unique());
        let request = self.client().delete_stack().stack_name(&stack.arn).client_request_token(&token);
        request.send().await.map_err(|error| failure("DeleteStack", name, &error))?;
        match self.settled(&stack.arn, Instant::now() + patience).await? {
            None => Ok(()),
            Some(left) if left.status == StackStatus::DeleteComplete => Ok(()),
            Some(left) => Err(self.explain(name, &left, &token).await),
        }
    }

    /// The stack, if there is one.
    pub async fn find(&self, name: &str) -> Result<Option<Stack>, Failure> {
        self.stacks.describe(name).await
    }

    /// The parameters a stack was last given; empty if there is none.
    pub async fn parameters(&self, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        let answer = match self.client().describe_stacks().stack_name(name).send().await {
            Ok(answer) => answer,
            Err(_) if self.stacks.describe(name).await?.is_none() => return Ok(BTreeMap::new()),
            Err(error) => return Err(failure("DescribeStacks", name, &error)),
        };
        let parameters = answer.stacks().iter().flat_map(|stack| stack.parameters());
        let pair = |parameter: &Parameter| {
            Some((parameter.parameter_key()?.to_owned(), parameter.parameter_value()?.to_owned()))
        };
        Ok(parameters.filter_map(pair).collect())
    }

    /// The resources of a stack.
    pub async fn resources(&self, name: &str) -> Result<Vec<LiveResource>, Failure> {
        self.stacks.resources(name).await
    }

    /// The names of the stack's change sets.
    pub async fn change_sets(&self, name: &str) -> Result<Vec<String>, Failure> {
        self.stacks.change_sets(name).await
    }

    /// The names of every stack that is not deleted and begins with `prefix`.
    pub async fn names(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().describe_stacks().set_next_token(next);
            let page = request.send().await.map_err(|error| failure("DescribeStacks", "*", &error))?;
            let found = page.stacks().iter().filter_map(|stack| stack.stack_name());
            names.extend(found.filter(|name| name.starts_with(prefix)).map(str::to_owned));
            next = page.next_token;
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    async fn existing(&self, name: &str) -> Result<Stack, Failure> {
        let found = self.stacks.describe(name).await?;
        found.ok_or_else(|| Failure::not_found(format!("stack {name} does not exist")))
    }

    async fn create(&self, wanted: &Wanted, token: &str) -> Result<(), Failure> {
        let (url, body) = wanted.template.parts();
        let request = self
            .client()
            .create_stack()
            .stack_name(&wanted.name)
            .client_request_token(token)
            .set_template_url(url)
            .set_template_body(body)
            .set_parameters(Some(wanted.parameters()))
            .capabilities(Capability::CapabilityNamedIam)
            .tags(application_tag());
        request.send().await.map(drop).map_err(|error| failure("CreateStack", &wanted.name, &error))
    }

    /// Whether there was anything to update.
    async fn update(&self, wanted: &Wanted, token: &str) -> Result<bool, Failure> {
        let (url, body) = wanted.template.parts();
        let request = self
            .client()
            .update_stack()
            .stack_name(&wanted.name)
            .client_request_token(token)
            .set_template_url(url)
            .set_template_body(body)
            .set_parameters(Some(wanted.parameters()))
            .capabilities(Capability::CapabilityNamedIam)
            .tags(application_tag());
        match request.send().await {
            Ok(_) => Ok(true),
            // There is no code of its own for it
            // (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html).
            Err(error)
                if code(&error) == Some("ValidationError")
                    && error.to_string_with_message().contains("No updates are to be performed") =>
            {
                Ok(false)
            }
            Err(error) => Err(failure("UpdateStack", &wanted.name, &error)),
        }
    }

    /// The stack once no operation runs on it.
    async fn settled(&self, stack: &str, deadline: Instant) -> Result<Option<Stack>, Failure> {
        let mut pause = PAUSE.0;
        loop {
            let found = self.stacks.describe(stack).await?;
            match &found {
                Some(seen) if seen.status.phase() == Phase::Running => {}
                _ => return Ok(found),
            }
            if Instant::now() + pause > deadline {
                let why = format!(
                    "stack {stack} is still busy; look at it with `aws cloudformation describe-stacks`"
                );
                return Err(Failure::new(FailureKind::Transient, why));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(PAUSE.1);
        }
    }

    async fn explain(&self, name: &str, stack: &Stack, token: &str) -> Failure {
        let of_this =
            |events: &[StackEvent]| events.last().is_some_and(|event| event.token.as_deref() != Some(token));
        let events = match self.stacks.events(&stack.arn, &of_this).await {
            Ok(events) => events,
            Err(failure) => return failure,
        };
        let events = events.into_iter().filter(|event| event.token.as_deref() == Some(token)).collect();
        let causes = diagnosis::diagnose(&[Stream { path: Vec::new(), events }], None);
        let why = causes.first().map(|cause| diagnosis::sentence(cause, "template"));
        let why = why.unwrap_or_else(|| "CloudFormation gives no reason".to_owned());
        Failure::new(FailureKind::StackFailed, format!("stack {name} is {}: {why}", stack.status.as_str()))
    }

    fn client(&self) -> Client {
        Client::new(self.aws.sdk_config())
    }
}

impl Wanted {
    fn parameters(&self) -> Vec<Parameter> {
        let parameter = |(key, value)| Parameter::builder().parameter_key(key).parameter_value(value).build();
        self.parameters.iter().map(parameter).collect()
    }
}

impl TemplateSource {
    fn parts(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Url(url) => (Some(url.clone()), None),
            Self::Body(body) => (None, Some(body.clone())),
        }
    }
}

/// The service's own words, which [`std::fmt::Display`] of the SDK's error leaves out.
trait Words {
    fn to_string_with_message(&self) -> String;
}

impl<E, R> Words for aws_smithy_runtime_api::client::result::SdkError<E, R>
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata,
{
    fn to_string_with_message(&self) -> String {
        self.as_service_error().and_then(|error| error.message()).unwrap_or_default().to_owned()
    }
}

fn application_tag() -> Tag {
    Tag::builder().key("application").value("lockstep").build()
}

/// A creation that failed, or was only reviewed: there is nothing in it that could be updated.
fn never_stood(status: &StackStatus) -> bool {
    matches!(
        status,
        StackStatus::RollbackComplete
            | StackStatus::CreateFailed
            | StackStatus::RollbackFailed
            | StackStatus::ReviewInProgress
    )
}

/// Every run of an installer is an operation of its own.
fn unique() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}
