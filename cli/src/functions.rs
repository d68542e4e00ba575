//! The Lambda functions, from source to zip: built by cargo, packed so that equal binaries are equal bytes.

mod glibc;
mod zigbuild;

use crate::failure::{Failure, at};
use lockstep_domain::model::ids::Digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Every function of the control plane, by the name of its crate without `lockstep-`.
pub const NAMES: [&str; 9] =
    ["webhook", "package", "ledger", "resume", "sweep", "stack", "image", "bake", "verify"];

/// The functions that components use by `${functions.<name>}`; the control plane itself runs none of them.
pub const SHIPPED: [&str; 2] = ["elb-logs", "log-intake"];

/// Every function that is built and uploaded.
fn all() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(SHIPPED)
}

/// How the functions are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Quickly, for this machine: what the local cloud runs.
    Dev,
    /// Small, for Lambda's arm64 machines: what AWS gets.
    Lambda,
}

impl Profile {
    /// Returns what the functions are built for, in Lambda's word.
    pub fn architecture(self) -> &'static str {
        match (self, std::env::consts::ARCH) {
            (Self::Lambda, _) | (Self::Dev, "aarch64") => "arm64",
            (Self::Dev, _) => "x86_64",
        }
    }
}

/// Where functions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// On AWS.
    Lambda,
    /// In the local cloud.
    ThisMachine,
}

impl Destination {
    /// Returns what to do about a binary that does not start there.
    fn how_to_build(self) -> String {
        match self {
            Self::Lambda => format!(
                "leave out --functions, and lockstep builds them; by hand: cargo-zigbuild zigbuild --profile lambda \
                 --target {} --package lockstep-<function>",
                zigbuild::target()
            ),
            Self::ThisMachine => "build on this machine: cargo build --workspace --bins".to_owned(),
        }
    }
}

/// Builds every function with one invocation of cargo; answers where each binary is. What building for Lambda takes
/// beside cargo is installed into a folder of its own below `tools`.
pub async fn build(
    sources: &Path,
    cargo: &str,
    profile: Profile,
    tools: &Path,
    told: impl Fn(&str),
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut command = match profile {
        Profile::Dev => {
            let mut command = Command::new(cargo);
            command.arg("build");
            command
        }
        Profile::Lambda => zigbuild::command(cargo, tools, &told).await?,
    };
    forget_this_package(&mut command);
    command.current_dir(sources).arg("--message-format=json-render-diagnostics");
    match profile {
        // The whole workspace, as the command that runs now was built: with fewer packages cargo would choose other
        // features of tokio and its like, and compile the AWS SDKs once more for them.
        Profile::Dev => drop(command.args(["--workspace", "--bins"])),
        // The functions alone, so that none carries a feature that only the command needs.
        Profile::Lambda => {
            command.args(["--profile", "lambda", "--target", &zigbuild::target()]);
            for name in all() {
                command.args(["--package", &format!("lockstep-{name}")]);
            }
        }
    }
    told(&format!("cargo build of {} functions", all().count()));
    // Cargo's own messages (what it compiles, and what does not) go where errors go.
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(at(format!("{cargo} could not be started")))?;
    if !output.status.success() {
        let hint = match profile {
            Profile::Dev => "the messages above say what does not compile",
            Profile::Lambda => {
                "the messages above say why; if the target is missing: rustup target add aarch64-unknown-linux-gnu"
            }
        };
        return Err(Failure::new("the functions could not be built").next(hint));
    }
    let built = executables(&String::from_utf8_lossy(&output.stdout));
    match all().find(|name| !built.contains_key(*name)) {
        None => Ok(built),
        Some(name) => Err(Failure::new(format!("cargo built no binary called lockstep-{name}"))),
    }
}

/// What cargo told this process about its own package would make build scripts that read the same variables run again.
fn forget_this_package(command: &mut Command) {
    const ABOUT_A_PACKAGE: [&str; 5] =
        ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_PRIMARY_", "CARGO_BIN_"];
    let about_a_package = |name: &str| ABOUT_A_PACKAGE.iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_a_package) {
            command.env_remove(name);
        }
    }
}

