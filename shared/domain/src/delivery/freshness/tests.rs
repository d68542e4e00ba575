use super::*;
use crate::delivery::environment::{acquire, complete, fail};
use crate::delivery::order::round;
use crate::delivery::stages::Stages;
use crate::delivery::stages::testing::{StageText, stage_text, with_production};
use crate::model::caught_error::CaughtError;
use crate::model::image_lock::ImageLock;
use crate::records::{DeployBody, Hold, Input, StackRun, testing};
use jiff::Timestamp;
use proptest::prelude::*;

mod world;

use world::{Landscape, at, body, name};

/// Returns the stage `ci`, to which releases propagate.
fn ci() -> Stage {
    let text = with_production("111111111111", stage_text("production", "222222222222"));
    Stages::parse("s", &text).unwrap().get(&"ci".parse().unwrap()).unwrap().clone()
}

/// Returns the stage of [`ci`], with an approval by a person.
fn approved() -> Stage {
    let text: StageText = stage_text("production", "222222222222").with_approval();
    let stages = Stages::parse("s", &with_production("111111111111", text)).unwrap();
    let approval = stages.get(&"production".parse().unwrap()).unwrap().approval.clone();
    Stage { approval, ..ci() }
}

/// Returns the environment of `component` in `ci` after a deployment with these inputs and this output.
fn running(component: &str, inputs: &[(&str, &str)], output: &str) -> Environment {
    let body = DeployBody {
        inputs: inputs.iter().map(|(of, value)| (of.parse().unwrap(), Input::new(value, false))).collect(),
        outputs: [("Out".to_owned(), output.to_owned())].into(),
        stack_changed: true,
        ..body(component)
    };
    let wanted = Deployment::new(testing::start(&format!("{component} first"), "1.0.0", "ci"), body);
    let taken = acquire(None, &wanted, at(1)).unwrap();
    complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(2))
        .unwrap()
        .environment
        .unwrap()
}

fn consumer() -> Environment {
    running("report", &[("queue.Out", "60")], "r")
}

#[test]
fn input_that_equals_its_source_is_fresh() {
    assert_eq!(stale(&consumer(), &[running("queue", &[], "60")]), []);
}

#[test]
fn changed_input_is_stale_and_names_its_source() {
    let queue = running("queue", &[], "90");
    let source = queue.deployed.as_ref().map(|deployed| deployed.deployment.clone());
    assert_eq!(stale(&consumer(), &[queue]), [StaleInput { input: "queue.Out".parse().unwrap(), source }]);
}

#[test]
fn input_without_a_source_is_stale_and_is_not_redeployed() {
    let gone = StaleInput { input: "queue.Out".parse().unwrap(), source: None };
    assert_eq!(stale(&consumer(), &[]), [gone]);
    assert_eq!(due(&consumer(), 1, &ci(), &[]), None);
}

#[test]
fn clone_of_a_producer_is_no_source() {
    let clone = Environment { name: "queue-2".into(), ..running("queue", &[], "90") };
    assert_eq!(stale(&consumer(), &[running("queue", &[], "60"), clone]), []);
}

#[test]
fn stale_consumer_is_redeployed_only_where_no_person_decides() {
    let all = [running("queue", &[], "90"), consumer()];
    let held = LeaseHolderOf("rival").holder();
    let hold = Some(Hold { by: "arn:ada".into(), reason: "bad night".into(), at: at(0) });
    assert!(due(&consumer(), 1, &ci(), &all).is_some());
    assert_eq!(due(&consumer(), 1, &approved(), &all), None);
    assert_eq!(due(&consumer(), 1, &Stage { propagates: false, ..ci() }, &all), None);
    assert_eq!(due(&Environment { hold, ..consumer() }, 1, &ci(), &all), None);
    assert_eq!(due(&Environment { holder: held.clone(), ..consumer() }, 1, &ci(), &all), None);
    assert_eq!(due(&Environment { name: "report-2".into(), ..consumer() }, 1, &ci(), &all), None);
    // The producer is changing: its end asks again.
    let changing = [Environment { holder: held, ..running("queue", &[], "90") }, consumer()];
    assert_eq!(due(&consumer(), 1, &ci(), &changing), None);
}

