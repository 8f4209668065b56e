//! Nodes in processes of their own, which can be killed and stopped.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use guthi::NodeId;
use rustix::process::{Pid, Signal};

use crate::cluster::Home;

/// A process of the binary `worker`; it is killed when this is dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// Its node.
    pub id: NodeId,
}

impl Worker {
    /// Starts one in a home and returns when it is linked with everybody who was there.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(executable: impl AsRef<OsStr>, home: &Home) -> Self {
        let mut child = Command::new(executable)
            .arg(home.path())
            // Its end ends the process, should this one die without a word.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says who it is");
        let id = line.trim().parse().expect("a node id");
        Self { child, id }
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// `kill -STOP`.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// `kill -CONT`.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("the process is ours and not waited for");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
