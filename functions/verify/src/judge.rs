//! Judges checks: the checks that need no peer, the peer of each other check, the next look, and the verdict of all checks.

use jiff::Timestamp;
use lockstep_aws::functions::{ANSWER_BYTES_MAX, Called};
use lockstep_aws::probe::{ProbeResponse, Unanswered};
use lockstep_domain::delivery::checks::{
    Check, Outputs, Pattern, Peer, Statuses, evaluate_http, evaluate_lambda, evaluate_output, lambda_function,
};
use lockstep_domain::delivery::packaging;
use lockstep_domain::messages::verify::Response;
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::model::ids::{DeploymentId, Digest, StackName};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{DeployBody, Deployment, DeploymentState, Release};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// Longest time of one call of a function.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Longest time of one look at a peer.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Time reserved for the last look before a deadline, which finds a peer that came up during the last pause.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Maximum number of characters of a check, and of a function's reason, in a message.
const SHOWN_CHARS: usize = 200;

/// Maximum number of characters of the reason of a failed check. The failures of the maximum number of checks, each of this
/// length, fit into the cause of an execution's failure (32768 characters,
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html>).
const WHY_CHARS: usize = 400;

/// Returns the body of a running deployment of a release.
///
/// # Errors
/// `Superseded` if the deployment was closed or released its environment.
pub fn running(deployment: &Deployment) -> Result<&DeployBody, Failure> {
    if deployment.state != DeploymentState::Running {
        let message = format!("deployment {} no longer runs; nothing is checked for it", deployment.id);
        return Err(Failure::new(FailureKind::Superseded, message));
    }
    let no_checks = || Failure::bug(format!("{} deploys no release, so it has no checks", deployment.id));
    deployment.deploy().ok_or_else(no_checks)
}

/// Returns the checks in the deployed artifact.
///
/// # Errors
/// `Rejected` if the artifact is not the one that was deployed.
pub fn checks(release: &Release, digest: &Digest, artifact: &[u8]) -> Result<Vec<Check>, Failure> {
    if Digest::of(artifact) != *digest {
        let message = format!(
            "the artifact {} of {} {} is not what was deployed; package the commit again",
            release.artifact, release.component, release.version
        );
        return Err(Failure::rejected(message));
    }
    let contents = packaging::open(artifact).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::rejected(format!("the artifact {} cannot be read: {}", release.artifact, lines.join("; ")))
    })?;
    Ok(contents.manifest.checks)
}

/// Next step of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The outputs alone decide the check.
    Judged(Result<(), String>),
    /// A function or a peer decides the check.
    Ask(Ask<'a>),
}

/// Function or peer that a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// The call of this function must succeed.
    Call(&'a str),
    /// The response of this URL must match.
    Get {
        /// URL of the request.
        url: Url,
        /// Accepted statuses.
        wanted: &'a Statuses,
        /// Pattern that the body must match.
        matches: Option<&'a Pattern>,
    },
    /// The peer must accept a connection.
    Connect(Peer),
}

/// Judges a check by the stack's outputs, or returns the function or peer to ask.
pub fn begin<'a>(check: &'a Check, outputs: &'a Outputs, location: &Location) -> Step<'a> {
    let ask = match check {
        Check::Output { name, matches } => return Step::Judged(evaluate_output(name, matches, outputs)),
        Check::Lambda { name, .. } => {
            lambda_function(name, outputs).and_then(|f| ours(f, location).map(|()| Ask::Call(f)))
        }
        Check::Http { url, status, matches, .. } => {
            url.resolve(outputs).map(|url| Ask::Get { url, wanted: status, matches: matches.as_ref() })
        }
        Check::Tcp { address, .. } => address.resolve(outputs).map(Ask::Connect),
    };
    ask.map_or_else(|why| Step::Judged(Err(why)), Step::Ask)
}

