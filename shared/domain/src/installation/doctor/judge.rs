//! Judges a whole installation.

use super::{
    Facts, Finding, Installed, Reading, StackFacts, TargetFacts, WebhookFacts, limits, place, resource,
};
use crate::model::ids::{AccountId, RepositoryId};
use crate::records::OwnedName;
use std::collections::BTreeSet;

/// Maximum difference of the clock in seconds: the limit at which AWS refuses signatures, less a minute of
/// safety. <https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html>
const CLOCK_SECONDS_MAX: u64 = 240;

/// Returns every finding about an installation, the worst first and otherwise in the order of the facts.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![judge_clock(&facts.clock_ahead_seconds)];
    findings.extend(judge_control_plane(facts));
    findings.extend(facts.stacks.iter().flat_map(|stack| judge_stack(stack, "")));
    findings.extend(facts.resources.iter().flat_map(resource::judge));
    findings.extend(facts.quotas.iter().map(limits::judge));
    findings.extend(judge_webhooks(&facts.webhook));
    findings.extend(judge_names(&facts.abandoned_names));
    findings.extend(judge_places(facts));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn judge_clock(ahead: &Reading<i64>) -> Finding {
    let subject = "clock";
    match ahead {
        Err(unknown) => Finding::unknown(subject, unknown),
        Ok(ahead) if ahead.unsigned_abs() > CLOCK_SECONDS_MAX => {
            let side = if *ahead > 0 { "ahead of" } else { "behind" };
            let sentence = format!("this machine is {} s {side} AWS", ahead.unsigned_abs());
            Finding::broken(
                subject,
                sentence,
                "set the machine's clock: AWS refuses signatures of five minutes",
            )
        }
        Ok(ahead) => Finding::fine(subject, format!("it differs by {} s from AWS's", ahead.unsigned_abs())),
    }
}

fn judge_control_plane(facts: &Facts) -> Vec<Finding> {
    let subject = "control plane";
    let installed = match &facts.control_plane {
        Err(unknown) => return vec![Finding::unknown(subject, unknown)],
        Ok(None) => {
            let sentence = "Lockstep is not installed in this account and region";
            return vec![Finding::broken(subject, sentence, "lockstep install")];
        }
        Ok(Some(installed)) => installed,
    };
    vec![judge_version(subject, installed, &facts.command_version), judge_caller(installed, &facts.caller)]
}

fn judge_version(subject: &str, installed: &Installed, command: &str) -> Finding {
    if installed.version == command {
        return Finding::fine(subject, format!("version {command} is installed in {}", installed.account));
    }
    Finding::warning(
        subject,
        format!("version {} is installed, and this command is version {command}", installed.version),
        "lockstep install, or use the command of the installed version",
    )
}

fn judge_caller(installed: &Installed, caller: &Reading<AccountId>) -> Finding {
    let subject = "credentials";
    match caller {
        Err(unknown) => Finding::unknown(subject, unknown),
        Ok(caller) if *caller != installed.account => Finding::broken(
            subject,
            format!("they are of account {caller}, and the control plane is in {}", installed.account),
            "name a profile of the control plane's account with --profile",
        ),
        Ok(caller) => Finding::fine(subject, format!("they are of account {caller}")),
    }
}

pub(super) fn judge_stack(stack: &StackFacts, place: &str) -> Vec<Finding> {
    let subject = &format!("stack {}{place}", stack.name);
    let state = match &stack.found {
        Err(unknown) => return vec![Finding::unknown(subject, unknown)],
        Ok(None) => return vec![Finding::broken(subject, "it does not exist", &stack.install)],
        Ok(Some(state)) => state,
    };
    let mut findings = Vec::new();
    if state.status.ends_with("_IN_PROGRESS") {
        let sentence = format!("an operation runs on it: {}", state.status);
        findings.push(Finding::warning(subject, sentence, "run lockstep doctor again when it has ended"));
    } else if !is_settled(&state.status) {
        findings.push(Finding::broken(subject, format!("its status is {}", state.status), &stack.install));
    }
    match &state.is_current {
        Err(unknown) => findings.push(Finding::unknown(subject, unknown)),
        Ok(false) => {
            let sentence = "its template is not the one of this version";
            findings.push(Finding::warning(subject, sentence, &stack.install));
        }
        Ok(true) => {}
    }
    if findings.is_empty() {
        findings.push(Finding::fine(subject, format!("it is {} and current", state.status)));
    }
    findings
}

