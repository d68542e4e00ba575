//! Reads the values that `lockstep doctor` judges. No call here changes anything.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ec2::types::{AllowedImagesSettingsEnabledState as AllowedState, Filter};
use aws_sdk_sfn::types::{ValidateStateMachineDefinitionResultCode, ValidateStateMachineDefinitionSeverity};
use lockstep_domain::installation::doctor::{AllowedImages, Diagnostic, DryRun};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use serde_json::Value;
use std::collections::BTreeSet;

/// The alias of the key that EBS uses unless a customer names another.
const EBS_MANAGED_KEY: &str = "alias/aws/ebs";

/// A function as Lambda describes it.
pub struct Function {
    /// The SHA-256 of its code, in base64.
    pub code_sha256: String,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub state: String,
}

/// Returns a function; `None` if there is none.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>
pub async fn function(aws: &Aws, name: &str) -> Result<Option<Function>, Failure> {
    let client = aws_sdk_lambda::Client::new(aws.sdk_config());
    match client.get_function().function_name(name).send().await {
        Ok(answer) => Ok(answer.configuration().map(|found| Function {
            code_sha256: found.code_sha256().unwrap_or_default().to_owned(),
            // Functions from before 2021 have no state, and are active.
            state: found.state().map_or("Active", |state| state.as_str()).to_owned(),
        })),
        Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failure("GetFunction", name, &error)),
    }
}

/// Returns the account's limit of concurrent executions of functions.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html>
pub async fn lambda_concurrency(aws: &Aws) -> Result<f64, Failure> {
    let client = aws_sdk_lambda::Client::new(aws.sdk_config());
    let answer = client.get_account_settings().send().await;
    let answer = answer.map_err(|error| failure("GetAccountSettings", "of Lambda", &error))?;
    let limit = answer.account_limit().map(|limit| f64::from(limit.concurrent_executions()));
    limit.ok_or_else(|| Failure::bug("GetAccountSettings answered without a limit"))
}

/// A state machine as Step Functions describes it.
pub struct Machine {
    /// Its definition.
    pub definition: String,
    /// `ACTIVE` or `DELETING`.
    pub status: String,
}

/// Returns a state machine; `None` if there is none.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeStateMachine.html>
pub async fn machine(aws: &Aws, arn: &str) -> Result<Option<Machine>, Failure> {
    let client = aws_sdk_sfn::Client::new(aws.sdk_config());
    match client.describe_state_machine().state_machine_arn(arn).send().await {
        Ok(found) => Ok(Some(Machine {
            definition: found.definition().to_owned(),
            status: found.status().map_or("ACTIVE", |status| status.as_str()).to_owned(),
        })),
        Err(error) if code(&error) == Some("StateMachineDoesNotExist") => Ok(None),
        Err(error) => Err(failure("DescribeStateMachine", arn, &error)),
    }
}

/// Asks Step Functions to judge a definition.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html>
pub async fn validation(aws: &Aws, definition: &str) -> Result<Vec<Diagnostic>, Failure> {
    let client = aws_sdk_sfn::Client::new(aws.sdk_config());
    let request = client.validate_state_machine_definition().definition(definition);
    let answer = request.severity(ValidateStateMachineDefinitionSeverity::Warning).send().await;
    let answer =
        answer.map_err(|error| failure("ValidateStateMachineDefinition", "of a definition", &error))?;
    let mut found: Vec<Diagnostic> = answer
        .diagnostics()
        .iter()
        .map(|diagnostic| Diagnostic {
            is_error: *diagnostic.severity() == ValidateStateMachineDefinitionSeverity::Error,
            message: format!(
                "{}: {}",
                diagnostic.location().unwrap_or("the definition"),
                diagnostic.message()
            ),
        })
        .collect();
    let is_refused = *answer.result() == ValidateStateMachineDefinitionResultCode::Fail;
    if is_refused && !found.iter().any(|diagnostic| diagnostic.is_error) {
        found.push(Diagnostic { is_error: true, message: "the definition is refused".to_owned() });
    }
    Ok(found)
}

