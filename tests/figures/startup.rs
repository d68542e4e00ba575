//! Cost of a function's process from its start to its first poll of the Lambda Runtime API.
//!
//! A stub of the Runtime API receives the poll: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. Callgrind
//! counts the instructions, so each run of the same binary gives the same figure.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The environment that a function needs to reach its first poll. It makes no call before that.
const ENVIRONMENT: [(&str, &str); 15] = [
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_SESSION_TOKEN", "token"),
    ("AWS_LAMBDA_FUNCTION_NAME", "figure"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("LOCKSTEP_CALLERS", "operators"),
    ("LOCKSTEP_BUCKET", "bucket"),
    ("LOCKSTEP_EXTERNAL_ID", "external-id"),
    ("LOCKSTEP_RESUME_FUNCTION", "lockstep-resume"),
    ("LOCKSTEP_ADMINISTRATORS", "many"),
    ("LOCKSTEP_STATE_MACHINES", "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep"),
    ("LOCKSTEP_RELEASE_ARN", "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep-release"),
    (
        "LOCKSTEP_TEARDOWN_ARN",
        "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep-delivery-teardown",
    ),
];

/// Runs `binary` under callgrind until it polls for its first invocation. Returns the number of instructions.
pub fn instructions(binary: &Path) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(binary);
    valgrind.stderr(Stdio::piped());
    let (mut child, _poll) = polled(valgrind)?;
    // SIGTERM, so that callgrind still prints its total.
    let stopped = Command::new("kill").arg(child.id().to_string()).status().map_err(|e| e.to_string())?;
    let mut report = String::new();
    if let Some(stderr) = child.stderr.as_mut() {
        stderr.read_to_string(&mut report).map_err(|e| e.to_string())?;
    }
    child.wait().map_err(|e| e.to_string())?;
    report
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .ok_or_else(|| format!("callgrind printed no total (kill: {stopped}):\n{report}"))
}

/// Runs `binary` until it polls for its first invocation. Returns its resident memory then, in KiB.
pub fn resident(binary: &Path) -> Result<u64, String> {
    let mut command = Command::new(binary);
    command.stderr(Stdio::null());
    let (mut child, _poll) = polled(command)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
    let status = status.map_err(|e| e.to_string())?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or_else(|| format!("the kernel names no resident memory of {}:\n{status}", binary.display()))
}

/// Starts a function against a stub of the Runtime API. Returns its process, which waits for its first invocation until the
/// connection of its poll is dropped.
fn polled(mut function: Command) -> Result<(Child, TcpStream), String> {
    let stub = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no loopback port: {e}"))?;
    let address = stub.local_addr().map_err(|e| e.to_string())?;
    let child = function
        .env_clear()
        .envs(ENVIRONMENT)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("{} cannot be started: {e}", function.get_program().display()))?;
    let (stream, _) = stub.accept().map_err(|e| e.to_string())?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).map_err(|e| e.to_string())?;
    if !line.contains("/invocation/next") {
        return Err(format!("the first request of {function:?} was {}", line.trim()));
    }
    Ok((child, stream))
}
