//! `lockstep version`: the versions of the command, the control plane and the stacks of target accounts.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::installation::{Installation, ListedAccount};
use crate::report::Report;
use lockstep_domain::installation::versions::{Fit, compare, control_plane_step, target_step};
use serde_json::{Value, json};

/// The version of this command.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the versions, and the step that makes them equal. Without a control plane, prints the command's alone.
pub async fn run(global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let output = &context.output;
    output.line(format!("command        {VERSION}"));
    let plane = match ControlPlane::open(global, context).await {
        Ok(plane) => plane,
        Err(failure) => {
            output.line(format!("control plane  not read: {}", failure.chain()));
            return Ok(Report::done(json!({ "command": VERSION, "control_plane": null, "accounts": [] })));
        }
    };
    let installed = plane.found.version.clone();
    let fit = compare(Some(&installed), VERSION);
    let place = format!("account {}, {}", plane.found.account, plane.found.region);
    output.line(format!("control plane  {installed} in {place}{}", end(control_plane_step(fit))));
    let accounts = match accounts(&plane, context).await {
        Ok(accounts) => accounts,
        Err(failure) => {
            output.line(format!("accounts       not read: {}", failure.chain()));
            Vec::new()
        }
    };
    let mut documents: Vec<Value> = Vec::new();
    for account in &accounts {
        let fit = compare(account.target_version.as_deref(), &installed);
        output.line(line(account, fit));
        documents.push(json!({ "account": account.account, "version": account.target_version, "fit": fit }));
    }
    Ok(Report::done(json!({
        "command": VERSION,
        "control_plane": { "version": installed, "fit": fit },
        "accounts": documents,
    })))
}

async fn accounts(plane: &ControlPlane, context: &CommandContext) -> Result<Vec<ListedAccount>, Failure> {
    let aws = plane.connection.installer()?;
    Installation::new(&aws, context.sources()?, &context.output).await?.listed_accounts().await
}

fn line(account: &ListedAccount, fit: Fit) -> String {
    let version = account.target_version.as_deref().unwrap_or("unknown");
    format!("{}   {version}{}", account.account, end(target_step(fit)))
}

/// Returns the end of a line: the step, if one is needed.
fn end(step: Option<&str>) -> String {
    step.map(|step| format!("; {step}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::model::deployment_path::DeploymentPath;

    #[test]
    fn an_account_of_another_version_gets_its_step() {
        let of = |version: Option<&str>| {
            let account = ListedAccount {
                account: "333333333333".parse().unwrap(),
                path: DeploymentPath::Promotion,
                target_version: version.map(str::to_owned),
            };
            line(&account, compare(version, "0.2.0"))
        };
        assert_eq!(of(Some("0.2.0")), "333333333333   0.2.0");
        assert!(of(Some("0.1.0")).contains("0.1.0; update the account: lockstep accounts add"));
        assert!(of(None).contains("unknown; update the account"));
    }
}
