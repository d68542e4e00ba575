//! Checks the installed functions: each must run the packed code and must start.

use super::{Installation, function_names};
use crate::failure::Failure;
use crate::functions::Package;
use backon::{ConstantBuilder, Retryable as _};
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::operator::control_plane;
use lockstep_domain::messages::ping;
use lockstep_domain::model::error::FailureKind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Timeout of a ping, with the start of the function. Lambda limits the start to ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Number of retries of a ping that Lambda throttles, and the pause before each.
const RETRIES: usize = 4;
const PAUSE: Duration = Duration::from_secs(2);

impl Installation<'_> {
    /// Checks that every function runs exactly the packed code, since a stack may succeed with missing code, and that it
    /// responds to a ping.
    pub(super) async fn verify(&self, packages: &BTreeMap<String, Package>) -> Result<(), Failure> {
        let progress = self.output.progress("invoke each function once");
        let functions = function_names();
        for (function, name) in &functions {
            let Some(package) = packages.get(*name) else { continue };
            self.runs(function, package).await?;
            self.starts(function).await?;
        }
        progress.done(format!("{} functions start and run the packed code", functions.len()));
        Ok(())
    }

    async fn runs(&self, function: &str, package: &Package) -> Result<(), Failure> {
        let found = control_plane::code_sha256(self.aws, function).await?;
        let packed = package.code_sha256();
        if found.as_deref() == Some(packed.as_str()) {
            return Ok(());
        }
        let found = found.unwrap_or_else(|| "no code".to_owned());
        Err(Failure::new(format!("function {function} runs {found}, and not {packed}, which was packed"))
            .next("install again; if the error remains, look at the function's code in Lambda"))
    }

    async fn starts(&self, function: &str) -> Result<(), Failure> {
        let functions = Functions::new(self.aws);
        let question = ping::question();
        let called = (|| functions.call(function, &question, PATIENCE))
            .retry(ConstantBuilder::new().with_delay(PAUSE).with_max_times(RETRIES))
            .when(|failure| failure.kind == FailureKind::Throttled)
            .await?;
        match trouble(&called) {
            None => Ok(()),
            Some(trouble) => Err(Failure::new(format!("function {function} does not start: {trouble}"))
                .next(format!(
                    "read its log: aws logs tail /aws/lambda/{function} --since 10m --region {}",
                    self.aws.region()
                ))),
        }
    }
}

/// Returns the problem with a response to a ping, or `None`.
fn trouble(called: &Called) -> Option<String> {
    let own = env!("CARGO_PKG_VERSION");
    match called {
        Called::Silent => Some(format!("no response within {} seconds", PATIENCE.as_secs())),
        Called::Absent => Some("it does not exist".to_owned()),
        Called::Answered { error: Some(error), payload, .. } => Some(error_of(error, payload)),
        Called::Answered { payload, .. } => match ping::version(payload) {
            Some(version) if version == own => None,
            Some(version) => Some(format!("it is version {version}, not {own}")),
            None => Some(format!("it responded {}", String::from_utf8_lossy(payload))),
        },
    }
}

/// Returns the type and the message of a function's error: `Runtime.ExitError: …`.
fn error_of(error: &str, payload: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
    let kind = text("errorType").unwrap_or(error);
    match text("errorMessage") {
        Some(message) => format!("{kind}: {message}"),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered(error: Option<&str>, payload: &Value) -> Called {
        Called::Answered {
            error: error.map(str::to_owned),
            payload: payload.to_string().into_bytes(),
            cut: false,
        }
    }

    #[test]
    fn only_the_response_of_this_version_is_accepted() {
        let pong = ping::answer(&ping::question(), env!("CARGO_PKG_VERSION")).unwrap();
        assert_eq!(trouble(&answered(None, &pong)), None);
        let older = ping::answer(&ping::question(), "0.0.1").unwrap();
        assert!(trouble(&answered(None, &older)).unwrap().starts_with("it is version 0.0.1, not "));
        assert_eq!(trouble(&answered(None, &json!({"mock": 1}))).unwrap(), r#"it responded {"mock":1}"#);
        assert_eq!(trouble(&Called::Silent).unwrap(), "no response within 30 seconds");
    }

    #[test]
    fn lambdas_error_of_a_failed_start_has_its_type() {
        let exit =
            json!({"errorType": "Runtime.ExitError", "errorMessage": "RequestId: 1 Error: exit status 1"});
        let reported = trouble(&answered(Some("Unhandled"), &exit)).unwrap();
        assert_eq!(reported, "Runtime.ExitError: RequestId: 1 Error: exit status 1");
        assert_eq!(trouble(&answered(Some("Unhandled"), &json!({}))).unwrap(), "Unhandled");
    }
}
