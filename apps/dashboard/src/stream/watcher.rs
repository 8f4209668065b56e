//! How each topic is watched.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use guthi::Events;
use tokio::{sync::watch, time::MissedTickBehavior};

use super::{
    follower::Follower,
    history::{self, Point},
    state::{Entry, Json, State},
    topics::Topic,
    variables,
};
use crate::{app::App, http::answer::Seen, json, timestamp::unix_ms};

/// How often is looked what nobody tells of, such as how long echoes take.
const LOOK: Duration = Duration::from_millis(500);
/// The same for what changes seldom, is read slowly, or has to be asked for.
const SLOW_LOOK: Duration = Duration::from_secs(1);
/// Mutexes that are told of; whoever wants to know of others asks for those that begin so.
const MUTEXES_MAX: usize = 2000;

pub(super) type States = watch::Sender<Option<State>>;

/// Publishes the states of a topic; ends only when there will be no more.
pub(crate) async fn watch(app: &Arc<App>, topic: &Topic, states: &States) {
    match topic {
        Topic::Nodes => nodes(app, states).await,
        Topic::View => view(app, states).await,
        Topic::Sees => sees(app, states).await,
        Topic::Events => events(app, states).await,
        Topic::Mutexes => mutexes(app, states).await,
        Topic::Variables { prefix } => variables::follow(app, prefix, states).await,
        Topic::Resources => resources(app, states).await,
        Topic::Log { node, level } => Follower::new(app, node, *level).follow(states).await,
        Topic::Functions => {
            let rows = || json::functions(&app.node).iter().filter_map(|row| Entry::new(&row.name, row)).collect();
            again(app, states, SLOW_LOOK, || Some(State::Table(Arc::new(rows())))).await;
        }
    }
}

/// Looks at each event, and now and then.
async fn again(app: &Arc<App>, states: &States, pause: Duration, mut look: impl FnMut() -> Option<State>) {
    let mut wake = Wake { events: Some(app.node.events()), pause };
    loop {
        publish(states, look());
        wake.next().await;
    }
}

async fn nodes(app: &Arc<App>, states: &States) {
    let (mut told, mut wake) = (Vec::new(), Wake { events: Some(app.node.events()), pause: LOOK });
    loop {
        json::look(app).await;
        told = json::steady(json::nodes(app), &told);
        let entries = told.iter().filter_map(|row| Entry::new(&row.id, row)).collect();
        publish(states, Some(State::Table(Arc::new(entries))));
        wake.next().await;
    }
}

async fn view(app: &Arc<App>, states: &States) {
    let mut told = None;
    let look = || {
        let view = app.node.view();
        let is_news = told.as_ref() != Some(&view);
        told = Some(view);
        if is_news { State::value(&json::view(&app.node)) } else { None }
    };
    again(app, states, SLOW_LOOK, look).await;
}

async fn sees(app: &Arc<App>, states: &States) {
    let mut told = None;
    let look = || {
        let sees = json::sees(&app.node);
        if told.as_ref() == Some(&sees) {
            return None;
        }
        let state = State::value(&json::SeesAnswer::new(&sees, Seen::by(app.node.id())));
        told = Some(sees);
        state
    };
    again(app, states, SLOW_LOOK, look).await;
}

async fn events(app: &Arc<App>, states: &States) {
    let mut changes = app.events.changes();
    loop {
        let upto = *changes.borrow_and_update();
        publish(states, Some(State::Tail { ring: app.events.clone(), upto, errors: None }));
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn mutexes(app: &Arc<App>, states: &States) {
    let mut told = Vec::new();
    let mut ticks = tokio::time::interval(SLOW_LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let json::Mutexes { mut rows, unanswered, more } = json::mutexes(app, "").await;
        let more = more || rows.len() > MUTEXES_MAX;
        rows.truncate(MUTEXES_MAX);
        told = json::unmoved(rows, &told);
        let rows = told.iter().filter_map(|row| Entry::new(&row.name, row)).collect();
        let state = Json::of(&unanswered).map(|unanswered| State::Part { rows: Arc::new(rows), unanswered, more });
        publish(states, state);
    }
}

async fn resources(app: &Arc<App>, states: &States) {
    let mut ticks = tokio::time::interval(history::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let rows = json::resources(app).await;
        let at_ms = unix_ms(SystemTime::now());
        let points = rows.iter().filter_map(|(node, row)| Some((*node, Point::new(at_ms, row.known()?))));
        app.history.add(at_ms, points);
        let rows = rows.iter().filter_map(|(_, row)| Entry::new(&row.node, row)).collect();
        publish(states, Some(State::Samples { rows: Arc::new(rows), at_ms, history: app.history.clone() }));
    }
}

pub(super) fn publish(states: &States, state: Option<State>) {
    let Some(state) = state else { return };
    states.send_if_modified(|old| {
        let is_news = old.as_ref().is_none_or(|old| !old.is_same(&state));
        if is_news {
            *old = Some(state);
        }
        is_news
    });
}

/// When to look again.
struct Wake {
    /// Gone when the node has left.
    events: Option<Events>,
    pause: Duration,
}

impl Wake {
    async fn next(&mut self) {
        let event = async {
            match &mut self.events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        if let Ok(None) = tokio::time::timeout(self.pause, event).await {
            self.events = None;
        }
    }
}
