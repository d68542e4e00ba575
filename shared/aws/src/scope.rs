//! The span that holds every log line of an invocation, and the fields that it adds to each.
//!
//! `docs/logging.md` lists the fields. The values come from places of a request that name things, so no token of a
//! waiting state and no secret is among them.

use lockstep_domain::model::ids::{
    CommitSha, ComponentName, DeploymentId, ImageName, RepositoryId, StageName,
};
use lockstep_domain::records::{
    BuildImageBody, Deployment, DeploymentBody, PromoteImageBody, PublishImageBody, TeardownBody,
};
use serde::Serialize;
use serde_json::Value;
use std::str::FromStr;
use tracing::Span;
use tracing::field::{Empty, display};

/// Actions whose execution is the deployment that they start or close: its id follows from the execution's ARN.
const OF_THE_EXECUTION: [&str; 5] = ["begin", "begin_build", "begin_teardown", "close", "inspect"];

/// Returns the span of an invocation with `payload`, which Lambda numbers `request_id`.
///
/// The span has the level of errors, so that a filter of log lines never removes it from those that remain.
pub fn span(request_id: &str, payload: &Value) -> Span {
    let span = tracing::error_span!(
        "invocation",
        request_id,
        action = Empty,
        deployment = Empty,
        execution = Empty,
        component = Empty,
        stage = Empty,
        image = Empty,
        repository = Empty,
        commit = Empty,
    );
    // The sender of a request to a function's URL controls its content, which the handler has not verified yet.
    if payload.get("requestContext").is_some() {
        return span;
    }
    record_request(&span, payload);
    span
}

/// Adds to the current span what a verified request names, which arrived in the body of a request to a function's URL.
pub fn about_request(request: &impl Serialize) {
    if let Ok(request) = serde_json::to_value(request) {
        record_request(&Span::current(), &request);
    }
}

fn record_request(span: &Span, payload: &Value) {
    let action = word(payload, &["/action"]);
    let execution = word(payload, &["/execution", "/task/execution"]);
    let started = execution.filter(|_| action.is_some_and(|action| OF_THE_EXECUTION.contains(&action)));
    let deployment = named::<DeploymentId>(payload, &["/deployment", "/promotion", "/build"])
        .or_else(|| started.map(DeploymentId::of_execution));
    record(span, "action", action);
    record(span, "deployment", deployment);
    record(span, "execution", execution);
    record(
        span,
        "component",
        named::<ComponentName>(payload, &["/component", "/input/component", "/run/input/component"]),
    );
    record(
        span,
        "stage",
        named::<StageName>(
            payload,
            &["/stage", "/input/stage", "/input/to", "/run/input/stage", "/run/input/to"],
        ),
    );
    record(span, "image", named::<ImageName>(payload, &["/image", "/input/image"]));
    record(span, "repository", named::<RepositoryId>(payload, &["/repository", "/input/repository"]));
    record(span, "commit", named::<CommitSha>(payload, &["/commit", "/input/commit"]));
}

/// Adds to the current span what `deployment` names. A request that only holds the id gets the other fields by it, once the
/// function has read the record.
pub fn about(deployment: &Deployment) {
    let span = Span::current();
    span.record("deployment", display(&deployment.id));
    span.record("execution", deployment.execution.as_str());
    span.record("stage", display(&deployment.stage));
    match &deployment.body {
        DeploymentBody::Deploy(body) => {
            span.record("component", display(&body.stack.component));
        }
        DeploymentBody::Teardown(TeardownBody { stack, .. }) => {
            span.record("component", display(&stack.component));
        }
        DeploymentBody::PromoteImage(PromoteImageBody { image, .. })
        | DeploymentBody::BuildImage(BuildImageBody { image, .. })
        | DeploymentBody::PublishImage(PublishImageBody { image, .. }) => {
            span.record("image", display(image));
        }
    }
}

/// Adds to the current span the component of a commit at which the invocation fails.
pub fn about_component(component: &ComponentName) {
    Span::current().record("component", display(component));
}

/// Adds to the current span the execution behind a callback.
pub fn about_execution(execution: &str) {
    let span = Span::current();
    span.record("execution", execution);
    span.record("deployment", display(DeploymentId::of_execution(execution)));
}

fn record(span: &Span, field: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        span.record(field, display(value));
    }
}

/// Returns the first of these places that holds a name of this kind.
fn named<T: FromStr>(payload: &Value, places: &[&str]) -> Option<T> {
    places.iter().find_map(|place| payload.pointer(place)?.as_str()?.parse().ok())
}

/// Returns the first of these places that holds the name of an action or the ARN of an execution.
fn word<'a>(payload: &'a Value, places: &[&str]) -> Option<&'a str> {
    let plain = |text: &&str| {
        (1..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-./".contains(&byte))
    };
    places.iter().find_map(|place| payload.pointer(place)?.as_str().filter(plain))
}

