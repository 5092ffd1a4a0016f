//! The frame of every page: masthead with search, breadcrumbs, content, foot. A page is one HTML document that needs
//! nothing else: no script to be read, no file to be drawn.

use crate::app::App;
use crate::http::Refusal;
use crate::http::page::Page;
use crate::pages::inline::{Inline, SCRIPT, STYLE, policy};
use crate::pages::look::Look;
use askama::Template;
use axum::response::{IntoResponse, Response};

/// What the frame says of one page. Start with [`Layout::new`], add, and hand it to [`respond`].
#[derive(Debug, Default)]
pub(crate) struct Layout {
    title: String,
    crumbs: Vec<Link>,
    feeds: Vec<Feed>,
    query: String,
    wide: bool,
    styles: Vec<&'static Inline>,
}

#[derive(Debug)]
struct Link {
    label: String,
    address: Option<String>,
}

#[derive(Debug)]
struct Feed {
    label: String,
    address: String,
}

impl Layout {
    /// A page with this title, which the name of the site follows.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// The next breadcrumb after `Home`.
    pub(crate) fn crumb(mut self, label: impl Into<String>, address: impl Into<String>) -> Self {
        self.crumbs.push(Link { label: label.into(), address: Some(address.into()) });
        self
    }

    /// The last breadcrumb: this page.
    pub(crate) fn here(mut self, label: impl Into<String>) -> Self {
        self.crumbs.push(Link { label: label.into(), address: None });
        self
    }

    /// What stands in the search field.
    pub(crate) fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// A feed that readers find by themselves.
    pub(crate) fn feed(mut self, label: impl Into<String>, address: impl Into<String>) -> Self {
        self.feeds.push(Feed { label: label.into(), address: address.into() });
        self
    }

    /// Uses the whole width of the window, as a console does.
    pub(crate) fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// A further style.
    pub(crate) fn style(mut self, style: &'static Inline) -> Self {
        self.styles.push(style);
        self
    }
}

#[derive(Template)]
#[template(path = "layout.html")]
struct Document<'a> {
    look: &'a Look,
    layout: &'a Layout,
    style: &'a str,
    script: &'a str,
    version: &'a str,
    body: &'a str,
}

/// Puts the frame around the content of a page.
pub(crate) fn render(app: &App, layout: &Layout, content: &impl Template) -> Result<Page, Refusal> {
    let rendered = content.render().and_then(|body| {
        let document = Document {
            look: app.look(),
            layout,
            style: STYLE.text(),
            script: SCRIPT.text(),
            version: env!("CARGO_PKG_VERSION"),
            body: &body,
        };
        document.render()
    });
    match rendered {
        Ok(html) => Ok(Page::html(html, policy(&layout.styles))),
        Err(error) => {
            tracing::error!("cannot render the page {:?}: {error}", layout.title);
            Err(Refusal::Broken)
        }
    }
}

/// Answers with a page.
pub(crate) fn respond(app: &App, layout: &Layout, content: &impl Template) -> Result<Response, Refusal> {
    render(app, layout, content).map(IntoResponse::into_response)
}
