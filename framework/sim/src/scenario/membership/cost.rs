//! What membership and detector send, counted in a calm world.

use std::{fmt::Write as _, time::Duration};

use guthi_core::protocol::{bugs::Bugs, random::Random};

use super::{Membership, MembershipHost};
use crate::{
    fabric::{Conditions, Place},
    fault::Profile,
    scenario::{
        Boot, Scenario,
        node::{Cost, Sent},
    },
    world::{Stepped, World},
};

/// A table in Markdown: for clusters of these sizes, what one view change costs and what a node sends when nothing happens.
///
/// Catalogs are left out, and so are the attempts to link, which are no packets.
#[must_use]
pub fn table(sizes: &[Place]) -> String {
    let mut text = String::from(
        "| nodes | killed: messages | bytes | joined: messages | bytes | calm, a node and second: messages | bytes |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for nodes in sizes {
        let [killed, joined, calm] = costs(*nodes);
        let _ = write!(text, "| {nodes} |");
        for Cost { messages, bytes } in [killed, joined, calm] {
            let _ = write!(text, " {messages} | {bytes} |");
        }
        text.push('\n');
    }
    text
}

/// The view change after a kill, the one after a join, and the steady state of one node.
fn costs(nodes: Place) -> [Cost; 3] {
    let mut stage = Stage::new();
    for place in 0..nodes {
        stage.boot(place);
    }
    stage.run(BIRTH);
    let calm = stage.run(SECONDS);
    stage.world.crash(nodes / 2, true);
    let killed = stage.run(SECONDS);
    stage.boot(nodes);
    let joined = stage.run(SECONDS);
    let each = u64::from(nodes) * SECONDS.as_secs();
    let calm = calm.detector;
    let calm = Cost { messages: calm.messages / each, bytes: calm.bytes / each };
    [killed.membership, joined.membership, calm]
}

struct Stage {
    scenario: Membership,
    world: World<MembershipHost>,
}

impl Stage {
    fn new() -> Self {
        let conditions = Conditions { delay_us: 1000, ..Conditions::default() };
        Self { scenario: Membership::new(Profile::Calm, 0), world: World::new(0, conditions, false) }
    }

    fn boot(&mut self, place: Place) {
        let member = self.world.next_member(place);
        let seed = Random::new(u64::from(place)).next();
        let host = self.scenario.boot(Boot { place, member, seed, bugs: Bugs::NONE, tame: true, verbose: false });
        self.world.boot(place, member, host, 0);
        (0..self.world.places()).for_each(|other| self.world.introduce(place, other));
    }

    fn run(&mut self, time: Duration) -> Sent {
        let until = self.world.now() + time;
        let mut sent = Sent::default();
        while let Some(stepped) = self.world.step(until) {
            let Stepped::Node(place) = stepped else { continue };
            let Some(host) = self.world.host_mut(place) else { continue };
            host.take_events();
            let Sent { detector, membership, mutex: _, variable: _ } = std::mem::take(&mut host.node.sent);
            for (all, one) in [(&mut sent.detector, detector), (&mut sent.membership, membership)] {
                all.messages += one.messages;
                all.bytes += one.bytes;
            }
        }
        self.world.skip_to(until);
        sent
    }
}

/// Long enough for all to come in, each view taking at most as many as it has.
const BIRTH: Duration = Duration::from_secs(10);
/// Long enough for a view change and all that follows.
const SECONDS: Duration = Duration::from_secs(10);
