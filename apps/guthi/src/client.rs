//! The HTTP interface of a node, from the side of whoever asks.

use std::{
    io::{BufRead, BufReader},
    net::{TcpStream, ToSocketAddrs},
    ops::ControlFlow,
    time::Duration,
};

use guthi::Control;
use serde_json::{Value, json};
use tungstenite::{ClientRequestBuilder, Message, WebSocket};
use ureq::{Agent, Body, http::Response};

use crate::{failure::Failure, screen::Screen, text::plain};

/// An answer larger than this is none of ours.
const ANSWER_BYTES_MAX: u64 = 96 << 20;

/// One node that can be asked.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its name, or its URL if that is all that is known.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) url: String,
    token: String,
    /// How long it may take to answer.
    pub(crate) timeout: Duration,
    agent: Agent,
}

impl Client {
    pub(crate) fn new(name: String, control: &Control, timeout: Duration) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The node is on this machine, whatever the environment says about the way out.
            .proxy(None)
            .timeout_connect(Some(timeout))
            .build();
        let url = control.url.trim_end_matches('/').to_owned();
        Self { name, url, token: control.token.clone(), timeout, agent: agent.into() }
    }

    /// What stands at a path below `/api/v1`.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let request = self.agent.get(self.address(path)).header("Authorization", self.bearer());
        let request = query.iter().fold(request, |request, (key, value)| request.query(key, value));
        let sent = request.config().timeout_global(Some(self.timeout)).build().call();
        self.read(sent.map_err(|error| self.lost(&error))?)
    }

    /// Asks for something to be done.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.read(self.send(path, body, self.timeout)?)
    }

    /// Writes what stands at a path, if that is as it should be.
    pub(crate) fn put(&self, path: &str, body: &Value, condition: &Condition) -> Result<Value, Failure> {
        let request = self.agent.put(self.address(path)).header("Authorization", self.bearer());
        let request = match condition {
            Condition::None => request,
            Condition::Version(version) => request.header("If-Match", format!("\"{version}\"")),
            Condition::New => request.header("If-None-Match", "*"),
        };
        let request = request.config().timeout_global(Some(self.timeout)).build();
        self.read(request.send_json(body).map_err(|error| self.lost(&error).outcome("unknown"))?)
    }

    /// Takes away what stands at a path.
    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.delete(self.address(path)).header("Authorization", self.bearer());
        let sent = request.config().timeout_global(Some(self.timeout)).build().call();
        self.read(sent.map_err(|error| self.lost(&error).outcome("unknown"))?)
    }

    /// All variables whose names begin so, one after the other, with how many there are.
    pub(crate) fn export(
        &self,
        prefix: &str,
        mut each: impl FnMut(Value, Option<u64>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = self.agent.get(self.address("/export/variables")).header("Authorization", self.bearer());
        let sent = request.query("prefix", prefix).call();
        let response = sent.map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return self.read(response).map(drop);
        }
        let count = response.headers().get("guthi-variables").and_then(|count| count.to_str().ok()?.parse().ok());
        self.values(response, u64::MAX).try_for_each(|value| each(value?, count))
    }

    /// What comes at a path line by line, until the node leaves, of which people are told, or this is told that it is enough.
    pub(crate) fn follow(
        &self,
        path: &str,
        query: &[(&str, &str)],
        screen: &Screen,
        mut each: impl FnMut(&Value) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let request = self.agent.get(self.address(path)).header("Authorization", self.bearer());
        let request = query.iter().fold(request, |request, (key, value)| request.query(key, value));
        let response = request.call().map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return self.read(response).map(drop);
        }
        for value in self.values(response, u64::MAX) {
            if each(&value?)?.is_break() {
                return Ok(());
            }
        }
        screen.note(&format!("{} has left", plain(&self.name)));
        Ok(())
    }

    /// The values of an answer that has one on each line, as they come; so many bytes at most.
    fn values(&self, response: Response<Body>, bytes_max: u64) -> impl Iterator<Item = Result<Value, Failure>> {
        let reader = response.into_body().into_with_config().limit(bytes_max).reader();
        BufReader::new(reader).lines().map(|line| {
            let line = line.map_err(|error| self.lost(&error.into()))?;
            serde_json::from_str(&line).map_err(|error| self.strange(&error))
        })
    }

    /// Sends a part of what an export gave.
    pub(crate) fn import(&self, lines: &str, keep: bool) -> Result<Value, Failure> {
        let request = self.agent.post(self.address("/import/variables")).header("Authorization", self.bearer());
        let request = request.query("keep", if keep { "true" } else { "false" });
        let sent = request.header("Content-Type", "application/x-ndjson").send(lines);
        self.read(sent.map_err(|error| self.lost(&error).outcome("unknown"))?)
    }

    /// A call, which takes as long as it takes, and the shares that it tells meanwhile.
    pub(crate) fn call(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
        mut progress: impl FnMut(f64),
    ) -> Result<Value, Failure> {
        let response = self.send(path, body, patience.saturating_add(self.timeout))?;
        let lines = response.body().mime_type() == Some("application/x-ndjson");
        if !lines {
            return self.read(response);
        }
        for value in self.values(response, ANSWER_BYTES_MAX) {
            let value = value?;
            match (value["progress"].as_f64(), value.get("error")) {
                (Some(share), _) => progress(share),
                (None, Some(error)) => return Err(Failure::of(error)),
                (None, None) => return Ok(value),
            }
        }
        let failure = Failure::new("peer_lost", format!("{} ended the answer before its end", self.name));
        Err(failure.outcome("unknown"))
    }

    /// The same request for those who have curl.
    pub(crate) fn request(&self, path: &str, body: &Value) -> Value {
        let (url, bearer) = (self.address(path), self.bearer());
        let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let curl = format!(
            "curl -sS {} -H {} -H 'Content-Type: application/json' -d {}",
            quote(&url),
            quote(&format!("Authorization: {bearer}")),
            quote(&body.to_string())
        );
        let headers = json!({"Authorization": bearer, "Content-Type": "application/json"});
        json!({"method": "POST", "url": url, "headers": headers, "body": body, "curl": curl})
    }

    /// A request whose answer may go on for as long as the connection lives, to be sent as it is. It is of HTTP 1.0, in which
    /// an answer ends with its connection.
    pub(crate) fn lasting_request(&self, path: &str, body: &Value) -> String {
        let (host, bearer, body) = (self.host(), self.bearer(), body.to_string());
        format!(
            "POST /api/v1{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What a browser opens; it holds the token.
    pub(crate) fn start_url(&self) -> String {
        format!("{}/?t={}", self.url, self.token)
    }

    /// What is pushed about one topic, until the node leaves.
    pub(crate) fn stream(&self, topic: &str) -> Result<Stream, Failure> {
        let unreachable = |error: &dyn std::fmt::Display| self.unreachable(error);
        let host = self.host();
        let address = host.to_socket_addrs().map_err(|error| unreachable(&error))?.next();
        let address = address.ok_or_else(|| unreachable(&"the name has no address"))?;
        let tcp = TcpStream::connect_timeout(&address, self.timeout).map_err(|error| unreachable(&error))?;
        tcp.set_read_timeout(Some(self.timeout))?;
        let uri = format!("ws://{host}/api/v1/stream").parse();
        let uri = uri.map_err(|error: tungstenite::http::uri::InvalidUri| unreachable(&error))?;
        let request = ClientRequestBuilder::new(uri).with_header("Authorization", self.bearer());
        let (mut socket, _) = tungstenite::client(request, tcp).map_err(|error| unreachable(&error))?;
        let subscribe = json!({"subscribe": [topic]}).to_string();
        socket.send(Message::text(subscribe)).map_err(|error| unreachable(&error))?;
        // From here on silence is no fault: nothing may happen for hours.
        socket.get_ref().set_read_timeout(None)?;
        Ok(Stream { socket, topic: topic.to_owned(), name: self.name.clone() })
    }

    fn send(&self, path: &str, body: &Value, patience: Duration) -> Result<Response<Body>, Failure> {
        let request = self.agent.post(self.address(path)).header("Authorization", self.bearer());
        let request = request.config().timeout_global(Some(patience)).build();
        request.send_json(body).map_err(|error| self.lost(&error).outcome("unknown"))
    }

    fn read(&self, mut response: Response<Body>) -> Result<Value, Failure> {
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| self.lost(&error))?;
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        match value {
            Some(value) if status.is_success() => Ok(value),
            Some(value) if value["error"].is_object() => Err(Failure::of(&value["error"])),
            _ => Err(self.strange(&format!("status {status}"))),
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.url)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn lost(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => self.unreachable(error),
            ureq::Error::Timeout(_) => Failure::new("timeout", format!("{} did not answer in time", self.name))
                .next("wait longer with --timeout 30s")
                .outcome("unknown"),
            _ => self.unreachable(error),
        }
    }

    pub(crate) fn unreachable(&self, error: &dyn std::fmt::Display) -> Failure {
        let message = format!("cannot reach {} at {}: {error}", self.name, self.url);
        Failure::new("no_local_node", message).next("`guthi doctor` looks at all nodes of this machine")
    }

    fn strange(&self, what: &dyn std::fmt::Display) -> Failure {
        let message = format!("{} gave an answer that cannot be read: {what}", self.name);
        Failure::new("internal", message).next("is it of the same version? `guthi doctor` compares them")
    }
}

