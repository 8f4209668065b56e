//! What the outer tests share: nodes in this process, nodes in processes of their own, networks that can be cut, and
//! functions of every sort.

pub mod cluster;
pub mod functions;
pub mod load;
pub mod maps;
pub mod netlab;
pub mod pipe;
pub mod process;
