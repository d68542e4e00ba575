use super::*;
use crate::delivery::approval_rule::ApprovalRule;
use crate::delivery::people::People;
use crate::model::person::Starter;
use crate::model::person::testing::{session, user};
use crate::model::resource_change::{Change, Impact};
use crate::records::{ChangeSet, DeployBody, NamedResource, Record as _, testing};

const ADA: &str = "arn:aws:iam::111111111111:user/ada";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn change_set(arn: &str, impact: Impact) -> ChangeSet {
    ChangeSet {
        review: Default::default(),
        arn: arn.into(),
        attempt: 1,
        changes: vec![Change {
            logical_id: "Bucket".into(),
            resource_type: "AWS::S3::Bucket".into(),
            action: "Remove".into(),
            replacement: String::new(),
            properties: Vec::new(),
            tags_only: false,
            drift: None,
            impact,
        }],
        unexamined: Vec::new(),
        template_digest: Digest::of(b"t"),
        parameters_digest: Digest::of(b"p"),
        late_digest: None,
    }
}

fn running() -> Deployment {
    let body = DeployBody {
        change_set: Some(change_set("arn:1", Impact::None)),
        ..testing::deploy("logs", "production-logs")
    };
    Deployment { epoch: 1, ..Deployment::new(testing::start("e", "1.0.0", "production"), body) }
}

/// Returns `deployment` with another change set.
fn planned(mut deployment: Deployment, change_set: ChangeSet) -> Deployment {
    deployment.deploy_mut().unwrap().change_set = Some(change_set);
    deployment
}

fn asking() -> Deployment {
    ask(&running(), true, at(1)).unwrap()
}

fn answer<'a>(change_set: &'a str, digest: &'a Digest, decision: Decision) -> ApprovalAnswer<'a> {
    let kind = match decision {
        Decision::Approve => AnswerKind::Approve,
        Decision::Refuse => AnswerKind::Refuse,
    };
    answer_of("ada", change_set, digest, kind)
}

/// Returns an answer; [`decide`] fills in what was shown.
fn answer_of<'a>(name: &str, subject: &'a str, digest: &'a Digest, kind: AnswerKind) -> ApprovalAnswer<'a> {
    // A test leaks a few callers, so that an answer can borrow one.
    let by = Box::leak(Box::new(if name == "?" { session("shared", "ada") } else { user(name) }));
    let reason = Some("looks right");
    ApprovalAnswer { subject, digest: Some(digest), shown: digest, names: &[], kind, reason, by }
}

/// Decides by the rule that one approver is enough, also the starter.
fn decide(
    deployment: &Deployment,
    given: Option<&ApprovalDecision>,
    answer: &ApprovalAnswer<'_>,
    now: Timestamp,
) -> Result<(u32, Decided), Failure> {
    let people = People::default();
    let jury = Jury::new(&ApprovalRule::confirmation(), &people, deployment);
    super::decide(
        deployment,
        given,
        &ApprovalAnswer { shown: &seen(deployment), ..answer.clone() },
        &jury,
        now,
    )
}

/// Returns the digest of what the last question shows.
fn seen(deployment: &Deployment) -> Digest {
    let shown = deployment.approvals.last().map(|question| shown(deployment, question).unwrap());
    shown.unwrap_or_else(|| Digest::of(b"no question"))
}

