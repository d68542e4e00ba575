//! Image promotions whose execution has ended.

use super::fixture::{Fixture, at, execution, id, promotion};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Image, ImageShare, ImageState};
use serde_json::{Value, json};

fn place(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

impl Fixture {
    /// Stores a promotion called `name` from the first account to the second, and `record` of its image in
    /// one of them.
    async fn promotes(&self, name: &str, record: impl FnOnce(Image) -> Image) {
        self.put(&promotion(name)).await;
        let image = Image {
            name: "logstash".parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            location: place("111111111111"),
            path: DeploymentPath::Delivery,
            state: ImageState::Available,
            ami: None,
            snapshots: Default::default(),
            source_ami: "ami-0123456789abcdef0".parse().unwrap(),
            commit: None,
            recorded_by: "import".into(),
            recorded_at: at(0),
        };
        self.put(&record(image)).await;
    }

    /// Returns the requests that the image function received.
    fn asked(&self) -> Vec<Value> {
        let all = self.cloud.take_invocations().into_iter();
        all.filter(|(function, _)| function == "lockstep-promotion-image")
            .map(|(_, payload)| payload)
            .collect()
    }
}

/// Stores a promotion called `name` from the first account to the second, and the record of its share.
async fn shares(fixture: &Fixture, name: &str) {
    fixture.put(&promotion(name)).await;
    let share = ImageShare {
        image: "logstash".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        source: place("111111111111"),
        account: "222222222222".parse().unwrap(),
        promotions: [id(name)].into(),
    };
    fixture.put(&share).await;
}

#[tokio::test]
async fn the_sharing_function_withdraws_the_shares_of_a_dead_promotion() {
    let fixture = Fixture::new().await;
    shares(&fixture, "dead").await;
    fixture.cloud.set_execution(&execution("dead"), "ABORTED");
    let report = fixture.sweep(1).await;
    assert_eq!(
        report.abandoned,
        ["logstash@2.1.0 to account 222222222222, eu-west-1: its execution had ended"]
    );
    assert_eq!(fixture.asked(), [json!({"action": "abandon", "promotion": id("dead")})]);
}

#[tokio::test]
async fn a_copy_of_a_dead_promotion_is_abandoned_without_a_share() {
    let fixture = Fixture::new().await;
    let pending = |image| Image {
        location: place("222222222222"),
        state: ImageState::Promoting,
        recorded_by: execution("dead"),
        ..image
    };
    fixture.promotes("dead", pending).await;
    fixture.cloud.set_execution(&execution("dead"), "TIMED_OUT");
    assert_eq!(fixture.sweep(1).await.abandoned.len(), 1);
    assert_eq!(fixture.asked().len(), 1);
}

#[tokio::test]
async fn a_promotion_that_may_still_run_is_left_alone() {
    for status in [Some("RUNNING"), None] {
        let fixture = Fixture::new().await;
        shares(&fixture, "alive").await;
        if let Some(status) = status {
            fixture.cloud.set_execution(&execution("alive"), status);
        }
        assert!(fixture.sweep(1).await.abandoned.is_empty());
        assert!(fixture.asked().is_empty());
    }
}
