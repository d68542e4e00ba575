//! Compares the C library that a binary needs with that of its destination.
//!
//! A binary names the version of each symbol that it imports from glibc. The loader refuses the binary if the library is
//! older: every invocation of the function then ends with `Runtime.ExitError`.

use super::Destination;
use crate::failure::{Failure, at};
use object::elf::{EM_AARCH64, FileHeader64};
use object::read::elf::FileHeader as _;
use object::{Endianness, elf};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc(pub u32, pub u32);

/// The version in Amazon Linux 2023, and so in `provided.al2023`
/// (<https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html>).
pub const LAMBDA: Glibc = Glibc(2, 34);

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Glibc {
    /// Reads `2.34`, and `2.34.1` as the same.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.');
        let mut next = || numbers.next()?.parse().ok();
        Some(Self(next()?, next()?))
    }

    /// Returns the version of this machine, or `None` if it has another C library.
    fn of_this_machine() -> Option<Self> {
        let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
        Self::parse(String::from_utf8_lossy(&output.stdout).trim().strip_prefix("glibc ")?)
    }
}

/// Refuses a binary that cannot start at its destination.
pub(super) fn check(binary: &Path, bytes: &[u8], destination: Destination) -> Result<(), Failure> {
    let (limit, whose) = match destination {
        Destination::Lambda => (Some(LAMBDA), "Lambda's provided.al2023"),
        Destination::ThisMachine => (Glibc::of_this_machine(), "this machine"),
    };
    let needs = needs(bytes).map_err(at(format!("{} cannot be read", binary.display())))?;
    match (needs, limit) {
        (Some(needs), Some(limit)) if needs > limit => {
            let what = format!("{} needs glibc {needs}, and {whose} has {limit}", binary.display());
            Err(Failure::new(what).next(destination.how_to_build()))
        }
        _ => Ok(()),
    }
}

/// Returns true if a binary is built for arm64.
pub(super) fn is_arm64(bytes: &[u8]) -> bool {
    FileHeader64::<Endianness>::parse(bytes)
        .and_then(|header| Ok(header.e_machine(header.endian()?) == EM_AARCH64))
        .unwrap_or_default()
}

/// Returns the newest version of glibc that a binary names, or `None` if it names none or is not an ELF file.
fn needs(bytes: &[u8]) -> object::Result<Option<Glibc>> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, bytes)? else { return Ok(None) };
    let strings = sections.strings(endian, bytes, strings)?;
    let mut newest = None;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
            newest = newest.max(name.strip_prefix("GLIBC_").and_then(Glibc::parse));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The linker writes the names of versions before everything else. A search of the whole binary takes ten seconds.
    const NAMES_WITHIN: usize = 4 << 20;

    /// Returns the bytes of this test's own binary.
    fn own_binary() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    /// Returns that binary with its newest version of glibc changed to another of the same length.
    fn needing(version: &str) -> Vec<u8> {
        let mut bytes = own_binary();
        let newest = format!("GLIBC_{}\0", needs(&bytes).unwrap().unwrap());
        let other = format!("GLIBC_{version}\0");
        assert_eq!(newest.len(), other.len());
        let found: Vec<usize> = (0..NAMES_WITHIN.min(bytes.len() - newest.len()))
            .filter(|at| bytes[*at..].starts_with(newest.as_bytes()))
            .collect();
        assert!(!found.is_empty());
        for at in found {
            bytes[at..at + other.len()].copy_from_slice(other.as_bytes());
        }
        bytes
    }

    #[test]
    fn a_binary_of_this_machine_starts_on_this_machine() {
        let bytes = own_binary();
        assert!(needs(&bytes).unwrap().is_some());
        check(Path::new("own"), &bytes, Destination::ThisMachine).unwrap();
    }

    #[test]
    fn a_binary_for_a_newer_glibc_is_refused_with_the_build_command() {
        let bytes = needing("2.38");
        assert_eq!(needs(&bytes).unwrap(), Some(Glibc(2, 38)));
        let refused = check(Path::new("out/lockstep-stack"), &bytes, Destination::Lambda).unwrap_err();
        assert_eq!(
            refused.what,
            "out/lockstep-stack needs glibc 2.38, and Lambda's provided.al2023 has 2.34"
        );
        assert!(refused.next.contains("cargo-zigbuild"), "{refused}");
        assert!(refused.next.contains("aarch64-unknown-linux-gnu.2.34"), "{refused}");
        check(Path::new("own"), &needing("2.34"), Destination::Lambda).unwrap();
        let here = check(Path::new("own"), &needing("2.99"), Destination::ThisMachine).unwrap_err();
        assert!(here.what.starts_with("own needs glibc 2.99, and this machine has 2."), "{here}");
    }

    #[test]
    fn a_script_needs_no_glibc_and_a_cut_binary_is_an_error() {
        assert_eq!(needs(b"#!/bin/sh\n").unwrap(), None);
        assert!(needs(&own_binary()[..100]).is_err());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(Glibc::parse("2.9") < Glibc::parse("2.34"));
        assert_eq!(Glibc::parse("2.2.5"), Some(Glibc(2, 2)));
        assert_eq!(Glibc::parse("PRIVATE"), None);
    }
}
