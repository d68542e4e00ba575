//! Values that CloudFormation reads when it deploys, as they are in the target account.

use crate::context::StackContext;
use crate::load::{self, Loaded};
use crate::observe;
use lockstep_aws::stored_values::StoredValues;
use lockstep_domain::delivery::packaging::PackedContents;
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::model::ids::LogicalId;
use lockstep_domain::model::late_values::{LateReadings, LateSource, LateValues, StoredAnswers};
use lockstep_domain::model::public_parameters::PinnedValue;
use lockstep_domain::records::Deployment;
use std::collections::{BTreeMap, BTreeSet};

/// Reads the late values of the release for a deployment with these `parameters`.
pub async fn read<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    contents: &PackedContents,
    parameters: &BTreeMap<String, String>,
) -> Result<LateReadings, Failure> {
    let deployment = &loaded.deployment.record;
    let find = |references: &BTreeMap<String, String>| {
        contents.late_values(&deployment.stage, &deployment.location, parameters, references)
    };
    let mut references = BTreeMap::from([
        ("AWS::StackName".to_owned(), loaded.stack.to_string()),
        ("AWS::Partition".to_owned(), context.partition().to_owned()),
    ]);
    let mut values = find(&references);
    if values.depends_on_the_stack() {
        references.extend(physical_ids(context, loaded).await?);
        values = find(&references);
    }
    Ok(LateReadings::of(&values, &answers(context, loaded, &values).await?))
}

/// Returns the physical ids of the stack's own resources, which `Ref` returns for most types; none if the stack cannot be
/// read.
async fn physical_ids<C: StackContext>(
    context: &C,
    loaded: &Loaded,
) -> Result<BTreeMap<String, String>, Failure> {
    let Some(arn) = &loaded.environment.record.stack_arn else { return Ok(BTreeMap::new()) };
    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    match observe::resources(&stacks, arn).await {
        Ok(resources) => {
            let own = resources.into_iter().filter(|resource| !resource.physical_id.is_empty());
            let own = own.filter(|resource| !resource.logical_id.contains('.'));
            Ok(own.map(|resource| (resource.logical_id, resource.physical_id)).collect())
        }
        Err(failure) if failure.kind.policy() == Policy::Retryable => Err(failure),
        // The stack is gone: the plan reports it.
        Err(_) => Ok(BTreeMap::new()),
    }
}

/// Reads the stored parameters that template parameters name and the release does not pin. Returns the value of each, or the
/// reason of its absence.
pub async fn unpinned<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    contents: &PackedContents,
    names: BTreeMap<LogicalId, String>,
) -> Result<BTreeMap<String, Result<String, String>>, Failure> {
    let location = &loaded.deployment.record.location;
    let is_pinned = |name: &String| contents.public_lock.pin(&location.region, name).is_some();
    let names: BTreeSet<String> = names.into_values().filter(|name| !is_pinned(name)).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let stored = context.stored_values(location, &loaded.session()).await?;
    let answers = stored.parameters(&Vec::from_iter(names.clone())).await?;
    let value = |name: String| {
        let found = PinnedValue::of(answers.get(&name)).map(|found| found.value);
        let found = found.map_err(|why| format!("{name} cannot be read in {}: {why}", location.region));
        (name, found)
    };
    Ok(names.into_iter().map(value).collect())
}

async fn answers<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    values: &LateValues,
) -> Result<StoredAnswers, Failure> {
    let (mut names, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for value in values.0.values() {
        match &value.source {
            LateSource::Parameter(name) => drop(names.insert(name.clone())),
            LateSource::Secret { id, .. } => drop(secrets.insert(id.clone())),
            LateSource::Unreadable(_) => {}
        }
    }
    let mut found = StoredAnswers::default();
    if names.is_empty() && secrets.is_empty() {
        return Ok(found);
    }
    let location = &loaded.deployment.record.location;
    let stored = context.stored_values(location, &loaded.session()).await?;
    if !names.is_empty() {
        found.parameters = stored.parameters(&Vec::from_iter(names)).await?;
    }
    for id in secrets {
        let versions = stored.secret_versions(&id).await?;
        found.secrets.insert(id, versions);
    }
    Ok(found)
}

/// Returns the late values with which the last deployment to the environment ended; `None` if they are not known.
pub async fn deployed<C: StackContext>(
    context: &C,
    loaded: &Loaded,
) -> Result<Option<LateReadings>, Failure> {
    let last = last_deployment(context, loaded).await?;
    Ok(last.and_then(|last| last.deploy().map(|deploy| deploy.late_values.clone())))
}

/// Returns the deployment that brought the release that the environment runs.
pub async fn last_deployment<C: StackContext>(
    context: &C,
    loaded: &Loaded,
) -> Result<Option<Deployment>, Failure> {
    let Some(deployed) = &loaded.environment.record.deployed else { return Ok(None) };
    // A stage may have changed its path since. A function of a path reads no deployment of the other.
    if deployed.deployment.path() != loaded.id().path() {
        return Ok(None);
    }
    let found = context.ledger().get::<Deployment>(&Deployment::key_of(&deployed.deployment)).await?;
    Ok(found.map(|found| found.record))
}

/// Fails if a late value is another one than the plan read, which its question showed.
pub async fn ensure_unchanged<C: StackContext>(context: &C, loaded: &Loaded) -> Result<(), Failure> {
    if loaded.deploy()?.late_values.is_empty() {
        return Ok(());
    }
    let contents = load::contents(context, &loaded.release(context).await?).await?;
    ensure_as_planned(context, loaded, &contents).await
}

/// As [`ensure_unchanged`], with the `contents` of the release.
pub async fn ensure_as_planned<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    contents: &PackedContents,
) -> Result<(), Failure> {
    let deploy = loaded.deploy()?;
    let now = read(context, loaded, contents, &deploy.parameters).await?;
    if now.digest() == deploy.late_values.digest() {
        return Ok(());
    }
    let changes = now.changes(Some(&deploy.late_values));
    let listed: Vec<String> = changes.iter().map(ToString::to_string).collect();
    Err(Failure::new(
        FailureKind::StackFailed,
        format!(
            "the change set of {} is not executed: a value that CloudFormation reads changed since it was planned: {}; \
             deploy again",
            loaded.stack,
            listed.join(", ")
        ),
    ))
}
