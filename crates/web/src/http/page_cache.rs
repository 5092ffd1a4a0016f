//! Rendered pages that are kept until anything is committed to the database, by whomever. Bounded in bytes; the page
//! that was rendered first leaves first.

use crate::app::App;
use crate::http::Refusal;
use crate::http::negotiate::Form;
use crate::http::page::Page;
use crate::limits::PAGES_BYTES_MAX;
use axum::response::{IntoResponse, Response};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// What tells one page from another: its address as it was asked for, and its form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    /// Path and query.
    pub(crate) target: String,
    /// HTML or JSON.
    pub(crate) form: Form,
    /// What else its content hangs on, such as the minute it is; 0 when nothing.
    pub(crate) moment: i64,
}

/// The pages that are kept.
#[derive(Debug, Default)]
pub(crate) struct PageCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The version of the database that all pages are of.
    version: i64,
    pages: HashMap<PageKey, Page>,
    order: VecDeque<PageKey>,
    bytes: usize,
}

impl PageCache {
    /// The page of this key, rendered unless it is kept and nothing was committed since. For code that may block.
    ///
    /// Two requests at once may render the same page twice; neither waits for the other.
    pub(crate) fn answer(
        &self,
        app: &App,
        key: PageKey,
        render: impl FnOnce() -> Result<Page, Refusal>,
    ) -> Result<Response, Refusal> {
        // Before the page is rendered: a commit in between makes a page too new, never too old.
        let version = app.database().version()?;
        if let Some(page) = self.look_up(version, &key) {
            return Ok(page.into_response());
        }
        let page = render()?;
        self.keep(version, key, page.clone());
        Ok(page.into_response())
    }

    fn look_up(&self, version: i64, key: &PageKey) -> Option<Page> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn_to(version);
        kept.pages.get(key).cloned()
    }

    fn keep(&self, version: i64, key: PageKey, page: Page) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.version != version || page.bytes() > PAGES_BYTES_MAX / 8 || kept.pages.contains_key(&key) {
            return;
        }
        kept.bytes += key.bytes() + page.bytes();
        kept.order.push_back(key.clone());
        kept.pages.insert(key, page);
        while kept.bytes > PAGES_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(page) = kept.pages.remove(&oldest) {
                kept.bytes -= oldest.bytes() + page.bytes();
            }
        }
    }
}

impl PageKey {
    /// The key of a page that hangs on nothing but the rows.
    pub(crate) fn of(uri: &http::Uri, form: Form) -> Self {
        let target = uri.path_and_query().map(|target| target.as_str().to_owned()).unwrap_or_default();
        Self { target, form, moment: 0 }
    }

    fn bytes(&self) -> usize {
        // It is kept twice.
        2 * (self.target.len() + size_of::<Self>())
    }
}

impl Kept {
    fn turn_to(&mut self, version: i64) {
        if self.version != version {
            *self = Self { version, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> PageKey {
        PageKey { target: format!("/{number}"), form: Form::Html, moment: 0 }
    }

    #[test]
    fn pages_leave_when_a_commit_comes_or_the_room_is_full() {
        let cache = PageCache::default();
        let page = Page::html("x".repeat(100_000), String::new());
        assert!(cache.look_up(1, &key(0)).is_none());
        cache.keep(1, key(0), page.clone());
        assert!(cache.look_up(1, &key(0)).is_some());
        assert!(cache.look_up(2, &key(0)).is_none());
        cache.keep(1, key(0), page.clone());
        assert!(cache.look_up(2, &key(0)).is_none(), "a page of an older version is not kept");
        for number in 0..2 * PAGES_BYTES_MAX / page.bytes() {
            cache.keep(2, key(number), page.clone());
        }
        assert!(cache.look_up(2, &key(0)).is_none(), "the oldest has left");
        let kept = cache.0.lock().unwrap();
        assert!(kept.bytes <= PAGES_BYTES_MAX && kept.bytes > PAGES_BYTES_MAX / 2);
        assert_eq!(kept.order.len(), kept.pages.len());
    }
}
