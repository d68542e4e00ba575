//! The default encryption of volumes in an account and region.

use super::Ec2;
use crate::failure::failure;
use lockstep_domain::model::error::Failure;

impl Ec2 {
    /// Returns the key under which every new volume is encrypted, as an id, ARN or alias; `None` if volumes are not
    /// encrypted by default.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetEbsEncryptionByDefault.html>
    pub async fn default_key(&self) -> Result<Option<String>, Failure> {
        let asked = "of this region";
        let answer = self.client().get_ebs_encryption_by_default().send().await;
        let answer = answer.map_err(|error| failure("GetEbsEncryptionByDefault", asked, &error))?;
        if answer.ebs_encryption_by_default() != Some(true) {
            return Ok(None);
        }
        let key = self.client().get_ebs_default_kms_key_id().send().await;
        let key = key.map_err(|error| failure("GetEbsDefaultKmsKeyId", asked, &error))?;
        Ok(Some(key.kms_key_id.unwrap_or_default()))
    }
}
