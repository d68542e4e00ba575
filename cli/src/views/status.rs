//! The matrix of `lockstep status`: the version of every component in every stage, with its age, its distance from the
//! newest release, and its problems.

use super::{age, time};
use jiff::Timestamp;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::ids::TEST;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::output_name::OutputName;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{BreakGlass, Environment, Release, ReleaseState, SweepReport};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One component in one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The running version, if any.
    pub version: Option<String>,
    /// Time since which it runs.
    pub since: Option<Timestamp>,
    /// The published releases that are newer.
    pub behind: Option<Behind>,
    /// The deployment that holds the environment.
    pub held_by: Option<String>,
    /// True if its checks passed.
    pub checked: bool,
    /// The reason of its hold: pushes wait.
    pub hold: Option<String>,
    /// The taint: what the last recovery left unreconciled.
    pub taint: Option<String>,
    /// The inputs that differ from their sources.
    pub stale: Vec<StaleValue>,
    /// The parameters that the running release overrides.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub overridden: BTreeSet<String>,
    /// The use of break-glass by which the running release was admitted.
    pub break_glass: Option<BreakGlassUse>,
    /// The last deployment, with any outcome.
    pub last_deployment: Option<String>,
}

/// An input of a running stack that differs from the output of its producer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaleValue {
    /// The output of the producer.
    pub input: OutputName,
    /// The value that the stack runs with; `None` if it is hidden or long.
    pub runs_with: Option<String>,
    /// The output now.
    pub now: Now,
}

/// The present value of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Now {
    /// The value.
    Value(String),
    /// The value is hidden or long.
    Hidden,
    /// The producer has no such output any more.
    Gone,
}

impl fmt::Display for StaleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = &self.input;
        match (&self.now, &self.runs_with) {
            (Now::Gone, Some(with)) => write!(f, "{input} is gone, and it runs with {with}"),
            (Now::Gone, None) => write!(f, "{input} is gone"),
            (Now::Value(now), Some(with)) => write!(f, "{input} is {now} now, and it runs with {with}"),
            (Now::Value(_), None) | (Now::Hidden, _) => write!(f, "{input} has another value now (hidden)"),
        }
    }
}

/// The number of published releases that are newer than the running one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// The number of those that are known.
    pub releases: usize,
    /// True if there may be more: the list of releases does not reach back to the running one.
    pub at_least: bool,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.at_least { "+" } else { "" };
        write!(f, "{}{more} behind", self.releases)
    }
}

/// A use of break-glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BreakGlassUse {
    /// The caller's ARN.
    pub by: String,
    /// The reason.
    pub reason: String,
}

/// A clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its stage.
    pub stage: StageName,
    /// Its name.
    pub name: String,
    /// Its component.
    pub component: ComponentName,
    /// Its state.
    pub cell: Cell,
}

/// Every component in every stage but the test stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The stages, in the order of promotion, without the test stage.
    pub stages: Vec<StageName>,
    /// The cells, by component and stage.
    pub components: BTreeMap<ComponentName, BTreeMap<StageName, Cell>>,
    /// Clones that run a release, are held or are tainted.
    pub others: Vec<Other>,
}

/// Arranges environments in a matrix, without test stacks.
pub fn matrix(stages: &Stages, environments: &[Environment], permissions: &[BreakGlass]) -> Matrix {
    let kept: Vec<StageName> = stages.iter().filter(|s| !s.is_test()).map(|s| s.name.clone()).collect();
    let mut matrix = Matrix { stages: kept, ..Matrix::default() };
    for environment in environments.iter().filter(|environment| environment.stage.as_str() != TEST) {
        let (stage, component) = (environment.stage.clone(), environment.component.clone());
        let cell = cell(environment, permissions);
        if environment.name == component.as_str() {
            matrix.components.entry(component).or_default().insert(stage, cell);
        } else if cell.is_in_use() {
            matrix.others.push(Other { stage, name: environment.name.clone(), component, cell });
        }
    }
    matrix
}

fn cell(environment: &Environment, permissions: &[BreakGlass]) -> Cell {
    let deployed = environment.deployed.as_ref();
    Cell {
        version: deployed.map(|deployed| deployed.version.to_string()),
        since: deployed.map(|deployed| deployed.since),
        behind: None,
        held_by: environment.holder.as_ref().map(|holder| holder.deployment.to_string()),
        checked: deployed.is_some_and(|deployed| deployed.checked),
        hold: environment.hold.as_ref().map(|hold| hold.reason.clone()),
        taint: environment.taint.clone(),
        stale: Vec::new(),
        overridden: deployed.map(|deployed| deployed.overridden.clone()).unwrap_or_default(),
        break_glass: deployed.and_then(|deployed| brought_by(permissions, &deployed.deployment)),
        last_deployment: environment.last_deployment.as_ref().map(ToString::to_string),
    }
}

