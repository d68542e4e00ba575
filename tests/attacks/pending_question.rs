//! S15 C4: a function that an attacker controls answers a pending question of production by its task token.
//!
//! Fails without the rule that only `resume` has `states:SendTaskSuccess`. `elsewhere.txt` names the tests of `resume`
//! itself.

use crate::every_role;
use lockstep_tests::installed::TOOLING;
use lockstep_tests::stack::REGION;

#[test]
fn no_role_but_that_of_resume_answers_a_task_token() {
    let machine = format!("arn:aws:states:{REGION}:{TOOLING}:stateMachine:lockstep-promotion-deploy");
    for action in ["states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"] {
        for role in every_role().values() {
            let may = role.may(action, "*", &[].into()) || role.may(action, &machine, &[].into());
            let is_resume = role.name == "lockstep-resume-role" && action == "states:SendTaskSuccess";
            assert_eq!(may, is_resume, "{} and {action}", role.name);
        }
    }
}
