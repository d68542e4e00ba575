//! The setting `builds` of stages.

use super::Stage;
use crate::model::build_policy::BuildPolicy;
use crate::model::deployment_path::DeploymentPath;

/// Returns the problems of `builds`, each with the index of the stage to blame. Each stage of the promotion path has the
/// setting, no other stage has it, and the stages of an account agree.
pub(super) fn broken_settings(stages: &[Stage]) -> Vec<(usize, String)> {
    let problem = |(n, stage): (usize, &Stage)| {
        let name = &stage.name;
        let agreed = stages[..n].iter().find(|other| other.account == stage.account);
        let message = match (stage.path(), stage.builds) {
            (DeploymentPath::Delivery, Some(_)) => {
                format!("`{name}` is on the delivery path, where each push builds; remove `builds`")
            }
            (DeploymentPath::Promotion, None) => format!(
                "`{name}` is on the promotion path and lacks `builds`, which says who permits builds in account \
                 {} of images that may not be copied there; {}",
                stage.account,
                BuildPolicy::CHOICE
            ),
            (DeploymentPath::Promotion, Some(builds)) => {
                let other = agreed.filter(|other| other.builds.is_some_and(|other| other != builds))?;
                format!(
                    "`{name}` and `{}` share account {} and have different `builds`; a build belongs to the account, so write \
                     one value for both",
                    other.name, stage.account
                )
            }
            (DeploymentPath::Delivery, None) => return None,
        };
        Some((n, message))
    };
    stages.iter().enumerate().filter_map(problem).collect()
}
