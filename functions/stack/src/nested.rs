//! Nested stacks of a change set: the reason for which one could not be examined, and the change set without them.

use crate::observe::{NESTING_MAX, unreadable};
use lockstep_aws::cloudformation::{ChangeSetState, ChangeSetView, Stacks};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::stacks::template::Template;

/// End of the description of a change set that does not examine nested stacks.
const WITHOUT: &str = ", without nested stacks";

/// Returns true if the template has nested stacks, as far as it shows them.
pub fn has_nested(template: &Template) -> bool {
    let nests = |kind: &str| kind == NESTED_STACK || kind == "AWS::Serverless::Application";
    template.resources().values().any(|resource| nests(&resource.kind))
}

/// Returns the description of a change set that does not examine nested stacks.
pub fn without_nested(description: &str) -> String {
    format!("{description}{WITHOUT}")
}

/// Returns true if the change set was made without its nested stacks.
pub fn is_without_nested(view: &ChangeSetView) -> bool {
    view.description.ends_with(WITHOUT)
}

/// Returns the nested change set that failed and its own reason, of a change set that failed for `why`; `None` if no nested
/// one failed.
///
/// CloudFormation says of the change set above only that a nested one failed, and which.
pub async fn failed_nested(
    stacks: &impl Stacks,
    view: &ChangeSetView,
    why: &str,
) -> Result<Option<String>, Failure> {
    let mut found = None;
    let mut open: Vec<(String, usize)> = beneath(view, why).into_iter().map(|arn| (arn, 1)).collect();
    while let Some((arn, depth)) = open.pop() {
        if depth > NESTING_MAX {
            return Err(unreadable(&arn, "its stacks are nested too deep"));
        }
        let Some(nested) = stacks.describe_change_set("", &arn).await? else { continue };
        let ChangeSetState::Failed(reason) = &nested.state else { continue };
        let inner = beneath(&nested, reason);
        // The innermost failure is the reason of those above it.
        found = Some(format!("nested stack {}: {reason}", stack_name(&nested.stack_arn)));
        if inner.is_empty() {
            break;
        }
        open.extend(inner.into_iter().map(|arn| (arn, depth + 1)));
    }
    Ok(found)
}

/// Returns the ARNs of the change sets directly beneath one: those that its reason names, else those of its changes.
fn beneath(view: &ChangeSetView, why: &str) -> Vec<String> {
    let words = why.split(|c: char| c.is_whitespace() || "\"'[](),".contains(c));
    let named: Vec<String> = words
        .filter(|word| word.starts_with("arn:") && word.contains(":changeSet/"))
        .map(|word| word.trim_end_matches('.').to_owned())
        .filter(|arn| *arn != view.arn)
        .collect();
    if !named.is_empty() {
        return named;
    }
    view.changes.iter().flatten().filter_map(|change| change.change_set.clone()).collect()
}

/// Returns the name in the ARN of a stack.
fn stack_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::stacks::identity::Tags;

    fn view(description: &str) -> ChangeSetView {
        ChangeSetView {
            arn: "arn:aws:cloudformation:eu-west-1:1:changeSet/root/1".into(),
            stack_arn: "arn:aws:cloudformation:eu-west-1:1:stack/ci-app/1".into(),
            description: description.into(),
            tags: Tags::new(),
            state: ChangeSetState::Ready,
            changes: None,
        }
    }

    #[test]
    fn the_reason_names_the_change_set_beneath() {
        let nested = "arn:aws:cloudformation:eu-west-1:1:changeSet/root-Net-X/2";
        let why = format!("Nested change set {nested} was not successfully created: Currently in FAILED.");
        assert_eq!(beneath(&view("d"), &why), [nested]);
        assert_eq!(beneath(&view("d"), "no such bucket"), Vec::<String>::new());
        assert_eq!(stack_name(&view("d").stack_arn), "ci-app");
    }

    #[test]
    fn the_description_tells_a_change_set_without_nested_stacks() {
        assert!(is_without_nested(&view(&without_nested("d"))));
        assert!(!is_without_nested(&view("d")));
    }
}
