//! The permissions that an execution role needs, and those that it lacks.

use crate::output::Output;
use lockstep_domain::delivery::packaging::StageNeeds;
use lockstep_domain::model::missing_permissions::{MissingPermission, MissingPermissions};
use lockstep_domain::model::permission::{Level, Need};
use lockstep_domain::records::{DeployBody, Deployment};
use lockstep_domain::stacks::permissions::Needs;
use lockstep_domain::stacks::permissions::policy::{Form, document, statements};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Prints the needs of a component: a summary, or with `all` every permission by resource and line of `file`.
///
/// Stages with equal needs share one summary.
pub fn show_needs(stages: &[StageNeeds], file: &str, all: bool, output: &Output) {
    let mut groups: Vec<(&Needs, Vec<&str>)> = Vec::new();
    for StageNeeds { stage, needs } in stages {
        let names = stage.as_ref().map(|stage| stage.as_str());
        match groups.iter_mut().find(|(known, _)| actions(known) == actions(needs)) {
            Some((_, stages)) => stages.extend(names),
            None => groups.push((needs, names.into_iter().collect())),
        }
    }
    for (needs, names) in &groups {
        let everywhere = groups.len() == 1;
        let place = if everywhere { String::new() } else { format!(" in {}", names.join(", ")) };
        output.line(format!("  the execution role needs{place} {}", summary(needs)));
        if all {
            list(needs, file, output);
        }
    }
    if !all {
        output.line("  lockstep check --permissions lists them, lockstep permissions writes the policy");
    }
}

/// Returns a stage's needs as a document.
pub fn needs_document(of_stage: &StageNeeds) -> Value {
    let Needs { needs, unknown } = &of_stage.needs;
    json!({"stage": of_stage.stage, "needs": needs, "unknown": unknown})
}

/// Returns the actions by level and resource, to compare stages. The ARNs differ in any case.
fn actions(needs: &Needs) -> BTreeSet<(&str, &str, Level)> {
    needs.needs.iter().map(|need| (need.resource.as_str(), need.action.as_str(), need.level)).collect()
}

fn summary(needs: &Needs) -> String {
    let count = |level| {
        let actions: BTreeSet<&str> = needs.of(level).map(|need| need.action.as_str()).collect();
        actions.len()
    };
    let (required, conditional) = (count(Level::Required), count(Level::Conditional));
    let unknown = match needs.unknown.len() {
        0 => String::new(),
        1 => "; those of 1 resource are not known".to_owned(),
        several => format!("; those of {several} resources are not known"),
    };
    format!("{required} actions, and {conditional} that depend on unknown values{unknown}")
}

fn list(needs: &Needs, file: &str, output: &Output) {
    type Reason<'n> = (Level, &'n str);
    let mut resources: BTreeMap<(u32, &str, &str), BTreeMap<Reason<'_>, BTreeSet<String>>> = BTreeMap::new();
    for need in &needs.needs {
        let reasons = resources.entry((need.line, &need.resource, &need.kind)).or_default();
        reasons.entry((need.level, &need.because)).or_default().insert(action_on(need));
    }
    for ((line, resource, kind), reasons) in resources {
        output.line(format!("  {resource} ({kind}, {file}:{line})"));
        for ((level, because), actions) in reasons {
            let level = if level == Level::Required { "required" } else { "conditional" };
            let actions: Vec<String> = actions.into_iter().collect();
            output.line(format!("    {level}, as {because}: {}", actions.join(", ")));
        }
    }
    for unknown in &needs.unknown {
        let resource = if unknown.resource.is_empty() { "the template" } else { &unknown.resource };
        output.line(format!("  unknown: {resource} ({file}:{}): {}", unknown.line, unknown.because));
    }
}

/// Returns an action, with the role that `iam:PassRole` passes.
fn action_on(need: &Need) -> String {
    match need.action.as_str() {
        "iam:PassRole" => format!("{} on {}", need.action, need.arn),
        action => action.to_owned(),
    }
}

