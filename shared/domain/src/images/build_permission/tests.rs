use super::*;
use crate::delivery::answers::Jury;
use crate::delivery::approval::{ApprovalAnswer, Decided, ask, decide, shown, verdict};
use crate::delivery::approval_rule::tests::{all_parts, answers, rules};
use crate::delivery::approval_rule::{Excluded, Verdict, judge};
use crate::delivery::people::People;
use crate::delivery::stages::testing::{StageText, stage_text, text_of, with_production};
use crate::model::person::Caller;
use crate::model::person::testing::{session, user};
use crate::records::{AnswerKind, BuildImageBody, DeploymentStart, DeploymentState, testing};
use proptest::prelude::*;

const PRODUCTION: &str = "333333333333";

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(hour * 3600).unwrap()
}

fn production() -> StageText {
    stage_text("production", PRODUCTION).with_approval()
}

fn parse(text: &str) -> Stages {
    Stages::parse("stages.toml", text).unwrap()
}

/// Returns stages whose production asks for one person. A rule that excludes the starter asks for one more, since who
/// started a build is unknown.
fn stages(builds: BuildPolicy) -> Stages {
    let text = with_production(
        "111111111111",
        match builds {
            BuildPolicy::Approved => production(),
            BuildPolicy::Automatic => production().with_automatic_builds(),
        },
    );
    parse(&text.replace("approval = true", "approval = { count = 1, not = [] }"))
}