/// S8: the approver answers what was shown, and nothing that replaced it since.
#[test]
fn an_answer_covers_exactly_what_was_shown() {
    let (asked, digest) = (asking(), Digest::of(b"d"));
    let seen = shown(&asked, asked.approvals.last().unwrap()).unwrap();
    assert_eq!(asked.approvals.last().unwrap().shown.as_ref(), Some(&seen), "it is on record");
    let people = People::default();
    let answer = |deployment: &Deployment| {
        let jury = Jury::new(&ApprovalRule::confirmation(), &people, deployment);
        let given = ApprovalAnswer { shown: &seen, ..answer("arn:1", &digest, Decision::Approve) };
        super::decide(deployment, None, &given, &jury, at(2)).map(drop)
    };
    assert_eq!(answer(&asked), Ok(()));
    let changed = |change: &dyn Fn(&mut Deployment)| {
        let mut deployment = asked.clone();
        change(&mut deployment);
        deployment
    };
    let review = |deployment: &mut Deployment| {
        let Subject::ChangeSet(shown) = &mut deployment.approvals.last_mut().unwrap().subject else {
            panic!()
        };
        shown.review.unseen.push("more".into());
    };
    let overrides = |deployment: &mut Deployment| {
        deployment.deploy_mut().unwrap().overrides.insert("Cidr".into(), "0.0.0.0/0".into());
    };
    let starter = |deployment: &mut Deployment| deployment.starter = Starter::Caller(user("eve"));
    let reasons = |deployment: &mut Deployment| deployment.approvals.last_mut().unwrap().reasons.clear();
    for other in [changed(&review), changed(&overrides), changed(&starter), changed(&reasons)] {
        assert_eq!(answer(&other).unwrap_err().kind, FailureKind::Conflict, "{other:?}");
    }
}

fn decided(deployment: &Deployment, decision: Decision) -> ApprovalDecision {
    let digest = Digest::of(b"d");
    match decide(deployment, None, &answer("arn:1", &digest, decision), at(2)).unwrap() {
        (_, Decided::Now(decided)) => *decided,
        (_, other) => panic!("{other:?}"),
    }
}

#[test]
fn a_question_names_its_reasons_its_change_set_and_its_artifact() {
    let asking = asking();
    assert_eq!(asking.state, DeploymentState::AwaitingApproval);
    let question = open_question(&asking, &[]).unwrap();
    assert_eq!((question.number, question.subject.key().as_str()), (1, "arn:1"));
    assert_eq!(question.digest, Some(Digest::of(b"d")));
    assert_eq!(question.reasons.len(), 1);
}

#[test]
fn loss_of_data_needs_an_approval_in_every_stage() {
    let dangerous = planned(running(), change_set("arn:1", Impact::DataLoss));
    let asking = ask(&dangerous, false, at(1)).unwrap();
    assert!(open_question(&asking, &[]).unwrap().reasons[0].contains("Bucket"));
    assert_eq!(ask(&running(), false, at(1)).unwrap_err().kind, FailureKind::Bug);
}

