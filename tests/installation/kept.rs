//! Reinstallation: the next installation adopts the resources that `uninstall` retains.

use crate::Here;
use jiff::Timestamp;
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::ledger::{Inserted, Ledger};
use lockstep_aws::operator::control_plane;
use lockstep_aws::operator::stacks::Installer;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::Failure;
use lockstep_domain::records::{Config, ConfigKind};

const KEY: &str = "releases/kept/1.0.0.zip";

pub async fn is_there_again(here: &Here) -> Result<(), Failure> {
    let found =
        control_plane::find(&here.tooling).await?.ok_or_else(|| Failure::new("nothing is installed"))?;
    let (ledger, bucket) = (Ledger::new(&here.tooling), Artifacts::new(&here.tooling, &found.bucket));
    let record = Config {
        config: ConfigKind::Stages,
        version: 1,
        text: "kept".to_owned(),
        applied_by: "arn:aws:iam::111111111111:user/ada".to_owned(),
        applied_at: Timestamp::UNIX_EPOCH,
    };
    let inserted = ledger.insert(&record).await?;
    ensure(matches!(inserted, Inserted::New(_)), "the ledger is not empty")?;
    bucket.put(KEY, "application/zip", b"kept".to_vec()).await?;

    let kept = here.installation().await?.uninstall().await?;
    for what in ["AWS::DynamoDB::Table lockstep-authority", &format!("AWS::S3::Bucket {}", found.bucket)] {
        ensure(kept.iter().any(|kept| kept == what), format!("{what} is not among {kept:?}"))?;
    }
    let left = Installer::new(&here.tooling).names("lockstep-").await?;
    ensure(left.is_empty(), format!("{left:?} are left"))?;

    here.install().await?;
    let again = ledger.config(ConfigKind::Stages).await?;
    ensure(again.as_ref() == Some(&record), format!("the ledger holds {again:?}"))?;
    ensure(bucket.artifact(KEY).await? == b"kept", "the object is another")?;
    let said = here.output.captured();
    for what in ["AWS::DynamoDB::Table lockstep-authority", &found.bucket] {
        ensure(
            said.contains("imported a resource that an earlier installation retained: ")
                && said.contains(what),
            format!("nothing says that {what} was imported"),
        )?;
    }
    // The next installation restores the access of the account that was added before.
    here.add_account().await
}
