//! `lockstep doctor` and planted faults.

use crate::test_cloud::TestCloud;
use lockstep_aws::aws::Aws;
use lockstep_aws::operator::signed;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure};
use serde_json::{Value, json};

/// Breaks, as root, one resource of each kind that the command reads, and expects a finding with a next step.
pub async fn doctor_finds_each_planted_fault(cloud: &mut TestCloud) -> Result<(), Failure> {
    let session = cloud.demo.session()?;
    let (tooling, production) = (session.root("tooling")?, session.root("production")?);
    let mut expected = Vec::new();
    for breakage in breakages() {
        let account = if breakage.in_production { &production } else { &tooling };
        breakage.make(account).await?;
        expected.push(breakage);
    }
    let found = cloud.demo.type_in(&["doctor"], Exit::Failed).await?;
    for breakage in expected {
        let reports = |finding: &Value| {
            let contains =
                |field: &str, part: &str| finding[field].as_str().is_some_and(|text| text.contains(part));
            contains("severity", breakage.severity)
                && contains("subject", breakage.subject)
                && contains("sentence", breakage.sentence)
                && finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty())
        };
        let findings = found["findings"].as_array().cloned().unwrap_or_default();
        let condition = format!("doctor finds that {} {}: {found:#}", breakage.subject, breakage.sentence);
        ensure(findings.iter().any(reports), condition)?;
    }
    Ok(())
}

/// A planted fault with the finding of the command.
struct Breakage {
    in_production: bool,
    service: &'static str,
    /// The call that plants it.
    call: Call,
    severity: &'static str,
    subject: &'static str,
    sentence: &'static str,
}

/// A call: of a JSON protocol with the prefix of its target, of a query protocol with its version.
enum Call {
    Json { version: &'static str, target: &'static str, body: Value },
    Query(&'static str),
}

impl Breakage {
    /// Plants the fault.
    async fn make(&self, account: &Aws) -> Result<(), Failure> {
        let endpoint = account.endpoint_url().unwrap_or_default();
        let url = format!("{}/", endpoint.trim_end_matches('/'));
        let answer = match &self.call {
            Call::Json { version, target, body } => {
                let content = format!("application/x-amz-json-{version}");
                let headers = [("content-type", content.as_str()), ("x-amz-target", target)];
                signed::post(account, self.service, &url, &headers, body.to_string().into_bytes()).await?
            }
            Call::Query(form) => {
                let headers = [("content-type", "application/x-www-form-urlencoded")];
                signed::post(account, self.service, &url, &headers, form.as_bytes().to_vec()).await?
            }
        };
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure(
            answer.status == 200,
            format!("the fault in {} is planted: {} {body}", self.subject, answer.status),
        )
    }
}

fn breakages() -> Vec<Breakage> {
    vec![
        Breakage {
            in_production: true,
            service: "events",
            call: Call::Json {
                version: "1.1",
                target: "AWSEvents.DisableRule",
                body: json!({"Name": "lockstep-forward-stacks"}),
            },
            severity: "broken",
            subject: "rule lockstep-forward-stacks in 333333333333",
            sentence: "it is disabled",
        },
        Breakage {
            in_production: true,
            service: "events",
            call: Call::Json {
                version: "1.1",
                target: "AWSEvents.RemoveTargets",
                body: json!({"Rule": "lockstep-forward-images", "Ids": ["lockstep-events"]}),
            },
            severity: "broken",
            subject: "rule lockstep-forward-images in 333333333333",
            sentence: "its targets lack arn:aws:events",
        },
        Breakage {
            in_production: true,
            service: "iam",
            call: Call::Query(
                "Action=UpdateAssumeRolePolicy&Version=2010-05-08&RoleName=lockstep-promotion-verifier&PolicyDocument=\
                 %7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                 %22Principal%22%3A%7B%22AWS%22%3A%22AROA1234567890EXAMPLE%22%7D%2C\
                 %22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D",
            ),
            severity: "broken",
            subject: "role lockstep-promotion-verifier in 333333333333",
            sentence: "it trusts AROA1234567890EXAMPLE, which was deleted",
        },
        Breakage {
            in_production: true,
            service: "ec2",
            call: Call::Query("Action=EnableEbsEncryptionByDefault&Version=2016-11-15"),
            severity: "warning",
            subject: "EBS encryption of account 333333333333",
            sentence: "no image of this account can be shared",
        },
        Breakage {
            in_production: true,
            service: "ec2",
            call: Call::Query(
                "Action=EnableAllowedImagesSettings&AllowedImagesSettingsState=enabled&Version=2016-11-15",
            ),
            severity: "broken",
            subject: "Allowed AMIs of account 333333333333",
            sentence: "images of 222222222222 cannot be seen or copied here",
        },
        Breakage {
            in_production: false,
            service: "events",
            call: Call::Json {
                version: "1.1",
                target: "AWSEvents.DisableRule",
                body: json!({"Name": "lockstep-build-events", "EventBusName": "lockstep-events"}),
            },
            severity: "broken",
            subject: "rule lockstep-build-events in 111111111111",
            sentence: "it is disabled",
        },
        Breakage {
            in_production: false,
            service: "states",
            call: Call::Json {
                version: "1.0",
                target: "AWSStepFunctions.UpdateStateMachine",
                body: json!({
                    "stateMachineArn": "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep-promote",
                    "definition": r#"{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}"#,
                }),
            },
            severity: "broken",
            subject: "state machine lockstep-promote in 111111111111",
            sentence: "its definition differs",
        },
        Breakage {
            in_production: false,
            service: "states",
            call: Call::Json {
                version: "1.0",
                target: "AWSStepFunctions.DeleteStateMachine",
                body: json!({
                    "stateMachineArn": "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep-bake-image",
                }),
            },
            severity: "broken",
            subject: "state machine lockstep-bake-image in 111111111111",
            sentence: "it does not exist",
        },
    ]
}
