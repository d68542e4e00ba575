//! Reads single resources of a stack, each from the service that owns it.

use super::known;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::operator::readings;
use lockstep_domain::installation::doctor::{
    FunctionState, MachineState, Reading, ResourceFacts, ResourceState, RoleState, RuleState, Unknown,
    is_rendered_from,
};
use lockstep_domain::model::error::chain;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::stacks::plan::LiveResource;
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum size of a state machine's definition in bytes, by Step Functions' quota.
const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// Reads the resources of one stack.
pub struct Reader<'a> {
    /// The account and region of the stack.
    pub aws: &'a Aws,
    /// Its template, in its long form.
    pub template: &'a Value,
    /// Its parameters.
    pub parameters: &'a Reading<BTreeMap<String, String>>,
    /// The command that installs it.
    pub install: &'a str,
    /// Its account.
    pub owner: &'a AccountId,
    /// The control plane's event bus.
    pub bus: Option<&'a String>,
}

impl Reader<'_> {
    /// Returns the state of a resource, or `None` for a type whose state only CloudFormation knows.
    pub async fn read(&self, resource: &LiveResource) -> Option<ResourceFacts> {
        let id = &resource.physical_id;
        let name = id.rsplit([':', '/', '|']).next().unwrap_or(id);
        let (kind, found) = match resource.resource_type.as_str() {
            "AWS::Lambda::Function" => ("function", self.function(resource).await),
            "AWS::StepFunctions::StateMachine" => ("state machine", self.machine(resource).await),
            "AWS::IAM::Role" => ("role", self.role(id).await),
            "AWS::Events::Rule" => ("rule", self.rule(resource).await),
            "AWS::S3::Bucket" => ("bucket", self.bucket(id).await),
            "AWS::DynamoDB::Table" => ("table", self.table(id).await),
            _ => return None,
        };
        let subject = format!("{kind} {name} in {} {}", self.owner, self.aws.region());
        Some(ResourceFacts { subject, found, install: self.install.to_owned() })
    }

    async fn function(&self, resource: &LiveResource) -> Reading<Option<ResourceState>> {
        let found = known(readings::function(self.aws, &resource.physical_id).await)?;
        Ok(found.map(|found| {
            let key = self.named(resource, "/Code/S3Key");
            ResourceState::Function(FunctionState {
                code_sha256: found.code_sha256,
                wanted_sha256: key.and_then(|key| sha256_of(&key)),
                state: found.state,
            })
        }))
    }

    async fn machine(&self, resource: &LiveResource) -> Reading<Option<ResourceState>> {
        let found = known(readings::machine(self.aws, &resource.physical_id).await)?;
        let Some(found) = found else { return Ok(None) };
        Ok(Some(ResourceState::Machine(MachineState {
            is_as_installed: self.is_as_installed(resource, &found.definition).await,
            status: found.status,
            validation: known(readings::validation(self.aws, &found.definition).await),
        })))
    }

    async fn is_as_installed(&self, resource: &LiveResource, deployed: &str) -> Reading<bool> {
        let bucket = self.named(resource, "/DefinitionS3Location/Bucket")?;
        let key = self.named(resource, "/DefinitionS3Location/Key")?;
        let source = known(Artifacts::new(self.aws, &bucket).get(&key, DEFINITION_BYTES_MAX).await)?;
        let source = serde_json::from_slice::<Value>(&source).map_err(|error| {
            Unknown::because(format!("s3://{bucket}/{key} is no JSON: {}", chain(&error)))
        })?;
        // A definition that is not JSON differs from the installed one.
        let deployed = serde_json::from_str::<Value>(deployed).unwrap_or(Value::Null);
        Ok(is_rendered_from(&deployed, &source))
    }

    async fn role(&self, name: &str) -> Reading<Option<ResourceState>> {
        let Some(principals) = known(readings::principals(self.aws, name).await)? else { return Ok(None) };
        let denied = known(readings::denied_actions(self.aws, name).await);
        Ok(Some(ResourceState::Role(RoleState { principals, denied })))
    }

    async fn rule(&self, resource: &LiveResource) -> Reading<Option<ResourceState>> {
        // CloudFormation names a rule of another bus than the default one `<bus>|<rule>`.
        let (bus, name) = match resource.physical_id.split_once('|') {
            Some((bus, name)) => (Some(bus.to_owned()), name),
            None => {
                let bus = self.property(resource, "/EventBusName").map(|_| "lockstep-events".to_owned());
                (bus, resource.physical_id.rsplit('/').next().unwrap_or_default())
            }
        };
        let found = known(readings::rule(self.aws, name, bus.as_deref()).await)?;
        // A rule on the default bus of a target account forwards events; a rule on Lockstep's own bus calls a function.
        let wanted = if self.forwards(resource) { self.bus.cloned() } else { None };
        Ok(found.map(|found| {
            ResourceState::Rule(RuleState { is_enabled: found.is_enabled, targets: found.targets, wanted })
        }))
    }

    /// Returns true if a rule's target is the event bus that the template's parameter names.
    fn forwards(&self, resource: &LiveResource) -> bool {
        self.property(resource, "/Targets/0/Arn").is_some_and(|arn| arn["Ref"] == "EventBusArn")
    }

    async fn bucket(&self, name: &str) -> Reading<Option<ResourceState>> {
        let exists = known(readings::has_bucket(self.aws, name, self.owner).await)?;
        Ok(exists.then_some(ResourceState::Other { status: None }))
    }

    async fn table(&self, name: &str) -> Reading<Option<ResourceState>> {
        let status = known(readings::table_status(self.aws, name).await)?;
        Ok(status.map(|status| ResourceState::Other { status: Some(status) }))
    }

    fn property(&self, resource: &LiveResource, pointer: &str) -> Option<&Value> {
        self.template["Resources"][&resource.logical_id]["Properties"].pointer(pointer)
    }

    /// Returns the value of a property that is a text or refers to a parameter.
    fn named(&self, resource: &LiveResource, pointer: &str) -> Reading<String> {
        let unresolved = || Unknown::because(format!("the template has no plain value of {pointer}"));
        let value = self.property(resource, pointer).ok_or_else(unresolved)?;
        if let Some(text) = value.as_str() {
            return Ok(text.to_owned());
        }
        let parameter = value["Ref"].as_str().ok_or_else(unresolved)?;
        let parameters = self.parameters.as_ref().map_err(Clone::clone)?;
        parameters.get(parameter).cloned().ok_or_else(unresolved)
    }
}

/// Returns the digest in an object's key, `functions/<name>/<hexadecimal>.zip`, in Lambda's form.
fn sha256_of(key: &str) -> Reading<String> {
    let digest = key.rsplit('/').next().and_then(|file| file.strip_suffix(".zip"));
    let bytes = digest.and_then(|digest| hex::decode(digest).ok()).filter(|bytes| bytes.len() == 32);
    let bytes = bytes.ok_or_else(|| Unknown::because(format!("{key} names no SHA-256")))?;
    Ok(BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::sha256_of;

    #[test]
    fn a_key_names_the_digest_that_lambda_shows() {
        let key = format!("functions/ledger/{}.zip", "00".repeat(32));
        assert_eq!(sha256_of(&key).unwrap(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        for key in ["functions/ledger/latest.zip", "functions/ledger", "00.zip"] {
            assert!(sha256_of(key).is_err(), "{key}");
        }
    }
}
