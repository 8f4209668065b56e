//! What is told of a node, as JSON.

mod event;
mod function;
mod load;
mod log;
mod message;
mod mutex;
mod node;
mod resources;
mod sees;
mod variable;
mod view;

pub(crate) use event::EventRow;
pub(crate) use function::{FunctionRow, functions};
pub(crate) use load::{OwnLoad, look};
pub(crate) use log::{LineRow, LogError, level, logs, whose};
pub(crate) use message::MessageRow;
pub(crate) use mutex::{At, MutexRow, Mutexes, mutexes, unmoved};
pub(crate) use node::{Names, NodeRow, find, name, nodes, place, steady};
pub(crate) use resources::{Known, ResourcesRow, resources, resources_of};
pub(crate) use sees::{SeesAnswer, sees};
pub(crate) use variable::{Short, ValueRow, VariableRow, Variables, hex, variables};
pub(crate) use view::{ViewRow, view};
