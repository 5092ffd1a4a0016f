//! What every request has at hand: the open data folder and the settings.

use crate::database::Database;
use crate::depot::Depot;
use crate::error::WebError;
use crate::http::page_cache::PageCache;
use crate::pages::look::Look;
use crate::settings::Settings;
use axum::response::Response;
use rusqlite::Connection;
use std::sync::Arc;

/// A repository that is open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    settings: Settings,
    depot: Depot,
    database: Database,
    look: Look,
    page_cache: PageCache,
}

impl App {
    /// Opens the data folder of the settings, whose database must be there.
    pub fn open(settings: Settings) -> Result<Self, WebError> {
        let depot = Depot::open(&settings.datadir)?;
        let database = Database::open(&settings.datadir)?;
        let look = Look::of(&settings.site);
        Ok(Self(Arc::new(Parts { settings, depot, database, look, page_cache: PageCache::default() })))
    }

    /// What the repository was told.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Its files.
    pub fn depot(&self) -> &Depot {
        &self.0.depot
    }

    /// Its rows.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// What is the same on every page.
    pub(crate) fn look(&self) -> &Look {
        &self.0.look
    }

    /// Pages that are kept until the next commit.
    pub(crate) fn page_cache(&self) -> &PageCache {
        &self.0.page_cache
    }

    /// Reads rows in one snapshot; for code that may block.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, WebError> {
        self.0.database.read(work)
    }

    /// Answers a request with work that may block: every handler that touches rows or files goes through here.
    pub(crate) async fn answer(
        self,
        work: impl FnOnce(&Self) -> Result<Response, crate::http::Refusal> + Send + 'static,
    ) -> Response {
        match tokio::task::spawn_blocking(move || work(&self)).await {
            Ok(answer) => answer.unwrap_or_else(axum::response::IntoResponse::into_response),
            Err(error) => {
                tracing::error!("a request ended in a panic: {error}");
                axum::response::IntoResponse::into_response(crate::http::Refusal::Broken)
            }
        }
    }
}
