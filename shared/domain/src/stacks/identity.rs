//! Identity of stacks: the tags by which an installation recognizes the stack of an environment.
//!
//! A stack's name proves nothing, because any caller can choose it. The tags name the environment, the component and the
//! installation. None of them changes between releases, so that equal releases have equal tags.

use crate::model::ids::{ComponentName, StageName};
use crate::records::StackRun;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Tag with the environment: `<stage>/<environment>`.
pub const TAG_ENVIRONMENT: &str = "lockstep:environment";

/// Tag with the component.
pub const TAG_COMPONENT: &str = "lockstep:component";

/// Tag with the [`InstallationId`].
pub const TAG_INSTALLATION: &str = "lockstep:installation";

/// Tags of a stack or of a change set.
pub type Tags = BTreeMap<String, String>;

/// Identity of an installation: a digest of its external id. The external id is random, so no other installation has the
/// same identity by accident, and the digest does not reveal it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationId(String);

impl InstallationId {
    /// Returns the identity of the installation with this external id.
    pub fn of_external_id(external_id: &str) -> Self {
        let digest =
            Sha256::new().chain_update("lockstep:installation:").chain_update(external_id).finalize();
        Self(hex::encode(&digest[..16]))
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The environment that a stack belongs to, its component, and its installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackIdentity {
    /// Stage of the environment.
    pub stage: StageName,
    /// Name of the environment within its stage.
    pub environment: String,
    /// Component of the environment; `None` if the ledger has no record of the environment.
    pub component: Option<ComponentName>,
    /// Installation.
    pub installation: InstallationId,
}

impl StackIdentity {
    /// Returns the identity of the stack that a deployment in `stage` works on.
    pub fn of_run(stage: &StageName, run: &StackRun, installation: InstallationId) -> Self {
        Self {
            stage: stage.clone(),
            environment: run.environment.clone(),
            component: Some(run.component.clone()),
            installation,
        }
    }

    /// Returns the tags of the stack.
    pub fn tags(&self) -> Vec<(&'static str, String)> {
        let environment = format!("{}/{}", self.stage, self.environment);
        let component = self.component.iter().map(|component| (TAG_COMPONENT, component.to_string()));
        let installation = (TAG_INSTALLATION, self.installation.to_string());
        [(TAG_ENVIRONMENT, environment)].into_iter().chain(component).chain([installation]).collect()
    }

    /// Returns the reason why a stack with these tags is not the one of this identity; `None` if it is.
    ///
    /// `is_recorded` is true if the ledger names exactly this stack. Such a stack may lack the tags, and may have the tag
    /// of an installation that had this ledger before.
    pub fn mismatch(&self, tags: &Tags, is_recorded: bool) -> Option<String> {
        let keys = [TAG_ENVIRONMENT, TAG_COMPONENT, TAG_INSTALLATION];
        if keys.iter().all(|key| !tags.contains_key(*key)) {
            let why = "it has no tags of Lockstep, and the ledger does not name it";
            return (!is_recorded).then(|| why.to_owned());
        }
        let decides = |key: &str| key != TAG_INSTALLATION || !is_recorded;
        let wanted = self.tags().into_iter().filter(|(key, _)| decides(key));
        let differences = wanted.filter_map(|(key, wanted)| match tags.get(key) {
            Some(found) if *found == wanted => None,
            Some(found) => Some(format!("its tag {key} is `{found}`, not `{wanted}`")),
            None => Some(format!("it has no tag {key}")),
        });
        let differences: Vec<String> = differences.collect();
        (!differences.is_empty()).then(|| differences.join(", and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> StackIdentity {
        StackIdentity {
            stage: "ci".parse().unwrap(),
            environment: "logs-2".into(),
            component: Some("logs".parse().unwrap()),
            installation: InstallationId::of_external_id("one"),
        }
    }

    fn tags(identity: &StackIdentity) -> Tags {
        identity.tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn tags_name_the_environment_without_the_external_id() {
        let tags = tags(&identity());
        assert_eq!((&*tags[TAG_ENVIRONMENT], &*tags[TAG_COMPONENT]), ("ci/logs-2", "logs"));
        assert_eq!(tags[TAG_INSTALLATION].len(), 32);
        assert_ne!(InstallationId::of_external_id("one"), InstallationId::of_external_id("two"));
        assert!(!tags.values().any(|value| value.contains("one")));
    }

    #[test]
    fn tags_alone_identify_a_stack() {
        let mut more = tags(&identity());
        more.insert("team".into(), "platform".into());
        assert_eq!(identity().mismatch(&more, false), None);
        assert_eq!(StackIdentity { component: None, ..identity() }.mismatch(&more, false), None);
    }

    #[test]
    fn every_difference_of_the_tags_is_named() {
        let others = [
            (
                StackIdentity { stage: "test".parse().unwrap(), ..identity() },
                "is `test/logs-2`, not `ci/logs-2`",
            ),
            (StackIdentity { environment: "logs".into(), ..identity() }, "is `ci/logs`, not `ci/logs-2`"),
            (StackIdentity { component: Some("web".parse().unwrap()), ..identity() }, "is `web`, not `logs`"),
            (StackIdentity { component: None, ..identity() }, "no tag lockstep:component"),
        ];
        for (other, words) in others {
            for is_recorded in [false, true] {
                let why = identity().mismatch(&tags(&other), is_recorded).unwrap();
                assert!(why.contains(words), "{why}");
            }
        }
        let installation = InstallationId::of_external_id("two");
        let why = identity().mismatch(&tags(&StackIdentity { installation, ..identity() }), false).unwrap();
        assert!(why.starts_with("its tag lockstep:installation is"), "{why}");
    }

    #[test]
    fn a_recorded_stack_may_lack_tags_or_name_an_earlier_installation() {
        assert!(identity().mismatch(&Tags::new(), false).unwrap().contains("the ledger does not name it"));
        assert_eq!(identity().mismatch(&Tags::new(), true), None);
        let before = StackIdentity { installation: InstallationId::of_external_id("before"), ..identity() };
        assert_eq!(identity().mismatch(&tags(&before), true), None);
    }
}
