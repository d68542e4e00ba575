//! The matrix of `lockstep status`: which version of every component is where, and what is odd about it.

use super::time;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::ids::TEST;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::records::{BreakGlass, Environment, SweepReport};
use serde::Serialize;
use std::collections::BTreeMap;

/// One component in one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The version that runs, if any does.
    pub version: Option<String>,
    /// The deployment that works on it now.
    pub held_by: Option<String>,
    /// Whether its checks passed.
    pub checked: bool,
    /// What the last recovery left unreconciled.
    pub taint: Option<String>,
    /// Who brought what runs past the evidence of the stage before, and why.
    pub break_glass: Option<Broken>,
    /// The last deployment, however it ended.
    pub last_deployment: Option<String>,
}

/// Who let a release in without evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The ARN of who did.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// An environment beside its component's own: a clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its stage.
    pub stage: StageName,
    /// Its name.
    pub name: String,
    /// Its component.
    pub component: ComponentName,
    /// What is in it.
    pub cell: Cell,
}

/// Every component in every stage that keeps what it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The stages, in the order of promotion; the one of throw-away stacks is left out.
    pub stages: Vec<StageName>,
    /// By component, then by stage.
    pub components: BTreeMap<ComponentName, BTreeMap<StageName, Cell>>,
    /// Clones that run something or are being worked on.
    pub others: Vec<Other>,
}

/// Arranges environments; throw-away ones are left out.
pub fn matrix(stages: &Stages, environments: &[Environment], broken: &[BreakGlass]) -> Matrix {
    let kept: Vec<StageName> = stages.iter().filter(|s| !s.is_test()).map(|s| s.name.clone()).collect();
    let mut matrix = Matrix { stages: kept, ..Matrix::default() };
    for environment in environments.iter().filter(|environment| environment.stage.as_str() != TEST) {
        let (stage, component) = (environment.stage.clone(), environment.component.clone());
        let cell = cell(environment, broken);
        if environment.name == component.as_str() {
            matrix.components.entry(component).or_default().insert(stage, cell);
        } else if cell.is_worth_telling() {
            matrix.others.push(Other { stage, name: environment.name.clone(), component, cell });
        }
    }
    matrix
}

fn cell(environment: &Environment, broken: &[BreakGlass]) -> Cell {
    let deployed = environment.deployed.as_ref();
    Cell {
        version: deployed.map(|deployed| deployed.version.to_string()),
        held_by: environment.holder.as_ref().map(|holder| holder.deployment.to_string()),
        checked: deployed.is_some_and(|deployed| deployed.checked),
        taint: environment.taint.clone(),
        break_glass: deployed.and_then(|deployed| brought_by(broken, &deployed.deployment)),
        last_deployment: environment.last_deployment.as_ref().map(ToString::to_string),
    }
}

fn brought_by(broken: &[BreakGlass], deployment: &DeploymentId) -> Option<Broken> {
    let used = broken.iter().find(|record| record.used_by.as_ref() == Some(deployment))?;
    Some(Broken { by: used.by.clone(), reason: used.reason.clone() })
}

impl Cell {
    fn is_worth_telling(&self) -> bool {
        self.version.is_some() || self.held_by.is_some() || self.taint.is_some()
    }

    /// The cell as a person reads it.
    pub fn text(&self) -> String {
        let mut text = self.version.clone().unwrap_or_else(|| "-".to_owned());
        if let Some(deployment) = &self.held_by {
            let short: String = deployment.chars().take(8).collect();
            text.push_str(&format!(" (held by {short})"));
        }
        for (holds, word) in [
            (self.version.is_some() && !self.checked, " (checks failed)"),
            (self.taint.is_some(), " (TAINTED)"),
            (self.break_glass.is_some(), " (BREAK-GLASS)"),
        ] {
            if holds {
                text.push_str(word);
            }
        }
        text
    }

    /// What the words in the cell mean, a line each; `of` is where it is.
    fn notes(&self, of: &str) -> Vec<String> {
        let tainted = self
            .taint
            .iter()
            .map(|taint| format!("{of} is tainted: {taint}; once it is mended: lockstep reconcile"));
        let broken = self
            .break_glass
            .iter()
            .map(|broken| format!("{of} was let in without evidence by {}: {}", broken.by, broken.reason));
        tainted.chain(broken).collect()
    }
}

impl Matrix {
    /// The head of the table.
    pub fn head(&self) -> Vec<String> {
        std::iter::once("component".to_owned()).chain(self.stages.iter().map(ToString::to_string)).collect()
    }

    /// The rows of the table.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let row = |(component, cells): (&ComponentName, &BTreeMap<StageName, Cell>)| {
            let text = |stage| cells.get(stage).map_or_else(|| "-".to_owned(), Cell::text);
            std::iter::once(component.to_string()).chain(self.stages.iter().map(text)).collect()
        };
        self.components.iter().map(row).collect()
    }

    /// The rows of the table of clones.
    pub fn other_rows(&self) -> Vec<[String; 4]> {
        let row = |other: &Other| {
            [other.name.clone(), other.component.to_string(), other.stage.to_string(), other.cell.text()]
        };
        self.others.iter().map(row).collect()
    }

    /// What a person should know of single environments, one line each.
    pub fn notes(&self) -> Vec<String> {
        let own = self.components.iter().flat_map(|(component, cells)| {
            cells.iter().flat_map(move |(stage, cell)| cell.notes(&format!("{component} in {stage}")))
        });
        let others = self
            .others
            .iter()
            .flat_map(|other| other.cell.notes(&format!("{} in {}", other.name, other.stage)));
        own.chain(others).collect()
    }
}