/// The binaries that cargo's messages name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let message = |line: &str| serde_json::from_str::<Value>(line).ok();
    let executable = |message: Value| {
        let name = message["target"]["name"].as_str()?.strip_prefix("lockstep-")?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    };
    messages.lines().filter_map(message).filter_map(executable).collect()
}

/// The binaries that lie in a folder: `lockstep-<function>` each.
pub fn in_folder(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    all()
        .map(|name| {
            let path = folder.join(format!("lockstep-{name}"));
            if path.is_file() {
                Ok((name.to_owned(), path))
            } else {
                Err(Failure::new(format!("{} does not exist", path.display()))
                    .next("build the functions first, or leave out --functions"))
            }
        })
        .collect()
}

/// A function as Lambda gets it.
#[derive(Clone, Debug)]
pub struct Package {
    /// The zip.
    pub zip: Vec<u8>,
    /// Its SHA-256.
    pub digest: Digest,
}

impl Package {
    /// Packs a binary, if it starts where it is going to run.
    pub fn of(binary: &Path, profile: Profile, destination: Destination) -> Result<Self, Failure> {
        let bytes = match stripped(binary) {
            Some(bytes) => bytes,
            None => std::fs::read(binary).map_err(at(binary.display()))?,
        };
        if destination == Destination::Lambda && profile == Profile::Lambda && !glibc::is_arm64(&bytes) {
            return Err(Failure::new(format!("{} is not built for arm64", binary.display()))
                .next(destination.how_to_build()));
        }
        glibc::check(binary, &bytes, destination)?;
        let zip = zip(&bytes, profile).map_err(at(format!("{} could not be packed", binary.display())))?;
        Ok(Self { digest: Digest::of(&zip), zip })
    }

    /// Where it lies in the artifacts' bucket: equal bytes, equal key.
    pub fn key(&self, function: &str) -> String {
        format!("functions/{function}/{}.zip", self.digest)
    }

    /// The digest in the form of Lambda's `CodeSha256`.
    pub fn code_sha256(&self) -> String {
        code_sha256(&self.digest)
    }
}

/// The digest of a zip as Lambda writes it: base64 instead of hexadecimal digits.
pub fn code_sha256(digest: &Digest) -> String {
    use base64::Engine as _;
    let bytes = hex::decode(digest.as_str()).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The binary without its symbols, by the linker's companion `strip` where there is one: a dev binary is twice as large
/// with them, and packing and sending it take as much longer. The profile for Lambda strips by itself.
fn stripped(binary: &Path) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().ok()?;
    let target = folder.path().join("bootstrap");
    let strip =
        std::process::Command::new("strip").arg("-o").arg(&target).arg(binary).stderr(Stdio::null()).status();
    strip.ok()?.success().then(|| std::fs::read(&target).ok())?
}

/// One file called `bootstrap`, with a fixed time and mode.
///
/// On one machine the time is worth more than the space: compressed a little, less has to be hashed and sent.
fn zip(binary: &[u8], profile: Profile) -> zip::result::ZipResult<Vec<u8>> {
    let level = match profile {
        Profile::Dev => 1,
        Profile::Lambda => 9,
    };
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(level))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options)?;
    writer.write_all(binary)?;
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_binaries_give_equal_packages_and_another_one_another() {
        let (a, b, c) = (
            zip(b"one", Profile::Lambda).unwrap(),
            zip(b"one", Profile::Lambda).unwrap(),
            zip(b"two", Profile::Lambda).unwrap(),
        );
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn a_package_holds_one_executable_called_bootstrap() {
        let mut archive = zip::ZipArchive::new(Cursor::new(zip(b"one", Profile::Lambda).unwrap())).unwrap();
        assert_eq!(archive.len(), 1);
        let file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
    }

    #[test]
    fn the_digest_is_written_as_lambda_writes_it() {
        let package = Package { zip: Vec::new(), digest: Digest::of(b"") };
        assert_eq!(package.code_sha256(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn binaries_are_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"lockstep-stack"},"executable":"/t/lockstep-stack"}
{"reason":"compiler-artifact","target":{"name":"lockstep_domain"},"executable":null}
{"reason":"build-finished","success":true}"#;
        let built = executables(messages);
        assert_eq!(
            built.into_iter().collect::<Vec<_>>(),
            [("stack".to_owned(), PathBuf::from("/t/lockstep-stack"))]
        );
    }
}
