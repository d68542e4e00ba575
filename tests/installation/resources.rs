//! Failures of resources while a stack is made: in each stack, of each resource that is retained, and of one of each other
//! type. Each resource of each template fails on the simulated CloudFormation, in `tests/contract/installation.rs`; with the
//! variable `LOCKSTEP_INSTALLATION_EACH`, each fails here, too.

use crate::{Here, TARGET, TOOLING};
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Failure, at};
use lockstep_domain::stacks::template::Template;
use std::collections::BTreeSet;

/// The stacks of the control plane in the order of installation, with their templates.
const STACKS: [(&str, &str); 5] = [
    ("lockstep-bootstrap", "infra/bootstrap/template.yaml"),
    ("lockstep-control-plane", "infra/control-plane/template.yaml"),
    ("lockstep-delivery", "infra/control-plane/deployment-path.yaml"),
    ("lockstep-promotion", "infra/control-plane/deployment-path.yaml"),
    ("lockstep-accounts", "infra/control-plane/accounts.yaml"),
];

/// Conditions of a template that hold in an account on the delivery path with a key for images.
const OF_THE_ACCOUNT: [&str; 2] = ["IsDelivery", "HasImageKey"];

/// Conditions that begin to hold when the account is added.
const BY_THE_ACCOUNT: [&str; 2] = ["HasAccounts", "HasDelivery"];

pub async fn each_fails_once(here: &Here) -> Result<(), Failure> {
    for (stack, template) in STACKS {
        for resource in resources(here, template, |condition: &Option<&str>| condition.is_none())? {
            here.controls()
                .fail_next_resource(TOOLING, stack, &resource)
                .await
                .map_err(at("the emulator"))?;
            names(&here.install().await, stack, &resource)?;
        }
    }
    here.install().await
}

pub async fn of_an_account(here: &Here) -> Result<(), Failure> {
    let account = format!("lockstep-account-{TARGET}");
    let unconditional =
        |condition: &Option<&str>| condition.is_none_or(|name| OF_THE_ACCOUNT.contains(&name));
    let new = |condition: &Option<&str>| condition.is_some_and(|name| BY_THE_ACCOUNT.contains(&name));
    let target = resources(here, "infra/target-account/template.yaml", unconditional)?;
    let policies = resources(here, "infra/control-plane/accounts.yaml", new)?;
    let registration = resources(here, "infra/control-plane/trusted-account.yaml", unconditional)?;
    let stacks = [
        (TARGET, "lockstep-target", target),
        (TOOLING, "lockstep-accounts", policies),
        (TOOLING, account.as_str(), registration),
    ];
    for (id, stack, resources) in stacks {
        for resource in resources {
            here.controls().fail_next_resource(id, stack, &resource).await.map_err(at("the emulator"))?;
            names(&here.add_account().await, stack, &resource)?;
        }
    }
    here.add_account().await
}

/// Removes the added account twice, and adds it again.
pub async fn of_a_removed_account(here: &Here) -> Result<(), Failure> {
    let installation = here.installation().await?;
    let account = TARGET.parse().map_err(at("the account"))?;
    let listed = installation.listed_accounts().await?;
    let version = listed.first().and_then(|listed| listed.target_version.clone());
    ensure(version.as_deref() == Some(env!("CARGO_PKG_VERSION")), format!("{listed:?}"))?;
    for expected in [true, false] {
        let changed = installation.remove_account(&account).await?;
        ensure(changed == expected, format!("removed: {changed}"))?;
        let left = installation.listed_accounts().await?;
        ensure(left.is_empty(), format!("{left:?} are left"))?;
    }
    here.add_account().await?;
    ensure(installation.listed_accounts().await? == listed, "the account is as it was")
}

/// Checks that the outcome is an error that names the stack, the resource and the next command.
fn names(outcome: &Result<(), Failure>, stack: &str, resource: &str) -> Result<(), Failure> {
    let Err(failure) = outcome else {
        return Err(Failure::new(format!("{stack} was made although {resource} failed")));
    };
    let named = failure.what.contains(stack) && failure.what.contains(resource) && !failure.next.is_empty();
    ensure(named, format!("{stack}, {resource}: {failure}"))
}

/// Returns the resources of a template that fail, among those that have no condition, or one of the given conditions.
fn resources(
    here: &Here,
    template: &str,
    is_asked_for: impl Fn(&Option<&str>) -> bool,
) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(here.sources.join(template)).map_err(at(template))?;
    let template =
        Template::parse(template, &text).map_err(|problems| Failure::new(format!("{problems:?}")))?;
    let written = template.to_json();
    let is_there = |id: &&String| is_asked_for(&written["Resources"][id.as_str()]["Condition"].as_str());
    let mut ids: Vec<String> = template.resources().keys().filter(is_there).cloned().collect();
    // A retained resource outlives the failure of another one, and the next run imports it. So these come first.
    let is_retained = |id: &String| written["Resources"][id.as_str()]["DeletionPolicy"] == "Retain";
    ids.sort_by_key(|id| !is_retained(id));
    if std::env::var_os("LOCKSTEP_INSTALLATION_EACH").is_none() {
        let mut types = BTreeSet::new();
        ids.retain(|id| {
            types.insert(written["Resources"][id.as_str()]["Type"].as_str().map(str::to_owned))
                || is_retained(id)
        });
    }
    Ok(ids)
}
