//! The running emulator: starts it, waits until it answers, and stops it with every process that it started.

use crate::accounts::{Accounts, REGION, RootSecrets};
use crate::calls::{CallLog, CallRecord, EventRecord};
use crate::controls::Controls;
use crate::emulator::Emulator;
use crate::faults::Faults;
use crate::http::{Client, NOTHING};
use crate::virtual_environment::PythonError;
use axum::http::Method;
use backon::{ConstantBuilder, Retryable as _};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Timeout of a control request. A cloud on a busy machine answers late.
pub(crate) const CONTROL_DEADLINE: Duration = Duration::from_secs(30);
/// Number of retained logs of earlier emulators.
const LOGS_KEPT: usize = 20;
/// Variable that names a folder. The emulator then writes a recording of its run to it, as `README.md`
/// describes.
pub const RECORDING: &str = "LOCKSTEP_RECORDING";
/// Timeout for the emulator to write the end of its recording.
const RECORDING_ENDS_WITHIN: Duration = Duration::from_secs(15);
/// Number of further ports to try when another process takes the free one.
const PORT_RETRIES: usize = 2;

/// Options of a local cloud.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    /// Folder of the virtual environment, the log and temporary files.
    pub state_dir: PathBuf,
    /// Accounts. A request with a key of no account belongs to the control plane's account.
    pub accounts: Accounts,
    /// Region of requests that name none.
    pub region: String,
    /// Factor on the Wait states and retry delays of state machines: 0 makes them instant, 1 is real time.
    pub wait_scale: f64,
    /// Time for which a copied or created image remains `pending`.
    pub image_delay: Duration,
    /// Time for which a CodeBuild build is in progress.
    pub build_delay: Duration,
    /// Log of the emulator; by default `logs/emulator-<port>.log` in the state directory.
    pub log: Option<PathBuf>,
    /// Timeout for the emulator's first response.
    pub start_deadline: Duration,
    /// Folder for the recording of the run. `None` writes no recording.
    pub recording: Option<PathBuf>,
    /// Further environment variables of the emulator and of every Lambda function.
    pub environment: Vec<(OsString, OsString)>,
}

impl CloudOptions {
    /// Returns the defaults: three accounts, instant waits, 300 ms for images and builds, a minute to start.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            accounts: Accounts::default(),
            region: REGION.to_owned(),
            wait_scale: 0.0,
            image_delay: Duration::from_millis(300),
            build_delay: Duration::from_millis(300),
            log: None,
            start_deadline: Duration::from_secs(60),
            recording: None,
            environment: Vec::new(),
        }
    }

    /// Returns these options with a recording in the folder that `LOCKSTEP_RECORDING` names, if it is set.
    /// The tests of the cloud itself record nothing: their calls are not calls of Lockstep.
    #[must_use]
    pub fn recorded_on_demand(self) -> Self {
        let folder = std::env::var_os(RECORDING).filter(|folder| !folder.is_empty());
        Self { recording: folder.map(PathBuf::from), ..self }
    }
}

