//! `lockstep promote`: brings a release to a stage that no push reaches.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::follow::follow_to_end;
use crate::global::Global;
use crate::names::{Reason, ReleaseName};
use crate::output::Output;
use crate::report::Report;
use crate::runs::{self, Run};
use clap::Args;
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::model::ids::StageName;

/// The arguments of `promote`.
#[derive(Args, Debug)]
pub struct Promote {
    /// The release, such as logs-broker@2.1.0
    release: ReleaseName,
    /// The stage to promote to
    #[arg(long, value_name = "STAGE")]
    to: StageName,
    /// Admit it without the evidence of the stage before, once and within an hour; the reason is recorded
    #[arg(long, value_name = "REASON")]
    break_glass: Option<Reason>,
    /// Also revert changes that were made there outside of CloudFormation
    #[arg(long)]
    revert_drift: bool,
}

/// Starts a promotion and follows it to its end, or to a question.
pub async fn run(arguments: &Promote, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    if let Some(reason) = &arguments.break_glass {
        break_glass(arguments, reason, &plane, &context.output).await?;
    }
    let ReleaseName { component, version } = arguments.release.clone();
    let run = Run::Promote(inputs::Promote {
        component,
        version,
        to: arguments.to.clone(),
        revert_drift: arguments.revert_drift,
    });
    let execution = runs::start(&plane, &run).await?;
    follow_to_end(&plane, &execution, context).await
}

async fn break_glass(
    arguments: &Promote,
    reason: &Reason,
    plane: &ControlPlane,
    output: &Output,
) -> Result<(), Failure> {
    let ReleaseName { component, version } = arguments.release.clone();
    let request = Request::BreakGlass {
        component,
        version,
        stage: arguments.to.clone(),
        reason: reason.as_str().to_owned(),
    };
    plane.ask(&request).await?;
    output.note(warning(arguments, reason));
    Ok(())
}

/// Returns the warning that is printed on standard error, with `--json` too.
fn warning(arguments: &Promote, reason: &Reason) -> String {
    let ReleaseName { component, version } = &arguments.release;
    format!(
        "!! BREAK-GLASS !! {component} {version} is admitted to {} without the evidence of the stage before. \
         Recorded with your name: {}",
        arguments.to,
        reason.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Cli, Command};
    use clap::Parser;

    #[test]
    fn break_glass_needs_a_reason_and_prints_a_warning() {
        let typed = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.command);
        assert!(typed("lockstep promote logs@2.1.0 --to production --break-glass").is_err());
        let Ok(Command::Promote(arguments)) =
            typed("lockstep promote logs@2.1.0 --to production --break-glass outage")
        else {
            panic!("this is a promotion");
        };
        let warned = warning(&arguments, arguments.break_glass.as_ref().unwrap());
        assert!(warned.starts_with("!! BREAK-GLASS !! logs 2.1.0 is admitted to production"), "{warned}");
        assert!(warned.ends_with(": outage"), "{warned}");
    }
}
