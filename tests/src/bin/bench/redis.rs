//! The peer that mutexes are measured against: `SET name token NX PX` and a script that compares and deletes, over a
//! multiplexed connection to a Redis of this machine, as its own documentation has it for one server.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use redis::aio::MultiplexedConnection;

/// A lock is gone by itself after so long.
const EXPIRY_MS: u64 = 30_000;
const START_MAX: Duration = Duration::from_secs(10);

/// A Redis server; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) version: String,
    /// What a replica is given passes through a file.
    _directory: tempfile::TempDir,
}

impl Server {
    /// Nothing if there is none on this machine.
    pub(crate) fn start() -> anyhow::Result<Option<Self>> {
        Self::start_with(&[])
    }

    /// One more, which keeps what this one keeps.
    pub(crate) fn replica(&self) -> anyhow::Result<Option<Self>> {
        let port = self.url.rsplit(':').next().unwrap_or_default();
        Self::start_with(&["--replicaof", "127.0.0.1", port])
    }

    fn start_with(more: &[&str]) -> anyhow::Result<Option<Self>> {
        let Ok(version) = Command::new("redis-server").arg("--version").output() else { return Ok(None) };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let options = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let directory = tempfile::tempdir()?;
        let mut command = Command::new("redis-server");
        command.args(options).arg("--dir").arg(directory.path()).args(more).stdout(Stdio::null());
        let child = command.spawn()?;
        let version = String::from_utf8_lossy(&version.stdout).split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        Ok(Some(Self { child, url: format!("redis://127.0.0.1:{port}"), version, _directory: directory }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a replica has all that the server has: before that nothing is acknowledged by it.
pub(crate) async fn replicated(url: &str) -> anyhow::Result<()> {
    let mut connection = connect(url).await?;
    let end = tokio::time::Instant::now() + START_MAX;
    loop {
        let told: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await?;
        if told.contains("state=online") {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < end, "the replica does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A connection, as soon as the server answers.
pub(crate) async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    let client = redis::Client::open(url)?;
    let end = tokio::time::Instant::now() + START_MAX;
    loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => return Ok(connection),
            Err(error) if tokio::time::Instant::now() > end => return Err(error).context("Redis does not answer"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A lock of that server.
pub(crate) struct Lock {
    connection: MultiplexedConnection,
    unlock: redis::Script,
    name: String,
    token: String,
    /// Between two tries while somebody else has it.
    retry: Duration,
}

impl Lock {
    pub(crate) async fn connect(url: &str, name: &str, retry: Duration) -> anyhow::Result<Self> {
        let connection = connect(url).await?;
        let script =
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
        let (unlock, token) = (redis::Script::new(script), std::process::id().to_string());
        Ok(Self { connection, unlock, name: name.into(), token, retry })
    }

    pub(crate) async fn lock(&mut self) -> anyhow::Result<()> {
        loop {
            let mut set = redis::cmd("SET");
            set.arg(&self.name).arg(&self.token).arg("NX").arg("PX").arg(EXPIRY_MS);
            let set: Option<String> = set.query_async(&mut self.connection).await?;
            if set.is_some() {
                return Ok(());
            }
            if !self.retry.is_zero() {
                tokio::time::sleep(self.retry).await;
            }
        }
    }

    pub(crate) async fn unlock(&mut self) -> anyhow::Result<()> {
        let mut call = self.unlock.prepare_invoke();
        let deleted: u32 = call.key(&self.name).arg(&self.token).invoke_async(&mut self.connection).await?;
        if deleted != 1 {
            bail!("the lock was not ours any more");
        }
        Ok(())
    }
}