struct LeaseHolderOf(&'static str);

impl LeaseHolderOf {
    fn holder(&self) -> Option<crate::records::LeaseHolder> {
        let deployment = DeploymentId::of_execution(self.0);
        Some(crate::records::LeaseHolder { deployment, execution: self.0.into(), since: at(0) })
    }
}

#[test]
fn stacks_that_read_each_other_are_shown_and_not_redeployed() {
    let queue = running("queue", &[("report.Out", "old")], "90");
    let all = [queue.clone(), consumer()];
    assert_eq!(stale(&consumer(), &all).len(), 1);
    assert_eq!(due(&consumer(), 1, &ci(), &all), None);
    assert_eq!(due(&queue, 1, &ci(), &all), None);
}

/// Returns a redeployment of the consumer, and its state before.
fn redeployment() -> (Environment, Deployment) {
    let all = [running("queue", &[], "90"), consumer()];
    let follows = due(&consumer(), 1, &ci(), &all).unwrap();
    let body = DeployBody { follows: Some(follows), ..body("report") };
    (consumer(), Deployment::new(testing::start("again", "1.0.0", "ci"), body))
}

#[test]
fn same_inputs_are_brought_once_whatever_the_end() {
    let (before, wanted) = redeployment();
    assert_eq!(ensure_due(Some(&before), &wanted), Ok(()));
    let taken = acquire(Some(&before), &wanted, at(3)).unwrap();
    let error = CaughtError { error: "StackFailed".into(), cause: "no".into() };
    let failed = fail(Some(&taken.environment), &taken.deployment, &error, at(4)).environment.unwrap();
    assert_eq!(due(&failed, 2, &ci(), &[running("queue", &[], "90"), failed.clone()]), None);
    let refused = ensure_due(Some(&failed), &wanted).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Superseded);
    // Other inputs are a new reason.
    assert!(due(&failed, 2, &ci(), &[running("queue", &[], "120"), failed.clone()]).is_some());
}

#[test]
fn redeployment_gives_way_to_whatever_happened_since() {
    let (before, wanted) = redeployment();
    let mut newer = before.clone();
    newer.deployed.as_mut().unwrap().deployment = DeploymentId::of_execution("newer");
    let hold = Some(Hold { by: "arn:ada".into(), reason: "bad night".into(), at: at(0) });
    let held = Environment { hold, ..before.clone() };
    let busy = Environment { holder: LeaseHolderOf("rival").holder(), ..before };
    for environment in [None, Some(&newer), Some(&held), Some(&busy)] {
        assert_eq!(ensure_due(environment, &wanted).unwrap_err().kind, FailureKind::Superseded);
    }
}

#[test]
fn only_the_named_execution_is_a_redeployment() {
    let (before, wanted) = redeployment();
    let follows = wanted.deploy().unwrap().follows.clone().unwrap();
    let asked = input(&before, follows.clone()).unwrap();
    let named = format!("arn:aws:states:r:1:execution:m:{}", execution(&name("report"), &follows));
    assert_eq!(of_execution(&named, &asked), Ok(Some(follows)));
    assert!(of_execution("arn:aws:states:r:1:execution:m:by-hand", &asked).is_err());
    let widened = inputs::Deploy { revert_drift: true, ..asked.clone() };
    assert!(of_execution(&named, &widened).is_err());
    assert_eq!(of_execution("x", &inputs::Deploy { follows: None, ..asked }), Ok(None));
}

proptest! {
    /// After any pushes, deployments and holds over any graph, every parameter equals its source or is shown as stale.
    /// Where releases propagate, the consumers that neither are held nor failed are fresh. No inputs are brought twice.
    #[test]
    fn every_parameter_equals_its_source_or_is_shown_as_stale(
        edges in proptest::collection::vec(any::<u8>(), 2..6),
        actions in proptest::collection::vec(any::<u32>(), 1..40),
        propagates in any::<bool>(),
    ) {
        let mut world = Landscape::new(&edges, if propagates { ci() } else { approved() });
        for action in actions {
            world.act(action);
        }
        world.settle();
        prop_assert_eq!(world.unknown_differences(), Vec::<String>::new());
        prop_assert_eq!(world.needlessly_stale(), Vec::<String>::new());
        prop_assert!(propagates || !world.has_redeployed());
        prop_assert_eq!(world.brought_twice(), Vec::<String>::new());
    }
}
