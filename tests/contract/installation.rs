//! Repeated installation after a failure at every point, on the simulated CloudFormation.

use crate::stack::repository;
use jiff::Timestamp;
use lockstep_aws::cloudformation::TemplateSource;
use lockstep_aws::operator::stacks::{Applied, Done, Installer, Wanted};
use lockstep_domain::installation::written_names::{NameContext, written_out};
use lockstep_domain::stacks::template::Template;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::cloudformation::{SimCloudFormation, SimStacks, Trouble};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// A time longer than any operation of the simulation.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The location of the simulation's stacks.
const PLACE: NameContext<'_> = NameContext { partition: "aws", region: "eu-west-1", account: "111111111111" };

/// A template as CloudFormation receives it: with its names resolved, and a value for each of its parameters.
struct Sent {
    file: String,
    json: Value,
    parameters: BTreeMap<String, String>,
}

impl Sent {
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).unwrap();
        if !text.starts_with("AWSTemplateFormatVersion") {
            return None;
        }
        let file = path.strip_prefix(repository()).unwrap().display().to_string();
        let json = Template::parse(&file, &written_out(&text, PLACE)).unwrap().to_json();
        let declared = json["Parameters"].as_object().cloned().unwrap_or_default();
        let parameters = declared.into_iter().map(|(name, declared)| {
            let default = declared["Default"].as_str().map(str::to_owned);
            (name, default.unwrap_or_else(|| "given".to_owned()))
        });
        Some(Self { file, json, parameters: parameters.collect() })
    }

    fn resources(&self) -> Vec<String> {
        self.json["Resources"].as_object().unwrap().keys().cloned().collect()
    }

    /// Returns the resources that have a name and survive their stack.
    fn kept(&self) -> BTreeSet<String> {
        let resources = self.json["Resources"].as_object().unwrap().iter();
        let kept = resources.filter(|(_, resource)| {
            let retains = resource["DeletionPolicy"].as_str().is_some_and(|p| p.starts_with("Retain"));
            let properties = resource["Properties"].as_object();
            retains && properties.is_some_and(|properties| own_name(resource, properties).is_some())
        });
        kept.map(|(id, _)| id.clone()).collect()
    }

    /// Returns the stack that the template creates. `edition` changes every resource.
    fn wanted(&self, edition: u32) -> Wanted {
        let mut json = self.json.clone();
        for resource in json["Resources"].as_object_mut().unwrap().values_mut() {
            resource["Properties"]["Edition"] = json!(edition);
        }
        let template = TemplateSource::Body(json.to_string());
        Wanted { name: "lockstep-it".into(), template, parameters: self.parameters.clone() }
    }
}

/// Returns the property that names a resource: `TableName` of a table, `Name` of a rule.
fn own_name<'a>(resource: &Value, properties: &'a serde_json::Map<String, Value>) -> Option<&'a Value> {
    let noun = resource["Type"].as_str()?.rsplit("::").next()?;
    properties.get(&format!("{noun}Name")).or_else(|| properties.get("Name"))
}

/// Returns every template below `infra/`.
fn templates() -> Vec<Sent> {
    let mut folders = vec![repository().join("infra")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.extend(Sent::read(&path));
            }
        }
    }
    assert!(found.len() >= 12, "the templates of infra/ are not found");
    found
}

/// A CloudFormation with its installer.
struct Simulation {
    cloud: SimCloudFormation,
    installer: Installer<SimStacks, VirtualClock>,
}

impl Simulation {
    fn new() -> Self {
        let clock = VirtualClock::at(Timestamp::UNIX_EPOCH);
        let cloud = SimCloudFormation::new(&clock);
        cloud.set_pace(Duration::from_secs(2));
        let installer = Installer::of(cloud.stacks(), clock);
        Self { cloud, installer }
    }

