//! The `crossfade` program.

mod args;
mod commands;
mod demo;
mod failure;
mod load;
mod routes;
mod show;
mod stores;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Command};
use crate::failure::Failure;
use crate::show::Output;

/// Libraries whose log lines can hold values of cells.
const QUIET: &[&str] = &["tokio_postgres", "postgres_protocol"];

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // printing help to a closed pipe is nothing to report
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                failure::USAGE
            } else {
                0
            });
        }
    };
    let output = Output::new(arguments.json);
    match start(arguments, &output) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

fn start(arguments: Arguments, output: &Output) -> Result<u8, Failure> {
    log();
    // one provider for the whole program: with two in one binary rustls refuses to choose
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed before");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::internal(format!("the runtime could not be started: {e}")))?;
    runtime.block_on(dispatch(arguments, output))
}

/// Logs to standard error by `RUST_LOG`; warnings where it says nothing.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    // the driver logs bound parameters: values of cells are never logged, whatever RUST_LOG asks for
    let filter = QUIET
        .iter()
        .filter_map(|target| format!("{target}=off").parse().ok())
        .fold(filter, tracing_subscriber::EnvFilter::add_directive);
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    if logger.is_err() {
        tracing::debug!("a logger was installed before");
    }
}

async fn dispatch(arguments: Arguments, output: &Output) -> Result<u8, Failure> {
    match arguments.command {
        Command::Init(init) => commands::init::init(&init, output).await,
        Command::Plan(plan) => Box::pin(commands::plan::plan(&plan, output)).await,
        Command::Run(run) => Box::pin(commands::run::run(&run, output)).await,
        Command::Status(status) => Box::pin(commands::status::status(&status, output)).await,
        Command::Verify(verify) => Box::pin(commands::verify::verify(&verify, output)).await,
        Command::Quarantine(asked) => {
            Box::pin(commands::quarantine::quarantine(&asked, output)).await
        }
        Command::Pause(file) => commands::pause::pause(&file, true, output).await,
        Command::Resume(file) => commands::pause::pause(&file, false, output).await,
        Command::Abort(abort) => Box::pin(commands::abort::abort(&abort, output)).await,
        Command::Switch(asked) => Box::pin(commands::switch::switch(&asked, output)).await,
        Command::Rollback(asked) => Box::pin(commands::switch::rollback(&asked, output)).await,
        Command::TakeOver(asked) => Box::pin(commands::take_over::take_over(&asked, output)).await,
        Command::Complete(asked) => Box::pin(commands::switch::complete(&asked, output)).await,
        Command::Gates(asked) => Box::pin(commands::gates::show(&asked, output)).await,
        Command::Rehearse(asked) => Box::pin(commands::rehearse::rehearse(&asked, output)).await,
        Command::Log(asked) => commands::log::log(&asked, output).await,
        Command::Certificate(args::Certificate::Keygen(keygen)) => {
            commands::certificate::keygen(&keygen, output)
        }
        Command::Certificate(args::Certificate::Check(check)) => {
            Box::pin(commands::certificate::check(&check, output)).await
        }
        Command::Demo(demo) => Box::pin(demo::demo(&demo, output)).await,
        Command::DemoApp => demo::app::serve().await,
    }
}
