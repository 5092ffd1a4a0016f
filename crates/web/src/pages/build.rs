//! The page of a build: what came out, what went in, how far it can be reproduced, and what to compare it with.
//!
//! Only rows are needed for it, and one small file, the environment. If it is missing on disk, the page says so.

mod gather;
pub(crate) mod tree;
mod view;

use crate::app::App;
use crate::http::address::redirect;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, Peer, QueryMap, Refusal};
use crate::json::build::BuildJson;
use crate::limits::{ARTIFACTS_SHOWN, ARTIFACTS_SHOWN_MAX};
use crate::pages::inline::Inline;
use crate::pages::{Layout, link, render, text};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use builder_model::BuildId;
use gather::Gathered;
use http::{HeaderMap, StatusCode, Uri};

/// The look of what only this page has.
static STYLE: Inline = Inline::new(include_str!("../../templates/build.css"));

/// Whether the runs of hooks are shown: they may say what only those who run the site should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hooks {
    /// To a user who may upload everything.
    Shown,
    /// To everybody else.
    Hidden,
}

/// The address of a build.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/job/{job}/build/{uuid}", get(page))
}

/// `/job/<job>/build/<uuid>`, with the runs of hooks where `hooks` is in the query. Nobody's password is looked at
/// otherwise: that costs.
async fn page(
    State(app): State<App>,
    Path((job, uuid)): Path<(String, String)>,
    uri: Uri,
    form: Form,
    query: QueryMap,
    peer: Peer,
    headers: HeaderMap,
) -> Response {
    let hooks = match query.value("hooks") {
        None => Hooks::Hidden,
        Some(_) => match app.gate().sender(&app, &headers, peer.0).await {
            Ok(sender) if !sender.restricted && sender.scope.is_all() => Hooks::Shown,
            Ok(_) => {
                return Refusal::Forbidden("Only users who may upload everything see hooks.".into()).into_response();
            }
            Err(refusal) => return refusal.into_response(),
        },
    };
    app.answer(move |app| answer(app, &Asked { job, uuid, uri, form, query }, hooks)).await
}

/// What is asked for.
struct Asked {
    /// The job, as the address has it.
    job: String,
    /// The UUID, as the address has it.
    uuid: String,
    /// The whole address.
    uri: Uri,
    /// HTML or JSON.
    form: Form,
    /// The parameters.
    query: QueryMap,
}

/// The answer, out of the pages that are kept unless hooks are shown. For code that may block.
fn answer(app: &App, asked: &Asked, hooks: Hooks) -> Result<Response, Refusal> {
    let mut elsewhere = None;
    let mut make = || match make(app, asked, hooks)? {
        Made::Page(page) => Ok(page),
        Made::Elsewhere(response) => {
            elsewhere = Some(response);
            Err(Refusal::NotFound)
        }
    };
    let answer = match hooks {
        Hooks::Hidden => app.page_cache().answer(app, PageKey::of(&asked.uri, asked.form), make),
        Hooks::Shown => make().map(IntoResponse::into_response),
    };
    elsewhere.map_or(answer, Ok)
}

enum Made {
    Page(Page),
    /// The build lies at another address.
    Elsewhere(Response),
}

fn make(app: &App, asked: &Asked, hooks: Hooks) -> Result<Made, Refusal> {
    let uuid: BuildId = asked.uuid.parse().map_err(|_| Refusal::NotFound)?;
    let paging = Paging::of(&asked.query, ARTIFACTS_SHOWN, ARTIFACTS_SHOWN_MAX)?;
    let gathered = gather::gather(app, &uuid, paging, hooks)?.ok_or(Refusal::NoBuild(uuid))?;
    let build = &gathered.build;
    // The name decides, and the usual form of the UUID: programs compare addresses as text.
    if build.job != asked.job || build.uuid.to_string() != asked.uuid {
        let query = asked.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(Made::Elsewhere(redirect(
            StatusCode::PERMANENT_REDIRECT,
            &(link::build(&build.job, build.uuid) + &query),
        )));
    }
    let page = match asked.form {
        Form::Json => Page::json(&BuildJson::of(gathered.shown()))?,
        Form::Html => html(app, &gathered)?,
    };
    Ok(Made::Page(page))
}

fn html(app: &App, gathered: &Gathered) -> Result<Page, Refusal> {
    let build = &gathered.build;
    let start = text::time(build.start);
    let layout = Layout::new(format!("Job {} {start}", build.job))
        .crumb(format!("Job {}", build.job), link::job(&build.job, None))
        .crumb(format!("on {}", build.platform), link::job(&build.job, Some(&build.platform)))
        .here(format!("Build {start}"))
        .style(&STYLE);
    render(app, &layout, &view::BuildPage::of(gathered))
}
