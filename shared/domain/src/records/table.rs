//! The tables of the ledger, by the owner of their records.

use strum::{IntoStaticStr, VariantArray};

/// The owner of a group of records. Each owner's records have a DynamoDB table, so that IAM separates the owners.
///
/// A key names its table. Only [`super`] makes keys, so no caller names a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(prefix = "lockstep-", serialize_all = "snake_case")]
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

    /// Every table of the control plane.
    pub const OF_CONTROL_PLANE: &[Self] =
        &[Self::Authority, Self::Operations, Self::Callbacks, Self::Intake, Self::Sweep];

    /// Returns the name of the table in DynamoDB. A component gives its table a name of its own.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
