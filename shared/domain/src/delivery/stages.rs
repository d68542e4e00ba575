//! The stages of the organisation: `stages.toml`, written to the ledger with `lockstep stages apply`.
//!
//! A stage binds a name to one account and region, and defines the path of its releases. The order of the file is the
//! order of promotion.

mod builds;

use crate::delivery::approval_rule::{self, ApprovalRule};
use crate::delivery::checks::Reach;
use crate::delivery::people::People;
use crate::images::settings::ImageSettings;
use crate::model::build_policy::BuildPolicy;
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::{Failure, Problem};
use crate::model::ids::TEST;
use crate::model::ids::{AccountId, Region, StageName};
use crate::model::location::Location;
use crate::model::look_interval::LookInterval;
use crate::model::suggestion::suggestion;
use crate::model::toml_file::{Problems, Table, document, text};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A commented `stages.toml` as a starting point.
pub const EXAMPLE: &str = include_str!("stages.example.toml");

/// Maximum number of stages of an organisation.
pub const MAX_STAGES: usize = 20;

/// A step on the way of a release, with the account and region of its stacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stage {
    /// Name, unique among the stages.
    pub name: StageName,
    /// Account of the stacks.
    pub account: AccountId,
    /// Region of the stacks.
    pub region: Region,
    /// True if releases propagate to this stage once the stage before has passed.
    #[serde(default)]
    pub propagates: bool,
    /// Rule for the approvers of each change set. `None` executes a change set without an approval, unless it destroys
    /// something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<approval_rule::Written>"))]
    pub approval: Option<ApprovalRule>,
    /// Permission of builds of images in the account. Each stage of the promotion path has one, and no other stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<BuildPolicy>,
    /// True if a promotion may deploy overrides, a clone, or an environment under another name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    /// True if of the releases of pushes that wait for an environment only the newest is deployed. False if all of them are,
    /// in the order of their commits.
    #[serde(default = "by_default", skip_serializing_if = "Clone::clone")]
    pub superseding: bool,
    /// Interval between two looks for drift by schedule. `None` looks only if a person asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<LookInterval>,
    /// Addresses that checks may connect to, apart from public ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub checks_may_reach: BTreeSet<Reach>,
}

/// Returns the default of a flag that is on.
fn by_default() -> bool {
    true
}

impl Stage {
    /// Returns true if this is the stage of test stacks.
    pub fn is_test(&self) -> bool {
        self.name.as_str() == TEST
    }

    /// Returns the rule for the approvers of a question, which the destruction of a resource raises in any stage.
    pub fn approval_rule(&self) -> ApprovalRule {
        self.approval.clone().unwrap_or_else(ApprovalRule::confirmation)
    }

    /// Returns the account and region.
    pub fn location(&self) -> Location {
        Location { account: self.account.clone(), region: self.region.clone() }
    }

    /// Returns the path of releases to this stage: delivery for `test` and stages that propagate, promotion for the
    /// rest.
    pub fn path(&self) -> DeploymentPath {
        if self.is_test() || self.propagates { DeploymentPath::Delivery } else { DeploymentPath::Promotion }
    }
}

