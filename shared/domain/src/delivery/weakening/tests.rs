use super::*;
use crate::delivery::approval_rule::tests::{all_parts, answers, rules};
use crate::delivery::approval_rule::{Verdict, judge};
use crate::delivery::checks::Reach;
use jiff::Timestamp;
use proptest::prelude::*;

const TEXT: &str = "[[stages]]\nname = \"test\"\naccount = \"111111111111\"\nregion = \"eu-west-1\"\n\
    [[stages]]\nname = \"ci\"\naccount = \"111111111111\"\nregion = \"eu-west-1\"\npropagates = true\n\
    [[stages]]\nname = \"staging\"\naccount = \"222222222222\"\nregion = \"eu-west-1\"\n\
    builds = \"approved\"\n[[stages]]\nname = \"production\"\naccount = \"333333333333\"\nregion = \"eu-west-1\"\n\
    builds = \"approved\"\n\
    approval = { from = [\"ada\", \"grace\"], count = 2, not = [\"author\", \"starter\"] }\n";

fn stages(text: &str) -> Stages {
    Stages::parse("stages.toml", text).unwrap()
}

/// Returns the lines of the differences after `from` became `to` in the text.
fn after(from: &str, to: &str) -> Vec<String> {
    assert!(TEXT.contains(from), "{from}");
    lines(&differences(&stages(TEXT), &stages(&TEXT.replace(from, to))))
}

/// Returns the lines of the way back.
fn back(from: &str, to: &str) -> Vec<String> {
    lines(&differences(&stages(&TEXT.replace(from, to)), &stages(TEXT)))
}

const RULE: &str = "approval = { from = [\"ada\", \"grace\"], count = 2, not = [\"author\", \"starter\"] }";

#[test]
fn fewer_looks_for_drift_weaken() {
    let at = |interval: &str| format!("propagates = true\ndrift = \"{interval}\"\n");
    let between = |from: &str, to: &str| {
        let [from, to] = [from, to].map(|text| stages(&TEXT.replace("propagates = true\n", text)));
        lines(&differences(&from, &to))
    };
    let none = "propagates = true\n";
    for (from, to, expected) in [
        (none.to_owned(), at("rate(6 hours)"), "drift of ci is looked for at rate(6 hours)"),
        (at("rate(6 hours)"), at("rate(1 hour)"), "drift of ci is looked for at rate(1 hour)"),
        (at("rate(6 hours)"), at("rate(1 day)"), "WEAKENS: drift of ci is looked for at rate(1 day)"),
        (at("rate(6 hours)"), none.to_owned(), "WEAKENS: no schedule looks for drift of ci"),
    ] {
        assert_eq!(between(&from, &to), [expected]);
    }
    assert!(between(&at("rate(24 hours)"), &at("rate(1 day)")).is_empty());
}

#[test]
fn the_same_stages_have_no_difference() {
    assert_eq!(differences(&stages(TEXT), &stages(TEXT)), []);
}

#[test]
fn a_weaker_approval_weakens_and_the_way_back_does_not() {
    let cases = [
        ("approval = false", "WEAKENS: production asks for no approval", "production asks for an approval"),
        (
            "approval = { from = [\"ada\", \"grace\"], count = 1, not = [\"author\", \"starter\"] }",
            "WEAKENS: production asks for 1 approvals instead of 2",
            "production asks for 2 approvals instead of 1",
        ),
        (
            "approval = { from = [\"ada\", \"grace\"], count = 2, not = [\"author\"] }",
            "WEAKENS: the starter may approve in production",
            "the starter may not approve in production",
        ),
        (
            "approval = { from = [\"ada\", \"eve\", \"grace\"], count = 2, not = [\"author\", \"starter\"] }",
            "WEAKENS: eve may approve in production",
            "eve may not approve in production",
        ),
        (
            "approval = { count = 2, not = [\"author\", \"starter\"] }",
            "WEAKENS: any known person may approve in production",
            "only the people of a list may approve in production",
        ),
    ];
    for (to, weaker, stronger) in cases {
        assert_eq!(after(RULE, to), [weaker]);
        assert_eq!(back(RULE, to)[0], stronger);
        assert!(!back(RULE, to).iter().any(|line| line.starts_with("WEAKENS")), "{:?}", back(RULE, to));
    }
}

#[test]
fn another_account_or_region_weakens_both_ways() {
    let moved = ["WEAKENS: production moves from account 333333333333 to 444444444444"];
    assert_eq!(after("333333333333", "444444444444"), moved);
    assert_eq!(
        back("333333333333", "444444444444"),
        ["WEAKENS: production moves from account 444444444444 to 333333333333"]
    );
    let region = "account = \"222222222222\"\nregion = \"eu-west-1\"";
    assert_eq!(
        after(region, &region.replace("west", "north")),
        ["WEAKENS: staging moves from eu-west-1 to eu-north-1"]
    );
}

