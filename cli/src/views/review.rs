//! The values and the access that a change set changes, as they are printed for an approver.

use crate::output::Output;
use lockstep_domain::model::late_values::{LateChange, LateReading};
use lockstep_domain::records::{AccessChange, DeployBody, ParameterChange, Review, ShownValue};

/// Prints the review of a change set.
pub fn show(review: &Review, output: &Output) {
    if !review.parameters.is_empty() {
        output.line("  parameters:");
        output.table(["parameter", "now", "then", ""], review.parameters.iter().map(row));
    }
    if !review.late.is_empty() {
        output.line("  values that CloudFormation reads:");
        output.table(["value", "now", "then"], review.late.iter().map(late_row));
    }
    if !review.access.is_empty() {
        output.line("  access (- before, + after):");
        review.access.iter().for_each(|change| output.line(format!("    {}", line(change))));
    }
    review.warnings.iter().for_each(|what| output.line(format!("  CLOUDFORMATION WARNS: {what}")));
    review.unseen.iter().for_each(|what| output.line(format!("  NOT SHOWN: {what}")));
}

fn row(change: &ParameterChange) -> [String; 4] {
    let mark = if change.overridden { "OVERRIDDEN for this deployment" } else { "" };
    let [old, new] = shortened([value(change.old.as_ref()), value(change.new.as_ref())]);
    [change.name.clone(), old, new, mark.to_owned()]
}

fn late_row(change: &LateChange) -> [String; 3] {
    let old = change.old.as_ref().map_or_else(|| "-".to_owned(), LateReading::to_string);
    let [old, new] = shortened([old, change.new.to_string()]);
    [change.name.clone(), old, new]
}

/// Characters of a value that a cell shows.
const CELL_MAX: usize = 80;

/// Characters before the first difference that a shortened value shows.
const BEFORE_DIFFERENCE: usize = 20;

/// Returns two values as cells show them. A longer one is reduced to the part around the first difference, and says so if
/// the values differ behind that part too.
fn shortened(values: [String; 2]) -> [String; 2] {
    let [old, new] = &values;
    let common = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let are_long = values.iter().all(|value| value.chars().count() > CELL_MAX);
    let same_end = old.chars().rev().zip(new.chars().rev()).take_while(|(a, b)| a == b).count();
    values.map(|value| {
        let length = value.chars().count();
        if length <= CELL_MAX {
            return value;
        }
        let start = common.saturating_sub(BEFORE_DIFFERENCE).min(length - CELL_MAX);
        let part: String = value.chars().skip(start).take(CELL_MAX).collect();
        let (before, after) =
            (if start > 0 { "…" } else { "" }, if start + CELL_MAX < length { "…" } else { "" });
        let more =
            if are_long && start + CELL_MAX < length - same_end { ", and it differs further on" } else { "" };
        format!("{before}{part}{after} ({length} characters{more})")
    })
}

fn value(shown: Option<&ShownValue>) -> String {
    match shown {
        None => "-".to_owned(),
        Some(ShownValue::Hidden) => "(hidden)".to_owned(),
        Some(ShownValue::Text(text)) if text.is_empty() => "\"\"".to_owned(),
        Some(ShownValue::Text(text)) => text.clone(),
    }
}

fn line(change: &AccessChange) -> String {
    let sign = if change.is_new { '+' } else { '-' };
    format!("{sign} {} ({}) {}", change.resource, change.resource_type, change.line)
}

