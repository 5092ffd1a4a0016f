//! `pin`, `unpin` and `pins`: builds that stay whatever a rule says.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::{Folder, build, check_word, now};
use crate::admin::screen::Screen;
use anyhow::bail;
use builder_model::{BuildId, Timestamp};
use rusqlite::{Row, params};
use serde_json::json;

/// A build under a tag.
#[derive(Debug, clap::Args)]
pub(crate) struct Pin {
    /// The build
    uuid: BuildId,
    /// The tag
    tag: String,
}

impl Pin {
    pub(crate) fn pin(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        check_word("tag of a pin", &self.tag)?;
        let created = now().milliseconds();
        Folder::open(common)?.write(|transaction| {
            let id = build(transaction, &self.uuid)?;
            // Pinned twice is pinned.
            transaction
                .execute("INSERT OR IGNORE INTO repository_pin VALUES (?1, ?2, ?3)", params![id, self.tag, created])?;
            Ok(())
        })?;
        self.say("pinned", screen)
    }

    pub(crate) fn unpin(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let Self { uuid, tag } = &self;
        Folder::open(common)?.write(|transaction| {
            let id = build(transaction, uuid)?;
            let gone =
                transaction.execute("DELETE FROM repository_pin WHERE build = ?1 AND tag = ?2", params![id, tag])?;
            if gone == 0 {
                bail!("{uuid} is not pinned as {tag:?}\nhint: `builder-db pins` shows all");
            }
            Ok(())
        })?;
        self.say("unpinned", screen)
    }

    fn say(&self, verb: &str, screen: &mut Screen) -> anyhow::Result<Exit> {
        let uuid = self.uuid.to_string();
        screen.done(&format!("{verb} {uuid} as {}", self.tag), &json!({ "uuid": uuid, "tag": self.tag }))?;
        Ok(Exit::Success)
    }
}

/// List the pinned builds
///
/// In JSON: `pins`, a list of `tag`, `uuid`, `job`, `platform` and `created`.
#[derive(Debug, clap::Args)]
pub(crate) struct Pins {}

impl Pins {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let read = |row: &Row<'_>| {
            let created = Timestamp::from_milliseconds(row.get(4)?).map_or_else(|_| "-".into(), |at| at.to_string());
            Ok(vec![row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, created])
        };
        let pins = Folder::open(common)?.read(|connection| {
            connection
                .prepare(
                    "SELECT tag, uuid, name, platform, created FROM repository_pin
                     JOIN build ON build.id = repository_pin.build JOIN job ON job.id = build.job ORDER BY tag, uuid",
                )?
                .query_map([], read)?
                .collect::<rusqlite::Result<Vec<Vec<String>>>>()
        })?;
        match screen.format() {
            Format::Text => screen.table(&["TAG", "BUILD", "JOB", "PLATFORM", "PINNED"], &pins)?,
            Format::Json => {
                let names = ["tag", "uuid", "job", "platform", "created"];
                let object = |pin: &Vec<String>| -> serde_json::Value {
                    names.iter().zip(pin).map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
                };
                screen.json(&json!({ "pins": pins.iter().map(object).collect::<Vec<_>>() }))?;
            }
        }
        Ok(Exit::Success)
    }
}
