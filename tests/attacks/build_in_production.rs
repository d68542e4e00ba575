//! S1 C2: a function that a push reaches starts a build of an image in production.
//!
//! Fails without the paths in the names of state machines and roles: delivery's functions start no machine of the other
//! path.

use crate::reached_by_a_push;
use lockstep_tests::installed::{PRODUCTION, TOOLING};
use lockstep_tests::stack::REGION;

#[test]
fn no_function_that_a_push_reaches_starts_a_build_in_production() {
    for role in reached_by_a_push() {
        for machine in
            ["promotion-build-image", "promotion-deploy", "promotion-teardown", "promote", "promote-image"]
        {
            let arn = format!("arn:aws:states:{REGION}:{TOOLING}:stateMachine:lockstep-{machine}");
            assert!(!role.may("states:StartExecution", &arn, &[].into()), "{} starts {machine}", role.name);
        }
        for function in ["stack", "image", "bake", "verify"] {
            let arn = format!("arn:aws:lambda:{REGION}:{TOOLING}:function:lockstep-promotion-{function}");
            assert!(!role.may("lambda:InvokeFunction", &arn, &[].into()), "{} invokes {function}", role.name);
        }
        let project = format!("arn:aws:codebuild:{REGION}:{PRODUCTION}:project/lockstep-image-build");
        assert!(!role.may("codebuild:StartBuild", &project, &[].into()), "{}", role.name);
    }
}
