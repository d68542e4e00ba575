//! Reads the webhook's log: the last accepted delivery of each repository, and the refused ones.

use super::{Doctor, known};
use jiff::{Timestamp, ToSpan};
use lockstep_aws::operator::readings;
use lockstep_domain::installation::doctor::{Reading, WebhookFacts};
use lockstep_domain::records::Repository;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The webhook's log group.
const LOG_GROUP: &str = "/aws/lambda/lockstep-webhook";

/// Number of days of the log that are read.
const DAYS: u32 = 7;

/// Maximum number of lines, and of repositories, that are read.
const LINES_MAX: usize = 10_000;
const REPOSITORIES_MAX: usize = 500;

/// The path of a hook, up to the repository's id.
const HOOKS: &str = "/hooks/";

/// A line that the webhook writes for each request.
#[derive(Deserialize)]
struct Line {
    status: u16,
    path: String,
}

impl Doctor {
    /// Reads the log's lines about each registered repository.
    pub(super) async fn webhooks(&self) -> Reading<Vec<WebhookFacts>> {
        let (_, ledger) = self.ledger()?;
        let repositories = known(ledger.list_kind::<Repository>(REPOSITORIES_MAX).await)?;
        let now = Timestamp::now();
        let since = now.checked_sub((i64::from(DAYS) * 24).hours()).unwrap_or(now).as_millisecond();
        let pattern = format!("\"{HOOKS}\"");
        let lines = readings::log_lines(&self.connection.aws, LOG_GROUP, &pattern, since, LINES_MAX).await;
        let lines = known(lines)?;
        let repositories = repositories.iter().map(|found| found.record.id.as_str());
        Ok(repositories.map(|repository| facts(repository, &lines)).collect())
    }
}

/// Returns the facts of a repository from the log's `lines`, oldest first. Refusals count since its last accepted
/// delivery.
fn facts(repository: &str, lines: &[(i64, String)]) -> WebhookFacts {
    let mut last_accepted = None;
    let mut refusals: BTreeMap<u16, u32> = BTreeMap::new();
    for (time, text) in lines {
        let Ok(line) = serde_json::from_str::<Line>(text) else { continue };
        let is_its = line.path.strip_prefix(HOOKS).is_some_and(|id| id.eq_ignore_ascii_case(repository));
        if !is_its {
            continue;
        }
        if line.status < 300 {
            last_accepted = Timestamp::from_millisecond(*time).ok();
            refusals.clear();
        } else {
            *refusals.entry(line.status).or_default() += 1;
        }
    }
    let refusals = refusals.into_iter().collect();
    WebhookFacts { repository: repository.to_owned(), last_accepted, refusals, days: DAYS }
}

#[cfg(test)]
mod tests {
    use super::facts;

    fn line(time: i64, status: u16, path: &str) -> (i64, String) {
        (time, format!(r#"{{"level":"INFO","status":{status},"path":"{path}","message":"x"}}"#))
    }

    #[test]
    fn refusals_count_from_the_last_accepted_delivery_on() {
        let lines = [
            line(1000, 401, "/hooks/github.acme.logs"),
            line(2000, 202, "/hooks/github.acme.logs"),
            line(3000, 401, "/hooks/github.acme.logs"),
            line(4000, 401, "/hooks/github.acme.logs"),
            line(5000, 404, "/hooks/github.acme.other"),
            (6000, "START RequestId: 1".to_owned()),
        ];
        let found = facts("github.acme.logs", &lines);
        assert_eq!(found.last_accepted.unwrap().as_millisecond(), 2000);
        assert_eq!(found.refusals, [(401, 2)]);
        assert_eq!(facts("github.acme.other", &lines).refusals, [(404, 1)]);
        assert_eq!(facts("github.acme.third", &lines).last_accepted, None);
    }
}
