//! A rendered answer, HTML or JSON: its bytes, what they are called, and the headers that all such answers have.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, header};
use serde::Serialize;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// Answers below this size are sent as they are, in bytes.
pub(crate) const COMPRESSED_FROM: usize = 1024;

/// A rendered answer. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Page(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    content_type: HeaderValue,
    policy: Option<HeaderValue>,
    entity_tag: HeaderValue,
    body: Bytes,
    compressed: OnceLock<Option<Bytes>>,
}

impl Page {
    /// An HTML document and its `Content-Security-Policy`.
    pub(crate) fn html(html: String, policy: String) -> Self {
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self::new(HeaderValue::from_static("text/html; charset=utf-8"), Some(policy), exact(html.into_bytes()))
    }

    /// A JSON document, compact.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, super::Refusal> {
        match serde_json::to_vec(value) {
            Ok(json) => Ok(Self::new(HeaderValue::from_static("application/json"), None, exact(json))),
            Err(error) => {
                tracing::error!("cannot write JSON: {error}");
                Err(super::Refusal::Broken)
            }
        }
    }

    /// A document of another type, without script and style.
    pub(crate) fn of(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self::new(content_type, None, body.into())
    }

    fn new(content_type: HeaderValue, policy: Option<HeaderValue>, body: Bytes) -> Self {
        // It tells one version of one page from another, no more: where a processor has no instructions for SHA-256,
        // that took half of the time of a page. Another release may hash otherwise; then pages are sent once more.
        let mut hash = DefaultHasher::new();
        hash.write(&body);
        let tag = format!("W/\"{:016x}{:x}\"", hash.finish(), body.len());
        let entity_tag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self(Arc::new(Parts { content_type, policy, entity_tag, body, compressed: OnceLock::new() }))
    }

    /// How many bytes it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        // What is compressed later is a fraction of the body.
        self.0.body.len() + self.0.body.len() / 4 + 512
    }

    /// The body in gzip, made at the first use; none where that does not pay.
    fn compressed(&self) -> Option<Bytes> {
        let make = || {
            if self.0.body.len() < COMPRESSED_FROM {
                return None;
            }
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
            encoder.write_all(&self.0.body).and_then(|()| encoder.finish()).ok().map(exact)
        };
        self.0.compressed.get_or_init(make).clone()
    }

    /// Makes what [`Self::answer`] will need of this request: the first time that one wants a page in gzip, that takes
    /// longer than a thread that serves others may be held.
    pub(crate) async fn prepare(&self, request: Asked<'_>) {
        let is_ready = self.0.compressed.get().is_some() || self.0.body.len() < COMPRESSED_FROM;
        if is_ready || !request.gzip || self.is_known_to(request) {
            return;
        }
        let page = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || page.compressed().is_some()).await {
            tracing::error!("to compress a page ended in a panic: {error}");
        }
    }

    fn is_known_to(&self, request: Asked<'_>) -> bool {
        request.known.is_some_and(|known| is_known(known, self.0.entity_tag.to_str().unwrap_or_default()))
    }

    /// The answer for a peer that takes gzip or not, and that has the entities of `If-None-Match` or none.
    pub(crate) fn answer(&self, request: Asked<'_>) -> Response {
        let fresh = self.is_known_to(request);
        let compressed = if request.gzip && !fresh { self.compressed() } else { None };
        let mut response = match (fresh, &compressed) {
            (true, _) => http::StatusCode::NOT_MODIFIED.into_response(),
            (false, Some(bytes)) => Response::new(Body::from(bytes.clone())),
            (false, None) => Response::new(Body::from(self.0.body.clone())),
        };
        let headers = response.headers_mut();
        if compressed.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(header::ETAG, self.0.entity_tag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Some(policy) = &self.0.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
        if !fresh {
            headers.insert(header::CONTENT_TYPE, self.0.content_type.clone());
        }
        response
    }
}

/// The bytes without the room that they grew in: they may be kept for long.
fn exact(bytes: Vec<u8>) -> Bytes {
    bytes.into_boxed_slice().into()
}

/// What of a request matters for how a page is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// Whether the peer takes gzip.
    pub(crate) gzip: bool,
    /// Its `If-None-Match`.
    pub(crate) known: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Reads the headers.
    pub(crate) fn of(headers: &'a http::HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Self { gzip: text(header::ACCEPT_ENCODING).is_some_and(takes_gzip), known: text(header::IF_NONE_MATCH) }
    }
}

/// Whether this `Accept-Encoding` takes gzip.
pub(crate) fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0));
        named && !refused
    })
}

/// Weak comparison, as RFC 9110 has it for `If-None-Match`.
fn is_known(known: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    known.trim() == "*" || known.split(',').any(|known| opaque(known.trim()) == opaque(tag))
}

impl IntoResponse for Page {
    /// The plain answer; the page rides along, and the frame of the routes sends it as the peer asked for.
    fn into_response(self) -> Response {
        let mut response = self.answer(Asked::default());
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_what_it_asked_for() {
        let page = Page::html("x".repeat(5000), "default-src 'none'".into());
        let plain = page.answer(Asked::default());
        let tag = plain.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\""));
        for known in [tag.clone(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".into()] {
            let answer = page.answer(Asked { gzip: true, known: Some(&known) });
            assert_eq!(answer.status(), http::StatusCode::NOT_MODIFIED, "{known}");
        }
        let answer = page.answer(Asked { gzip: true, known: Some("\"other\"") });
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(takes_gzip("br, gzip;q=0.5") && !takes_gzip("gzip;q=0") && !takes_gzip("br"));
    }
}
