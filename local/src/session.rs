//! The daemon form of the local cloud: `lockstep local up`, `status` and `down`.
//!
//! One process for each state directory runs the cloud and the git host. It holds a lock for its whole life,
//! and that lock decides if it runs: another process may have the process id in a file by now. The session
//! file holds every address. The installer of the control plane adds the credentials that it created.

use crate::accounts::{Accounts, RootSecrets};
use crate::cloud::{CloudError, CloudOptions, LocalCloud};
use crate::git_host::{GitHost, GitHostError, GitHostOptions};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Version of this library. A command uses only a cloud that the same version started.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Content of the session file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon; also its process group.
    pub pid: u32,
    /// Endpoint of every AWS service.
    pub endpoint: String,
    /// Address of the git host's API.
    pub git_host: String,
    /// Token of the git host's API.
    pub git_token: String,
    /// Folder of the bare repositories.
    pub repositories: PathBuf,
    /// Time at which the daemon was ready, in seconds since 1970.
    pub started_at: u64,
    /// Region.
    pub region: String,
    /// Accounts by alias.
    pub accounts: Accounts,
    /// Secrets of the accounts' root access keys.
    pub root_secrets: RootSecrets,
    /// Log of the daemon.
    pub log: PathBuf,
    /// Log of the emulator.
    pub emulator_log: PathBuf,
    /// Results of the control plane's installation for its users: access keys, URLs, names.
    #[serde(default)]
    pub credentials: Map<String, Value>,
}

/// What every version writes into its session file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Daemon {
    /// Process id of the daemon; also its process group.
    pub pid: u32,
    /// Endpoint of every AWS service.
    pub endpoint: String,
    /// Version of the daemon; empty if it is older than this field.
    #[serde(default)]
    pub version: String,
}

impl From<Session> for Daemon {
    fn from(session: Session) -> Self {
        Self { pid: session.pid, endpoint: session.endpoint, version: session.version }
    }
}

/// Status of the daemon of a state directory.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// No daemon runs.
    Stopped,
    /// A daemon starts: it holds the lock and has not written its session yet.
    Starting,
    /// A daemon runs.
    Running(Box<Session>),
    /// A daemon of another version runs. Only [`down`] acts on it.
    OtherVersion(Daemon),
}