/// All stages in the order of promotion: `test` first, at least one more, no name twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Stage>", into = "Vec<Stage>")]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// Parses a `stages.toml`; `file` is its name in problems. Reports all problems at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let root = Table::root(&document);
        root.refuse_unknown(&["images", "stages"], &mut problems);
        // The image settings are parsed here only to report their problems with the rest of the file.
        ImageSettings::read(&root, &mut problems);
        let items = root.items("stages", &mut problems);
        let expected = items.len();
        let tables: Vec<Table> =
            items.into_iter().filter_map(|(name, item)| Table::of(name, item, &mut problems)).collect();
        let stages: Vec<Stage> = tables.iter().filter_map(|table| stage(table, &mut problems)).collect();
        // Rules about the whole file are checked only if every stage could be parsed, else they blame the wrong stage.
        if stages.len() == expected {
            for (index, message) in broken_rules(&stages) {
                match tables.get(index) {
                    Some(table) => problems.add(table.span(), message),
                    None => problems.add_whole(message),
                }
            }
        }
        problems.finish(Some(Self(stages)))
    }

    /// Returns the path of an account, or `None` if no stage is there.
    pub fn path_of(&self, account: &AccountId) -> Option<DeploymentPath> {
        self.0.iter().find(|stage| stage.account == *account).map(Stage::path)
    }

    /// Returns the stage with this name.
    pub fn get(&self, name: &StageName) -> Option<&Stage> {
        self.0.iter().find(|stage| stage.name == *name)
    }

    /// Returns the stage with this name, or the error `NotFound`.
    pub fn named(&self, name: &StageName) -> Result<&Stage, Failure> {
        self.get(name)
            .ok_or_else(|| Failure::not_found(format!("there is no stage `{name}`{}", self.suggestion(name))))
    }

    /// Returns the end of a sentence about an unknown stage: the stage that may be meant, or every stage.
    pub fn suggestion(&self, unknown: &StageName) -> String {
        suggestion(unknown.as_str(), self.0.iter().map(|stage| stage.name.as_str()))
    }

    /// Iterates over all stages, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Stage> {
        self.0.iter()
    }

    /// Returns the stage of test stacks.
    pub fn test(&self) -> &Stage {
        &self.0[0]
    }

    /// Returns the stage directly below `name`, whose evidence opens it; `None` for `test` and for an unknown stage.
    pub fn before(&self, name: &StageName) -> Option<&Stage> {
        let index = self.0.iter().position(|stage| stage.name == *name)?;
        self.0.get(index.checked_sub(1)?)
    }

    /// Iterates over the stages that propagate, in the order in which a push reaches them after its test stack.
    pub fn propagating(&self) -> impl Iterator<Item = &Stage> {
        self.0.iter().filter(|stage| stage.propagates)
    }
}

/// Returns the problems of approval rules whose approvers `people` does not name.
pub fn check_approvers(stages: &Stages, people: &People) -> Vec<Problem> {
    let of = |stage: &Stage| {
        let rule = stage.approval.clone().unwrap_or_default();
        let unknown = approval_rule::unknown_names(&rule, |person| people.has(person));
        let message = |person| {
            format!(
                "stage `{}` asks for the approval of `{person}`, whom people.toml does not name",
                stage.name
            )
        };
        unknown
            .into_iter()
            .map(|person| Problem::at("stages.toml", None, message(person)))
            .collect::<Vec<_>>()
    };
    stages.iter().flat_map(of).collect()
}

impl TryFrom<Vec<Stage>> for Stages {
    type Error = String;

    fn try_from(stages: Vec<Stage>) -> Result<Self, String> {
        match broken_rules(&stages).into_iter().next() {
            None => Ok(Self(stages)),
            Some((_, message)) => Err(message),
        }
    }
}

impl From<Stages> for Vec<Stage> {
    fn from(stages: Stages) -> Vec<Stage> {
        stages.0
    }
}

fn stage(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Stage> {
    let known = [
        "name",
        "account",
        "region",
        "propagates",
        "approval",
        "builds",
        "overrides",
        "superseding",
        "drift",
        "checks_may_reach",
    ];
    table.refuse_unknown(&known, problems);
    let (name, account, region) = (
        table.required("name", problems),
        table.required("account", problems),
        table.required("region", problems),
    );
    let (propagates, overrides) = (table.flag("propagates", problems), table.flag("overrides", problems));
    let superseding = table.get("superseding").is_none() || table.flag("superseding", problems);
    let approval = ApprovalRule::read(table, problems);
    // A wrong word is reported once, and not as a missing one too.
    let builds = match table.get("builds") {
        Some(word) => text(&table.path("builds"), word, problems).map(Some),
        None => Some(None),
    };
    let drift = match table.get("drift") {
        Some(interval) => text(&table.path("drift"), interval, problems).map(Some),
        None => Some(None),
    };
    let reach = table.items("checks_may_reach", problems);
    let checks_may_reach = reach.iter().filter_map(|(name, word)| text(name, word, problems)).collect();
    Some(Stage {
        name: name?,
        account: account?,
        region: region?,
        propagates,
        approval,
        builds: builds?,
        overrides,
        superseding,
        drift: drift?,
        checks_may_reach,
    })
}

/// Returns the broken rules about the whole file, each with the index of the stage to blame.
fn broken_rules(stages: &[Stage]) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    if stages.len() > MAX_STAGES {
        broken.push((MAX_STAGES, format!("there are more than {MAX_STAGES} stages")));
    }
    match stages.first() {
        None => broken.push((0, format!("there is no stage; write [[stages]] with name = \"{TEST}\" first"))),
        Some(first) if !first.is_test() => {
            broken.push((
                0,
                format!(
                    "the first stage must be `{TEST}`, where every release is tried, not `{}`",
                    first.name
                ),
            ));
        }
        Some(_) if stages.len() == 1 => {
            broken.push((
                0,
                format!("add a stage after `{TEST}`, such as `ci`: a release must have somewhere to go"),
            ));
        }
        Some(_) => {}
    }
    broken.extend(broken_names(stages));
    broken.extend(nested_names(stages));
    broken.extend(broken_flags(stages));
    broken.extend(broken_accounts(stages));
    broken.extend(builds::broken_settings(stages));
    broken
}

