//! The matrix of `lockstep status`: which version of every component is where.

use lockstep_domain::ids::{ComponentName, StageName};
use lockstep_domain::records::Environment;
use lockstep_domain::stages::Stages;
use serde::Serialize;
use std::collections::BTreeMap;

/// One component in one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The version that runs, if any does.
    pub version: Option<String>,
    /// Whether a deployment works on it now.
    pub busy: bool,
    /// Whether its checks passed.
    pub checked: bool,
    /// What the last recovery left unreconciled.
    pub taint: Option<String>,
    /// The last deployment, however it ended.
    pub last_deployment: Option<String>,
}

/// Every component in every stage that keeps what it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The stages, in the order of promotion; the one of throw-away stacks is left out.
    pub stages: Vec<StageName>,
    /// By component, then by stage.
    pub components: BTreeMap<ComponentName, BTreeMap<StageName, Cell>>,
}

/// Arranges environments; throw-away ones and clones are left out.
pub fn matrix(stages: &Stages, environments: &[Environment]) -> Matrix {
    let kept: Vec<StageName> = stages.iter().filter(|s| !s.is_test()).map(|s| s.name.clone()).collect();
    let mut matrix = Matrix { stages: kept, ..Matrix::default() };
    for environment in environments {
        let shown =
            matrix.stages.contains(&environment.stage) && environment.name == environment.component.as_str();
        if shown {
            let row = matrix.components.entry(environment.component.clone()).or_default();
            row.insert(environment.stage.clone(), cell(environment));
        }
    }
    matrix
}

fn cell(environment: &Environment) -> Cell {
    Cell {
        version: environment.deployed.as_ref().map(|deployed| deployed.version.to_string()),
        busy: environment.holder.is_some(),
        checked: environment.deployed.as_ref().is_some_and(|deployed| deployed.checked),
        taint: environment.taint.clone(),
        last_deployment: environment.last_deployment.as_ref().map(ToString::to_string),
    }
}

impl Cell {
    /// The cell as a person reads it.
    pub fn text(&self) -> String {
        let mut text = self.version.clone().unwrap_or_else(|| "-".to_owned());
        for (holds, word) in [
            (self.busy, " (deploying)"),
            (self.version.is_some() && !self.checked, " (checks failed)"),
            (self.taint.is_some(), " (tainted)"),
        ] {
            if holds {
                text.push_str(word);
            }
        }
        text
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages() -> Stages {
        Stages::parse("stages.toml", lockstep_domain::stages::EXAMPLE).unwrap()
    }

    fn environment(stage: &str, name: &str) -> Environment {
        Environment {
            stage: stage.parse().unwrap(),
            name: name.into(),
            component: "logs".parse().unwrap(),
            epoch: 1,
            holder: None,
            deployed: None,
            previous: None,
            stack_arn: None,
            ever_stable: false,
            taint: None,
            last_deployment: None,
        }
    }

    #[test]
    fn every_stage_but_the_throw_away_one_is_a_column_in_the_order_of_promotion() {
        assert_eq!(matrix(&stages(), &[]).head(), ["component", "ci", "staging", "production"]);
    }

    #[test]
    fn what_never_ran_is_a_dash_and_throw_away_stacks_are_left_out() {
        let all = [environment("ci", "logs"), environment("test", "logs-1"), environment("ci", "logs-clone")];
        assert_eq!(matrix(&stages(), &all).rows(), [["logs", "-", "-", "-"]]);
    }

    #[test]
    fn a_cell_says_what_is_wrong_with_what_runs() {
        let cell = Cell {
            version: Some("2.1.0".into()),
            busy: true,
            checked: false,
            taint: Some("x".into()),
            last_deployment: None,
        };
        assert_eq!(cell.text(), "2.1.0 (deploying) (checks failed) (tainted)");
    }
}
