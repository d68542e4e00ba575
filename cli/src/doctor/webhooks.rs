//! Reads the webhook's log: the last accepted delivery of each repository, and the refused ones.

use super::{Doctor, known};
use jiff::{Timestamp, ToSpan};
use lockstep_aws::operator::readings;
use lockstep_domain::delivery::hook::LOG_MESSAGE;
use lockstep_domain::installation::doctor::{Reading, WebhookFacts};
use lockstep_domain::records::Repository;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The webhook's log group.
pub const WEBHOOK_LOG_GROUP: &str = "/aws/lambda/lockstep-webhook";

/// Number of days of the log that are read.
const DAYS: u32 = 7;

/// Maximum number of lines, and of repositories, that are read.
const LINES_MAX: usize = 10_000;
const REPOSITORIES_MAX: usize = 500;

/// The fields of the line that the webhook writes for each request.
#[derive(Deserialize)]
struct Line {
    status: u16,
    repository: Option<String>,
    reason: Option<String>,
}

impl Doctor {
    /// Reads the log's lines about each registered repository.
    pub(super) async fn webhooks(&self) -> Reading<Vec<WebhookFacts>> {
        let (_, ledger) = self.ledger()?;
        let repositories = known(ledger.list_kind::<Repository>(REPOSITORIES_MAX).await)?;
        let now = Timestamp::now();
        let since = now.checked_sub((i64::from(DAYS) * 24).hours()).unwrap_or(now).as_millisecond();
        let pattern = format!("\"{LOG_MESSAGE}\"");
        let lines =
            readings::log_lines(&self.connection.aws, WEBHOOK_LOG_GROUP, &pattern, since, LINES_MAX).await;
        let lines = known(lines)?;
        let repositories = repositories.iter().map(|found| found.record.id.as_str());
        Ok(repositories.map(|repository| facts(repository, &lines)).collect())
    }
}

/// Returns the facts of a repository from the log's `lines`, oldest first. Refusals count since its last accepted
/// delivery.
fn facts(repository: &str, lines: &[(i64, String)]) -> WebhookFacts {
    let mut last_accepted = None;
    let mut refusals: BTreeMap<String, u32> = BTreeMap::new();
    for (time, text) in lines {
        let Ok(line) = serde_json::from_str::<Line>(text) else { continue };
        if !line.repository.is_some_and(|id| id.eq_ignore_ascii_case(repository)) {
            continue;
        }
        match line.reason {
            Some(part) => *refusals.entry(part).or_default() += 1,
            None if line.status < 300 => {
                last_accepted = Timestamp::from_millisecond(*time).ok();
                refusals.clear();
            }
            None => {}
        }
    }
    let refusals = refusals.into_iter().collect();
    WebhookFacts { repository: repository.to_owned(), last_accepted, refusals, days: DAYS }
}

#[cfg(test)]
mod tests {
    use super::facts;
    use serde_json::json;

    fn line(time: i64, status: u16, repository: &str, reason: Option<&str>) -> (i64, String) {
        let line = json!({ "level": "INFO", "status": status, "repository": repository, "reason": reason });
        (time, line.to_string())
    }

    #[test]
    fn refusals_count_from_the_last_accepted_delivery_on() {
        let lines = [
            line(1000, 401, "github.acme.logs", Some("signature")),
            line(2000, 202, "github.acme.logs", None),
            line(3000, 401, "github.acme.logs", Some("signature")),
            line(4000, 401, "github.acme.logs", Some("signature")),
            line(5000, 401, "github.acme.other", Some("id")),
            (5500, r#"{"level":"INFO","status":401,"reason":"id"}"#.to_owned()),
            (6000, "START RequestId: 1".to_owned()),
        ];
        let found = facts("github.acme.logs", &lines);
        assert_eq!(found.last_accepted.unwrap().as_millisecond(), 2000);
        assert_eq!(found.refusals, [("signature".to_owned(), 2)]);
        assert_eq!(facts("github.acme.other", &lines).refusals, [("id".to_owned(), 1)]);
        assert_eq!(facts("github.acme.third", &lines).last_accepted, None);
    }
}
