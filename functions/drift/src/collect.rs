//! The end of a look: results of the detections, live models, verdicts, and the report.

use crate::begin::below;
use crate::context::DriftContext;
use crate::handler::{before, conclude_nothing, ensure_own, environment, write};
use crate::note::note;
use lockstep_aws::cloud_control::LiveModels;
use lockstep_aws::cloudformation::detection::{DetectionState, Detections};
use lockstep_aws::cloudformation::{Stack, Stacks, TemplateForm};
use lockstep_domain::drift::look::{Detected, Look, Reading, ResourceVerdict, Route, judge, plan};
use lockstep_domain::drift::report::{concluded, findings, is_undisturbed};
use lockstep_domain::drift::resolve::StackValues;
use lockstep_domain::drift::secrets::{fed_parameters, secret_parameters, secret_paths};
use lockstep_domain::drift::{Context, Facts, Schemas};
use lockstep_domain::messages::drift::{BegunLook, Detection, Reported};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::records::{Inconclusive, UnknownCause};
use lockstep_domain::stacks::plan::LiveResource;
use lockstep_domain::stacks::template::Template;
use lockstep_runtime::stages::stage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Table of the facts of AWS's schemas.
const TABLE: &[u8] = include_bytes!("../../../shared/drift/schemas.json.gz");

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| Schemas::read(TABLE).expect("the table is part of the binary"));

/// Verdicts on resources, named with the path of their stack.
type Verdicts = Vec<(LiveResource, ResourceVerdict)>;

/// Collects the answers of a look that was begun, and writes the report.
pub async fn collect(context: &impl DriftContext, look: &BegunLook) -> Result<Reported, Failure> {
    ensure_own(context, &look.subject.stage).await?;
    let location = stage(context.ledger(), &look.subject.stage).await?.location();
    let session = format!("lockstep-drift-{}", look.subject.environment);
    let (stacks, models) = context.sources(&location, &session).await?;
    for Detection { stack, id, .. } in &look.detections {
        if stacks.detection(id).await? == DetectionState::Running {
            let message = format!("CloudFormation still detects drift of {stack}");
            return Err(Failure::new(FailureKind::ChecksPending, message));
        }
    }
    let mut verdicts = Verdicts::new();
    // A nested stack comes after its parent, which says what it passes on.
    let mut fed = BTreeMap::new();
    for detection in &look.detections {
        let reader =
            Reader { stacks: &stacks, models: &models, location: &location, paths: &look.detections };
        verdicts.extend(reader.stack(detection, &mut fed).await?);
    }
    let now = note(&environment(context, &look.subject).await?, &stacks).await?;
    if !is_undisturbed(&look.noted, now.as_ref().ok().map(|(noted, _)| noted)) {
        let message = "a deployment changed the environment during the look; look again".to_owned();
        return conclude_nothing(context, &look.subject, Inconclusive::DeployedMeanwhile, message).await;
    }
    let known = before(context, &look.subject).await?.map(|known| known.record);
    let found = findings(&look.noted, look.at, &verdicts, known.as_ref());
    write(context, &look.subject, |before, empty| concluded(before, empty, found.clone())).await
}

/// Reader of the stacks of one look.
struct Reader<'a, S, M> {
    stacks: &'a S,
    models: &'a M,
    location: &'a Location,
    paths: &'a [Detection],
}

