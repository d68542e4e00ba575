//! Tests that no started process outlives its parent.

mod support;

use lockstep_local::{CallEffect, CallFault, CallFilter, CloudOptions, LocalCloud};
use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Script that creates a function and runs it once: its worker process remains and waits for the next
/// invocation.
const START_A_WORKER: &str = r#"
import io, json, zipfile
from overlay.tests.support import DEVELOPMENT, client
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.writestr("index.py", "def handler(event, context):\n    return 'ran'\n")
iam, functions = client("iam", DEVELOPMENT), client("lambda", DEVELOPMENT)
trust = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
functions.create_function(FunctionName="worker", Runtime="python3.12", Handler="index.handler", Role=role,
                          Code={"ZipFile": packed.getvalue()})
answer = functions.invoke(FunctionName="worker")["Payload"].read()
assert answer == b'"ran"', answer
"#;

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("not zero")
}

fn group_exists(pid: u32) -> bool {
    test_kill_process_group(process(pid)).is_ok()
}

async fn gone(group: u32) {
    support::eventually("the emulator's process group is gone", || async {
        (!group_exists(group)).then_some(())
    })
    .await;
}

async fn cloud_with_a_worker() -> LocalCloud {
    let cloud = support::cloud().await;
    let output = tokio::task::block_in_place(|| {
        support::run(&support::emulator_python(), &cloud, &["-c", START_A_WORKER])
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    cloud
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_a_cloud_ends_the_emulator_and_its_lambda_processes() {
    let cloud = cloud_with_a_worker().await;
    let (group, port) = (cloud.pid(), cloud.endpoint().rsplit(':').next().expect("a port").to_owned());
    assert!(group_exists(group));
    let executions = CallFilter { kind: Some("invocation".into()), ..Default::default() };
    let ran =
        cloud.calls().read(&executions).await.expect("the journal").complete().expect("nothing forgotten");
    assert_eq!(ran.len(), 1);
    assert_eq!(ran[0].function.as_deref(), Some("worker"));
    cloud.stop();
    // The parent is killed at once. A worker counts until the system has noticed its end.
    gone(group).await;
    assert!(!support::state_dir().join("tmp").join(port).exists(), "its temporary files are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_the_emulator_ends_its_lambda_processes_too() {
    let mut cloud = cloud_with_a_worker().await;
    let group = cloud.pid();
    kill_process(process(group), Signal::TERM).expect("sent");
    let mut ended = || !cloud.is_running() && !group_exists(group);
    support::eventually("the emulator and its workers have ended", || {
        std::future::ready(ended().then_some(()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_stopped_ends_its_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = CloudOptions::new(support::state_dir());
    options.recording = Some(folder.path().to_owned());
    let cloud = LocalCloud::start(options, |step| eprintln!("{step}")).await.expect("the cloud starts");
    let group = cloud.pid();
    cloud.stop();
    gone(group).await;
    let files: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").flatten().collect();
    assert_eq!(files.len(), 1, "one file for one run");
    let lines = std::fs::read_to_string(files[0].path()).expect("the recording");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a document per line")).collect();
    assert_eq!(lines.first().map(|line| &line["kind"]), Some(&"start".into()));
    assert_eq!(lines.last().map(|line| &line["kind"]), Some(&"end".into()));
    assert_eq!(lines.last().map(|line| &line["seq"]), Some(&lines.len().into()));
}

#[tokio::test]
async fn the_overlay_refuses_another_release_of_the_emulator() {
    let cloud = support::cloud().await;
    let script =
        "import overlay; overlay.PINNED_VERSION = '0.0.1'; from overlay import start; start.check_version()";
    let output = support::run(&support::emulator_python(), &cloud, &["-c", script]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        printed.contains("written for ministack 0.0.1") && printed.contains("emulator-venv"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_parent_ends_the_emulator_and_its_lambda_processes() {
    // Runs this test binary again with the test below, which prints the emulator's group and waits.
    let mut parent = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "a_killed_parent", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let output = BufReader::new(parent.stdout.take().expect("its output"));
    let group: u32 = tokio::task::block_in_place(|| {
        let mut lines = output.lines().map(|line| line.expect("a line"));
        let found = lines.find_map(|line| line.rsplit_once("group=")?.1.trim().parse().ok());
        found.expect("it says which group")
    });
    assert!(group_exists(group));
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    support::eventually("the emulator's process group is gone", || async {
        (!group_exists(group)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "only run by the test above, which kills it"]
async fn a_killed_parent() {
    let cloud = cloud_with_a_worker().await;
    println!("group={}", cloud.pid());
    // Wait for the kill, or (should the test above fail) for the end of its input.
    tokio::task::block_in_place(|| std::io::stdin().read_line(&mut String::new())).expect("standard input");
}

#[tokio::test]
async fn faults_are_added_listed_and_removed() {
    let cloud = support::cloud().await;
    let faults = cloud.faults();
    let id = faults
        .on_call(&CallFault::on("sts", "GetCallerIdentity", CallEffect::Throttle).times(0))
        .await
        .expect("added");
    let status = faults.get(id).await.expect("an answer").expect("the fault");
    assert_eq!((status.matched, status.struck), (0, 0));
    faults.remove(id).await.expect("removed");
    assert_eq!(faults.list().await.expect("an answer"), []);
}
