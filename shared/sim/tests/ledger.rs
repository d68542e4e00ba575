//! The ledger over the in-process DynamoDB engine.

use lockstep_aws::clock;
use lockstep_aws::ledger::{Inserted, Ledger, Order, Write};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::resource_change::{Change, Impact};
use lockstep_domain::records::{
    Approval, Callback, CallbackState, ChangeSet, DeliveryEnd, DeployBody, Deployment, DeploymentStart,
    DeploymentState, FailedEvent, Partition, Record as _, StackRun, Subject, Table, WebhookDelivery,
    WebhookDeliveryState,
};
use lockstep_sim::FakeAws;
use lockstep_sim::conformance::holds_what_a_ledger_promises;

fn ledger() -> (FakeAws, Ledger) {
    let cloud = FakeAws::new();
    let ledger = Ledger::new(&cloud.aws());
    (cloud, ledger)
}

fn wait(operation: &str, state: CallbackState) -> Callback {
    Callback { operation: operation.into(), state, at: clock::now() }
}

fn open(token: &str) -> CallbackState {
    CallbackState::Open { token: token.into(), execution: "e".into(), entered_at: clock::now(), retry: 0 }
}

fn long_ago(operation: &str) -> Callback {
    Callback { operation: operation.into(), state: CallbackState::Completed, at: jiff::Timestamp::UNIX_EPOCH }
}

#[tokio::test]
async fn the_table_keeps_the_promises_of_a_ledger() {
    holds_what_a_ledger_promises(&ledger().1).await;
}