fn brought_by(permissions: &[BreakGlass], deployment: &DeploymentId) -> Option<BreakGlassUse> {
    let used = permissions.iter().find(|record| record.used_by.as_ref() == Some(deployment))?;
    Some(BreakGlassUse { by: used.by.clone(), reason: used.reason.clone() })
}

impl Cell {
    fn is_in_use(&self) -> bool {
        self.version.is_some() || self.held_by.is_some() || self.taint.is_some()
    }

    /// Returns the text of the cell.
    pub fn text(&self, now: Timestamp) -> String {
        let version = self.version.clone().unwrap_or_else(|| "-".to_owned());
        let mut details: Vec<String> = self.since.map(|since| age(since, now)).into_iter().collect();
        details.extend(self.behind.filter(|behind| behind.releases > 0).map(|behind| behind.to_string()));
        if let Some(deployment) = &self.held_by {
            let short: String = deployment.chars().take(8).collect();
            details.push(format!("held by {short}"));
        }
        for (holds, word) in [
            (self.version.is_some() && !self.checked, "checks failed"),
            (self.hold.is_some(), "HELD"),
            (self.taint.is_some(), "TAINTED"),
            (!self.stale.is_empty(), "STALE"),
            (!self.overridden.is_empty(), "OVERRIDDEN"),
            (self.break_glass.is_some(), "BREAK-GLASS"),
        ] {
            if holds {
                details.push(word.to_owned());
            }
        }
        if details.is_empty() { version } else { format!("{version} ({})", details.join(", ")) }
    }
}

impl Matrix {
    /// Records the inputs of an environment that differ from their sources.
    pub fn mark_stale(&mut self, environment: &Environment, inputs: Vec<StaleValue>) {
        let Environment { stage, name, component, .. } = environment;
        let own = self.components.get_mut(component).and_then(|cells| cells.get_mut(stage));
        let other = self.others.iter_mut().find(|other| other.stage == *stage && other.name == *name);
        let cell = match name == component.as_str() {
            true => own,
            false => other.map(|other| &mut other.cell),
        };
        if let Some(cell) = cell {
            cell.stale = inputs;
        }
    }

    /// Returns the head of the table.
    pub fn head(&self) -> Vec<String> {
        std::iter::once("component".to_owned()).chain(self.stages.iter().map(ToString::to_string)).collect()
    }

    /// Counts the published releases that are newer than those that run. `releases` are the newest of all components;
    /// `is_complete` is true if they are all.
    pub fn mark_behind(&mut self, releases: &[Release], is_complete: bool) {
        for (component, cells) in &mut self.components {
            let published: Vec<&Version> = releases
                .iter()
                .filter(|release| release.component == *component && release.state == ReleaseState::Published)
                .map(|release| &release.version)
                .filter(|version| !version.is_pre_release())
                .collect();
            for cell in cells.values_mut() {
                let running = cell.version.as_ref().and_then(|version| version.parse::<Version>().ok());
                cell.behind = running.map(|running| Behind {
                    releases: published.iter().filter(|version| **version > &running).count(),
                    at_least: !is_complete && !published.contains(&&running),
                });
            }
        }
    }

    /// Returns the rows of the table.
    pub fn rows(&self, now: Timestamp) -> Vec<Vec<String>> {
        let row = |(component, cells): (&ComponentName, &BTreeMap<StageName, Cell>)| {
            let text = |stage| cells.get(stage).map_or_else(|| "-".to_owned(), |cell: &Cell| cell.text(now));
            std::iter::once(component.to_string()).chain(self.stages.iter().map(text)).collect()
        };
        self.components.iter().map(row).collect()
    }

    /// Returns the rows of the table of clones.
    pub fn other_rows(&self, now: Timestamp) -> Vec<[String; 4]> {
        let row = |other: &Other| {
            [other.name.clone(), other.component.to_string(), other.stage.to_string(), other.cell.text(now)]
        };
        self.others.iter().map(row).collect()
    }
}

