//! One browser.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::{
        State as Shared,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior},
};

use super::{
    others::{self, Other},
    state::{Change, State},
};
use crate::{
    app::{App, SOCKETS_MAX},
    http::refusal::Refusal,
    json::NodeRow,
};

/// Topics of one socket, and bytes of one message from it.
const TOPICS_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of what is written and not yet sent; a snapshot may be larger by itself.
const WRITE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often a silent browser is asked whether it is there, and how long it may be silent.
const PING: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a browser may take to answer the end; less than a dashboard waits for all of them.
const FAREWELL_MAX: Duration = Duration::from_millis(500);
/// How long a browser may take to read one message.
const SEND_MAX: Duration = Duration::from_secs(30);

/// `GET /api/v1/stream`
pub(crate) async fn open(
    Shared(app): Shared<Arc<App>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Refusal::new("upgrade_required", rejection.body_text()).into_response(),
    };
    let Ok(place) = app.sockets.clone().try_acquire_owned() else {
        return Refusal::new("too_many_requests", format!("{SOCKETS_MAX} sockets are open already")).into_response();
    };
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    upgrade.max_write_buffer_size(WRITE_BYTES_MAX).on_upgrade(async move |socket| {
        let coming = others::others(app.clone()).boxed();
        let topics = HashMap::new();
        let mut browser = Browser { app, socket, topics, others: Vec::new(), coming, heard: Instant::now() };
        browser.attend().await;
        drop(place);
    })
}

struct Browser {
    app: Arc<App>,
    socket: WebSocket,
    topics: HashMap<String, Subscription>,
    /// Where it can go when this node ends.
    others: Vec<Other>,
    coming: BoxStream<'static, Vec<Other>>,
    heard: Instant,
}

struct Subscription {
    states: BoxStream<'static, State>,
    told: Option<State>,
    /// The number of the next delta.
    next: u64,
}

/// What a browser says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    unsubscribe: Vec<String>,
}

/// What it is told of a topic.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Snapshot(Box<RawValue>),
    Delta(Box<RawValue>),
}

#[derive(Serialize)]
struct Tale<'a> {
    topic: &'a str,
    seq: u64,
    #[serde(flatten)]
    told: Told,
}

/// The socket is to be closed.
struct Over;

impl Browser {
    /// Until it goes away.
    async fn attend(&mut self) {
        let mut ending = self.app.ending.subscribe();
        let mut ping = tokio::time::interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if self.hello().await.is_err() {
            return;
        }
        while self.turn(&mut ending, &mut ping).await.is_ok() {}
    }

    async fn turn(
        &mut self,
        ending: &mut watch::Receiver<Option<&'static str>>,
        ping: &mut Interval,
    ) -> Result<(), Over> {
        let topics = &mut self.topics;
        tokio::select! {
            biased;
            reason = reason(ending) => self.bye(reason).await,
            message = self.socket.recv() => self.hear(message).await,
            Some(others) = self.coming.next() => {
                self.others = others;
                self.hello().await
            }
            (name, state) = poll_fn(|cx| poll_topics(topics, cx)) => self.tell(&name, state).await,
            _ = ping.tick() => self.ask().await,
        }
    }

    async fn hello(&mut self) -> Result<(), Over> {
        let app = &self.app;
        let hello = json!({
            "self": NodeRow::own(app),
            "cluster": app.node.cluster(),
            "version": guthi::VERSION,
            "others": self.others,
        });
        self.send(&json!({ "hello": hello })).await
    }

    async fn bye(&mut self, reason: &str) -> Result<(), Over> {
        self.send(&json!({ "topic": "bye", "seq": 0, "snapshot": { "reason": reason, "others": self.others } }))
            .await?;
        let _ = tokio::time::timeout(FAREWELL_MAX, self.part()).await;
        Err(Over)
    }

    /// Closes, and hears the browser out: what came after the end would make the system take back what was not read yet.
    async fn part(&mut self) {
        if self.socket.send(Message::Close(None)).await.is_ok() {
            while let Some(Ok(_)) = self.socket.recv().await {}
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Over> {
        self.heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str::<Wish>(&text) {
                Ok(wish) => self.grant(wish).await,
                Err(error) => {
                    let refusal = Refusal::bad_request(format!("the message cannot be read: {error}"));
                    self.send(&refusal.framed()).await
                }
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => Err(Over),
        }
    }

    async fn grant(&mut self, wish: Wish) -> Result<(), Over> {
        for name in &wish.unsubscribe {
            self.topics.remove(name);
        }
        for name in wish.subscribe {
            if self.topics.contains_key(&name) {
                continue;
            }
            if let Err(refusal) = self.subscribe(&name) {
                self.send(&json!({ "topic": name, "error": refusal })).await?;
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, name: &str) -> Result<(), Refusal> {
        if self.topics.len() == TOPICS_MAX {
            return Err(Refusal::new("too_many_requests", format!("a socket may have {TOPICS_MAX} topics")));
        }
        let states = self.app.topics.subscribe(&self.app, name)?;
        let states = futures::stream::unfold(states, async |mut states| {
            states.changed().await.ok()?;
            let state = states.borrow_and_update().clone();
            Some((state, states))
        });
        let states = states.filter_map(async |state| state).boxed();
        self.topics.insert(name.to_owned(), Subscription { states, told: None, next: 0 });
        Ok(())
    }

    async fn tell(&mut self, name: &str, state: Option<State>) -> Result<(), Over> {
        let Some(state) = state else {
            self.topics.remove(name);
            return Ok(());
        };
        let Some(topic) = self.topics.get_mut(name) else { return Ok(()) };
        let Some(change) = state.since(topic.told.as_ref()) else { return Ok(()) };
        topic.told = Some(state);
        let (seq, told) = match change {
            Change::Snapshot(snapshot) => (0, Told::Snapshot(snapshot)),
            Change::Delta(delta) => (topic.next, Told::Delta(delta)),
        };
        topic.next = seq + 1;
        self.send(&Tale { topic: name, seq, told }).await
    }

    async fn ask(&mut self) -> Result<(), Over> {
        if self.heard.elapsed() > SILENCE_MAX {
            return Err(Over);
        }
        let ping = self.socket.send(Message::Ping(Vec::new().into()));
        tokio::time::timeout(SEND_MAX, ping).await.map_err(|_| Over)?.map_err(|_| Over)
    }

    async fn send(&mut self, message: &impl Serialize) -> Result<(), Over> {
        let text = serde_json::to_string(message).map_err(|_| Over)?;
        let sent = self.socket.send(Message::Text(text.into()));
        tokio::time::timeout(SEND_MAX, sent).await.map_err(|_| Over)?.map_err(|_| Over)
    }
}

/// Why it is time to say goodbye, when it is.
async fn reason(ending: &mut watch::Receiver<Option<&'static str>>) -> &'static str {
    ending.wait_for(Option::is_some).await.ok().and_then(|reason| *reason).unwrap_or("the dashboard ends")
}

/// The first topic with news, or one that will have none any more.
fn poll_topics(topics: &mut HashMap<String, Subscription>, cx: &mut Context<'_>) -> Poll<(String, Option<State>)> {
    for (name, topic) in topics {
        if let Poll::Ready(state) = Pin::new(&mut topic.states).poll_next(cx) {
            return Poll::Ready((name.clone(), state));
        }
    }
    Poll::Pending
}