#[test]
fn another_path_overrides_wider_checks_and_unasked_builds_weaken() {
    let (place, builds) = ("account = \"222222222222\"\nregion = \"eu-west-1\"\n", "builds = \"approved\"\n");
    let staging = &format!("{place}{builds}");
    // A stage of the delivery path has no `builds`.
    let with = |line: &str| match line.starts_with("overrides") || line.starts_with("checks") {
        true => format!("{staging}{line}\n"),
        false => format!("{place}{line}\n"),
    };
    let cases = [
        (
            "propagates = true",
            "WEAKENS: releases propagate to staging without a promotion",
            "releases reach staging by promotion only",
        ),
        (
            "overrides = true",
            "WEAKENS: staging allows overrides and clones",
            "staging refuses overrides and clones",
        ),
        (
            "checks_may_reach = [\"private\"]",
            "WEAKENS: checks of staging may reach private addresses",
            "checks of staging may no longer reach private addresses",
        ),
        (
            "builds = \"automatic\"",
            "WEAKENS: images are built in the account of staging without a person",
            "a person approves builds of images in the account of staging",
        ),
    ];
    for (line, weaker, stronger) in cases {
        assert_eq!(after(staging, &with(line)), [weaker]);
        assert_eq!(back(staging, &with(line)), [stronger]);
    }
}

#[test]
fn a_removed_stage_weakens_and_so_does_the_shorter_proof() {
    let staging = "[[stages]]\nname = \"staging\"\naccount = \"222222222222\"\nregion = \"eu-west-1\"\n\
        builds = \"approved\"\n";
    assert_eq!(
        after(staging, ""),
        ["WEAKENS: releases reach production without having passed staging", "WEAKENS: staging is removed"]
    );
    assert_eq!(
        back(staging, ""),
        ["staging is new, in account 222222222222", "releases must pass staging before production"]
    );
}

#[test]
fn a_new_stage_in_a_protected_account_must_protect_as_much() {
    let more = |rule: &str| {
        let second = "[[stages]]\nname = \"second\"\naccount = \"333333333333\"\nregion = \"eu-west-1\"\n\
            builds = \"approved\"\n";
        lines(&differences(&stages(TEXT), &stages(&format!("{TEXT}{second}{rule}\n"))))
    };
    let new = "second is new, in account 333333333333".to_owned();
    assert_eq!(more(RULE), std::slice::from_ref(&new));
    for rule in ["", "approval = true", &format!("{RULE}\noverrides = true")] {
        assert_eq!(
            more(rule),
            [
                "WEAKENS: second protects account 333333333333 less than production does".to_owned(),
                new.clone()
            ]
        );
    }
}

fn any_stages() -> impl Strategy<Value = Stages> {
    let stage = (proptest::option::of(rules()), any::<bool>(), any::<bool>(), 2..5_u64);
    (proptest::collection::vec(stage, 1..4), any::<bool>()).prop_map(|(settings, propagates)| {
        let test = stages(TEXT).test().clone();
        let of =
            |(n, (approval, overrides, reach, account)): (usize, (Option<ApprovalRule>, bool, bool, u64))| {
                Stage {
                    name: format!("s{n}").parse().unwrap(),
                    account: format!("{account:012}").parse().unwrap(),
                    propagates: false,
                    approval,
                    builds: Some(BuildPolicy::Approved),
                    overrides,
                    checks_may_reach: reach.then_some(Reach::Private).into_iter().collect(),
                    ..test.clone()
                }
            };
        let mut all = vec![test.clone()];
        if propagates {
            all.push(Stage { name: "ci".parse().unwrap(), propagates, ..test.clone() });
        }
        all.extend(settings.into_iter().enumerate().map(of));
        Stages::try_from(all).unwrap()
    })
}

proptest! {
    #[test]
    fn what_passes_after_a_change_that_weakens_nothing_passed_before(
        old in rules(), new in rules(), parts in all_parts(), answers in answers(),
    ) {
        let name: StageName = "production".parse().unwrap();
        if !weakens(&of_approval(&name, Some(&old), Some(&new))) {
            let now = Timestamp::from_second(25 * 3600).unwrap();
            let passes = |rule| matches!(judge(rule, &parts, &answers, now), Verdict::Passed { .. });
            prop_assert!(!passes(&new) || passes(&old));
        }
    }

    #[test]
    fn only_equal_stages_have_no_difference(old in any_stages(), new in any_stages()) {
        let moved = old.iter().zip(new.iter()).any(|(old, new)| old.name != new.name);
        if !moved {
            prop_assert_eq!(differences(&old, &new).is_empty(), old == new);
        }
        prop_assert!(differences(&old, &old).is_empty());
    }

    #[test]
    fn two_changes_that_weaken_nothing_undo_no_protection(a in any_stages(), b in any_stages()) {
        // A way round and back that weakens nothing leads to where it began.
        if !weakens(&differences(&a, &b)) && !weakens(&differences(&b, &a)) {
            prop_assert_eq!(a, b);
        }
    }
}
