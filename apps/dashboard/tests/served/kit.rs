//! A node with its dashboard, and a client that sends exactly what it is told.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use guthi::{Functions, Node};
use guthi_dashboard::{Builder, Dashboard};
use guthi_tests::{
    cluster::{HANG, Home},
    functions::Counters,
};
use serde_json::Value;
use tungstenite::{Message, WebSocket, client::IntoClientRequest, http::HeaderValue};

/// A node that is served, in a runtime directory of its own.
pub(crate) struct Served {
    pub(crate) home: Home,
    pub(crate) node: Node,
    pub(crate) counters: Counters,
    pub(crate) dashboard: Dashboard,
}

/// A request that is about to be sent.
pub(crate) struct Ask {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let home = Home::new();
        let (node, counters) = home.server().await;
        let dashboard = configure(Dashboard::builder(&node)).serve().await.expect("it is served");
        Self { home, node, counters, dashboard }
    }

    /// Another node of the same cluster, with its functions, which is a member when this returns.
    pub(crate) async fn beside(&self, functions: Functions) -> Node {
        let node = self.home.node(functions).start().await.expect("it starts");
        guthi_tests::cluster::members(&self.node, node.members().len()).await;
        node
    }

    pub(crate) fn token(&self) -> &str {
        token(&self.dashboard)
    }

    /// A request without anything that lets in.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(self.dashboard.address(), method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).bearer(self.token()).send()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path).bearer(self.token()).body(body).send()
    }

    /// A cookie, as the start URL gives it.
    pub(crate) fn cookie(&self) -> String {
        let answer = self.ask("GET", &format!("/?t={}", self.token())).send();
        let cookie = answer.header("set-cookie").expect("a cookie");
        cookie.split(';').next().expect("its value").to_owned()
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.dashboard.address())
    }

    /// A socket of a script.
    pub(crate) fn socket(&self) -> Socket {
        let authorization = format!("Bearer {}", self.token());
        self.socket_with(&[("authorization", &authorization)]).expect("a socket")
    }

    /// A socket with these headers, or the status with which it was refused.
    pub(crate) fn socket_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let url = format!("ws://{}/api/v1/stream", self.dashboard.address());
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let stream = TcpStream::connect(self.dashboard.address()).expect("it listens");
        stream.set_read_timeout(Some(HANG)).expect("a timeout");
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Socket { socket, passed_over: VecDeque::new() }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The token in a start URL.
pub(crate) fn token(dashboard: &Dashboard) -> &str {
    dashboard.url().split_once("?t=").expect("a token").1
}

impl Ask {
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let headers = vec![("Host".to_owned(), address.to_string())];
        Self { address, method: method.into(), path: path.into(), headers, body: Vec::new() }
    }

    /// Sets a header; an empty value takes it away.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.into(), value.into()));
        }
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self
    }

    pub(crate) fn raw(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it, and leaves the connection open.
    pub(crate) fn begin(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(HANG)).expect("a timeout");
        let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() && !head.contains("Content-Length") {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("it is sent");
        stream.write_all(&self.body).expect("it is sent");
        stream
    }

    pub(crate) fn send(&self) -> Answer {
        Answer::read(self.begin())
    }
}

impl Answer {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<_> = lines.filter_map(header).collect();
        let mut answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = dechunked(&answer.body);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    /// The status and the code of an error, whose object must be whole.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String) {
        let error = &self.json()["error"];
        let code = error["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"));
        assert!(!error["message"].as_str().expect("a message").is_empty());
        assert!(error["next"].is_string() || error["next"].is_null(), "{error}");
        assert!(["not_applied", "applied", "unknown"].contains(&error["outcome"].as_str().expect("an outcome")));
        (self.status, code.to_owned())
    }

    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.error(), (status, code.to_owned()), "{}", self.text());
    }
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        body.extend_from_slice(&bytes[end + 2..][..size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    body
}

/// An answer that goes on, line by line.
pub(crate) struct Lines(BufReader<TcpStream>);

impl Lines {
    pub(crate) fn begin(ask: &Ask) -> Self {
        Self(BufReader::new(ask.begin()))
    }

    /// The same, once it was let in.
    pub(crate) fn granted(ask: &Ask) -> Self {
        let mut lines = Self::begin(ask);
        assert_eq!(lines.status(), 200);
        lines
    }

    /// The status, which is what it begins with.
    pub(crate) fn status(&mut self) -> u16 {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it can be read");
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// The next line of the answer; nothing when it has ended.
    pub(crate) fn line(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("it can be read") == 0 {
                return None;
            }
            // Between them are the head, and how long each part is.
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).expect("JSON"));
            }
        }
    }

    /// The next line that says something new.
    pub(crate) fn news(&mut self) -> Value {
        loop {
            let line = self.line().expect("it goes on");
            if line["watched"] != true {
                return line;
            }
        }
    }
}

/// A browser's socket.
pub(crate) struct Socket {
    socket: WebSocket<TcpStream>,
    /// What came while something else was waited for.
    passed_over: VecDeque<Value>,
}

impl Socket {
    pub(crate) fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("it is open");
    }

    /// The next message; `None` when it has been closed.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        self.passed_over.pop_front().or_else(|| self.read())
    }

    fn read(&mut self) -> Option<Value> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message of a topic that is wanted; others of that topic are dropped, and all else is heard later.
    pub(crate) fn hear_of(&mut self, topic: &str, mut is_wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut others = VecDeque::new();
        let wanted = loop {
            let message = self.hear().unwrap_or_else(|| panic!("it was closed before {topic} came"));
            match message["topic"] == topic {
                true if is_wanted(&message) => break message,
                true => {}
                false => others.push_back(message),
            }
        };
        others.append(&mut self.passed_over);
        self.passed_over = others;
        wanted
    }

    /// Nothing but the end comes.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.socket.read(), Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed))
    }
}