#[test]
fn asking_again_keeps_the_question_and_a_new_plan_adds_one() {
    let asking = asking();
    assert_eq!(ask(&asking, true, at(5)).unwrap(), asking);
    let mut again = planned(asking.clone(), change_set("arn:2", Impact::None));
    again.state = DeploymentState::Running;
    let second = ask(&again, true, at(6)).unwrap();
    assert_eq!(second.approvals.iter().map(|a| a.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_closed_deployment_asks_no_question() {
    let closed = Deployment { state: DeploymentState::Abandoned, ..running() };
    assert_eq!(ask(&closed, true, at(1)).unwrap_err().kind, FailureKind::Superseded);
}

#[test]
fn an_answer_records_its_approver_reason_and_time() {
    let asking = asking();
    let decided = decided(&asking, Decision::Approve);
    assert_eq!((decided.decision, decided.last().unwrap().at), (Some(Decision::Approve), at(2)));
    assert_eq!((decided.by(), decided.reason()), (ADA, Some("looks right")));
    assert_eq!(open_question(&asking, std::slice::from_ref(&decided)), None);
}

/// The question on the deployment is the claim of the functions that act. What an answer covers does not change with it.
#[test]
fn an_answer_keeps_the_question_as_the_approver_saw_it() {
    let asking = asking();
    let decided = decided(&asking, Decision::Approve);
    assert_eq!(Some(&decided.question), asking.approvals.last());
    assert_eq!(decided.key(), ApprovalDecision::key_of(&asking.id, 1));
    let (key, all) = (decided.key(), ApprovalDecision::all_of(&asking.id));
    assert!(key.sk.starts_with(&all.prefix), "{key}");
    assert_eq!((key.table, key.pk), (all.table, all.pk));
}

#[test]
fn an_answer_covers_only_the_subject_that_was_shown() {
    let (asking, digest, other) = (asking(), Digest::of(b"d"), Digest::of(b"other"));
    for wrong in [answer("arn:2", &digest, Decision::Approve), answer("arn:1", &other, Decision::Approve)] {
        assert_eq!(decide(&asking, None, &wrong, at(2)).unwrap_err().kind, FailureKind::Conflict);
    }
}

#[test]
fn a_repeated_answer_is_accepted_and_a_different_one_refused() {
    let digest = Digest::of(b"d");
    let (asking, given) = (asking(), decided(&asking(), Decision::Approve));
    let repeat = |decision| decide(&asking, Some(&given), &answer("arn:1", &digest, decision), at(9));
    assert_eq!(repeat(Decision::Approve).unwrap(), (1, Decided::Before));
    let contradiction = repeat(Decision::Refuse).unwrap_err();
    assert_eq!(contradiction.kind, FailureKind::Conflict);
    assert_eq!(contradiction.message, format!("{ADA} has already decided otherwise: approved"));
    let refused = self::decided(&asking, Decision::Refuse);
    let late = decide(&asking, Some(&refused), &answer("arn:1", &digest, Decision::Approve), at(9));
    assert_eq!(late.unwrap_err().message, format!("{ADA} has already decided otherwise: refused"));
}

#[test]
fn an_answer_after_the_deployment_continued_is_a_conflict() {
    let digest = Digest::of(b"d");
    let closed = Deployment { state: DeploymentState::Refused, ..asking() };
    let late = decide(&closed, None, &answer("arn:1", &digest, Decision::Approve), at(9)).unwrap_err();
    assert_eq!(late.kind, FailureKind::Conflict);
    assert_eq!(
        decide(&running(), None, &answer("arn:1", &digest, Decision::Approve), at(9)).unwrap_err().kind,
        FailureKind::Conflict
    );
}

#[test]
fn only_an_approval_lets_the_deployment_continue() {
    let verdict_of = |decision| verdict(&asking(), Some(&decided(&asking(), decision)));
    assert_eq!(verdict_of(Decision::Approve), Ok(()));
    let refused = verdict_of(Decision::Refuse).unwrap_err();
    assert_eq!(refused.kind, FailureKind::ApprovalRefused);
    assert_eq!(refused.message, format!("{ADA} refused it: looks right"));
    let silent = verdict(&asking(), None).unwrap_err();
    assert_eq!(
        (silent.kind, silent.message.as_str()),
        (FailureKind::ApprovalRefused, "no approver answered in time")
    );
    assert_eq!(verdict(&running(), None).unwrap_err().kind, FailureKind::Bug);
}

#[test]
fn an_older_approval_does_not_cover_a_newer_question() {
    let given = [decided(&asking(), Decision::Approve)];
    let mut again = planned(asking(), change_set("arn:2", Impact::None));
    again.state = DeploymentState::Running;
    let second = ask(&again, true, at(6)).unwrap();
    assert_eq!(open_question(&second, &given).unwrap().number, 2);
    assert_eq!(verdict(&second, decision_on(&given, 2)).unwrap_err().kind, FailureKind::ApprovalRefused);
}

/// Returns a deployment with a proposal to delete a stack with two buckets in it.
fn proposing() -> (Deployment, Proposal) {
    let resource = |name: &str| NamedResource {
        name: name.into(),
        resource_type: "AWS::S3::Bucket".into(),
        physical_id: name.to_lowercase(),
    };
    let proposal = Proposal {
        stack: "arn:stack".into(),
        action: ProposedAction::Delete,
        resources: vec![resource("Archive"), resource("Logs")],
        policies: Some([("Archive".into(), "Retain".into()), ("Volume".into(), "Snapshot".into())].into()),
    };
    let mut proposing = running();
    proposing.stack_mut().unwrap().proposal = Some(proposal.clone());
    (proposing, proposal)
}

fn answer_about<'a>(subject: &'a str, digest: &'a Digest, names: &'a [String]) -> ApprovalAnswer<'a> {
    ApprovalAnswer { names, ..answer(subject, digest, Decision::Approve) }
}

#[test]
fn a_proposal_precedes_a_change_set_and_is_asked_in_every_stage() {
    let (proposing, proposal) = proposing();
    let asking = ask(&proposing, false, at(1)).unwrap();
    let question = open_question(&asking, &[]).unwrap();
    assert_eq!(question.subject, Subject::Proposal(proposal));
    assert!(question.reasons[0].contains("Archive, Logs"), "{:?}", question.reasons);
}

#[test]
fn given_up_resources_must_be_named_to_approve_but_not_to_refuse() {
    let (proposing, proposal) = proposing();
    let asking = ask(&proposing, false, at(1)).unwrap();
    let (key, digest) = (proposal.key(), Digest::of(b"d"));
    for names in [vec![], vec!["Archive".to_owned()], vec!["Archive".into(), "Logs".into(), "Other".into()]] {
        let refused = decide(&asking, None, &answer_about(&key, &digest, &names), at(2)).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Rejected, "{names:?}");
    }
    let names = ["Logs".to_owned(), "Archive".to_owned()];
    let (_, decided) = decide(&asking, None, &answer_about(&key, &digest, &names), at(2)).unwrap();
    let Decided::Now(decided) = decided else { panic!("decided before") };
    assert_eq!(allowed(&asking, &[*decided], at(3)), std::slice::from_ref(&proposal));
    let no = ApprovalAnswer { kind: AnswerKind::Refuse, ..answer_about(&key, &digest, &[]) };
    assert!(decide(&asking, None, &no, at(2)).is_ok());
}

