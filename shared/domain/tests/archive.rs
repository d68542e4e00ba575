//! Archives from git hosts, archives of releases, and hostile archives.

use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_domain::delivery::archive::{
    ArchiveError, Files, Limits, Tarball, pack, unpack, unpack_tarball,
};
use lockstep_domain::model::error::chain;
use lockstep_domain::model::ids::Digest;
use proptest::prelude::*;
use std::io::{Cursor, Write};
use std::path::{Component, Path};
use tar::{Builder, EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A tarball under construction. It writes names as given, hostile ones included.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// Returns a tarball with the headers that `git archive` starts with.
    fn of_git() -> Self {
        let comment = format!("52 comment={COMMIT}\n");
        Self::new()
            .entry(EntryType::XGlobalHeader, b"pax_global_header", comment.as_bytes())
            .folder("logs-0123456/")
    }

    fn entry(mut self, kind: EntryType, name: &[u8], bytes: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o664);
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(EntryType::Regular, name.as_bytes(), bytes)
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name.as_bytes(), b"")
    }

    fn link(self, name: &str) -> Self {
        self.entry(EntryType::Symlink, name.as_bytes(), b"")
    }

    /// Adds a pax header for the next entry.
    fn pax(self, key: &str, value: &str) -> Self {
        let rest = format!(" {key}={value}\n");
        let digits = (1..).find(|digits| (rest.len() + digits).to_string().len() == *digits).unwrap();
        let record = format!("{}{rest}", rest.len() + digits);
        self.entry(EntryType::XHeader, b"pax", record.as_bytes())
    }

    fn gzipped(self) -> Vec<u8> {
        gzip(&self.0.into_inner().unwrap())
    }

    fn unpacked(self) -> Result<Tarball, ArchiveError> {
        unpack_tarball(&self.gzipped(), &Limits::DEFAULT)
    }

    fn refusal(self) -> String {
        chain(&self.unpacked().unwrap_err())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn files(entries: &[(&str, &str)]) -> Files {
    entries.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// Returns a zip with names and modes as given.
fn zip_of(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn unzip_refusal(zip: &[u8]) -> String {
    chain(&unpack(zip, &Limits::DEFAULT).unwrap_err())
}

#[test]
fn a_git_tarball_is_unpacked_without_its_top_folder() {
    let long = format!("logs-0123456/{}/template.yaml", "deep/".repeat(25).trim_end_matches('/'));
    let tarball = Tar::of_git()
        .file("logs-0123456/README.md", b"hello")
        .folder("logs-0123456/broker/")
        .file("logs-0123456/broker/lockstep.toml", b"")
        .pax("path", &long)
        .file("logs-0123456/shortened", b"x: 1")
        .unpacked()
        .unwrap();
    assert_eq!(tarball.commit.unwrap().as_str(), COMMIT);
    let below = long.strip_prefix("logs-0123456/").unwrap();
    assert_eq!(
        tarball.files,
        files(&[("README.md", "hello"), ("broker/lockstep.toml", ""), (below, "x: 1")])
    );
}

#[test]
fn a_component_gets_the_files_of_its_folder_and_no_others() {
    let tarball = Tar::of_git()
        .file("logs-0123456/a/x", b"1")
        .file("logs-0123456/a/b/y", b"2")
        .file("logs-0123456/ab/z", b"3")
        .unpacked()
        .unwrap();
    assert_eq!(tarball.folder("a").unwrap(), files(&[("x", "1"), ("b/y", "2")]));
    assert_eq!(tarball.folder("a/b/").unwrap(), files(&[("y", "2")]));
    assert_eq!(tarball.folder("").unwrap(), tarball.files);
    for missing in ["c", "a/x", "../a", "a/../a"] {
        assert_eq!(tarball.folder(missing), Err(ArchiveError::NoSuchFolder(missing.to_owned())));
    }
}

#[test]
fn a_symbolic_link_is_refused_only_in_the_components_folder() {
    let tarball = Tar::of_git()
        .link("logs-0123456/docs/latest")
        .link("logs-0123456/linked")
        .file("logs-0123456/a/x", b"1")
        .file("logs-0123456/b/c/y", b"1")
        .link("logs-0123456/b/c/template.yaml")
        .unpacked()
        .unwrap();
    let link = |path: &str| Err(ArchiveError::Link { path: path.to_owned() });
    assert_eq!(tarball.folder("a").unwrap(), files(&[("x", "1")]));
    assert_eq!(tarball.folder("b/c"), link("b/c/template.yaml"));
    assert_eq!(tarball.folder("linked"), link("linked"));
    assert_eq!(tarball.folder("linked/to/component"), link("linked"));
    assert!(tarball.files.keys().all(|path| !tarball.links.contains(path)));
}

#[test]
fn names_that_could_leave_the_folder_are_refused_by_name() {
    for (name, shown) in [
        ("/etc/passwd", "'/etc/passwd', whose name is absolute"),
        ("top/../../x", "'top/../../x', whose name has a part that is '.' or '..'"),
        ("top/..././x", "'top/..././x', whose name has a part that is '.' or '..'"),
        ("../x", "'../x', whose name has a part that is '.' or '..'"),
        ("./top/x", "'./top/x', whose name has a part that is '.' or '..'"),
        ("top//x", "'top//x', whose name has an empty part"),
        ("top/x/", "'top/x/', whose name has an empty part"),
        ("top\\..\\x", "'top\\\\..\\\\x', whose name has a backslash"),
        ("top/a\nb", "'top/a\\nb', whose name has a control character"),
        ("C:/x", "'C:/x', whose name names a drive"),
    ] {
        let expected = format!("the archive holds {shown}; rename or remove it");
        assert_eq!(Tar::new().file(name, b"").refusal(), expected);
        assert_eq!(Tar::new().pax("path", name).file("top/x", b"").refusal(), expected);
        assert_eq!(pack(&files(&[(name, "")])).unwrap_err().to_string(), expected);
        // A zip has no other mark for a folder.
        if name != "top/x/" {
            assert_eq!(unzip_refusal(&zip_of(&[(name, b"")], CompressionMethod::Stored)), expected);
        }
    }
    let not_text = Tar::new().entry(EntryType::Regular, b"top/\xff", b"").refusal();
    assert_eq!(not_text, "the archive holds 'top/\u{fffd}', whose name is not UTF-8; rename or remove it");
    assert!(Tar::new().pax("path", "top/x\0y").file("top/x", b"").refusal().contains("control character"));
}

#[test]
fn everything_lies_in_one_top_folder() {
    let outside = |name: &str| {
        format!("the archive holds '{name}', whose name lies outside the top folder; rename or remove it")
    };
    assert_eq!(Tar::new().file("a/x", b"").file("b/x", b"").refusal(), outside("b/x"));
    assert_eq!(Tar::new().file("top", b"").refusal(), outside("top"));
    assert_eq!(Tar::new().link("top").refusal(), outside("top"));
}

#[test]
fn hard_links_devices_and_exotic_entries_are_refused() {
    let refusal = |kind: EntryType| Tar::new().entry(kind, b"top/x", b"").refusal();
    assert_eq!(refusal(EntryType::Link), "'top/x' is a link; put the file itself there");
    for kind in
        [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Continuous, EntryType::GNUSparse]
    {
        assert_eq!(refusal(kind), "'top/x' is neither a file nor a folder", "{kind:?}");
    }
    // Two names of one entry can be read in two ways.
    assert!(refusal(EntryType::GNULongName).contains("neither a file nor a folder"));
    assert!(
        Tar::new().pax("size", "0").file("top/x", b"12345").refusal().contains("changes an entry's size")
    );
    assert!(Tar::new().pax("GNU.sparse.major", "1").file("top/x", b"").refusal().contains("sparse"));
    assert!(
        Tar::new().pax("path", "top/a").pax("path", "top/b").file("top/x", b"").refusal().contains("neither")
    );
    let global = Tar::new().entry(EntryType::XGlobalHeader, b"g", b"14 path=top/y\n").file("top/x", b"");
    assert!(global.refusal().contains("a global header names a path"));
}

#[test]
fn entries_that_are_one_file_on_some_system_are_refused() {
    let collision = |a: &str, b: &str| {
        let (with_top_a, with_top_b) = (format!("top/{a}"), format!("top/{b}"));
        let in_tar = Tar::new().file(&with_top_a, b"1").file(&with_top_b, b"2").refusal();
        assert!(in_tar.contains("would be the same file on some systems"), "{in_tar}");
        if a != b {
            assert!(pack(&files(&[(a, "1"), (b, "2")])).unwrap_err().to_string().contains("same file"));
            assert!(
                unzip_refusal(&zip_of(&[(a, b"1"), (b, b"2")], CompressionMethod::Stored))
                    .contains("same file")
            );
        }
    };
    collision("x", "x");
    collision("README", "readme");
    collision("Ä/x", "ä/X");
    collision("a", "a/b");
    collision("a/b/c", "A/B");
    assert!(Tar::new().link("top/x").file("top/X", b"").refusal().contains("same file"));
    assert!(Tar::new().link("top/x").link("top/x").refusal().contains("same file"));
}

#[test]
fn a_tarball_that_is_cut_short_anywhere_is_refused() {
    let whole = Tar::of_git().file("logs-0123456/a", &b"0123456789".repeat(200)).gzipped();
    assert!(unpack_tarball(&whole, &Limits::DEFAULT).is_ok());
    let accepted: Vec<_> =
        (0..whole.len()).filter(|end| unpack_tarball(&whole[..*end], &Limits::DEFAULT).is_ok()).collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn a_tar_that_ends_within_a_file_is_refused_in_a_complete_gzip() {
    let tar = Tar::new().file("top/a", &[7; 5000]).0.into_inner().unwrap();
    let cut = unpack_tarball(&gzip(&tar[..3000]), &Limits::DEFAULT).unwrap_err();
    assert_eq!(chain(&cut), "the archive cannot be read: it ends within a file");
    assert!(unpack_tarball(&gzip(b""), &Limits::DEFAULT).is_err());
    assert!(Tar::of_git().pax("path", "logs-0123456/x").refusal().contains("ends before"));
}

#[test]
fn a_tar_that_ends_between_two_entries_is_refused_in_a_complete_gzip() {
    let tar = Tar::new().file("top/a", b"1").file("top/zeros", &[0; 4096]).0.into_inner().unwrap();
    let entries = tar.len() - 1024;
    // The last file holds zeros, which are no end marker.
    for bytes in [&tar[..entries], &tar[..entries + 512], &tar[..entries - 4096 - 512]] {
        let cut = unpack_tarball(&gzip(bytes), &Limits::DEFAULT).unwrap_err();
        let message = "it has no end marker, so files may be missing; fetch it again";
        assert_eq!(chain(&cut), format!("the archive cannot be read: {message}"), "{}", bytes.len());
    }
    assert!(unpack_tarball(&gzip(&tar), &Limits::DEFAULT).is_ok());
    // git pads the archive to 10240 bytes.
    let padded = [tar.as_slice(), &[0; 7168]].concat();
    assert!(unpack_tarball(&gzip(&padded), &Limits::DEFAULT).is_ok());
    let followed = [tar.as_slice(), &[0; 511], b"x"].concat();
    let refused = chain(&unpack_tarball(&gzip(&followed), &Limits::DEFAULT).unwrap_err());
    assert!(refused.contains("its end marker is followed by other bytes"), "{refused}");
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut tarball = Tar::of_git().gzipped();
    tarball.push(0);
    assert!(chain(&unpack_tarball(&tarball, &Limits::DEFAULT).unwrap_err()).contains("bytes follow its end"));
    let zip = pack(&files(&[("a", "b")])).unwrap();
    assert!(unzip_refusal(&[zip.as_slice(), b"\0"].concat()).contains("does not end as a zip does"));
    assert!(unzip_refusal(&[b"#!/bin/sh\n", zip.as_slice()].concat()).contains("precede its first entry"));
}

/// A function that packs files of these names and sizes and unpacks them again.
type Unpacking<'a> = &'a dyn Fn(&[(&str, usize)]) -> Result<(), String>;

#[test]
fn each_limit_is_kept_by_both_formats() {
    let small = Limits {
        compressed_bytes: 4000,
        files: 3,
        bytes: 8000,
        file_bytes: 900,
        ratio: 200,
        depth: 4,
        path_bytes: 20,
    };
    let tar = |entries: &[(&str, usize)]| {
        let tar = entries
            .iter()
            .fold(Tar::new(), |tar, (name, size)| tar.file(&format!("t/{name}"), &vec![b'a'; *size]));
        unpack_tarball(&tar.gzipped(), &small).map(drop).map_err(|error| error.to_string())
    };
    let zip = |entries: &[(&str, usize)]| {
        let files: Files =
            entries.iter().map(|(name, size)| ((*name).to_owned(), vec![b'a'; *size])).collect();
        unpack(&pack(&files).unwrap(), &small).map(drop).map_err(|error| error.to_string())
    };
    let too_much = |what: &str| Err(format!("the archive has more than {what}"));
    let both: [Unpacking<'_>; 2] = [&tar, &zip];
    for unpacked in both {
        assert_eq!(unpacked(&[("a", 900), ("b", 900), ("c/d/e", 900)]), Ok(()));
        assert_eq!(unpacked(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]), too_much("3 entries"));
        assert_eq!(unpacked(&[("a", 901)]), too_much("900 bytes in one file"));
        assert!(unpacked(&[("a/b/c/d/e", 1)]).unwrap_err().contains("has too many parts"));
        assert!(unpacked(&[("a23456789012345678901", 1)]).unwrap_err().contains("is too long"));
    }
    let large = vec![0; 4001];
    let too_many = Err(ArchiveError::TooLarge { what: "compressed bytes", limit: 4000 });
    assert_eq!(unpack_tarball(&large, &small).map(drop), too_many);
    assert_eq!(unpack(&large, &small).map(drop), too_many);
}

#[test]
fn a_small_archive_that_unpacks_to_a_large_one_is_refused() {
    let zeros = vec![0; 8 << 20];
    let tarball = Tar::new().file("top/a", &zeros).gzipped();
    let zip = zip_of(&[("a", &zeros)], CompressionMethod::Deflated);
    let refused =
        |limits: &Limits| [unpack_tarball(&tarball, limits).map(drop), unpack(&zip, limits).map(drop)];
    let ratio = ArchiveError::TooLarge { what: "unpacked bytes per compressed byte", limit: 200 };
    assert_eq!(refused(&Limits::DEFAULT), [Err(ratio.clone()), Err(ratio)]);
    let bytes = ArchiveError::TooLarge { what: "unpacked bytes", limit: 1 << 20 };
    let by_size = Limits { bytes: 1 << 20, ratio: 5000, ..Limits::DEFAULT };
    assert_eq!(refused(&by_size), [Err(bytes.clone()), Err(bytes)]);
    assert_eq!(refused(&Limits { ratio: 5000, ..Limits::DEFAULT }), [Ok(()), Ok(())]);
}

#[test]
fn a_claimed_size_is_not_allocated() {
    let mut header = Header::new_ustar();
    header.set_path("top/a").unwrap();
    header.set_size(8 << 30);
    header.set_cksum();
    let error = unpack_tarball(&gzip(header.as_bytes()), &Limits::DEFAULT).unwrap_err();
    assert_eq!(error, ArchiveError::TooLarge { what: "bytes in one file", limit: 32 << 20 });
    header.set_entry_type(EntryType::XHeader);
    header.set_cksum();
    let error = unpack_tarball(&gzip(header.as_bytes()), &Limits::DEFAULT).unwrap_err();
    assert_eq!(error, ArchiveError::TooLarge { what: "bytes in a pax header", limit: 64 << 10 });
}

#[test]
fn a_zip_whose_directory_lies_about_a_size_is_refused() {
    let honest = zip_of(&[("a", &[7; 1000])], CompressionMethod::Deflated);
    let claim = 1000_u32.to_le_bytes();
    let mut lie = honest.clone();
    for at in 0..honest.len() - 4 {
        if honest[at..at + 4] == claim {
            lie[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
    }
    assert_ne!(lie, honest);
    assert!(unpack(&honest, &Limits::DEFAULT).is_ok());
    assert!(matches!(unpack(&lie, &Limits::DEFAULT), Err(ArchiveError::Corrupt(_))));
}

#[test]
fn links_shared_bytes_and_repeated_names_in_a_zip_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let link = zip.finish().unwrap().into_inner();
    assert_eq!(unpack(&link, &Limits::DEFAULT), Err(ArchiveError::Link { path: "a".to_owned() }));

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a", SimpleFileOptions::default()).unwrap();
    zip.write_all(&[7; 100]).unwrap();
    zip.shallow_copy_file("a", "b").unwrap();
    assert!(unzip_refusal(&zip.finish().unwrap().into_inner()).contains("two entries share bytes"));

    let mut twice = pack(&files(&[("one", "1"), ("two", "2")])).unwrap();
    for at in 0..twice.len() - 3 {
        if &twice[at..at + 3] == b"two" {
            twice[at..at + 3].copy_from_slice(b"one");
        }
    }
    assert!(unzip_refusal(&twice).contains("the same name"));
}

#[test]
fn a_zip_that_is_cut_short_anywhere_is_refused() {
    let whole = pack(&files(&[("a", "0123456789"), ("b/c", "")])).unwrap();
    let accepted: Vec<_> =
        (0..whole.len()).filter(|end| unpack(&whole[..*end], &Limits::DEFAULT).is_ok()).collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn the_bytes_of_a_package_are_equal_across_tool_versions() {
    // This digest names releases. The test must detect any change of it, also by an update of the zip crate.
    let package =
        pack(&files(&[("lockstep.toml", "[component]\n"), ("parameters/ci.toml", ""), ("t.yaml", "ä")]))
            .unwrap();
    assert_eq!(
        Digest::of(&package).as_str(),
        "2ca7b39e871dd9d972ae0ad3e2354ffdfaa826ca5be89560b9cbe6e896d918a9"
    );
    assert_eq!(pack(&Files::new()).unwrap().len(), 22);
    assert_eq!(unpack(&pack(&Files::new()).unwrap(), &Limits::DEFAULT), Ok(Files::new()));
}

/// Returns folders in the form of a component's.
fn any_files() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let path = "[a-z]{1,4}(/[a-z0-9_é-]{1,4}){0,2}\\.[a-z]{1,3}";
    proptest::collection::vec((path, proptest::collection::vec(any::<u8>(), 0..200)), 0..8)
}

/// Returns names that an attacker would try.
fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "\\.{0,4}",
        "[a-zA-Z]{0,2}",
        "[ -~]{0,3}",
        Just("\\".to_owned()),
        Just("C:".to_owned()),
        Just("é\u{0}".to_owned())
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.join("/"))
}

/// Returns true if a path remains below its parent folder, on this and on other systems.
fn stays_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        && !path.contains(['\\', '\0'])
}

proptest! {
    #[test]
    fn unpacked_files_equal_packed_files(entries in any_files()) {
        let files: Files = entries.into_iter().collect();
        if let Ok(package) = pack(&files) {
            prop_assert_eq!(unpack(&package, &Limits::DEFAULT), Ok(files));
        } else {
            // Example: "a.b" beside "a.b/c.d".
            let is_folder = |path: &String| files.keys().any(|other| other.starts_with(&format!("{path}/")));
            prop_assert!(files.keys().any(is_folder));
        }
    }

    #[test]
    fn the_order_in_which_files_are_found_changes_no_byte(entries in any_files(), turn in any::<prop::sample::Index>()) {
        let files: Files = entries.iter().cloned().collect();
        let mut turned: Vec<_> = files.clone().into_iter().collect();
        if !turned.is_empty() {
            let by = turn.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(pack(&files), pack(&turned.into_iter().collect()));
    }

    #[test]
    fn no_name_leads_out_of_the_folder(names in proptest::collection::vec(any_name(), 1..4)) {
        let mut tar = Tar::new();
        for name in &names {
            tar = tar.pax("path", &format!("top/{name}")).file("top/x", b"");
        }
        if let Ok(tarball) = tar.unpacked() {
            prop_assert!(tarball.files.keys().all(|path| stays_below(path)), "{:?}", tarball.files);
        }
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        let entries: Vec<_> = unique.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
        if let Ok(files) = unpack(&zip_of(&entries, CompressionMethod::Stored), &Limits::DEFAULT) {
            prop_assert!(files.keys().all(|path| stays_below(path)), "{:?}", files);
        }
    }

    #[test]
    fn a_damaged_archive_is_refused_or_has_the_same_content(at in any::<prop::sample::Index>(), with in 1..=255u8) {
        let content = files(&[("a/template.yaml", "Resources: {}"), ("b", "two")]);
        let mut zip = pack(&content).unwrap();
        let at_zip = at.index(zip.len());
        zip[at_zip] ^= with;
        if let Ok(files) = unpack(&zip, &Limits::DEFAULT) {
            prop_assert_eq!(&files, &content);
        }
        let tar = content.iter().fold(Tar::new(), |tar, (path, bytes)| tar.file(&format!("top/{path}"), bytes));
        let mut tarball = tar.gzipped();
        let at_tar = at.index(tarball.len());
        tarball[at_tar] ^= with;
        if let Ok(tarball) = unpack_tarball(&tarball, &Limits::DEFAULT) {
            prop_assert_eq!(&tarball.files, &content);
        }
    }

    #[test]
    fn no_bytes_break_the_readers(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(unpack_tarball(&bytes, &Limits::DEFAULT).is_err());
        prop_assert!(unpack(&bytes, &Limits::DEFAULT).is_err());
        prop_assert!(unpack_tarball(&gzip(&bytes), &Limits::DEFAULT).is_err());
    }
}