/// What a person should know of the last sweep, a line each: the pushes whose webhooks were lost, and what it could not
/// put in order; nothing if there is neither.
pub fn told_by_sweep(sweep: &SweepReport) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |head: &str, of: Vec<String>| {
        if !of.is_empty() {
            lines.push(format!("the sweep of {} {head}", time(sweep.at)));
            lines.extend(of.iter().map(|line| format!("  {line}")));
        }
    };
    tell("found what no webhook had told of; look at the deliveries on the git host:", sweep.found.clone());
    let left = sweep.left.iter().map(|left| format!("{}: {}", left.what, left.why));
    tell("left for a person:", left.collect());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, environment};
    use lockstep_domain::model::ids::Digest;
    use lockstep_domain::records::{Deployed, LeaseHolder, Leftover};

    fn stages() -> Stages {
        Stages::parse("stages.toml", lockstep_domain::delivery::stages::EXAMPLE).unwrap()
    }

    fn running(environment: Environment) -> Environment {
        let digest = Digest::of(b"x");
        let deployed = Deployed {
            version: "2.1.0".parse().unwrap(),
            digest: digest.clone(),
            template_digest: digest.clone(),
            parameters_digest: digest,
            stack_version: "2.1.0".parse().unwrap(),
            deployment: DeploymentId::of_execution("arn:x"),
            checked: true,
            since: at(0),
        };
        Environment { deployed: Some(deployed), ..environment }
    }

    #[test]
    fn every_stage_but_the_throw_away_one_is_a_column_in_the_order_of_promotion() {
        assert_eq!(matrix(&stages(), &[], &[]).head(), ["component", "ci", "staging", "production"]);
    }

    #[test]
    fn what_never_ran_is_a_dash_and_throw_away_stacks_are_left_out() {
        let all =
            [environment("ci", "logs"), running(environment("test", "logs-1")), environment("ci", "logs-2")];
        let matrix = matrix(&stages(), &all, &[]);
        assert_eq!(matrix.rows(), [["logs", "-", "-", "-"]]);
        assert!(matrix.others.is_empty());
    }

    #[test]
    fn a_clone_that_runs_is_listed_beside_the_matrix() {
        let matrix = matrix(&stages(), &[running(environment("ci", "logs-2"))], &[]);
        assert!(matrix.components.is_empty());
        assert_eq!(matrix.other_rows(), [["logs-2", "logs", "ci", "2.1.0"].map(String::from)]);
    }

    #[test]
    fn a_cell_says_what_is_wrong_with_what_runs() {
        let cell = Cell {
            version: Some("2.1.0".into()),
            held_by: Some("0123456789".into()),
            checked: false,
            taint: Some("x".into()),
            break_glass: Some(Broken { by: "arn:ada".into(), reason: "outage".into() }),
            last_deployment: None,
        };
        assert_eq!(cell.text(), "2.1.0 (held by 01234567) (checks failed) (TAINTED) (BREAK-GLASS)");
    }

    #[test]
    fn who_holds_an_environment_is_named() {
        let deployment = DeploymentId::of_execution("arn:y");
        let holder = LeaseHolder { deployment: deployment.clone(), execution: "arn:y".into(), since: at(0) };
        let held = Environment { holder: Some(holder), ..environment("ci", "logs") };
        let expected = format!("- (held by {})", deployment.short());
        assert_eq!(matrix(&stages(), &[held], &[]).rows()[0][1], expected);
    }

    #[test]
    fn taints_and_broken_glass_are_explained_beneath() {
        let broken = |used_by: &str| BreakGlass {
            component: "logs".parse().unwrap(),
            digest: Digest::of(b"x"),
            stage: "production".parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            by: "arn:ada".into(),
            reason: "outage".into(),
            at: at(0),
            used_by: Some(DeploymentId::of_execution(used_by)),
        };
        let tainted = Environment {
            taint: Some("Queue was skipped".into()),
            ..running(environment("production", "logs"))
        };
        let told = matrix(&stages(), std::slice::from_ref(&tainted), &[broken("arn:x")]).notes();
        assert_eq!(
            told,
            [
                "logs in production is tainted: Queue was skipped; once it is mended: lockstep reconcile",
                "logs in production was let in without evidence by arn:ada: outage",
            ]
        );
        assert_eq!(matrix(&stages(), &[tainted], &[broken("arn:another")]).notes().len(), 1);
    }

    #[test]
    fn what_the_sweep_could_not_remove_is_told_with_why() {
        let mut sweep = SweepReport::new(at(0));
        assert!(told_by_sweep(&sweep).is_empty());
        let why = "its bucket is not empty".to_owned();
        sweep.left.push(Leftover { what: "test/logs-0123456".into(), why });
        assert_eq!(
            told_by_sweep(&sweep),
            [
                "the sweep of 1970-01-01 00:00:00Z left for a person:",
                "  test/logs-0123456: its bucket is not empty"
            ]
        );
    }

    #[test]
    fn a_push_whose_webhook_was_lost_is_told() {
        let mut sweep = SweepReport::new(at(0));
        sweep.found.push("commit 1111111 of main in github.acme.logs as delivery head-t0".into());
        assert_eq!(
            told_by_sweep(&sweep),
            [
                "the sweep of 1970-01-01 00:00:00Z found what no webhook had told of; look at the deliveries on \
                 the git host:",
                "  commit 1111111 of main in github.acme.logs as delivery head-t0"
            ]
        );
    }
}
