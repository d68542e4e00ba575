//! What runs, and as whom.

use crate::test_cloud::TestCloud;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Failure, at};
use lockstep_cli::functions::{Destination, NAMES, Package, Profile};
use lockstep_cli::installation::function_names;
use lockstep_local::CallFilter;
use lockstep_platform::operator::control_plane::code_sha256;
use std::collections::BTreeMap;

/// A template may succeed with code that is not there, and what runs then answers everything with success.
pub async fn is_what_was_packed(cloud: &mut TestCloud) -> Result<(), Failure> {
    let plane = cloud.demo.plane().await?;
    let mut digests = BTreeMap::new();
    for name in NAMES {
        let binary = cloud.binaries.join(format!("lockstep-{name}"));
        digests.insert(name, Package::of(&binary, Profile::Dev, Destination::ThisMachine)?.code_sha256());
    }
    for (function, package) in function_names() {
        let packed = digests[package].clone();
        let runs = code_sha256(plane.aws(), &function).await?;
        ensure(runs.as_ref() == Some(&packed), format!("{function} runs {packed}, not {runs:?}"))?;
    }
    Ok(())
}

/// Whoever installs is root; the first call of the person at the keyboard ends that.
pub async fn is_never_run_as_root(cloud: &mut TestCloud) -> Result<(), Failure> {
    let page = cloud.calls()?.read(&CallFilter::default()).await.map_err(at("the journal of calls"))?;
    let calls = page.complete().ok_or_else(|| Failure::new("the journal has forgotten calls"))?;
    let operator = calls.iter().position(|call| call.principal.contains(":user/lockstep-you"));
    let operator = operator.ok_or_else(|| Failure::new("the person at the keyboard called nothing"))?;
    let by_root: Vec<String> = calls[operator..]
        .iter()
        .filter(|call| call.is_by_root())
        .map(|call| format!("{}:{} in {}", call.service, call.action, call.account))
        .collect();
    ensure(by_root.is_empty(), format!("no call of root: {}", by_root.join(", ")))
}
