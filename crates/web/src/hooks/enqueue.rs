//! Decides which hooks and webhooks are due because of a build, and writes them down with it.

use super::scripts::Scripts;
use super::webhook::{address_without_user, wants};
use super::{Event, Kind, State, subject};
use crate::name::Name;
use crate::settings::Settings;
use builder_model::Timestamp;
use rusqlite::{Transaction, params};

/// A build that is being stored; its rows are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh<'a> {
    /// Its row.
    pub(crate) row: i64,
    /// Its job.
    pub(crate) job: &'a Name,
    /// Whether its script ended with 0.
    pub(crate) is_good: bool,
    /// Whether it has a main binary: scripts run only for such.
    pub(crate) has_main_binary: bool,
    /// The time of this machine.
    pub(crate) now: Timestamp,
}

/// Writes down what is due because of a build, in the transaction that stores it.
pub(crate) fn enqueue(
    transaction: &Transaction<'_>,
    settings: &Settings,
    scripts: &Scripts,
    build: Fresh<'_>,
) -> rusqlite::Result<()> {
    let mut due: Vec<(Kind, Event, String)> = Vec::new();
    if build.has_main_binary {
        due.extend(scripts.names().iter().map(|name| (Kind::Hook, Event::Upload, name.clone())));
    }
    if !settings.webhooks.is_empty() {
        for event in events(transaction, build)? {
            for webhook in settings.webhooks.iter().filter(|webhook| wants(webhook, event, build.job.as_str())) {
                let run = (Kind::Webhook, event, address_without_user(&webhook.url));
                if !due.contains(&run) {
                    due.push(run);
                }
            }
        }
    }
    let text = "INSERT INTO repository_hook_run(build, kind, event, target, state, tries, next_try)
        VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)";
    let mut insert = transaction.prepare_cached(text)?;
    for (kind, event, target) in due {
        let state = State::Waiting.as_str();
        insert.execute(params![build.row, kind.as_str(), event.as_str(), target, state, build.now.milliseconds()])?;
    }
    Ok(())
}

fn events(transaction: &Transaction<'_>, build: Fresh<'_>) -> rusqlite::Result<Vec<Event>> {
    let mut events = vec![Event::Upload];
    if !build.is_good {
        events.push(Event::Failure);
    } else if let Some(previous) = subject::previous(transaction, build.row)?
        // Of a build whose facts are not derived yet nobody knows the output.
        && let Some(before) = previous.output
        && before != subject::output(transaction, build.row)?
    {
        events.push(Event::OutputChanged);
    }
    Ok(events)
}