#[test]
fn an_approval_is_of_one_artifact_and_for_a_day() {
    let (proposing, proposal) = proposing();
    let asking = ask(&proposing, false, at(1)).unwrap();
    assert!(allowed(&asking, &[], at(1)).is_empty());
    let names = ["Archive".to_owned(), "Logs".to_owned()];
    let (key, digest) = (proposal.key(), Digest::of(b"d"));
    let (_, decided) = decide(&asking, None, &answer_about(&key, &digest, &names), at(2)).unwrap();
    let Decided::Now(decided) = decided else { panic!("decided before") };
    let given = [*decided];
    assert_eq!(allowed(&asking, &given, at(1 + ApprovalDecision::VALID_HOURS * 3600)), [proposal]);
    assert!(allowed(&asking, &given, at(2 + ApprovalDecision::VALID_HOURS * 3600)).is_empty());
    let mut other = asking;
    other.deploy_mut().unwrap().digest = Digest::of(b"other");
    assert!(allowed(&other, &given, at(3)).is_empty());
}

#[test]
fn the_key_of_an_approval_callback_names_its_question() {
    let id = DeploymentId::of_execution("e");
    assert!(is_question(&operation(&id, 7)) && is_question("approval#x#1"));
    assert!(!is_question("arn:stack#t1"));
    assert_eq!(of_operation(&operation(&id, 7)), Some((id, 7)));
    for other in ["arn:stack#t1", "approval#x#1", "approval#", "arn:aws:ec2:eu-west-1::image/ami-1"] {
        assert_eq!(of_operation(other), None, "{other}");
    }
}

#[test]
fn an_unexamined_nested_stack_is_approved_by_name_only() {
    let child = NamedResource {
        name: "Child".into(),
        resource_type: crate::model::resource_change::NESTED_STACK.into(),
        physical_id: "arn:child".into(),
    };
    let seen = ChangeSet { unexamined: vec![child], ..change_set("arn:1", Impact::None) };
    let asking = ask(&planned(running(), seen), false, at(1)).unwrap();
    let digest = Digest::of(b"d");
    let approve = |names: &[String]| {
        decide(&asking, None, &ApprovalAnswer { names, ..answer("arn:1", &digest, Decision::Approve) }, at(2))
    };
    let refused = approve(&[]).unwrap_err();
    assert!(refused.message.contains("not examined") && refused.message.contains("Child"), "{refused}");
    assert!(approve(&["Child".into(), "Other".into()]).is_err());
    assert!(approve(&["Child".into()]).is_ok());
}

