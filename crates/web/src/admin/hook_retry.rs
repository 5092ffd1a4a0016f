//! `hook-retry`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, now};
use crate::admin::screen::Screen;
use anyhow::bail;
use serde_json::json;

/// Run a hook or webhook once more, as soon as its turn comes
///
/// A running builder-web takes it within seconds; else the next one does. In JSON: `id` and `state`.
#[derive(Debug, clap::Args)]
pub(crate) struct HookRetry {
    /// Its number, as `hooks` shows it
    id: i64,
}

impl HookRetry {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let id = self.id;
        Folder::open(common)?.write(|transaction| {
            if !crate::hooks::retry(transaction, id, now())? {
                bail!("there is no hook run {id} that does not run already\nhint: `builder-db hooks` lists them");
            }
            Ok(())
        })?;
        screen.done(&format!("hook run {id} waits for its turn"), &json!({ "id": id, "state": "waiting" }))?;
        Ok(Exit::Success)
    }
}
