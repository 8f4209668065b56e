//! A chat of all nodes: what somebody says is a message of a topic, and who is there is an ephemeral value, which goes with its
//! node. Start it in several terminals, type, and kill one of them.
//!
//! ```text
//! cargo run -p guthi --example chat
//! ```

use guthi::{EntryChange, TopicEvent, prelude::*};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> guthi::Result<()> {
    let node = Node::local().start().await?;
    let name = node.name().to_owned();
    let chat = node.topic::<String>("chat");
    let here = node.ephemeral::<u32>(format!("chat/{name}"));
    let (mut messages, mut people) = (chat.subscribe()?, node.watch_ephemerals::<u32>("chat/"));
    let (mut lines, mut said) = (BufReader::new(stdin()).lines(), 0);
    here.set(said)?;
    println!("you are {name}: type something, Ctrl-D ends");
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => {
                    chat.publish(&format!("{name}: {line}"))?;
                    said += 1;
                    here.set(said)?;
                }
                _ => return node.leave().await.map_err(Into::into),
            },
            Some(message) = messages.next() => match message {
                TopicEvent::Message { value, .. } => println!("{value}"),
                TopicEvent::Missed(count) => println!("({count} messages are lost)"),
                _ => {}
            },
            Some(change) = people.next() => match change {
                EntryChange::Set { name, value: 0, .. } => println!("{name} is here"),
                EntryChange::Set { name, value, .. } => println!("{name} has said {value}"),
                EntryChange::Gone { name, .. } => println!("{name} is gone"),
                _ => {}
            },
        }
    }
}
