//! Next steps of failures: one for each kind, and one for each common cause of an error of AWS.
//!
//! The kind decides what Lockstep does. The cause decides only what a person reads. It is taken from the codes and phrases
//! of the error's text, where no type carries it any more.

use crate::model::error::FailureKind;
use crate::stacks::diagnosis::denial;
use strum::VariantArray;

/// Common cause of an error of AWS, or of the client that calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Cause {
    /// No source of credentials has any.
    NoCredentials,
    /// The profile is not in the files of the AWS CLI, or has no credentials.
    UnknownProfile,
    /// The credentials were valid until some time ago.
    ExpiredCredentials,
    /// AWS does not know the access key.
    UnknownKey,
    /// The clock of this machine differs from that of AWS.
    WrongClock,
    /// The account does not trust the control plane: `lockstep accounts add` was never run for it.
    AccountNotAdded,
    /// A policy does not allow the call.
    Denied,
    /// AWS limits the rate of the calls.
    Throttled,
    /// The account has reached one of its quotas.
    Quota,
    /// No host has the name of the endpoint.
    NoSuchEndpoint,
    /// The host accepts no connection.
    NoConnection,
}

/// Codes of AWS and phrases of its client, with the cause that each reveals. The first that occurs decides.
const SIGNS: [(Cause, &[&str]); 8] = [
    (
        Cause::UnknownProfile,
        &["` was not defined", "did not contain credential information", "No profiles were defined"],
    ),
    (
        Cause::ExpiredCredentials,
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "token has expired",
            "session has expired",
        ],
    ),
    (
        Cause::NoCredentials,
        &[
            "no credentials found in chain",
            "no providers in chain provided credentials",
            "MissingAuthenticationToken",
            // The service of an EC2 instance is the last source that the client asks.
            "failed to load IMDS",
            "an error occurred while loading credentials",
        ],
    ),
    (
        Cause::WrongClock,
        &["RequestTimeTooSkewed", "Signature expired", "Signature not yet current", "clock of this machine"],
    ),
    (Cause::UnknownKey, &["InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"]),
    (Cause::Throttled, &["Throttl", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"]),
    (Cause::NoSuchEndpoint, &["dns error", "failed to lookup address"]),
    (Cause::NoConnection, &["Connection refused", "connection refused", "tcp connect error"]),
];

/// Endings of the codes of reached quotas.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
const QUOTAS: [&str; 4] =
    ["LimitExceeded", "LimitExceededException", "QuotaExceeded", "QuotaExceededException"];

/// Returns the cause that the text of an error reveals; `None` for any other error.
pub fn cause(text: &str) -> Option<Cause> {
    let sign = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| text.contains(sign)));
    sign.map(|(cause, _)| *cause).or_else(|| quota(text)).or_else(|| {
        denial(text)?;
        Some(if untrusted(text).is_some() { Cause::AccountNotAdded } else { Cause::Denied })
    })
}

fn quota(text: &str) -> Option<Cause> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| QUOTAS.iter().any(|end| word.ends_with(end))).then_some(Cause::Quota)
}

/// Returns the account and the path of a role of Lockstep that could not be assumed.
fn untrusted(text: &str) -> Option<(&str, Option<&'static str>)> {
    denial(text).filter(|denied| denied.action.as_deref() == Some("sts:AssumeRole"))?;
    let (before, role) = text.split_once(":role/lockstep-")?;
    let path = ["delivery", "promotion"].into_iter().find(|path| role.starts_with(path));
    Some((before.rsplit(':').next()?, path))
}

/// Returns the next step after a failure with this text. `kind` is `None` for an error of the command itself, which gets a
/// step only if its cause is known.
pub fn next_step(kind: Option<FailureKind>, text: &str) -> Option<String> {
    let of_call = kind.is_none_or(is_of_call);
    let known = cause(text).filter(|_| of_call).map(|cause| of_cause(cause, text));
    known.or_else(|| kind.map(|kind| of_kind(kind).to_owned()))
}

/// Returns true if a call of AWS may have caused the failure itself. The failure of a stack repeats errors of its resources.
fn is_of_call(kind: FailureKind) -> bool {
    use FailureKind::{AccessDenied, Bug, NotFound, Rejected, Throttled, Transient};
    matches!(kind, AccessDenied | Bug | NotFound | Rejected | Throttled | Transient)
}

