//! The question of a deployment, as it is printed for its approver, and the command that answers it.

use super::{change_set, drift, permissions, review, why};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use lockstep_domain::delivery::queue;
use lockstep_domain::records::{
    Approval, BuildSubject, Deployment, DriftReport, Environment, NamedResource, Proposal, ProposedAction,
    PublishSubject, Subject,
};
use std::collections::BTreeSet;

/// Prints a question: the changes, the affected resources, the deviations of its deployment, and the reasons for the
/// approval.
pub fn show(deployment: &Deployment, question: &Approval, output: &Output) {
    let (account, region) = (&deployment.location.account, &deployment.location.region);
    let asks = match &question.subject {
        Subject::ChangeSet(_) => format!("would change account {account} ({region})"),
        Subject::Proposal(_) | Subject::Build(_) | Subject::Publish(_) => {
            format!("asks, in account {account} ({region})")
        }
    };
    output.line(format!("{} {asks}:", why::title(deployment)));
    match &question.subject {
        Subject::ChangeSet(asked) => {
            change_set::show(asked, output);
            review::show(&asked.review, output);
        }
        Subject::Proposal(proposal) => show_proposal(proposal, output),
        Subject::Build(build) => build_lines(build).iter().for_each(|line| output.line(line)),
        Subject::Publish(publish) => publish_lines(publish).iter().for_each(|line| output.line(line)),
    }
    let deviations = deployment.deploy().map(review::deviations).unwrap_or_default();
    deviations.into_iter().for_each(|line| output.line(line));
    permissions::show_lack(deployment, output);
    if let Some(request) = &deployment.cancellation {
        output.line(format!("  CANCELLED: {} asked to stop it: {}", request.by, request.reason));
    }
    question.reasons.iter().for_each(|reason| output.line(format!("  asked because {reason}")));
}

/// Returns the lines about an environment that is not as it should be.
pub fn circumstances(environment: &Environment, drift: Option<&DriftReport>) -> Vec<String> {
    // Every field is named, so that a new one is shown or left out on purpose.
    let Environment {
        stage: _,
        name: _,
        component: _,
        epoch: _,
        holder: _,
        // `show_behind` shows it.
        queue: _,
        newest_push: _,
        deployed,
        history: _,
        inputs: _,
        outputs: _,
        followed: _,
        hold,
        proven_images: _,
        stack_arn: _,
        ever_stable: _,
        taint,
        last_deployment: _,
    } = environment;
    let mut lines = Vec::new();
    lines.extend(taint.iter().map(|taint| format!("  TAINTED: {taint}")));
    if let Some(runs) = deployed {
        let version = &runs.version;
        if !runs.checked {
            lines.push(format!("  CHECKS: {version} runs there, and its checks did not pass"));
        }
        if !runs.overridden.is_empty() {
            let names: Vec<&str> = runs.overridden.iter().map(String::as_str).collect();
            lines
                .push(format!("  OVERRIDES: {version} runs there with other values of {}", names.join(", ")));
        }
    }
    lines.extend(hold.iter().map(|hold| format!("  HELD: pushes wait there: {} ({})", hold.reason, hold.by)));
    if let Some((report, command)) = drift.and_then(|report| Some((report, drift::explain_with(report)?))) {
        lines.push(format!("  DRIFT: {}: {command}", drift::headline(report)));
    }
    lines
}

/// Prints how many deployments wait behind the question.
pub fn show_behind(environment: Option<&Environment>, output: &Output) {
    if let Some(behind) = environment.and_then(queue::behind) {
        output.line(format!("  {behind}"));
    }
}

/// Returns the lines about a publication.
fn publish_lines(publish: &PublishSubject) -> [String; 2] {
    let PublishSubject { image, version, ami, .. } = publish;
    [
        format!(
            "  parameters  /lockstep/images/{image}/latest and /lockstep/images/{image}/{}",
            version.major_minor()
        ),
        format!("  would name  {ami}, and so each new instance that reads them"),
    ]
}

/// Returns the lines about a build. [`crate::recipe_difference`] prints the difference of its recipe.
fn build_lines(build: &BuildSubject) -> [String; 4] {
    let before = match &build.before {
        Some(before) => {
            format!("compared    with {}@{}, which was last built there", build.image, before.version)
        }
        None => "compared    with nothing: no build of the image ran there before".to_owned(),
    };
    [
        format!("  its build would RUN THE RECIPE of {} in this account", build.repository),
        format!("  commit      {}", build.commit),
        format!("  base        {}", build.base),
        format!("  {before}"),
    ]
}

