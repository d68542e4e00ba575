//! Claims to the names of components and images: by pushes, imports and administrators.

use super::fixture::{Fixture, deploy, execution};
use lockstep_domain::messages::inputs::BakeImage;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{ClaimOrigin, OwnedName, Ownership, Release, ReleaseState};
use serde_json::{Value, json};

const OURS: &str = "github.acme.logs";
const THEIRS: &str = "github.acme.beta";

fn component() -> OwnedName {
    OwnedName::Component("logs".parse().unwrap())
}

fn image() -> OwnedName {
    OwnedName::Image("logstash".parse().unwrap())
}

impl Fixture {
    async fn register(&self, id: &str) {
        let base_url = "https://api.github.com";
        let add = json!({"action": "add_repository", "id": id, "base_url": base_url, "branch": "main"});
        assert_eq!(self.ask(add).await.0, 200);
    }

    async fn claim_to(&self, name: &OwnedName) -> Option<Ownership> {
        self.ledger.get(&Ownership::key_of(name)).await.unwrap().map(|found| found.record)
    }

    async fn owner(&self, name: &OwnedName) -> Option<String> {
        self.claim_to(name).await?.owner.map(|owner| owner.to_string())
    }

    async fn assign(&self, name: &OwnedName, to: &str) -> (u16, Value) {
        self.ask(json!({"action": "assign", "name": name, "to": to})).await
    }

    async fn claim_image(&self, repository: &str, reference: &str) -> Result<Value, Failure> {
        let input = BakeImage {
            image: "logstash".parse().unwrap(),
            repository: repository.parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            reference: reference.to_owned(),
            overrides: Default::default(),
        };
        self.invoke(Request::ClaimImage { execution: "arn:bake".into(), input }).await
    }

    /// Stores a draft of a repository, as `package` proposes it.
    async fn draft_of(&self, repository: &str, version: &str) -> Release {
        let stored = self.release(version, ReleaseState::Packaged).await;
        let key = Release::draft_key_of(&stored.component, &stored.version);
        let found = self.versioned::<Release>(&key).await;
        let draft = Release { repository: repository.parse().unwrap(), ..stored };
        self.ledger.replace(&found, draft).await.unwrap().record
    }

    async fn test(&self, name: &str, version: &str) -> Result<(), Failure> {
        let mut test = deploy(version, "test");
        test.environment = Some(format!("logs-{name}"));
        self.begin(name, DeploymentPath::Delivery, test).await.map(drop)
    }

    async fn publish(&self, version: &str) -> Result<Value, Failure> {
        let (component, version) = ("logs".parse().unwrap(), version.parse().unwrap());
        self.invoke(Request::Publish { component, version }).await
    }
}

#[tokio::test]
async fn the_first_test_of_a_release_claims_its_name() {
    let fixture = Fixture::new().await;
    fixture.draft_of(OURS, "1.0.0").await;
    fixture.test("a", "1.0.0").await.unwrap();
    let claim = fixture.claim_to(&component()).await.unwrap();
    assert_eq!((claim.origin, claim.by), (ClaimOrigin::Push, execution("a")));
    assert_eq!(claim.owner, Some(OURS.parse().unwrap()));
    fixture.draft_of(THEIRS, "1.0.1").await;
    let refused = fixture.test("b", "1.0.1").await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("belongs to acme/logs"), "{refused}");
    assert_eq!(fixture.owner(&component()).await.as_deref(), Some(OURS));
    fixture.draft_of(OURS, "1.0.2").await;
    fixture.test("c", "1.0.2").await.unwrap();
}

#[tokio::test]
async fn a_branch_claims_no_name_and_blocks_no_main() {
    let fixture = Fixture::new().await;
    fixture.draft_of(THEIRS, "1.0.0-fix.1").await;
    let refused = fixture.test("a", "1.0.0-fix.1").await.unwrap_err();
    assert!(refused.message.contains("has no owner yet"), "{refused}");
    assert_eq!(fixture.claim_to(&component()).await, None);
    fixture.draft_of(OURS, "1.0.1").await;
    fixture.test("b", "1.0.1").await.unwrap();
    assert_eq!(fixture.owner(&component()).await.as_deref(), Some(OURS));
    fixture.draft_of(OURS, "1.0.2-fix.1").await;
    fixture.test("c", "1.0.2-fix.1").await.unwrap();
}