    /// Applies a template. `at` names the attempt in a failure.
    async fn applies(&self, sent: &Sent, edition: u32, at: &str) -> Done {
        let done = self.installer.apply(&sent.wanted(edition), PATIENCE).await;
        let done = done.unwrap_or_else(|failure| panic!("{}, {at}: {failure}", sent.file));
        let held = self.cloud.physical_ids("lockstep-it").into_keys().collect::<Vec<_>>();
        assert_eq!(held, sent.resources(), "{}, {at}", sent.file);
        done
    }

    /// Applies a template twice. Only the first run has something to do.
    async fn applies_in_the_end(&self, sent: &Sent, edition: u32) {
        assert_eq!(self.applies(sent, edition, "in the end").await.applied, Applied::Updated);
        assert_eq!(self.applies(sent, edition, "again").await.applied, Applied::Unchanged);
    }

    /// Applies a template in which `resource` fails, and expects a message that names stack and resource.
    async fn fails(&self, sent: &Sent, edition: u32, resource: &str) {
        let failure = self.installer.apply(&sent.wanted(edition), PATIENCE).await.unwrap_err().to_string();
        assert!(failure.contains("lockstep-it"), "{failure}");
        assert!(failure.contains(resource), "{}, {resource}: {failure}", sent.file);
    }
}

#[tokio::test]
async fn the_next_run_installs_after_each_resource_failed_to_be_created_once() {
    for sent in templates() {
        // The next run imports what CloudFormation left behind, whether or not it honours RetainExceptOnCreate.
        for leaves_behind in [false, true] {
            let place = Simulation::new();
            if leaves_behind {
                place.cloud.retain_on_create();
            }
            for resource in sent.resources() {
                place.cloud.trouble(&resource, Trouble::Create);
                place.fails(&sent, 1, &resource).await;
                place.cloud.end_trouble();
            }
            let done = place.applies(&sent, 1, "in the end").await;
            assert_eq!(done.applied, Applied::Created);
            if !leaves_behind {
                assert!(done.imported.is_empty(), "{}: {:?}", sent.file, done.imported);
            }
        }
    }
}

#[tokio::test]
async fn the_next_run_installs_after_each_resource_failed_to_be_updated_once() {
    for sent in templates() {
        let place = Simulation::new();
        place.applies(&sent, 1, "first").await;
        for resource in sent.resources() {
            place.cloud.trouble(&resource, Trouble::Update);
            place.fails(&sent, 2, &resource).await;
            place.cloud.end_trouble();
        }
        place.applies_in_the_end(&sent, 2).await;
    }
}

#[tokio::test]
async fn the_next_run_installs_after_each_update_whose_rollback_failed() {
    for sent in templates() {
        let place = Simulation::new();
        let mut edition = 1;
        place.applies(&sent, edition, "first").await;
        for resource in sent.resources() {
            place.cloud.trouble(&resource, Trouble::Update);
            place.cloud.trouble(&resource, Trouble::Rollback);
            place.fails(&sent, edition + 1, &resource).await;
            place.cloud.end_trouble();
            // The installer continues a failed rollback first.
            edition += 1;
            assert_eq!(place.applies(&sent, edition, &resource).await.applied, Applied::Updated);
        }
        place.applies_in_the_end(&sent, edition + 1).await;
    }
}

#[tokio::test]
async fn the_next_run_installs_after_a_creation_whose_rollback_failed() {
    for sent in templates() {
        let resources = sent.resources();
        let Some((first, rest)) = resources.split_first() else { continue };
        let place = Simulation::new();
        for stuck in rest {
            place.cloud.trouble(first, Trouble::Create);
            place.cloud.trouble(stuck, Trouble::Rollback);
            place.fails(&sent, 1, first).await;
            place.cloud.end_trouble();
        }
        place.applies(&sent, 1, "in the end").await;
    }
}

