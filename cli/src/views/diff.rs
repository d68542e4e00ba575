//! What runs in two stages, side by side.

use super::background;
use crate::output::Output;
use lockstep_domain::delivery::commits::CommitList;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::DeployBody;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The release that an environment runs, and the deployment that brought it.
#[derive(Clone, Debug)]
pub struct Running {
    /// The version.
    pub version: Version,
    /// The deployment of the version.
    pub deploy: DeployBody,
}

/// A parameter with different values in two stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DifferentParameter {
    /// Its name.
    pub name: String,
    /// Its value in each stage; `None` where the template has no such parameter.
    pub values: [Option<String>; 2],
}

/// A component in two stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentDifference {
    /// The component.
    pub component: ComponentName,
    /// The version in each stage; `None` where it is not deployed.
    pub versions: [Option<Version>; 2],
    /// True if the templates differ.
    pub template: bool,
    /// The parameters with different values. Values that refer to secrets are hidden.
    pub parameters: Vec<DifferentParameter>,
    /// The commits that one of the releases has and the other one has not.
    #[serde(skip)]
    pub commits: CommitList,
}

impl ComponentDifference {
    /// Compares what runs in two stages.
    pub fn of(component: &ComponentName, sides: &[Option<Running>; 2], commits: CommitList) -> Self {
        let versions = sides.each_ref().map(|side| side.as_ref().map(|running| running.version.clone()));
        let (template, parameters) = match sides {
            [Some(from), Some(to)] => {
                let differs = from.deploy.template_digest != to.deploy.template_digest;
                (differs, parameters([&from.deploy.parameters, &to.deploy.parameters]))
            }
            _ => (false, Vec::new()),
        };
        Self { component: component.clone(), versions, template, parameters, commits }
    }

    /// Returns true if both stages run the same release with the same parameters.
    pub fn is_empty(&self) -> bool {
        self.versions[0] == self.versions[1] && !self.template && self.parameters.is_empty()
    }
}

fn parameters(sides: [&BTreeMap<String, String>; 2]) -> Vec<DifferentParameter> {
    let names: BTreeSet<&String> = sides.iter().flat_map(|side| side.keys()).collect();
    let differing = names.into_iter().filter(|name| sides[0].get(*name) != sides[1].get(*name));
    differing
        .map(|name| DifferentParameter {
            name: name.clone(),
            values: sides.map(|side| side.get(name).map(|value| shown(value))),
        })
        .collect()
}

/// Returns a value as a person may see it.
fn shown(value: &str) -> String {
    match value {
        "" => "\"\"".to_owned(),
        secret if secret.contains("{{resolve:") => "(hidden)".to_owned(),
        plain => plain.to_owned(),
    }
}

/// Prints the differences of two stages.
pub fn show(stages: [&StageName; 2], differences: &[ComponentDifference], output: &Output) {
    let (equal, different): (Vec<_>, Vec<_>) = differences.iter().partition(|found| found.is_empty());
    for found in different {
        show_component(stages, found, output);
    }
    if !equal.is_empty() {
        let names: Vec<String> = equal.iter().map(|found| found.component.to_string()).collect();
        output.line(format!("the same in both: {}", names.join(", ")));
    }
}

fn show_component(stages: [&StageName; 2], found: &ComponentDifference, output: &Output) {
    let (component, [from, to]) = (&found.component, stages);
    match &found.versions {
        [Some(version), None] => {
            return output.line(format!("{component}: {from} runs {version}, {to} none"));
        }
        [None, Some(version)] => {
            return output.line(format!("{component}: {from} runs none, {to} {version}"));
        }
        [None, None] => return,
        [Some(a), Some(b)] if a == b => output.line(format!("{component}: both run {a}")),
        [Some(a), Some(b)] => output.line(format!("{component}: {from} runs {a}, {to} {b}")),
    }
    if found.template {
        let version = found.versions[0].as_ref().map(ToString::to_string).unwrap_or_default();
        output.line(format!(
            "  the templates differ; each change: lockstep plan {component}@{version} --in {to}"
        ));
    }
    if !found.parameters.is_empty() {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let rows = found.parameters.iter().map(|differing| {
            let [a, b] = differing.values.each_ref().map(value);
            [differing.name.clone(), a, b]
        });
        output.table(["parameter", from.as_str(), to.as_str()], rows);
    }
    background::commits(&found.commits).into_iter().for_each(|line| output.line(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::deploy;
    use lockstep_domain::model::ids::Digest;

    fn running(version: &str, template: &[u8], parameters: &[(&str, &str)]) -> Option<Running> {
        let mut deploy = deploy();
        deploy.template_digest = Digest::of(template);
        deploy.parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Some(Running { version: version.parse().unwrap(), deploy })
    }

    fn compared(name: &str, sides: [Option<Running>; 2]) -> ComponentDifference {
        ComponentDifference::of(&name.parse().unwrap(), &sides, CommitList::default())
    }

    #[test]
    fn two_stages_are_compared_component_by_component() {
        let secret = "{{resolve:secretsmanager:db}}";
        let differences = [
            compared("alike", [running("1.0.0", b"t", &[("A", "1")]), running("1.0.0", b"t", &[("A", "1")])]),
            compared("early", [running("0.1.0", b"t", &[]), None]),
            compared("late", [None, running("0.2.0", b"t", &[])]),
            compared(
                "queue",
                [
                    running("1.0.3", b"new", &[("Visibility", "120"), ("Same", "x"), ("Added", "")]),
                    running("1.0.1", b"old", &[("Visibility", "90"), ("Same", "x")]),
                ],
            ),
            compared(
                "shop",
                [
                    running("2.0.0", b"t", &[("Password", secret)]),
                    running("2.0.0", b"t", &[("Password", "{{resolve:ssm-secure:/db}}")]),
                ],
            ),
        ];
        let output = Output::memory(false);
        show([&"ci".parse().unwrap(), &"production".parse().unwrap()], &differences, &output);
        let text = output.captured();
        assert!(!text.contains("resolve:"), "{text}");
        insta::assert_snapshot!("two_stages", text);
    }

    #[test]
    fn equal_releases_differ_by_their_parameters_alone() {
        let same = |value| running("1.0.0", b"t", &[("A", value)]);
        assert!(compared("a", [same("1"), same("1")]).is_empty());
        assert!(!compared("a", [same("1"), same("2")]).is_empty());
        assert!(!compared("a", [same("1"), None]).is_empty());
    }
}
