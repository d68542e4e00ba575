//! `lockstep doctor`: reads an installation and reports its problems. It changes nothing.

use crate::context::CommandContext;
use crate::doctor::{Doctor, trial};
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::report::Report;
use clap::Args;
use lockstep_domain::installation::doctor::{Finding, Severity, Verdict, examine, verdict};
use serde_json::json;

/// The options of `doctor`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A profile of an account that Lockstep deploys to; repeat it for several accounts
    #[arg(long, value_name = "NAME")]
    target_profile: Vec<String>,
    /// Also make change sets of the installed stacks, under names of their own, and delete them again
    #[arg(long = "try")]
    trial: bool,
    /// Also list the findings that are fine
    #[arg(long)]
    all: bool,
}

/// Examines the installation in the account that the command uses.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let doctor = Doctor::open(&arguments.target_profile, global, context).await?;
    let facts = doctor.facts().await;
    let mut findings = examine(&facts);
    if arguments.trial {
        findings.extend(trial::run(&doctor).await?);
        findings.sort_by_key(|finding| finding.severity);
    }
    show(&findings, arguments.all, context);
    let exit = match verdict(&findings) {
        Verdict::Healthy => Exit::Done,
        Verdict::Broken => Exit::Failed,
        Verdict::Undecided => Exit::NeedsHuman,
    };
    let report = Report { document: json!({ "findings": findings }), exit };
    let broken = findings.iter().find(|finding| finding.severity == Severity::Broken);
    Ok(match broken {
        Some(first) => {
            let what = format!("{}: {}", first.subject, first.sentence);
            report.failed(&Failure::new(what).next(first.remedy.clone()))
        }
        None => report,
    })
}

fn show(findings: &[Finding], all: bool, context: &CommandContext) {
    let output = &context.output;
    let shown = findings.iter().filter(|finding| all || finding.severity != Severity::Fine);
    for finding in shown {
        output.line(format!("{:<8} {}: {}", finding.severity, finding.subject, finding.sentence));
        if !finding.remedy.is_empty() {
            output.line(format!("         next: {}", finding.remedy));
        }
    }
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    output.line(format!(
        "{} broken, {} to look at, {} unknown, {} fine",
        count(Severity::Broken),
        count(Severity::Warning),
        count(Severity::Unknown),
        count(Severity::Fine)
    ));
}
