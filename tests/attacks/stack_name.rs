//! S10: a component's stack gets the name of another component's stack, and replaces it.
//!
//! Fails without the tags by which a stack is recognized (`domain::stacks::identity`).

use lockstep_domain::stacks::identity::{InstallationId, StackIdentity, Tags};

fn identity(stage: &str, component: &str, installation: &str) -> StackIdentity {
    StackIdentity {
        stage: stage.parse().unwrap(),
        environment: component.to_owned(),
        component: Some(component.parse().unwrap()),
        installation: InstallationId::of_external_id(installation),
    }
}

fn tags(of: &StackIdentity) -> Tags {
    of.tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[test]
fn a_stack_of_the_same_name_is_not_taken_over() {
    // Both stacks are called ci-eu-logs.
    let (victim, attacker) = (identity("ci", "eu-logs", "one"), identity("ci-eu", "logs", "one"));
    assert!(attacker.mismatch(&tags(&victim), false).is_some());
    assert_eq!(victim.mismatch(&tags(&victim), false), None);
    assert!(
        identity("ci", "eu-logs", "two").mismatch(&tags(&victim), false).is_some(),
        "another installation"
    );
    assert!(attacker.mismatch(&Tags::new(), false).is_some(), "a stack without tags");
}