/// Returns the principals that a role trusts; `None` if there is no such role.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html>
pub async fn principals(aws: &Aws, role: &str) -> Result<Option<Vec<String>>, Failure> {
    let client = aws_sdk_iam::Client::new(aws.sdk_config());
    let answer = match client.get_role().role_name(role).send().await {
        Ok(answer) => answer,
        Err(error) if code(&error) == Some("NoSuchEntity") => return Ok(None),
        Err(error) => return Err(failure("GetRole", role, &error)),
    };
    let text = answer.role().and_then(|role| role.assume_role_policy_document()).unwrap_or_default();
    let trust = document(role, text)?;
    let mut principals = Vec::new();
    for statement in list(&trust["Statement"]) {
        match &statement["Principal"] {
            Value::Object(kinds) => {
                kinds
                    .values()
                    .flat_map(list)
                    .for_each(|one| principals.extend(one.as_str().map(str::to_owned)));
            }
            other => principals.extend(other.as_str().map(str::to_owned)),
        }
    }
    Ok(Some(principals))
}

/// Returns the actions that a role's own policies allow and that a service control policy or a permissions boundary
/// denies, by IAM's simulation. It omits statements with a condition, since their context is known only at the call,
/// and statements about other accounts, since the other account decides too.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>
pub async fn denied_actions(aws: &Aws, role: &str) -> Result<BTreeSet<String>, Failure> {
    let client = aws_sdk_iam::Client::new(aws.sdk_config());
    let names = client.list_role_policies().role_name(role).send().await;
    let names = names.map_err(|error| failure("ListRolePolicies", role, &error))?;
    let described = client.get_role().role_name(role).send().await;
    let described = described.map_err(|error| failure("GetRole", role, &error))?;
    let arn = described.role().map(|role| role.arn().to_owned()).unwrap_or_default();
    let account = account_of(&arn);
    let mut denied = BTreeSet::new();
    for name in names.policy_names() {
        let answer = client.get_role_policy().role_name(role).policy_name(name).send().await;
        let answer = answer.map_err(|error| failure("GetRolePolicy", role, &error))?;
        let policy = document(role, answer.policy_document())?;
        for (actions, resource) in
            list(&policy["Statement"]).into_iter().filter_map(|one| question(one, account))
        {
            let request = client.simulate_principal_policy().policy_source_arn(&arn);
            let request = request.set_action_names(Some(actions)).resource_arns(resource).max_items(1000);
            let answer = request.send().await;
            let answer = answer.map_err(|error| failure("SimulatePrincipalPolicy", role, &error))?;
            let refused =
                answer.evaluation_results().iter().filter(|one| one.eval_decision().as_str() != "allowed");
            denied.extend(refused.map(|one| one.eval_action_name().to_owned()));
        }
    }
    Ok(denied)
}

/// Returns the account in an ARN; empty if it names none.
fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// Returns the actions of an unconditional Allow statement, and a resource of the role's own `account` that it covers.
fn question(statement: &Value, account: &str) -> Option<(Vec<String>, String)> {
    if statement["Effect"] != "Allow" || !statement["Condition"].is_null() {
        return None;
    }
    let texts =
        |value: &Value| list(value).into_iter().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    let actions: Vec<String> = texts(&statement["Action"]);
    let resources: Vec<String> = texts(&statement["Resource"]);
    let is_own = |resource: &String| ["", account].contains(&account_of(resource));
    let resource = resources.into_iter().find(is_own)?;
    // A wildcard in a question is an ordinary character, and "*" alone is every resource.
    let resource = if resource == "*" { resource } else { resource.replace('*', "x") };
    (!actions.is_empty()).then_some((actions, resource))
}

/// A rule as EventBridge describes it.
pub struct Rule {
    /// True if it is enabled.
    pub is_enabled: bool,
    /// The ARNs of its targets.
    pub targets: Vec<String>,
}

