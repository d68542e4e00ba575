//! Plan: resolves the parameters, reads the stack, and decides the next step.

use crate::context::StackContext;
use crate::late;
use crate::load::{self, Loaded};
use crate::observe::{self, Depth, StackReading};
use jiff::Timestamp;
use lockstep_aws::cloudformation::Stacks;
use lockstep_domain::delivery::environment;
use lockstep_domain::delivery::gate;
use lockstep_domain::delivery::packaging::PackedContents;
use lockstep_domain::delivery::parameters::{
    self, Layer, Layers, OutputName, OutputUse, Request, ResolvedParameters,
};
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind, Problem};
use lockstep_domain::model::ids::{
    AmiId, ComponentName, DeploymentId, Digest, FunctionName, LogicalId, StackName, TEST,
};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Deployed, Environment, Image, ImageState, Input, Release, StackClaim};
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::plan::{self, ChangeSetKind, Plan, PlanInput, Recovery};
use lockstep_runtime::deployment_log;
use lockstep_runtime::stages::{self, stages};
use std::collections::{BTreeMap, BTreeSet};

/// Handles `plan`.
pub async fn plan<C: StackContext>(context: &C, id: &DeploymentId) -> Result<NextStep, Failure> {
    let mut loaded = Loaded::load(context, id).await?;
    loaded.ensure_not_cancelled()?;
    let release = loaded.release(context).await?;
    let stages = stages(context.ledger()).await?;
    let stage = load::stage(&stages, &loaded.deployment.record.stage)?.clone();
    let contents = load::contents(context, &release).await?;
    let (resolved, inputs) = resolve(context, &loaded, &release, &contents, &stages, &stage).await?;
    let wanted = wanted_template(&release, &contents, &stage)?;
    let late = late::read(context, &loaded, &contents, &resolved.values).await?;
    loaded
        .change_deploy(context, |deploy| {
            deploy.parameters_digest = Some(resolved.digest());
            deploy.parameters = resolved.values;
            deploy.inputs = inputs;
            deploy.late_values = late;
            deploy.template_digest = wanted;
        })
        .await?;

    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let protect = &contents.manifest.protect.logical_ids;
    let (plan, reading) = decide(context, &stacks, &loaded, protect).await?;
    remember_stability(context, &mut loaded, reading.as_ref()).await?;
    remember_plan(context, &mut loaded, &plan).await?;
    next(context, loaded, plan, reading).await
}

/// Returns the step that the plan leads to.
async fn next<C: StackContext>(
    context: &C,
    loaded: Loaded,
    plan: Plan,
    reading: Option<StackReading>,
) -> Result<NextStep, Failure> {
    let id = loaded.id().clone();
    let plan_only = loaded.deploy()?.plan_only;
    match plan {
        Plan::CreateChangeSet(_) => {
            still_promotable(&loaded)?;
            Ok(NextStep::ChangeSet)
        }
        Plan::Recover(Recovery { why, .. }) if plan_only => Err(not_only_planned(&loaded, &why)),
        Plan::Ask(proposal) if plan_only => Err(not_only_planned(&loaded, &proposal.key())),
        Plan::Recover(Recovery { why, .. }) => {
            deployment_log::append(
                context.ledger(),
                &id,
                &format!("the stack needs recovery first: {why}"),
                context.now(),
            )
            .await?;
            Ok(NextStep::Recover)
        }
        Plan::Adopt { key } | Plan::AwaitOther { key } => {
            deployment_log::append(
                context.ledger(),
                &id,
                &format!("an operation runs: {key}"),
                context.now(),
            )
            .await?;
            Ok(NextStep::Recover)
        }
        Plan::Ask(proposal) => {
            deployment_log::append(
                context.ledger(),
                &id,
                &format!("a person must allow this: {}", proposal.key()),
                context.now(),
            )
            .await?;
            Ok(NextStep::Approve)
        }
        Plan::NoChanges => {
            deployment_log::append(
                context.ledger(),
                &id,
                "the stack runs this template with these parameters: nothing to change",
                context.now(),
            )
            .await?;
            unchanged(context, loaded, reading).await
        }
        other @ (Plan::Gone | Plan::NeedsHuman { .. } | Plan::Wait | Plan::LookAgain { .. }) => {
            Err(unexpected_plan(other))
        }
    }
}

