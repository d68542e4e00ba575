//! Which checks can be judged here, which function a check calls, and what all of them amount to.

use lockstep_domain::checks::{Check, evaluate_lambda, evaluate_output, lambda_function};
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{ComponentName, DeploymentId, Digest, StackName};
use lockstep_domain::packaging;
use lockstep_domain::payloads::verify::Response;
use lockstep_domain::records::{Deployment, DeploymentKind, DeploymentState, Location, Release};
use lockstep_platform::functions::{ANSWER_BYTES_MAX, Called};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long all functions of a deployment's checks may take together; the function itself is given five minutes.
const PATIENCE_ALL: Duration = Duration::from_secs(240);

/// How long one of them may take.
const PATIENCE_ONE: Duration = Duration::from_secs(60);

/// The most characters of a function's own words that are repeated.
const SHOWN_CHARS: usize = 200;

/// What a deployment's checks are run against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The component.
    pub component: ComponentName,
    /// The stack.
    pub stack: StackName,
    /// The digest of the artifact that is deployed.
    pub digest: Digest,
}

/// What a deployment that still works is about.
///
/// # Errors
/// `Superseded` if the deployment was closed or gave its environment back.
pub fn subject(deployment: &Deployment) -> Result<Subject, Failure> {
    if deployment.state != DeploymentState::Running {
        let message = format!("deployment {} no longer runs; nothing is checked for it", deployment.id);
        return Err(Failure::new(FailureKind::Superseded, message));
    }
    let DeploymentKind::Deploy { stack, .. } = &deployment.kind else {
        return Err(Failure::bug(format!("{} promotes an image, which has no checks", deployment.id)));
    };
    match (&deployment.component, &deployment.digest) {
        (Some(component), Some(digest)) => {
            Ok(Subject { component: component.clone(), stack: stack.clone(), digest: digest.clone() })
        }
        _ => Err(Failure::bug(format!("deployment {} names no component and digest", deployment.id))),
    }
}

/// The checks in the artifact that is deployed.
///
/// # Errors
/// `Rejected` if these are not the bytes that were deployed.
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

/// What is left to do for one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// It was judged by the outputs alone.
    Judged(Result<(), String>),
    /// This function must be called.
    Call(&'a str),
}

/// Judges a check by the stack's outputs as far as they go.
pub fn begin<'a>(check: &Check, outputs: &'a BTreeMap<String, String>, location: &Location) -> Step<'a> {
    match check {
        Check::Output { name, matches } => Step::Judged(evaluate_output(name, matches, outputs)),
        Check::Lambda { name } => {
            match lambda_function(name, outputs).and_then(|f| ours(f, location).map(|()| f)) {
                Ok(function) => Step::Call(function),
                Err(why) => Step::Judged(Err(why)),
            }
        }
    }
}

/// Whether a check may call `function`: one of the stack's own account and region, and none of Lockstep's. An output
/// says what its author wants, and must not make Lockstep call what the author may not.
fn ours(function: &str, location: &Location) -> Result<(), String> {
    let parts: Vec<&str> = function.split(':').collect();
    let (place, name) = match parts.as_slice() {
        ["arn", _, "lambda", region, account, "function", name, ..] => {
            (Some((Some(*region), *account)), *name)
        }
        [account, "function", name, ..] => (Some((None, *account)), *name),
        ["arn", ..] => return Err(format!("{function} is the ARN of something that is no function")),
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

/// What a check's function is told.
pub fn question(deployment: &Deployment, subject: &Subject) -> Value {
    json!({
        "component": subject.component,
        "version": deployment.version,
        "stage": deployment.stage,
        "stack": subject.stack,
    })
}

/// How long each of `functions` functions may take.
pub fn patience(functions: usize) -> Duration {
    let share = PATIENCE_ALL / u32::try_from(functions.max(1)).unwrap_or(u32::MAX);
    share.min(PATIENCE_ONE)
}

/// Whether a function's answer lets its check pass: no error, and nothing that says `"ok": false`.
pub fn evaluate(called: &Called, patience: Duration) -> Result<(), String> {
    let (error, payload, cut) = match called {
        Called::Silent => return Err(format!("the function did not answer within {} s", patience.as_secs())),
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

/// `text` on one line, cut to [`SHOWN_CHARS`].
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One check and what came of it.
pub type Judged = (Check, Result<(), String>);

/// What the journal says of the checks.
pub fn note(judged: &[Judged]) -> String {
    if judged.is_empty() {
        return "the component has no checks".to_owned();
    }
    let lines = judged.iter().map(|(check, result)| match result {
        Ok(()) => format!("passed: {check}"),
        Err(why) => format!("failed: {check}: {why}"),
    });
    format!("checks: {}", lines.collect::<Vec<_>>().join("; "))
}

/// What the checks amount to; `CheckFailed` names every one that failed.
pub fn verdict(deployment: &DeploymentId, stack: &StackName, judged: &[Judged]) -> Result<Response, Failure> {
    let failed: Vec<String> = judged
        .iter()
        .filter_map(|(check, result)| result.as_ref().err().map(|why| format!("{check}: {why}")))
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

    fn location() -> Location {
        Location { account: "111111111111".parse().unwrap(), region: "eu-west-1".parse().unwrap() }
    }

    fn answered(error: Option<&str>, payload: &str) -> Called {
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
    fn a_function_passes_unless_it_fails_or_says_that_it_is_not_ok() {
        let judged = |called: Called| evaluate(&called, Duration::from_secs(9));
        for good in ["", "null", "{}", r#"{"ok": true}"#, r#"{"ok": "false"}"#, "not json"] {
            assert_eq!(judged(answered(None, good)), Ok(()), "{good}");
        }
        let no = |called| judged(called).unwrap_err();
        assert_eq!(no(Called::Silent), "the function did not answer within 9 s");
        assert_eq!(no(Called::Absent), "there is no such function");
        assert_eq!(
            no(answered(None, r#"{"ok": false, "reason": "queue\nis full"}"#)),
            "the function answered that it is not ok: queue is full"
        );
        assert_eq!(
            no(answered(None, r#"{"ok": false}"#)),
            "the function answered that it is not ok, without a reason"
        );
        assert!(no(answered(Some("Unhandled"), r#"{"errorMessage": "boom"}"#)).contains("boom"));
        let cut = Called::Answered { error: None, payload: b"{".to_vec(), cut: true };
        assert!(no(cut).contains("more than"));
    }

    #[test]
    fn all_functions_together_leave_time_to_report() {
        assert_eq!(patience(0), PATIENCE_ONE);
        for functions in [1, 4, 5, 100] {
            assert!(patience(functions) * u32::try_from(functions).unwrap() <= PATIENCE_ALL);
        }
    }

    #[test]
    fn every_failed_check_is_named_in_one_sentence() {
        let lambda = |name: &str| Check::Lambda { name: name.parse().unwrap() };
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
