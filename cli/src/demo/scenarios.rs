//! The seven scenarios.

use super::{COMPONENT, Demo, REPOSITORY, ensure};
use crate::failure::{Exit, Failure};
use lockstep_aws::operator::base_images::BaseImages;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::stacks::plan::StackStatus;
use serde_json::Value;

/// The stack of the component in ci.
const CI_STACK: &str = "ci-logs-broker";

/// The stack of the component in production.
const PRODUCTION_STACK: &str = "production-logs-broker";

/// A resource that never becomes ready. Only ci has it, so that the test stack succeeds.
const NEVER_READY: &str = r#"
  NeverReady:
    Type: AWS::CloudFormation::WaitConditionHandle
    Condition: OnlyInCi

  NobodyAnswers:
    Type: AWS::CloudFormation::WaitCondition
    Condition: OnlyInCi
    Properties:
      Handle: !Ref NeverReady
      Timeout: "2"
"#;

impl Demo {
    /// Releases the first commit of the component to ci.
    pub async fn first_commit(&mut self) -> Result<(), Failure> {
        let answer = self.push(Exit::Done).await?;
        self.facts.first = version_to(&answer, "ci")?;
        let running = self.version_in("ci").await?;
        ensure(running.as_deref() == Some(&self.facts.first), "ci runs the first release")?;
        self.no_test_stacks().await?;
        self.type_in(&["status"], Exit::Done).await.map(drop)
    }

    /// Releases another parameter and another image to ci, as an update of the same stack.
    pub async fn update(&mut self) -> Result<(), Failure> {
        let before = self.stack_in_ci().await?;
        self.base_image("logstash-2.1.1", "logstash@2.1.1").await?;
        let repository = self.repository();
        repository.replace("broker/parameters/default.toml", "MaxSize = 2", "MaxSize = 3")?;
        repository.replace("broker/lockstep.toml", "logstash@^2.1\"", "logstash@^2.1.1\"")?;
        repository.commit("Room for a third broker, and Logstash 2.1.1").await?;
        let answer = self.push(Exit::Done).await?;
        self.facts.promoted = version_to(&answer, "ci")?;
        let after = self.stack_in_ci().await?;
        ensure(after.status == StackStatus::UpdateComplete, "the stack in ci was updated")?;
        ensure(after.arn == before.arn, "the stack in ci is the same stack")?;
        let running = self.version_in("ci").await?;
        ensure(running.as_deref() == Some(&self.facts.promoted), "ci runs the second release")?;
        self.no_test_stacks().await
    }

    /// Promotes the release of ci to production, with an approval.
    pub async fn promotion(&mut self) -> Result<(), Failure> {
        let release = format!("{COMPONENT}@{}", self.facts.promoted);
        let answer = self.type_in(&["promote", &release, "--to", "production"], Exit::NeedsHuman).await?;
        let deployment = text(&answer["deployment"]["id"])?;
        self.nothing_in_production().await?;
        self.say("(production is unchanged: its change set and the execution wait for approval)");
        self.refused_to_the_starter(&answer).await?;
        self.approve(&answer, Exit::Done).await?;
        self.facts.production = deployment;
        let stack = self.stacks("production")?.find(PRODUCTION_STACK).await?;
        let created = stack.is_some_and(|stack| stack.status == StackStatus::CreateComplete);
        ensure(created, "the stack in production was created")?;
        let running = self.version_in("production").await?;
        ensure(running.as_deref() == Some(&self.facts.promoted), "production runs the promoted release")?;
        self.nothing_is_shared().await?;
        self.type_in(&["status"], Exit::Done).await.map(drop)
    }

    /// Checks that IAM does not let the person who promotes approve, and that the command names the policy to ask for.
    async fn refused_to_the_starter(&self, answer: &Value) -> Result<(), Failure> {
        let printed = text(&answer["approve_with"])?;
        let arguments: Vec<&str> = printed.split(' ').skip(1).chain(["--yes"]).collect();
        let refused = self.type_for_the_end(&arguments, Exit::Failed).await?;
        let error = refused["error"].as_str().unwrap_or_default();
        ensure(error.contains("lockstep-ledger-approvers refuses these credentials"), error)
    }

    /// Checks that production has no resource before the approval: its stack is missing, or only in review.
    pub async fn nothing_in_production(&self) -> Result<(), Failure> {
        let stack = self.stacks("production")?.find(PRODUCTION_STACK).await?;
        let untouched = stack.is_none_or(|stack| stack.status == StackStatus::ReviewInProgress);
        ensure(untouched, "production's change set is not executed before the approval")?;
        ensure(
            self.version_in("production").await?.is_none(),
            "production runs no release before the approval",
        )
    }