/// Returns the failure of a plan-only deployment whose stack needs another operation first.
fn not_only_planned(loaded: &Loaded, first: &str) -> Failure {
    Failure::new(
        FailureKind::StackNeedsHuman,
        format!(
            "what would change cannot be shown yet: the stack {} needs this first: {first}",
            loaded.stack
        ),
    )
}

/// Fails for a deployment of the promotion path if its environment is tainted, because a rollback had to skip
/// resources.
fn still_promotable(loaded: &Loaded) -> Result<(), Failure> {
    match loaded.deployment.record.path {
        DeploymentPath::Promotion => gate::check_taint(Some(&loaded.environment.record)),
        DeploymentPath::Delivery => Ok(()),
    }
}

/// Decides about the deployment's stack as it is now. Returns the plan and the stack as it was read.
pub async fn decide<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    protect: &BTreeSet<LogicalId>,
) -> Result<(Plan, Option<StackReading>), Failure> {
    let depth = if loaded.is_teardown() { Depth::Contents } else { Depth::Status };
    let reading = observe::look(stacks, loaded.stack.as_str(), depth).await?;
    let (deployment, environment) = (&loaded.deployment.record, &loaded.environment.record);
    let run = loaded.run()?;
    let names = loaded.change_set_names();
    let allowed = loaded.allowed(context).await?;
    // The deployed digests do not show drift. Only a change set that compares every resource does.
    let deploy = deployment.deploy();
    let reverts_drift = deploy.is_some_and(|deploy| deploy.revert_drift);
    let is_same = |deployed: &&Deployed| {
        deploy.is_none_or(|deploy| deploy.late_values.are_deployed(deployed.late_digest.as_ref()))
    };
    let deployed = environment.deployed.as_ref().filter(is_same).filter(|_| !reverts_drift);
    let identity = loaded.identity(context)?;
    let known = PlanInput {
        identity: &identity,
        environment_stack: environment.stack_arn.as_deref(),
        ever_stable: environment.ever_stable,
        has_release: environment
            .deployed
            .as_ref()
            .is_some_and(|it| it.deployment.path() == loaded.id().path()),
        deployment_stack: run.arn.as_deref(),
        change_sets: &names,
        operations: &deployment.operations,
        allowed: &allowed,
        waited_seconds: run.waits_since.map_or(0, |since| context.now().duration_since(since).as_secs()),
        protect,
        deployed: deployed.map(|deployed| (&deployed.template_digest, &deployed.parameters_digest)),
        wanted: deploy.and_then(|deploy| Some((&deploy.template_digest, deploy.parameters_digest.as_ref()?))),
    };
    let found = reading.as_ref().map(|reading| &reading.observed);
    let plan = if loaded.is_teardown() {
        plan::teardown(found, &known, deployment.stage.as_str() == TEST)
    } else {
        plan::plan(found, &known)
    };
    Ok((plan, reading))
}

/// Returns the failure of a plan that a step cannot carry out.
pub fn unexpected_plan(plan: Plan) -> Failure {
    match plan {
        Plan::NeedsHuman { why } => Failure::new(FailureKind::StackNeedsHuman, why),
        Plan::LookAgain { why } => Failure::new(FailureKind::Transient, why),
        Plan::Wait => Failure::new(
            FailureKind::Transient,
            "an operation runs on the stack that is not visible in its events yet",
        ),
        other @ (Plan::CreateChangeSet(ChangeSetKind::Create | ChangeSetKind::Update)
        | Plan::Recover(_)
        | Plan::Adopt { .. }
        | Plan::AwaitOther { .. }
        | Plan::Ask(_)
        | Plan::NoChanges
        | Plan::Gone) => Failure::new(
            FailureKind::StackFailed,
            format!("the stack changed under the deployment ({other:?}); deploy again"),
        ),
    }
}

/// Returns the moment since which a deployment waits for another caller's operation, after this plan.
pub fn wait_for_other(plan: &Plan, since: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    matches!(plan, Plan::AwaitOther { .. }).then(|| since.unwrap_or(now))
}

/// Records the proposal to approve, and the moment since which the deployment waits for another caller.
async fn remember_plan<C: StackContext>(
    context: &C,
    loaded: &mut Loaded,
    plan: &Plan,
) -> Result<(), Failure> {
    let now = context.now();
    loaded
        .change_run(context, |run| {
            run.proposal = match plan {
                Plan::Ask(proposal) => Some(proposal.clone()),
                _ => None,
            };
            run.waits_since = wait_for_other(plan, run.waits_since, now);
        })
        .await
}