fn broken_names(stages: &[Stage]) -> Vec<(usize, String)> {
    let mut seen = BTreeSet::new();
    let twice = stages.iter().enumerate().filter(|(_, stage)| !seen.insert(&stage.name));
    twice.map(|(n, stage)| (n, format!("the name `{}` is taken by a stage above", stage.name))).collect()
}

/// Returns the stages whose stacks could meet those of a stage above: both names end in the name of an environment, so
/// `ci-eu-logs` is the environment `logs` of `ci-eu` and `eu-logs` of `ci`. Neither name holds two hyphens in a row, so
/// stacks meet only where one stage's name continues the other's with a hyphen.
fn nested_names(stages: &[Stage]) -> Vec<(usize, String)> {
    let nests = |inner: &Stage, outer: &Stage| {
        let rest = inner.name.as_str().strip_prefix(outer.name.as_str());
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let mut broken = Vec::new();
    for (n, stage) in stages.iter().enumerate() {
        let here = stages[..n].iter().filter(|other| other.location() == stage.location());
        for other in here.filter(|other| nests(stage, other) || nests(other, stage)) {
            let (short, long) = if nests(stage, other) { (other, stage) } else { (stage, other) };
            let rest = &long.name.as_str()[short.name.as_str().len() + 1..];
            broken.push((
                n,
                format!(
                    "`{short}` and `{long}` share account {} and region {}, where the stack `{long}-x` would belong to \
                     the environment `x` of `{long}` and to `{rest}-x` of `{short}`; rename one of them, such as \
                     `{short}{rest}`, or give it another account or region",
                    stage.account,
                    stage.region,
                    short = short.name,
                    long = long.name,
                ),
            ));
        }
    }
    broken
}

fn broken_flags(stages: &[Stage]) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    let mut gap: Option<&Stage> = None;
    for (n, stage) in stages.iter().enumerate() {
        if stage.is_test() {
            if stage.propagates || stage.approval.is_some() {
                broken.push((n, format!("`{TEST}` neither propagates nor needs approval; remove both")));
            }
            if stage.drift.is_some() {
                broken.push((n, format!("test stacks are never looked at: remove `drift` of `{TEST}`")));
            }
        } else if !stage.propagates {
            gap = gap.or(Some(stage));
        } else if let Some(gap) = gap {
            let message = format!(
                "`{}` cannot propagate: `{}` before it does not, and no release propagates past it",
                stage.name, gap.name
            );
            broken.push((n, message));
        }
    }
    broken
}