impl Ask<'_> {
    /// Returns the time limit of one look with `left` until the deadline.
    pub fn time_limit(&self, left: Duration) -> Duration {
        left.max(LAST_LOOK).min(match self {
            Self::Call(_) => CALL_MAX,
            Self::Get { .. } | Self::Connect(_) => LOOK_MAX,
        })
    }
}

/// Reason why a look did not pass its check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// A further look cannot pass.
    Never(String),
    /// A further look may pass.
    NotYet(String),
    /// AWS failed in a retryable way, which gives no information about the stack.
    Unknown(Failure),
}

impl From<Unanswered> for Unmet {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Refused(why) => Self::Never(why),
            Unanswered::NotYet(why) => Self::NotYet(why),
        }
    }
}

/// Judges a check by the result of a call.
pub fn called(called: Result<Called, Failure>, time_limit: Duration) -> Result<(), Unmet> {
    match called {
        Ok(called) => evaluate(&called, time_limit).map_err(Unmet::NotYet),
        Err(failure) if failure.kind.policy() == Policy::Retryable => Err(Unmet::Unknown(failure)),
        Err(failure) => Err(Unmet::Never(failure.chain())),
    }
}

/// Judges a check by an HTTP response.
pub fn answered(
    answer: Result<ProbeResponse, Unanswered>,
    wanted: &Statuses,
    matches: Option<&Pattern>,
) -> Result<(), Unmet> {
    let ProbeResponse { status, body } = answer?;
    evaluate_http(wanted, matches, status, &body).map_err(Unmet::NotYet)
}

/// State of one check after the looks of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The check passed or failed.
    Judged(Result<(), String>),
    /// The check has not passed yet, for this reason.
    Pending(String),
}

/// Next step after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// No further look follows in this invocation.
    Looked(Looked),
    /// The check cannot be judged because of this failure.
    Unknown(Failure),
    /// Another look follows after this pause.
    Again(Duration),
}

/// Returns the next step after a look, with `left` of `deadline`, `patience` of the invocation, and `pause` as the next
/// pause.
pub fn next(
    seen: Result<(), Unmet>,
    deadline: Duration,
    left: Duration,
    patience: Duration,
    pause: Duration,
) -> Next {
    let pause = pause.min(left.saturating_sub(LAST_LOOK));
    let judged = |result| Next::Looked(Looked::Judged(result));
    match seen {
        Ok(()) => judged(Ok(())),
        Err(Unmet::Never(why)) => judged(Err(why)),
        Err(_) if !pause.is_zero() && pause <= patience => Next::Again(pause),
        Err(Unmet::NotYet(why)) if !pause.is_zero() => Next::Looked(Looked::Pending(why)),
        Err(Unmet::Unknown(failure)) if !pause.is_zero() => Next::Looked(Looked::Pending(failure.message)),
        Err(Unmet::Unknown(failure)) => Next::Unknown(failure),
        Err(Unmet::NotYet(why)) => judged(Err(format!("{why} (asked for {} s)", deadline.as_secs()))),
    }
}

/// Returns the line of the deployment log and the failure of checks of which none failed and one is pending. `since` is the
/// time at which they started.
pub fn pending(looked: &[(Check, Looked)], since: Timestamp) -> Option<(String, Failure)> {
    let failed = |looked: &Looked| matches!(looked, Looked::Judged(Err(_)));
    if looked.iter().any(|(_, looked)| failed(looked)) {
        return None;
    }
    let asks = |(check, looked): &(Check, Looked)| match looked {
        Looked::Pending(why) => Some((line(check, why), since + check.deadline())),
        Looked::Judged(_) => None,
    };
    let pending: Vec<(String, Timestamp)> = looked.iter().filter_map(asks).collect();
    let last = pending.iter().map(|(_, until)| *until).max()?;
    let (of, count) = (looked.len(), pending.len());
    let lines: Vec<String> = pending.into_iter().map(|(line, _)| line).collect();
    let what = format!(
        "{count} of {of} checks have not passed yet, asked until {last:.0} at most: {}",
        lines.join("; ")
    );
    Some((what.clone(), Failure::new(FailureKind::ChecksPending, what)))
}