/// Returns a deployment with a value in every field: flattened enums, maps, nested lists.
fn full_deployment() -> Deployment {
    let change_set = ChangeSet {
        review: Default::default(),
        arn: "arn:change-set".into(),
        attempt: 2,
        changes: vec![Change {
            logical_id: "Child.Queue".into(),
            resource_type: "AWS::SQS::Queue".into(),
            action: "Modify".into(),
            replacement: "Conditional".into(),
            properties: vec!["DelaySeconds".into()],
            tags_only: false,
            drift: None,
            impact: Impact::DataLoss,
        }],
        unexamined: Vec::new(),
        template_digest: Digest::of(b"t"),
        parameters_digest: Digest::of(b"p"),
        late_digest: None,
    };
    let repository = "github.acme.logs".parse().unwrap();
    let run = StackRun::new("logs".parse().unwrap(), "logs".into(), "ci-logs".parse().unwrap());
    let stack = StackRun { arn: Some("arn:stack".into()), ..run };
    let body = DeployBody {
        overrides: [("Size".to_owned(), String::new())].into(),
        parameters: [("Size".to_owned(), "007".to_owned())].into(),
        parameters_digest: Some(Digest::of(b"p")),
        change_set: Some(change_set.clone()),
        stack_changed: true,
        diagnosis: vec![FailedEvent {
            logical_id: "Queue".into(),
            resource_type: "AWS::SQS::Queue".into(),
            status: "CREATE_FAILED".into(),
            reason: "exists".into(),
            denied: None,
            line: Some(12),
            at: clock::now(),
        }],
        ..DeployBody::new(stack, Digest::of(b"d"), Digest::of(b"t"), repository)
    };
    let start = DeploymentStart {
        id: DeploymentId::of_execution("e"),
        execution: "e".into(),
        version: "1.2.3-fix.4".parse().unwrap(),
        stage: "ci".parse().unwrap(),
        location: Location { account: "000000000001".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        path: DeploymentPath::Promotion,
        at: clock::now(),
    };
    Deployment {
        state: DeploymentState::AwaitingApproval,
        epoch: u64::from(u32::MAX) + 7,
        approvals: vec![Approval {
            shown: None,
            number: 1,
            reasons: vec!["ünïcode".into()],
            subject: Subject::ChangeSet(change_set),
            digest: Some(Digest::of(b"d")),
            asked_at: clock::now(),
        }],
        ..Deployment::new(start, body)
    }
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_stored() {
    let (_, ledger) = ledger();
    let deployment = full_deployment();
    ledger.insert(&deployment).await.unwrap();
    let found = ledger.get::<Deployment>(&deployment.key()).await.unwrap().unwrap();
    assert_eq!(found.record, deployment);
    let event = WebhookDelivery {
        provider: "github".into(),
        delivery: "d".into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        pusher: None,
        state: WebhookDeliveryState::Finished,
        execution: "e".into(),
        end: Some(DeliveryEnd::quarantined("why")),
        accepted_at: clock::now(),
        finished_at: Some(clock::now()),
    };
    ledger.insert(&event).await.unwrap();
    assert_eq!(ledger.get::<WebhookDelivery>(&event.key()).await.unwrap().unwrap().record, event);
}

#[tokio::test]
async fn an_item_of_another_kind_is_a_bug_and_never_absence() {
    let (_, ledger) = ledger();
    let stored = wait("x", open("a"));
    ledger.insert(&stored).await.unwrap();
    let error = ledger.get::<WebhookDelivery>(&stored.key()).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Bug);
}

#[tokio::test]
async fn an_expired_item_counts_as_gone_before_it_is_deleted() {
    let (_, ledger) = ledger();
    let expired = long_ago("x");
    ledger.insert(&expired).await.unwrap();
    assert_eq!(ledger.get::<Callback>(&expired.key()).await.unwrap(), None);
    let partition = Partition { table: Table::Callbacks, pk: "WAIT#x".into(), prefix: String::new() };
    assert!(ledger.list::<Callback>(&partition, Order::Oldest, 9).await.unwrap().is_empty());
    let fresh = wait("x", open("a"));
    assert!(matches!(ledger.insert(&fresh).await.unwrap(), Inserted::New(_)));
    assert_eq!(ledger.get::<Callback>(&fresh.key()).await.unwrap().unwrap().record, fresh);
}

#[tokio::test]
async fn a_transaction_may_insert_over_an_expired_item() {
    let (_, ledger) = ledger();
    ledger.insert(&long_ago("x")).await.unwrap();
    let fresh = wait("x", open("a"));
    ledger.transact(vec![Write::insert(&fresh).unwrap()]).await.unwrap();
    assert_eq!(ledger.get::<Callback>(&fresh.key()).await.unwrap().unwrap().record, fresh);
}

#[tokio::test]
async fn a_write_with_a_lost_reply_does_not_conflict_with_itself() {
    let (cloud, ledger) = ledger();
    let old = ledger.insert(&wait("x", open("a"))).await.unwrap().into_inner();
    cloud.take_calls();
    cloud.lose_next_answer("PutItem");
    let new = ledger.replace(&old, wait("x", open("b"))).await.unwrap();
    assert_eq!(cloud.take_calls(), ["PutItem", "PutItem"]);
    assert_eq!(ledger.get::<Callback>(&new.record.key()).await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_transaction_with_a_lost_reply_does_not_conflict_with_itself() {
    let (cloud, ledger) = ledger();
    let old = ledger.insert(&wait("x", open("a"))).await.unwrap().into_inner();
    cloud.lose_next_answer("TransactWriteItems");
    let new = wait("x", open("b"));
    ledger.transact(vec![Write::replace(&old, &new).unwrap()]).await.unwrap();
    assert_eq!(ledger.get::<Callback>(&new.key()).await.unwrap().unwrap().record, new);
}

#[tokio::test]
async fn one_lost_condition_cancels_the_whole_transaction() {
    let (_, ledger) = ledger();
    let a = ledger.insert(&wait("a", open("1"))).await.unwrap().into_inner();
    let stale = ledger.insert(&wait("b", open("1"))).await.unwrap().into_inner();
    let b = ledger.replace(&stale, wait("b", open("2"))).await.unwrap();
    let changed = wait("a", open("3"));
    for losing in [
        Write::replace(&stale, &wait("b", open("3"))).unwrap(),
        Write::insert(&wait("b", open("3"))).unwrap(),
        Write::remove(&stale),
        Write::unchanged(&stale),
    ] {
        let writes = vec![Write::replace(&a, &changed).unwrap(), losing];
        let lost = ledger.transact(writes).await.unwrap_err();
        assert_eq!(lost.kind, FailureKind::Conflict);
        assert!(lost.message.contains("WAIT#b"), "{lost}");
        assert_eq!(ledger.get::<Callback>(&a.record.key()).await.unwrap(), Some(a.clone()));
    }
    ledger.transact(vec![Write::replace(&a, &changed).unwrap(), Write::unchanged(&b)]).await.unwrap();
    assert_eq!(ledger.get::<Callback>(&changed.key()).await.unwrap().unwrap().record, changed);
}

#[tokio::test]
async fn a_record_never_moves_to_another_key() {
    let (_, ledger) = ledger();
    let a = ledger.insert(&wait("a", open("1"))).await.unwrap().into_inner();
    assert_eq!(ledger.replace(&a, wait("b", open("1"))).await.unwrap_err().kind, FailureKind::Bug);
    assert!(Write::replace(&a, &wait("b", open("1"))).is_err());
}

#[tokio::test]
async fn records_of_one_kind_are_listed_newest_first() {
    let (_, ledger) = ledger();
    for second in [5, 9, 7] {
        let id = DeploymentId::of_execution(&second.to_string());
        let started_at = jiff::Timestamp::from_second(second).unwrap();
        ledger.insert(&Deployment { id, started_at, ..full_deployment() }).await.unwrap();
    }
    ledger.insert(&wait("x", open("a"))).await.unwrap();
    let listed = ledger.list_kind::<Deployment>(2).await.unwrap();
    let seconds: Vec<_> = listed.iter().map(|d| d.record.started_at.as_second()).collect();
    assert_eq!(seconds, [9, 7]);
}

#[tokio::test]
async fn a_write_of_a_large_record_stores_only_new_parts() {
    let (cloud, ledger) = ledger();
    let mut deployment = full_deployment();
    let value = |number: usize| (format!("Parameter{number:03}"), format!("{number:03}").repeat(4096 / 3));
    deployment.deploy_mut().unwrap().parameters = (0..200).map(value).collect();
    let first = ledger.insert(&deployment).await.unwrap().into_inner();
    assert_eq!(
        cloud.take_calls(),
        ["PutItem", "PutItem", "PutItem", "PutItem"],
        "three parts, then the record"
    );
    let second = ledger.replace(&first, Deployment { epoch: 9, ..deployment.clone() }).await.unwrap();
    assert_eq!(cloud.take_calls(), ["PutItem"]);
    let found = ledger.get::<Deployment>(&deployment.key()).await.unwrap();
    assert_eq!(found, Some(second));
    assert_eq!(cloud.take_calls(), ["GetItem", "GetItem", "GetItem", "GetItem"]);
    let small = full_deployment();
    let third = ledger.replace(&found.unwrap(), small.clone()).await.unwrap();
    cloud.take_calls();
    assert_eq!(ledger.get::<Deployment>(&small.key()).await.unwrap(), Some(third));
    assert_eq!(cloud.take_calls(), ["GetItem"]);
}

#[tokio::test]
async fn an_old_unfinished_deployment_is_in_every_list_of_the_newest() {
    let (_, ledger) = ledger();
    let at = |second: i64, state| {
        let mut deployment = full_deployment();
        deployment.id = DeploymentId::of_execution(&format!("execution-{second}"));
        deployment.started_at = jiff::Timestamp::from_second(second).unwrap();
        deployment.state = state;
        deployment
    };
    let waiting = at(1, DeploymentState::AwaitingApproval);
    ledger.insert(&waiting).await.unwrap();
    for second in 2..9 {
        ledger.insert(&at(second, DeploymentState::Succeeded)).await.unwrap();
    }
    let ids = |found: Vec<lockstep_aws::ledger::Versioned<Deployment>>| {
        found.into_iter().map(|found| found.record.id).collect::<Vec<_>>()
    };
    let newest = ids(ledger.list_kind::<Deployment>(2).await.unwrap());
    assert_eq!(newest, [waiting.id.clone(), at(8, DeploymentState::Succeeded).id]);
    let unfinished = ids(ledger.every_listed::<Deployment>(Deployment::UNFINISHED).await.unwrap());
    assert_eq!(unfinished, std::slice::from_ref(&waiting.id));
    let stored = ledger.get::<Deployment>(&waiting.key()).await.unwrap().unwrap();
    ledger.replace(&stored, at(1, DeploymentState::Succeeded)).await.unwrap();
    assert!(ids(ledger.every_listed::<Deployment>(Deployment::UNFINISHED).await.unwrap()).is_empty());
}
