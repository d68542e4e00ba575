//! Reads the recipes of a question about a build from the control plane's bucket, and prints their difference.

use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::output::Output;
use lockstep_aws::artifacts::Artifacts;
use lockstep_domain::images::recipe::{difference, is_at_key};
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::{Approval, BuildSubject, Subject};

/// Prints the difference of the recipe that the question is about, from the one that was last built in its account. Prints
/// nothing for a question about a stack.
///
/// # Errors
/// A recipe that cannot be read, or whose content is not the one that the question names.
pub async fn show(plane: &ControlPlane, question: &Approval, output: &Output) -> Result<(), Failure> {
    let Subject::Build(build) = &question.subject else { return Ok(()) };
    let bucket = Artifacts::new(plane.aws(), &plane.found.bucket);
    let after = recipe(&bucket, &build.artifact).await?.ok_or_else(|| {
        Failure::new(format!("the recipe {} does not exist any more", build.artifact))
            .next("refuse the question, and push the recipe again")
    })?;
    let before = match &build.before {
        Some(before) => recipe(&bucket, &before.artifact).await?,
        None => None,
    };
    output.line(head(build, before.is_some()));
    let lines = difference::of_artifacts(before.as_deref(), &after).map_err(at(&build.artifact))?;
    lines.iter().for_each(|line| output.line(format!("  {line}")));
    if lines.is_empty() {
        output.line("  the recipe is the same");
    }
    Ok(())
}

/// Prints the difference, or the reason why it cannot be shown.
pub async fn show_or_say_why(plane: &ControlPlane, question: &Approval, output: &Output) {
    if let Err(failure) = show(plane, question, output).await {
        output.line(format!("the difference of the recipe cannot be shown: {failure}"));
    }
}

fn head(build: &BuildSubject, has_before: bool) -> String {
    match (&build.before, has_before) {
        (Some(before), true) => format!("the recipe since {}@{}:", build.image, before.version),
        (Some(before), false) => {
            format!("the recipe of {}@{} is gone, so the whole recipe is shown:", build.image, before.version)
        }
        (None, _) => "the recipe, whole:".to_owned(),
    }
}

/// Returns the recipe at `key`, or `None` if it is gone. The key holds its digest.
async fn recipe(bucket: &Artifacts, key: &str) -> Result<Option<Vec<u8>>, Failure> {
    let found = match bucket.artifact(key).await {
        Ok(found) => found,
        Err(failure) if failure.kind == FailureKind::NotFound => return Ok(None),
        Err(failure) => return Err(failure.into()),
    };
    if is_at_key(&found, key) {
        return Ok(Some(found));
    }
    Err(Failure::new(format!("the content of {key} has another digest than its name"))
        .next("refuse the question, and find out who wrote the object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::build_subject;
    use lockstep_domain::records::BuiltRecipe;

    #[test]
    fn the_head_says_what_the_recipe_is_compared_with() {
        let before = BuiltRecipe { version: "2.1.1".parse().unwrap(), artifact: "recipes/y.zip".into() };
        let later = BuildSubject { before: Some(before), ..build_subject() };
        assert_eq!(head(&later, true), "the recipe since logstash@2.1.1:");
        assert!(head(&later, false).contains("logstash@2.1.1 is gone"));
        assert_eq!(head(&build_subject(), false), "the recipe, whole:");
    }
}
