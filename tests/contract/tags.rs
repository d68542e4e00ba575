//! Permissions by the tags of a resource. One that is gone has no tags, so IAM denies a call on it.

use crate::installed::stacks;
use crate::policy::{Role, roles};
use lockstep_aws::ec2::under_tags::UNDER_TAGS;
use lockstep_domain::installation::target_roles::{IMAGE_KEEPER, TargetRole};
use lockstep_domain::model::deployment_path::DeploymentPath;
use std::collections::BTreeSet;

/// Returns the actions that `role` has only on resources with certain tags.
fn under_tags(role: &Role) -> BTreeSet<String> {
    let statements = role.statements.iter().filter(|statement| statement.allows);
    let tagged = statements.filter(|statement| statement.condition.to_string().contains("ResourceTag/"));
    tagged.flat_map(|statement| statement.actions.iter().cloned()).collect()
}

/// Returns the names of the roles that functions assume in accounts.
fn assumed() -> BTreeSet<String> {
    let account = "222222222222".parse().unwrap();
    let of = |path: DeploymentPath| TargetRole::ALL.iter().map(move |role| (path, *role));
    let names = DeploymentPath::ALL.iter().flat_map(|path| of(*path)).map(|(path, role)| {
        let arn = role.arn(path, "aws", &account);
        arn.rsplit('/').next().unwrap().to_owned()
    });
    names.chain([IMAGE_KEEPER.to_owned()]).collect()
}

/// A function repeats each call after a crash, also a deletion that took effect. For each action of the list, the
/// tests of the adapter make the denied call.
#[test]
fn a_function_tells_a_denial_by_tags_from_a_resource_that_is_gone() {
    let (roles, assumed) = (roles(&stacks()), assumed());
    let of_functions: Vec<&Role> = roles.values().filter(|role| assumed.contains(&role.name)).collect();
    assert!(of_functions.len() > assumed.len(), "{assumed:?}");
    let found: BTreeSet<String> = of_functions.into_iter().flat_map(under_tags).collect();
    assert_eq!(found, UNDER_TAGS.map(str::to_owned).into());
}

/// The functions act in accounts by the roles above alone: no role of the tooling account has a permission by tags.
#[test]
fn no_function_has_a_permission_by_tags_in_the_tooling_account() {
    for role in roles(&stacks()).values().filter(|role| role.account == crate::installed::TOOLING) {
        assert_eq!(under_tags(role), BTreeSet::new(), "{}", role.name);
    }
}