/// Prints a proposal: its effect, and every resource that it would delete, retain or skip.
pub fn show_proposal(proposal: &Proposal, output: &Output) {
    output.line(format!("  stack {}", proposal.stack));
    let none = proposal.resources.is_empty();
    output.line(format!("  {}", sentence(proposal.action, none)));
    if !none && proposal.action == ProposedAction::Delete {
        let head = ["resource", "type", "physical id", "deletion policy"];
        output.table(head, proposal.resources.iter().map(|resource| row_of_deletion(proposal, resource)));
    } else if !none {
        output.table(["resource", "type", "physical id"], proposal.resources.iter().map(row));
    }
    if proposal.action == ProposedAction::Delete {
        output.line(format!("  {}", left_behind(proposal)));
    }
}

/// Returns the resources of a stack that outlive its deletion, protected or not.
fn left_behind(proposal: &Proposal) -> String {
    if proposal.policies.is_none() {
        return "its deletion policies could not be read: see its template for the resources that they retain".to_owned();
    }
    match proposal.left_behind().as_slice() {
        [] => "its deletion policies retain nothing".to_owned(),
        left => {
            let left = left.join(", ");
            format!("its deletion policies LEAVE BEHIND these resources, unmanaged: {left}")
        }
    }
}

fn row_of_deletion(proposal: &Proposal, resource: &NamedResource) -> [String; 4] {
    let [name, resource_type, physical_id] = row(resource);
    let policy = match &proposal.policies {
        None => "unknown",
        Some(_) => proposal.policy(&resource.name).unwrap_or("Delete"),
    };
    [name, resource_type, physical_id, policy.to_owned()]
}

fn sentence(action: ProposedAction, none: bool) -> &'static str {
    match (action, none) {
        (ProposedAction::Delete, true) => "it would be DELETED; it has no protected resources",
        (ProposedAction::Delete, false) => {
            "it would be DELETED, and with it these protected resources and their data, except those that their \
            deletion policies retain:"
        }
        (ProposedAction::Retain, true) => "its remaining resources would be DELETED",
        (ProposedAction::Retain, false) => {
            "its remaining resources would be DELETED, and these LEFT BEHIND, unmanaged, because they could not be \
            deleted:"
        }
        (ProposedAction::Skip, true) => "its rollback would be continued",
        (ProposedAction::Skip, false) => {
            "its rollback would be finished WITHOUT these: they could not be rolled back, would differ from \
            CloudFormation's records, and the environment would be tainted:"
        }
    }
}

fn row(resource: &NamedResource) -> [String; 3] {
    let physical_id = if resource.physical_id.is_empty() { "-" } else { &resource.physical_id };
    [resource.name.clone(), resource.resource_type.clone(), physical_id.to_owned()]
}

/// Returns the command that approves a question. It names every resource that is given up, or that was not examined.
pub fn answer_with(deployment: &Deployment, question: &Approval) -> String {
    let mut command = format!("lockstep approve {} --question {}", deployment.id.short(), question.number);
    let option = match question.subject {
        Subject::ChangeSet(_) => "--unexamined",
        // A build and a publication name nothing to give up.
        Subject::Proposal(_) | Subject::Build(_) | Subject::Publish(_) => "--give-up",
    };
    for name in BTreeSet::from_iter(question.subject.names()) {
        command.push_str(&format!(" {option} {name}"));
    }
    command
}

