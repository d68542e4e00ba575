//! The code that runs, and the principals of its calls.

use crate::test_cloud::TestCloud;
use lockstep_aws::operator::control_plane::code_sha256;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Failure, at};
use lockstep_cli::functions::{Destination, NAMES, Package, Profile};
use lockstep_cli::installation::function_names;
use lockstep_local::CallFilter;
use std::collections::BTreeMap;

/// The emulator creates a function without its code too, and that function succeeds with every request.
pub async fn each_function_runs_the_packed_code(cloud: &mut TestCloud) -> Result<(), Failure> {
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

/// The installer is root. The first call of the operator ends that.
pub async fn no_call_after_the_installation_is_made_by_root(cloud: &mut TestCloud) -> Result<(), Failure> {
    let page = cloud.calls()?.read(&CallFilter::default()).await.map_err(at("the log of calls"))?;
    let calls = page.complete().ok_or_else(|| Failure::new("the log of calls is incomplete"))?;
    let operator = calls.iter().position(|call| call.principal.contains(":user/ada"));
    let operator = operator.ok_or_else(|| Failure::new("the operator made no call"))?;
    let by_root: Vec<String> = calls[operator..]
        .iter()
        .filter(|call| call.is_by_root())
        .map(|call| format!("{}:{} in {}", call.service, call.action, call.account))
        .collect();
    ensure(by_root.is_empty(), format!("root makes no call: {}", by_root.join(", ")))
}