#[tokio::test]
async fn a_new_installation_adopts_what_a_deleted_stack_retained() {
    let mut kept_anywhere = 0;
    for sent in templates() {
        let place = Simulation::new();
        place.applies(&sent, 1, "first").await;
        let before = place.cloud.physical_ids("lockstep-it");
        place.installer.delete("lockstep-it", PATIENCE).await.unwrap();
        let done = place.applies(&sent, 1, "again").await;
        let after = place.cloud.physical_ids("lockstep-it");
        let same: BTreeSet<_> = before.keys().filter(|id| before[*id] == after[*id]).cloned().collect();
        assert_eq!(same, sent.kept(), "{}: what has a name and is kept is imported", sent.file);
        assert_eq!(done.imported.len(), same.len(), "{}: {:?}", sent.file, done.imported);
        kept_anywhere += same.len();
    }
    // The ledger, and the bucket of artifacts in each of two templates.
    assert!(kept_anywhere >= 3, "{kept_anywhere}");
}

#[tokio::test]
async fn an_import_survives_a_failed_installation_and_is_repeated() {
    for sent in templates().into_iter().filter(|sent| !sent.kept().is_empty()) {
        let place = Simulation::new();
        place.applies(&sent, 1, "first").await;
        let before = place.cloud.physical_ids("lockstep-it");
        place.installer.delete("lockstep-it", PATIENCE).await.unwrap();
        for resource in sent.resources() {
            place.cloud.trouble(&resource, Trouble::Create);
            place.fails(&sent, 1, &resource).await;
            place.cloud.end_trouble();
        }
        place.applies(&sent, 1, "in the end").await;
        let after = place.cloud.physical_ids("lockstep-it");
        for id in sent.kept() {
            assert_eq!(before[&id], after[&id], "{}: {id}", sent.file);
        }
    }
}

#[tokio::test]
async fn the_next_run_installs_after_a_deletion_that_failed() {
    for sent in templates() {
        let place = Simulation::new();
        place.applies(&sent, 1, "first").await;
        for resource in sent.resources().into_iter().filter(|id| !sent.kept().contains(id)) {
            place.cloud.trouble(&resource, Trouble::Delete);
            if let Err(failure) = place.installer.delete("lockstep-it", PATIENCE).await {
                assert!(failure.message.contains(&resource), "{failure}");
            }
            place.cloud.end_trouble();
            place.applies(&sent, 1, &resource).await;
        }
    }
}

#[tokio::test]
async fn a_finding_of_the_validation_before_any_change_is_reported() {
    let sent = templates().pop().unwrap();
    let place = Simulation::new();
    place.cloud.invalidate("Ledger (AWS::DynamoDB::Table, /TableName): the name is taken");
    let failure = place.installer.apply(&sent.wanted(1), PATIENCE).await.unwrap_err();
    let expected = "stack lockstep-it is ROLLBACK_COMPLETE: Ledger (AWS::DynamoDB::Table, /TableName): the name is taken";
    assert_eq!(failure.message, expected);
    place.applies(&sent, 1, "again").await;
}

#[test]
fn stacks_are_created_and_updated_by_change_sets_alone() {
    // ExecuteChangeSet carries RetainExceptOnCreate and CreateChangeSet carries ImportExistingResources; the tests of
    // the adapter check that. Another way to create a stack would leave a retained name that blocks the next attempt.
    let mut folders: Vec<_> = ["cli", "functions", "local", "shared"].map(|f| repository().join(f)).into();
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                read += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                // The replay of an express failure: no change set can be made of such a stack.
                let is_adapter = path.ends_with("shared/aws/src/cloudformation.rs");
                for (call, most) in [(".create_stack(", 0), (".update_stack(", usize::from(is_adapter))] {
                    let calls = text.matches(call).count();
                    assert!(calls <= most, "{} calls {call} {calls} times", path.display());
                }
            }
        }
    }
    assert!(read > 200, "{read} files are not all of them");
}

#[test]
fn the_first_bucket_of_a_target_account_is_the_one_in_its_templates() {
    let all = templates();
    let bucket = |file: &str| {
        let sent = all.iter().find(|sent| sent.file == file).unwrap();
        sent.json["Resources"]["ArtifactBucket"].clone()
    };
    let first = bucket("infra/bootstrap/template.yaml");
    assert!(first.is_object());
    assert_eq!(bucket("infra/target-account/template.yaml"), first);
}