/// Returns true if a stack in this status matches its last template.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html>
fn is_settled(status: &str) -> bool {
    ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"].contains(&status)
}

fn judge_webhooks(webhooks: &Reading<Vec<WebhookFacts>>) -> Vec<Finding> {
    match webhooks {
        Err(unknown) => vec![Finding::unknown("webhook", unknown)],
        Ok(webhooks) => webhooks.iter().map(judge_webhook).collect(),
    }
}

fn judge_webhook(webhook: &WebhookFacts) -> Finding {
    let subject = &format!("webhook of {}", webhook.repository);
    let refused: u32 = webhook.refusals.iter().map(|(_, count)| count).sum();
    let refusals: Vec<String> =
        webhook.refusals.iter().map(|(part, count)| format!("{count} for the {part}")).collect();
    let refusals = refusals.join(", ");
    match webhook.last_accepted {
        Some(at) if refused == 0 => Finding::fine(subject, format!("its last delivery was accepted at {at}")),
        Some(at) => Finding::warning(
            subject,
            format!("its last delivery was accepted at {at}; after it these were refused: {refusals}"),
            fix_of_refusals(&webhook.refusals),
        ),
        None if refused == 0 => Finding::warning(
            subject,
            format!("no delivery came in the last {} days", webhook.days),
            format!("lockstep repositories test {}", webhook.repository),
        ),
        None => Finding::broken(
            subject,
            format!("every delivery of the last {} days was refused: {refusals}", webhook.days),
            fix_of_refusals(&webhook.refusals),
        ),
    }
}

fn fix_of_refusals(refusals: &[(String, u32)]) -> &'static str {
    let has = |wanted: &str| refusals.iter().any(|(part, _)| part == wanted);
    if has("signature") {
        "compare the secret: lockstep secrets set <repository> webhook --stdin, and the webhook's settings"
    } else if has("id") {
        "compare the payload URL: lockstep repositories add prints it"
    } else if has("repository") {
        "subscribe the repository: lockstep repositories add, or remove the webhook"
    } else {
        "look at the answers in the webhook's recent deliveries"
    }
}

/// Judges the owners of names. A removed repository keeps its names, so that no other repository takes them by a push.
fn judge_names(abandoned: &Reading<Vec<(OwnedName, RepositoryId)>>) -> Vec<Finding> {
    let subject = "owners of names";
    match abandoned {
        Err(unknown) => vec![Finding::unknown(subject, unknown)],
        Ok(names) if names.is_empty() => vec![Finding::fine(subject, "every owner is registered")],
        Ok(names) => names.iter().map(|(name, owner)| judge_name(name, owner)).collect(),
    }
}

fn judge_name(name: &OwnedName, owner: &RepositoryId) -> Finding {
    let owner = owner.full_name();
    Finding::warning(
        &format!("owner of the {name}"),
        format!("{owner} owns it and is not registered any more, so no push can release it"),
        format!(
            "lockstep {}s assign {} --to <repository>, or lockstep repositories add github:{owner}",
            name.kind(),
            name.as_str()
        ),
    )
}

/// Judges every location. Each account must allow the images of the accounts on the delivery path.
fn judge_places(facts: &Facts) -> Vec<Finding> {
    let places = match &facts.places {
        Err(unknown) => return vec![Finding::unknown("accounts", unknown)],
        Ok(places) => places,
    };
    if places.is_empty() {
        let sentence = "no account was added, so nothing can be deployed";
        return vec![Finding::warning("accounts", sentence, "lockstep accounts add")];
    }
    let senders: BTreeSet<&AccountId> =
        places.iter().filter(|place| place.sends_images).map(|place| &place.account).collect();
    let judge = |place: &TargetFacts| {
        let others: Vec<&AccountId> =
            senders.iter().copied().filter(|account| **account != place.account).collect();
        place::judge(place, &others)
    };
    places.iter().flat_map(judge).collect()
}