/// Returns lines about the last sweep: the pushes whose webhooks were lost, and the problems that it could not repair.
/// An empty list if there is neither.
pub fn sweep_lines(sweep: &SweepReport) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |head: &str, of: Vec<String>| {
        if !of.is_empty() {
            lines.push(format!("the sweep of {} {head}", time(sweep.at)));
            lines.extend(of.iter().map(|line| format!("  {line}")));
        }
    };
    add("found pushes without a webhook; look at the deliveries on the git host:", sweep.found.clone());
    let left = sweep.left.iter().map(|left| format!("{}: {}", left.what, left.why));
    add("left these for an operator:", left.collect());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployed, environment};
    use lockstep_domain::records::{LeaseHolder, Leftover};

    fn stages() -> Stages {
        Stages::parse("stages.toml", lockstep_domain::delivery::stages::EXAMPLE).unwrap()
    }

    fn running(environment: Environment) -> Environment {
        Environment { deployed: Some(deployed("2.1.0")), ..environment }
    }

    #[test]
    fn each_stage_but_test_is_a_column_in_the_order_of_promotion() {
        assert_eq!(matrix(&stages(), &[], &[]).head(), ["component", "ci", "staging", "production"]);
    }

    #[test]
    fn an_empty_environment_is_a_dash_and_test_stacks_are_omitted() {
        let all =
            [environment("ci", "logs"), running(environment("test", "logs-1")), environment("ci", "logs-2")];
        let matrix = matrix(&stages(), &all, &[]);
        assert_eq!(matrix.rows(at(0)), [["logs", "-", "-", "-"]]);
        assert!(matrix.others.is_empty());
    }

    #[test]
    fn a_running_clone_is_listed_below_the_matrix() {
        let matrix = matrix(&stages(), &[running(environment("ci", "logs-2"))], &[]);
        assert!(matrix.components.is_empty());
        assert_eq!(matrix.other_rows(at(0)), [["logs-2", "logs", "ci", "2.1.0 (0 s)"].map(String::from)]);
    }

    fn stale(runs_with: Option<&str>, now: Now) -> StaleValue {
        StaleValue { input: "queue.Visible".parse().unwrap(), runs_with: runs_with.map(str::to_owned), now }
    }

    #[test]
    fn a_stale_environment_is_marked() {
        let logs = running(environment("ci", "logs"));
        let mut matrix = matrix(&stages(), std::slice::from_ref(&logs), &[]);
        matrix.mark_stale(&logs, vec![stale(Some("60"), Now::Value("90".into()))]);
        assert_eq!(matrix.rows(at(7200))[0][1], "2.1.0 (2 h, STALE)");
    }

    #[test]
    fn a_stage_shows_how_far_it_is_behind() {
        use crate::views::testing::release;
        let version =
            |version: &str, state| Release { version: version.parse().unwrap(), state, ..release() };
        let published = ReleaseState::Published;
        let mut releases: Vec<Release> =
            ["2.1.0", "2.1.1", "2.1.2", "2.1.3-fix.1"].map(|text| version(text, published)).into();
        releases.push(version("2.1.4", ReleaseState::TestFailed));
        let mut matrix = matrix(&stages(), &[running(environment("ci", "logs"))], &[]);
        let mut shown = |releases: &[Release], is_complete| {
            matrix.mark_behind(releases, is_complete);
            matrix.rows(at(60))[0][1].clone()
        };
        assert_eq!(shown(&releases, true), "2.1.0 (1 min, 2 behind)");
        assert_eq!(shown(&releases[1..], false), "2.1.0 (1 min, 2+ behind)");
        assert_eq!(shown(&releases[..1], true), "2.1.0 (1 min)");
    }

    #[test]
    fn a_cell_shows_the_problems_of_the_running_release() {
        let cell = Cell {
            version: Some("2.1.0".into()),
            since: Some(at(0)),
            behind: Some(Behind { releases: 2, at_least: true }),
            held_by: Some("0123456789".into()),
            checked: false,
            hold: Some("bad night".into()),
            taint: Some("x".into()),
            stale: vec![stale(Some("60"), Now::Value("90".into()))],
            overridden: ["MaxSize".to_owned()].into(),
            break_glass: Some(BreakGlassUse { by: "arn:ada".into(), reason: "outage".into() }),
            last_deployment: None,
        };
        assert_eq!(
            cell.text(at(60)),
            "2.1.0 (1 min, 2+ behind, held by 01234567, checks failed, HELD, TAINTED, STALE, OVERRIDDEN, BREAK-GLASS)"
        );
    }

    #[test]
    fn a_cell_names_the_deployment_that_holds_it() {
        let deployment = DeploymentId::of_execution("arn:y");
        let holder = LeaseHolder { deployment: deployment.clone(), execution: "arn:y".into(), since: at(0) };
        let held = Environment { holder: Some(holder), ..environment("ci", "logs") };
        let expected = format!("- (held by {})", deployment.short());
        assert_eq!(matrix(&stages(), &[held], &[]).rows(at(0))[0][1], expected);
    }

    #[test]
    fn a_failed_removal_of_the_sweep_is_shown_with_its_reason() {
        let mut sweep = SweepReport::new(at(0));
        assert!(sweep_lines(&sweep).is_empty());
        let why = "its bucket is not empty".to_owned();
        sweep.left.push(Leftover { what: "test/logs-0123456".into(), why });
        insta::assert_snapshot!(sweep_lines(&sweep).join("\n"));
    }

    #[test]
    fn a_push_whose_webhook_was_lost_is_shown() {
        let mut sweep = SweepReport::new(at(0));
        sweep.found.push("commit 1111111 of main in github.acme.logs as delivery head-t0".into());
        insta::assert_snapshot!(sweep_lines(&sweep).join("\n"));
    }
}
