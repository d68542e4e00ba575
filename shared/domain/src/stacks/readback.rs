//! Comparison of a stack with what its deployment was allowed to make.
//!
//! The functions of a path report that a deployment succeeded. Their report is a claim. Before the ledger believes it,
//! the ledger reads the stack itself and compares it with the release that the deployment began with.

use crate::model::error::{Failure, FailureKind};
use crate::stacks::identity::{StackIdentity, Tags};
use crate::stacks::plan::StackStatus;
use crate::stacks::template::Template;
use std::collections::BTreeMap;

/// The stack that a deployment was allowed to make.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedStack<'a> {
    /// Name of the stack, for the failure.
    pub name: &'a str,
    /// The environment that the stack must belong to.
    pub identity: &'a StackIdentity,
    /// ARN that the environment had before the deployment, from the ledger's own record.
    pub recorded_arn: Option<&'a str>,
    /// ARN that the functions of the path report.
    pub reported_arn: Option<&'a str>,
    /// Template of the release, or the one that was derived from it for a test.
    pub template: &'a str,
    /// Values of the parameters that are the same in every deployment to the stage. Other values depend on outputs,
    /// images and versions.
    pub parameters: &'a BTreeMap<String, String>,
}

/// The stack as CloudFormation describes it to the ledger.
#[derive(Clone, Debug)]
pub struct FoundStack {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: StackStatus,
    /// Its tags.
    pub tags: Tags,
    /// Its template as it was submitted.
    pub template: String,
    /// Its parameters. CloudFormation masks those with `NoEcho`.
    pub parameters: BTreeMap<String, String>,
}

/// Checks that the stack is the one that the deployment was allowed to make. `found` is `None` if no such stack exists.
///
/// # Errors
/// `Transient`, with every difference, because a read may show the stack as it was some seconds ago. A difference that
/// outlasts the retries needs a person. The failure names parameters without their values.
pub fn check(expected: &ExpectedStack<'_>, found: Option<&FoundStack>) -> Result<(), Failure> {
    let differences = match found {
        None => vec!["it does not exist".to_owned()],
        Some(found) => differences(expected, found),
    };
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Transient,
        format!(
            "the stack {} is not what the deployment reports: {}; look for the author of the change in CloudTrail, and \
             deploy again",
            expected.name,
            differences.join("; ")
        ),
    ))
}

fn differences(expected: &ExpectedStack<'_>, found: &FoundStack) -> Vec<String> {
    let is_recorded = expected.recorded_arn == Some(found.arn.as_str());
    let other_arn = expected.reported_arn.filter(|reported| *reported != found.arn);
    let checks = [
        other_arn.map(|reported| format!("its ARN is {}, and the report names {reported}", found.arn)),
        expected.identity.mismatch(&found.tags, is_recorded),
        (!found.status.is_consistent()).then(|| format!("its status is {}", found.status)),
        (!is_same_template(expected.template, &found.template))
            .then(|| "its template is not the one of the release".to_owned()),
    ];
    let values = expected.parameters.iter().filter_map(|(name, value)| match found.parameters.get(name) {
        Some(found) if found == value => None,
        Some(_) => Some(format!("its parameter {name} has another value than the stage's")),
        None => Some(format!("its parameter {name} is missing")),
    });
    checks.into_iter().flatten().chain(values).collect()
}

