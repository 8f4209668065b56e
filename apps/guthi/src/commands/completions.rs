//! `guthi completions`.

use clap::CommandFactory;
use clap_complete::shells;
use serde_json::json;

use crate::{
    arguments::{Arguments, Shell},
    failure::Failure,
    screen::Screen,
};

/// Prints what a shell reads to complete commands.
pub(crate) fn print(shell: Shell, screen: &Screen) -> Result<(), Failure> {
    let mut command = Arguments::command();
    let mut script = Vec::new();
    let name = match shell {
        Shell::Bash => {
            clap_complete::generate(shells::Bash, &mut command, "guthi", &mut script);
            "bash"
        }
        Shell::Zsh => {
            clap_complete::generate(shells::Zsh, &mut command, "guthi", &mut script);
            "zsh"
        }
        Shell::Fish => {
            clap_complete::generate(shells::Fish, &mut command, "guthi", &mut script);
            "fish"
        }
    };
    let script = String::from_utf8_lossy(&script);
    screen.say(script.trim_end(), &json!({"shell": name, "script": script}))
}
