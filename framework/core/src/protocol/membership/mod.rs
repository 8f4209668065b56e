//! Membership: views without a master.
//!
//! Everybody agrees on who belongs to the cluster, and on the order in which that changed. On this floor stands whatever
//! needs one answer: who holds a mutex, where a variable lives.
//!
//! **Source.** Each view is followed by the value of one instance of single-decree Paxos (Lamport 1998; *Paxos made simple*,
//! 2001), whose acceptors are the voters of that view: a *vertical* reconfiguration in the sense of Lamport, Malkhi and Zhou
//! (2009), without a master that outlives a view. What is a quorum follows dynamic linear voting (Jajodia and Mutchler
//! 1990). Leases are those of Gray and Cheriton (1989), granted by voters instead of servers.
//!
//! **Roles.** Every node is a *member* of one view at a time. The seven oldest members are its *voters*, and any voter may
//! be a *proposer*. Who answers an echo is a *grantor*, who has asked a *holder*. There is no leader, and no log: an instance
//! is forgotten with its view.
//!
//! **Definitions.**
//! - A [*view*](super::view::View) is a list of members, the oldest first, each with the epoch since which it belongs
//!   without a break. It has a *lineage*, which is minted when a cluster is born or forks, and an *epoch*, its number there.
//!   It says how many homes each shard has, which is what the founder wanted, and who could be home of something in the
//!   views before it.
//! - A *quorum* is more than half of the voters, or exactly half with the oldest of them. Any two share a voter.
//! - A *change* is one difference between a view and the next: cut, retire, part, admit, or none (renew). A value is a list
//!   of changes, so what follows a view is a function of the view and the value.
//! - A member is *wedged* when it serves its view no more. It stays wedged until it installs a later one.
//! - A *lease* is the promise of one voter to count a node as a member a little longer. A node is *leased* while it has them
//!   from a quorum of the voters of the view that it has installed, its own vote included.
//! - A view is *active* when whatever its excluded members were allowed to do has ended. To *serve* is to be in an active
//!   view, leased, and not wedged.
//! - A node is *excluded* when it learns of a later view of its lineage without it. It is *isolated* when it was not leased
//!   for a while, which costs it nothing but time.
//!
//! **Messages.** All of an instance name their view. Whoever is beyond it answers with the view it has, and nothing else.
//!
//! | name | from | to | when |
//! |---|---|---|---|
//! | `WouldYou` | voter with a reason | linked voters | `settle` after the first reason, older voters first; again while the reason lasts |
//! | `Would` | voter | who asked | at once: those of the changes for which it has a reason of its own |
//! | `Prepare` | proposer | voters | when a quorum would; repeated until answered |
//! | `Promise` | voter | proposer | at once; it is wedged by then |
//! | `Accept` | proposer | voters | after the promises of a quorum: the value of the highest ballot accepted before, else its own |
//! | `Accepted` | voter | proposer | at once, with what must be waited for as far as it knows |
//! | `Refused` | voter | proposer | at once, if it has promised a higher ballot |
//! | `Decided` | proposer | members of the old view | when a quorum has accepted |
//! | `View` | anybody | a member that is behind or does not know that it is one; a joiner | on each sign that it is, with what is left of the wait |
//! | `ViewWanted` | who is behind | who is ahead | on a message of a later view |
//! | `Hello` | anybody | linked nodes of other lineages | when linked, when its rank changes, and each `hello` |
//! | `Join` | the only member of a lineage | linked members of a higher one | each `repeat` until it is in |
//! | `Leave` | leaving member | voters | each `repeat` until it is out |
//! | `Fork`, `Forked` | who is left | all who are left | each `repeat` until all have agreed |
//!
//! The echoes that carry leases are those of the [detector](super::detector): one pair of messages is both the sign of life
//! and the lease.
//!
//! **How a view ends.** A reason is a member that is not heard, somebody who wants to leave or to come in, or somebody who
//! was wedged for longer than a lease. A voter with a reason asks first, and the question wedges nobody, the asker neither:
//! so a voter with a broken cable stops no one. Each change is answered by itself, and a cut is agreed to only by who does
//! not hear that member either. With the changes that have a quorum it begins an attempt. To promise is to be wedged, so a
//! value can only be chosen when a quorum serves no more. Whoever learns the value installs the next view, writes it down
//! before it acts in it, and counts the wait by its own clock.
//!
//! **Waits.** A voter that accepts says how long those who are cut may still act, as far as it knows:
//! - what is left of the promises it has made to them, in whichever view;
//! - what is left of its own wait, if the view that ends is not active yet;
//! - one lease from its install of the view that ends, if it has seen no message of that view from somebody who is cut: that
//!   member may live by promises of the view before;
//! - nothing for who has parted, and for who is proven dead.
//!
//! The largest wait of a quorum counts, and goes with the view to everybody who learns it: whenever the node that tells it
//! will be active, the excluded are harmless everywhere. A voter that accepts its own cut gives up its leases on the spot.
//! All durations pass from clock to clock with two hundredths on the safe side, so clocks may differ in rate by one.
//!
//! **Leaving** takes two views. In the first the member is marked: it votes, and is home of nothing. When it holds nothing
//! that others need it serves no more and says so, and the second view is without it, with no wait on its account. A leaver
//! that decides that view itself tells it until somebody who stays has told it so: its vote may have been the quorum.
//!
//! **Birth and meeting.** Every node begins as the only member of a lineage of its own. It looks around for a `window`,
//! serving and admitting nobody, and then joins the lineage of the highest *rank* in sight, or admits others if that is its
//! own. Rank is a total order: it holds variables; it is not isolated; members; epoch; lower lineage. When two lineages meet
//! later, the lower one gives way if it holds nothing: its members leave it one by one, by views of their own, and begin a new
//! life in order to join the other; the last one joins as it is. So a lineage that turns out to hold something keeps it. Who
//! is on its way serves nothing. A life that was a member and is out never comes in again, nor does one into a lineage that it
//! has left by a fork: such a node begins a new life. Two that both hold variables refuse each other, until somebody dissolves
//! one.
//!
//! **Forks.** Under [`Policy::Any`] members share one machine and its runtime directory, where the lock on a file proves
//! that a process is dead. If the proven dead are missing for a quorum, exactly those who are not proven dead go on in a
//! lineage whose name follows from the old one and from who they are. Every one of them must agree, each by its own look at
//! the files, and nobody who agreed installs a later view of the old lineage. A file names the last view of each lineage
//! that its process was in. It *leads on* if it names a later view of this lineage, a lineage to which this node has agreed,
//! or one that stands in another file that leads on. If a living process's file leads on, nobody forks; if only a dead one's
//! does, the fork begins with every shard orphaned. A node looks anew after each install, and one whom nobody older has
//! answered in its view yet does not fork, since a fork may have begun without it. Who would wait for ever to be told, since
//! a linked node stands where others went on to and has not called it a member for a time-out, is excluded.
//!
//! **Invariants.**
//! - **V1** One successor is decided for each view.
//! - **V2** A quorum of the voters has accepted it.
//! - **V3** Nothing of a view is served by who was wedged in it. In particular, no lease is granted.
//! - **V4** When a view is active somewhere, nobody who is excluded from it is leased.
//! - **N1** While nobody crashes and nobody dissolves, some lineage holds every variable.
//! - **N2** Lineages that see each other, have a quorum, and of which at most one holds variables, end as one.
//! - **W1** When faults have ended and a quorum is linked, a view change ends, and the view has exactly those who are linked
//!   with it.
//!
//! **Why V1.** Within one view it is Paxos: two quorums share a voter, and that voter's promise hides no value from the
//! higher ballot. To accept is to promise as well; otherwise a late message of a lower ballot replaces what was chosen. A
//! voter that restarts is another member, so nothing needs to be on disk.
//!
//! **Why V4.** Let a member be cut by the value of some view. To be leased it needs promises from a quorum of the voters of
//! the view that *it* has installed. If that is the view that ends, this quorum shares a voter with the one that accepted,
//! and that voter's promise is in its wait; it made none after it was wedged. If the member is further behind, it lives by
//! promises of an earlier view, whose quorum was wedged before the view that ends was installed anywhere, so one lease from
//! that install covers it. If it was cut by an earlier value, the wait on its account is inherited until it has ended. The
//! promises that a grantor made survive its installs for that reason. The promise that a member makes to itself, its own
//! vote, ends one lease after it was wedged; so it ends in time as well, also where that vote is a quorum by itself.
//!
//! **Each rule is needed.** The model of the real machines (`cargo model membership-vote` and its siblings) visits every state
//! of small worlds. With one rule removed it finds this, and a test holds it to that:
//!
//! | removed | world | what breaks | actions |
//! |---|---|---|---|
//! | to accept is to promise | vote | V1 | 13 |
//! | the highest accepted value | vote | V1 | 7 |
//! | quorum (any half is enough) | vote | V1 | 2 |
//! | the wedge | views | V4 for reads | 4 |
//! | who accepts its own cut is not leased | views | V4 for guards | 3 |
//! | the inherited wait | views | V4 for reads | 3 |
//! | one lease from the install | views | V4 for guards | 5 |
//! | a view that is learnt later is waited for | views | V4 for reads | 4 |
//! | promises survive installs | views | V4 for guards | 3 |
//! | `since` | views | a member that was cut takes itself for one | 1 |
//! | exactly the same set agrees to a fork | fork | two lineages serve | 2 |
//! | a view is written before it is acted in | fork | two lineages serve | 8 |
//! | rank is a total order | meeting | N2 | 0 |
//! | leaving before joining elsewhere | meeting | N2 | 4 |
//!
//! The small scopes are visited to their end in the tests. Of the large ones (`--long`) `membership-vote` ends, after
//! 29,234,588 states and eleven minutes on one core; of `membership-views` every state that takes eight actions was left and
//! 15,975,424 seen in thirteen minutes, which is where 18 GB of memory end.
//!
//! **Bounds.** [`MEMBERS_MAX`](crate::wire::limits::MEMBERS_MAX) members, seven voters, 64 changes a view, as many joiners as
//! members that stay; one record for each node that is linked or a member; of those who were members the last 64 are known,
//! and of the views before this one as many.
//! A change costs four messages for each voter but the proposer, and one for each other member; a question two more for each
//! voter.
//!
//! **Deviations and why.** From Paxos: none. Proposers ask before they begin, which changes no acceptor. From dynamic linear
//! voting: the oldest member is distinguished, not the last in some order of sites. The rest has pages of its own among the
//! decisions: what is waited for (0009), what a voter goes by (0010), how members move between lineages (0011), forks
//! (0012).

mod command;
mod config;
mod event;
#[cfg(feature = "simulation")]
mod explored;
mod fork;
mod instance;
mod lease;
mod machine;
mod meeting;
mod message;
mod succession;
#[cfg(test)]
mod tests;

pub use command::{Command, File, Holdings};
pub use config::{Config, Policy};
pub use event::{Event, Ignored, Installed, Reason};
#[cfg(feature = "simulation")]
pub use explored::Moment;
pub use machine::{Machine, Out};
pub use message::{Ballot, Message};

pub use super::view::VOTERS_MAX;
