//! HTTP: the routes, and what all answers have in common. What a route shows lies in the module of its name.

mod dress;
pub(crate) mod negotiate;
pub(crate) mod page;
pub(crate) mod page_cache;
pub(crate) mod refusal;

pub(crate) use negotiate::{Form, QueryMap};
pub(crate) use refusal::Refusal;

use crate::app::App;
use axum::{Router, middleware};

/// All routes over an open repository.
pub fn router(app: App) -> Router {
    Router::new()
        .fallback(async || Refusal::NotFound)
        .layer(middleware::from_fn_with_state(app.clone(), dress::dress))
        .with_state(app)
}
