//! One file for each noun.

mod completions;
mod doctor;
mod events;
mod function;
mod key;
mod lab;
mod lock;
mod log;
mod node;
mod start;
mod topic;
mod value;
mod variable;
mod view;

use crate::{
    arguments::{Command, Events, Function, Globals, Key, Lock, Log, View},
    failure::{Exit, Failure},
    screen::Screen,
    target,
};

/// Does what was asked for.
pub(crate) fn run(command: Command, globals: &Globals, screen: &Screen) -> Result<Exit, Failure> {
    let find = || target::find(globals, screen);
    let done = match command {
        Command::Node(command) => node::run(command, globals, screen),
        Command::Ps(options) => node::list(&options, &find()?, screen),
        Command::Fn(Function::Ls { prefix, contains }) => {
            function::list(prefix.as_deref(), contains.as_deref(), &find()?, screen)
        }
        Command::Fn(Function::Call(call)) => return function::call(*call, globals, screen),
        Command::Lock(Lock::Ls { prefix }) => return lock::list(prefix.as_deref(), &find()?, screen),
        Command::Lock(Lock::Run(run)) => return lock::run(&run, globals, screen),
        Command::Var(command) => return variable::run(command, globals, screen),
        Command::Topic(command) => topic::run(command, globals, screen),
        Command::Events(Events::Watch { lines, no_follow }) => events::watch(lines, !no_follow, &find()?, screen),
        Command::Log(Log::Tail(tail)) => log::tail(&tail, &find()?, screen),
        Command::View(View::Show) => view::show(&find()?, screen),
        Command::Sees => view::sees(&find()?, screen),
        Command::Lab(lab) => return lab::run(lab, screen),
        Command::Key(Key::New { file }) => key::new(file.as_deref(), screen),
        Command::Ticket => node::ticket(&find()?, screen),
        Command::Dashboard => node::dashboard(&find()?, screen),
        Command::Doctor => return doctor::run(globals, screen),
        Command::Completions { shell } => completions::print(shell, screen),
    };
    done.map(|()| Exit::Ok)
}
