//! `cargo demo`: runs Lockstep's main job on this machine and prints each step.

use clap::Parser;
use lockstep_cli::context::CommandContext;
use lockstep_cli::demo::Demo;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_cli::output::{Output, filter_panics};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs Lockstep's main job on a local cloud and prints each step.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Run the log stack's demo instead: deploy it to ci and production, and send logs of load balancers through it
    #[arg(long)]
    log_stack: bool,
    /// Leave the cloud running at the end
    #[arg(long)]
    keep: bool,
    /// Take the functions' binaries from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    filter_panics();
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let context = match CommandContext::of_process() {
        Ok(context) => context,
        Err(failure) => return print(&failure),
    };
    // The cloud's daemon is this same program.
    if arguments.first().is_some_and(|first| first == "local") {
        return lockstep_cli::run(&arguments, &context).await.exit.into();
    }
    match demo(&Arguments::parse(), &context).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => print(&failure),
    }
}

async fn demo(arguments: &Arguments, context: &CommandContext) -> Result<(), Failure> {
    let functions = arguments.functions.as_ref().map(|folder| context.path(folder));
    let work =
        tempfile::Builder::new().prefix("lockstep-demo-").tempdir().map_err(at("a folder for the demo"))?;
    let mut demo = Demo::new(context, work.path(), functions);
    if arguments.keep {
        demo.keep();
    }
    let run = async |demo: &mut Demo| match arguments.log_stack {
        true => demo.run_log_stack().await,
        false => demo.run_all().await,
    };
    let ended = tokio::select! {
        ended = run(&mut demo) => ended,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted")),
    };
    if arguments.keep && ended.is_ok() {
        let kept = work.keep();
        context.output.line("");
        context.output.line("the cloud is left running. Look around:");
        context.output.line("  eval \"$(cargo run --quiet --bin lockstep -- local env production)\"");
        context.output.line("  aws cloudformation describe-stacks");
        context.output.line(format!("the repository of the demo is {}/logs", kept.display()));
        context.output.line("stop it: cargo run --quiet --bin lockstep -- local down");
        return Ok(());
    }
    let stopped = demo.stop().await;
    ended.and(stopped)
}

fn print(failure: &Failure) -> ExitCode {
    Output::process(false).note(format!("error: {failure}"));
    failure.exit.into()
}
