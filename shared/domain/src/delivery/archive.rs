//! Archives, in memory: the tarball a git host serves, and the zip a release is kept as.
//!
//! Both come from outside, so both are read with suspicion: an entry whose name could leave the folder it is
//! unpacked to, a link, a device or a duplicate refuses the whole archive, and everything is counted while it is
//! unpacked, so that a small archive never becomes a large one in memory. Nothing here touches a file system.

mod meter;
mod package;
mod paths;
mod tarball;

pub use package::{pack, unpack};
pub use tarball::{Tarball, unpack_tarball};

use std::collections::BTreeMap;

/// Files by their relative path, whose separator is `/`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// How much an archive may hold. Exceeding any of these refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive as it arrived.
    pub compressed_bytes: u64,
    /// Entries: files, folders and links.
    pub files: u32,
    /// Bytes of everything, unpacked; a tarball's own headers and padding included.
    pub bytes: u64,
    /// Bytes of one file, unpacked.
    pub file_bytes: u64,
    /// Unpacked bytes for each byte that arrived; not looked at before the first mebibyte is out.
    pub ratio: u64,
    /// Parts of a path, the file's own name included.
    pub depth: u32,
    /// Bytes of a path.
    pub path_bytes: u32,
}

impl Limits {
    /// What a repository of infrastructure fits into with a wide margin, and a Lambda function's memory still holds.
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

/// Why an archive was refused. Paths are shown with control characters escaped and cut to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// One of the [`Limits`] is exceeded.
    #[error("the archive has more than {limit} {what}")]
    TooLarge {
        /// What there is too much of, as a plural.
        what: &'static str,
        /// How much of it is allowed.
        limit: u64,
    },
    /// A name that could leave its folder, or that people and file systems would read in different ways.
    #[error("the archive holds '{path}', whose name {why}; rename or remove it")]
    UnsafePath {
        /// The entry.
        path: String,
        /// What is wrong with it, as a verb phrase.
        why: &'static str,
    },
    /// A link where only files may be.
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
    #[error("the archive cannot be read: {0}")]
    Corrupt(String),
    /// The repository has no such folder at this commit.
    #[error("the repository has no files in '{0}' at this commit")]
    NoSuchFolder(String),
}
