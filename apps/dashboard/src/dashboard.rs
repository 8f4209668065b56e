use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use guthi::{Control, Node};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    api,
    app::App,
    http::{
        gate::{Gate, fresh_secret},
        server,
        tls::Tls,
    },
    stream::journal,
};

/// Ports of nodes and of their dashboards: the n-th of one belongs to the n-th of the other.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 6969..=6999;
const PORTS: std::ops::RangeInclusive<u16> = 7969..=7999;
const PORT_OFFSET: u16 = 1000;
const TOKEN_BYTES_MIN: usize = 32;
const PASSWORD_CHARACTERS_MIN: usize = 12;
/// How long sockets have to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// The HTTP interface of a node, and its page. It ends when this is dropped.
///
/// It keeps the node alive as a clone of it does.
pub struct Dashboard {
    app: Arc<App>,
    address: SocketAddr,
    start_url: String,
    fingerprint: Option<String>,
    /// They end with it.
    tasks: JoinSet<()>,
}

/// The settings of a dashboard that is about to be served.
#[derive(Clone)]
pub struct Builder {
    node: Node,
    address: String,
    token: Option<String>,
    password: Option<String>,
    tls: Option<Tls>,
    hosts: Vec<String>,
}

/// Why a dashboard cannot be served. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be understood.
    #[error("{address:?} is no address: write a numeric host and a port, such as 127.0.0.1:7969")]
    BadAddress {
        /// The text that was given.
        address: String,
    },
    /// The system refuses to listen there.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// Beyond loopback there is no password.
    #[error(
        "a dashboard on {address} can be reached from other machines: give it a password with .password(..), or \
         listen on 127.0.0.1"
    )]
    PasswordRequired {
        /// The address beyond loopback.
        address: SocketAddr,
    },
    /// Beyond loopback everybody on the way could read the password.
    #[error(
        "a dashboard on {address} can be reached from other machines: give it a certificate with .tls(..), \
         Tls::SelfSigned if there is none, or listen on 127.0.0.1"
    )]
    TlsRequired {
        /// The address beyond loopback.
        address: SocketAddr,
    },
    /// The password can be guessed.
    #[error("the password is too short: take at least 12 characters")]
    WeakPassword,
    /// The token can be guessed.
    #[error("the token is too short, or not made of letters and digits: take at least 32, or let one be made")]
    WeakToken,
    /// The certificate or its key cannot be used.
    #[error("the certificate cannot be used: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// The control of the node cannot be written down for programs on this machine.
    #[error("the control file cannot be written: {reason}")]
    Control {
        /// What the system said.
        reason: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
}

impl Dashboard {
    /// Serves a node on a numeric address with a port, with a token that is made for it; on port 0 the first free one of
    /// the node's port + 1000 (if that is 6969 to 6999), 7969 to 7999, and any.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is left running then.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing running.
    pub async fn serve(node: &Node, address: impl Into<String>) -> Result<Self, ServeError> {
        Self::builder(node).address(address).serve().await
    }

    /// A dashboard with settings of its own.
    #[must_use]
    pub fn builder(node: &Node) -> Builder {
        Builder {
            node: node.clone(),
            address: "127.0.0.1:0".into(),
            token: None,
            password: None,
            tls: None,
            hosts: Vec::new(),
        }
    }