/// Refuses unless exactly the names of the question were given. The ledger function checks the same.
pub fn check_names(deployment: &Deployment, question: &Approval, given: &[String]) -> Result<(), Failure> {
    let wanted = BTreeSet::from_iter(question.subject.names());
    let given: BTreeSet<String> = given.iter().cloned().collect();
    let unknown: Vec<String> = given.difference(&wanted).cloned().collect();
    let missing: Vec<String> = wanted.difference(&given).cloned().collect();
    if !unknown.is_empty() {
        return Err(Failure::usage(format!("the question is not about {}", unknown.join(", ")))
            .next(answer_with(deployment, question)));
    }
    if !missing.is_empty() {
        let what = match question.subject {
            Subject::ChangeSet(_) => "name every nested stack that was not examined",
            Subject::Proposal(_) | Subject::Build(_) | Subject::Publish(_) => {
                "name everything that you give up"
            }
        };
        let what = format!("{what}; not named: {}", missing.join(", "));
        let failure = Failure::new(what).next(answer_with(deployment, question));
        return Err(Failure { exit: Exit::NeedsHuman, ..failure });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{asking, at, build_subject, change, deployment, environment};
    use lockstep_domain::model::ids::Digest;
    use lockstep_domain::model::resource_change::Impact;
    use lockstep_domain::records::{BuiltRecipe, ChangeSet, Deployed};

    #[test]
    fn a_question_shows_how_many_wait_behind_it() {
        let shown = |environment: &Environment| {
            let output = Output::memory(false);
            show_behind(Some(environment), &output);
            output.captured()
        };
        let mut held = environment("production", "logs");
        assert_eq!(shown(&held), "");
        held.queue.push(queue::entry(&deployment(), None, at(1)));
        assert_eq!(shown(&held).trim(), "1 deployment waits behind it, of 2.1.3");
    }

    #[test]
    fn each_fact_that_lowers_trust_in_the_environment_is_shown() {
        use crate::views::testing::deployed;
        use lockstep_domain::model::deployment_path::DeploymentPath;
        use lockstep_domain::records::{FailedLook, Hold, Inconclusive};
        let mut troubled = environment("production", "logs");
        assert!(circumstances(&troubled, None).is_empty());
        let clean = DriftReport::new(DeploymentPath::Promotion, &troubled, at(0));
        assert!(circumstances(&troubled, Some(&clean)).is_empty());
        let overridden = ["MaxSize".to_owned()].into();
        troubled.deployed = Some(Deployed { checked: false, overridden, ..deployed("2.1.0") });
        troubled.taint = Some("Queue was skipped".into());
        troubled.hold = Some(Hold { by: "arn:ada".into(), reason: "bad night".into(), at: at(0) });
        let message = "no permission".to_owned();
        let failed = Some(FailedLook { at: at(0), reason: Inconclusive::Failed, message });
        let drifted = DriftReport { failed, ..clean };
        insta::assert_snapshot!(circumstances(&troubled, Some(&drifted)).join("\n"));
    }

    #[test]
    fn each_deviation_is_shown_with_every_kind_of_question() {
        use crate::views::testing::{deploy, deployment_of};
        use lockstep_domain::records::Cancellation;
        let mut body = deploy();
        body.overrides.insert("AdminCidr".into(), "0.0.0.0/0".into());
        let request = Cancellation { by: "arn:bob".into(), reason: "wrong one".into(), at: at(1) };
        let deviating = Deployment { cancellation: Some(request), ..deployment_of(body) };
        let build = Subject::Build(Box::new(build_subject()));
        for subject in [proposal(ProposedAction::Delete, &["A"]), build] {
            let output = Output::memory(false);
            show(&deviating, &asking(subject), &output);
            let said = output.captured();
            for part in ["OVERRIDES: AdminCidr", "CANCELLED: arn:bob", "asked because it is so"] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }

    #[test]
    fn an_unexamined_nested_stack_is_shown_and_approved_by_name() {
        let digest = Digest::of(b"x");
        let child = NamedResource {
            name: "Child".into(),
            resource_type: "AWS::CloudFormation::Stack".into(),
            physical_id: "arn:child".into(),
        };
        let subject = Subject::ChangeSet(ChangeSet {
            review: Default::default(),
            arn: "arn".into(),
            attempt: 1,
            changes: vec![],
            unexamined: vec![child],
            template_digest: digest.clone(),
            parameters_digest: digest,
            late_digest: None,
        });
        let text = shown(subject.clone());
        assert!(text.contains("NOT EXAMINED") && text.contains("arn:child"), "{text}");
        let (deployment, question) = (deployment(), asking(subject));
        assert!(answer_with(&deployment, &question).ends_with(" --unexamined Child"));
        let missing = check_names(&deployment, &question, &[]).unwrap_err();
        assert!(missing.what.ends_with("not named: Child"), "{missing}");
        assert_eq!(check_names(&deployment, &question, &["Child".to_owned()]), Ok(()));
    }

    fn proposal(action: ProposedAction, names: &[&str]) -> Subject {
        let resource = |name: &&str| NamedResource {
            name: (*name).to_owned(),
            resource_type: "AWS::S3::Bucket".into(),
            physical_id: format!("ci-logs-{}", name.to_lowercase()),
        };
        let stack = "arn:aws:cloudformation:eu-west-1:222222222222:stack/ci-logs/1".to_owned();
        let policies = [("Bucket", "Retain"), ("Topic", "Retain"), ("Volume", "Snapshot")];
        let policies = policies.map(|(name, policy)| (name.to_owned(), policy.to_owned()));
        Subject::Proposal(Proposal {
            stack,
            action,
            resources: names.iter().map(resource).collect(),
            policies: Some(policies.into()),
        })
    }

    fn shown(subject: Subject) -> String {
        let (output, deployment) = (Output::memory(false), deployment());
        show(&deployment, &asking(subject), &output);
        output.captured()
    }

    #[test]
    fn a_change_set_is_shown_with_its_changes_and_reasons() {
        let digest = Digest::of(b"x");
        let text = shown(Subject::ChangeSet(ChangeSet {
            review: Default::default(),
            arn: "arn".into(),
            attempt: 1,
            changes: vec![change("Bucket", Impact::DataLoss, false)],
            unexamined: Vec::new(),
            template_digest: digest.clone(),
            parameters_digest: digest,
            late_digest: None,
        }));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_build_is_shown_with_its_recipe_and_what_it_is_compared_with() {
        let before = BuiltRecipe { version: "2.1.1".parse().unwrap(), artifact: "recipes/y.zip".into() };
        let build = BuildSubject { before: Some(before), ..build_subject() };
        insta::assert_snapshot!("build", shown(Subject::Build(Box::new(build.clone()))));
        let first = Subject::Build(Box::new(BuildSubject { before: None, ..build }));
        assert!(shown(first.clone()).contains("no build of the image ran there before"));
        let (deployment, question) = (deployment(), asking(first));
        assert!(answer_with(&deployment, &question).ends_with("--question 1"));
        assert_eq!(check_names(&deployment, &question, &[]), Ok(()));
    }

    #[test]
    fn a_proposal_names_every_resource_with_its_type_and_physical_id() {
        insta::assert_snapshot!(shown(proposal(ProposedAction::Delete, &["Bucket", "Child.Queue"])));
    }

    #[test]
    fn a_deletion_shows_policies_and_resources_left_behind() {
        let text = shown(proposal(ProposedAction::Delete, &["Bucket", "Child.Queue"]));
        let line = |of: &str| text.lines().find(|line| line.contains(of)).unwrap_or_default().to_owned();
        assert!(line("ci-logs-bucket").trim_end().ends_with("Retain"), "{text}");
        assert!(line("ci-logs-child.queue").trim_end().ends_with("Delete"), "{text}");
        assert!(line("LEAVE BEHIND").ends_with(": Bucket, Topic"), "{text}");
        let Subject::Proposal(known) = proposal(ProposedAction::Delete, &["Bucket"]) else { panic!() };
        let text = shown(Subject::Proposal(Proposal { policies: None, ..known }));
        assert!(text.contains("unknown") && text.contains("could not be read"), "{text}");
    }

    #[test]
    fn each_proposal_shows_its_effect() {
        insta::assert_snapshot!("retain", shown(proposal(ProposedAction::Retain, &["A"])));
        insta::assert_snapshot!("skip", shown(proposal(ProposedAction::Skip, &["A"])));
        insta::assert_snapshot!("delete_nothing_protected", shown(proposal(ProposedAction::Delete, &[])));
    }

    #[test]
    fn the_approving_command_names_all_resources_given_up() {
        let (deployment, question) = (deployment(), asking(proposal(ProposedAction::Delete, &["A", "B.C"])));
        let expected =
            format!("lockstep approve {} --question 1 --give-up A --give-up B.C", deployment.id.short());
        assert_eq!(answer_with(&deployment, &question), expected);
    }

    #[test]
    fn each_resource_must_be_given_up_by_name() {
        let (deployment, question) = (deployment(), asking(proposal(ProposedAction::Skip, &["A", "B"])));
        let judge = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
            check_names(&deployment, &question, &given)
        };
        assert_eq!(judge(&["B", "A", "A"]), Ok(()));
        let missing = judge(&["A"]).unwrap_err();
        assert_eq!(missing.exit, Exit::NeedsHuman);
        assert!(missing.what.ends_with("not named: B") && missing.next.contains("--give-up A --give-up B"));
        assert_eq!(judge(&["A", "B", "C"]).unwrap_err().exit, Exit::Usage);
    }
}
