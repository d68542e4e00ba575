//! Releases: published ones of `ledger`, and drafts of `package`.

use lockstep_aws::ledger::{Ledger, Versioned};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{ComponentName, Digest};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Release, ReleaseState};

/// Returns the published release, or else its draft.
///
/// # Errors
/// `NotFound` if there is neither. `Rejected` for a draft that claims to be published: only `ledger` publishes.
pub async fn release(
    ledger: &Ledger,
    component: &ComponentName,
    version: &Version,
) -> Result<Versioned<Release>, Failure> {
    let [published, draft] = Release::keys_of(component, version);
    if let Some(published) = ledger.get::<Release>(&published).await? {
        return Ok(published);
    }
    let what = format!("release {component}@{version}");
    let draft = ledger.expect::<Release>(&draft, &what).await?;
    match draft.record.state {
        ReleaseState::Packaged | ReleaseState::TestFailed => Ok(draft),
        ReleaseState::Published => {
            Err(Failure::rejected(format!("{what} claims to be published, and the ledger does not know it")))
        }
    }
}

/// Returns the release with the digest that a deployment was begun with.
///
/// # Errors
/// As [`release`]; `Superseded` if the release was packaged again with other content since.
pub async fn same_release(
    ledger: &Ledger,
    component: &ComponentName,
    version: &Version,
    digest: &Digest,
) -> Result<Release, Failure> {
    let found = release(ledger, component, version).await?.record;
    if found.digest == *digest {
        return Ok(found);
    }
    Err(Failure::new(
        FailureKind::Superseded,
        format!(
            "the release {component}@{version} has the digest {} now, and the deployment began with {digest}; start \
             another deployment",
            found.digest
        ),
    ))
}
