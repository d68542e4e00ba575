//! The commands with which the README begins.

use crate::test_cloud::TestCloud;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use std::path::Path;
use tokio::process::Command;

/// The heading above the commands.
const HEADING: &str = "## A component of your own, in five commands";

/// Runs the commands of the README as they stand there, in an empty folder.
pub async fn the_commands_of_the_readme_reach_ci(cloud: &mut TestCloud) -> Result<(), Failure> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(&readme).map_err(at(readme.display()))?;
    // Repositories outlive the cloud, and a newcomer has none.
    for name in ["acme/example.git", "acme/shop.git"] {
        let earlier = cloud.demo.session()?.repositories.join(name);
        if earlier.exists() {
            std::fs::remove_dir_all(&earlier).map_err(at(earlier.display()))?;
        }
    }
    let commands = commands(&text);
    ensure((1..=5).contains(&commands.len()), format!("the README has at most five commands: {commands:?}"))?;
    for command in &commands {
        match command.strip_prefix("lockstep ") {
            Some(line) => {
                let arguments: Vec<&str> = line.split_whitespace().collect();
                cloud.demo.type_in(&arguments, Exit::Done).await?;
            }
            None => by_shell(command, &cloud.demo.context.directory).await?,
        }
    }
    for component in ["work-queue", "queue-alarms", "shop-events"] {
        let version = cloud.demo.version_of(component, "ci").await?;
        ensure(version.is_some(), format!("{component} runs in ci"))?;
    }
    let work = &cloud.demo.context.directory;
    for folder in ["example", "shop"] {
        let changes = lockstep_cli::git::git(&work.join(folder), &["status", "--porcelain"]).await?;
        ensure(changes.is_empty(), format!("git sees no file of Lockstep in {folder}: {changes}"))?;
    }
    Ok(())
}

/// Returns the commands of the first block below the heading, without their comments.
fn commands(readme: &str) -> Vec<String> {
    let below = readme.split_once(HEADING).map_or("", |(_, below)| below);
    let block = below.split("```").nth(1).unwrap_or_default();
    let lines = block.lines().skip(1).map(|line| line.split(" # ").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

async fn by_shell(command: &str, folder: &Path) -> Result<(), Failure> {
    let status = Command::new("sh").args(["-c", command]).current_dir(folder).status().await;
    let status = status.map_err(at(command))?;
    ensure(status.success(), format!("`{command}` ends without an error: {status}"))
}