/// Records that the stack is stable. An earlier deployment may have ended before it recorded that.
async fn remember_stability<C: StackContext>(
    context: &C,
    loaded: &mut Loaded,
    reading: Option<&StackReading>,
) -> Result<(), Failure> {
    let Some(observed) = reading.map(|reading| &reading.observed) else { return Ok(()) };
    let environment = &loaded.environment.record;
    let same = environment.stack_arn.as_deref() == Some(&observed.arn);
    if !(same && observed.status.proves_stability() && !environment.ever_stable) {
        return Ok(());
    }
    let claim = StackClaim { arn: observed.arn.clone(), stable: true };
    loaded.change_run(context, |run| run.claim = Some(claim)).await
}

/// Records that the stack is unchanged.
pub async fn unchanged<C: StackContext>(
    context: &C,
    mut loaded: Loaded,
    reading: Option<StackReading>,
) -> Result<NextStep, Failure> {
    if let Some(StackReading { stack, .. }) = reading {
        loaded
            .change_deploy(context, |deploy| {
                deploy.stack.arn = Some(stack.arn);
                deploy.outputs = stack.outputs;
            })
            .await?;
    }
    Ok(if loaded.deploy()?.plan_only { NextStep::Planned } else { NextStep::Check })
}

/// Returns the digest of the template that the stack runs. Fails if it is not the template that was packaged.
fn wanted_template(release: &Release, contents: &PackedContents, stage: &Stage) -> Result<Digest, Failure> {
    let digest = Digest::of(contents.template_in(stage).as_bytes());
    let packaged = if stage.is_test() { &release.test_template_digest } else { &release.template_digest };
    if digest == *packaged {
        return Ok(digest);
    }
    Err(Failure::bug(format!(
        "the template of {}@{} is not the one that was packaged: its digest differs",
        release.component, release.version
    )))
}

/// Outputs of other components in the parameters of a deployment.
type Inputs = BTreeMap<OutputName, Input>;

/// Returns the value of every parameter, and the outputs of other components in them.
async fn resolve<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    release: &Release,
    contents: &PackedContents,
    stages: &Stages,
    stage: &Stage,
) -> Result<(ResolvedParameters, Inputs), Failure> {
    let deploy = loaded.deploy()?;
    let organisation = stages::parameters(context.ledger()).await?;
    let overrides = Layer::overrides(&deploy.overrides).map_err(|p| rejected(&p))?;
    let layers = Layers {
        organisation: Some(&organisation),
        component: &contents.layers,
        overrides: Some(&overrides),
    };
    let deployment = &loaded.deployment.record;
    let images = images(context, (&deployment.location, deployment.id.path()), release).await?;
    let layers_of = deploy.parameters_of.as_ref().unwrap_or(&stage.name);
    let uses = parameters::output_uses(contents.template.parameters(), &layers, layers_of);
    let wanted = uses.iter().map(|used| used.output.clone()).collect();
    let outputs = outputs(context, loaded, contents, stages, stage, &wanted).await?;
    let output = |name: &OutputName| {
        outputs.get(name).cloned().unwrap_or_else(|| Err("it was not asked for".to_owned()))
    };
    let function = |name: &FunctionName| contents.function_lock.code(name).map(ToString::to_string);
    let request = Request {
        template_file: contents.manifest.component.template.as_str(),
        parameters: contents.template.parameters(),
        layers,
        stage,
        layers_of,
        stages,
        version: &release.version,
        commit: &release.commit,
        outputs: &output,
        functions: &function,
        images: &images,
        stored: &|_, _| None,
    };
    let names = parameters::stored_names(&request, &contents.public_lock.parameters);
    let unpinned = late::unpinned(context, loaded, contents, names).await?;
    let stored = |id: &LogicalId, name: &str| match contents.public_lock.value(id, &stage.region, name)? {
        Ok(pinned) => Some(Ok(pinned)),
        Err(why) => Some(unpinned.get(name).cloned().unwrap_or(Err(why))),
    };
    let request = Request { stored: &stored, ..request };
    let resolved = parameters::resolve(&request).map_err(|problems| rejected(&problems))?;
    Ok((resolved, inputs(contents, &uses, &outputs)))
}

