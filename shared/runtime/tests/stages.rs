//! The applied stages, over the in-process DynamoDB engine.

use jiff::Timestamp;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::{Config, ConfigKind};
use lockstep_runtime::stages::{applied, image_settings, stage, stages};
use lockstep_sim::FakeAws;
use lockstep_sim::stages::{stage_text, text_of};

fn stages_text() -> String {
    text_of([stage_text("test", "111111111111"), stage_text("ci", "111111111111").propagating()])
}

async fn ledger(texts: &[&str]) -> Ledger {
    let ledger = Ledger::new(&FakeAws::new().aws());
    for (version, text) in (1..).zip(texts) {
        let (config, text, applied_by) = (ConfigKind::Stages, (*text).to_owned(), "ada".to_owned());
        let config = Config { config, version, text, applied_by, applied_at: Timestamp::UNIX_EPOCH };
        ledger.insert(&config).await.unwrap();
    }
    ledger
}

#[tokio::test]
async fn without_stages_the_failure_names_the_next_command() {
    let ledger = ledger(&[]).await;
    for failure in [
        stages(&ledger).await.unwrap_err(),
        stage(&ledger, &"ci".parse().unwrap()).await.unwrap_err(),
        image_settings(&ledger).await.unwrap_err(),
    ] {
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(failure.message.contains("`lockstep stages apply stages.toml`"), "{failure}");
    }
    assert!(applied(&ledger).await.unwrap().is_none());
}

#[tokio::test]
async fn the_newest_version_counts() {
    let ledger = ledger(&["[[stages]]", &stages_text()]).await;
    assert_eq!(stage(&ledger, &"ci".parse().unwrap()).await.unwrap().name.as_str(), "ci");
    assert!(applied(&ledger).await.unwrap().is_some());
    let absent = stage(&ledger, &"production".parse().unwrap()).await.unwrap_err();
    assert_eq!(absent.kind, FailureKind::NotFound);
}

#[tokio::test]
async fn stages_that_cannot_be_read_are_to_be_applied_again() {
    let ledger = ledger(&["[[stages]]"]).await;
    for failure in [stages(&ledger).await.unwrap_err(), applied(&ledger).await.unwrap_err()] {
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(failure.message.contains("apply it again"), "{failure}");
    }
}
