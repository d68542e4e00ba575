//! The tarball of one commit from a git host: the format of `git archive`, below one top folder.
//!
//! The reader accepts only the output of `git archive`: ustar headers, and pax headers for long names and for the
//! commit id (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>). It refuses extensions that let
//! two readers see different entries in the same bytes, such as a size in a pax header or GNU's long names.

use super::meter::{Meter, Metered, within};
use super::{ArchiveError, Files, Limits, paths};
use crate::model::error::ErrorCause;
use crate::model::ids::CommitSha;
use flate2::bufread::GzDecoder;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use tar::EntryType;

/// Maximum bytes of a pax header: git writes a path, a link's target and a commit id.
const PAX_BYTES_MAX: u64 = 64 << 10;

/// Bytes of a block: entries are padded to it, and the end marker is two of them.
const BLOCK_BYTES: u64 = 512;

/// Folder in which the command keeps what is no part of a release: schemas for editors, the state of a local cloud.
pub const OWN_FOLDER: &str = ".lockstep";

/// Content of a tarball without its top folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tarball {
    /// The files.
    pub files: Files,
    /// Paths of symbolic links. They are never followed and never among the files. [`Tarball::folder`] refuses only
    /// links that concern its folder, so that a link elsewhere in the repository blocks no component.
    pub links: BTreeSet<String>,
    /// The commit that `git archive` wrote into the header; the caller compares it with the requested commit.
    pub commit: Option<CommitSha>,
}

impl Tarball {
    /// Returns the files below `folder` with paths relative to it; `""` is the whole repository. Leaves out what the command
    /// keeps in the folder for itself ([`OWN_FOLDER`]).
    ///
    /// # Errors
    /// [`ArchiveError::Link`] if the folder, one above it or anything in it is a symbolic link, and
    /// [`ArchiveError::NoSuchFolder`] if it holds no file.
    pub fn folder(&self, folder: &str) -> Result<Files, ArchiveError> {
        let folder = folder.trim_end_matches('/');
        let concerned = |link: &&String| below(link, folder).is_some() || below(folder, link).is_some();
        if let Some(path) = self.links.iter().find(concerned) {
            return Err(ArchiveError::Link { path: paths::shown(path.as_bytes()) });
        }
        let files: Files = self
            .files
            .iter()
            .filter_map(|(path, bytes)| Some((below(path, folder)?.to_owned(), bytes.clone())))
            .filter(|(path, _)| !path.is_empty() && below(path, OWN_FOLDER).is_none())
            .collect();
        if files.is_empty() {
            Err(ArchiveError::NoSuchFolder(paths::shown(folder.as_bytes())))
        } else {
            Ok(files)
        }
    }
}

/// Returns `path` relative to `folder`, if it is that folder or below it.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Unpacks a gzipped tarball as GitHub, GitLab and Bitbucket serve it, stripping its single top folder.
///
/// # Errors
/// Refuses the archive if it exceeds `limits`, is damaged or cut short, has entries outside a single top folder,
/// names that could leave it, hard links, devices, or entries that would become the same file.
pub fn unpack_tarball(gzipped: &[u8], limits: &Limits) -> Result<Tarball, ArchiveError> {
    let meter = RefCell::new(Meter::new(limits, gzipped.len())?);
    let breach = RefCell::new(None);
    let reader = Metered::new(GzDecoder::new(gzipped), &meter, &breach);
    let unpacked = read_archive(reader, limits, &meter);
    // An exceeded limit is the true cause of any error that the readers above derive from it.
    match breach.into_inner() {
        Some(limit) => Err(limit),
        None => unpacked,
    }
}

fn read_archive(
    reader: Metered<'_, '_, GzDecoder<&[u8]>>,
    limits: &Limits,
    meter: &RefCell<Meter<'_>>,
) -> Result<Tarball, ArchiveError> {
    let mut archive = tar::Archive::new(reader);
    let mut unpacking = Unpacking::default();
    // Raw: the tar crate would read a pax header of any size into memory.
    let mut end = 0;
    for entry in archive.entries().map_err(corrupt)?.raw(true) {
        let mut entry = entry.map_err(corrupt)?;
        unpacking.entry(&mut entry, limits, meter)?;
        end = entry.raw_file_position().saturating_add(entry.size().next_multiple_of(BLOCK_BYTES));
    }
    require_end(archive.into_inner(), end, meter)?;
    unpacking.finish()
}

/// Reads to the end, which holds gzip's checksum, and refuses bytes behind it. Behind the last entry, which ends at `end`,
/// there are at least two blocks of zeros and nothing else. Without them the archive was cut between two entries: a
/// compressor ends normally when the program before it breaks off.
fn require_end(
    mut reader: Metered<'_, '_, GzDecoder<&[u8]>>,
    end: u64,
    meter: &RefCell<Meter<'_>>,
) -> Result<(), ArchiveError> {
    // The tar crate has read one block behind the last entry, and found zeros there or the end.
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).map_err(corrupt)?;
    if meter.borrow().read().saturating_sub(end) < 2 * BLOCK_BYTES {
        return Err(broken("it has no end marker, so files may be missing; fetch it again"));
    }
    if rest.iter().any(|byte| *byte != 0) {
        return Err(broken("its end marker is followed by other bytes"));
    }
    if reader.into_inner().into_inner().is_empty() { Ok(()) } else { Err(broken("bytes follow its end")) }
}

