//! Tests of the daemon: started in the background, found by other processes, stopped.

mod support;

use lockstep_local::CloudOptions;
use lockstep_local::session::{self, Session, SessionError, Status};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(120);

/// Starts the daemon with the shared installation and a separate session in `state`.
async fn up(state: &Path) -> Result<Session, SessionError> {
    std::fs::create_dir_all(state).expect("a folder");
    // A link leads to the installation, so that it is created once for all tests.
    lockstep_local::Emulator::install(&support::state_dir(), |_| ()).await.expect("installed");
    let link = state.join("emulator-venv");
    if !link.exists() {
        std::os::unix::fs::symlink(support::state_dir().join("emulator-venv"), link).expect("linked");
    }
    let this = std::env::current_exe().expect("this binary");
    let script = r#"LOCKSTEP_TEST_STATE="$1" exec "$0" --exact the_daemon --ignored --nocapture"#;
    let arguments = ["-c".as_ref(), script.as_ref(), this.as_os_str(), state.as_os_str()];
    session::spawn_detached(state, Path::new("/bin/sh"), &arguments, DEADLINE).await
}

#[tokio::test]
#[ignore = "only run by the tests below, as the daemon"]
async fn the_daemon() {
    let state = std::env::var_os("LOCKSTEP_TEST_STATE").expect("the state directory");
    session::serve_until_stopped(CloudOptions::new(state), None, |step| println!("{step}"))
        .await
        .expect("served");
}

async fn answers(session: &Session) -> bool {
    let api = support::Api { base: session.endpoint.clone(), token: None };
    api.get("/_ministack/health").await.0.is_success()
}

#[tokio::test]
async fn a_daemon_is_started_found_updated_and_stopped() {
    let state = tempfile::tempdir().expect("a folder");
    assert!(matches!(session::down(state.path(), DEADLINE).await, Err(SessionError::NotRunning(_))));
    let started = up(state.path()).await.expect("it gets ready");
    assert!(answers(&started).await);
    assert_eq!(session::status(state.path()).expect("a status"), Status::Running(Box::new(started.clone())));
    assert!(matches!(up(state.path()).await, Err(SessionError::AlreadyRunning(_))));

    let git = support::Api { base: started.git_host.clone(), token: Some(started.git_token.clone()) };
    assert_eq!(git.get("/repos/none/none").await.0, 404);
    session::update(state.path(), |session| {
        session.credentials.insert("operator".into(), "key".into());
    })
    .expect("updated");
    assert_eq!(session::running(state.path()).expect("running").credentials["operator"], "key");

    let stopped = session::down(state.path(), DEADLINE).await.expect("stopped");
    assert_eq!(stopped.pid, started.pid);
    assert_eq!(session::status(state.path()).expect("a status"), Status::Stopped);
    let port = started.endpoint.rsplit(':').next().expect("a port").parse::<u16>().expect("a number");
    support::eventually("the emulator is gone", || async move {
        std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_killed_daemon_ends_the_emulator_and_can_be_started_again() {
    let state = tempfile::tempdir().expect("a folder");
    let first = up(state.path()).await.expect("it gets ready");
    kill_process(Pid::from_raw(i32::try_from(first.pid).expect("a pid")).expect("not zero"), Signal::KILL)
        .expect("killed");
    support::eventually("the session is cleaned up", || async {
        (session::status(state.path()).expect("a status") == Status::Stopped).then_some(())
    })
    .await;
    let port = first.endpoint.rsplit(':').next().expect("a port").parse::<u16>().expect("a number");
    support::eventually("the emulator is gone", || async move {
        std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)
    })
    .await;
    let second = up(state.path()).await.expect("it gets ready again");
    assert_ne!(first.pid, second.pid);
    session::down(state.path(), DEADLINE).await.expect("stopped");
}

#[tokio::test]
async fn a_daemon_that_cannot_start_reports_the_reason() {
    let state = tempfile::tempdir().expect("a folder");
    let arguments = ["-c", "echo the reason >&2; exit 3"];
    let error = session::spawn_detached(state.path(), Path::new("/bin/sh"), &arguments, DEADLINE).await;
    let message = error.expect_err("it ended").to_string();
    assert!(message.contains("exit status: 3") && message.contains("the reason"), "{message}");
}