/// Reason why the local cloud could not be started.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The emulator could not be installed.
    #[error(transparent)]
    Emulator(#[from] PythonError),
    /// A file or process could not be created.
    #[error("could not {step}")]
    Os {
        /// Failed step, as a verb phrase.
        step: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The emulator ended instead of answering.
    #[error("the emulator ended ({status}) before it answered. The end of its log ({log}):\n{tail}")]
    Ended {
        /// Exit status of the emulator.
        status: ExitStatus,
        /// Log of the emulator.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// The emulator runs but does not answer.
    #[error(
        "the emulator did not answer within {} seconds. The machine may be overloaded; \
         its log is {log}, and ends:\n{tail}",
        waited.as_secs()
    )]
    Silent {
        /// Time that was waited.
        waited: Duration,
        /// Log of the emulator.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
}

/// A running local cloud. Dropping it ends the emulator and every Lambda process that it started. So does any
/// end of this process.
#[derive(Debug)]
pub struct LocalCloud {
    process: Process,
    endpoint: String,
    log: PathBuf,
    accounts: Accounts,
    root_secrets: RootSecrets,
    region: String,
    client: Client,
}

impl LocalCloud {
    /// Installs the emulator if necessary, starts it on a free port of the loopback address and waits until
    /// it answers. `progress` receives a sentence for each step of an installation.
    ///
    /// # Errors
    ///
    /// [`CloudError`]. No process keeps running.
    pub async fn start(mut options: CloudOptions, progress: impl Fn(&str)) -> Result<Self, CloudError> {
        // The emulator runs functions in separate folders, where a relative path would mean another folder.
        options.state_dir =
            std::path::absolute(&options.state_dir).map_err(os("find the state directory"))?;
        let emulator = Emulator::install(&options.state_dir, progress).await?;
        (|| Self::start_once(&emulator, &options))
            .retry(ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(PORT_RETRIES))
            // Another process took the free port before the emulator did: try another one.
            .when(|error| matches!(error, CloudError::Ended { tail, .. } if taken(tail)))
            .await
    }

    async fn start_once(emulator: &Emulator, options: &CloudOptions) -> Result<Self, CloudError> {
        let port = free_port().map_err(os("find a free port on the loopback address"))?;
        let log = match &options.log {
            Some(log) => log.clone(),
            None => options.state_dir.join(format!("logs/emulator-{port}.log")),
        };
        let endpoint = format!("http://127.0.0.1:{port}");
        let root_secrets = RootSecrets::random(&options.accounts);
        let process = Process::start(emulator, options, &root_secrets, port, &log)?;
        let mut cloud = Self {
            process,
            endpoint,
            log,
            accounts: options.accounts.clone(),
            root_secrets,
            region: options.region.clone(),
            client: Client::new(CONTROL_DEADLINE),
        };
        cloud.wait_until_it_answers(options.start_deadline).await?;
        Ok(cloud)
    }

    async fn wait_until_it_answers(&mut self, deadline: Duration) -> Result<(), CloudError> {
        let health = Client::new(Duration::from_secs(5));
        let url = format!("{}/_ministack/health", self.endpoint);
        let start = Instant::now();
        while start.elapsed() < deadline {
            if health.json::<Value>(Method::GET, &url, NOTHING).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.child.try_wait().map_err(os("look after the emulator"))? {
                return Err(CloudError::Ended { status, tail: tail(&self.log), log: self.log.clone() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(CloudError::Silent { waited: start.elapsed(), tail: tail(&self.log), log: self.log.clone() })
    }

    /// Returns the endpoint of every AWS service: `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Returns the secrets of the accounts' root access keys.
    pub fn root_secrets(&self) -> &RootSecrets {
        &self.root_secrets
    }

    /// Returns the region of requests that name none.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the emulator's log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the process id of the emulator, which is also its process group.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Returns true if the emulator still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    /// Injects faults.
    pub fn faults(&self) -> Faults {
        Faults::new(self.client.clone(), &self.endpoint)
    }

    /// Returns the log of calls and of function executions.
    pub fn calls(&self) -> CallLog<CallRecord> {
        CallLog::new(self.client.clone(), &self.endpoint)
    }

    /// Returns the log of published events.
    pub fn events(&self) -> CallLog<EventRecord> {
        CallLog::new(self.client.clone(), &self.endpoint)
    }

    /// Returns the controls for changes that no AWS call can make.
    pub fn controls(&self) -> Controls {
        Controls::new(&self.endpoint)
    }

    /// Ends the emulator and every process that it started, and waits for their end.
    pub fn stop(self) {
        drop(self);
    }
}

/// The emulator's process group and its temporary folder. Both end with the value.
#[derive(Debug)]
struct Process {
    child: Child,
    temporary: PathBuf,
    recorded: bool,
}

impl Process {
    fn start(
        emulator: &Emulator,
        options: &CloudOptions,
        root_secrets: &RootSecrets,
        port: u16,
        log: &Path,
    ) -> Result<Self, CloudError> {
        let temporary = options.state_dir.join(format!("tmp/{port}"));
        if temporary.exists() {
            // Files of a killed emulator on this port. The port is free, so that emulator has ended.
            std::fs::remove_dir_all(&temporary).map_err(os("clear the emulator's temporary folder"))?;
        }
        for folder in [Some(temporary.as_path()), log.parent()].into_iter().flatten() {
            std::fs::create_dir_all(folder).map_err(os(format!("create {}", folder.display())))?;
        }
        forget_old_logs(&options.state_dir.join("logs"));
        let output = std::fs::File::create(log).map_err(os(format!("write the log {}", log.display())))?;
        let errors = output.try_clone().map_err(os("share the emulator's log"))?;
        let child = Command::new(&emulator.python)
            .args(["-m", "overlay"])
            .env_clear()
            .envs(environment(emulator, options, port, &temporary))
            // The overlay removes it from its environment before it starts a function.
            .env("LOCKSTEP_ROOT_SECRETS", root_secrets.to_json())
            // This process keeps the other end and never writes. When that end closes, the overlay ends its
            // process group.
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(os(format!("start {}", emulator.python.display())))?;
        let recorded = options.recording.is_some();
        Ok(Self { child, temporary, recorded })
    }

    /// Closes the emulator's standard input, and waits until it has written the end of its recording and
    /// ended.
    #[expect(clippy::disallowed_methods, reason = "a destructor cannot await, and this takes milliseconds")]
    fn end_recording(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + RECORDING_ENDS_WITHIN;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.recorded {
            self.end_recording();
        }
        // The id of a reaped child is free. Another process may have it by now.
        if let Ok(None) = self.child.try_wait() {
            if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                // All state is in memory, so a clean shutdown saves nothing.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.temporary);
    }
}

/// Returns the whole environment of the emulator. No variable of the user reaches it, above all no
/// credentials.
fn environment(
    emulator: &Emulator,
    options: &CloudOptions,
    port: u16,
    temporary: &Path,
) -> Vec<(OsString, OsString)> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let control_plane = options.accounts.control_plane().unwrap_or("000000000000");
    let mut variables: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), path),
        ("HOME".into(), temporary.into()),
        ("TMPDIR".into(), temporary.into()),
        ("LOCKSTEP_TEMPORARY".into(), temporary.into()),
        ("PYTHONPATH".into(), emulator.overlay.clone().into()),
    ];
    let settings = [
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("BIND_HOST", "127.0.0.1".to_owned()),
        ("GATEWAY_PORT", port.to_string()),
        ("AUTH", "true".to_owned()),
        ("AWS_ENDPOINT_URL", endpoint),
        ("MINISTACK_ACCOUNT_ID", control_plane.to_owned()),
        ("MINISTACK_REGION", options.region.clone()),
        ("SFN_WAIT_SCALE", options.wait_scale.to_string()),
        ("LOCKSTEP_IMAGE_DELAY_MS", options.image_delay.as_millis().to_string()),
        ("LOCKSTEP_BUILD_DELAY_MS", options.build_delay.as_millis().to_string()),
        ("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.2".to_owned()),
        // Off: they cost start time and ports, and Lockstep uses none of them.
        ("SFTP_ENABLED", "0".to_owned()),
        ("IOT_MTLS_ENABLED", "0".to_owned()),
        ("CLOUDTRAIL_RECORDING", "0".to_owned()),
        // No Docker daemon, even where one runs.
        ("DOCKER_HOST", format!("unix://{}/no-docker", temporary.display())),
    ];
    variables.extend(settings.into_iter().map(|(name, value)| (name.into(), value.into())));
    // A relative folder means another one for a process in another directory.
    let recording = options.recording.as_ref().and_then(|folder| std::path::absolute(folder).ok());
    variables.extend(recording.map(|folder| (RECORDING.into(), folder.into_os_string())));
    variables.extend(options.environment.iter().cloned());
    variables
}

/// Removes all but the newest logs of emulators. A later start removes files that cannot be removed now.
fn forget_old_logs(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut logs: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("emulator-"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    logs.sort();
    for (_, path) in logs.iter().rev().skip(LOGS_KEPT) {
        let _ = std::fs::remove_file(path);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn taken(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}

fn os(step: impl Into<String>) -> impl FnOnce(io::Error) -> CloudError {
    let step = step.into();
    move |source| CloudError::Os { step, source }
}

/// Returns the last lines of a log.
fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_logs_of_emulators_are_retained() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..LOGS_KEPT + 5 {
            std::fs::write(folder.path().join(format!("emulator-{number}.log")), "").expect("written");
        }
        std::fs::write(folder.path().join("local.log"), "").expect("written");
        forget_old_logs(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), LOGS_KEPT + 1);
    }

    #[test]
    fn no_variable_of_the_user_reaches_the_emulator() {
        let emulator = Emulator { python: "python".into(), overlay: "/overlay".into() };
        let options = CloudOptions::new("/state");
        let variables = environment(&emulator, &options, 4566, Path::new("/state/tmp/4566"));
        let value = |wanted: &str| {
            variables.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.to_str())
        };
        assert_eq!(value("AWS_ENDPOINT_URL"), Some("http://127.0.0.1:4566"));
        assert_eq!(value("MINISTACK_ACCOUNT_ID"), Some("111111111111"));
        assert_eq!(value("SFN_WAIT_SCALE"), Some("0"));
        assert_eq!(value("AUTH"), Some("true"));
        let aws: Vec<_> =
            variables.iter().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")).collect();
        assert_eq!(aws.len(), 1, "only the endpoint: {aws:?}");
    }
}
