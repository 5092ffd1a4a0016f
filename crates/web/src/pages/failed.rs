//! `/failed-builds`: what failed, of all jobs, newest first.

use crate::app::App;
use crate::database::listed::Listed;
use crate::database::lists::{self, Part};
use crate::http::page::Page;
use crate::http::page_cache::PageKey;
use crate::http::paging::Paging;
use crate::http::{Form, QueryMap, Refusal};
use crate::json;
use crate::limits::{FAILED_BUILDS, FAILED_BUILDS_MAX};
use crate::pages::front::Pager;
use crate::pages::{Layout, link, render};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Uri;

#[derive(Template)]
#[template(path = "failed.html")]
struct FailedPage<'a> {
    builds: &'a [Listed],
    platform: Option<&'a str>,
    feed_address: &'a str,
    pager: Pager,
}

/// `GET /failed-builds`.
pub(crate) async fn show(State(app): State<App>, form: Form, uri: Uri, query: QueryMap) -> Response {
    let key = PageKey::of(&uri, form);
    app.answer(move |app| {
        app.page_cache().answer(app, key, || {
            let paging = Paging::of(&query, FAILED_BUILDS, FAILED_BUILDS_MAX)?;
            let platform = query.text("platform");
            let part = app.read(|connection| lists::failed(connection, platform, paging))?;
            match form {
                Form::Html => html(app, &part, platform, paging),
                Form::Json => {
                    json::builds::page(&part.builds, paging.after(part.more).map(|after| address(after, platform)))
                }
            }
        })
    })
    .await
}

/// The address of another part of the list.
fn address(paging: Paging, platform: Option<&str>) -> String {
    format!("/failed-builds{}", paging.query(FAILED_BUILDS, platform))
}

fn html(app: &App, part: &Part, platform: Option<&str>, paging: Paging) -> Result<Page, Refusal> {
    let title = match platform {
        Some(platform) => format!("Failed builds on {platform}"),
        None => "Failed builds".into(),
    };
    let feed_address = format!("/failed-builds/feed.atom{}", link::query(platform));
    let page = FailedPage {
        builds: &part.builds,
        platform,
        feed_address: &feed_address,
        pager: Pager::of(paging, part.builds.len(), part.more, ["Newer failures", "Older failures"], |paging| {
            address(paging, platform)
        }),
    };
    render(app, &Layout::new(title.clone()).here("Failed builds").feed(title, feed_address.clone()), &page)
}

impl Listed {
    fn failed_on_platform_address(&self) -> String {
        format!("/failed-builds?platform={}", link::segment(&self.platform))
    }
}
