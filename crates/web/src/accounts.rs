//! Who may do what: passwords and tokens as rows keep them.

pub(crate) mod gate;
pub mod local;
pub mod password;
pub mod scope;
pub mod token;
