use std::fmt;

/// What a status means for whoever wants to do something with the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An operation runs; the stack accepts no other.
    Running,
    /// Nothing runs.
    Ended,
    /// A status that is not in our list.
    Unknown,
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $text:literal is $phase:ident;)*) => {
        /// Every status of a CloudFormation stack.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum StackStatus {
            $($(#[$doc])* $name,)*
            /// One that CloudFormation did not have when this was written.
            Unknown(String),
        }

        impl StackStatus {
            /// Every known status.
            pub const ALL: &[StackStatus] = &[$(Self::$name),*];

            /// The status that CloudFormation writes as `text`.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Unknown(other.chars().take(100).collect()),
                }
            }

            /// As CloudFormation writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown(text) => text,
                }
            }

            /// Whether an operation runs.
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
    /// A stack is being created.
    CreateInProgress = "CREATE_IN_PROGRESS" is Running;
    /// A creation failed and was not rolled back.
    CreateFailed = "CREATE_FAILED" is Ended;
    /// Created.
    CreateComplete = "CREATE_COMPLETE" is Ended;
    /// A creation failed; what it made is being removed.
    RollbackInProgress = "ROLLBACK_IN_PROGRESS" is Running;
    /// A creation failed, and so did removing what it made.
    RollbackFailed = "ROLLBACK_FAILED" is Ended;
    /// A creation failed; what it made is gone, the stack can only be deleted.
    RollbackComplete = "ROLLBACK_COMPLETE" is Ended;
    /// Being deleted.
    DeleteInProgress = "DELETE_IN_PROGRESS" is Running;
    /// A deletion failed.
    DeleteFailed = "DELETE_FAILED" is Ended;
    /// Deleted; it can be described by its ARN for ninety days.
    DeleteComplete = "DELETE_COMPLETE" is Ended;
    /// Being updated.
    UpdateInProgress = "UPDATE_IN_PROGRESS" is Running;
    /// Updated; what was replaced is being removed.
    UpdateCompleteCleanupInProgress = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" is Running;
    /// Updated.
    UpdateComplete = "UPDATE_COMPLETE" is Ended;
    /// An update failed and was not rolled back.
    UpdateFailed = "UPDATE_FAILED" is Ended;
    /// An update failed and is being undone.
    UpdateRollbackInProgress = "UPDATE_ROLLBACK_IN_PROGRESS" is Running;
    /// An update failed, and so did undoing it.
    UpdateRollbackFailed = "UPDATE_ROLLBACK_FAILED" is Ended;
    /// An update was undone; what it made is being removed.
    UpdateRollbackCompleteCleanupInProgress = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" is Running;
    /// An update failed and was undone: the stack runs what it ran before.
    UpdateRollbackComplete = "UPDATE_ROLLBACK_COMPLETE" is Ended;
    /// A change set that would create the stack waits; no operation runs in spite of the name.
    ReviewInProgress = "REVIEW_IN_PROGRESS" is Ended;
    /// Resources are being imported.
    ImportInProgress = "IMPORT_IN_PROGRESS" is Running;
    /// Resources were imported.
    ImportComplete = "IMPORT_COMPLETE" is Ended;
    /// An import failed and is being undone.
    ImportRollbackInProgress = "IMPORT_ROLLBACK_IN_PROGRESS" is Running;
    /// An import failed, and so did undoing it.
    ImportRollbackFailed = "IMPORT_ROLLBACK_FAILED" is Ended;
    /// An import failed and was undone.
    ImportRollbackComplete = "IMPORT_ROLLBACK_COMPLETE" is Ended;
}

impl StackStatus {
    /// Whether what the stack holds must be read before anything is decided, or to name what blocks it.
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

    /// Whether the stack's events must be read back to its creation before anything is decided: a creation that failed
    /// and was kept can be updated, so that a failed update alone does not say that there is a state to go back to.
    pub fn history_decides(&self) -> bool {
        *self == Self::UpdateFailed
    }

    /// Whether a stack in this status was certainly brought to a working state once.
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
