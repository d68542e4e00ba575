//! S5 C3 C5: a push decides which image production's parameters name.
//!
//! Fails without the role `lockstep-promotion-image-target`, which alone writes these parameters, and which no function
//! of a push assumes.

use crate::{every_role, reached_by_a_push};
use lockstep_tests::installed::PRODUCTION;

#[test]
fn no_function_that_a_push_reaches_writes_a_parameter_of_production() {
    let parameter = format!("arn:aws:ssm:eu-west-1:{PRODUCTION}:parameter/lockstep/images/logstash/latest");
    let roles = every_role();
    let writers: Vec<&str> = roles
        .values()
        .filter(|role| role.may("ssm:PutParameter", &parameter, &[].into()))
        .map(|role| role.name.as_str())
        .collect();
    assert_eq!(writers, ["lockstep-promotion-image-target"]);
    let writer = format!("arn:aws:iam::{PRODUCTION}:role/lockstep-promotion-image-target");
    for role in reached_by_a_push() {
        let there = [("aws:resourceaccount", PRODUCTION)].into();
        assert!(!role.may("sts:AssumeRole", &writer, &there), "{}", role.name);
    }
}
