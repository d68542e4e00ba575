//! Needs of nested stacks whose templates are in the release.

use super::*;

const QUEUES: &str = "Parameters:
  Name: {Type: String, Default: jobs}
  Key: {Type: String, Default: ''}
Conditions:
  Keyed: !Not [!Equals [!Ref Key, '']]
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Ref Name
      KmsMasterKeyId: !If [Keyed, !Ref Key, !Ref AWS::NoValue]
";

const MIDDLE: &str = "Resources:
  Deep:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: https://b/queues}
";

/// Returns the needs of a template whose resource `Child` has these lines.
fn of(child: &str) -> Needs {
    let text = format!(
        "Parameters:\n  Stage: {{Type: String}}\nConditions:\n  Open: !Equals [!Ref Stage, ci]\nResources:\n  Child:\n    \
         Type: AWS::CloudFormation::Stack\n{child}"
    );
    let parse = |text: &str| Template::parse("template.yaml", text).unwrap();
    let (root, queues, middle) = (parse(&text), parse(QUEUES), parse(MIDDLE));
    let nested = |address: &str| {
        let known = [("b/queues", &queues), ("b/middle", &middle)].into_iter();
        known.filter(|(name, _)| address.contains(name)).map(|(_, template)| template).collect()
    };
    needs_with_nested(&root, &table(), &TemplateContext::default(), &nested)
}

fn child(url: &str, more: &str) -> Needs {
    of(&format!("{more}    Properties:\n      TemplateURL: {url}\n"))
}

/// Returns the level and the ARN of the creation of the queue.
fn creation<'n>(needs: &'n Needs, resource: &str) -> (Level, &'n str) {
    let made = needs.needs.iter().find(|need| need.action == "sqs:CreateQueue" && need.resource == resource);
    let made = made.unwrap_or_else(|| panic!("{needs:?}"));
    assert_eq!((made.line, made.kind.as_str()), (6, "AWS::SQS::Queue"));
    (made.level, made.arn.trim_start_matches("arn:${AWS::Partition}:"))
}

#[test]
fn the_needs_of_a_nested_template_count_at_every_depth() {
    let queue = format!("sqs:{OWN}:jobs");
    let found = child("https://b/queues", "");
    assert_eq!(creation(&found, "Child.Queue"), (Level::Required, queue.as_str()));
    assert_eq!(found.unknown, []);
    assert!(!actions(&found, Level::Required).contains("kms:DescribeKey"), "the default of Key decides");
    let found = child("https://b/middle", "");
    assert_eq!(creation(&found, "Child.Deep.Queue"), (Level::Required, queue.as_str()));
    assert_eq!(found.unknown, []);
}

#[test]
fn values_that_a_parent_passes_decide_in_the_nested_template() {
    let parameters = |values: &str| {
        of(&format!("    Properties:\n      TemplateURL: https://b/queues\n      Parameters: {{{values}}}\n"))
    };
    let found = parameters("Name: orders, Key: alias/a");
    assert_eq!(creation(&found, "Child.Queue").1, format!("sqs:{OWN}:orders"));
    assert!(actions(&found, Level::Required).contains("kms:DescribeKey"));
    let found = parameters("Name: !Sub 'orders-${Stage}', Key: !Ref Stage");
    assert_eq!(creation(&found, "Child.Queue").1, format!("sqs:{OWN}:orders-*"));
    assert!(actions(&found, Level::Conditional).contains("kms:DescribeKey"), "the key is not known");
}

#[test]
fn needs_of_a_nested_stack_that_may_not_exist_are_conditional() {
    let found = child("https://b/queues", "    Condition: Open\n");
    let made = found.needs.iter().find(|need| need.action == "sqs:CreateQueue").unwrap();
    assert_eq!(made.level, Level::Conditional);
    assert!(made.because.starts_with("the condition Open is not known; "), "{}", made.because);
    let found = child("!If [Open, 'https://b/queues', 'https://b/middle']", "");
    assert_eq!(creation(&found, "Child.Queue").0, Level::Conditional);
    assert_eq!(creation(&found, "Child.Deep.Queue").0, Level::Conditional);
}

#[test]
fn a_nested_template_elsewhere_is_unknown() {
    let found = child("https://other/template", "");
    assert_eq!(found.unknown.len(), 1);
    assert_eq!(
        found.unknown[0].because,
        "the template of the nested stack is not read: what it needs is not known"
    );
}

#[test]
fn a_resource_of_a_nested_stack_is_asked_about_under_a_name_of_its_own() {
    let role =
        "Resources:\n  Role:\n    Type: AWS::IAM::Role\n    Properties: {AssumeRolePolicyDocument: {}}\n";
    let template = Template::parse("role.yaml", role).unwrap();
    let root = Template::parse(
        "template.yaml",
        "Resources:\n  Child:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: x}\n",
    )
    .unwrap();
    let found = needs_with_nested(&root, &table(), &TemplateContext::default(), &|_| vec![&template]);
    let asked = super::super::missing::questions(&found, "ci-logs");
    assert!(asked.iter().all(|question| !question.resource.contains("Child.Role")), "{asked:?}");
}