/// Error of an action on the daemon.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A daemon runs already.
    #[error(
        "the local cloud of {0} is already running. `lockstep local status` shows it, `lockstep local down` stops it."
    )]
    AlreadyRunning(PathBuf),
    /// No daemon runs.
    #[error("the local cloud of {0} is not running. Start it with `lockstep local up`.")]
    NotRunning(PathBuf),
    /// A daemon of another version runs.
    #[error(
        "the local cloud of {state_dir} is of version {found}, and this command of version {VERSION}. \
         `lockstep local down` stops it."
    )]
    OtherVersion {
        /// The state directory.
        state_dir: PathBuf,
        /// Version of the daemon.
        found: String,
    },
    /// The daemon did not become ready.
    #[error("the local cloud did not get ready ({why}). The end of its log ({log}):\n{tail}")]
    NotReady {
        /// Event that prevented it.
        why: String,
        /// Log of the daemon.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// The daemon did not end, not even after a kill.
    #[error("the local cloud (process {0}) does not end. Look at what it is doing, for example with `ps`.")]
    DoesNotEnd(u32),
    /// A file or process could not be used.
    #[error("could not {step}")]
    Os {
        /// Failed step, as a verb phrase.
        step: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The cloud could not be started.
    #[error(transparent)]
    LocalCloud(#[from] CloudError),
    /// The git host could not be started.
    #[error(transparent)]
    GitHost(#[from] GitHostError),
    /// The emulator ended unexpectedly.
    #[error("the emulator ended unexpectedly. Its log is {0}.")]
    EmulatorEnded(PathBuf),
}

/// The lock of a running daemon, released when it is dropped.
///
/// To close the file is not enough: a process that another thread forks shares the open file until it executes its
/// program, and with it the lock.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // The file is closed next, which releases the lock too unless a process shares it.
        let _ = self.0.unlock();
    }
}

/// Files of a daemon in a state directory.
#[derive(Clone, Debug)]
struct Files {
    state_dir: PathBuf,
}

impl Files {
    fn new(state_dir: &Path) -> Result<Self, SessionError> {
        std::fs::create_dir_all(state_dir).map_err(os(format!("create {}", state_dir.display())))?;
        let state_dir = state_dir.canonicalize().map_err(os(format!("find {}", state_dir.display())))?;
        Ok(Self { state_dir })
    }

    fn session(&self) -> PathBuf {
        self.state_dir.join("session.json")
    }

    fn log(&self) -> PathBuf {
        self.state_dir.join("logs/local.log")
    }

    /// Acquires the lock of a running daemon; `None` if another process holds it.
    fn try_lock(&self) -> Result<Option<Lock>, SessionError> {
        let path = self.state_dir.join("session.lock");
        let failed = os(format!("lock {}", path.display()));
        let file = File::create(&path).map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Reads the session file; `None` if there is none. The file is always written as a whole.
    fn read(&self) -> Result<Option<SessionFile>, SessionError> {
        let bytes = match std::fs::read(self.session()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(os("read the session file")(error)),
        };
        let daemon: Daemon =
            serde_json::from_slice(&bytes).map_err(|error| os("read the session file")(error.into()))?;
        let session = serde_json::from_slice(&bytes).ok().filter(|_| daemon.version == VERSION);
        Ok(Some(
            session
                .map_or(SessionFile::OtherVersion(daemon), |session| SessionFile::Session(Box::new(session))),
        ))
    }

    /// Replaces the session file atomically. It holds secrets, so only its owner may read it.
    fn write(&self, session: &Session) -> Result<(), SessionError> {
        let failed = os(format!("write {}", self.session().display()));
        // A temporary file is readable by its owner only.
        let mut file = tempfile::NamedTempFile::new_in(&self.state_dir).map_err(&failed)?;
        let bytes = serde_json::to_vec_pretty(session).map_err(|error| failed(error.into()))?;
        file.write_all(&bytes).map_err(&failed)?;
        file.persist(self.session()).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn remove(&self) -> Result<(), SessionError> {
        match std::fs::remove_file(self.session()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(os("remove the session file")(error))
            }
            _ => Ok(()),
        }
    }
}

/// Content of a session file.
enum SessionFile {
    Session(Box<Session>),
    OtherVersion(Daemon),
}

/// Returns the status of the daemon of this state directory. It removes the files of a killed daemon.
///
/// # Errors
///
/// [`SessionError::Os`] if the files cannot be read.
pub fn status(state_dir: &Path) -> Result<Status, SessionError> {
    let files = Files::new(state_dir)?;
    if let Some(_lock) = files.try_lock()? {
        files.remove()?;
        return Ok(Status::Stopped);
    }
    Ok(match files.read()? {
        None => Status::Starting,
        Some(SessionFile::Session(session)) => Status::Running(session),
        Some(SessionFile::OtherVersion(daemon)) => Status::OtherVersion(daemon),
    })
}

/// Returns the session of the running daemon.
///
/// # Errors
///
/// [`SessionError::NotRunning`] if there is none, or it is not ready yet; [`SessionError::OtherVersion`].
pub fn running(state_dir: &Path) -> Result<Session, SessionError> {
    match status(state_dir)? {
        Status::Running(session) => Ok(*session),
        Status::OtherVersion(daemon) => {
            Err(SessionError::OtherVersion { state_dir: state_dir.to_owned(), found: daemon.version })
        }
        Status::Stopped | Status::Starting => Err(SessionError::NotRunning(state_dir.to_owned())),
    }
}

/// Changes the session file of the running daemon, for example to add credentials. Returns the new session.
///
/// # Errors
///
/// [`SessionError::NotRunning`] if there is no daemon.
pub fn update(state_dir: &Path, change: impl FnOnce(&mut Session)) -> Result<Session, SessionError> {
    let files = Files::new(state_dir)?;
    let path = files.state_dir.join("session.update.lock");
    let failed = os(format!("lock {}", path.display()));
    // Two writers take turns. Readers need no lock, since the file is replaced as a whole.
    let turn = File::create(&path).map_err(&failed)?;
    turn.lock().map_err(&failed)?;
    let mut session = running(state_dir)?;
    change(&mut session);
    files.write(&session)?;
    Ok(session)
}

/// Starts `executable` with `arguments` as a separate daemon for the state directory, and waits until it is
/// ready. The executable must call [`serve_until_stopped`]. Its output is written to a log in the state
/// directory.
///
/// # Errors
///
/// [`SessionError::AlreadyRunning`] if there is one; [`SessionError::NotReady`] if it ends, or is not ready
/// within `deadline`: then it was killed.
pub async fn spawn_detached<A: AsRef<OsStr>>(
    state_dir: &Path,
    executable: &Path,
    arguments: &[A],
    deadline: Duration,
) -> Result<Session, SessionError> {
    let files = Files::new(state_dir)?;
    if status(state_dir)? != Status::Stopped {
        return Err(SessionError::AlreadyRunning(state_dir.to_owned()));
    }
    let log = files.log();
    let mut child = start(&log, executable, arguments)?;
    let start = Instant::now();
    loop {
        if let Some(SessionFile::Session(session)) = files.read()?
            && session.pid == child.id()
        {
            return Ok(*session);
        }
        let ended = child.try_wait().map_err(os("look after the local cloud"))?;
        let why = match ended {
            Some(status) => format!("it ended: {status}"),
            None if start.elapsed() > deadline => format!("nothing within {} seconds", deadline.as_secs()),
            None => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if ended.is_none() {
            signal_group(child.id(), Signal::KILL);
            let _ = child.wait();
        }
        return Err(SessionError::NotReady { why, tail: tail(&log), log });
    }
}

fn start<A: AsRef<OsStr>>(
    log: &Path,
    executable: &Path,
    arguments: &[A],
) -> Result<std::process::Child, SessionError> {
    let failed = os(format!("write the log {}", log.display()));
    std::fs::create_dir_all(log.parent().unwrap_or(log)).map_err(&failed)?;
    let output = File::create(log).map_err(&failed)?;
    let errors = output.try_clone().map_err(&failed)?;
    Command::new(executable)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        // A separate process group, so that the terminal's Ctrl-C does not reach it.
        .process_group(0)
        .spawn()
        .map_err(os(format!("start {}", executable.display())))
}

/// Runs a cloud and a git host until SIGTERM or SIGINT, or until the process `owner` has ended, if one is
/// named. This is the whole life of the daemon.
///
/// # Errors
///
/// [`SessionError::AlreadyRunning`] if another process holds this state directory; the errors of starting;
/// [`SessionError::EmulatorEnded`] if the emulator ends unexpectedly.
pub async fn serve_until_stopped(
    options: CloudOptions,
    owner: Option<u32>,
    progress: impl Fn(&str),
) -> Result<(), SessionError> {
    let files = Files::new(&options.state_dir)?;
    let Some(lock) = take_lock(&files).await? else {
        return Err(SessionError::AlreadyRunning(options.state_dir.clone()));
    };
    let mut stop = Stop::listen()?;
    let result = tokio::select! {
        result = serve(&files, options, progress) => result,
        () = stop.asked() => Ok(()),
        () = gone(owner) => Ok(()),
    };
    // Every process of the daemon has ended with `serve`. The file is removed before the lock is released.
    files.remove()?;
    drop(lock);
    result
}

/// Waits until the process `owner` has ended in any way; for ever if there is none.
async fn gone(owner: Option<u32>) {
    let owner = owner.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    while owner.is_none_or(|owner| rustix::process::test_kill_process(owner).is_ok()) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Acquires the daemon's lock. `status` holds it for an instant to test it, so the function waits for that.
async fn take_lock(files: &Files) -> Result<Option<Lock>, SessionError> {
    let start = Instant::now();
    loop {
        let lock = files.try_lock()?;
        if lock.is_some() || start.elapsed() > Duration::from_secs(1) {
            return Ok(lock);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn serve(files: &Files, options: CloudOptions, progress: impl Fn(&str)) -> Result<(), SessionError> {
    let mut cloud = LocalCloud::start(options, progress).await?;
    let repositories = files.state_dir.join("repositories");
    let token = uuid::Uuid::new_v4().simple().to_string();
    let git_host = GitHost::start(GitHostOptions { root: repositories.clone(), token }).await?;
    files.write(&Session {
        version: VERSION.to_owned(),
        pid: std::process::id(),
        endpoint: cloud.endpoint().to_owned(),
        git_host: git_host.base_url().to_owned(),
        git_token: git_host.token().to_owned(),
        repositories,
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        region: cloud.region().to_owned(),
        accounts: cloud.accounts().clone(),
        root_secrets: cloud.root_secrets().clone(),
        log: files.log(),
        emulator_log: cloud.log().to_owned(),
        credentials: Map::new(),
    })?;
    while cloud.is_running() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(SessionError::EmulatorEnded(cloud.log().to_owned()))
}

/// Signals that end the daemon.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    // A handler, so that the signal does not end the daemon: the terminal that started it may close.
    _hang_up: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, SessionError> {
        let on = |kind| signal(kind).map_err(os("listen to signals"));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            _hang_up: on(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

/// Stops the daemon, whatever its version, and waits for the end of all its processes. Returns what it was.
///
/// It sends SIGTERM first, and kills the daemon if it has not ended within `deadline`.
///
/// # Errors
///
/// [`SessionError::NotRunning`] if there is none; [`SessionError::DoesNotEnd`] if the kill fails.
pub async fn down(state_dir: &Path, deadline: Duration) -> Result<Daemon, SessionError> {
    let daemon = match status(state_dir)? {
        Status::Running(session) => Daemon::from(*session),
        Status::OtherVersion(daemon) => daemon,
        Status::Stopped | Status::Starting => return Err(SessionError::NotRunning(state_dir.to_owned())),
    };
    signal_process(daemon.pid, Signal::TERM);
    if !stops_within(state_dir, deadline).await? {
        signal_group(daemon.pid, Signal::KILL);
        if !stops_within(state_dir, Duration::from_secs(5)).await? {
            return Err(SessionError::DoesNotEnd(daemon.pid));
        }
    }
    Ok(daemon)
}

async fn stops_within(state_dir: &Path, deadline: Duration) -> Result<bool, SessionError> {
    let start = Instant::now();
    while status(state_dir)? != Status::Stopped {
        if start.elapsed() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(true)
}

fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended already, which is the goal.
        let _ = kill_process(pid, signal);
    }
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

fn os(step: impl Into<String>) -> impl Fn(io::Error) -> SessionError {
    let step = step.into();
    move |source| SessionError::Os { step: step.clone(), source }
}

fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn session() -> Session {
        Session {
            version: VERSION.into(),
            pid: 1,
            endpoint: "http://127.0.0.1:1".into(),
            git_host: "http://127.0.0.1:2".into(),
            git_token: "t".into(),
            repositories: "/r".into(),
            started_at: 0,
            region: "eu-west-1".into(),
            accounts: Accounts::default(),
            root_secrets: RootSecrets::random(&Accounts::default()),
            log: "/l".into(),
            emulator_log: "/e".into(),
            credentials: Map::new(),
        }
    }

    #[test]
    fn a_session_left_by_a_killed_daemon_is_removed_and_counts_as_stopped() {
        let state = tempfile::tempdir().expect("a folder");
        let files = Files::new(state.path()).expect("files");
        files.write(&session()).expect("written");
        assert_eq!(status(state.path()).expect("a status"), Status::Stopped);
        assert!(!files.session().exists());
        assert!(matches!(running(state.path()), Err(SessionError::NotRunning(_))));
    }

    #[test]
    fn a_released_lock_is_free_while_a_process_shares_its_file() {
        let state = tempfile::tempdir().expect("a folder");
        let files = Files::new(state.path()).expect("a state directory");
        let lock = files.try_lock().expect("no error").expect("free");
        let shared = lock.0.try_clone().expect("a copy, as a forked process has it");
        assert!(files.try_lock().expect("no error").is_none(), "held");
        drop(lock);
        assert!(files.try_lock().expect("no error").is_some(), "free");
        drop(shared);
    }

    #[test]
    fn a_held_lock_means_running_and_the_file_has_the_addresses() {
        let state = tempfile::tempdir().expect("a folder");
        let files = Files::new(state.path()).expect("files");
        let lock = files.try_lock().expect("no error").expect("free");
        assert_eq!(status(state.path()).expect("a status"), Status::Starting);
        let written = session();
        files.write(&written).expect("written");
        assert_eq!(running(state.path()).expect("running"), written);
        let updated = update(state.path(), |session| {
            session.credentials.insert("operator".into(), Value::from("key"));
        });
        assert_eq!(running(state.path()).expect("running"), updated.expect("updated"));
        drop(lock);
        assert_eq!(status(state.path()).expect("a status"), Status::Stopped);
    }

    #[test]
    fn a_cloud_of_another_version_is_named_and_not_used() {
        let state = tempfile::tempdir().expect("a folder");
        let files = Files::new(state.path()).expect("files");
        let lock = files.try_lock().expect("no error").expect("free");
        let other = Session { version: "0.0.1".into(), ..session() };
        files.write(&other).expect("written");
        let named = Status::OtherVersion(Daemon::from(other));
        assert_eq!(status(state.path()).expect("a status"), named);
        let refusal = running(state.path()).expect_err("another version").to_string();
        assert!(refusal.contains("version 0.0.1") && refusal.contains("local down"), "{refusal}");
        // A file of this version whose other fields are not known counts alike.
        let unknown = serde_json::json!({"pid": 1, "endpoint": "http://127.0.0.1:1", "version": VERSION});
        std::fs::write(files.session(), unknown.to_string()).expect("written");
        assert!(matches!(status(state.path()), Ok(Status::OtherVersion(_))));
        drop(lock);
    }

    #[test]
    fn only_its_owner_may_read_the_session_file() {
        let state = tempfile::tempdir().expect("a folder");
        let files = Files::new(state.path()).expect("files");
        files.write(&session()).expect("written");
        let mode = std::fs::metadata(files.session()).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
