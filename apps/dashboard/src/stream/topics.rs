//! Which topics are watched, and by how many.

use std::{collections::HashMap, sync::Arc};

use guthi::{Level, WatchError, WriteError};
use parking_lot::Mutex;
use tokio::{sync::watch, task::AbortHandle};

use super::{state::State, watcher};
use crate::{app::App, http::refusal::Refusal, json};

/// Topics that may be watched at once, for all sockets.
const WATCHED_MAX: usize = 256;

/// What a socket can subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Nodes,
    View,
    Sees,
    Events,
    Functions,
    Mutexes,
    /// Those whose names begin so.
    Variables {
        prefix: String,
    },
    Resources,
    /// The log of a node, or of all, at this level and graver.
    Log {
        node: String,
        level: Level,
    },
}

/// The tasks that watch.
#[derive(Default)]
pub(crate) struct Topics {
    watched: Mutex<HashMap<String, Watched>>,
}

struct Watched {
    states: watch::Sender<Option<State>>,
    task: AbortHandle,
}

impl Topic {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "nodes" => Self::Nodes,
            "view" => Self::View,
            "sees" => Self::Sees,
            "events" => Self::Events,
            "functions" => Self::Functions,
            "mutexes" => Self::Mutexes,
            "variables" => Self::Variables { prefix: String::new() },
            "resources" => Self::Resources,
            // Names may have colons.
            text => match text.split_once(':')? {
                ("variables", prefix) => Self::Variables { prefix: prefix.into() },
                ("log", log) => {
                    let (node, level) = log.rsplit_once(':')?;
                    Self::Log { node: node.into(), level: level.parse().ok()? }
                }
                _ => return None,
            },
        })
    }

    /// Whether it can be watched.
    fn check(&self, app: &App) -> Result<(), Refusal> {
        match self {
            Self::Log { node, .. } => json::whose(&app.node, Some(node)).map(drop),
            // What no name can be, none begins with.
            Self::Variables { prefix } if !prefix.is_empty() => match app.node.raw_variable(prefix) {
                Err(WriteError::BadName { name, reason }) => Err(WatchError::BadPrefix { prefix: name, reason }.into()),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl Topics {
    /// The states of a topic from now on; the first to ask lets it be watched.
    pub(crate) fn subscribe(&self, app: &Arc<App>, name: &str) -> Result<watch::Receiver<Option<State>>, Refusal> {
        let unknown = || Refusal::not_found(format!("there is no topic `{name}`"));
        let topic = Topic::parse(name).ok_or_else(unknown)?;
        topic.check(app)?;
        let mut watched = self.watched.lock();
        if let Some(watched) = watched.get(name) {
            let mut states = watched.states.subscribe();
            states.mark_changed();
            return Ok(states);
        }
        if watched.len() == WATCHED_MAX {
            return Err(Refusal::new("too_many_requests", format!("{WATCHED_MAX} topics are watched already")));
        }
        let (states, receiver) = watch::channel(None);
        let (app, sender, name) = (app.clone(), states.clone(), name.to_owned());
        let key = name.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => {}
                    () = watcher::watch(&app, &topic, &sender) => {}
                }
                if app.topics.ends(&name) {
                    return;
                }
            }
        });
        watched.insert(key, Watched { states, task: task.abort_handle() });
        Ok(receiver)
    }

    /// Whether nobody is subscribed to it: then it is watched no longer.
    fn ends(&self, name: &str) -> bool {
        let mut watched = self.watched.lock();
        let is_over = watched.get(name).is_none_or(|watched| watched.states.receiver_count() == 0);
        if is_over {
            watched.remove(name);
        }
        is_over
    }

    /// Ends all watching.
    pub(crate) fn clear(&self) {
        self.watched.lock().drain().for_each(|(_, watched)| watched.task.abort());
    }
}