    /// Where a browser begins: this URL holds the token, so whoever has it may do everything.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.start_url
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// SHA-256 of the certificate, as browsers show it; `None` without TLS.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// Says goodbye to the browsers and ends. The node goes on.
    ///
    /// # Cancel safety
    /// Dropping the future ends it at once.
    pub async fn close(mut self) {
        self.app.end("the dashboard ends");
        let _ = tokio::time::timeout(GOODBYE_MAX, self.app.sockets_closed()).await;
        self.tasks.shutdown().await;
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.app.end("the dashboard ends");
        self.app.topics.clear();
        let _ = self.app.node.set_control(None);
    }
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dashboard").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Builder {
    /// Where to listen: a numeric host and a port. `127.0.0.1:0` unless set; beyond loopback a [password](Self::password)
    /// and [TLS](Self::tls) are required.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// The token that lets in, at least 32 letters and digits; a fresh one of 256 random bits at every start unless set.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Lets in whoever gives this password, of at least 12 characters, beside those who have the token.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Serves by HTTPS.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Allows one more host name, without a port, by which browsers may ask for it. Loopback's names and the address
    /// itself are always allowed; any other is refused, since it may be another site's that leads here.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Serves it.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is left running then.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing running.
    pub async fn serve(self) -> Result<Dashboard, ServeError> {
        let wanted = self.checked()?;
        let token = match &self.token {
            Some(token) => token.clone(),
            None => fresh_secret().map_err(|error| ServeError::Random { reason: error.to_string() })?,
        };
        let listener = listen(wanted, &self.node).await?;
        let listened =
            |error: std::io::Error| ServeError::Listen { address: self.address.clone(), reason: error.to_string() };
        let address = listener.local_addr().map_err(listened)?;
        let shield = self.tls.as_ref().map(|tls| tls.shield(&self.certified(address))).transpose()?;
        let url = self.url(address);
        let gate = Gate::new(address, &self.hosts, &token, self.password.as_deref(), self.tls.is_some());
        let app = App::new(self.node.clone(), gate, url.clone());
        let (acceptor, fingerprint) = shield.map(|shield| (shield.acceptor, shield.fingerprint)).unzip();
        let routes = api::routes::router(app.clone());
        // From here on programs of this machine find it; dropping it takes that back.
        let control = Control { url, token: token.clone() };
        let written = self.node.set_control(Some(&control));
        written.map_err(|error| ServeError::Control { reason: error.to_string() })?;
        let start_url = format!("{}/?t={token}", control.url);
        let mut tasks = JoinSet::new();
        tasks.spawn(journal::keep(app.clone()));
        tasks.spawn(async move { match server::serve(listener, acceptor, routes).await {} });
        Ok(Dashboard { app, address, start_url, fingerprint, tasks })
    }

    /// The address, if what is asked for is safe there.
    fn checked(&self) -> Result<SocketAddr, ServeError> {
        let bad = |_| ServeError::BadAddress { address: self.address.clone() };
        let address: SocketAddr = self.address.parse().map_err(bad)?;
        if self.password.as_ref().is_some_and(|password| password.chars().count() < PASSWORD_CHARACTERS_MIN) {
            return Err(ServeError::WeakPassword);
        }
        let is_weak =
            |token: &String| token.len() < TOKEN_BYTES_MIN || !token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self.token.as_ref().is_some_and(is_weak) {
            return Err(ServeError::WeakToken);
        }
        if !address.ip().is_loopback() && self.password.is_none() {
            return Err(ServeError::PasswordRequired { address });
        }
        if !address.ip().is_loopback() && self.tls.is_none() {
            return Err(ServeError::TlsRequired { address });
        }
        Ok(address)
    }

    /// The names in a certificate that is made here.
    fn certified(&self, address: SocketAddr) -> Vec<String> {
        let own = ["localhost".to_owned(), address.ip().to_string()];
        self.hosts.iter().cloned().chain(own).collect()
    }

    fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let here = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        let host = match (self.hosts.first(), address.ip().is_loopback()) {
            (Some(name), false) => format!("{name}:{}", address.port()),
            _ => SocketAddr::new(here, address.port()).to_string(),
        };
        format!("{scheme}://{host}")
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Builder");
        debug.field("address", &self.address).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Listens on the port that is wanted, or on the first free one of those that are usual.
async fn listen(wanted: SocketAddr, node: &Node) -> Result<TcpListener, ServeError> {
    let usual = (wanted.port() == 0).then(|| usual_ports(node)).into_iter().flatten();
    for port in usual {
        if let Ok(listener) = TcpListener::bind(SocketAddr::new(wanted.ip(), port)).await {
            return Ok(listener);
        }
    }
    let failed = |error: std::io::Error| ServeError::Listen { address: wanted.to_string(), reason: error.to_string() };
    TcpListener::bind(wanted).await.map_err(failed)
}

fn usual_ports(node: &Node) -> impl Iterator<Item = u16> {
    let addresses = node.addresses();
    let mut ports = addresses.iter().filter_map(|address| crate::json::place(address.as_str()).map(|(_, port)| port));
    let own = ports.find(|port| NODE_PORTS.contains(port)).map(|port| port + PORT_OFFSET);
    own.into_iter().chain(PORTS)
}
