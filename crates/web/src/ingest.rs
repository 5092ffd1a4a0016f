//! From octets to a stored build: `receive` takes a record apart into a staging folder, `facts` derives what its
//! artifacts tell, `store` makes it a build, and `reconcile` mends what a crash left in between.

pub(crate) mod by_hand;
pub(crate) mod facts;
pub(crate) mod receive;
pub(crate) mod reconcile;
mod spool;
pub(crate) mod store;

pub use receive::{ARTIFACTS_MAX, ReceiveError};
pub use store::{Sender, Stored};
