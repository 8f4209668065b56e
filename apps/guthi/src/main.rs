//! The command line of Guthi: a thin client of the nodes of this machine.
//!
//! A command reads the runtime directory, asks one node over HTTP and prints the answer; `node start`, `lab` and the calls
//! that are asked for so are nodes themselves.
#![forbid(unsafe_code)]

mod arguments;
mod client;
mod commands;
mod embedded;
mod failure;
mod functions;
mod held;
mod options;
mod progress;
mod screen;
mod signals;
mod table;
mod target;
mod text;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser};

use crate::{
    arguments::Arguments,
    failure::{Exit, Failure},
    screen::Screen,
};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A reader that has gone is no error of the command's.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    let screen = Screen::new(&arguments.globals);
    let done = match arguments.command {
        Some(command) => commands::run(command, &arguments.globals, &screen),
        None => screen.print(&short_help()).map(|()| Exit::Ok),
    };
    let exit = done.unwrap_or_else(|failure| tell(&failure, &screen));
    let _ = std::io::stdout().flush();
    ExitCode::from(exit.code())
}

/// Errors go where they are not in the way of what is piped.
fn tell(failure: &Failure, screen: &Screen) -> Exit {
    if !failure.is_closed_pipe() {
        screen.complain(failure);
    }
    failure.exit
}

/// For whoever types the name of the program and nothing else.
fn short_help() -> String {
    let about = Arguments::command().get_about().map(ToString::to_string).unwrap_or_default();
    format!(
        "{about}.

  guthi node start          start a node here, with a dashboard
  guthi node ls             see the nodes of its cluster, and why one has failed
  guthi fn ls               see what can be called
  guthi fn call NAME ARGS   call a function, wherever it runs
  guthi doctor              find out what is wrong

All commands: `guthi --help`. Each has examples: `guthi node start --help`.
"
    )
}