/// When something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    /// It has this version.
    Version(String),
    /// It is not there.
    New,
}

/// What a node pushes about one topic.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: WebSocket<TcpStream>,
    topic: String,
    name: String,
}

/// One push.
#[derive(Debug)]
pub(crate) enum Push {
    /// All that there is: it replaces what was seen before.
    Snapshot(Value),
    /// What is new.
    Delta(Value),
    /// The node leaves.
    Bye,
}

impl Stream {
    /// The next push, or `None` when the node has gone.
    pub(crate) fn next(&mut self) -> Result<Option<Push>, Failure> {
        loop {
            let text = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) => return Ok(None),
                Ok(_) => continue,
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => return Ok(None),
                Err(error) => return Err(Failure::new("peer_lost", format!("{} was lost: {error}", self.name))),
            };
            let Ok(mut value) = serde_json::from_str::<Value>(&text) else { continue };
            if value["topic"] == "bye" {
                return Ok(Some(Push::Bye));
            }
            if value["topic"] != self.topic.as_str() {
                continue;
            }
            if value["error"].is_object() {
                return Err(Failure::of(&value["error"]));
            }
            if value.get("snapshot").is_some() {
                return Ok(Some(Push::Snapshot(value["snapshot"].take())));
            }
            return Ok(Some(Push::Delta(value["delta"].take())));
        }
    }
}

/// A name as a part of a path.
pub(crate) fn segment(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(segment("math.add"), "math.add");
        assert_eq!(segment("a/../b?c ü"), "a%2F..%2Fb%3Fc%20%C3%BC");
    }

    #[test]
    fn what_curl_is_told_is_quoted() {
        let control = Control { url: "http://127.0.0.1:7969".into(), token: "secret".into() };
        let client = Client::new("ann".into(), &control, Duration::from_secs(1));
        let request = client.request("/functions/echo/call", &json!({"args": "it's"}));
        let curl = request["curl"].as_str().unwrap();
        assert!(curl.ends_with(r#"-d '{"args":"it'\''s"}'"#), "{curl}");
    }
}
