//! The repositories whose pushes are released, and the addresses of their hooks.

use crate::base_url::check_base_url;
use crate::context::LedgerContext;
use crate::ownership;
use jiff::Timestamp;
use lockstep_aws::ledger::Inserted;
use lockstep_domain::delivery::hook::HOOKS;
use lockstep_domain::messages::operator::{Applied, HookAddress};
use lockstep_domain::model::branch_pattern::BranchPattern;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::Repository;

/// The longest name of a branch, in bytes.
const BRANCH_BYTES: usize = 250;

/// The branches of a repository that are released.
#[derive(Clone, Copy, Debug)]
pub struct Branches<'a> {
    /// The default branch.
    pub default: &'a str,
    /// Patterns of the others; `None` keeps those of the registration.
    pub others: Option<&'a [BranchPattern]>,
}

/// Registers a repository, or changes its branches. Its base URL never changes: a token follows no other host.
pub async fn add_repository(
    context: &impl LedgerContext,
    id: &RepositoryId,
    base_url: &str,
    branches: Branches<'_>,
    by: &str,
    now: Timestamp,
) -> Result<Applied, Failure> {
    let base_url = check_base_url(base_url, context.is_local())?;
    let branch = check_branch(branches.default)?.to_owned();
    let wanted = Repository {
        id: id.clone(),
        base_url,
        branch,
        branches: branches.others.unwrap_or_default().to_vec(),
        added_by: by.to_owned(),
        added_at: now,
    };
    let known = match context.ledger().insert(&wanted).await? {
        Inserted::New(_) => return Ok(Applied { version: 1, changed: true }),
        Inserted::Exists(known) => known,
    };
    if known.record.base_url != wanted.base_url {
        return Err(other_host(&known.record, &wanted.base_url));
    }
    let others = branches.others.map_or_else(|| known.record.branches.clone(), <[_]>::to_vec);
    let changed = Repository { branch: wanted.branch, branches: others, ..known.record.clone() };
    let (changed, rev) = match changed == known.record {
        true => (false, known.rev()),
        false => (true, context.ledger().replace(&known, changed).await?.rev()),
    };
    Ok(Applied { version: u32::try_from(rev).unwrap_or(u32::MAX), changed })
}

fn other_host(known: &Repository, wanted: &str) -> Failure {
    let name = known.id.full_name();
    Failure::rejected(format!(
        "{} is registered at {}; to register it at {wanted}, run `lockstep repositories remove github:{name}`, add it again, \
         and store a token of the new host",
        known.id, known.base_url
    ))
}

/// Removes the registration of a repository: its pushes are no longer released. Its releases and its secrets remain.
pub async fn remove_repository(context: &impl LedgerContext, id: &RepositoryId) -> Result<Applied, Failure> {
    let Some(known) = context.ledger().get::<Repository>(&Repository::key_of(id)).await? else {
        return Ok(Applied { version: 0, changed: false });
    };
    context.ledger().remove(&known).await?;
    Ok(Applied { version: u32::try_from(known.rev()).unwrap_or(u32::MAX), changed: true })
}

/// Returns the address of the hook of a registered repository.
pub async fn hook_of(context: &impl LedgerContext, id: &RepositoryId) -> Result<HookAddress, Failure> {
    ownership::registered(context, id).await?;
    let hook = context.hook_key().hook_of(id).await?;
    Ok(HookAddress { path: format!("{HOOKS}{hook}") })
}

/// Returns the branch if git allows its name: <https://git-scm.com/docs/git-check-ref-format>.
fn check_branch(branch: &str) -> Result<&str, Failure> {
    let forbidden = |c: char| c.is_ascii_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let well_formed = !branch.is_empty()
        && branch.len() <= BRANCH_BYTES
        && !branch.contains(forbidden)
        && !branch.contains("..")
        && !branch.contains("@{")
        && !branch.starts_with(['-', '/'])
        && !branch.ends_with(['.', '/'])
        && branch
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
    let shown: String = branch.chars().take(100).collect();
    if well_formed {
        Ok(branch)
    } else {
        Err(Failure::rejected(format!("'{shown}' is not the name of a branch")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_name_must_be_valid_for_git() {
        for good in ["main", "release/1.2", "a_b-c", "ünïcode"] {
            assert!(check_branch(good).is_ok(), "{good}");
        }
        for bad in
            ["", "-main", "a b", "a..b", "a//b", "/a", "a/", "a.lock", "a/.b", "a~1", "a:b", "a@{1}", "a\n"]
        {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
        assert!(check_branch(&"x".repeat(251)).is_err());
    }
}
