//! The command: draws a picture with this process, with processes that it starts, or with nodes anywhere.

mod arguments;
mod crew;
mod drawing;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = tracing_subscriber::EnvFilter::try_from_env("GUTHI_LOG").unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr).init();
    let result = match arguments.command {
        Some(Command::Serve(options)) => crew::serve(options).await,
        Some(Command::Places) => show::places(),
        Some(Command::Palettes) => show::palettes(),
        Some(Command::Ceiling) => show::ceiling(),
        None => tokio::select! {
            result = drawing::draw(arguments.draw) => result,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("interrupted; nothing was written");
                return ExitCode::from(130);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