#[test]
fn a_question_about_a_deletion_lists_the_retained_resources() {
    let (deployment, _) = proposing();
    let asked = ask(&deployment, false, at(1)).unwrap();
    let reason = &asked.approvals[0].reasons[0];
    assert!(reason.ends_with(": Archive, Logs; deletion policies leave behind Archive"), "{reason}");
}

/// Decides on an answer of `name` by the rule of `approval = true`.
fn decide_by_rule(
    deployment: &Deployment,
    given: Option<&ApprovalDecision>,
    name: &str,
    kind: AnswerKind,
) -> Result<Decided, Failure> {
    let people = People::default();
    let rule = ApprovalRule::default();
    let digest = Digest::of(b"d");
    let jury = Jury::new(&rule, &people, deployment);
    let answer = answer_of(name, "arn:1", &digest, kind);
    super::decide(deployment, given, &ApprovalAnswer { shown: &seen(deployment), ..answer }, &jury, at(2))
        .map(|(_, decided)| decided)
}

#[test]
fn the_starter_does_not_approve_and_another_person_does() {
    let started = Deployment { starter: Starter::Caller(user("grace")), ..asking() };
    for (name, reason) in [("grace", "this person started it"), ("?", "may be any person")] {
        let refused = decide_by_rule(&started, None, name, AnswerKind::Approve).unwrap_err();
        assert!(refused.kind == FailureKind::Rejected && refused.message.contains(reason), "{refused}");
    }
    let Decided::Now(decided) = decide_by_rule(&started, None, "ada", AnswerKind::Approve).unwrap() else {
        panic!()
    };
    assert_eq!((decided.decision, decided.answers.len()), (Some(Decision::Approve), 1));
    assert_eq!(decided.answers[0].by, user("ada"));
    assert_eq!(decided.valid_until, Some(at(2 + ApprovalDecision::VALID_HOURS * 3600)));
}

#[test]
fn two_people_approve_what_an_unknown_principal_started() {
    let asking = asking();
    let answered = |given: Option<&ApprovalDecision>, name: &str, kind| {
        decide_by_rule(&asking, given, name, kind).unwrap()
    };
    let Decided::Waits(first, why) = answered(None, "ada", AnswerKind::Approve) else { panic!() };
    assert!(
        why.starts_with("1 more must approve: ") && why.contains("it is unknown who started it"),
        "{why}"
    );
    let known = std::slice::from_ref(first.as_ref());
    assert!(open_question(&asking, known).is_some() && verdict(&asking, Some(&first)).is_err());
    assert_eq!(answers_to(known, 1), first.answers);
    let again = answered(Some(&first), "ada", AnswerKind::Approve);
    assert!(matches!(again, Decided::Waits(..)), "a repeated approval is one person");
    let Decided::Waits(withdrawn, _) = answered(Some(&first), "ada", AnswerKind::Withdraw) else { panic!() };
    let after = answered(Some(&withdrawn), "grace", AnswerKind::Approve);
    assert!(matches!(after, Decided::Waits(..)), "a withdrawn approval does not count");
    let Decided::Now(second) = answered(Some(&first), "grace", AnswerKind::Approve) else { panic!() };
    assert_eq!(verdict(&asking, Some(&second)), Ok(()));
}

#[test]
fn answers_to_a_question_that_was_changed_do_not_add_up() {
    let asking = asking();
    let Ok(Decided::Waits(first, _)) = decide_by_rule(&asking, None, "ada", AnswerKind::Approve) else {
        panic!()
    };
    let mut changed = asking;
    let Subject::ChangeSet(change_set) = &mut changed.approvals[0].subject else { panic!() };
    change_set.changes.clear();
    let refused = decide_by_rule(&changed, Some(&first), "grace", AnswerKind::Approve).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
}

#[test]
fn nothing_is_withdrawn_after_the_decision() {
    let asking = asking();
    let decided = decided(&asking, Decision::Approve);
    let late = decide_by_rule(&asking, Some(&decided), "ada", AnswerKind::Withdraw).unwrap_err();
    assert_eq!(late.kind, FailureKind::Conflict);
}
