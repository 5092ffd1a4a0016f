//! Who may do what: passwords and tokens as rows keep them.

pub mod password;
pub mod token;