/// Returns the accounts that are on both paths. The roles of a promotion stage trust only the promotion path, so an
/// account cannot be on both.
fn broken_accounts(stages: &[Stage]) -> Vec<(usize, String)> {
    let mut first: BTreeMap<&AccountId, &Stage> = BTreeMap::new();
    let mut broken = Vec::new();
    for (n, stage) in stages.iter().enumerate() {
        let other = *first.entry(&stage.account).or_insert(stage);
        if other.path() != stage.path() {
            let message = format!(
                "`{}` and `{}` share account {}, but releases propagate to one and reach the other only by \
                 promotion; give one of them an account of its own, so that what builds cannot reach it",
                other.name, stage.name, stage.account
            );
            broken.push((n, message));
        }
    }
    broken
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::environment::stack_name;
    use proptest::prelude::*;

    fn stage(name: &str, account: u64, propagates: bool) -> String {
        let builds = if propagates || name == TEST { "" } else { "builds = \"approved\"\n" };
        format!(
            "[[stages]]\nname = \"{name}\"\naccount = \"{account:012}\"\nregion = \"eu-west-1\"\npropagates = {propagates}\n{builds}"
        )
    }

    fn parse(stages: &[String]) -> Result<Stages, Vec<String>> {
        Stages::parse("stages.toml", &stages.concat())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn name(text: &str) -> StageName {
        text.parse().unwrap()
    }

    fn four() -> Stages {
        parse(&[
            stage("test", 1, false),
            stage("ci", 1, true),
            stage("staging", 2, false),
            stage("production", 3, false),
        ])
        .unwrap()
    }

    #[test]
    fn the_example_is_a_valid_file() {
        let stages = Stages::parse("stages.toml", EXAMPLE).unwrap();
        assert_eq!(
            stages.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["test", "ci", "staging", "production"]
        );
        assert_eq!(
            stages.get(&name("production")).map(|s| (s.approval.clone(), s.path())),
            Some((Some(ApprovalRule::default()), DeploymentPath::Promotion))
        );
    }

    #[test]
    fn stages_keep_the_order_of_the_file() {
        let stages = four();
        let before = |stage: &str| stages.before(&name(stage)).map(|s| s.name.as_str());
        assert_eq!(before("test"), None);
        assert_eq!(before("ci"), Some("test"));
        assert_eq!(before("production"), Some("staging"));
        assert_eq!(before("elsewhere"), None);
        assert_eq!(stages.propagating().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["ci"]);
    }

    #[test]
    fn delivery_reaches_test_and_propagating_stages_and_promotion_the_rest() {
        let paths: Vec<_> = four().iter().map(Stage::path).collect();
        assert_eq!(
            paths,
            [
                DeploymentPath::Delivery,
                DeploymentPath::Delivery,
                DeploymentPath::Promotion,
                DeploymentPath::Promotion
            ]
        );
    }

    #[test]
    fn the_rule_of_a_question_confirms_a_loss_where_the_stage_asks_for_none() {
        let rule = |production: testing::StageText| {
            let text = testing::with_production("111111111111", production);
            Stages::parse("s", &text).unwrap().get(&name("production")).unwrap().approval_rule()
        };
        let production = || testing::stage_text("production", "222222222222");
        assert_eq!(rule(production()), ApprovalRule::confirmation());
        assert_eq!(rule(production().with_approval()), ApprovalRule::default());
    }

    #[test]
    fn approvers_of_a_rule_are_people_of_the_file() {
        let rule = "approval = { from = [\"ada\", \"user:AIDAEXAMPLE0000EVE\"] }\n";
        let stages = parse(&[stage("test", 1, false), stage("ci", 2, false) + rule]).unwrap();
        let problems = |people: &str| {
            let people = People::parse("people.toml", people).unwrap();
            check_approvers(&stages, &people).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(problems("[[people]]\nname = \"ada\"\n"), Vec::<String>::new());
        assert_eq!(
            problems(""),
            ["stages.toml: stage `ci` asks for the approval of `ada`, whom people.toml does not name"]
        );
        let claimed = "[[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE0000EVE\"]\n";
        assert_eq!(problems(claimed).len(), 1);
    }

    #[test]
    fn the_first_stage_is_test_and_another_follows() {
        assert!(parse(&[]).unwrap_err()[0].contains("there is no stage"));
        assert!(parse(&[stage("test", 1, false)]).unwrap_err()[0].contains("add a stage after `test`"));
        let swapped = parse(&[stage("ci", 1, false), stage("test", 2, false)]).unwrap_err();
        assert!(swapped[0].starts_with("stages.toml:1: the first stage must be `test`"), "{swapped:?}");
    }

    #[test]
    fn checks_reach_only_public_addresses_by_default() {
        let stages = |more: &str| parse(&[stage("test", 1, false), stage("ci", 1, true), more.to_owned()]);
        let reach = |more: &str| stages(more).unwrap().get(&name("ci")).unwrap().checks_may_reach.clone();
        assert_eq!(reach(""), [].into());
        assert_eq!(reach("checks_may_reach = []"), [].into());
        let both = [Reach::Private, Reach::Loopback].into();
        assert_eq!(reach("checks_may_reach = [\"loopback\", \"private\"]"), both);
        assert_eq!(
            stages("checks_may_reach = [\"metadata\", true]").unwrap_err(),
            [
                "stages.toml:11: `stages[1].checks_may_reach[0]`: write \"private\" or \"loopback\"",
                "stages.toml:11: `stages[1].checks_may_reach[1]` must be text in quotes, not true or false",
            ]
        );
        assert!(stages("checks_may_reach = true").is_err());
    }

    #[test]
    fn a_schedule_of_looks_is_an_interval_and_no_test_stage_has_one() {
        let with = |stage: String, line: &str| stage + line + "\n";
        let both = |test: &str, ci: &str| {
            parse(&[with(stage("test", 1, false), test), with(stage("ci", 1, true), ci)])
        };
        let found = both("", "drift = \"rate(6 hours)\"").unwrap();
        let intervals: Vec<_> = found.iter().map(|stage| stage.drift.map(|it| it.to_string())).collect();
        assert_eq!(intervals, [None, Some("rate(6 hours)".to_owned())]);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Stages>(&text).unwrap(), found);
        let refused = both("", "drift = \"rate(5 minutes)\"").unwrap_err();
        assert!(
            refused[0].contains("stages[1].drift") && refused[0].contains("rate(6 hours)"),
            "{refused:?}"
        );
        let refused = both("drift = \"rate(6 hours)\"", "").unwrap_err();
        assert!(refused[0].contains("test stacks are never looked at"), "{refused:?}");
        assert!(both("", "drift = true").is_err());
    }

    #[test]
    fn test_neither_propagates_nor_needs_approval() {
        let wrong = parse(&[stage("test", 1, true), stage("ci", 1, true)]).unwrap_err();
        assert_eq!(wrong, ["stages.toml:1: `test` neither propagates nor needs approval; remove both"]);
    }

    #[test]
    fn no_release_propagates_past_a_stage_that_needs_promotion() {
        let wrong =
            parse(&[stage("test", 1, false), stage("staging", 2, false), stage("ci", 1, true)]).unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("stages.toml:12: `ci` cannot propagate: `staging` before it does not"));
    }

    #[test]
    fn no_account_is_on_both_paths() {
        let wrong = parse(&[stage("test", 1, false), stage("ci", 1, true), stage("production", 1, false)])
            .unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("stages.toml:11: `test` and `production` share account 000000000001"));
        assert!(parse(&[stage("test", 1, false), stage("a", 2, false), stage("b", 2, false)]).is_ok());
    }

    #[test]
    fn a_name_is_used_once() {
        let wrong =
            parse(&[stage("test", 1, false), stage("ci", 1, true), stage("ci", 1, true)]).unwrap_err();
        assert_eq!(wrong, ["stages.toml:11: the name `ci` is taken by a stage above"]);
    }

    #[test]
    fn no_stage_continues_the_name_of_another_in_its_account_and_region() {
        for (first, second, message) in [
            ("ci", "ci-eu", "`ci` and `ci-eu` share account 000000000001 and region eu-west-1"),
            ("ci-eu", "ci", "to `eu-x` of `ci`; rename one of them, such as `cieu`"),
            ("ci", "test-2", "the stack `test-2-x` would belong to the environment `x` of `test-2`"),
        ] {
            let wrong = parse(&[stage("test", 1, false), stage(first, 1, true), stage(second, 1, true)]);
            let wrong = wrong.unwrap_err();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].starts_with("stages.toml:11: ") && wrong[0].contains(message), "{wrong:?}");
        }
        let fine = [stage("test", 1, false), stage("ci", 1, true), stage("cid", 1, true)];
        assert!(parse(&fine).is_ok());
        assert!(parse(&[stage("test", 1, false), stage("ci", 1, true), stage("ci-eu", 2, true)]).is_ok());
        let elsewhere = stage("ci-us", 1, true).replace("eu-west-1", "us-east-1");
        assert!(parse(&[stage("test", 1, false), stage("ci", 1, true), elsewhere]).is_ok());
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_line() {
        let text = "[[stages]]\nname = \"test\"\nacount = \"000000000001\"\nregion = \"Europe\"\npropagates = \"yes\"\n";
        let problems = Stages::parse("stages.toml", text).unwrap_err();
        let reported: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            reported,
            [
                "stages.toml:1: `stages[0].account` is missing",
                "stages.toml:3: `stages[0].acount` is not known; did you mean `account`?",
                "stages.toml:4: `stages[0].region`: 'Europe' is not an AWS region (such as eu-west-1)",
                "stages.toml:5: `stages[0].propagates` must be true or false, not text",
            ]
        );
    }

    #[test]
    fn stages_of_the_wrong_shape_are_refused() {
        assert!(Stages::parse("s", "stages = 3").is_err());
        assert!(Stages::parse("s", "stages = [3]").is_err());
        assert!(Stages::parse("s", "[stages]\nname = \"test\"").is_err());
    }

    #[test]
    fn more_stages_than_the_bound_are_refused() {
        let many: Vec<_> = std::iter::once(stage("test", 1, false))
            .chain((0..20).map(|n| stage(&format!("s{n}"), 2, false)))
            .collect();
        assert!(parse(&many[..20]).is_ok());
        assert!(parse(&many).is_err());
    }

    #[test]
    fn stored_stages_are_judged_again_when_they_are_read() {
        let stored = serde_json::to_value(four()).unwrap();
        assert_eq!(serde_json::from_value::<Stages>(stored.clone()).unwrap(), four());
        let mut broken = stored;
        broken.as_array_mut().unwrap().remove(0);
        assert!(serde_json::from_value::<Stages>(broken).is_err());
        assert!(serde_json::from_str::<Stages>("[]").is_err());
    }

    /// Returns short names of few letters, so that many of them continue one another.
    fn names(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeSet<String>> {
        let name = proptest::collection::vec(prop_oneof!["a", "b", "test"], 1..4);
        proptest::collection::btree_set(name.prop_map(|words| words.join("-")), count)
    }

    proptest! {
        #[test]
        fn equal_stack_names_mean_equal_stages_and_environments(
            stages in names(1..5),
            environments in names(1..12),
            accounts in proptest::collection::vec(1u64..4, 5),
        ) {
            let others = stages.iter().filter(|name| *name != TEST);
            let others = others.zip(&accounts).map(|(name, account)| stage(name, *account, false));
            let all: Vec<_> = [stage("test", 9, false)].into_iter().chain(others).collect();
            let accepted = parse(&all);
            let mut owners = BTreeMap::new();
            let mut meet = false;
            for one in accepted.iter().flat_map(Stages::iter) {
                for environment in &environments {
                    let stack = stack_name(&one.name, environment).unwrap();
                    meet |= owners.insert((one.location(), stack), (&one.name, environment)).is_some();
                }
            }
            prop_assert!(!meet, "{owners:?}");
        }

        #[test]
        fn propagating_stages_are_always_a_prefix_after_test(flags in proptest::collection::vec(any::<bool>(), 1..8)) {
            let mut all = vec![stage("test", 1, false)];
            all.extend(flags.iter().enumerate().map(|(n, p)| stage(&format!("s{n}"), if *p { 1 } else { 2 }, *p)));
            let ordered = flags.is_sorted_by(|a, b| a >= b);
            prop_assert_eq!(parse(&all).is_ok(), ordered);
            if let Ok(stages) = parse(&all) {
                let prefix: Vec<_> = stages.iter().skip(1).take(stages.propagating().count()).collect();
                prop_assert_eq!(stages.propagating().collect::<Vec<_>>(), prefix);
            }
        }
    }
}
