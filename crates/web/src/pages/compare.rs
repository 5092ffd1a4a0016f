//! The page that compares two builds: what each was made from, and what each left. Any two builds can be compared; what
//! a side lacks, or what could not be read, is said.

mod view;

use crate::app::App;
use crate::comparison::{Compared, SideRows, compare, side_rows};
use crate::database::build;
use crate::http::address::redirect;
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::{Form, QueryMap, Refusal};
use crate::json::compare::CompareJson;
use crate::pages::inline::Inline;
use crate::pages::{Layout, link, render, text};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use builder_model::BuildId;
use http::{StatusCode, Uri};
use rusqlite::Connection;

/// The look of what only this page has.
static STYLE: Inline = Inline::new(include_str!("../../templates/compare.css"));
/// Characters of a UUID.
const UUID_CHARACTERS: usize = 36;

/// The addresses of comparisons.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/compare", get(form_answer)).route("/compare/{left}/{right}", get(page))
}

/// `/compare?left=…&right=…`, as the form on the page of a build sends it: a UUID, or an address that has one in it.
async fn form_answer(query: QueryMap) -> Result<Response, Refusal> {
    let side = |name: &str| {
        let text = query.text(name).unwrap_or_default();
        last_uuid(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Refusal::Bad(format!("There is no UUID in {name:?}: {shown:?}. Give the UUID or the address of a build."))
        })
    };
    Ok(redirect(StatusCode::SEE_OTHER, &link::compare(side("left")?, side("right")?)))
}

/// The last UUID in a text.
fn last_uuid(text: &str) -> Option<BuildId> {
    let windows = text.char_indices().rev().filter_map(|(at, _)| text.get(at..at + UUID_CHARACTERS));
    windows.filter_map(|window| window.parse().ok()).next()
}

/// `/compare/<left>/<right>`.
async fn page(State(app): State<App>, Path((left, right)): Path<(String, String)>, uri: Uri, form: Form) -> Response {
    let key = PageKey::of(&uri, form);
    app.answer(move |app| app.page_cache().answer(app, key, || make(app, &left, &right, form))).await
}

fn make(app: &App, left: &str, right: &str, form: Form) -> Result<Page, Refusal> {
    let parse = |text: &str| text.parse::<BuildId>().map_err(|_| Refusal::NotFound);
    let (left, right) = (parse(left)?, parse(right)?);
    let read = |connection: &Connection| Ok((side(connection, &left)?, side(connection, &right)?));
    let (left_rows, right_rows) = app.read(read)?;
    let left = left_rows.ok_or(Refusal::NoBuild(left))?;
    let right = right_rows.ok_or(Refusal::NoBuild(right))?;
    let compared = compare(app.depot(), app.comparisons(), &left, &right)?;
    match form {
        Form::Json => Page::json(&CompareJson::of(&left, &right, &compared)),
        Form::Html => html(app, &left, &right, &compared),
    }
}

fn side(connection: &Connection, uuid: &BuildId) -> rusqlite::Result<Option<SideRows>> {
    build::by_uuid(connection, uuid)?.map(|build| side_rows(connection, build)).transpose()
}

fn html(app: &App, left: &SideRows, right: &SideRows, compared: &Compared) -> Result<Page, Refusal> {
    let (left_build, right_build) = (&left.build, &right.build);
    let layout = Layout::new(format!("Comparing builds {} and {}", left_build.uuid, right_build.uuid))
        .crumb(format!("Job {}", right_build.job), link::job(&right_build.job, None))
        .crumb(format!("Build {}", text::time(right_build.start)), link::build(&right_build.job, right_build.uuid))
        .here("Comparison")
        .style(&STYLE);
    render(app, &layout, &view::ComparePage::of(left, right, compared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_found_in_an_address() {
        let uuid = "00112233-4455-6677-8899-aabbccddeeff";
        for text in [
            uuid.to_owned(),
            format!(" {} ", uuid.to_uppercase()),
            format!("https://x.example/job/a-{}/build/{uuid}/", uuid.replace('0', "1")),
            format!("ü{uuid}ü"),
        ] {
            assert_eq!(last_uuid(&text).map(|found| found.to_string()), Some(uuid.into()), "{text}");
        }
        for bad in ["", "latest", &uuid[1..], &"ü".repeat(40)] {
            assert_eq!(last_uuid(bad), None, "{bad}");
        }
    }
}
