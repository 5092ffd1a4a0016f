//! Pages and JSON, through the router.

mod builds;
mod fill;
mod frame;
mod front;
mod job;
mod search;
mod site;
