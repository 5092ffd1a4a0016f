//! gzip of texts that are sent as they are read. Rendered pages are compressed by the frame of the routes.
//!
//! A thread of its own does it: gzip makes so little of a long console that a socket takes it at once, and a thread that
//! serves others would be held until its end.

use super::body;
use super::content_type;
use super::page::{COMPRESSED_FROM, takes_gzip};
use crate::app::App;
use axum::body::Body;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};
use std::fs::File;
use std::io::{self, Read, Write};
use tokio::sync::OwnedSemaphorePermit;

/// A place to compress a file of this type and size for this peer. None where that does not pay, where the peer does not
/// take it, and where too many are compressed: then it is sent as it is.
pub(crate) fn place(app: &App, headers: &HeaderMap, content_type: &str, size: u64) -> Option<OwnedSemaphorePermit> {
    let is_worth_it = content_type::is_text(content_type) && size >= COMPRESSED_FROM as u64;
    if is_worth_it && is_taken(headers) { app.compressing_place() } else { None }
}

/// Whether a peer takes gzip.
pub(crate) fn is_taken(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(takes_gzip)
}

/// A file, compressed as it is read.
pub(crate) fn of_file(mut file: File, size: u64, place: OwnedSemaphorePermit) -> Body {
    body::written_by(None, place, move |to| {
        into(to, |to| match io::copy(&mut (&mut file).take(size), to)? {
            copied if copied == size => Ok(()),
            // It was cut off since it was looked at.
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    })
}

/// Compresses what `work` writes.
pub(crate) fn into(to: &mut dyn Write, work: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut compressed = GzEncoder::new(to, Compression::default());
    work(&mut compressed)?;
    compressed.finish().map(drop)
}

/// Says of an answer that it is compressed. A strong tag is that of the octets as they are stored: what is compressed has
/// the weak one.
pub(crate) fn mark(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(header::ACCEPT_RANGES);
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(Ok(weak)) = tag.map(|tag| HeaderValue::try_from(format!("W/{tag}"))) {
        headers.insert(header::ETAG, weak);
    }
}
