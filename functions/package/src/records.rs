//! Reads and conditional writes of the ledger, in the forms that packaging needs.

use lockstep_aws::ledger::{Inserted, Ledger, Order};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Key, Partition, Record};

/// Returns the record at `key`, or `None` if the key has no item.
pub async fn find<T: Record>(ledger: &Ledger, key: &Key) -> Result<Option<T>, Failure> {
    Ok(ledger.get(key).await?.map(|found| found.record))
}

/// Returns at most `limit` records of `partition`, highest sort key first.
pub async fn newest<T: Record>(
    ledger: &Ledger,
    partition: &Partition,
    limit: usize,
) -> Result<Vec<T>, Failure> {
    let found = ledger.list(partition, Order::Newest, limit).await?;
    Ok(found.into_iter().map(|found| found.record).collect())
}

/// Writes what `plan` returns for the record at `key`, unless that is `None`. Returns the record that the ledger then
/// holds.
///
/// # Errors
/// `Conflict` if another writer changed the record between the read and the write.
pub async fn change<T: Record>(
    ledger: &Ledger,
    key: &Key,
    plan: impl FnOnce(Option<&T>) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let found = ledger.get::<T>(key).await?;
    let Some(wanted) = plan(found.as_ref().map(|found| &found.record)) else {
        return Ok(found.map(|found| found.record));
    };
    let written = match &found {
        Some(old) => ledger.replace(old, wanted).await?,
        None => match ledger.insert(&wanted).await? {
            Inserted::New(written) => written,
            Inserted::Exists(_) => {
                let message = format!("{key} was written by another at the same time");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
        },
    };
    Ok(Some(written.record))
}
