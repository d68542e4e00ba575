//! The tables of the ledger, by the owner of their records.

use crate::model::deployment_path::DeploymentPath;
use strum::{IntoStaticStr, VariantArray};

/// The owner of a group of records. Each owner's records have a DynamoDB table, so that IAM separates the owners.
///
/// A key names its table. Only [`super`] makes keys, so no caller names a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(prefix = "lockstep-", serialize_all = "kebab-case")]
pub enum Table {
    /// Configuration, registrations, owners of names, published releases, evidence, environments, and charters of
    /// deployments. Only `ledger` writes it.
    Authority,
    /// Answers of approvers. Only the ledger's function of approvers writes it.
    Approvals,
    /// Deployments of the delivery path with their logs. Only its functions and the ledger's function for it write it.
    Delivery,
    /// Deployments of the promotion path with their logs, and the copy slots. Only its functions and the ledger's
    /// function for it write it.
    Promotion,
    /// Versions of images, and the images in accounts of the delivery path. The functions of that path write it, and the
    /// promotion path's function of images for the copies that it makes there.
    DeliveryImages,
    /// Images in accounts of the promotion path, and shares of images. Only the functions of that path write it.
    PromotionImages,
    /// Callbacks. Only `resume` writes it.
    Callbacks,
    /// Webhook deliveries, drafts of releases, rejections, and counters of versions. `webhook` and `package` write them, and
    /// `ledger` closes webhook deliveries.
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
    pub const OF_CONTROL_PLANE: &[Self] = &[
        Self::Authority,
        Self::Approvals,
        Self::Delivery,
        Self::Promotion,
        Self::DeliveryImages,
        Self::PromotionImages,
        Self::Callbacks,
        Self::Intake,
        Self::Sweep,
    ];

    /// Returns the table of the deployments of `path`.
    pub fn of(path: DeploymentPath) -> Self {
        match path {
            DeploymentPath::Delivery => Self::Delivery,
            DeploymentPath::Promotion => Self::Promotion,
        }
    }

    /// Returns the table of the images in accounts of `path`.
    pub fn images_of(path: DeploymentPath) -> Self {
        match path {
            DeploymentPath::Delivery => Self::DeliveryImages,
            DeploymentPath::Promotion => Self::PromotionImages,
        }
    }

    /// Returns the name of the table in DynamoDB. A component gives its table a name of its own.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
