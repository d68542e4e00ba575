//! Webhook deliveries: unauthenticated, oversized, repeated.

use crate::test_cloud::TestCloud;
use lockstep_aws::operator::executions::Status;
use lockstep_aws::operator::signed::{SignedResponse, post_unsigned};
use lockstep_cli::commands::repositories::{sign, webhook_secret, webhook_url};
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::delivery::webhook::{DELIVERY_HEADER, EVENT_HEADER, MAX_BODY_BYTES, SIGNATURE_HEADER};
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::WebhookDelivery;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::task::JoinSet;

/// Number of copies that arrive at once.
const COPIES: usize = 20;

fn repository() -> Result<RepositoryId, Failure> {
    RepositoryId::github("acme", "logs").map_err(at("the repository"))
}

/// Returns the body of a push to `main`, as the git host writes it.
fn push_of(commit: &str) -> Vec<u8> {
    let body = json!({
        "ref": "refs/heads/main",
        "before": "0000000000000000000000000000000000000000",
        "after": commit,
        "repository": { "full_name": "acme/logs", "default_branch": "main" },
        "pusher": { "name": "ada" },
        "head_commit": { "id": commit, "message": "x", "author": { "name": "Ada Lovelace" } },
    });
    body.to_string().into_bytes()
}

/// Posts a delivery.
async fn deliver(
    url: &str,
    delivery: &str,
    signature: Option<&str>,
    body: Vec<u8>,
) -> Result<SignedResponse, Failure> {
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (EVENT_HEADER.to_owned(), "push".to_owned()),
        (DELIVERY_HEADER.to_owned(), delivery.to_owned()),
    ];
    headers.extend(signature.map(|signature| (SIGNATURE_HEADER.to_owned(), signature.to_owned())));
    Ok(post_unsigned(url, &headers, body).await?)
}

/// The webhook refuses each case before it writes a record or starts an execution.
pub async fn forged_and_oversized_deliveries_are_refused(cloud: &mut TestCloud) -> Result<(), Failure> {
    let plane = cloud.demo.plane().await?;
    let (id, secret) = (repository()?, webhook_secret(&plane, &repository()?).await?);
    let url = webhook_url(&plane, &id).await?;
    // The MAC of one repository does not open the hook of another.
    let nowhere = url.replace("github.acme.logs", "github.acme.nowhere");
    let body = push_of(&cloud.demo.repository().head().await?);
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let good = sign(&secret, &body)?;
    let of_large = sign(&secret, &large)?;
    let cut = good[..good.len() - 1].to_owned();
    let wrong = format!("sha256={}", "0".repeat(64));
    type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a [u8]);
    let cases: [Case; 7] = [
        ("no signature", &url, None, &body),
        ("a wrong signature", &url, Some(&wrong), &body),
        ("a truncated signature", &url, Some(&cut), &body),
        ("the signature of another body", &url, Some(&of_large), &body),
        ("an unknown hook", &nowhere, Some(&good), &body),
        ("a path that is no hook", &format!("{url}/../x"), Some(&good), &body),
        ("a body over the cap", &url, Some(&of_large), &large),
    ];
    let (recorded, started) =
        (cloud.records::<WebhookDelivery>().await?.len(), cloud.releases_started().await?);
    for (case, url, signature, body) in cases {
        let delivery = uuid::Uuid::new_v4().to_string();
        let answer = deliver(url, &delivery, signature, body.to_vec()).await?;
        ensure(answer.status == 401, format!("{case} gets the status 401, not {}", answer.status))?;
    }
    ensure(cloud.records::<WebhookDelivery>().await?.len() == recorded, "no delivery was recorded")?;
    ensure(cloud.releases_started().await? == started, "no release was started")
}

/// Each copy gets the same response, and one of them starts the execution.
pub async fn twenty_copies_of_a_delivery_start_one_execution(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.append("broker/README.md", "\nA commit that is delivered many times.")?;
    cloud.push("A commit to deliver again", Exit::Done).await?;
    let plane = cloud.demo.plane().await?;
    let body = push_of(&cloud.demo.repository().head().await?);
    let signature = sign(&webhook_secret(&plane, &repository()?).await?, &body)?;
    let url = webhook_url(&plane, &repository()?).await?;
    let delivery = uuid::Uuid::new_v4().to_string();
    let (recorded, started) =
        (cloud.records::<WebhookDelivery>().await?.len(), cloud.releases_started().await?);
    let mut copies = JoinSet::new();
    for _ in 0..COPIES {
        let (url, delivery, signature, body) =
            (url.clone(), delivery.clone(), signature.clone(), body.clone());
        copies.spawn(async move { deliver(&url, &delivery, Some(&signature), body).await });
    }
    let mut executions = BTreeSet::new();
    for answer in copies.join_all().await {
        let answer = answer?;
        ensure(answer.status == 202, format!("a copy gets the status 202, not {}", answer.status))?;
        let body: Value = serde_json::from_slice(&answer.body).map_err(at("the response of the webhook"))?;
        executions.insert(body["execution"].as_str().unwrap_or_default().to_owned());
    }
    ensure(executions.len() == 1, format!("every copy names the same execution: {executions:?}"))?;
    ensure(cloud.records::<WebhookDelivery>().await?.len() == recorded + 1, "one delivery was recorded")?;
    ensure(cloud.releases_started().await? == started + 1, "one release was started")?;
    let machine = plane.found.state_machines.release.replace(":stateMachine:", ":execution:");
    let name = executions.into_iter().next().unwrap_or_default();
    let ended = cloud.ended(&format!("{machine}:{name}")).await?;
    ensure(matches!(ended.status, Status::Succeeded { .. }), "the one release succeeds")
}
