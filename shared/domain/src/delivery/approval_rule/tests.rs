use super::*;
use crate::model::toml_file::document;
use proptest::prelude::*;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(hour * 3600).unwrap()
}

fn id(name: &str) -> PersonId {
    name.parse().unwrap()
}

fn known(name: &str) -> Person {
    Person::Known(id(name))
}

fn answer(name: &str, kind: AnswerKind, hour: i64) -> Answer {
    let person = if name == "?" { Person::Unknown } else { known(name) };
    Answer { person, kind, at: at(hour) }
}

fn approval(name: &str) -> Answer {
    answer(name, AnswerKind::Approve, 0)
}

fn read(approval: &str) -> Result<Option<ApprovalRule>, Vec<String>> {
    let text = format!("[stage]\n{approval}\n");
    let (document, mut problems) = document("stages.toml", &text).unwrap();
    let stage = Table::root(&document).table("stage", &mut problems).unwrap();
    let rule = ApprovalRule::read(&stage, &mut problems);
    problems.finish(Some(rule)).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn rule(approval: &str) -> ApprovalRule {
    read(&format!("approval = {approval}")).unwrap().unwrap()
}

fn parts(starter: &str, author: &str) -> Parts {
    let person = |name: &str| if name == "?" { Person::Unknown } else { known(name) };
    Parts { starter: person(starter), author: person(author) }
}

/// Returns `passed`, `refused` or the number of missing approvers after one hour.
fn verdict(rule: &ApprovalRule, parts: &Parts, answers: &[Answer]) -> String {
    match judge(rule, parts, answers, at(1)) {
        Verdict::Passed { .. } => "passed".to_owned(),
        Verdict::Refused { .. } => "refused".to_owned(),
        Verdict::Waits { more, .. } => more.to_string(),
    }
}

#[test]
fn a_rule_is_true_false_or_a_table() {
    assert_eq!(read("").unwrap(), None);
    assert_eq!(read("approval = false").unwrap(), None);
    assert_eq!(rule("true"), ApprovalRule::default());
    assert_eq!(rule("{}"), ApprovalRule::default());
    assert_eq!(
        rule("{ from = [\"ada\", \"session:grace@x\"], count = 2, not = [\"author\", \"starter\"] }"),
        ApprovalRule {
            from: Some([id("ada"), id("session:grace@x")].into()),
            count: 2,
            not: [Excluded::Author, Excluded::Starter].into(),
        }
    );
    assert_eq!(rule("{ count = 1, not = [] }"), ApprovalRule::confirmation());
}

#[test]
fn each_excluded_part_has_one_word() {
    for (part, word) in [(Excluded::Author, "author"), (Excluded::Starter, "starter")] {
        assert_eq!((part.as_str(), word.parse()), (word, Ok(part)));
    }
}

#[test]
fn listed_people_that_do_not_exist_are_named() {
    let rule = rule("{ from = [\"ada\", \"eve\", \"grace\"] }");
    let is_ada = |person: &PersonId| *person == id("ada");
    assert_eq!(unknown_names(&rule, is_ada), [&id("eve"), &id("grace")]);
    assert!(unknown_names(&ApprovalRule::default(), is_ada).is_empty());
}

#[test]
fn a_malformed_rule_is_refused_with_its_line() {
    let wrong = |approval: &str| read(&format!("approval = {approval}")).unwrap_err();
    assert_eq!(wrong("1"), ["stages.toml:2: `stage.approval` must be true, false or a table, not integer"]);
    for count in ["0", "-1", "11", "true"] {
        let problems = wrong(&format!("{{ count = {count} }}"));
        assert_eq!(problems, ["stages.toml:2: `stage.approval.count` must be from 1 to 10"]);
    }
    assert_eq!(
        wrong("{ not = [\"autor\"] }"),
        ["stages.toml:2: `stage.approval.not[0]`: write \"author\" or \"starter\""]
    );
    assert_eq!(
        wrong("{ from = [\"ada\", \"ada\"], count = 2 }"),
        ["stages.toml:2: `stage.approval.count` asks for 2 approvers of 1"]
    );
    assert!(wrong("{ from = [] }")[0].contains("asks for 1 approvers of 0"));
    assert!(wrong("{ from = [\"Ada\"] }")[0].contains("'Ada' is not a person"));
    assert!(wrong("{ form = [\"ada\"] }")[0].contains("did you mean `from`?"));
}

#[test]
fn a_rule_is_printed_as_a_sentence() {
    assert_eq!(rule("true").to_string(), "one approver, not who started it");
    assert_eq!(rule("{ not = [] }").to_string(), "one approver; may be approved by who started it");
    assert_eq!(
        rule("{ from = [\"grace\", \"ada\"], count = 2, not = [\"author\", \"starter\"] }").to_string(),
        "2 approvers of ada, grace, not the author and not who started it"
    );
    assert_eq!(
        rule("{ not = [\"author\"] }").to_string(),
        "one approver, not the author; may be approved by who started it"
    );
}

#[test]
fn the_rule_decides_who_counts() {
    let cases = [
        ("true", "ada", "?", vec!["grace"], "passed"),
        ("true", "ada", "?", vec!["ada"], "1"),
        ("true", "ada", "?", vec!["?"], "1"),
        ("true", "?", "?", vec!["ada"], "1"),
        ("true", "?", "?", vec!["ada", "ada"], "1"),
        ("true", "?", "?", vec!["ada", "?"], "1"),
        ("true", "?", "?", vec!["ada", "grace"], "passed"),
        ("{ not = [] }", "ada", "?", vec!["ada"], "passed"),
        ("{ not = [] }", "ada", "?", vec!["?", "?"], "1"),
        ("{ count = 2, not = [\"author\", \"starter\"] }", "ada", "grace", vec!["ada", "grace"], "2"),
        ("{ count = 2, not = [\"author\", \"starter\"] }", "ada", "grace", vec!["eve", "lin"], "passed"),
        ("{ count = 2, not = [\"author\", \"starter\"] }", "?", "?", vec!["ada", "eve", "lin"], "1"),
        ("{ count = 2, not = [\"author\", \"starter\"] }", "?", "?", vec!["a", "b", "c", "d"], "passed"),
        ("{ not = [\"author\"] }", "?", "ada", vec!["eve"], "passed"),
        ("{ from = [\"eve\"] }", "ada", "?", vec!["grace"], "1"),
        ("{ from = [\"eve\"] }", "ada", "?", vec!["eve"], "passed"),
        ("{ from = [\"eve\"] }", "eve", "?", vec!["eve"], "1"),
    ];
    for (text, starter, author, approvers, expected) in cases {
        let answers: Vec<Answer> = approvers.iter().map(|name| approval(name)).collect();
        assert_eq!(
            verdict(&rule(text), &parts(starter, author), &answers),
            expected,
            "{text} started by {starter}, pushed by {author}, approved by {approvers:?}"
        );
    }
}

#[test]
fn one_refusal_of_any_caller_refuses() {
    for name in ["ada", "grace", "?"] {
        let answers = [approval("grace"), answer(name, AnswerKind::Refuse, 0), approval("eve")];
        assert_eq!(verdict(&rule("true"), &parts("ada", "?"), &answers), "refused");
    }
}

#[test]
fn a_withdrawn_approval_does_not_count_until_it_is_repeated() {
    let withdrawn = [approval("grace"), answer("grace", AnswerKind::Withdraw, 0)];
    assert_eq!(verdict(&rule("true"), &parts("ada", "?"), &withdrawn), "1");
    let again = [withdrawn.to_vec(), vec![approval("grace")]].concat();
    assert_eq!(verdict(&rule("true"), &parts("ada", "?"), &again), "passed");
    let of_another = [approval("grace"), answer("eve", AnswerKind::Withdraw, 0)];
    assert_eq!(verdict(&rule("true"), &parts("ada", "?"), &of_another), "passed");
}

#[test]
fn an_approval_expires_and_a_repeated_one_counts_anew() {
    let (rule, parts) = (rule("true"), parts("ada", "?"));
    let last = ApprovalDecision::VALID_HOURS;
    let judged = |answers: &[Answer], hour| judge(&rule, &parts, answers, at(hour));
    assert_eq!(judged(&[approval("grace")], last - 1), Verdict::Passed { until: at(last) });
    assert!(matches!(judged(&[approval("grace")], last), Verdict::Waits { more: 1, .. }));
    let again = [approval("grace"), answer("grace", AnswerKind::Approve, 10)];
    assert_eq!(judged(&again, last), Verdict::Passed { until: at(last + 10) });
}

#[test]
fn approvals_pass_until_the_first_needed_one_expires() {
    let answers = [approval("a"), answer("b", AnswerKind::Approve, 5), answer("c", AnswerKind::Approve, 9)];
    let judged = judge(&rule("{ count = 2 }"), &parts("ada", "?"), &answers, at(10));
    assert_eq!(judged, Verdict::Passed { until: at(5 + ApprovalDecision::VALID_HOURS) });
}

#[test]
fn a_waiting_question_says_why_and_who_is_left() {
    let rule = rule("{ from = [\"ada\", \"eve\", \"grace\"], count = 1, not = [\"author\", \"starter\"] }");
    let Verdict::Waits { more, from, why } = judge(&rule, &parts("?", "ada"), &[approval("eve")], at(1))
    else {
        panic!("one approver is missing");
    };
    assert_eq!((more, from), (1, Some([id("grace")].into())));
    assert_eq!(
        why,
        "the stage asks for one approver of ada, eve, grace, not the author and not who started it; one more because \
         it is unknown who started it, and one approver may be that person; eve approved"
    );
}

#[test]
fn a_rule_that_no_approver_can_meet_any_more_says_so() {
    let rule = rule("{ from = [\"ada\", \"grace\"], count = 2 }");
    let Verdict::Waits { more, from, why } = judge(&rule, &parts("ada", "?"), &[], at(1)) else {
        panic!("two approvers are missing");
    };
    assert_eq!((more, from), (2, Some([id("grace")].into())));
    assert!(
        why.ends_with("; too few people of the list are left, so only another deployment can pass"),
        "{why}"
    );
}

#[test]
fn a_deployment_without_a_release_has_no_author_to_exclude() {
    let rule = rule("{ not = [\"author\", \"starter\"] }").without_author();
    assert_eq!(rule, ApprovalRule::default());
}

fn people_of(names: &[&str]) -> impl Strategy<Value = Person> + use<> {
    let names: Vec<Person> = names.iter().map(|name| known(name)).chain([Person::Unknown]).collect();
    proptest::sample::select(names)
}

const NAMES: [&str; 4] = ["ada", "eve", "grace", "lin"];

pub(crate) fn rules() -> impl Strategy<Value = ApprovalRule> {
    let names: Vec<PersonId> = NAMES.iter().map(|name| id(name)).collect();
    let from = proptest::option::of(proptest::sample::subsequence(names, 1..=4));
    let not = proptest::sample::subsequence(vec![Excluded::Author, Excluded::Starter], 0..=2);
    (from, 1..=3_u32, not).prop_map(|(from, count, not)| ApprovalRule {
        from: from.map(|from| from.into_iter().collect()),
        count,
        not: not.into_iter().collect(),
    })
}

pub(crate) fn all_parts() -> impl Strategy<Value = Parts> {
    (people_of(&NAMES), people_of(&NAMES)).prop_map(|(starter, author)| Parts { starter, author })
}

pub(crate) fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let kinds = [AnswerKind::Approve, AnswerKind::Approve, AnswerKind::Approve, AnswerKind::Withdraw];
    let kind = proptest::sample::select(kinds.to_vec());
    let one = (people_of(&NAMES), kind, 0..30_i64).prop_map(|(person, kind, hour)| Answer {
        person,
        kind,
        at: at(hour),
    });
    proptest::collection::vec(one, 0..10)
}