/// Returns the next step for a cause. `text` is the text of the error.
pub fn of_cause(cause: Cause, text: &str) -> String {
    match cause {
        Cause::NoCredentials => "sign in (aws sso login), or name credentials: --profile with a name that `aws \
                                 configure list-profiles` shows, or the AWS_* variables; without an AWS account: lockstep local \
                                 up"
            .to_owned(),
        Cause::UnknownProfile => "list the profiles with `aws configure list-profiles`, and name one with --profile".to_owned(),
        Cause::ExpiredCredentials => "sign in again (aws sso login), or set new AWS_* variables".to_owned(),
        Cause::UnknownKey => "AWS does not know this access key: name other credentials with --profile or the AWS_* variables, or \
                              enable the region in the account"
            .to_owned(),
        Cause::WrongClock => "set the clock of this machine: AWS accepts a difference of five minutes".to_owned(),
        Cause::AccountNotAdded => not_added(text),
        Cause::Denied => denied(text),
        Cause::Throttled => "wait a minute, then run the command again; lockstep doctor lists the quotas of the account".to_owned(),
        Cause::Quota => "ask for a higher quota (Service Quotas in the AWS console) or delete what uses it; lockstep doctor lists the \
                         quotas that Lockstep needs"
            .to_owned(),
        Cause::NoSuchEndpoint => {
            "check the name of the region (--region, AWS_REGION) and the network of this machine".to_owned()
        }
        Cause::NoConnection => "check the network and AWS_ENDPOINT_URL; if it names a local cloud, start that again: lockstep local up".to_owned(),
    }
}

fn not_added(text: &str) -> String {
    let (account, path) = untrusted(text).unwrap_or(("the account", None));
    let path = path.unwrap_or("<delivery|promotion>");
    format!(
        "let Lockstep deploy to {account}: lockstep accounts add <alias> --path {path} --execution-policies <ARN> \
         --target-profile <profile of {account}>; if `lockstep accounts list` shows it already, add it again"
    )
}

/// Returns the policy that lacks an action, by the principal that needs it.
fn denied(text: &str) -> String {
    let denied = denial(text);
    let action = denied.as_ref().and_then(|denied| denied.action.as_deref()).unwrap_or("the call");
    let principal = denied.as_ref().and_then(|denied| denied.principal.as_deref()).unwrap_or_default();
    let role = principal.split('/').find(|part| part.starts_with("lockstep-")).unwrap_or_default();
    if role.ends_with("-cloudformation") {
        format!(
            "allow {action} in an execution policy of the account, and in its boundary; `lockstep permissions <folder>` prints the policy"
        )
    } else if role.starts_with("lockstep-delivery-") || role.starts_with("lockstep-promotion-") {
        format!(
            "{role} lacks {action}: bring its policy up to date with lockstep install, and lockstep accounts add for a target account"
        )
    } else if !role.is_empty() {
        format!("{role} lacks {action}: bring its policy up to date with lockstep install")
    } else {
        format!(
            "ask for a policy that allows {action}: lockstep-operator, lockstep-approver or lockstep-administrator \
             (docs/operations.md, People), or infra/installer-policy.json for an installation; or name other credentials with --profile"
        )
    }
}