/// Returns the outputs that were read. A parameter with `NoEcho` hides its outputs.
fn inputs(
    contents: &PackedContents,
    uses: &[OutputUse],
    outputs: &BTreeMap<OutputName, Result<String, String>>,
) -> Inputs {
    let parameters = contents.template.parameters();
    let is_hidden = |name: &OutputName| {
        let of = uses.iter().filter(|used| used.output == *name);
        of.filter_map(|used| parameters.get(used.parameter.as_str())).any(|parameter| parameter.no_echo)
    };
    let read = outputs.iter().filter_map(|(name, value)| Some((name, value.as_ref().ok()?)));
    read.map(|(name, value)| (name.clone(), Input::new(value, is_hidden(name)))).collect()
}

fn rejected(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::rejected(lines.join("; "))
}

/// Returns the AMI of each locked image at the location of the deployment.
async fn images<C: StackContext>(
    context: &C,
    (location, path): (&Location, DeploymentPath),
    release: &Release,
) -> Result<BTreeMap<LogicalId, AmiId>, Failure> {
    let mut amis = BTreeMap::new();
    for (parameter, locked) in &release.image_lock.0 {
        let key = Image::key_of(&locked.name, &locked.version, location, path);
        let record = context.ledger().get::<Image>(&key).await?.map(|found| found.record);
        match record {
            Some(Image { state: ImageState::Available, ami: Some(ami), .. }) => {
                amis.insert(parameter.clone(), ami);
            }
            _ => {
                let (name, version, account) = (&locked.name, &locked.version, &location.account);
                return Err(Failure::new(
                    FailureKind::ImageUnusable,
                    format!(
                        "the image {name}@{version} is not usable in account {account}; promote it first"
                    ),
                ));
            }
        }
    }
    Ok(amis)
}

/// Returns the outputs of other components that the values refer to. They come from the same stage. For the
/// test stack they come from the stage that the manifest names.
async fn outputs<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    contents: &PackedContents,
    stages: &Stages,
    stage: &Stage,
    wanted: &BTreeSet<OutputName>,
) -> Result<BTreeMap<OutputName, Result<String, String>>, Failure> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let producers = match &contents.manifest.test.outputs_from {
        Some(other) if stage.is_test() => load::stage(stages, other)?,
        _ => stage,
    };
    let location = Location { account: producers.account.clone(), region: producers.region.clone() };
    let stacks = context.stacks(&location, &loaded.session()).await?;
    let mut seen = BTreeMap::new();
    for name in wanted {
        let stack = environment::stack_name(&producers.name, name.component.as_str())?;
        if !seen.contains_key(&stack) {
            let outputs = outputs_of(context, &stacks, producers, &name.component, &stack).await?;
            seen.insert(stack.clone(), outputs);
        }
        let value = match &seen[&stack] {
            Ok(outputs) => outputs.get(name.output.as_str()).cloned().ok_or_else(|| {
                format!("the stack {stack} has no such output; deploy {} first", name.component)
            }),
            Err(why) => Err(why.clone()),
        };
        found.insert(name.clone(), value);
    }
    Ok(found)
}

/// Returns the outputs of the component's stack in `stage`, or the reason why there are none. A stack that only has the
/// right name is not read.
async fn outputs_of<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    stage: &Stage,
    component: &ComponentName,
    name: &StackName,
) -> Result<Result<BTreeMap<String, String>, String>, Failure> {
    let Some(stack) = stacks.describe(name.as_str()).await? else {
        return Ok(Err(format!("there is no stack {name}; deploy {component} first")));
    };
    let identity = StackIdentity {
        stage: stage.name.clone(),
        environment: component.to_string(),
        component: Some(component.clone()),
        installation: context.installation(),
    };
    let key = Environment::key_of(&stage.name, component.as_str());
    let environment = context.ledger().get::<Environment>(&key).await?.map(|found| found.record);
    let is_recorded = environment.is_some_and(|environment| {
        environment.component == *component && environment.stack_arn.as_deref() == Some(&stack.arn)
    });
    Ok(match identity.mismatch(&stack.tags, is_recorded) {
        None => Ok(stack.outputs),
        Some(why) => {
            let stage = &stage.name;
            Err(format!("the stack {name} is not the stack of {component} in {stage}: {why}"))
        }
    })
}