/// Returns the results of checks that are judged together. One that is pending when another one failed did not pass.
pub fn judged(looked: Vec<(Check, Looked)>) -> Vec<Judged> {
    let result = |looked| match looked {
        Looked::Judged(result) => result,
        Looked::Pending(why) => Err(format!("{why} (not passed when another check failed)")),
    };
    looked.into_iter().map(|(check, looked)| (check, result(looked))).collect()
}

/// Succeeds if a check may call `function`: it is in the stack's account and region and is none of Lockstep's. The author of
/// an output controls its value, and must not make Lockstep call a function that the author may not call.
fn ours(function: &str, location: &Location) -> Result<(), String> {
    let parts: Vec<&str> = function.split(':').collect();
    let (place, name) = match parts.as_slice() {
        ["arn", _, "lambda", region, account, "function", name, ..] => {
            (Some((Some(*region), *account)), *name)
        }
        [account, "function", name, ..] => (Some((None, *account)), *name),
        ["arn", ..] => return Err(format!("{function} is an ARN but not the ARN of a function")),
        [name, ..] => (None, *name),
        [] => (None, ""),
    };
    if let Some((region, account)) = place
        && (account != location.account.as_str()
            || region.is_some_and(|region| region != location.region.as_str()))
    {
        let Location { account, region } = location;
        return Err(format!(
            "{function} is not in account {account} and region {region}, where the stack is"
        ));
    }
    if name.starts_with("lockstep-") {
        return Err(format!(
            "{function} is one of Lockstep's own functions; a check calls one of the stack's"
        ));
    }
    Ok(())
}

/// Returns the payload for the function of a check.
pub fn question(deployment: &Deployment, deploy: &DeployBody) -> Value {
    json!({
        "component": deploy.stack.component,
        "version": deployment.version,
        "stage": deployment.stage,
        "stack": deploy.stack.name,
    })
}

/// Judges a check by the response of its function, which passes without an error and without `"ok": false`.
fn evaluate(called: &Called, time_limit: Duration) -> Result<(), String> {
    let (error, payload, cut) = match called {
        Called::Silent => {
            return Err(format!("the function did not answer within {} s", time_limit.as_secs()));
        }
        Called::Absent => return Err("there is no such function".to_owned()),
        Called::Answered { error, payload, cut } => (error.as_deref(), payload.as_slice(), *cut),
    };
    evaluate_lambda(error, payload)?;
    if cut {
        return Err(format!(
            "the function answered with more than {ANSWER_BYTES_MAX} bytes; a check's answer is short"
        ));
    }
    let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
    if answer.get("ok") == Some(&Value::Bool(false)) {
        let reason = ["reason", "message", "error"].iter().find_map(|key| answer.get(*key)?.as_str());
        return Err(match reason {
            Some(reason) => format!("the function answered that it is not ok: {}", shown(reason)),
            None => "the function answered that it is not ok, without a reason".to_owned(),
        });
    }
    Ok(())
}

