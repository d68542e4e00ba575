//! Judges single resources of an installation.

use super::{Finding, Reading};
use std::collections::BTreeSet;

/// A resource of a stack, as its service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFacts {
    /// Name of the resource in the report, such as `function lockstep-ledger`.
    pub subject: String,
    /// State of the resource; `None` if the service knows no such resource.
    pub found: Reading<Option<ResourceState>>,
    /// Command that creates it again.
    pub install: String,
}

/// The state of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceState {
    /// A Lambda function.
    Function(FunctionState),
    /// A state machine.
    Machine(MachineState),
    /// An IAM role.
    Role(RoleState),
    /// An EventBridge rule.
    Rule(RuleState),
    /// A resource that must exist and be usable, with its status if it has one.
    Other {
        /// Status, such as `ACTIVE`.
        status: Option<String>,
    },
}

/// The state of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionState {
    /// SHA-256 of the code that it runs, in base64.
    pub code_sha256: String,
    /// SHA-256 that its stack names.
    pub wanted_sha256: Reading<String>,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub state: String,
}

/// The state of a state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineState {
    /// True if its definition is the one that its stack names.
    pub is_as_installed: Reading<bool>,
    /// `ACTIVE` or `DELETING`.
    pub status: String,
    /// Diagnostics of the definition from Step Functions.
    pub validation: Reading<Vec<Diagnostic>>,
}

/// One result of ValidateStateMachineDefinition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// True if Step Functions would refuse the definition.
    pub is_error: bool,
    /// Location and text of the diagnostic.
    pub message: String,
}

/// The state of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleState {
    /// Every principal of its trust policy.
    pub principals: Vec<String>,
    /// Actions that its own policies allow and AWS denies it.
    pub denied: Reading<BTreeSet<String>>,
}

/// The state of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// True if the rule is enabled.
    pub is_enabled: bool,
    /// ARNs of its targets.
    pub targets: Vec<String>,
    /// Required target; `None` if any target is valid.
    pub wanted: Option<String>,
}

pub(super) fn judge(resource: &ResourceFacts) -> Vec<Finding> {
    let subject = &resource.subject;
    match &resource.found {
        Err(unknown) => vec![Finding::unknown(subject, unknown)],
        Ok(None) => vec![Finding::broken(subject, "it does not exist", &resource.install)],
        Ok(Some(state)) => {
            let findings = match state {
                ResourceState::Function(function) => judge_function(subject, function, &resource.install),
                ResourceState::Machine(machine) => judge_machine(subject, machine, &resource.install),
                ResourceState::Role(role) => judge_role(subject, role, &resource.install),
                ResourceState::Rule(rule) => judge_rule(subject, rule, &resource.install),
                ResourceState::Other { status } => {
                    judge_status(subject, status.as_deref(), &resource.install)
                }
            };
            if findings.is_empty() { vec![Finding::fine(subject, "it is as installed")] } else { findings }
        }
    }
}

fn judge_function(subject: &str, function: &FunctionState, install: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &function.wanted_sha256 {
        Err(unknown) => findings.push(Finding::unknown(subject, unknown)),
        Ok(wanted) if *wanted != function.code_sha256 => findings.push(Finding::broken(
            subject,
            format!("it runs code with the SHA-256 {}, and its stack names {wanted}", function.code_sha256),
            install,
        )),
        Ok(_) => {}
    }
    match function.state.as_str() {
        // Lambda makes a function without invocations inactive, and the next invocation activates it.
        "Active" | "Inactive" => {}
        "Pending" => {
            let sentence = "Lambda is still preparing it";
            findings.push(Finding::warning(subject, sentence, "run lockstep doctor again in a minute"));
        }
        other => findings.push(Finding::broken(subject, format!("its state is {other}"), install)),
    }
    findings
}

fn judge_machine(subject: &str, machine: &MachineState, install: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &machine.is_as_installed {
        Err(unknown) => findings.push(Finding::unknown(subject, unknown)),
        Ok(false) => {
            let sentence = "its definition differs from the one that its stack names";
            findings.push(Finding::broken(subject, sentence, install));
        }
        Ok(true) => {}
    }
    if machine.status != "ACTIVE" {
        findings.push(Finding::broken(subject, format!("its status is {}", machine.status), install));
    }
    match &machine.validation {
        Err(unknown) => findings.push(Finding::unknown(subject, unknown)),
        Ok(diagnostics) => findings.extend(diagnostics.iter().map(|diagnostic| {
            let sentence = format!("Step Functions says: {}", diagnostic.message);
            if diagnostic.is_error {
                Finding::broken(subject, sentence, "report this: the installed definition is wrong")
            } else {
                Finding::warning(subject, sentence, "report this if an execution fails there")
            }
        })),
    }
    findings
}

fn judge_role(subject: &str, role: &RoleState, install: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dead: Vec<&str> =
        role.principals.iter().map(String::as_str).filter(|principal| is_unique_id(principal)).collect();
    if !dead.is_empty() {
        let sentence = format!("it trusts {}, which was deleted", dead.join(", "));
        findings.push(Finding::broken(subject, sentence, install));
    }
    match &role.denied {
        Err(unknown) => findings.push(Finding::unknown(subject, unknown)),
        Ok(denied) if !denied.is_empty() => {
            let denied: Vec<&str> = denied.iter().map(String::as_str).collect();
            findings.push(Finding::broken(
                subject,
                format!("AWS denies it {}, which its own policies allow", denied.join(", ")),
                "look for a service control policy or a permissions boundary that denies them",
            ));
        }
        Ok(_) => {}
    }
    findings
}

/// Returns true for a unique id. IAM shows a deleted principal by it
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>).
fn is_unique_id(principal: &str) -> bool {
    ["AROA", "AIDA"].iter().any(|prefix| principal.starts_with(prefix))
        && principal.len() >= 16
        && principal.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn judge_rule(subject: &str, rule: &RuleState, install: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !rule.is_enabled {
        let name = subject.split_whitespace().last().unwrap_or(subject);
        let remedy = format!("aws events enable-rule --name {name}, in the account and region of the rule");
        findings.push(Finding::broken(subject, "it is disabled", remedy));
    }
    match &rule.wanted {
        Some(wanted) if !rule.targets.contains(wanted) => {
            findings.push(Finding::broken(subject, format!("its targets lack {wanted}"), install));
        }
        None if rule.targets.is_empty() => {
            findings.push(Finding::broken(subject, "it has no target", install));
        }
        _ => {}
    }
    findings
}

fn judge_status(subject: &str, status: Option<&str>, install: &str) -> Vec<Finding> {
    match status {
        None | Some("ACTIVE") => Vec::new(),
        Some(status @ ("CREATING" | "UPDATING")) => {
            let sentence = format!("its status is {status}");
            vec![Finding::warning(subject, sentence, "run lockstep doctor again in a minute")]
        }
        Some(status) => vec![Finding::broken(subject, format!("its status is {status}"), install)],
    }
}
