//! Signals that are meant for a command that runs within this one.

use std::{fs::File, io};

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{self, SignalKind};

/// What somebody tells this process, from when this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    quit: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            quit: unix::signal(SignalKind::quit())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Safe to drop.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
        }
    }
}

/// Passes one on to a child that has not been waited for, unless the terminal has sent it to both: Ctrl-C goes to all
/// processes in front, and to many of them a second one means more than the first.
pub(crate) fn pass_on(signal: Signal, child: Option<u32>) {
    let is_from_terminal = matches!(signal, Signal::INT | Signal::QUIT) && is_in_front();
    if !is_from_terminal {
        send(signal, child);
    }
}

/// Sends one to a child that has not been waited for.
pub(crate) fn send(signal: Signal, child: Option<u32>) {
    let pid = child.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Whether what is typed at a terminal goes to this process and its children.
fn is_in_front() -> bool {
    let front = File::open("/dev/tty").ok().and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok());
    front == Some(rustix::process::getpgrp())
}
