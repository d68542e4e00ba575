//! Local files of a template: code, definitions and nested templates that the template names by a path.
//!
//! CloudFormation takes addresses in S3 only. `aws cloudformation package` uploads such files and writes their
//! addresses into the template. Packaging does the same inside the release: [`read`] returns the template with the
//! addresses, and the objects that belong there. Every object is named by its digest, and the bucket by the parameter
//! [`ARTIFACT_BUCKET`], so that the template is the same text in every account. A deployment writes the objects into
//! the bucket of its account.

mod code;
mod facts;
mod include;
mod nested_stacks;
mod nodes;
mod outputs;
mod paths;
mod properties;
mod rewrite;
mod stored;

use crate::delivery::archive::Files;
use crate::model::error::Problem;
use crate::model::ids::{AccountId, Digest, LogicalId, Region};
use crate::model::test_difference::TestDifference;
use crate::stacks::template::{LeftOutName, Template};
use rewrite::Packager;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use stored::Position;

pub use stored::PINNED;

/// The parameter that names the artifact bucket of the account. A template with local files gets it; a template that
/// declares it may use it as well. Lockstep sets its value.
pub const ARTIFACT_BUCKET: &str = "LockstepArtifactBucket";

/// Folder of the objects in the artifact bucket of an account.
const FOLDER: &str = "files";

/// Returns the name of the artifact bucket of an account in a region.
pub fn artifact_bucket(account: &AccountId, region: &Region) -> String {
    format!("lockstep-artifacts-{account}-{region}")
}

/// Returns the key of a packaged object in an artifact bucket.
pub fn object_key(digest: &Digest) -> String {
    format!("{FOLDER}/{digest}")
}

/// A template with its local files packaged.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The template, with addresses instead of paths.
    pub template: Template,
    /// The objects at these addresses.
    pub local: LocalFiles,
    /// The parameters of the template whose value is the name of a parameter in Parameter Store. The stack gets its value.
    pub stored: BTreeSet<LogicalId>,
    /// Reasons to refuse the code of functions. They do not prevent that the release is read.
    pub refusals: Vec<Problem>,
    /// Signs of a mistake that refuse nothing.
    pub hints: Vec<Problem>,
}

/// The objects that the stacks of a release read from the artifact bucket.
#[derive(Clone, Debug, Default)]
pub struct LocalFiles {
    objects: BTreeMap<Digest, Vec<u8>>,
    /// Nested templates, each after those that it names itself.
    nested: Vec<NestedTemplate>,
}

/// A template of a nested stack.
#[derive(Clone, Debug)]
struct NestedTemplate {
    template: Template,
    deployed: Text,
    test: Text,
}

#[derive(Clone, Debug)]
struct Text {
    digest: Digest,
    text: String,
}

impl Text {
    fn of(text: String) -> Self {
        Self { digest: Digest::of(text.as_bytes()), text }
    }
}

impl LocalFiles {
    /// Returns the templates of nested stacks.
    pub fn nested(&self) -> impl Iterator<Item = &Template> {
        self.nested.iter().map(|nested| &nested.template)
    }

    /// Returns the longest text of a nested template, with its file.
    pub(crate) fn longest_nested_text(&self) -> Option<(&str, usize)> {
        let lengths = self
            .nested
            .iter()
            .map(|nested| (nested.template.file(), nested.deployed.text.len().max(nested.test.text.len())));
        lengths.max_by_key(|(_, length)| *length)
    }

    /// Returns the template of the test stack, as [`Template::derive_test_template`]. Its nested stacks run their test
    /// templates.
    pub fn test_template(
        &self,
        template: &Template,
        left_out: &BTreeSet<LeftOutName>,
    ) -> (String, Vec<TestDifference>) {
        let (text, differences) = template.derive_test_template(left_out);
        let text = self.nested.iter().fold(text, |text, nested| {
            text.replace(nested.deployed.digest.as_str(), nested.test.digest.as_str())
        });
        (text, differences)
    }

    /// Returns every object with its key that the stack reads. A test stack reads other nested templates.
    pub fn objects(&self, is_test: bool) -> impl Iterator<Item = (String, Cow<'_, [u8]>)> {
        let files =
            self.objects.iter().map(|(digest, bytes)| (object_key(digest), Cow::Borrowed(bytes.as_slice())));
        let nested = self.nested.iter().map(move |nested| {
            let text = if is_test { &nested.test } else { &nested.deployed };
            (object_key(&text.digest), Cow::Borrowed(text.text.as_bytes()))
        });
        files.chain(nested)
    }
}

/// Reads the template at `path`, packages what it names, and reads its nested templates likewise.
///
/// # Errors
/// Returns every problem: those of [`Template::parse`] for each template, a path that leaves the component or does not
/// exist, and a cycle of templates.
pub fn read(path: &str, files: &Files) -> Result<Reading, Vec<Problem>> {
    let mut packager = Packager::new(files);
    let template = packager.template(path, Position::Root);
    packager.finish(template)
}

#[cfg(test)]
mod tests;
