//! The repository of a producer, `queue`, and its consumer, `alarm`, which comes first in the order of folders.

use crate::bakes::recipes::archive;
use lockstep_domain::model::ids::CommitSha;
use lockstep_sim::manifest::manifest_text;

/// The first commit of both.
pub const BOTH: &str = "3333333333333333333333333333333333333333";

/// The commit that changes the output of the producer alone.
pub const PRODUCER: &str = "4444444444444444444444444444444444444444";

/// The commit that changes the output of the producer, and its consumer.
pub const BOTH_AGAIN: &str = "5555555555555555555555555555555555555555";

/// Every commit that the git host holds.
pub const COMMITS: [&str; 3] = [BOTH, PRODUCER, BOTH_AGAIN];

/// Returns the output of the producer at a commit, and a word of the consumer.
fn content(commit: &str) -> (&'static str, &'static str) {
    match commit {
        PRODUCER => ("90", "one"),
        BOTH_AGAIN => ("120", "two"),
        _ => ("60", "one"),
    }
}

/// Returns the archive of a commit, as the git host sends it.
pub fn tarball(commit: &CommitSha) -> Vec<u8> {
    let (output, word) = content(commit.as_str());
    let queue = format!(
        "Resources:\n  Queue:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: '{output}'\nOutputs:\n  \
         Visible:\n    Value: '{output}'\n"
    );
    let alarm = format!(
        "Parameters:\n  Visible:\n    Type: String\nResources:\n  Alarm:\n    Type: AWS::SNS::Topic\n    Properties:\n      \
         DisplayName: !Sub '{word} ${{Visible}}'\nOutputs:\n  Host:\n    Value: !Ref Alarm\n"
    );
    let manifest = |name: &str, output: &str| manifest_text(name).with_output_check(output);
    let files = [
        (
            "alarm/lockstep.toml",
            manifest("alarm", "Host").with("[test]\noutputs_from = \"ci\"\n").to_string(),
        ),
        ("alarm/parameters/default.toml", "Visible = \"${outputs.queue.Visible}\"\n".to_owned()),
        ("alarm/template.yaml", alarm),
        ("queue/lockstep.toml", manifest("queue", "Visible").to_string()),
        ("queue/template.yaml", queue),
    ];
    archive(commit, files.map(|(path, text)| (format!("acme-logs/{path}"), text)))
}
