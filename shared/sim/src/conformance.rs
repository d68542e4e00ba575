//! Promises of every ledger, as one body of assertions: run against the in-process engine and against an emulator.

use lockstep_aws::ledger::{Inserted, Ledger, Order, Write};
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::{Config, ConfigKind, LogEntry, Record, Repository};

/// Asserts the promises of [`Ledger`], in a table whose partitions `CONFIG`, `REPOSITORY#github.acme.*` and
/// `DEPLOYMENT#…` of a made-up deployment are empty.
///
/// # Panics
/// If a promise is broken.
pub async fn holds_what_a_ledger_promises(records: &Ledger) {
    one_insertion_wins(records).await;
    a_stale_writer_loses(records).await;
    both_writes_happen_or_none(records).await;
    lists_are_bounded_ordered_and_of_one_prefix(records).await;
    what_was_removed_is_gone_and_may_come_again(records).await;
    a_record_larger_than_an_item_comes_back_whole(records).await;
}

fn repository(name: &str, branch: &str) -> Repository {
    Repository {
        id: format!("github.acme.{name}").parse().expect("an id"),
        base_url: "https://api.github.com".into(),
        branch: branch.into(),
        branches: Vec::new(),
        added_by: "arn:aws:iam::111111111111:user/ada".into(),
        added_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

async fn one_insertion_wins(records: &Ledger) {
    let first = repository("one", "main");
    assert_eq!(records.get::<Repository>(&first.key()).await.expect("a read"), None);
    let Inserted::New(stored) = records.insert(&first).await.expect("an insertion") else {
        panic!("nothing was there")
    };
    assert_eq!((&stored.record, stored.rev()), (&first, 1));
    let second = repository("one", "trunk");
    let Inserted::Exists(found) = records.insert(&second).await.expect("an insertion") else {
        panic!("something was there")
    };
    assert_eq!(found, stored);
    assert_eq!(records.get(&first.key()).await.expect("a read"), Some(stored));
}

async fn a_stale_writer_loses(records: &Ledger) {
    let old = records.insert(&repository("stale", "main")).await.expect("an insertion").into_inner();
    let new = records.replace(&old, repository("stale", "a")).await.expect("the first writer wins");
    assert_eq!(new.rev(), 2);
    let lost = records.replace(&old, repository("stale", "b")).await.expect_err("the second loses");
    assert_eq!(lost.kind, FailureKind::Conflict);
    let lost = records.remove(&old).await.expect_err("so does a stale removal");
    assert_eq!(lost.kind, FailureKind::Conflict);
    assert_eq!(records.get(&new.record.key()).await.expect("a read"), Some(new));
}

async fn both_writes_happen_or_none(records: &Ledger) {
    let a = records.insert(&repository("a", "main")).await.expect("an insertion").into_inner();
    let b = records.insert(&repository("b", "main")).await.expect("an insertion").into_inner();
    let (new_a, new_b) = (repository("a", "x"), repository("b", "x"));
    let newer_b = records.replace(&b, repository("b", "meanwhile")).await.expect("a write");
    let lost = records.replace_both((&a, &new_a), (&b, &new_b)).await.expect_err("b has changed");
    assert_eq!(lost.kind, FailureKind::Conflict);
    assert_eq!(records.get(&new_a.key()).await.expect("a read"), Some(a.clone()));
    records.replace_both((&a, &new_a), (&newer_b, &new_b)).await.expect("both are current");
    for (written, rev) in [(new_a, 2), (new_b, 3)] {
        let found = records.get::<Repository>(&written.key()).await.expect("a read").expect("it is there");
        assert_eq!((found.record.clone(), found.rev()), (written, rev));
    }
}

async fn lists_are_bounded_ordered_and_of_one_prefix(records: &Ledger) {
    for version in [2, 10, 1] {
        let config = Config {
            config: ConfigKind::Stages,
            version,
            text: String::new(),
            applied_by: "ada".into(),
            applied_at: jiff::Timestamp::UNIX_EPOCH,
        };
        records.insert(&config).await.expect("an insertion");
        let other = Config { config: ConfigKind::Parameters, ..config };
        records.insert(&other).await.expect("an insertion");
    }
    let partition = ConfigKind::Stages.versions();
    let mut versions = Vec::new();
    for (order, limit) in [(Order::Oldest, 9), (Order::Newest, 9), (Order::Newest, 1), (Order::Oldest, 0)] {
        let found = records.list::<Config>(&partition, order, limit).await.expect("a list");
        versions.push(found.iter().map(|config| config.record.version).collect::<Vec<_>>());
    }
    assert_eq!(versions, [vec![1, 2, 10], vec![10, 2, 1], vec![10], vec![]]);
}

async fn what_was_removed_is_gone_and_may_come_again(records: &Ledger) {
    let step = LogEntry {
        deployment: lockstep_domain::model::ids::DeploymentId::of_execution("conformance"),
        number: 1,
        note: "began".into(),
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    let stored = records.insert(&step).await.expect("an insertion").into_inner();
    records.remove(&stored).await.expect("a removal");
    records.remove(&stored).await.expect("it is gone already");
    assert_eq!(records.get::<LogEntry>(&step.key()).await.expect("a read"), None);
    assert!(matches!(records.insert(&step).await, Ok(Inserted::New(_))));
}

/// DynamoDB refuses an item of more than 400 KB.
async fn a_record_larger_than_an_item_comes_back_whole(records: &Ledger) {
    let large = |line: &str| Config {
        config: ConfigKind::People,
        version: 1,
        text: line.repeat(900 * 1024 / line.len()),
        applied_by: "ada".into(),
        applied_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let first = large("one line of text\n");
    let stored = records.insert(&first).await.expect("an insertion").into_inner();
    assert_eq!(records.get(&first.key()).await.expect("a read"), Some(stored.clone()));
    let Inserted::Exists(found) = records.insert(&large("another\n")).await.expect("an insertion") else {
        panic!("something was there")
    };
    assert_eq!(found, stored);
    let second = records.replace(&stored, large("a second line\n")).await.expect("a write");
    assert_eq!(records.get(&first.key()).await.expect("a read"), Some(second.clone()));
    let third = Config { applied_by: "grace".into(), ..second.record.clone() };
    records.transact(vec![Write::replace(&second, &third).expect("a write")]).await.expect("a transaction");
    let listed =
        records.list::<Config>(&ConfigKind::People.versions(), Order::Newest, 9).await.expect("a list");
    assert_eq!(listed.into_iter().map(|found| found.record).collect::<Vec<_>>(), [third]);
}