#[tokio::test]
async fn a_plan_of_a_draft_claims_no_name() {
    let fixture = Fixture::new().await;
    fixture.draft_of(OURS, "1.0.0").await;
    let mut plan = deploy("1.0.0", "test");
    plan.plan_only = true;
    fixture.begin("a", DeploymentPath::Delivery, plan).await.unwrap();
    assert_eq!(fixture.claim_to(&component()).await, None);
}

#[tokio::test]
async fn an_assignment_moves_a_name_and_stops_the_former_owner() {
    let fixture = Fixture::new().await;
    fixture.draft_of(THEIRS, "1.0.0").await;
    fixture.test("a", "1.0.0").await.unwrap();
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    let (status, body) = fixture.assign(&component(), OURS).await;
    assert_eq!((status, &body["error"]), (404, &json!("NotFound")), "it is not registered: {body}");
    fixture.register(OURS).await;
    assert_eq!(fixture.assign(&component(), OURS).await.1["changed"], true);
    assert_eq!(fixture.assign(&component(), OURS).await.1["changed"], false);
    let claim = fixture.claim_to(&component()).await.unwrap();
    assert_eq!((claim.origin, claim.by.as_str()), (ClaimOrigin::Assignment, super::fixture::ADA));
    let refused = fixture.publish("1.0.0").await.unwrap_err();
    assert!(refused.message.contains("belongs to acme/logs"), "{refused}");
    fixture.draft_of(OURS, "1.0.1").await;
    fixture.test("b", "1.0.1").await.unwrap();
}

#[tokio::test]
async fn a_published_release_is_deployable_after_its_name_moved() {
    let fixture = Fixture::new().await;
    fixture.register(THEIRS).await;
    fixture.published("1.0.0", &["test"]).await;
    assert_eq!(fixture.assign(&component(), THEIRS).await.0, 200);
    fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
}

#[tokio::test]
async fn an_image_is_claimed_once_and_from_the_default_branch() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.claim_image(OURS, "refs/heads/main").await.unwrap_err().kind, FailureKind::NotFound);
    for id in [OURS, THEIRS] {
        fixture.register(id).await;
    }
    for branch in ["refs/heads/fix", "fix", "refs/heads/mainly"] {
        let refused = fixture.claim_image(THEIRS, branch).await.unwrap_err();
        assert!(refused.message.contains("has no owner yet"), "{refused}");
    }
    for _ in 0..2 {
        fixture.claim_image(OURS, "refs/heads/main").await.unwrap();
    }
    fixture.claim_image(OURS, "refs/heads/fix").await.unwrap();
    let refused = fixture.claim_image(THEIRS, "refs/heads/main").await.unwrap_err();
    assert!(refused.message.contains("belongs to acme/logs"), "{refused}");
    assert_eq!(fixture.owner(&image()).await.as_deref(), Some(OURS));
}

// The first chain of S5: a recipe with the name of an image that an administrator imported.
#[tokio::test]
async fn an_imported_image_is_not_taken_over_by_a_push() {
    let fixture = Fixture::new().await;
    for id in [OURS, THEIRS] {
        fixture.register(id).await;
    }
    let import = |owner: Option<&str>| {
        let mut request = json!({"action": "claim_imported", "image": "logstash"});
        if let Some(owner) = owner {
            request["owner"] = json!(owner);
        }
        request
    };
    assert_eq!(fixture.ask(import(None)).await, (200, json!({"version": 1, "changed": true})));
    let refused = fixture.claim_image(THEIRS, "refs/heads/main").await.unwrap_err();
    assert!(refused.message.contains("belongs to no repository"), "{refused}");
    assert_eq!(fixture.ask(import(Some(OURS))).await.0, 400, "an import moves no name");
    assert_eq!(fixture.ask(import(None)).await.1["changed"], false);
    assert_eq!(fixture.assign(&image(), OURS).await.1["changed"], true);
    assert_eq!(fixture.ask(import(Some(OURS))).await.1["changed"], false);
    fixture.claim_image(OURS, "refs/heads/main").await.unwrap();
    assert!(fixture.claim_image(THEIRS, "refs/heads/main").await.is_err());
}
