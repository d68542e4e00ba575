//! The daemon form of the local cloud: `lockstep local up`, `status` and `down`.
//!
//! One process per state directory serves the cloud and the git host. It holds a lock for as long as it
//! lives, and that lock is the truth about whether it runs: a process id in a file may by now belong to
//! someone else. The session file says where everything is; whoever installs the control plane adds the
//! credentials it made.

use crate::accounts::Accounts;
use crate::cloud::{Cloud, CloudError, CloudOptions};
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

/// What the session file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The daemon's process id; also its process group.
    pub pid: u32,
    /// Where every AWS service answers.
    pub endpoint: String,
    /// The git host's API.
    pub git_host: String,
    /// The token of the git host's API.
    pub git_token: String,
    /// The folder of the bare repositories.
    pub repositories: PathBuf,
    /// When the daemon was ready, in seconds since 1970.
    pub started_at: u64,
    /// The region.
    pub region: String,
    /// The accounts by alias.
    pub accounts: Accounts,
    /// The daemon's log.
    pub log: PathBuf,
    /// The emulator's log.
    pub emulator_log: PathBuf,
    /// What the installation of the control plane left for its users: access keys, URLs, names.
    #[serde(default)]
    pub credentials: Map<String, Value>,
}

/// Whether a daemon serves a state directory.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Nothing runs.
    Stopped,
    /// A daemon is starting: it holds the lock and has not said where it is yet.
    Starting,
    /// A daemon runs.
    Running(Box<Session>),
}

