//! Retries and catches: the errors that a state handles, and the time before the next attempt
//! (<https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>).

use super::TaskError;
use serde_json::Value;
use std::time::Duration;

/// The retriers of one state during one visit to it.
pub(super) struct Retries<'a> {
    retriers: &'a [Value],
    used: Vec<u32>,
}

impl<'a> Retries<'a> {
    /// Returns the retriers of `state`, all unused.
    pub(super) fn of(state: &'a Value) -> Self {
        let retriers = state["Retry"].as_array().map_or(&[][..], Vec::as_slice);
        Self { retriers, used: vec![0; retriers.len()] }
    }

    /// Returns the time before the next attempt after `error`, or `None` if no retry is left.
    ///
    /// The first retrier that names the error decides, even if its attempts are used up. `chance`, between 0 and 1, is
    /// the position within full jitter.
    pub(super) fn after(&mut self, error: &TaskError, chance: f64) -> Option<Duration> {
        let found = self.retriers.iter().position(|retrier| names(retrier, error))?;
        let retrier = &self.retriers[found];
        let number = |field: &str, default: f64| retrier[field].as_f64().unwrap_or(default);
        let tried = self.used[found];
        if f64::from(tried) >= number("MaxAttempts", 3.0) {
            return None;
        }
        self.used[found] += 1;
        let exponent = i32::try_from(tried).unwrap_or(i32::MAX);
        let delay = number("IntervalSeconds", 1.0) * number("BackoffRate", 2.0).powi(exponent);
        let delay = delay.min(number("MaxDelaySeconds", f64::MAX));
        let jitter = if retrier["JitterStrategy"] == "FULL" { chance } else { 1.0 };
        Some(Duration::from_secs_f64(delay * jitter))
    }
}

/// Returns the first catcher of `state` that names `error`.
pub(super) fn catcher<'a>(state: &'a Value, error: &TaskError) -> Option<&'a Value> {
    state["Catch"].as_array()?.iter().find(|catcher| names(catcher, error))
}

fn names(entry: &Value, error: &TaskError) -> bool {
    let listed = entry["ErrorEquals"].as_array().into_iter().flatten().filter_map(Value::as_str);
    listed.into_iter().any(|name| match name {
        // A wildcard catches neither of these two.
        "States.ALL" => !matches!(error.error.as_str(), "States.DataLimitExceeded" | "States.Runtime"),
        "States.TaskFailed" => error.error != "States.Timeout",
        name => name == error.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(name: &str) -> TaskError {
        TaskError::new(name, "")
    }

    fn seconds(retries: &mut Retries<'_>, name: &str) -> Option<f64> {
        retries.after(&error(name), 0.5).map(|delay| delay.as_secs_f64())
    }

    #[test]
    fn the_first_retrier_that_names_an_error_decides_each_with_its_own_count() {
        let state = json!({"Retry": [
            {"ErrorEquals": ["A"], "IntervalSeconds": 10, "BackoffRate": 3, "MaxAttempts": 2},
            {"ErrorEquals": ["A", "B"], "JitterStrategy": "FULL", "IntervalSeconds": 4, "MaxDelaySeconds": 6},
        ]});
        let mut retries = Retries::of(&state);
        let delays = ["A", "B", "A", "A", "B", "C"].map(|name| seconds(&mut retries, name));
        assert_eq!(delays, [Some(10.0), Some(2.0), Some(30.0), None, Some(3.0), None]);
    }

    #[test]
    fn task_failed_excludes_timeouts_and_all_excludes_fatal_errors() {
        let state = json!({"Catch": [
            {"ErrorEquals": ["States.TaskFailed"], "Next": "Failed"},
            {"ErrorEquals": ["States.ALL"], "Next": "All"},
        ]});
        let next = |name: &str| catcher(&state, &error(name)).map(|found| found["Next"].clone());
        assert_eq!(next("Bug"), Some(json!("Failed")));
        assert_eq!(next("States.Timeout"), Some(json!("All")));
        assert_eq!(next("States.Runtime"), Some(json!("Failed")));
    }

    #[test]
    fn a_state_without_retriers_never_retries() {
        assert_eq!(seconds(&mut Retries::of(&json!({})), "A"), None);
    }
}