/// Returns a rule of the bus `bus`, or of the default bus; `None` if there is none.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DescribeRule.html>
pub async fn rule(aws: &Aws, name: &str, bus: Option<&str>) -> Result<Option<Rule>, Failure> {
    let client = aws_sdk_eventbridge::Client::new(aws.sdk_config());
    let bus = bus.map(str::to_owned);
    let state = match client.describe_rule().name(name).set_event_bus_name(bus.clone()).send().await {
        Ok(answer) => answer.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(None),
        Err(error) => return Err(failure("DescribeRule", name, &error)),
    };
    let answer = client.list_targets_by_rule().rule(name).set_event_bus_name(bus).send().await;
    let answer = answer.map_err(|error| failure("ListTargetsByRule", name, &error))?;
    let targets = answer.targets().iter().map(|target| target.arn().to_owned()).collect();
    Ok(Some(Rule { is_enabled: state.starts_with("ENABLED"), targets }))
}

/// Returns true if a bucket exists and belongs to `owner`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>
pub async fn has_bucket(aws: &Aws, name: &str, owner: &AccountId) -> Result<bool, Failure> {
    match aws.s3().head_bucket().bucket(name).expected_bucket_owner(owner.as_str()).send().await {
        Ok(_) => Ok(true),
        // The response to a HEAD request has no body, so the error has no code.
        Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => Ok(false),
        Err(error) => Err(failure("HeadBucket", name, &error)),
    }
}

/// Returns the status of a table; `None` if there is no such table.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html>
pub async fn table_status(aws: &Aws, name: &str) -> Result<Option<String>, Failure> {
    let client = aws_sdk_dynamodb::Client::new(aws.sdk_config());
    match client.describe_table().table_name(name).send().await {
        Ok(answer) => {
            let status = answer.table().and_then(|table| table.table_status()).map(|status| status.as_str());
            Ok(Some(status.unwrap_or_default().to_owned()))
        }
        Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failure("DescribeTable", name, &error)),
    }
}

/// Returns the names of the stacks that exist and begin with `prefix`.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html>
pub async fn stack_names(aws: &Aws, prefix: &str) -> Result<Vec<String>, Failure> {
    let client = aws_sdk_cloudformation::Client::new(aws.sdk_config());
    let mut names = Vec::new();
    let mut next = None;
    loop {
        let page = client.list_stacks().set_next_token(next).send().await;
        let page = page.map_err(|error| failure("ListStacks", prefix, &error))?;
        let exist = page
            .stack_summaries()
            .iter()
            .filter(|stack| stack.stack_status().is_none_or(|status| status.as_str() != "DELETE_COMPLETE"));
        names.extend(
            exist
                .filter_map(|stack| stack.stack_name())
                .filter(|name| name.starts_with(prefix))
                .map(str::to_owned),
        );
        next = page.next_token;
        if next.is_none() {
            return Ok(names);
        }
    }
}

/// Returns the text of a stack's template; `None` if there is no such stack.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html>
pub async fn template(aws: &Aws, stack: &str) -> Result<Option<String>, Failure> {
    let client = aws_sdk_cloudformation::Client::new(aws.sdk_config());
    match client.get_template().stack_name(stack).send().await {
        Ok(answer) => Ok(answer.template_body().map(str::to_owned)),
        Err(error) if code(&error) == Some("ValidationError") => Ok(None),
        Err(error) => Err(failure("GetTemplate", stack, &error)),
    }
}

/// Returns the value of a quota by its name; `None` if the service lists none with that name.
/// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html>
pub async fn quota(aws: &Aws, service: &str, name: &str) -> Result<Option<f64>, Failure> {
    let client = aws_sdk_servicequotas::Client::new(aws.sdk_config());
    let mut next = None;
    loop {
        let request =
            client.list_service_quotas().service_code(service).max_results(100).set_next_token(next);
        let page = request.send().await.map_err(|error| failure("ListServiceQuotas", service, &error))?;
        let found = page.quotas().iter().find(|quota| quota.quota_name() == Some(name));
        if let Some(value) = found.and_then(|quota| quota.value()) {
            return Ok(Some(value));
        }
        next = page.next_token;
        if next.is_none() {
            return Ok(None);
        }
    }
}

