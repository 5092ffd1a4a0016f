//! What comes around every answer: pages are sent as the peer asked for (gzip, `304`), refusals become a page for
//! people or a problem document (RFC 9457) for programs. Who sends something gets plain text, as from the original, or
//! the document when it asks for JSON.

use crate::app::App;
use crate::http::negotiate::Form;
use crate::http::page::{Asked, Page};
use crate::http::refusal::{Problem, Refusal};
use crate::pages;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;

/// An RFC 9457 document.
#[derive(Serialize)]
struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// The middleware around all routes.
pub(crate) async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let target = request.uri().path_and_query().map(|target| target.as_str().to_owned()).unwrap_or_default();
    let is_api = request.uri().path().starts_with("/api/");
    let is_text = percent_decode_str(request.uri().path()).decode_utf8().is_ok();
    let mut response = if is_text || is_api {
        next.run(request).await
    } else {
        // No name is such a path, so nothing is there; the extractors would answer with a text of their own.
        Refusal::NotFound.into_response()
    };
    let is_read = method == Method::GET || method == Method::HEAD;
    // What the method HEAD leaves out, the routes take away after this.
    if let Some(page) = response.extensions_mut().remove::<Page>() {
        let asked = Asked::of(&headers);
        page.prepare(asked).await;
        page.answer(asked)
    } else if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let form = if is_api { Form::Json } else { Form::of(&headers) };
        if !is_read && form == Form::Html {
            return response;
        }
        explain(&app, response, &problem, &target, form)
    } else {
        response
    }
}

/// Puts the reason of a refusal into the form that was asked for; its status and headers stay.
fn explain(app: &App, mut response: Response, problem: &Problem, target: &str, form: Form) -> Response {
    let status = response.status();
    match form {
        Form::Json => {
            let document = ProblemDocument {
                r#type: "about:blank",
                title: status.canonical_reason().unwrap_or("Error"),
                status: status.as_u16(),
                detail: &problem.text,
            };
            let Ok(json) = serde_json::to_vec(&document) else { return response };
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            *response.body_mut() = Body::from(json);
        }
        Form::Html => {
            // If even this page cannot be made, the plain text stays.
            let Ok(page) = pages::problem::page(app, status, &problem.text, target) else { return response };
            let refused = std::mem::replace(&mut response, page.answer(Asked::default()));
            *response.status_mut() = status;
            response.headers_mut().remove(header::ETAG);
            for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW] {
                if let Some(value) = refused.headers().get(&name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
        }
    }
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let keep = if status == StatusCode::NOT_FOUND { "no-cache" } else { "no-store" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}