/// Returns the lines about a deployment that deviates from its plain form.
pub fn deviations(deploy: &DeployBody) -> Vec<String> {
    // Every field is named, so that a new one is shown to approvers or left out on purpose.
    let DeployBody {
        overrides,
        revert_drift,
        parameters_of,
        break_glass,
        follows,
        // The title shows the plan and the environment, the question its change set, and other views the rest.
        plan_only: _,
        stack: _,
        change_set: _,
        lack: _,
        pusher: _,
        repository: _,
        digest: _,
        template_digest: _,
        inputs: _,
        parameters: _,
        parameters_digest: _,
        late_values: _,
        stack_changed: _,
        outputs: _,
        diagnosis: _,
    } = deploy;
    let mut lines = Vec::new();
    if let Some(glass) = break_glass {
        lines.push(format!(
            "  BREAK-GLASS: no evidence of the stage before; {} let it in: {}",
            glass.by, glass.reason
        ));
    }
    if !overrides.is_empty() {
        let names: Vec<&str> = overrides.keys().map(String::as_str).collect();
        lines.push(format!("  OVERRIDES: {}; no stage before tested these values", names.join(", ")));
    }
    if let Some(stage) = parameters_of {
        lines.push(format!("  CLONE: with the parameters of {stage}"));
    }
    if let Some(follows) = follows {
        let producer = follows.producer.short();
        lines.push(format!("  FOLLOWS a producer whose outputs changed: lockstep why {producer}"));
    }
    if *revert_drift {
        lines.push("  REVERTS what was changed outside of CloudFormation".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deploy};
    use lockstep_domain::records::BreakGlass;

    fn text(value: &str) -> Option<ShownValue> {
        Some(ShownValue::Text(value.to_owned()))
    }

    #[test]
    fn a_long_value_is_reduced_to_its_first_difference() {
        let long = |middle: &str| format!("{}{middle}{}", "a".repeat(2000), "b".repeat(2000));
        let [old, new] = shortened([long("10.0.0.0/8"), long("0.0.0.0/0")]);
        assert!(
            old.starts_with('…') && old.contains("aa10.0.0.0/8bb") && old.ends_with("… (4010 characters)"),
            "{old}"
        );
        assert!(new.contains("aa0.0.0.0/0bb"), "{new}");
        let longer = long("");
        let [old, new] = shortened(["-".into(), longer.clone()]);
        assert_eq!((old.as_str(), new), ("-", format!("{}… (4000 characters)", &longer[..CELL_MAX])));
        let [old, new] = shortened([longer.clone(), format!("{longer}c")]);
        assert!(old.ends_with("b (4000 characters)") && new.ends_with("bc (4001 characters)"), "{old} {new}");
        assert_eq!(shortened(["short".into(), String::new()]), ["short", ""]);
        let twice = |first: &str, second: &str| long(first) + second + &"c".repeat(2000);
        for value in shortened([twice("10.0.0.0/8", "10.1.0.0/16"), twice("10.2.0.0/8", "0.0.0.0/0")]) {
            assert!(value.ends_with(" characters, and it differs further on)"), "{value}");
        }
    }

    #[test]
    fn a_review_shows_values_access_and_what_is_missing() {
        let parameter = |name: &str, old, new, overridden| ParameterChange {
            name: name.to_owned(),
            old,
            new,
            overridden,
        };
        let access = |is_new, line: &str| AccessChange {
            resource: "Backdoor".into(),
            resource_type: "AWS::IAM::Role".into(),
            is_new,
            line: line.to_owned(),
        };
        let review = Review {
            parameters: vec![
                parameter("AdminCidr", text("10.0.0.0/8"), text("0.0.0.0/0"), true),
                parameter("Password", Some(ShownValue::Hidden), Some(ShownValue::Hidden), false),
                parameter("Added", None, text(""), false),
            ],
            late: vec![
                LateChange {
                    name: "Limit (/shop/limit)".into(),
                    old: Some(LateReading::Text { version: 1, value: "7".into() }),
                    new: LateReading::Text { version: 2, value: "8".into() },
                },
                LateChange {
                    name: "{{resolve:secretsmanager:db}}".into(),
                    old: None,
                    new: LateReading::Secret("8a1c".into()),
                },
            ],
            access: vec![
                access(false, "AssumeRolePolicyDocument: Allow sts:AssumeRole to {AWS: 222222222222}"),
                access(true, "AssumeRolePolicyDocument: Allow sts:AssumeRole to {AWS: 999999999999}"),
            ],
            warnings: vec!["the quota of VPCs of the account is nearly used up (AWS::EC2::VPC)".into()],
            unseen: vec![
                "Child is a nested stack whose template is not in the release: the access in it is not shown"
                    .into(),
            ],
        };
        let output = Output::memory(false);
        show(&review, &output);
        insta::assert_snapshot!("review", output.captured());
    }

    #[test]
    fn each_deviation_is_marked() {
        let mut deviating = deploy();
        assert!(deviations(&deviating).is_empty());
        deviating.overrides.insert("AdminCidr".into(), "0.0.0.0/0".into());
        deviating.parameters_of = Some("staging".parse().unwrap());
        deviating.revert_drift = true;
        deviating.break_glass = Some(BreakGlass {
            component: "logs".parse().unwrap(),
            digest: deviating.digest.clone(),
            stage: "production".parse().unwrap(),
            version: "2.1.3".parse().unwrap(),
            by: "arn:ada".into(),
            reason: "logs are being lost".into(),
            at: at(0),
            used_by: None,
        });
        insta::assert_snapshot!("deviations", deviations(&deviating).join("\n"));
    }
}
