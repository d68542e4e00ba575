//! Each resource of each stack fails once.

use crate::{Here, TARGET, TOOLING};
use lockstep_cli::failure::{Failure, at};
use lockstep_cli::story::ensure;
use lockstep_domain::template::Template;

/// The stacks of the control plane in the order of installation, with their templates.
const STACKS: [(&str, &str); 4] = [
    ("lockstep-bootstrap", "infra/bootstrap/template.yaml"),
    ("lockstep-control-plane", "infra/control-plane/template.yaml"),
    ("lockstep-delivery", "infra/control-plane/path.yaml"),
    ("lockstep-promotion", "infra/control-plane/path.yaml"),
];

pub async fn each_fails_once(here: &Here) -> Result<(), Failure> {
    for (stack, template) in STACKS {
        for resource in resources(here, template)? {
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
    let stacks = [
        (TARGET, "lockstep-target", "infra/target-account/template.yaml"),
        (TOOLING, account.as_str(), "infra/control-plane/account.yaml"),
    ];
    for (id, stack, template) in stacks {
        for resource in resources(here, template)? {
            here.controls().fail_next_resource(id, stack, &resource).await.map_err(at("the emulator"))?;
            names(&here.add_account().await, stack, &resource)?;
        }
    }
    here.add_account().await
}

/// Checks that it failed, with a sentence that names the stack, the resource and what to do next.
fn names(outcome: &Result<(), Failure>, stack: &str, resource: &str) -> Result<(), Failure> {
    let Err(failure) = outcome else {
        return Err(Failure::new(format!("{stack} was made although {resource} failed")));
    };
    let named = failure.what.contains(stack) && failure.what.contains(resource) && !failure.next.is_empty();
    ensure(named, format!("{stack}, {resource}: {failure}"))
}

/// The resources of a template that this account has: `IsDelivery` and `HasImageKey` hold in these tests, and others are
/// not used by resources.
fn resources(here: &Here, template: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(here.sources.join(template)).map_err(at(template))?;
    let template =
        Template::parse(template, &text).map_err(|problems| Failure::new(format!("{problems:?}")))?;
    Ok(template.resources().keys().cloned().collect())
}