/// Why something could not be done with the daemon.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is a daemon already.
    #[error(
        "the local cloud of {0} is already running. `lockstep local status` shows it, `lockstep local down` stops it."
    )]
    AlreadyRunning(PathBuf),
    /// There is no daemon.
    #[error("the local cloud of {0} is not running. Start it with `lockstep local up`.")]
    NotRunning(PathBuf),
    /// The daemon did not get ready.
    #[error("the local cloud did not get ready ({why}). The end of its log ({log}):\n{tail}")]
    NotReady {
        /// What happened instead.
        why: String,
        /// The daemon's log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The daemon did not end, not even when it was killed.
    #[error("the local cloud (process {0}) does not end. Look at what it is doing, for example with `ps`.")]
    DoesNotEnd(u32),
    /// A file or process could not be used.
    #[error("could not {step}: {source}")]
    Os {
        /// What was being done, as a verb phrase.
        step: String,
        /// Why not.
        source: io::Error,
    },
    /// The cloud could not be started.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The git host could not be started.
    #[error(transparent)]
    GitHost(#[from] GitHostError),
    /// The emulator ended by itself.
    #[error("the emulator ended by itself. Its log is {0}.")]
    EmulatorEnded(PathBuf),
}

/// The files of a daemon in a state directory.
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

    /// The lock that a running daemon holds; `None` if someone holds it.
    fn try_lock(&self) -> Result<Option<File>, SessionError> {
        let path = self.state_dir.join("session.lock");
        let failed = os(format!("lock {}", path.display()));
        let file = File::create(&path).map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn read(&self) -> Result<Option<Session>, SessionError> {
        match std::fs::read(self.session()) {
            // It is always written whole, so what cannot be read is of another version: as good as none.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(os("read the session file")(error)),
        }
    }

    /// Replace the session file in one step. It holds secrets: only its owner may read it.
    fn write(&self, session: &Session) -> Result<(), SessionError> {
        let failed = os(format!("write {}", self.session().display()));
        // A temporary file is made readable by its owner only.
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

/// Whether a daemon serves this state directory. What a killed daemon left behind is removed.
///
/// # Errors
/// [`SessionError::Os`] if the files cannot be read.
pub fn status(state_dir: &Path) -> Result<Status, SessionError> {
    let files = Files::new(state_dir)?;
    if let Some(_lock) = files.try_lock()? {
        files.remove()?;
        return Ok(Status::Stopped);
    }
    Ok(files.read()?.map_or(Status::Starting, |session| Status::Running(Box::new(session))))
}

/// The session of the daemon that runs.
///
/// # Errors
/// [`SessionError::NotRunning`] if there is none, or it is not ready yet.
pub fn running(state_dir: &Path) -> Result<Session, SessionError> {
    match status(state_dir)? {
        Status::Running(session) => Ok(*session),
        Status::Stopped | Status::Starting => Err(SessionError::NotRunning(state_dir.to_owned())),
    }
}

/// Change the session file of the daemon that runs, for example to add credentials. Returns what was written.
///
/// # Errors
/// [`SessionError::NotRunning`] if there is no daemon.
pub fn update(state_dir: &Path, change: impl FnOnce(&mut Session)) -> Result<Session, SessionError> {
    let files = Files::new(state_dir)?;
    let path = files.state_dir.join("session.update.lock");
    let failed = os(format!("lock {}", path.display()));
    // Two writers take turns; readers need no lock, since the file is replaced whole.
    let turn = File::create(&path).map_err(&failed)?;
    turn.lock().map_err(&failed)?;
    let mut session = running(state_dir)?;
    change(&mut session);
    files.write(&session)?;
    Ok(session)
}

/// Start `executable` with `arguments` as a daemon of its own that serves the state directory (by calling
/// [`serve_until_stopped`]), and wait until it is ready. Its output goes to a log in the state directory.
///
/// # Errors
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
        if let Some(session) = files.read()?.filter(|session| session.pid == child.id()) {
            return Ok(session);
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
        // A group of its own: the terminal's Ctrl-C is not for it.
        .process_group(0)
        .spawn()
        .map_err(os(format!("start {}", executable.display())))
}

/// Serve a cloud and a git host until SIGTERM or SIGINT, or until the process `owner` has ended, if one is named. This
/// is the whole life of the daemon.
///
/// # Errors
/// [`SessionError::AlreadyRunning`] if another process serves this state directory; the errors of starting;
/// [`SessionError::EmulatorEnded`] if the emulator ends by itself.
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
    // Everything the daemon ran has ended with `serve`; the file goes before the lock says so.
    files.remove()?;
    drop(lock);
    result
}

/// Wait until the process `owner` has ended, however it did; for ever if there is none.
async fn gone(owner: Option<u32>) {
    let owner = owner.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    while owner.is_none_or(|owner| rustix::process::test_kill_process(owner).is_ok()) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Take the daemon's lock. `status` holds it for an instant to see whether it is free: that is waited for.
async fn take_lock(files: &Files) -> Result<Option<File>, SessionError> {
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
    let mut cloud = Cloud::start(options, progress).await?;
    let repositories = files.state_dir.join("repositories");
    let token = uuid::Uuid::new_v4().simple().to_string();
    let git_host = GitHost::start(GitHostOptions { root: repositories.clone(), token }).await?;
    files.write(&Session {
        pid: std::process::id(),
        endpoint: cloud.endpoint().to_owned(),
        git_host: git_host.base_url().to_owned(),
        git_token: git_host.token().to_owned(),
        repositories,
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        region: cloud.region().to_owned(),
        accounts: cloud.accounts().clone(),
        log: files.log(),
        emulator_log: cloud.log().to_owned(),
        credentials: Map::new(),
    })?;
    while cloud.is_running() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(SessionError::EmulatorEnded(cloud.log().to_owned()))
}

/// The signals that end the daemon.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    // Listened to so that it does not kill us: the terminal we were started from may close.
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

/// Stop the daemon and wait until it and everything it ran are gone. Returns its last session.
///
/// It is asked first, and killed if it has not ended within `deadline`.
///
/// # Errors
/// [`SessionError::NotRunning`] if there is none; [`SessionError::DoesNotEnd`] if killing does not help.
pub async fn down(state_dir: &Path, deadline: Duration) -> Result<Session, SessionError> {
    let session = running(state_dir)?;
    signal_process(session.pid, Signal::TERM);
    if !stops_within(state_dir, deadline).await? {
        signal_group(session.pid, Signal::KILL);
        if !stops_within(state_dir, Duration::from_secs(5)).await? {
            return Err(SessionError::DoesNotEnd(session.pid));
        }
    }
    Ok(session)
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
        // It may have ended meanwhile, which is what we want.
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
            pid: 1,
            endpoint: "http://127.0.0.1:1".into(),
            git_host: "http://127.0.0.1:2".into(),
            git_token: "t".into(),
            repositories: "/r".into(),
            started_at: 0,
            region: "eu-west-1".into(),
            accounts: Accounts::default(),
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
    fn a_held_lock_means_running_and_the_file_says_where() {
        let state = tempfile::tempdir().expect("a folder");
        let files = Files::new(state.path()).expect("files");
        let lock = files.try_lock().expect("no error").expect("free");
        assert_eq!(status(state.path()).expect("a status"), Status::Starting);
        files.write(&session()).expect("written");
        assert_eq!(running(state.path()).expect("running"), session());
        let updated = update(state.path(), |session| {
            session.credentials.insert("operator".into(), Value::from("key"));
        });
        assert_eq!(running(state.path()).expect("running"), updated.expect("updated"));
        drop(lock);
        assert_eq!(status(state.path()).expect("a status"), Status::Stopped);
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