proptest! {
    #[test]
    fn any_two_excluded_people_leave_enough_other_approvers(
        rule in rules(), answers in answers(), starter in people_of(&NAMES), author in people_of(&NAMES),
    ) {
        // The true parts are known to the test alone: the rule passes only if it would pass with them known.
        let unknown = Parts { starter: Person::Unknown, author: Person::Unknown };
        let known_parts = Parts { starter, author };
        prop_assume!(known_parts.starter.known().is_some() && known_parts.author.known().is_some());
        if let Verdict::Passed { .. } = judge(&rule, &unknown, &answers, at(30)) {
            let passed = matches!(judge(&rule, &known_parts, &answers, at(30)), Verdict::Passed { .. });
            prop_assert!(passed);
        }
    }

    #[test]
    fn unknown_approvers_change_nothing(rule in rules(), parts in all_parts(), answers in answers()) {
        let known: Vec<Answer> =
            answers.iter().filter(|answer| answer.person != Person::Unknown).cloned().collect();
        prop_assert_eq!(judge(&rule, &parts, &answers, at(25)), judge(&rule, &parts, &known, at(25)));
    }

    #[test]
    fn as_many_as_are_missing_are_enough(parts in all_parts(), answers in answers(), count in 1..4_u32) {
        let rule = ApprovalRule { from: None, count, ..ApprovalRule::default() };
        if let Verdict::Waits { more, .. } = judge(&rule, &parts, &answers, at(25)) {
            let fresh = |n: u32| answer(&format!("fresh{n}"), AnswerKind::Approve, 25);
            let with = |n: u32| answers.iter().cloned().chain((0..n).map(fresh)).collect::<Vec<_>>();
            let enough = judge(&rule, &parts, &with(more), at(25));
            let too_few = judge(&rule, &parts, &with(more - 1), at(25));
            let is_passed = |verdict: &Verdict| matches!(verdict, Verdict::Passed { .. });
            prop_assert!(is_passed(&enough) && !is_passed(&too_few));
        }
    }
}