/// Prints the permissions that the execution role lacks for a deployment, the statements to add, and the unknown ones.
pub fn show_lack(deployment: &Deployment, output: &Output) {
    let lack = deployment.deploy().and_then(|deploy| deploy.lack.as_ref());
    let Some(lack) = lack.filter(|lack| !lack.is_empty()) else { return };
    let role = format!("the execution role of account {}", deployment.location.account);
    if !lack.missing.is_empty() {
        let count = lack.missing.len() + lack.missing_more;
        output.line(format!("  WARNING: {role} lacks {}:", permissions(count)));
        lack.missing.iter().for_each(|lacking| output.line(format!("    {}", missing(lacking))));
        if lack.missing_more > 0 {
            output.line(format!("    and {} more", lack.missing_more));
        }
        if let Some(statements) = statements_to_add(lack) {
            output.line(format!("  add to its policies: {statements}"));
        }
    }
    if lack.conditional > 0 {
        output.line(format!("  {role} lacks {} that may be needed", permissions(lack.conditional)));
    }
    for (why, count) in &lack.unknown {
        output.line(format!("  unknown whether {role} has {}: {why}", permissions(*count)));
    }
}

/// Prints the needs of each resource of a planned deployment, by line.
pub fn show_resources(deploy: &DeployBody, output: &Output) {
    for needs in deploy.lack.iter().flat_map(|lack| &lack.resources) {
        let list = |actions: &BTreeSet<String>| actions.iter().cloned().collect::<Vec<_>>().join(", ");
        output.line(format!(
            "  {} ({}, line {}) needs {}",
            needs.resource,
            needs.kind,
            needs.line,
            list(&needs.required)
        ));
        if !needs.conditional.is_empty() {
            output.line(format!("    and may need {}", list(&needs.conditional)));
        }
    }
}

fn permissions(count: usize) -> String {
    if count == 1 { "1 permission".to_owned() } else { format!("{count} permissions") }
}

fn missing(MissingPermission { need, obstacle }: &MissingPermission) -> String {
    let obstacle = obstacle.as_ref().map_or_else(String::new, |obstacle| format!("; {obstacle}"));
    let (action, arn, resource, line, because) =
        (&need.action, &need.arn, &need.resource, need.line, &need.because);
    format!("{action} on {arn} ({resource}, line {line}: {because}){obstacle}")
}

/// Returns the statements that would allow the missing permissions, or `None` if no statement of the role would.
fn statements_to_add(lack: &MissingPermissions) -> Option<String> {
    let helps = lack.missing.iter().filter(|lacking| lacking.obstacle.is_none());
    let statements = statements(helps.map(|lacking| &lacking.need));
    if statements.is_empty() {
        None
    } else {
        Some(document(&statements, Form::Json)["Statement"].to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{deploy, deployment_of};
    use lockstep_domain::model::permission::Certainty;

    fn lacking(action: &str, obstacle: Option<&str>) -> MissingPermission {
        let need = Need {
            line: 12,
            resource: "Queue".into(),
            kind: "AWS::SQS::Queue".into(),
            action: action.into(),
            arn: "arn:aws:sqs:eu-west-1:222222222222:orders".into(),
            certainty: Certainty::Exact,
            level: Level::Required,
            because: "the stack is tagged".into(),
            condition: None,
        };
        MissingPermission { need, obstacle: obstacle.map(str::to_owned) }
    }

    fn shown(lack: MissingPermissions) -> String {
        let output = Output::memory(false);
        show_lack(&deployment_of(DeployBody { lack: Some(lack), ..deploy() }), &output);
        output.captured()
    }

    #[test]
    fn a_missing_permission_has_its_line_and_a_statement_to_add() {
        let text = shown(MissingPermissions {
            asked: 2,
            allowed: 1,
            missing: vec![lacking("sqs:TagQueue", None)],
            ..MissingPermissions::default()
        });
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_statement_is_suggested_if_none_would_help() {
        let text = shown(MissingPermissions {
            missing: vec![lacking("sqs:TagQueue", Some("a statement denies it"))],
            ..MissingPermissions::default()
        });
        assert!(text.contains("a statement denies it") && !text.contains("add to its policies"), "{text}");
    }

    #[test]
    fn an_unknown_permission_has_a_reason_and_no_warning() {
        let unknown = [("AWS gave no answer".to_owned(), 3)].into();
        let text = shown(MissingPermissions { asked: 3, unknown, ..MissingPermissions::default() });
        let expected = "  unknown whether the execution role of account 222222222222 has 3 permissions: AWS gave no answer\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_role_without_missing_permissions_is_not_mentioned() {
        assert_eq!(shown(MissingPermissions { asked: 3, allowed: 3, ..MissingPermissions::default() }), "");
    }
}
