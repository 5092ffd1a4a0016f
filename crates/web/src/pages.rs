//! Pages for people. Each module gathers what one page shows and names its template; [`layout`] puts the frame around
//! it. What rows say comes from `database`; the JSON of the same addresses is in `json`.

pub(crate) mod inline;
pub(crate) mod layout;
pub(crate) mod link;
pub(crate) mod look;
pub(crate) mod problem;
pub(crate) mod text;

pub(crate) use layout::{Layout, render, respond};
