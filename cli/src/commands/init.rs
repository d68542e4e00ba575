//! `lockstep init`: writes a new component that passes `check`.

use crate::context::CommandContext;
use crate::failure::{Failure, at};
use crate::report::Report;
use crate::schemas;
use clap::Args;
use lockstep_domain::delivery::manifest;
use lockstep_domain::model::ids::ComponentName;
use serde_json::json;
use std::path::PathBuf;

/// The arguments of `init`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The component's name, such as logs-broker
    name: ComponentName,
    /// The folder to write it to; by default one with its name
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Writes the starter files. Refuses to overwrite a file.
pub fn run(arguments: &Arguments, context: &CommandContext) -> Result<Report, Failure> {
    let typed = arguments.folder.clone().unwrap_or_else(|| arguments.name.as_str().into());
    let folder = context.path(&typed);
    let files = manifest::template(&arguments.name);
    if let Some(taken) = files.keys().map(|file| folder.join(file)).find(|path| path.exists()) {
        return Err(Failure::new(format!("{} exists already; nothing was written", taken.display()))
            .next("name another folder"));
    }
    for (file, text) in &files {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).map_err(at(parent.display()))?;
        std::fs::write(&path, text).map_err(at(path.display()))?;
        context.output.line(format!("wrote {}", typed.join(file).display()));
        schemas::renew(&path)?;
    }
    context.output.line(format!(
        "next: edit them and look at them with `lockstep check {0}`, commit them, then lockstep push {0}",
        typed.display()
    ));
    let written: Vec<&String> = files.keys().collect();
    Ok(Report::done(json!({ "component": arguments.name, "folder": folder, "files": written })))
}