    /// Releases a commit that changes nothing in the template.
    pub async fn no_changes(&mut self) -> Result<(), Failure> {
        let before = self.stack_in_ci().await?;
        let change_sets = self.stacks("development")?.change_sets(CI_STACK).await?.len();
        let repository = self.repository();
        let readme = repository.read("broker/README.md")?;
        repository.write("broker/README.md", &format!("{readme}\nAsk in #platform.\n"))?;
        repository.commit("Whom to ask").await?;
        let answer = self.push(Exit::Done).await?;
        self.facts.unchanged = version_to(&answer, "ci")?;
        let state = deployment_to(&answer, "ci")?["state"].clone();
        ensure(state == "no_changes", "the deployment to ci reports no changes")?;
        let after = self.stack_in_ci().await?;
        ensure(after.last_updated == before.last_updated, "the stack in ci was not updated")?;
        let now = self.stacks("development")?.change_sets(CI_STACK).await?.len();
        ensure(now == change_sets, "no change set was made for the stack in ci")?;
        self.say("(the stack's LastUpdatedTime and its change sets are unchanged)");
        let running = self.version_in("ci").await?;
        ensure(running.as_deref() == Some(&self.facts.unchanged), "ci is recorded at the third release")
    }

    /// Pushes a commit whose update fails in ci, and expects a rollback with a diagnosis. Reverts the commit.
    pub async fn failing_commit(&mut self) -> Result<(), Failure> {
        let repository = self.repository();
        let template = repository.read("broker/template.yaml")?;
        repository.write("broker/template.yaml", &with_something_never_ready(&template)?)?;
        repository.commit("Wait for something that never comes").await?;
        let answer = self.push(Exit::Failed).await?;
        let failed = deployment_to(&answer, "ci")?;
        self.facts.failed = text(&failed["version"])?;
        let id = text(&failed["id"])?;
        ensure(
            failed["diagnosis"][0]["logical_id"] == "NobodyAnswers",
            "the first cause is the one resource that failed",
        )?;
        let status = self.type_in(&["status"], Exit::Done).await?;
        let matters = status["attention"].as_array().into_iter().flatten();
        let causes: Vec<&str> = matters.filter_map(|matter| matter["what"].as_str()).collect();
        let is_named = causes.iter().any(|cause| cause.contains("NobodyAnswers"));
        ensure(is_named, format!("the status names the first cause: {causes:?}"))?;
        let why = self.type_in(&["why", COMPONENT], Exit::Done).await?;
        ensure(why["deployment"]["id"] == id.as_str(), "the name of the component leads to its failure")?;
        let stack = self.stack_in_ci().await?;
        ensure(stack.status == StackStatus::UpdateRollbackComplete, "the stack in ci was rolled back")?;
        let running = self.version_in("ci").await?;
        ensure(running.as_deref() == Some(&self.facts.unchanged), "ci still runs the release before")?;
        self.no_test_stacks().await?;
        repository.revert().await
    }

    /// Pushes a commit whose check fails in the test stack. Reverts the commit.
    pub async fn failing_check(&mut self) -> Result<(), Failure> {
        let repository = self.repository();
        repository.replace("broker/lockstep.toml", "^[0-9]{1,5}$", "^not a port$")?;
        repository.commit("A check that cannot pass").await?;
        let answer = self.push(Exit::Failed).await?;
        ensure(
            deployment_to(&answer, "ci").is_err(),
            "a release that failed its test is not deployed to ci",
        )?;
        self.no_test_stacks().await?;
        let running = self.version_in("ci").await?;
        ensure(running.as_deref() == Some(&self.facts.unchanged), "ci still runs the release before")?;
        self.type_in(&["releases", COMPONENT], Exit::Done).await?;
        repository.revert().await
    }

    pub(super) async fn recipe(&mut self) -> Result<(), Failure> {
        self.say(
            "(the folder images/logstash, with an image.toml and Packer's files, is added to the repository)",
        );
        let answer = self.bake().await?;
        let version = version_to(&answer, "ci")?;
        ensure(
            self.version_in("ci").await?.as_ref() == Some(&version),
            "ci runs the release of the same push",
        )?;
        let images = self.plane().await?.images().await?;
        let newest = images.iter().map(|image| &image.version).max().cloned();
        let places = images.iter().filter(|image| Some(&image.version) == newest.as_ref()).count();
        ensure(places == 2, "the image is in both accounts")?;
        self.nothing_is_shared().await?;
        self.type_in(&["images"], Exit::Done).await.map(drop)
    }

