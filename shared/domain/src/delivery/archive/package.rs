//! The zip of a release: equal files give equal bytes, so that the digest names the content.

use super::meter::Meter;
use super::{ArchiveError, Files, Limits, paths};
use crate::model::error::ErrorCause;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

/// The file type bits of a Unix mode, and the value of a regular file (POSIX `S_IFMT`, `S_IFREG`).
const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Packs `files` into a zip: sorted by name, dated 1980-01-01, mode 0644.
///
/// The files are stored without compression. A new version of a compressor can give other bytes, so that a release
/// would change its digest without a change. The files are small, and storage costs less than that doubt.
///
/// # Errors
/// Refuses names that [`unpack`] would refuse, so that every package can be read.
pub fn pack(files: &Files) -> Result<Vec<u8>, ArchiveError> {
    for path in files.keys() {
        paths::checked(path.as_bytes(), &Limits::DEFAULT)?;
    }
    paths::refuse_collisions(files.keys())?;
    write_zip(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())), 0o644).map_err(corrupt)
}

/// Packs the code of a function, a layer or a bundle as [`pack`] does. Each file has the mode 0755, since a commit's archive
/// is read without modes, and Lambda starts some of the files.
///
/// # Errors
/// Refuses names that [`unpack`] would refuse.
pub fn pack_code(files: &BTreeMap<&str, &[u8]>) -> Result<Vec<u8>, ArchiveError> {
    for path in files.keys() {
        paths::checked(path.as_bytes(), &Limits::DEFAULT)?;
    }
    write_zip(files.iter().map(|(path, bytes)| (*path, *bytes)), 0o755).map_err(corrupt)
}

/// Returns the name and the unpacked size of each file in a zip, or `None` for bytes that are no zip.
pub fn zip_entries(bytes: &[u8]) -> Option<Vec<(String, u64)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).ok()?;
        if !entry.is_dir() {
            entries.push((String::from_utf8_lossy(entry.name_raw()).into_owned(), entry.size()));
        }
    }
    Some(entries)
}

fn write_zip<'f>(files: impl Iterator<Item = (&'f str, &'f [u8])>, mode: u32) -> Result<Vec<u8>, ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(mode)
        .system(System::Unix);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        zip.start_file(path, options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Unpacks a zip made by [`pack`]; accepts deflated entries and folders as well.
///
/// # Errors
/// Refuses the archive if it exceeds `limits`, is damaged, encrypted or cut short, has names that could leave the
/// folder, links, devices, or entries that would become the same file or share bytes.
pub fn unpack(zip: &[u8], limits: &Limits) -> Result<Files, ArchiveError> {
    let mut meter = Meter::new(limits, zip.len())?;
    refuse_many_entries(zip, limits)?;
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(corrupt)?;
    refuse_ambiguous(&mut archive)?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        meter.entry()?;
        let mut entry = archive.by_index(index).map_err(corrupt)?;
        refuse_special(&entry)?;
        if entry.is_dir() {
            let raw = entry.name_raw();
            paths::checked(raw.strip_suffix(b"/").unwrap_or(raw), limits)?;
            continue;
        }
        let path = paths::checked(entry.name_raw(), limits)?;
        let bytes = read_entry(&mut entry, &mut meter)?;
        files.insert(path, bytes);
    }
    paths::refuse_collisions(files.keys())?;
    Ok(files)
}

/// Checks the entry count in the end record first, because the zip crate reads the whole directory before it reports
/// the count.
///
/// The record is the last 22 bytes (APPNOTE.TXT 4.3.16). A zip with a comment behind it is refused: [`pack`] never
/// writes one.
fn refuse_many_entries(zip: &[u8], limits: &Limits) -> Result<(), ArchiveError> {
    let end =
        zip.len().checked_sub(22).map(|start| &zip[start..]).filter(|end| end.starts_with(b"PK\x05\x06"));
    let Some(end) = end else { return Err(broken("it does not end as a zip does")) };
    let entries = u16::from_le_bytes([end[10], end[11]]);
    super::meter::within("entries", entries.into(), limits.files.into())
}

/// Refuses archives in which two readers can find different files.
fn refuse_ambiguous(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<(), ArchiveError> {
    if archive.has_duplicate_names() {
        return Err(broken("two entries have the same name"));
    }
    if archive.offset() != 0 {
        return Err(broken("bytes precede its first entry"));
    }
    if archive.has_overlapping_entries().map_err(corrupt)? {
        return Err(broken("two entries share bytes"));
    }
    archive.validate_header_consistency().map_err(corrupt)
}

fn refuse_special<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> Result<(), ArchiveError> {
    let path = || paths::shown(entry.name_raw());
    let kind = entry.unix_mode().map_or(0, |mode| mode & FILE_TYPE);
    if entry.is_symlink() {
        return Err(ArchiveError::Link { path: path() });
    }
    if !entry.is_dir() && kind != 0 && kind != REGULAR {
        return Err(ArchiveError::NotAFile { path: path() });
    }
    Ok(())
}

fn read_entry<R: Read>(
    entry: &mut zip::read::ZipFile<'_, R>,
    meter: &mut Meter<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    let size = entry.size();
    meter.file(size)?;
    // The claimed size is counted first. Reading one byte more than that reveals a false claim.
    meter.bytes(size)?;
    let mut bytes = Vec::with_capacity(size.min(64 << 10) as usize);
    entry.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| corrupt(e.into()))?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(broken("an entry is not as long as it says")) }
}

fn corrupt(error: ZipError) -> ArchiveError {
    ArchiveError::Corrupt(ErrorCause::of(&error))
}

fn broken(why: &str) -> ArchiveError {
    ArchiveError::Corrupt(ErrorCause::new(why))
}
