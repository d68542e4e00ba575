use std::fmt;

/// Meaning of a status for a caller that wants to start an operation on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An operation runs; the stack accepts no other.
    Running,
    /// No operation runs.
    Ended,
    /// The status is not in Lockstep's list.
    Unknown,
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $text:literal is $phase:ident;)*) => {
        /// Status of a CloudFormation stack.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum StackStatus {
            $($(#[$doc])* $name,)*
            /// A status that CloudFormation introduced after this list was written.
            Unknown(String),
        }

        impl StackStatus {
            /// Every known status.
            pub const ALL: &[StackStatus] = &[$(Self::$name),*];

            /// Returns the status that CloudFormation writes as `text`.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Unknown(other.chars().take(100).collect()),
                }
            }

            /// Returns the status as CloudFormation writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown(text) => text,
                }
            }

            /// Returns the phase: an operation runs, or none does.
            pub fn phase(&self) -> Phase {
                match self {
                    $(Self::$name => Phase::$phase,)*
                    Self::Unknown(_) => Phase::Unknown,
                }
            }
        }
    };
}

statuses! {
    /// The stack is being created.
    CreateInProgress = "CREATE_IN_PROGRESS" is Running;
    /// A creation failed and was not rolled back.
    CreateFailed = "CREATE_FAILED" is Ended;
    /// The stack was created.
    CreateComplete = "CREATE_COMPLETE" is Ended;
    /// A creation failed; the resources that it made are being removed.
    RollbackInProgress = "ROLLBACK_IN_PROGRESS" is Running;
    /// A creation failed, and so did removing its resources.
    RollbackFailed = "ROLLBACK_FAILED" is Ended;
    /// A creation failed and its resources were removed; the stack can only be deleted.
    RollbackComplete = "ROLLBACK_COMPLETE" is Ended;
    /// The stack is being deleted.
    DeleteInProgress = "DELETE_IN_PROGRESS" is Running;
    /// A deletion failed.
    DeleteFailed = "DELETE_FAILED" is Ended;
    /// The stack was deleted; it can be described by its ARN for ninety days.
    DeleteComplete = "DELETE_COMPLETE" is Ended;
    /// The stack is being updated.
    UpdateInProgress = "UPDATE_IN_PROGRESS" is Running;
    /// The stack was updated; replaced resources are being removed.
    UpdateCompleteCleanupInProgress = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" is Running;
    /// The stack was updated.
    UpdateComplete = "UPDATE_COMPLETE" is Ended;
    /// An update failed and was not rolled back.
    UpdateFailed = "UPDATE_FAILED" is Ended;
    /// An update failed and is being rolled back.
    UpdateRollbackInProgress = "UPDATE_ROLLBACK_IN_PROGRESS" is Running;
    /// An update failed, and so did its rollback.
    UpdateRollbackFailed = "UPDATE_ROLLBACK_FAILED" is Ended;
    /// An update was rolled back; the resources that it made are being removed.
    UpdateRollbackCompleteCleanupInProgress = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" is Running;
    /// An update failed and was rolled back: the stack runs its previous state.
    UpdateRollbackComplete = "UPDATE_ROLLBACK_COMPLETE" is Ended;
    /// A change set that would create the stack waits. No operation runs, in spite of the name.
    ReviewInProgress = "REVIEW_IN_PROGRESS" is Ended;
    /// Resources are being imported.
    ImportInProgress = "IMPORT_IN_PROGRESS" is Running;
    /// Resources were imported.
    ImportComplete = "IMPORT_COMPLETE" is Ended;
    /// An import failed and is being rolled back.
    ImportRollbackInProgress = "IMPORT_ROLLBACK_IN_PROGRESS" is Running;
    /// An import failed, and so did its rollback.
    ImportRollbackFailed = "IMPORT_ROLLBACK_FAILED" is Ended;
    /// An import failed and was rolled back.
    ImportRollbackComplete = "IMPORT_ROLLBACK_COMPLETE" is Ended;
}

impl StackStatus {
    /// Returns true if the plan needs the stack's contents, to decide or to name the blocking resources.
    pub fn contents_decide(&self) -> bool {
        matches!(
            self,
            Self::ReviewInProgress
                | Self::CreateFailed
                | Self::RollbackComplete
                | Self::RollbackFailed
                | Self::DeleteFailed
                | Self::UpdateFailed
                | Self::UpdateRollbackFailed
        )
    }

    /// Returns true if the plan needs the stack's events back to its creation. A stack that failed its creation and was
    /// kept can be updated, so a failed update alone does not prove that a stable state exists.
    pub fn history_decides(&self) -> bool {
        *self == Self::UpdateFailed
    }

    /// Returns true if the resources of the stack are those of its template.
    pub fn is_consistent(&self) -> bool {
        matches!(
            self,
            Self::CreateComplete
                | Self::UpdateCompleteCleanupInProgress
                | Self::UpdateComplete
                | Self::UpdateRollbackCompleteCleanupInProgress
                | Self::UpdateRollbackComplete
                | Self::ImportComplete
                | Self::ImportRollbackComplete
        )
    }

    /// Returns true if this status proves that the stack reached a working state once.
    pub fn proves_stability(&self) -> bool {
        match self {
            Self::CreateComplete
            | Self::UpdateCompleteCleanupInProgress
            | Self::UpdateComplete
            | Self::UpdateRollbackInProgress
            | Self::UpdateRollbackFailed
            | Self::UpdateRollbackCompleteCleanupInProgress
            | Self::UpdateRollbackComplete
            | Self::ImportComplete => true,
            Self::CreateInProgress
            | Self::CreateFailed
            | Self::RollbackInProgress
            | Self::RollbackFailed
            | Self::RollbackComplete
            | Self::DeleteInProgress
            | Self::DeleteFailed
            | Self::DeleteComplete
            | Self::ReviewInProgress
            | Self::UpdateInProgress
            | Self::UpdateFailed
            | Self::ImportInProgress
            | Self::ImportRollbackInProgress
            | Self::ImportRollbackFailed
            | Self::ImportRollbackComplete
            | Self::Unknown(_) => false,
        }
    }
}

impl fmt::Display for StackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
