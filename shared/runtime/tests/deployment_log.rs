//! The deployment log, over the in-process DynamoDB engine.

use jiff::Timestamp;
use lockstep_aws::ledger::{Ledger, Order};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::LogEntry;
use lockstep_runtime::deployment_log::{append, next};
use lockstep_sim::logged::Logged;
use lockstep_sim::{FakeAws, Interceptor, Reply, Request};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn id() -> DeploymentId {
    DeploymentId::of_execution("e")
}

async fn lines(ledger: &Ledger) -> Vec<(u32, String)> {
    let partition = LogEntry::all_of(&id());
    let found = ledger.list::<LogEntry>(&partition, Order::Oldest, 99).await.unwrap();
    found.into_iter().map(|line| (line.record.number, line.record.note)).collect()
}

fn expected(lines: &[&str]) -> Vec<(u32, String)> {
    (1..).zip(lines.iter().map(|line| (*line).to_owned())).collect()
}

/// Writes a line of its own before each of this number of lines.
struct Rival(AtomicUsize);

impl Interceptor for Rival {
    fn intercept<'a>(
        &'a self,
        request: Request,
        account: &'a FakeAws,
    ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>> {
        Box::pin(async move {
            let left = self.0.load(Ordering::SeqCst);
            if request.operation == "PutItem" && left > 0 {
                self.0.store(left - 1, Ordering::SeqCst);
                let body = request.body.replace("ours", &format!("theirs {left}"));
                account.serve(&Request { body, ..request.clone() });
            }
            Some(account.serve(&request))
        })
    }
}

fn beside_a_rival(lines: usize) -> Ledger {
    let rival = Arc::new(Rival(AtomicUsize::new(lines)));
    Ledger::new(&FakeAws::new().behind(rival).aws())
}

#[tokio::test]
async fn lines_are_numbered_and_a_repeated_line_is_left_out() {
    let ledger = Ledger::new(&FakeAws::new().aws());
    for line in ["a", "a", "b", "a"] {
        append(&ledger, &id(), line, NOW).await.unwrap();
    }
    assert_eq!(lines(&ledger).await, expected(&["a", "b", "a"]));
    assert_eq!(next(&ledger, &id(), "c".to_owned(), NOW).await.unwrap().number, 4);
}

#[tokio::test]
async fn a_line_whose_number_was_taken_gets_the_next_one() {
    let ledger = beside_a_rival(2);
    append(&ledger, &id(), "ours", NOW).await.unwrap();
    assert_eq!(lines(&ledger).await, expected(&["theirs 2", "theirs 1", "ours"]));
}

#[tokio::test]
async fn a_line_whose_reply_was_lost_is_not_written_twice() {
    let account = FakeAws::new();
    let ledger = Ledger::new(&account.aws());
    account.lose_next_answer("PutItem");
    append(&ledger, &id(), "ours", NOW).await.unwrap();
    assert_eq!(lines(&ledger).await, expected(&["ours"]));
}

#[tokio::test]
async fn a_line_without_a_number_is_reported_and_fails_no_operation() {
    let logged = Logged::hear(tracing::Level::ERROR);
    let ledger = beside_a_rival(5);
    append(&ledger, &id(), "ours", NOW).await.unwrap();
    assert_eq!(lines(&ledger).await.len(), 5);
    let text = logged.text();
    assert!(text.contains("ERROR") && text.contains("a line of the deployment log is lost"), "{text}");
    assert!(text.contains("ours") && text.contains(&id().to_string()), "{text}");
}

#[tokio::test]
async fn a_ledger_that_fails_fails_the_operation() {
    struct Broken;
    impl Interceptor for Broken {
        fn intercept<'a>(
            &'a self,
            _: Request,
            _: &'a FakeAws,
        ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>> {
            Box::pin(async { None })
        }
    }
    let ledger = Ledger::new(&FakeAws::new().behind(Arc::new(Broken)).aws());
    append(&ledger, &id(), "ours", NOW).await.unwrap_err();
}
