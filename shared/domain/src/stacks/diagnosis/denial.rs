//! Access denials, parsed from the reason that CloudFormation gives.
//!
//! Each AWS service words a denial differently. A part that the text does not contain is `None`; it is never guessed.

use crate::model::canonical::canonical_json;
use crate::model::denial::{Cause, Denial};
use regex::Regex;
use serde_json::json;
use std::sync::LazyLock;

/// AWS's names for each kind of policy, longer names first.
const POLICIES: [(&str, Cause); 8] = [
    ("service control polic", Cause::ServiceControlPolicy),
    ("resource control polic", Cause::ResourceControlPolicy),
    ("permissions boundar", Cause::Boundary),
    ("resource-based polic", Cause::ResourcePolicy),
    ("session polic", Cause::SessionPolicy),
    ("vpc endpoint polic", Cause::EndpointPolicy),
    ("identity-based polic", Cause::ExplicitDeny),
    ("explicit deny", Cause::ExplicitDeny),
];

/// Phrases that occur only in a denial, in lower case.
const SIGNS: [&str; 9] = [
    "not authorized to perform",
    "is not authorized to",
    "you are not authorized",
    "access denied",
    "accessdenied",
    "unauthorizedoperation",
    "access to the resource",
    "doesn't have permission to call",
    "your access has been denied",
];

/// Phrases that contain a sign but do not describe a denied call, in lower case.
const OTHERS: [&str; 1] = ["access denied is"];

/// Returns the denial that a reason describes; `None` for another failure.
pub fn denial(reason: &str) -> Option<Denial> {
    let lower = reason.to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if !says(&SIGNS) || says(&OTHERS) {
        return None;
    }
    if lower.contains("access to the resource") && !lower.contains("denied") {
        return None;
    }
    Some(Denial {
        action: action(reason),
        resource: resource(reason),
        principal: first(&PRINCIPAL, reason).map(str::to_owned),
        cause: cause(&lower),
        encoded: lower.contains("encoded authorization failure message"),
    })
}

/// `not authorized to perform: sqs:TagQueue`, `perform [s3:PutObject]`, `permission to call iam:GetUser`.
static ACTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:authorized to perform|permission to call)\s*:?\s*[\[']?([a-z][a-z0-9-]*:[A-Za-z0-9]+(?:\.[A-Z0-9]+)*)",
    )
});

/// `because no identity-based policy allows the sqs:TagQueue action`.
static ALLOWED: LazyLock<Regex> = LazyLock::new(|| regex(r"allows the ([a-z0-9-]+:[A-Za-z0-9]+) action"));

/// `API: ec2:RunInstances You are not authorized`.
static CALL: LazyLock<Regex> = LazyLock::new(|| regex(r"API: ([A-Za-z0-9-]+):([A-Za-z0-9]+)"));

/// `permission to GetObject for shop/code.zip`, as Lambda reports for S3.
static S3_OBJECT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"permission to (GetObject\w*|ListBucket) for ([^\s,.]+(?:\.[^\s,.]+)*)"));

static PRINCIPAL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:User|Role|Principal)?:?\s*'?(arn:[a-z-]+:(?:iam|sts)::\d*:[^\s']+)'? is not authorized")
});

/// `on resource: arn:…`, up to the next space. A role's session name may hold an `=` or an `@`; no ARN holds a space.
static RESOURCE: LazyLock<Regex> = LazyLock::new(|| regex(r#"on resource:?\s*['"]?(arn:[^\s'",;)]+)"#));

/// `on resource: role shop-runner`, as IAM reports where it knows the kind.
static KIND_AND_NAME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"on resource: (role|user|policy|instance profile) ([\w+=,.@/-]+)"));

/// `Access to the resource https://sqs.eu-west-1.amazonaws.com/222222222222/orders is denied`.
static QUEUE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"Access to the resource https://sqs\.([a-z0-9-]+)\.amazonaws\.com[.a-z]*/(\d{12})/([\w.-]+) is denied",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a literal pattern compiles")
}

fn first<'t>(regex: &Regex, text: &'t str) -> Option<&'t str> {
    Some(regex.captures(text)?.get(1)?.as_str())
}

fn action(reason: &str) -> Option<String> {
    let named = first(&ACTION, reason).or_else(|| first(&ALLOWED, reason)).map(with_lower_prefix);
    let of_s3 = || first(&S3_OBJECT, reason).map(|call| format!("s3:{call}"));
    named.or_else(of_s3).or_else(|| {
        let call = CALL.captures(reason)?;
        of_call(&call[1], &call[2])
    })
}

/// SNS writes its own prefix in capitals.
fn with_lower_prefix(action: &str) -> String {
    match action.split_once(':') {
        Some((service, name)) => format!("{}:{name}", service.to_lowercase()),
        None => action.to_owned(),
    }
}