/// Returns the default key of EBS encryption; `None` if encryption by default is off.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetEbsEncryptionByDefault.html>
pub async fn default_encryption_key(aws: &Aws) -> Result<Option<String>, Failure> {
    let client = aws_sdk_ec2::Client::new(aws.sdk_config());
    let answer = client.get_ebs_encryption_by_default().send().await;
    let answer = answer.map_err(|error| failure("GetEbsEncryptionByDefault", "of the account", &error))?;
    if answer.ebs_encryption_by_default() != Some(true) {
        return Ok(None);
    }
    let answer = client.get_ebs_default_kms_key_id().send().await;
    let answer = answer.map_err(|error| failure("GetEbsDefaultKmsKeyId", "of the account", &error))?;
    Ok(Some(answer.kms_key_id().unwrap_or(EBS_MANAGED_KEY).to_owned()))
}

/// Returns the setting "Allowed AMIs".
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetAllowedImagesSettings.html>
pub async fn allowed_images(aws: &Aws) -> Result<AllowedImages, Failure> {
    let client = aws_sdk_ec2::Client::new(aws.sdk_config());
    let answer = client.get_allowed_images_settings().send().await;
    let answer = answer.map_err(|error| failure("GetAllowedImagesSettings", "of the account", &error))?;
    Ok(match answer.state() {
        Some(state) if state == AllowedState::Enabled.as_str() => AllowedImages::Enabled {
            providers: answer
                .image_criteria()
                .iter()
                .flat_map(|criterion| criterion.image_providers().iter().cloned())
                .collect(),
        },
        Some("audit-mode") => AllowedImages::Audit,
        Some("disabled") => AllowedImages::Disabled,
        other => {
            let other = other.unwrap_or("nothing");
            return Err(Failure::bug(format!("GetAllowedImagesSettings answered {other}")));
        }
    })
}

/// Returns an image of Lockstep that the account owns, if there is one: a dry run needs an image that exists.
pub async fn own_image(aws: &Aws) -> Result<Option<String>, Failure> {
    let client = aws_sdk_ec2::Client::new(aws.sdk_config());
    let ours = Filter::builder().name("tag-key").values("lockstep:image").build();
    let answer = client.describe_images().owners("self").filters(ours).send().await;
    let answer = answer.map_err(|error| failure("DescribeImages", "of the account", &error))?;
    Ok(answer.images().first().and_then(|image| image.image_id()).map(str::to_owned))
}

/// Asks EC2, with a dry run, if the caller may copy an image here.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html>
pub async fn try_copy_image(aws: &Aws, image: &str) -> Result<DryRun, Failure> {
    let client = aws_sdk_ec2::Client::new(aws.sdk_config());
    let request = client.copy_image().name("lockstep-doctor").source_image_id(image);
    let answer = request.source_region(aws.region().as_str()).dry_run(true).send().await;
    dry_run("CopyImage", answer.err().as_ref())
}

/// Asks EC2, with a dry run, if the caller may start an instance here.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>
pub async fn try_run_instances(aws: &Aws, image: &str) -> Result<DryRun, Failure> {
    let client = aws_sdk_ec2::Client::new(aws.sdk_config());
    let request = client.run_instances().image_id(image).min_count(1).max_count(1).dry_run(true);
    dry_run("RunInstances", request.send().await.err().as_ref())
}

fn dry_run<E>(
    operation: &str,
    error: Option<
        &aws_smithy_runtime_api::client::result::SdkError<
            E,
            aws_smithy_runtime_api::client::orchestrator::HttpResponse,
        >,
    >,
) -> Result<DryRun, Failure>
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(error) = error else {
        return Err(Failure::bug(format!("{operation} was made although only a dry run was asked for")));
    };
    match code(error) {
        Some("DryRunOperation") => Ok(DryRun::Allowed),
        Some("UnauthorizedOperation") => {
            let words = error.as_service_error().and_then(|error| error.message()).unwrap_or_default();
            Ok(DryRun::Denied(words.to_owned()))
        }
        _ => Err(failure(operation, "as a dry run", error)),
    }
}

