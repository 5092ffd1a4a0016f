//! HTTP: the routes, and what all answers have in common. What a route shows lies in the module of its name.

pub(crate) mod negotiate;
pub(crate) mod refusal;

pub(crate) use negotiate::{Form, QueryMap};
pub(crate) use refusal::Refusal;

use crate::app::App;
use axum::Router;

/// All routes over an open repository.
pub fn router(app: App) -> Router {
    Router::new().with_state(app)
}