/// S3 calls whose IAM action has another name.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
const CALLS_OF_S3: [(&str, &str); 12] = [
    ("SetBucketEncryption", "PutEncryptionConfiguration"),
    ("PutBucketEncryption", "PutEncryptionConfiguration"),
    ("SetBucketTaggingConfiguration", "PutBucketTagging"),
    ("SetBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("PutBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("SetBucketVersioningConfiguration", "PutBucketVersioning"),
    ("SetBucketNotificationConfiguration", "PutBucketNotification"),
    ("SetBucketLoggingConfiguration", "PutBucketLogging"),
    ("SetBucketReplicationConfiguration", "PutReplicationConfiguration"),
    ("PutPublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("SetBucketPolicy", "PutBucketPolicy"),
    ("SetBucketWebsiteConfiguration", "PutBucketWebsite"),
];

/// Returns the action that a call needs, if that is certain.
fn of_call(service: &str, call: &str) -> Option<String> {
    match service.to_lowercase().as_str() {
        "s3" => match CALLS_OF_S3.iter().find(|(name, _)| *name == call) {
            Some((_, action)) => Some(format!("s3:{action}")),
            None if call.starts_with("Set") => None,
            None => Some(format!("s3:{call}")),
        },
        "elasticloadbalancingv2" => Some(format!("elasticloadbalancing:{call}")),
        "monitoring" => Some(format!("cloudwatch:{call}")),
        service => Some(format!("{service}:{call}")),
    }
}

fn resource(reason: &str) -> Option<String> {
    if let Some(arn) = first(&RESOURCE, reason) {
        return Some(arn.trim_end_matches('.').to_owned());
    }
    if let Some(found) = S3_OBJECT.captures(reason) {
        return Some(format!("arn:aws:s3:::{}", &found[2]));
    }
    if let Some(found) = QUEUE.captures(reason) {
        return Some(format!("arn:aws:sqs:{}:{}:{}", &found[1], &found[2], &found[3]));
    }
    let found = KIND_AND_NAME.captures(reason)?;
    let account = first(&PRINCIPAL, reason)?.split(':').nth(4)?;
    let kind = found[1].replace(' ', "-");
    Some(format!("arn:aws:iam::{account}:{kind}/{}", &found[2]))
}

fn cause(lower: &str) -> Cause {
    // For a key or a queue that does not exist, AWS lists every possible cause and names none.
    if lower.contains("no resource-based policies allow access, or") {
        return Cause::NoStatement;
    }
    if lower.contains("no identity-based policy allows") {
        return Cause::NoStatement;
    }
    let named = POLICIES.iter().find(|(name, _)| lower.contains(name));
    named.map_or(Cause::NoStatement, |(_, cause)| *cause)
}

impl Denial {
    /// Returns the sentence with the next step.
    pub fn advice(&self) -> String {
        let who = self.principal.as_deref().map_or("the execution role".to_owned(), role_of);
        let what = match (&self.action, &self.resource) {
            (Some(action), Some(resource)) => format!("{action} on {resource}"),
            (Some(action), None) => action.clone(),
            (None, Some(resource)) => format!("a call on {resource}"),
            (None, None) => "a call".to_owned(),
        };
        let obstacle = match self.cause {
            Cause::NoStatement => return self.add(&who, &what),
            Cause::ExplicitDeny => "a statement of its policies denies it",
            Cause::Boundary => "its permissions boundary does not allow it",
            Cause::ServiceControlPolicy => "a service control policy of the organization does not allow it",
            Cause::ResourceControlPolicy => "a resource control policy of the organization does not allow it",
            Cause::ResourcePolicy => "the policy of the resource does not allow it",
            Cause::SessionPolicy => "the policy of its session does not allow it",
            Cause::EndpointPolicy => "the policy of the VPC endpoint does not allow it",
        };
        format!(
            "{who} may not do {what}: {obstacle}, so that no further statement for the role helps; change that policy"
        )
    }

    fn add(&self, who: &str, what: &str) -> String {
        if let Some(statement) = self.statement() {
            return format!("{who} lacks {what}; add the statement {statement}");
        }
        let ask = match self.encoded {
            true => {
                "aws sts decode-authorization-message says which: give it the encoded message of the stack's event"
            }
            false => "AWS does not say which: `lockstep check --permissions` lists what the template needs",
        };
        format!("{who} lacks a permission for {what}; {ask}")
    }

    /// Returns the statement that would allow the call; `None` if the action is unknown, or if no statement of the role
    /// would help.
    pub fn statement(&self) -> Option<String> {
        let action = self.action.as_ref().filter(|_| self.cause == Cause::NoStatement)?;
        let resource = self.resource.as_deref().unwrap_or("*");
        Some(canonical_json(json!({"Effect": "Allow", "Action": action, "Resource": resource})))
    }
}

/// Returns the role of a session: `arn:…:assumed-role/name/session` is `the role name`.
fn role_of(principal: &str) -> String {
    let role = principal.split(":assumed-role/").nth(1).and_then(|rest| rest.split('/').next());
    role.map_or_else(|| principal.to_owned(), |role| format!("the role {role}"))
}

#[cfg(test)]
mod tests;