    /// Adds the recipe of the log stack's Logstash to the repository and pushes it. An administrator imported the image
    /// before, so the repository must be given its name.
    pub async fn bake(&self) -> Result<Value, Failure> {
        self.type_in(&["images", "assign", "logstash", "--to", REPOSITORY], Exit::Done).await?;
        let recipes = self.context.sources()?.join("infra/images");
        let repository = self.repository();
        for folder in ["logstash", "common"] {
            repository.copy(&recipes.join(folder), &format!("images/{folder}"))?;
        }
        repository.commit("The image of the broker is baked").await?;
        self.push(Exit::Done).await
    }

    /// Pushes the component.
    pub async fn push(&self, expected: Exit) -> Result<Value, Failure> {
        self.type_in(&["push", "logs/broker"], expected).await
    }

    async fn stack_in_ci(&self) -> Result<lockstep_aws::cloudformation::Stack, Failure> {
        let found = self.stacks("development")?.find(CI_STACK).await?;
        found.ok_or_else(|| Failure::new(format!("stack {CI_STACK} does not exist")))
    }

    /// Checks that no test stack is left.
    pub async fn no_test_stacks(&self) -> Result<(), Failure> {
        let left = self.stacks("development")?.names("test-").await?;
        ensure(left.is_empty(), format!("no test stack is left: {}", left.join(", ")))
    }

    /// Checks that no image and no snapshot is shared with another account.
    pub async fn nothing_is_shared(&self) -> Result<(), Failure> {
        let session = self.session()?;
        for alias in ["development", "production"] {
            let images = BaseImages::new(&session.operator(alias)?);
            for image in images.owned().await? {
                let launched_by = images.launched_by(&image.ami).await?;
                ensure(launched_by.is_empty(), format!("{} of {alias} is not shared", image.ami))?;
                for snapshot in &image.snapshots {
                    let read_by = images.read_by(snapshot).await?;
                    ensure(read_by.is_empty(), format!("{snapshot} of {alias} is not shared"))?;
                }
            }
        }
        Ok(())
    }

    /// Returns the name of an account of the demo, or its id if it has none.
    pub fn alias_of(&self, account: &AccountId) -> Result<String, Failure> {
        let session = self.session()?;
        let found = session.accounts.iter().find(|known| known.id == account.as_str());
        Ok(found.map_or_else(|| account.to_string(), |known| known.alias))
    }
}

fn with_something_never_ready(template: &str) -> Result<String, Failure> {
    let condition = "Conditions:\n  OnlyInCi: !Equals [!Ref EnvironmentName, ci]\n";
    let (before, after) = template
        .split_once("\nResources:\n")
        .ok_or_else(|| Failure::new("the broker's template has no section Resources"))?;
    let conditions = match before.contains("\nConditions:\n") {
        true => before.replacen("\nConditions:\n", &format!("\n{condition}"), 1),
        false => format!("{before}\n{condition}"),
    };
    Ok(format!("{conditions}\nResources:{NEVER_READY}\n{after}"))
}

/// Returns the deployment to a stage, from the document of a command that followed it.
fn deployment_to<'a>(answer: &'a Value, stage: &str) -> Result<&'a Value, Failure> {
    let deployments = answer["deployments"].as_array().into_iter().flatten();
    let mut found = deployments.filter(|deployment| deployment["stage"] == stage);
    found.next_back().ok_or_else(|| Failure::new(format!("no release was deployed to {stage}")))
}

fn version_to(answer: &Value, stage: &str) -> Result<String, Failure> {
    text(&deployment_to(answer, stage)?["version"])
}

fn text(value: &Value) -> Result<String, Failure> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("the document has no text here: {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_that_never_becomes_ready_is_only_in_ci() {
        let made = with_something_never_ready("Parameters:\n  A: 1\n\nResources:\n  Queue: 1\n").unwrap();
        assert!(made.contains("Conditions:\n  OnlyInCi: !Equals"), "{made}");
        assert!(made.contains("Resources:\n  NeverReady:\n"), "{made}");
        assert!(made.ends_with("\n  Queue: 1\n"), "{made}");
    }

    #[test]
    fn existing_conditions_are_retained() {
        let made = with_something_never_ready("A: 1\nConditions:\n  X: 1\nResources:\n").unwrap();
        assert_eq!(made.matches("Conditions:").count(), 1);
        assert!(made.contains("  X: 1"), "{made}");
    }
}