/// Characters of the longest ARN of an execution.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging;
    use lockstep_domain::model::deployment_path::DeploymentPath;
    use lockstep_domain::records::{DeploymentStart, StackRun};
    use serde_json::json;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::filter::LevelFilter;

    const EXECUTION: &str =
        "arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-deploy:4f1c-2.1.0";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the log line of an invocation with `payload`, after `work` in its span.
    fn line_with(payload: &Value, level: LevelFilter, work: impl FnOnce()) -> Value {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = logging::subscriber(move || writer.clone(), level);
        tracing::subscriber::with_default(subscriber, || {
            span("request-1", payload).in_scope(|| {
                work();
                tracing::error!(error = "Transient", "it failed");
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        serde_json::from_str(line).unwrap()
    }

    fn fields(payload: &Value) -> Value {
        let mut span = line_with(payload, LevelFilter::INFO, || ())["span"].take();
        assert_eq!(span["request_id"], "request-1");
        let span = span.as_object_mut().unwrap();
        span.retain(|name, _| name != "request_id" && name != "name");
        json!(span)
    }

    #[test]
    fn a_line_is_an_object_that_lambda_and_insights_read() {
        let line = line_with(&json!({}), LevelFilter::INFO, || ());
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert_eq!(
            (&line["level"], &line["message"], &line["error"]),
            (&json!("ERROR"), &json!("it failed"), &json!("Transient"))
        );
    }

    #[test]
    fn a_request_adds_what_it_names_and_no_token() {
        let id = DeploymentId::of_execution(EXECUTION);
        let task = json!({"token": "secret-token", "execution": EXECUTION, "entered_at": "t", "retry": 0});
        let execute = json!({"action": "execute", "deployment": id, "task": task});
        assert_eq!(fields(&execute), json!({"action": "execute", "deployment": id, "execution": EXECUTION}));
        let input =
            json!({"component": "web", "version": "1.0.0", "stage": "ci", "overrides": {"Password": "p"}});
        let begin = json!({"action": "begin", "execution": EXECUTION, "input": input});
        let expected = json!({
            "action": "begin", "deployment": id, "execution": EXECUTION, "component": "web", "stage": "ci",
        });
        assert_eq!(fields(&begin), expected);
        let copy = json!({"action": "observe", "promotion": id});
        assert_eq!(fields(&copy), json!({"action": "observe", "deployment": id}));
        let request = json!({"action": "distribute", "execution": EXECUTION, "image": "logstash"});
        assert_eq!(
            fields(&request),
            json!({"action": "distribute", "execution": EXECUTION, "image": "logstash"})
        );
    }

    #[test]
    fn a_request_about_a_commit_adds_repository_and_commit() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let of_commit = json!({"repository": "github.acme.logs", "ref": "refs/heads/main", "commit": sha});
        assert_eq!(fields(&of_commit), json!({"repository": "github.acme.logs", "commit": sha}));
        let forged = json!({"repository": "no repository", "commit": "HEAD"});
        assert_eq!(fields(&forged), json!({}));
        let component = "web".parse().unwrap();
        let line = line_with(&of_commit, LevelFilter::INFO, || about_component(&component));
        assert_eq!((&line["span"]["component"], &line["span"]["commit"]), (&json!("web"), &json!(sha)));
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        let strange =
            json!({"action": "a b", "deployment": 1, "execution": "x".repeat(257), "stage": "Not A Stage"});
        assert_eq!(fields(&strange), json!({}));
    }

    #[test]
    fn a_request_to_the_functions_url_adds_nothing_before_it_is_verified() {
        let forged = json!({"requestContext": {}, "stage": "production", "deployment": "x"});
        assert_eq!(fields(&forged), json!({}));
        let line = line_with(&forged, LevelFilter::INFO, || {
            about_request(&json!({"action": "unlock", "stage": "ci"}))
        });
        assert_eq!((&line["span"]["action"], &line["span"]["stage"]), (&json!("unlock"), &json!("ci")));
    }

    #[test]
    fn a_record_adds_what_the_request_does_not_name() {
        let stack = StackRun::new("web".parse().unwrap(), "web".into(), "lockstep-ci-web".parse().unwrap());
        let start = DeploymentStart {
            id: DeploymentId::of_execution(EXECUTION),
            execution: EXECUTION.to_owned(),
            version: "1.0.0".parse().unwrap(),
            stage: "ci".parse().unwrap(),
            location: serde_json::from_value(json!({"account": "111111111111", "region": "eu-west-1"}))
                .unwrap(),
            path: DeploymentPath::Delivery,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let deployment = Deployment::new(start, TeardownBody { stack, digest: None });
        // The span remains where a filter of levels leaves only errors.
        let line =
            line_with(&json!({"deployment": deployment.id}), LevelFilter::ERROR, || about(&deployment));
        for (name, value) in [("component", "web"), ("stage", "ci"), ("execution", EXECUTION)] {
            assert_eq!(line["span"][name], value, "{line}");
        }
        let line = line_with(&json!({"wake": "operation"}), LevelFilter::INFO, || about_execution(EXECUTION));
        assert_eq!(line["span"]["deployment"], json!(deployment.id));
    }
}