impl<S: Stacks + Detections, M: LiveModels> Reader<'_, S, M> {
    /// Returns the verdict on each resource of one stack. `fed` holds the parameters of nested stacks that get secrets.
    async fn stack(
        &self,
        detection: &Detection,
        fed: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> Result<Verdicts, Failure> {
        let all = self.stacks.resources(&detection.stack).await?;
        let is_examined =
            |one: &LiveResource| self.paths.iter().any(|known| known.path == below(&detection.path, one));
        // The resources of an examined nested stack count, and the stack itself does not.
        let own: Vec<LiveResource> = all
            .into_iter()
            .filter(|one| one.survives() && !(one.resource_type == NESTED_STACK && is_examined(one)))
            .collect();
        let detected = self.stacks.detected(&detection.stack, &detection.id).await?;
        let routes = plan(&own, &detected, &SCHEMAS.types);
        let values = self.values(detection, &own).await?;
        let template = &values.0.template;
        let secrets = secret_parameters(template, fed.get(&detection.path).unwrap_or(&BTreeSet::new()));
        for (id, names) in fed_parameters(template, &secrets) {
            let path = if detection.path.is_empty() { id } else { format!("{}.{id}", detection.path) };
            fed.insert(path, names);
        }
        let mut verdicts = Verdicts::new();
        for (resource, route) in own.iter().zip(routes) {
            let reading = self.read(resource, route).await?;
            let found = detected.get(&resource.logical_id);
            let verdict = judged(resource, found, reading.as_ref(), &values, (&secrets, &own));
            let named = LiveResource { logical_id: below(&detection.path, resource), ..resource.clone() };
            verdicts.push((named, verdict));
        }
        Ok(verdicts)
    }

    async fn read(&self, resource: &LiveResource, route: Route) -> Result<Option<Reading>, Failure> {
        Ok(match route {
            Route::Detection => None,
            Route::Read(identifier) => Some(self.models.read(&resource.resource_type, &identifier).await?),
            Route::Unread(UnknownCause::Limit) => Some(Reading::Limit),
            Route::Unread(UnknownCause::Unidentified) => Some(Reading::Unidentified),
            Route::Unread(_) => Some(Reading::Unsupported),
        })
    }

    /// Returns the values of the stack, and the context of its resources.
    async fn values(
        &self,
        detection: &Detection,
        resources: &[LiveResource],
    ) -> Result<(StackValues, Context), Failure> {
        let gone = || Failure::rejected(format!("the stack {} was deleted during the look", detection.stack));
        let stack = self.stacks.describe(&detection.stack).await?.ok_or_else(gone)?;
        let text = self.stacks.template(&detection.stack, TemplateForm::Expanded).await?;
        let template = Template::parse("template", &text).map_err(|problems| {
            let problem = problems.first().map(ToString::to_string).unwrap_or_default();
            Failure::rejected(format!("the template of {} cannot be read: {problem}", detection.stack))
        })?;
        let physical_ids =
            resources.iter().map(|one| (one.logical_id.clone(), one.physical_id.clone())).collect();
        let values = StackValues {
            template: template.to_json(),
            pseudo: pseudo(&stack, self.location),
            parameters: stack.parameters,
            physical_ids,
        };
        let context = Context {
            account: self.location.account.to_string(),
            region: self.location.region.to_string(),
            stack_tags: stack.tags,
            ..Context::default()
        };
        Ok((values, context))
    }
}

fn pseudo(stack: &Stack, location: &Location) -> BTreeMap<String, String> {
    let part = |index: usize| stack.arn.split([':', '/']).nth(index).unwrap_or_default().to_owned();
    [
        ("AWS::AccountId", location.account.to_string()),
        ("AWS::Partition", part(1)),
        ("AWS::Region", location.region.to_string()),
        ("AWS::StackId", stack.arn.clone()),
        ("AWS::StackName", part(6)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn judged(
    resource: &LiveResource,
    detected: Option<&Detected>,
    reading: Option<&Reading>,
    (values, context): &(StackValues, Context),
    (secrets, siblings): (&BTreeSet<String>, &[LiveResource]),
) -> ResourceVerdict {
    static UNKNOWN: LazyLock<Facts> = LazyLock::new(Facts::default);
    let declared = values.declared(&resource.logical_id);
    let mut shown: Vec<_> = declared.iter().collect();
    shown.extend(detected.into_iter().flat_map(|found| found.expected.iter().chain(&found.actual)));
    if let Some(Reading::Model(model)) = reading {
        shown.push(model);
    }
    let context = Context {
        secrets: secret_paths(&values.template, &resource.logical_id, secrets, &shown),
        ..context.clone()
    };
    judge(&Look {
        resource_type: &resource.resource_type,
        detected,
        reading,
        declared: declared.as_ref(),
        facts: SCHEMAS.types.get(&resource.resource_type).unwrap_or(&UNKNOWN),
        context: &context,
        shared: &shared(resource, siblings),
    })
}

/// Returns the properties of a resource that other resources of its stack add members to.
fn shared(resource: &LiveResource, siblings: &[LiveResource]) -> Vec<&'static str> {
    const SHARED: [(&str, &str, &str); 4] = [
        ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "SecurityGroupIngress"),
        ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupEgress", "SecurityGroupEgress"),
        ("AWS::IAM::Role", "AWS::IAM::Policy", "Policies"),
        ("AWS::IAM::Role", "AWS::IAM::RolePolicy", "Policies"),
    ];
    let is_there = |kind: &str| siblings.iter().any(|sibling| sibling.resource_type == kind);
    let of_type = SHARED.iter().filter(|(kind, by, _)| resource.resource_type == *kind && is_there(by));
    of_type.map(|(_, _, property)| *property).collect()
}
