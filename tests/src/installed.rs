//! A complete installation: three accounts, every stack.

use crate::stack::{REGION, Stack};

/// The account of the control plane.
pub const TOOLING: &str = "111111111111";
/// An account on the delivery path.
pub const DEVELOPMENT: &str = "222222222222";
/// An account on the promotion path.
pub const PRODUCTION: &str = "333333333333";
/// The external id of every cross-account trust.
pub const EXTERNAL_ID: &str = "the-external-id-0123456789";

/// The paths of deployment.
pub const PATHS: [&str; 2] = ["delivery", "promotion"];

/// Returns every stack, in the order of installation.
pub fn stacks() -> Vec<Stack> {
    let bucket = format!("lockstep-artifacts-{TOOLING}-{REGION}");
    let common = [("ArtifactBucket", bucket.as_str()), ("ExternalId", EXTERNAL_ID)];
    let mut stacks = vec![
        Stack::new("lockstep-bootstrap", TOOLING, "infra/bootstrap/template.yaml", &[]),
        Stack::new("lockstep-control-plane", TOOLING, "infra/control-plane/template.yaml", &common),
    ];
    for path in PATHS {
        let parameters = [&common[..], &[("Path", path)]].concat();
        let name = format!("lockstep-{path}");
        stacks.push(Stack::new(&name, TOOLING, "infra/control-plane/deployment-path.yaml", &parameters));
    }
    let both = format!("{DEVELOPMENT},{PRODUCTION}");
    let lists =
        [("Accounts", both.as_str()), ("DeliveryAccounts", DEVELOPMENT), ("PromotionAccounts", PRODUCTION)];
    stacks.push(Stack::new("lockstep-accounts", TOOLING, "infra/control-plane/accounts.yaml", &lists));
    for (account, path) in [(DEVELOPMENT, PATHS[0]), (PRODUCTION, PATHS[1])] {
        stacks.push(target(account, path));
        let name = format!("lockstep-account-{account}");
        let parameters = [("AccountId", account), ("Path", path)];
        stacks.push(Stack::new(&name, TOOLING, "infra/control-plane/trusted-account.yaml", &parameters));
    }
    stacks
}

fn target(account: &str, path: &str) -> Stack {
    let bus = format!("arn:aws:events:{REGION}:{TOOLING}:event-bus/lockstep-events");
    let parameters = [
        ("ToolingAccount", TOOLING),
        ("EventBusArn", &bus),
        ("ExternalId", EXTERNAL_ID),
        ("Path", path),
        ("ExecutionPolicyArns", "arn:aws:iam::aws:policy/PowerUserAccess"),
        ("ExecutionBoundaryArn", "arn:aws:iam::aws:policy/PowerUserAccess"),
    ];
    Stack::new("lockstep-target", account, "infra/target-account/template.yaml", &parameters)
}
