//! HTTP: the routes, and what all answers have in common. What a route shows lies in the module of its name.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod compression;
pub(crate) mod conditional;
mod content_type;
mod disposition;
mod dress;
mod files;
pub(crate) mod negotiate;
mod operation;
pub(crate) mod page;
pub(crate) mod page_cache;
pub(crate) mod paging;
mod peer;
mod redirects;
pub(crate) mod refusal;
mod serve;
mod upload;

pub(crate) use negotiate::{Form, QueryMap};
pub(crate) use peer::Peer;
pub(crate) use refusal::Refusal;
pub use serve::serve;

use crate::app::App;
use crate::{api, feeds, pages};
use axum::extract::Request;
use axum::{Router, middleware};
use http::Uri;
use tower::util::MapRequest;

/// All routes over an open repository.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .merge(redirects::routes())
        .merge(files::routes())
        .merge(upload::routes())
        .merge(pages::routes())
        .merge(api::routes())
        .merge(feeds::routes())
        .merge(operation::routes())
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(middleware::from_fn_with_state(app.clone(), dress::dress))
        .layer(middleware::from_fn_with_state(app.clone(), operation::observe))
        .layer(middleware::from_fn(api::open))
        .with_state(app);
    Router::new().fallback_service(MapRequest::new(routes, without_slash))
}

/// Every route takes one slash too many at its end, as those of the original do.
fn without_slash(mut request: Request) -> Request {
    let shorter = request.uri().path().strip_suffix('/').filter(|path| !path.is_empty()).map(|path| {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{path}{query}")
    });
    if let Some(Ok(uri)) = shorter.map(|shorter| shorter.parse::<Uri>()) {
        *request.uri_mut() = uri;
    }
    request
}
