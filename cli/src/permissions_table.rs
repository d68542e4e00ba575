//! The command's copy of the permissions table: the actions that CloudFormation calls for each resource type.

use crate::failure::Failure;
use lockstep_domain::model::error::chain;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::stacks::permissions::Table;
use std::sync::LazyLock;

/// The compressed table. The functions read it from the artifact bucket and contain no copy.
pub const COMPRESSED: &[u8] = include_bytes!("../../shared/permissions/cloudformation.json.gz");

/// The expected digest of the table, in the form of `sha256sum`.
const PINNED: &str = include_str!("../../shared/permissions/cloudformation.json.gz.sha256");

static TABLE: LazyLock<Result<Table, String>> = LazyLock::new(|| {
    let digest = digest().map_err(|failure| failure.chain())?;
    Table::read(COMPRESSED, &digest).map_err(|error| chain(&error))
});

/// Returns the table.
pub fn table() -> Result<&'static Table, Failure> {
    TABLE.as_ref().map_err(|error| Failure::new(error.clone()).next("build lockstep from a clean checkout"))
}

/// Returns the expected digest of the table.
pub fn digest() -> Result<Digest, Failure> {
    let hex = PINNED.split_whitespace().next().unwrap_or_default();
    hex.parse().map_err(|error| Failure::new("shared/permissions").caused_by(&error))
}

/// Returns the key of the table in the artifact bucket, which is derived from its content.
pub fn key() -> Result<String, Failure> {
    Ok(lockstep_domain::stacks::permissions::table_key(&digest()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_pinned_digest_and_knows_the_common_types() {
        let table = table().unwrap();
        for kind in ["AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::IAM::Role", "AWS::Lambda::Function"] {
            assert!(table.types[kind].is_known(), "{kind}");
        }
        assert!(table.types["AWS::SQS::Queue"].actions().any(|action| action == "sqs:TagQueue"));
    }
}
