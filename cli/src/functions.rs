//! The Lambda functions, from source to zip. cargo builds them; equal binaries give equal zips.

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
pub const NAMES: [&str; 10] =
    ["webhook", "package", "ledger", "resume", "sweep", "stack", "image", "bake", "verify", "drift"];

/// The functions that components use by `${functions.<name>}`; the control plane itself runs none of them.
pub const SHIPPED: [&str; 2] = ["elb-logs", "log-intake"];

/// Returns the name of every function that is built and uploaded.
fn all() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(SHIPPED)
}

/// The build profile of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// A fast build for this machine, for the local cloud.
    Dev,
    /// A small build for Lambda's arm64 machines.
    Lambda,
}

impl Profile {
    /// Returns the processor architecture, in Lambda's word.
    pub fn architecture(self) -> &'static str {
        match (self, std::env::consts::ARCH) {
            (Self::Lambda, _) | (Self::Dev, "aarch64") => "arm64",
            (Self::Dev, _) => "x86_64",
        }
    }
}

/// The place where the functions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// AWS.
    Lambda,
    /// The local cloud.
    ThisMachine,
}

impl Destination {
    /// Returns the next step after a binary that cannot start there.
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

/// Builds every function with one invocation of cargo. Returns the path of each binary. The other tools of a build for
/// Lambda are installed into a folder below `tools`. `report` receives each step.
pub async fn build(
    sources: &Path,
    cargo: &str,
    profile: Profile,
    tools: &Path,
    report: impl Fn(&str),
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut command = match profile {
        Profile::Dev => {
            let mut command = Command::new(cargo);
            command.arg("build");
            command
        }
        Profile::Lambda => zigbuild::command(cargo, tools, &report).await?,
    };
    forget_this_package(&mut command);
    command.current_dir(sources).arg("--message-format=json-render-diagnostics");
    match profile {
        // The whole workspace, as this command was built. With fewer packages, cargo would choose other features of
        // tokio and similar crates, and compile the AWS SDKs once more for them.
        Profile::Dev => drop(command.args(["--workspace", "--bins"])),
        // The functions alone, so that none carries a feature that only the command needs.
        Profile::Lambda => {
            command.args(["--profile", "lambda", "--target", &zigbuild::target()]);
            command.env("CARGO_ENCODED_RUSTFLAGS", without_paths(sources));
            for name in all() {
                command.args(["--package", &format!("lockstep-{name}")]);
            }
        }
    }
    report(&format!("cargo build of {} functions", all().count()));
    // cargo's own messages are printed on standard error.
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(at(format!("{cargo} could not be started")))?;
    if !output.status.success() {
        let hint = match profile {
            Profile::Dev => "read the compiler's messages above",
            Profile::Lambda => {
                "read the messages above; if the target is missing: rustup target add aarch64-unknown-linux-gnu"
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

/// Removes cargo's variables about this process's own package. Build scripts that read them would run again.
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

/// Returns the compiler's options, in cargo's form, under which a binary holds no path of this machine or user: panics name
/// their files. cargo leaves these options out of the names of symbols, so two builds of one commit are equal.
fn without_paths(sources: &Path) -> String {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let registry = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let places = [(Some(sources.to_owned()), "/lockstep"), (target, "/target"), (registry, "/cargo")];
    let options = places.into_iter().filter_map(|(from, to)| {
        // rustc takes the last option that fits, and the folders may be within each other.
        Some(format!("--remap-path-prefix={}={to}", from?.display()))
    });
    options.collect::<Vec<_>>().join("\u{1f}")
}

/// Returns the binaries that cargo's messages name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let message = |line: &str| serde_json::from_str::<Value>(line).ok();
    let executable = |message: Value| {
        let name = message["target"]["name"].as_str()?.strip_prefix("lockstep-")?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    };
    messages.lines().filter_map(message).filter_map(executable).collect()
}

/// Returns the binaries in a folder, each named `lockstep-<function>`.
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

/// The deployment package of a function.
#[derive(Clone, Debug)]
pub struct Package {
    /// The zip.
    pub zip: Vec<u8>,
    /// Its SHA-256.
    pub digest: Digest,
}

impl Package {
    /// Packs a binary. Refuses one that cannot start at its destination.
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

    /// Returns the key in the artifact bucket. Equal bytes have equal keys.
    pub fn key(&self, function: &str) -> String {
        format!("functions/{function}/{}.zip", self.digest)
    }

    /// Returns the digest in the form of Lambda's `CodeSha256`.
    pub fn code_sha256(&self) -> String {
        code_sha256(&self.digest)
    }
}

/// Returns the digest of a zip in Lambda's form: base64 instead of hexadecimal digits.
pub fn code_sha256(digest: &Digest) -> String {
    use base64::Engine as _;
    let bytes = hex::decode(digest.as_str()).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Returns the binary without its symbols, or `None` if this machine has no `strip`. Symbols double the size of a dev
/// binary, and the time to pack and send it. cargo already strips in the profile for Lambda. The build id is removed with
/// them: it is a digest of the paths in them too, so equal code would have different packages.
fn stripped(binary: &Path) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().ok()?;
    let target = folder.path().join("bootstrap");
    let strip = std::process::Command::new("strip")
        .arg("--remove-section=.note.gnu.build-id")
        .arg("-o")
        .arg(&target)
        .arg(binary)
        .stderr(Stdio::null())
        .status();
    strip.ok()?.success().then(|| std::fs::read(&target).ok())?
}

/// Returns a zip with one file called `bootstrap`, with a fixed time and mode.
///
/// On this machine a low compression level is fastest: it saves more time of hashing and sending than it costs.
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
    fn only_equal_binaries_give_equal_packages() {
        let (a, b, c) = (
            zip(b"one", Profile::Lambda).unwrap(),
            zip(b"one", Profile::Lambda).unwrap(),
            zip(b"two", Profile::Lambda).unwrap(),
        );
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn a_function_for_lambda_holds_no_path_of_the_machine() {
        let options = without_paths(Path::new("/home/ada/lockstep"));
        assert!(options.starts_with("--remap-path-prefix=/home/ada/lockstep=/lockstep"), "{options}");
        assert!(options.ends_with("=/cargo"), "{options}");
        assert!(
            options.split('\u{1f}').all(|option| option.starts_with("--remap-path-prefix=")),
            "{options}"
        );
    }

    #[test]
    fn a_package_contains_one_executable_called_bootstrap() {
        let mut archive = zip::ZipArchive::new(Cursor::new(zip(b"one", Profile::Lambda).unwrap())).unwrap();
        assert_eq!(archive.len(), 1);
        let file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
    }

    #[test]
    fn the_digest_has_lambdas_form() {
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
