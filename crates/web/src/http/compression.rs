//! gzip around files that are sent as they are read. Rendered pages are compressed by the frame of the routes.

use super::content_type;
use super::page::Page;
use super::refusal::Problem;
use crate::app::App;
use axum::response::Response;
use axum::routing::MethodRouter;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use tower::util::MapResponseLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};

/// Lets a route send texts in gzip to those who take it; parts are sent as they are.
pub(crate) fn compressed(route: MethodRouter<App>) -> MethodRouter<App> {
    let layer = CompressionLayer::new().compress_when(DefaultPredicate::new().and(is_worth_it));
    route.layer::<_, std::convert::Infallible>(layer).layer(MapResponseLayer::new(weaken))
}

/// Texts, but not what the frame of the routes puts another body on.
fn is_worth_it(_: StatusCode, _: Version, headers: &HeaderMap, extensions: &Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_dressed = extensions.get::<Page>().is_some() || extensions.get::<Problem>().is_some();
    !is_dressed && kind.is_some_and(content_type::is_text)
}

/// A strong tag is that of the octets as they are stored: what is compressed has the weak one.
fn weaken(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(Ok(weak)) = tag.map(|tag| HeaderValue::try_from(format!("W/{tag}"))) {
        headers.insert(header::ETAG, weak);
    }
    response
}