/// Returns true if both texts are one template. A transport may change line ends.
fn is_same_template(expected: &str, found: &str) -> bool {
    let read = |text| Template::parse("template", text).map(|template| template.to_json());
    expected == found || matches!((read(expected), read(found)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::identity::InstallationId;

    const ARN: &str = "arn:aws:cloudformation:eu-west-1:222222222222:stack/ci-logs/1";
    const TEMPLATE: &str =
        "Parameters:\n  Size:\n    Type: String\nResources:\n  Topic:\n    Type: AWS::SNS::Topic\n";

    fn identity() -> StackIdentity {
        StackIdentity {
            stage: "ci".parse().unwrap(),
            environment: "logs".into(),
            component: Some("logs".parse().unwrap()),
            installation: InstallationId::of_external_id("one"),
        }
    }

    fn parameters() -> BTreeMap<String, String> {
        BTreeMap::from([("Size".to_owned(), "small".to_owned())])
    }

    fn found() -> FoundStack {
        FoundStack {
            arn: ARN.into(),
            status: StackStatus::UpdateComplete,
            tags: identity().tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            template: TEMPLATE.into(),
            // A value that depends on another stack is not compared.
            parameters: [("Size", "small"), ("Vpc", "vpc-1")].map(|(k, v)| (k.into(), v.into())).into(),
        }
    }

    fn checked(
        found: Option<&FoundStack>,
        recorded: Option<&str>,
        reported: Option<&str>,
    ) -> Result<(), String> {
        let (identity, parameters) = (identity(), parameters());
        let expected = ExpectedStack {
            name: "ci-logs",
            identity: &identity,
            recorded_arn: recorded,
            reported_arn: reported,
            template: TEMPLATE,
            parameters: &parameters,
        };
        check(&expected, found).map_err(|failure| {
            assert_eq!(failure.kind, FailureKind::Transient);
            failure.message
        })
    }

    #[test]
    fn stack_of_the_deployment_passes() {
        for recorded in [None, Some(ARN)] {
            for reported in [None, Some(ARN)] {
                assert_eq!(checked(Some(&found()), recorded, reported), Ok(()));
            }
        }
        let windows = FoundStack { template: TEMPLATE.replace('\n', "\r\n"), ..found() };
        assert_eq!(checked(Some(&windows), None, Some(ARN)), Ok(()));
    }

    #[test]
    fn each_difference_is_found_and_named() {
        let with_tag = |key: &str, value: &str| {
            let mut tags = found().tags;
            tags.insert(key.to_owned(), value.to_owned());
            FoundStack { tags, ..found() }
        };
        let backdoor = "Parameters:\n  Size:\n    Type: String\nResources:\n  Topic:\n    Type: AWS::SNS::Topic\n  \
                        Backdoor:\n    Type: AWS::SNS::Topic\n";
        let cases = [
            (FoundStack { arn: "arn:other".into(), ..found() }, "its ARN is arn:other"),
            (with_tag("lockstep:environment", "ci/billing"), "its tag lockstep:environment is `ci/billing`"),
            (with_tag("lockstep:component", "billing"), "its tag lockstep:component is `billing`"),
            (with_tag("lockstep:installation", "0"), "its tag lockstep:installation is `0`"),
            (FoundStack { tags: Tags::new(), ..found() }, "it has no tags of Lockstep"),
            (FoundStack { status: StackStatus::UpdateFailed, ..found() }, "its status is UPDATE_FAILED"),
            (
                FoundStack { template: backdoor.into(), ..found() },
                "its template is not the one of the release",
            ),
            (FoundStack { template: "no template".into(), ..found() }, "its template is not the one"),
            (FoundStack { parameters: BTreeMap::new(), ..found() }, "its parameter Size is missing"),
            (
                FoundStack { parameters: [("Size".into(), "huge".into())].into(), ..found() },
                "its parameter Size has another value",
            ),
        ];
        for (found, difference) in cases {
            let message = checked(Some(&found), None, Some(ARN)).unwrap_err();
            assert!(message.contains(difference), "{message}");
            assert!(!message.contains("huge"), "{message}");
        }
        let message = checked(None, Some(ARN), Some(ARN)).unwrap_err();
        assert!(message.contains("it does not exist"), "{message}");
    }

    #[test]
    fn all_differences_are_in_one_failure() {
        let other = FoundStack { status: StackStatus::RollbackComplete, template: String::new(), ..found() };
        let message = checked(Some(&other), None, None).unwrap_err();
        assert!(message.contains("ROLLBACK_COMPLETE") && message.contains("template"), "{message}");
    }
}