/// Returns `text` on one line, cut to [`SHOWN_CHARS`].
fn shown(text: &str) -> String {
    cut(text, SHOWN_CHARS)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One check and its result.
pub type Judged = (Check, Result<(), String>);

/// Returns the line of the deployment log about the checks.
pub fn note(judged: &[Judged]) -> String {
    if judged.is_empty() {
        return "the component has no checks".to_owned();
    }
    let lines = judged.iter().map(|(check, result)| match result {
        Ok(()) => format!("passed: {}", shown(&check.to_string())),
        Err(why) => format!("failed: {}", line(check, why)),
    });
    format!("checks: {}", lines.collect::<Vec<_>>().join("; "))
}

fn line(check: &Check, why: &str) -> String {
    format!("{}: {}", shown(&check.to_string()), cut(why, WHY_CHARS))
}

/// Returns the verdict of all checks. `CheckFailed` names every failed check.
pub fn verdict(deployment: &DeploymentId, stack: &StackName, judged: &[Judged]) -> Result<Response, Failure> {
    let failed: Vec<String> = judged
        .iter()
        .filter_map(|(check, result)| result.as_ref().err().map(|why| line(check, why)))
        .collect();
    let total = judged.len();
    if failed.is_empty() {
        return Ok(Response { passed: u32::try_from(total).unwrap_or(u32::MAX) });
    }
    let message = format!(
        "{} of {total} checks failed on stack {stack} (deployment {}): {}",
        failed.len(),
        deployment.short(),
        failed.join("; ")
    );
    Err(Failure::new(FailureKind::CheckFailed, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::delivery::checks::{CHECKS_MAX, Deadline};

    fn location() -> Location {
        Location { account: "111111111111".parse().unwrap(), region: "eu-west-1".parse().unwrap() }
    }

    fn said(error: Option<&str>, payload: &str) -> Called {
        Called::Answered { error: error.map(str::to_owned), payload: payload.into(), cut: false }
    }

    #[test]
    fn a_check_calls_only_a_function_beside_its_stack() {
        let place = location();
        for good in [
            "probe",
            "probe:live",
            "111111111111:function:probe",
            "arn:aws:lambda:eu-west-1:111111111111:function:probe",
            "arn:aws:lambda:eu-west-1:111111111111:function:probe:live",
        ] {
            assert_eq!(ours(good, &place), Ok(()), "{good}");
        }
        for bad in [
            "222222222222:function:probe",
            "arn:aws:lambda:eu-west-1:222222222222:function:probe",
            "arn:aws:lambda:us-east-1:111111111111:function:probe",
            "arn:aws:states:eu-west-1:111111111111:stateMachine:x",
            "lockstep-ledger",
            "lockstep-ledger:live",
            "111111111111:function:lockstep-ledger",
            "arn:aws:lambda:eu-west-1:111111111111:function:lockstep-ledger",
        ] {
            assert!(ours(bad, &place).is_err(), "{bad}");
        }
    }

    #[test]
    fn function_passes_unless_it_fails_or_responds_that_it_is_not_ok() {
        let judged = |called: Called| evaluate(&called, Duration::from_secs(9));
        for good in ["", "null", "{}", r#"{"ok": true}"#, r#"{"ok": "false"}"#, "not json"] {
            assert_eq!(judged(said(None, good)), Ok(()), "{good}");
        }
        let no = |called| judged(called).unwrap_err();
        assert_eq!(no(Called::Silent), "the function did not answer within 9 s");
        assert_eq!(no(Called::Absent), "there is no such function");
        assert_eq!(
            no(said(None, r#"{"ok": false, "reason": "queue\nis full"}"#)),
            "the function answered that it is not ok: queue is full"
        );
        assert_eq!(
            no(said(None, r#"{"ok": false}"#)),
            "the function answered that it is not ok, without a reason"
        );
        assert!(no(said(Some("Unhandled"), r#"{"errorMessage": "boom"}"#)).contains("boom"));
        let cut = Called::Answered { error: None, payload: b"{".to_vec(), cut: true };
        assert!(no(cut).contains("more than"));
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn not_yet() -> Result<(), Unmet> {
        Err(Unmet::NotYet("it answered 503, not 200".to_owned()))
    }

    #[test]
    fn check_repeats_until_its_deadline_with_a_last_look_before_it() {
        let next = |left, pause, patience| {
            next(not_yet(), seconds(30), seconds(left), seconds(patience), seconds(pause))
        };
        assert_eq!(next(25, 4, 9), Next::Again(seconds(4)));
        assert_eq!(next(5, 8, 9), Next::Again(seconds(3)));
        let pending = Next::Looked(Looked::Pending("it answered 503, not 200".to_owned()));
        assert_eq!(next(25, 4, 3), pending, "the next invocation looks again");
        let late =
            || Next::Looked(Looked::Judged(Err("it answered 503, not 200 (asked for 30 s)".to_owned())));
        assert_eq!(next(2, 8, 9), late());
        assert_eq!(next(0, 8, 0), late());
    }

    #[test]
    fn result_that_waiting_cannot_change_is_judged_at_once() {
        let judged = |seen| next(seen, seconds(30), seconds(29), seconds(9), seconds(1));
        let expected = |result| Next::Looked(Looked::Judged(result));
        assert_eq!(judged(Ok(())), expected(Ok(())));
        let refused = Unanswered::Refused("no".to_owned());
        assert_eq!(judged(Err(refused.into())), expected(Err("no".to_owned())));
        let denied = Failure::new(FailureKind::AccessDenied, "denied");
        assert_eq!(judged(called(Err(denied), seconds(9))), expected(Err("denied".to_owned())));
    }

    #[test]
    fn failure_of_aws_until_the_deadline_is_no_judgement() {
        let throttled = Failure::new(FailureKind::Throttled, "slow down");
        let seen = || called(Err(throttled.clone()), seconds(9));
        let next = |left, patience| next(seen(), seconds(30), seconds(left), seconds(patience), seconds(1));
        assert_eq!(next(29, 9), Next::Again(seconds(1)));
        assert_eq!(next(29, 0), Next::Looked(Looked::Pending("slow down".to_owned())));
        assert_eq!(next(1, 9), Next::Unknown(throttled.clone()));
    }

    #[test]
    fn a_look_never_outlasts_its_deadline() {
        for (left, time_limit) in [(240, 60), (60, 60), (5, 5), (0, 2)] {
            assert_eq!(Ask::Call("f").time_limit(seconds(left)), seconds(time_limit));
        }
        let peer = Peer::of(&"http://a.example".parse().unwrap()).unwrap();
        assert_eq!(Ask::Connect(peer).time_limit(seconds(240)), seconds(10));
    }

    #[test]
    fn failures_of_the_maximum_number_of_checks_fit_into_a_cause() {
        let address = format!("{}:22", "a".repeat(1900)).parse().unwrap();
        let check = Check::Tcp { address, deadline_seconds: Deadline::default() };
        let judged = vec![(check, Err("no\n".repeat(1000))); CHECKS_MAX];
        let id = DeploymentId::of_execution("arn");
        let message = verdict(&id, &"ci-logs".parse().unwrap(), &judged).unwrap_err().message;
        assert!(message.chars().count() < 32_000 && !message.contains('\n'), "{}", message.len());
        assert!(note(&judged).chars().count() < 32_000);
    }

    #[test]
    fn every_failed_check_is_named_in_one_sentence() {
        let lambda =
            |name: &str| Check::Lambda { name: name.parse().unwrap(), deadline_seconds: Deadline::default() };
        let judged = vec![
            (lambda("A"), Ok(())),
            (lambda("B"), Err("no answer".to_owned())),
            (lambda("C"), Err("boom".to_owned())),
        ];
        let id = DeploymentId::of_execution("arn");
        let stack = "ci-logs".parse().unwrap();
        let failure = verdict(&id, &stack, &judged).unwrap_err();
        assert_eq!(failure.kind, FailureKind::CheckFailed);
        assert!(failure.message.starts_with("2 of 3 checks failed on stack ci-logs"), "{}", failure.message);
        assert!(
            failure.message.contains("output B succeeds: no answer; ") && failure.message.ends_with("boom")
        );
        assert_eq!(verdict(&id, &stack, &judged[..1]).unwrap(), Response { passed: 1 });
        assert_eq!(verdict(&id, &stack, &[]).unwrap(), Response { passed: 0 });
    }
}
