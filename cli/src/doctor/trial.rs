//! `doctor --try`: creates change sets of the installed stacks and deletes them again, also when interrupted.

use super::{Doctor, INSTALL};
use crate::failure::{Exit, Failure};
use crate::installation::STACKS;
use lockstep_aws::operator::trial::{Outcome, Trial};
use lockstep_domain::installation::doctor::{Finding, Severity};

/// Tries each stack of the tooling account.
pub async fn run(doctor: &Doctor) -> Result<Vec<Finding>, Failure> {
    // Creating a change set needs more rights than reading.
    let trial = Trial::new(&doctor.connection.installer()?);
    let interrupted = tokio::signal::ctrl_c();
    let outcome = tokio::select! {
        findings = findings(&trial) => findings,
        _ = interrupted => Err(Failure { exit: Exit::Failed, ..Failure::new("interrupted") }),
    };
    // Deletes the change sets of this run, and of interrupted runs before it, whatever the outcome.
    for stack in STACKS {
        trial.clear(stack).await?;
    }
    outcome
}

async fn findings(trial: &Trial) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for stack in STACKS {
        findings.push(finding(stack, trial.run(stack).await));
    }
    Ok(findings)
}

fn finding(stack: &str, outcome: Result<Outcome, lockstep_domain::model::error::Failure>) -> Finding {
    let subject = format!("change set of stack {stack}");
    let made = |severity, sentence: String, remedy: &str| Finding {
        severity,
        subject: subject.clone(),
        sentence,
        remedy: remedy.to_owned(),
    };
    match outcome {
        Ok(Outcome::Valid { changes: 0 }) => {
            made(Severity::Fine, "CloudFormation finds nothing to change".to_owned(), "")
        }
        Ok(Outcome::Valid { changes }) => made(
            Severity::Warning,
            format!("CloudFormation would change {changes} resources with the same template and parameters"),
            INSTALL,
        ),
        Ok(Outcome::Invalid { reason }) => {
            made(Severity::Broken, format!("CloudFormation refuses it: {reason}"), INSTALL)
        }
        Err(failure) => {
            made(Severity::Unknown, failure.chain(), "use credentials that may create change sets")
        }
    }
}