/// Returns the next step for a kind of failure whose cause is not known.
pub fn of_kind(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Throttled => {
            "wait a minute, then run the command again; lockstep doctor lists the quotas of the account"
        }
        FailureKind::Transient => {
            "run the command again; if the error repeats, lockstep doctor reports what does not respond"
        }
        FailureKind::Conflict => "run the command again: it reads the new state first",
        FailureKind::Superseded => {
            "no step is needed: a later deployment replaced this one, which lockstep status shows"
        }
        FailureKind::Overtaken => {
            "no step is needed: the newer release is deployed instead, which lockstep status shows"
        }
        FailureKind::Expired => "start it again: lockstep retry <deployment>",
        FailureKind::EnvironmentBusy => {
            "wait for the deployment that holds the environment (lockstep watch), or stop it: lockstep cancel <deployment> --reason <text>"
        }
        FailureKind::TestBusy => {
            "wait until the other test stack is deleted (lockstep watch), then: lockstep retry <deployment>"
        }
        FailureKind::Rejected => {
            "correct what the message names, then run the command again, or push the correction"
        }
        FailureKind::NotFound => {
            "check the name: lockstep status lists environments, lockstep releases lists releases, lockstep images lists images"
        }
        FailureKind::AccessDenied => {
            "ask for the managed policy of operators, approvers or administrators that allows it (docs/operations.md, People), or name \
             other credentials: --profile, or the AWS_* variables"
        }
        FailureKind::GateClosed => {
            "bring the release through the stage before first; lockstep releases <component> shows how far each release got"
        }
        FailureKind::StackFailed => {
            "read the first failed resource with its line: lockstep why <deployment>; correct it and push"
        }
        FailureKind::CheckFailed => {
            "read what the check heard: lockstep why <deployment>; correct the component and push, or go back: lockstep rollback \
             <component> --in <stage>"
        }
        FailureKind::ChecksPending => "wait until the checks pass or their time is over: lockstep watch",
        FailureKind::ApprovalRefused => {
            "read the reason: lockstep why <deployment>; correct the component and push"
        }
        FailureKind::ImageUnusable => {
            "name a usable version of the image (lockstep images lists them), or build another one: lockstep bake"
        }
        FailureKind::ImageStays => {
            "its licence forbids copies: build it in the account that needs it, by a push of its recipe or lockstep bake"
        }
        FailureKind::Cancelled => "start it again when it may run: lockstep retry <deployment>",
        FailureKind::StackNeedsHuman => {
            "read the decision to make: lockstep why <deployment>; repair the stack, then: lockstep retry <deployment>"
        }
        FailureKind::Bug => {
            "report this message with the output of lockstep doctor as a bug; then: lockstep retry <deployment>"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of errors as the command receives them, with their causes.
    const TEXTS: [(&str, Cause); 22] = [
        (
            "GetCallerIdentity: dispatch failure: other: no providers in chain provided credentials",
            Cause::NoCredentials,
        ),
        (
            "GetCallerIdentity: MissingAuthenticationToken: Request is missing Authentication Token",
            Cause::NoCredentials,
        ),
        (
            "GetParameter /lockstep/control-plane: dispatch failure: other: profile `prod` was not defined: could not find it",
            Cause::UnknownProfile,
        ),
        ("other: profile `prod` did not contain credential information", Cause::UnknownProfile),
        (
            "GetCallerIdentity: ExpiredToken: The security token included in the request is expired",
            Cause::ExpiredCredentials,
        ),
        (
            "Query lockstep-delivery: ExpiredTokenException: The security token has expired",
            Cause::ExpiredCredentials,
        ),
        ("other: the SSO session has expired or is otherwise invalid", Cause::ExpiredCredentials),
        (
            "GetCallerIdentity: InvalidClientTokenId: The security token included in the request is invalid",
            Cause::UnknownKey,
        ),
        (
            "Query x: UnrecognizedClientException: The security token included in the request is invalid.",
            Cause::UnknownKey,
        ),
        (
            "PutObject x: RequestTimeTooSkewed: The difference between the request time and the current time is too large.",
            Cause::WrongClock,
        ),
        (
            "Call x: SignatureDoesNotMatch: the clock of this machine differs from that of AWS",
            Cause::WrongClock,
        ),
        (
            "AssumeRole arn:aws:iam::111111111111:role/lockstep-delivery-deployer: AccessDenied: User: \
             arn:aws:sts::999999999999:assumed-role/lockstep-delivery-stack-role/lockstep-delivery-stack is not authorized to perform: \
             sts:AssumeRole on resource: arn:aws:iam::111111111111:role/lockstep-delivery-deployer because no identity-based policy \
             allows the sts:AssumeRole action",
            Cause::AccountNotAdded,
        ),
        (
            "AssumeRole arn:aws:iam::111111111111:role/lockstep-promotion-deployer: AccessDenied: User: arn:aws:sts::999999999999:\
             assumed-role/x/y is not authorized to perform: sts:AssumeRole because no identity-based policy allows it",
            Cause::AccountNotAdded,
        ),
        (
            "StartExecution: AccessDeniedException: User: arn:aws:iam::111111111111:user/eve is not authorized to perform: \
             states:StartExecution on resource: arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep-release",
            Cause::Denied,
        ),
        ("DescribeStacks ci-logs: ThrottlingException: Rate exceeded", Cause::Throttled),
        ("CopyImage: RequestLimitExceeded: Request limit exceeded.", Cause::Throttled),
        ("CreateStack ci-logs: LimitExceededException: stacks: 2000", Cause::Quota),
        ("RunInstances: VcpuLimitExceeded: You have requested more vCPU capacity", Cause::Quota),
        (
            "GetCallerIdentity: dispatch failure: io error: client error (Connect): dns error: failed to lookup address",
            Cause::NoSuchEndpoint,
        ),
        (
            "Query x: dispatch failure: io error: client error (Connect): tcp connect error: Connection refused",
            Cause::NoConnection,
        ),
        (
            "GetParameter /lockstep/control-plane: dispatch failure: other: the credential provider was not enabled: no credentials \
             found in chain. Attempted:\n  Profile: the credential provider was not enabled",
            Cause::NoCredentials,
        ),
        (
            "GetParameter /lockstep/control-plane: dispatch failure: other: an error occurred while loading credentials: failed to \
             load IMDS session token: service error: request forbidden: IMDS is disabled",
            Cause::NoCredentials,
        ),
    ];

    #[test]
    fn the_text_of_an_error_reveals_its_cause() {
        for (text, expected) in TEXTS {
            assert_eq!(cause(text), Some(expected), "{text}");
        }
        for cause in Cause::VARIANTS {
            assert!(TEXTS.iter().any(|(_, known)| known == cause), "{cause:?} has no text");
        }
        for text in ["stages.toml: no such file", "orders-queue 1.0.1 was not deployed to ci", ""] {
            assert_eq!(cause(text), None, "{text}");
        }
    }

    /// Returns true if a step waits or repeats, which helps only against what passes by itself.
    fn repeats(step: &str) -> bool {
        step.contains("again") && (step.contains("wait") || step.starts_with("run the command again"))
    }

    #[test]
    fn every_kind_and_every_cause_has_a_next_step() {
        for kind in FailureKind::ALL {
            let step = next_step(Some(*kind), "it failed").unwrap();
            assert!(step.len() > 20, "{kind:?}: {step}");
            let passes =
                matches!(kind, FailureKind::Throttled | FailureKind::Transient | FailureKind::Conflict);
            assert_eq!(repeats(&step), passes, "{kind:?}: {step}");
        }
        for (text, cause) in TEXTS {
            for kind in [None, Some(FailureKind::Rejected), Some(FailureKind::Transient)] {
                let step = next_step(kind, text).unwrap();
                assert_eq!(step, of_cause(cause, text));
                assert_eq!(repeats(&step), cause == Cause::Throttled, "{cause:?}: {step}");
            }
        }
    }

    #[test]
    fn an_account_that_was_never_added_gets_the_command_that_adds_it() {
        let (text, _) = TEXTS[11];
        let step = next_step(Some(FailureKind::AccessDenied), text).unwrap();
        let command = "deploy to 111111111111: lockstep accounts add <alias> --path delivery --execution-policies <ARN>";
        assert!(step.contains(command), "{step}");
    }

    #[test]
    fn a_denied_action_names_the_policy_that_lacks_it() {
        let of = |principal: &str| {
            let text = format!(
                "Call x: AccessDenied: User: {principal} is not authorized to perform: sqs:TagQueue on resource: *"
            );
            next_step(Some(FailureKind::AccessDenied), &text).unwrap()
        };
        let session = |role: &str| format!("arn:aws:sts::222222222222:assumed-role/{role}/session");
        for (principal, wanted) in [
            (session("lockstep-delivery-cloudformation"), "allow sqs:TagQueue in an execution policy"),
            (session("lockstep-delivery-deployer"), "lockstep-delivery-deployer lacks sqs:TagQueue"),
            (session("lockstep-package-role"), "lockstep-package-role lacks sqs:TagQueue"),
            ("arn:aws:iam::111111111111:user/eve".to_owned(), "a policy that allows sqs:TagQueue"),
        ] {
            assert!(of(&principal).contains(wanted), "{}", of(&principal));
        }
    }

    #[test]
    fn the_failure_of_a_stack_keeps_the_step_of_its_kind() {
        let text =
            "Queue failed to create: AccessDenied: User: x is not authorized to perform: sqs:CreateQueue";
        let step = next_step(Some(FailureKind::StackFailed), text).unwrap();
        assert_eq!(step, of_kind(FailureKind::StackFailed));
        assert_eq!(next_step(None, "stages.toml: no such file"), None);
    }
}
