//! Archives in memory: the tarball of a git host, and the zip of a release.
//!
//! Both are untrusted input. An entry whose name could leave the target folder, a link, a device or a duplicate refuses
//! the whole archive. All bytes are counted during unpacking, so that a small archive never becomes a large one in
//! memory. The module never touches a file system.

mod meter;
mod namesakes;
mod package;
mod paths;
mod tarball;

pub(crate) use namesakes::namesakes;
pub use package::{pack, pack_code, unpack, zip_entries};
pub use tarball::{OWN_FOLDER, Tarball, unpack_tarball};

use crate::model::error::ErrorCause;
use std::collections::BTreeMap;

/// Files by their relative path, whose separator is `/`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Limits of an archive. Exceeding any of them refuses the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the compressed archive.
    pub compressed_bytes: u64,
    /// Entries: files, folders and links.
    pub files: u32,
    /// Unpacked bytes of all entries; for a tarball, its headers and padding as well.
    pub bytes: u64,
    /// Unpacked bytes of one file.
    pub file_bytes: u64,
    /// Unpacked bytes per compressed byte; applies after the first mebibyte.
    pub ratio: u64,
    /// Parts of a path, the file's own name included.
    pub depth: u32,
    /// Bytes of a path.
    pub path_bytes: u32,
}

impl Limits {
    /// Fits a repository of infrastructure code with a wide margin, and the memory of a Lambda function.
    pub const DEFAULT: Limits = Limits {
        compressed_bytes: 64 << 20,
        files: 20_000,
        bytes: 256 << 20,
        file_bytes: 32 << 20,
        ratio: 200,
        depth: 32,
        path_bytes: 1024,
    };
}

/// Reason to refuse an archive. Messages show paths with control characters escaped, cut to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// One of the [`Limits`] is exceeded.
    #[error("the archive has more than {limit} {what}")]
    TooLarge {
        /// The limited quantity, as a plural.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A name that could leave its folder, or that file systems would interpret in different ways.
    #[error("the archive holds '{path}', whose name {why}; rename or remove it")]
    UnsafePath {
        /// The entry.
        path: String,
        /// The fault of the name, as a verb phrase.
        why: &'static str,
    },
    /// A link where only files are allowed.
    #[error("'{path}' is a link; put the file itself there")]
    Link {
        /// The entry.
        path: String,
    },
    /// A device, a pipe or another entry that is neither file nor folder.
    #[error("'{path}' is neither a file nor a folder")]
    NotAFile {
        /// The entry.
        path: String,
    },
    /// Two entries that would be one file on some file system.
    #[error("'{first}' and '{second}' would be the same file on some systems; rename or remove one")]
    Collision {
        /// One of the two entries.
        first: String,
        /// The other one.
        second: String,
    },
    /// The archive is damaged, cut short or not of the expected format.
    #[error("the archive cannot be read")]
    Corrupt(#[source] ErrorCause),
    /// The repository has no such folder at this commit.
    #[error("the repository has no files in '{0}' at this commit")]
    NoSuchFolder(String),
}