/// State of the unpacking after the entries read so far.
#[derive(Default)]
struct Unpacking {
    tarball: Tarball,
    /// The single top folder, once an entry names it.
    top: Option<String>,
    /// The pax header for the next entry.
    pax: Option<Pax>,
}

impl Unpacking {
    fn entry<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        limits: &Limits,
        meter: &RefCell<Meter<'_>>,
    ) -> Result<(), ArchiveError> {
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => return self.global(entry),
            EntryType::XHeader if self.pax.is_none() => {
                self.pax = Some(Pax::read(entry)?);
                return Ok(());
            }
            _ => meter.borrow_mut().entry()?,
        }
        let raw = match self.pax.take().and_then(|pax| pax.path) {
            Some(path) => path,
            None => entry.path_bytes().into_owned(),
        };
        match entry.header().entry_type() {
            EntryType::Directory => self.folder(&raw, limits),
            EntryType::Regular => self.file(&raw, entry, limits, meter),
            EntryType::Symlink => self.link(&raw, limits),
            EntryType::Link => Err(ArchiveError::Link { path: paths::shown(&raw) }),
            _ => Err(ArchiveError::NotAFile { path: paths::shown(&raw) }),
        }
    }

    fn global<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), ArchiveError> {
        let pax = Pax::read(entry)?;
        if pax.path.is_some() {
            return Err(broken("a global header names a path"));
        }
        if let Some(commit) = pax.comment {
            self.tarball.commit = commit.parse().ok();
        }
        Ok(())
    }

    fn folder(&mut self, raw: &[u8], limits: &Limits) -> Result<(), ArchiveError> {
        let raw = raw.strip_suffix(b"/").unwrap_or(raw);
        self.below_top(raw, limits).map(drop)
    }

    fn file<R: Read>(
        &mut self,
        raw: &[u8],
        entry: &mut tar::Entry<'_, R>,
        limits: &Limits,
        meter: &RefCell<Meter<'_>>,
    ) -> Result<(), ArchiveError> {
        let path = self.named(raw, limits)?;
        meter.borrow().file(entry.size())?;
        let bytes = read_whole(entry)?;
        match self.tarball.files.insert(path.clone(), bytes) {
            Some(_) => Err(paths::collision(&path, &path)),
            None => Ok(()),
        }
    }

    fn link(&mut self, raw: &[u8], limits: &Limits) -> Result<(), ArchiveError> {
        let path = self.named(raw, limits)?;
        if self.tarball.links.insert(path.clone()) { Ok(()) } else { Err(paths::collision(&path, &path)) }
    }

    /// Returns the path of a file or link below the top folder.
    fn named(&mut self, raw: &[u8], limits: &Limits) -> Result<String, ArchiveError> {
        self.below_top(raw, limits)?.ok_or_else(|| ArchiveError::UnsafePath {
            path: paths::shown(raw),
            why: "lies outside the top folder",
        })
    }

    /// Returns the path without the top folder; `None` for that folder itself.
    fn below_top(&mut self, raw: &[u8], limits: &Limits) -> Result<Option<String>, ArchiveError> {
        let path = paths::checked(raw, limits)?;
        let (top, rest) = match path.split_once('/') {
            Some((top, rest)) => (top, Some(rest)),
            None => (path.as_str(), None),
        };
        if self.top.get_or_insert_with(|| top.to_owned()) != top {
            return Err(ArchiveError::UnsafePath {
                path: paths::shown(raw),
                why: "lies outside the top folder",
            });
        }
        Ok(rest.map(str::to_owned))
    }

    fn finish(self) -> Result<Tarball, ArchiveError> {
        if self.top.is_none() || self.pax.is_some() {
            return Err(broken("it ends before its first file"));
        }
        paths::refuse_collisions(self.tarball.files.keys().chain(&self.tarball.links))?;
        Ok(self.tarball)
    }
}

/// Returns the whole content of an entry; the tar crate alone accepts a truncated one.
fn read_whole<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, ArchiveError> {
    let size = entry.size();
    // The size is an unverified claim, so it does not decide the size of the allocation.
    let mut bytes = Vec::with_capacity(size.min(64 << 10) as usize);
    entry.read_to_end(&mut bytes).map_err(corrupt)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(broken("it ends within a file")) }
}

/// The records of a pax header that the reader uses.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    comment: Option<String>,
}

impl Pax {
    fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Self, ArchiveError> {
        within("bytes in a pax header", entry.size(), PAX_BYTES_MAX)?;
        let bytes = read_whole(entry)?;
        let mut rest = bytes.as_slice();
        let mut pax = Pax::default();
        while !rest.is_empty() {
            let (key, value);
            (key, value, rest) = pax_record(rest).ok_or_else(|| broken("a pax header is malformed"))?;
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"comment" => pax.comment = Some(String::from_utf8_lossy(value).into_owned()),
                b"size" => return Err(broken("a pax header changes an entry's size")),
                _ if key.starts_with(b"GNU.sparse.") => return Err(broken("it holds a sparse file")),
                _ => {}
            }
        }
        Ok(pax)
    }
}

/// Returns the key and value of the first record, `<length> <key>=<value>\n`, and the bytes after it. The length counts
/// the whole record.
fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&b| b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

fn corrupt(error: io::Error) -> ArchiveError {
    ArchiveError::Corrupt(ErrorCause::of(&error))
}

fn broken(why: &str) -> ArchiveError {
    ArchiveError::Corrupt(ErrorCause::new(why))
}