/// Returns the names of the service control policies that are attached to an account; `None` if the caller may not see them:
/// only the organization's management account and its delegates may. Outside an organization there are none.
/// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListPoliciesForTarget.html>
pub async fn service_control_policies(
    aws: &Aws,
    account: &AccountId,
) -> Result<Option<Vec<String>>, Failure> {
    let client = aws_sdk_organizations::Client::new(aws.sdk_config());
    let request = client.list_policies_for_target().target_id(account.as_str());
    let request = request.filter(aws_sdk_organizations::types::PolicyType::ServiceControlPolicy);
    match request.send().await {
        Ok(answer) => {
            let names = answer.policies().iter().filter_map(|policy| policy.name());
            Ok(Some(names.map(str::to_owned).collect()))
        }
        Err(error) if code(&error) == Some("AWSOrganizationsNotInUseException") => Ok(Some(Vec::new())),
        Err(error) if code(&error).is_some_and(|code| code.starts_with("AccessDenied")) => Ok(None),
        Err(error) => Err(failure("ListPoliciesForTarget", account.as_str(), &error)),
    }
}

/// Returns the lines of a log group since `since_ms` (milliseconds of the Unix epoch) that hold `pattern`, at most `most`
/// of them, oldest first. <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
pub async fn log_lines(
    aws: &Aws,
    group: &str,
    pattern: &str,
    since_ms: i64,
    most: usize,
) -> Result<Vec<(i64, String)>, Failure> {
    let client = aws_sdk_cloudwatchlogs::Client::new(aws.sdk_config());
    let mut lines = Vec::new();
    let mut next = None;
    loop {
        let request = client.filter_log_events().log_group_name(group).filter_pattern(pattern);
        let page = request.start_time(since_ms).set_next_token(next).send().await;
        let page = page.map_err(|error| failure("FilterLogEvents", group, &error))?;
        let found = page.events().iter();
        lines.extend(found.filter_map(|event| Some((event.timestamp()?, event.message()?.to_owned()))));
        next = page.next_token;
        if next.is_none() || lines.len() >= most {
            lines.truncate(most);
            return Ok(lines);
        }
    }
}

/// Parses a policy document, which IAM returns percent-encoded (RFC 3986).
fn document(owner: &str, text: &str) -> Result<Value, Failure> {
    let odd = || Failure::bug(format!("IAM answered a policy of {owner} that is no JSON"));
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&decoded(text).ok_or_else(odd)?).map_err(|_| odd()))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Returns a policy's value as a list; the value is one item or a list of them.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_read_with_and_without_percent_encoding() {
        let wanted = json!({"Statement": []});
        assert_eq!(document("r", "%7B%22Statement%22%3A%5B%5D%7D").unwrap(), wanted);
        assert_eq!(document("r", r#"{"Statement":[]}"#).unwrap(), wanted);
        assert!(document("r", "%7").is_err());
    }

    #[test]
    fn only_unconditional_permissions_on_the_own_account_become_questions() {
        let own = "arn:aws:a:eu-west-1:111111111111:x/*";
        let of = |effect: &str, resource: &str, condition: Value| {
            let given =
                json!({"Effect": effect, "Action": "a:B", "Resource": [resource], "Condition": condition});
            question(&given, "111111111111")
        };
        let asked = |resource: &str| Some((vec!["a:B".to_owned()], resource.to_owned()));
        assert_eq!(of("Allow", own, Value::Null), asked("arn:aws:a:eu-west-1:111111111111:x/x"));
        assert_eq!(of("Allow", "*", Value::Null), asked("*"));
        assert_eq!(of("Allow", "arn:aws:s3:::b/*", Value::Null), asked("arn:aws:s3:::b/x"));
        assert_eq!(of("Deny", own, Value::Null), None);
        assert_eq!(of("Allow", own, json!({"Null": {}})), None);
        for other in ["arn:aws:events:eu-west-1:222222222222:event-bus/b", "arn:aws:kms:*:*:key/*"] {
            assert_eq!(of("Allow", other, Value::Null), None, "{other}");
        }
    }
}
