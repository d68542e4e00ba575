//! `lockstep permissions`: prints a policy for the execution role, which CloudFormation uses.

use super::check::{find, refused};
use crate::context::CommandContext;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::permissions_table::table;
use crate::report::Report;
use clap::{Args, ValueEnum};
use lockstep_domain::delivery::packaging::{Package, PackagingInput, Scope, needs_by_stage};
use lockstep_domain::model::ids::StageName;
use lockstep_domain::model::permission::Need;
use lockstep_domain::stacks::permissions::policy::{
    Form, POLICIES_PER_ROLE, Statement, document, split, statements, template,
};
use lockstep_domain::stacks::permissions::{Table, Unknown};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The arguments of `permissions`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The folders of the components, or of several below them
    #[arg(required = true, value_name = "COMPONENT")]
    folders: Vec<PathBuf>,
    /// A policy document, or a template with managed policies
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// The organisation's stages: their parameters decide the template's conditions
    #[arg(long, value_name = "FILE")]
    stages: Option<PathBuf>,
    /// The organisation's parameters
    #[arg(long, value_name = "FILE", requires = "stages")]
    parameters: Option<PathBuf>,
    /// The stage that the policy is for; by default all of --stages
    #[arg(long = "in", alias = "stage", value_name = "STAGE", requires = "stages")]
    stage: Option<StageName>,
}

/// The form of the printed policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A policy document as IAM takes it; a list of them if one would be too long
    Json,
    /// A CloudFormation template with a managed policy for each part
    Cloudformation,
}

/// Prints the policies that the components need, and the needs that are not known.
pub async fn run(arguments: &Arguments, context: &CommandContext) -> Result<Report, Failure> {
    let organisation = (arguments.stages.as_deref(), arguments.parameters.as_deref());
    let found = match find(&arguments.folders, organisation, context).await? {
        Ok(found) if found.problems.is_empty() => found,
        Ok(found) => return Ok(refused(&context.output, &found.problems)),
        Err(problems) => return Ok(refused(&context.output, &problems)),
    };
    if let (Some(stage), Some(stages)) = (&arguments.stage, &found.stages) {
        stages.named(stage)?;
    }
    let (needs, unknown) = gather(&found.packages, &found.input(), table()?, arguments.stage.as_ref());
    let policies = split(statements(&needs));
    print(&policies, arguments.format, &context.output);
    warn(&policies, &unknown, &context.output);
    let documents: Vec<Value> = policies.iter().map(|policy| document(policy, Form::Json)).collect();
    let mut report = json!({"policies": documents, "unknown": unknown});
    if arguments.format == Format::Cloudformation {
        report["template"] = template(&policies);
    }
    Ok(Report { document: report, exit: Exit::Done })
}

/// Returns the needs of all components in the chosen stages, for any account and region.
fn gather(
    packages: &[Package],
    input: &PackagingInput<'_>,
    table: &Table,
    stage: Option<&StageName>,
) -> (Vec<Need>, BTreeSet<Unknown>) {
    let mut all = Vec::new();
    let mut unknown = BTreeSet::new();
    for package in packages {
        for of_stage in needs_by_stage(package, input, table, Scope::Account) {
            if stage.is_none_or(|stage| of_stage.stage.as_ref() == Some(stage)) {
                all.extend(of_stage.needs.needs);
                unknown.extend(of_stage.needs.unknown);
            }
        }
    }
    (all, unknown)
}

fn print(policies: &[Vec<Statement>], format: Format, output: &Output) {
    let written = match (format, policies) {
        (Format::Cloudformation, _) => template(policies),
        (Format::Json, [policy]) => document(policy, Form::Json),
        (Format::Json, _) => policies.iter().map(|policy| document(policy, Form::Json)).collect(),
    };
    output.line(format!("{written:#}"));
}

/// Prints on standard error what the policies leave open.
fn warn(policies: &[Vec<Statement>], unknown: &BTreeSet<Unknown>, output: &Output) {
    if output.is_json() {
        return;
    }
    for Unknown { line, resource, kind, because } in unknown {
        let place =
            if resource.is_empty() { String::new() } else { format!("{resource} ({kind}, line {line}): ") };
        output.note(format!("unknown: {place}{because}"));
    }
    if policies.len() > POLICIES_PER_ROLE {
        output.note(format!(
            "the role takes {POLICIES_PER_ROLE} managed policies, and these are {}: ask for a higher quota",
            policies.len()
        ));
    }
}
