//! The functions are invoked before an installation says that it is done.

use crate::Here;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::operator::control_plane;
use lockstep_aws::operator::signed::{post, post_unsigned};
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Failure, at};
use lockstep_cli::functions::{Destination, Package, Profile};
use lockstep_cli::installation::{Packages, function_names};
use lockstep_domain::messages::ping;
use std::time::Duration;

/// Checks that each function answers a direct ping, and refuses a ping through its URL.
pub async fn answer_pings(here: &Here) -> Result<(), Failure> {
    let question = ping::question();
    for (function, _) in function_names() {
        let called =
            Functions::new(&here.tooling).call(&function, &question, Duration::from_secs(30)).await?;
        let Called::Answered { error: None, payload, .. } = &called else {
            return Err(Failure::new(format!("{function}: {called:?}")));
        };
        let version = ping::version(payload);
        ensure(version.as_deref() == Some(env!("CARGO_PKG_VERSION")), format!("{function}: {version:?}"))?;
    }
    let found =
        control_plane::find(&here.tooling).await?.ok_or_else(|| Failure::new("nothing is installed"))?;
    let body = question.to_string().into_bytes();
    let headers = [("content-type", "application/json")];
    for query in ["", "?lockstep=ping"] {
        let (webhook, ledger) =
            (format!("{}{query}", found.webhook_url), format!("{}{query}", found.ledger_urls.operators));
        let unsigned = [("content-type".to_owned(), "application/json".to_owned())];
        let answers = [
            post_unsigned(&webhook, &unsigned, body.clone()).await?,
            post_unsigned(&ledger, &unsigned, body.clone()).await?,
            post(&here.tooling, "lambda", &ledger, &headers, body.clone()).await?,
        ];
        for answer in answers {
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            let is_refused = (400..500).contains(&answer.status);
            ensure(is_refused && ping::version(&answer.body).is_none(), format!("{} {said}", answer.status))?;
        }
    }
    Ok(())
}

/// Checks that an installation with a function that exits at once fails with an error, and that the next one succeeds.
pub async fn must_start(here: &Here) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(at("a folder"))?;
    let broken = folder.path().join("lockstep-resume");
    std::fs::write(&broken, "#!/bin/sh\nexit 1\n").map_err(at("a file"))?;
    let package = Package::of(&broken, Profile::Dev, Destination::ThisMachine)?;
    let mut packages: Packages = here.packages.clone();
    packages.packages.insert("resume".to_owned(), package);
    let outcome = here.installation().await?.install(&packages).await;
    let Err(failure) = outcome else {
        return Err(Failure::new("a function that ends at once was installed"));
    };
    let is_reported = failure.what.starts_with("function lockstep-resume does not start: Runtime.")
        && failure.next.contains("aws logs tail /aws/lambda/lockstep-resume");
    ensure(is_reported, failure.to_string())?;
    here.install().await
}
