//! What is true of one mutex on one node after each step. What is true of all nodes together - L1 to L3 - only the simulator
//! and the model can see.

use super::{
    here::Here,
    one::{Brought, Hold, Making, One},
};

/// # Errors
/// The sentence that is not true.
pub(super) fn check(one: &One, here: &Here) -> Result<(), &'static str> {
    let members = here.view.seats.len();
    let sound = |broken, what| if broken { Err(what) } else { Ok(()) };
    sound(one.requested.len() != members, "each member has a place among the requests")?;
    sound(one.hold != Hold::Free && one.token.is_none(), "a guard has its token")?;
    sound(one.token.is_some() && one.went.is_some(), "L1: a token is here or elsewhere")?;
    sound(one.token.is_some() && one.queued, "who has the token waits for nobody")?;
    sound(one.token.is_some() && one.request.is_some(), "who has the token asks nobody for it")?;
    let made = one.making == Making::Done;
    sound(!one.untold.is_empty() && one.brought != Brought::Guard, "only a guard that was brought is told of")?;
    sound(one.is_home(here) && one.token.is_some() && !made, "a token at home was made or brought")?;
    sound(one.brought == Brought::Guard && !made, "a guard that was brought is the token")?;
    let Some(token) = &one.token else { return Ok(()) };
    sound(token.served.len() != members, "each member has a place among what was served")?;
    sound(token.queue.contains(&here.seat()), "who has the token is not in its queue")
}
