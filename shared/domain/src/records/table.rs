//! The tables of the ledger, by the owner of their records.

use strum::VariantArray;

/// The owner of a group of records. The store gives each owner's records a DynamoDB table.
///
/// A record names its owner once, as [`super::Record::TABLE`]. No caller names a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, VariantArray)]
pub enum Table {
    /// Configuration, releases, evidence, and the environments that they run in. `ledger` and `package` write it.
    Authority,
    /// Deployments with their logs, and images. The functions of a deployment path write it.
    Operations,
    /// Callbacks. The functions of a deployment path add them, and `resume` completes them.
    Callbacks,
    /// Webhook deliveries. `webhook` adds them, and `ledger` closes them.
    Intake,
    /// Reports of the sweep, which writes them.
    Sweep,
    /// Keys and quotas of the applications that post logs. Only the component `log-intake` has this table.
    Applications,
}

impl Table {
    /// Every table.
    pub const ALL: &[Self] = Self::VARIANTS;
}
