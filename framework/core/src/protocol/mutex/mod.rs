//! Mutexes: Suzuki and Kasami's token on agreed views, which survives its holder.
//!
//! A mutex has a name, and all members of a view share it. Whoever has its token may grant guards, one at a time; nobody is
//! asked, and nobody is the master of it.
//!
//! **Source.** Suzuki and Kasami, *A distributed mutual exclusion algorithm* (ACM TOCS 3(4), 1985). The paper has a fixed set
//! of nodes that never fail, messages that are not lost, and requests that are never given up. Inside one
//! [view](super::view::View) the first holds; for the others see *Deviations*. Fences are those of Gray and Cheriton (1989) and
//! of Burrows (2006), who calls them sequencers.
//!
//! **Roles.** For each name one member is the *home*, by a [hash](super::home) that all members compute alike. Whoever has the
//! token is the *holder*, whether there is a guard or not. Whoever waits for it is a *requester*. Who was in an earlier view
//! already is a *survivor*.
//!
//! **Definitions.**
//! - The *token* of a name exists at most once in each view. It carries the *fence* of the last guard, for each member the
//!   number of the last request that was *served* (the paper's LN), and a *queue* (Q) of those who get it next.
//! - `requested` (RN) is what each node keeps for itself: of each member the number of the last request it has heard of. Both
//!   live in one view; the numbers of a member go on over views.
//! - A *pass* is the number of times that the token was passed on in its view. A token that comes with a pass that was seen
//!   here before is the same one, sent again.
//! - A *guard* is what a task of the holder has. It is *good* while its node is leased by the voters of the view that it has
//!   installed; being wedged does not end it, being excluded does. Its fence is higher than those of all guards before it.
//! - The token is *parked* when nobody wants it: its node may then grant guards by itself, without telling this machine, until
//!   the token is *recalled*.
//! - A *sighting* is what somebody remembers of where a token was last, over views.
//!
//! **Messages.** Each names its view. One of an earlier view changes nothing, one of a later view is kept until that is
//! installed. Who is wedged neither sends nor takes any.
//!
//! | name | from | to | when |
//! |---|---|---|---|
//! | `Request` | requester | all others | its first task waits; repeated until the token comes |
//! | `Token` | holder | the head of its queue | there is no guard, and somebody waits; repeated until it is taken |
//! | `Taken` | requester | who sent the token | at once, as often as the token comes; also home, to who has brought a guard |
//! | `Try` | requester | all others | a task tries; repeated until it is answered |
//! | `Busy` | holder | who tries | there is a guard, or somebody waits |
//! | `ReportWanted` | home | survivors that may have brought something, and its deputy | the name is wanted in this view for the first time; repeated until answered |
//! | `Report` | survivor | home | at once; unasked, and to the deputy too, if it has brought a guard, repeated until that is known |
//!
//! **How it goes.** A token that is parked where it is wanted costs no message; otherwise a guard costs a request to each
//! other member and the token, and if its requester is known to the holder already, the token alone. The holder serves those
//! of whom it has heard in that order. Of its own tasks, those that wait when the token comes, or when the first other node
//! does, have it first, but not more than [`run_max`](Config::run_max) of them; if some are left then, it queues for itself. A guard is granted as the last step, after a look at the
//! lease: who was stopped since then finds it over. A task that gives up leaves its request behind; a token that comes where
//! nobody waits goes on.
//!
//! **When a view ends,** all tokens end with it but those of which there is a guard: that stays with its node, with the same
//! fence, and is the token of the next view. Whoever waits asks anew. When a name is wanted for the first time in the new
//! view, its home asks all survivors what they have brought of it. Only when each has answered, which it does in the new view
//! alone, and when the view is active, does it make a token, whose fences begin with the new epoch. So exactly one node
//! decides, once, on a closed set of reports, and names that nobody uses cost nothing.
//!
//! **Who died.** The first guard of a new token says whether the holder before it died, or was excluded, while it may have had
//! a guard. The token was last where the latest sighting says: with whom it was passed to, or who has brought a guard, or
//! with the home that made it. The home has a *deputy*, who becomes home if it dies: it is asked for a report whatever it has
//! brought, and so knows that there is a token; and both hear at once of guards that were brought, since the node that brought
//! one may die before anybody asks. A member on its way out gives idle tokens to their homes, and so does not seem to have died
//! with them; where it had a token last, that is remembered until somebody has died or a later place is known, since it may have
//! passed the token on to somebody who says nothing any more. The alarm may be false: who dies with an idle token looks the same.
//!
//! **Invariants.**
//! - **L1** At most one token for each name and view: here, or under way, or not made yet.
//! - **L2** The fences of successive guards rise.
//! - **L3** At most one guard is good.
//! - **L4** A task that waits is known at the holder, or stands in the queue, or its request is repeated.
//! - **L5** Once its request is known at the holder, at most sixteen guards for each other member come before it.
//! - **L6** Whoever is granted a mutex after its holder died, or was excluded, with a guard, is told so; if others died with it,
//!   as long as somebody is left who had heard of the guard.
//! - **L7** A try leaves nothing behind, and is refused only while somebody else has or wants the mutex.
//! - **W2** When faults have ended and holders give back, every task that waits is granted its guard.
//!
//! **Why L3.** Within a view there is one token (L1), and one guard at a time comes of it. A guard of an earlier view is good
//! only as long as the leases of its node count. If its node is a survivor, it has reported the guard, and no other token is
//! made. If it was excluded, its leases are over when the view is active (V4 of the [membership](super::membership)), and no
//! token is made before that. A guard that a node grants of a parked token while a view is being installed is in the report,
//! since the token is recalled before the node says anything in the new view.
//!
//! **Why L2.** A token is made with the epoch of its view, which is higher than that of any token before it; while a guard
//! that was brought lives on, no token is made; within a view fences go with the token.
//!
//! **Each rule is needed.** The model of the real machines (`cargo model mutex-change` and its siblings) visits every state of
//! small worlds: three nodes, one name, up to two changes of views, a crash, an excluded holder that goes on, messages that come
//! late, twice or never. With one rule broken it finds this, and a test holds it to that:
//!
//! | broken | world | what breaks | actions |
//! |---|---|---|---|
//! | `requested > served`, not the successor alone | view | W2 | 2 |
//! | a token of a known pass is not taken | view | L7 | 2 |
//! | no token is made before all reports are there | homes | L6 | 3 |
//! | a token of an earlier view is not taken | change | L1 | 6 |
//! | no guard is handed out without a lease | homes | L2 | 10 |
//! | an idle token ends with its view | change | L1 | 6 |
//! | who passes the token on with tasks left queues for it | view | W2 | 3 |
//! | the guards of a parked token are counted | view | L2 | 6 |
//! | a guard gives back itself alone | view | L3 | 7 |
//! | a refusal counts for the try that it answers | view | L7 | 8 |
//! | a try is not remembered | view | L7 | 2 |
//! | a death is told | change | L6 | 5 |
//! | local tasks have a turn, not the mutex | view | L5 | 3 |
//! | a guard that was brought is reported | change | L1 | 5 |
//!
//! L7 is about tries and what is left of them: no token comes where nobody has asked for it, and a try is refused only while
//! somebody else has or wants the mutex. That no token is made before the view is active is guarded twice: no guard comes of it
//! before that either. The small scopes are visited to their end in the tests: 90,819, 586,956 and 1,321,701 states.
//!
//! **Bounds.** [`MUTEXES_MAX`](crate::wire::limits::MUTEXES_MAX) names of which something was heard in one view; within a view
//! none is forgotten, since a pass number is no protection against a token of a name that was. Sightings of
//! [`MUTEXES_REMEMBERED_MAX`](crate::wire::limits::MUTEXES_REMEMBERED_MAX) names. For each name two numbers for each member. Messages of later views: 64 for each member.
//!
//! **Deviations and why.**
//! - *Requests are given up*, so the last request need not be the one after the last that was served: who is served is who has
//!   asked since, `requested > served` (the paper: equal to the successor).
//! - *Messages are lost*: requests are repeated, tokens acknowledged and numbered.
//! - *The queue is in the order in which the holder hears of requests*; in the paper, in that of the members, from the holder
//!   on. It is as fair, and what users expect.
//! - *Tries* are no requests: nobody remembers them, only the holder answers, and a refused number counts as served. Otherwise
//!   a token would come later to who was told that it does not.
//! - *The token is implicit* in a view until somebody wants it: the paper has node 1 hold it in the beginning.
//!
//! The choices that could have gone another way are on a page of their own among the decisions (0017).

mod command;
mod config;
mod event;
#[cfg(feature = "simulation")]
mod explored;
mod here;
mod holder;
mod invariant;
mod machine;
mod making;
mod message;
mod one;
mod past;
mod requester;
#[cfg(test)]
mod tests;

pub use command::{Command, Ticket};
pub use config::Config;
pub use event::{Event, Ignored};
#[cfg(feature = "simulation")]
pub use explored::Place;
pub use machine::{Known, Machine};
pub use message::{Body, Fence, Message, Report, Sighting, Token};
