//! From octets to a stored build: `receive` takes a record apart into a staging folder, `facts` derives what its
//! artifacts tell, `store` makes it a build, `reconcile` mends what a crash left in between, and `catch_up` derives the
//! facts of builds that were here before.

pub(crate) mod by_hand;
pub(crate) mod catch_up;
pub(crate) mod facts;
pub(crate) mod receive;
pub(crate) mod reconcile;
mod spool;
pub(crate) mod store;

pub use receive::{ARTIFACTS_MAX, ReceiveError};
pub use store::{Sender, Stored};