fn problems(stages: impl IntoIterator<Item = StageText>) -> Vec<String> {
    let delivery = [stage_text("test", "111111111111"), stage_text("ci", "111111111111").propagating()];
    let found = Stages::parse("s", &text_of(delivery.into_iter().chain(stages)));
    found.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Returns a build in an account, from a recipe.
fn build(account: &str, artifact: &str) -> Deployment {
    let start = DeploymentStart {
        location: testing::location(account),
        path: DeploymentPath::Promotion,
        ..testing::start("e", "2.1.0", "production")
    };
    Deployment::new(start, BuildImageBody { artifact: artifact.to_owned(), ..testing::build() })
}

fn asked(artifact: &str) -> Deployment {
    ask(&build(PRODUCTION, artifact), true, at(0)).unwrap()
}

fn given(deployment: &Deployment, by: &Caller, kind: AnswerKind, hour: i64) -> Option<ApprovalDecision> {
    answered(deployment, None, by, kind, hour)
}

/// Returns the record of the answers after one more, if the answer is admitted.
fn answered(
    deployment: &Deployment,
    before: Option<&ApprovalDecision>,
    by: &Caller,
    kind: AnswerKind,
    hour: i64,
) -> Option<ApprovalDecision> {
    let (people, stages) = (People::default(), stages(BuildPolicy::Approved));
    let jury = Jury::new(&rule_of_question(&stages, deployment).unwrap(), &people, deployment);
    let question = deployment.approvals.last()?;
    let (subject, shown) = (question.subject.key(), shown(deployment, question).ok()?);
    let answer = ApprovalAnswer {
        subject: &subject,
        digest: None,
        shown: &shown,
        names: &[],
        kind,
        reason: Some("because"),
        by,
    };
    match decide(deployment, before, &answer, &jury, at(hour)).ok()?.1 {
        Decided::Now(decided) | Decided::Waits(decided, _) => Some(*decided),
        Decided::Before => before.cloned(),
    }
}

#[test]
fn each_stage_of_the_promotion_path_says_who_permits_builds() {
    assert_eq!(problems([stage_text("production", PRODUCTION)]), Vec::<String>::new());
    let given = with_production("111111111111", production());
    let text = given.replace("builds = \"approved\"\n", "");
    assert_ne!(text, given);
    let missing = Stages::parse("stages.toml", &text).unwrap_err()[0].to_string();
    assert!(missing.contains("`production` is on the promotion path and lacks `builds`"), "{missing}");
    assert!(missing.contains("account 333333333333") && missing.contains(BuildPolicy::CHOICE), "{missing}");
    let wrong = text + "builds = \"sometimes\"\n";
    let wrong = Stages::parse("stages.toml", &wrong).unwrap_err()[0].to_string();
    assert!(wrong.contains("`stages[2].builds`") && wrong.contains(BuildPolicy::CHOICE), "{wrong}");
}

#[test]
fn a_stage_of_the_delivery_path_has_no_such_setting() {
    let found = problems([stage_text("next", "222222222222").propagating().with_automatic_builds()]);
    assert!(found[0].contains("`next` is on the delivery path, where each push builds"), "{found:?}");
}

#[test]
fn the_stages_of_an_account_agree_about_builds() {
    let frankfurt = || stage_text("frankfurt", PRODUCTION).in_region("eu-central-1");
    assert_eq!(problems([production(), frankfurt()]), Vec::<String>::new());
    let found = problems([production(), frankfurt().with_automatic_builds()]);
    assert!(found[0].contains("`frankfurt` and `production` share account 333333333333"), "{found:?}");
}

#[test]
fn only_accounts_of_the_promotion_path_have_a_policy() {
    for builds in [BuildPolicy::Approved, BuildPolicy::Automatic] {
        let stages = stages(builds);
        assert_eq!(policy(&stages, &PRODUCTION.parse().unwrap()), Some(builds));
        for other in ["111111111111", "999999999999"] {
            assert_eq!(policy(&stages, &other.parse().unwrap()), None);
        }
        assert_eq!(builds.as_str().parse(), Ok(builds));
    }
}

#[test]
fn a_build_needs_a_permission_only_where_a_push_does_not_run_code() {
    let (approved, automatic) = (stages(BuildPolicy::Approved), stages(BuildPolicy::Automatic));
    let of = |stages: &Stages, account| permission(stages, &build(account, "a"), None, at(0));
    assert_eq!(of(&approved, "111111111111"), Permission::Granted);
    assert_eq!(of(&automatic, PRODUCTION), Permission::Granted);
    assert_eq!(of(&approved, PRODUCTION), Permission::NeedsApproval);
}

#[test]
fn an_approval_permits_exactly_its_build_and_does_not_expire() {
    let stages = stages(BuildPolicy::Approved);
    let asked = asked("a");
    assert_eq!(asked.state, DeploymentState::AwaitingApproval);
    let question = asked.approvals.last().unwrap();
    assert!(question.reasons[0].contains("cannot be copied to account 333333333333"), "{question:?}");
    assert!(question.reasons[0].contains("acme/logs"), "{question:?}");
    let approved = given(&asked, &user("ada"), AnswerKind::Approve, 1);
    assert_eq!(permission(&stages, &asked, approved.as_ref(), at(1)), Permission::Granted);
    assert_eq!(permission(&stages, &asked, approved.as_ref(), at(1000)), Permission::Granted);
    assert_eq!(verdict(&asked, approved.as_ref()), Ok(()));
    // Another base, recipe, version or account is another question.
    let changes: [fn(&mut Deployment); 4] = [
        |build| build.version = "2.1.1".parse().unwrap(),
        |build| build.location.region = "eu-central-1".parse().unwrap(),
        |build| body(build).base = "ami-0fffffffffffffff0".parse().unwrap(),
        |build| body(build).artifact = "b".to_owned(),
    ];
    for change in changes {
        let mut other = asked.clone();
        change(&mut other);
        assert_eq!(permission(&stages, &other, approved.as_ref(), at(1)), Permission::NeedsApproval);
    }
}

fn body(build: &mut Deployment) -> &mut BuildImageBody {
    match &mut build.body {
        crate::records::DeploymentBody::BuildImage(body) => body,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_approval_of_another_question_permits_nothing() {
    let stages = stages(BuildPolicy::Approved);
    let asked = asked("a");
    let mut approved = given(&asked, &user("ada"), AnswerKind::Approve, 1).unwrap();
    approved.question.number = 2;
    assert_eq!(permission(&stages, &asked, Some(&approved), at(1)), Permission::NeedsApproval);
}

#[test]
fn a_refusal_and_a_question_without_an_answer_are_final() {
    let stages = stages(BuildPolicy::Approved);
    let asked = asked("a");
    let refused = given(&asked, &user("ada"), AnswerKind::Refuse, 1);
    let Permission::Refused(why) = permission(&stages, &asked, refused.as_ref(), at(2)) else { panic!() };
    assert_eq!(why, "arn:aws:iam::111111111111:user/ada refused the build: because");
    let of = |hour| permission(&stages, &asked, None, at(hour));
    assert_eq!(of(OPEN_HOURS - 1), Permission::NeedsApproval);
    let Permission::Refused(why) = of(OPEN_HOURS) else { panic!() };
    assert!(why.contains("no approver answered within 14 days"), "{why}");
    assert!(given(&asked, &user("ada"), AnswerKind::Approve, OPEN_HOURS - 1).is_some());
    assert!(given(&asked, &user("ada"), AnswerKind::Approve, OPEN_HOURS).is_none());
}

#[test]
fn the_failure_of_a_build_without_permission_is_a_refusal() {
    assert_eq!(ensure_granted(Permission::Granted), Ok(()));
    for (permission, says) in
        [(Permission::NeedsApproval, "no person"), (Permission::Refused("ada refused".into()), "ada refused")]
    {
        let failure = ensure_granted(permission).unwrap_err();
        assert_eq!(failure.kind, FailureKind::ApprovalRefused);
        assert!(failure.message.contains(says), "{failure}");
    }
}

#[test]
fn the_rule_of_a_build_is_the_strictest_of_its_account() {
    let of = |first: &str, second: &str| {
        let stages = [stage_text("first", PRODUCTION), stage_text("second", PRODUCTION)];
        let [first, second] = [(0, first), (1, second)].map(|(n, rule)| format!("{}{rule}\n", stages[n]));
        let delivery = text_of([stage_text("test", "111111111111")]);
        parse(&(delivery + &first + &second))
    };
    let rule_of = |first, second| rule(&of(first, second), &PRODUCTION.parse().unwrap());
    assert_eq!(rule_of("", ""), ApprovalRule::confirmation());
    assert_eq!(rule_of("", "approval = true"), ApprovalRule::default());
    let both = rule_of(
        "approval = { from = [\"ada\", \"grace\", \"eve\"], count = 2, not = [\"author\"] }",
        "approval = { from = [\"eve\", \"grace\"], count = 1, not = [\"starter\"] }",
    );
    let expected = ApprovalRule {
        from: Some(["eve", "grace"].map(|name| name.parse().unwrap()).into()),
        count: 2,
        not: [Excluded::Author, Excluded::Starter].into(),
    };
    assert_eq!(both, expected);
}

#[test]
fn a_build_that_no_approvers_can_pass_is_refused_at_once() {
    let stage = |name: &str, who: &str| {
        format!("{}approval = {{ from = [\"{who}\"] }}\n", stage_text(name, PRODUCTION))
    };
    let delivery = text_of([stage_text("test", "111111111111")]);
    let stages = parse(&(delivery + &stage("first", "ada") + &stage("second", "grace")));
    let refused = permission(&stages, &build(PRODUCTION, "a"), None, at(0));
    let Permission::Refused(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("too few approvers in common (0 of 1)"), "{why}");
}

/// One event of a history.
#[derive(Clone, Debug)]
enum Event {
    Ask,
    Answer(&'static str, AnswerKind),
    Resume,
    Pass(i64),
    Policy(BuildPolicy),
    /// A function writes another recipe into the record of the build.
    Recipe(&'static str),
}

fn events() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        4 => Just(AnswerKind::Approve), 1 => Just(AnswerKind::Refuse), 1 => Just(AnswerKind::Withdraw)
    ];
    let who = prop_oneof![Just("ada"), Just("grace"), Just("?")];
    prop_oneof![
        3 => Just(Event::Ask),
        3 => (who, kind).prop_map(|(who, kind)| Event::Answer(who, kind)),
        2 => Just(Event::Resume),
        2 => (1..200_i64).prop_map(Event::Pass),
        1 => prop_oneof![Just(BuildPolicy::Approved), Just(BuildPolicy::Automatic)].prop_map(Event::Policy),
        1 => prop_oneof![Just("a"), Just("b")].prop_map(Event::Recipe),
    ]
}

/// A build with its question, and what people said about it, without the code under test.
struct History {
    deployment: Deployment,
    decision: Option<ApprovalDecision>,
    policy: BuildPolicy,
    hour: i64,
    /// Recipe and time of the open question.
    open: Option<(String, i64)>,
    /// The recipe that a known person approved last, if no later question replaced the answer.
    approved: Option<String>,
}

impl History {
    fn new() -> Self {
        Self {
            deployment: build(PRODUCTION, "a"),
            decision: None,
            policy: BuildPolicy::Approved,
            hour: 0,
            open: None,
            approved: None,
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Ask if self.deployment.state == DeploymentState::Running => {
                self.deployment = ask(&self.deployment, true, at(self.hour)).unwrap();
                self.decision = None;
                self.approved = None;
                self.open = Some((self.recipe(), self.hour));
            }
            Event::Answer(who, kind) => {
                let by = if *who == "?" { session("shared", "ada") } else { user(who) };
                let before = self.decision.clone();
                let after = answered(&self.deployment, before.as_ref(), &by, *kind, self.hour);
                self.decision = after.or(before);
                let in_time = |asked: &i64| self.hour < asked + OPEN_HOURS;
                match (&self.open, kind) {
                    (Some((recipe, asked)), AnswerKind::Approve) if *who != "?" && in_time(asked) => {
                        self.approved = Some(recipe.clone());
                        self.open = None;
                    }
                    (Some(_), AnswerKind::Refuse) => self.open = None,
                    _ => {}
                }
            }
            Event::Resume if verdict(&self.deployment, self.decision.as_ref()).is_ok() => {
                self.deployment.state = DeploymentState::Running;
            }
            Event::Pass(hours) => self.hour += hours,
            Event::Policy(policy) => self.policy = *policy,
            Event::Recipe(recipe) => body(&mut self.deployment).artifact = (*recipe).to_owned(),
            Event::Ask | Event::Resume => {}
        }
    }

    fn recipe(&self) -> String {
        self.deployment.build().unwrap().artifact.clone()
    }

    fn permission(&self) -> Permission {
        permission(&stages(self.policy), &self.deployment, self.decision.as_ref(), at(self.hour))
    }
}

proptest! {
    #[test]
    fn no_build_begins_without_an_approval_or_automatic_builds(
        story in proptest::collection::vec(events(), 0..40)
    ) {
        let mut history = History::new();
        for event in &story {
            history.apply(event);
            let may = history.policy == BuildPolicy::Automatic || history.approved == Some(history.recipe());
            prop_assert_eq!(history.permission() == Permission::Granted, may, "after {:?}", event);
        }
    }

    #[test]
    fn the_strictest_rule_passes_nothing_that_a_stage_refuses(
        one in rules(), other in rules(), parts in all_parts(), answers in answers(),
    ) {
        let now = at(25);
        let passes = |rule: &ApprovalRule| matches!(judge(rule, &parts, &answers, now), Verdict::Passed { .. });
        if passes(&strictest([one.clone(), other.clone()])) {
            prop_assert!(passes(&one) && passes(&other));
        }
    }
}
