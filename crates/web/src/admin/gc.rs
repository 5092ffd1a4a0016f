//! `gc`: removes what the retention policy does not keep.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, now};
use crate::admin::screen::Screen;
use crate::admin::vacuum::remove;
use crate::config::{self, Config};
use crate::database::columns::time_to_columns;
use crate::removal::policy::{Rule, candidates};
use crate::settings::Retention;

const DAY_MILLISECONDS: i64 = 86_400_000;

const AFTER_HELP: &str = "\
The policy is in CONFIGDIR/builder-web.toml:
  [retention]
  keep-last = 20    # the newest builds of each job and platform
  keep-days = 90    # and those that ended in the last days
A build goes when neither keeps it. The newest good build of each job and platform stays always, and so do the newest
good one with a main binary, and pinned ones. Without a policy nothing goes.

Examples:
  builder-db gc --dry-run
  builder-db gc --keep-last 5 --quiet";

/// Remove the builds that the retention policy does not keep
///
/// In JSON: `dry_run`, `builds`, `artifacts` and `bytes` that went or would go, `pinned`, the builds that stay only for
/// that, and with --dry-run `list`, the builds by `job`, `platform`, `uuid`, `start`, `good` and `artifact_bytes`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Gc {
    /// Only show what would go, with sizes
    #[arg(long)]
    dry_run: bool,
    /// Instead of what the configuration says: how many of the newest builds of each job and platform to keep
    #[arg(long, value_name = "COUNT")]
    keep_last: Option<u32>,
    /// Instead of what the configuration says: keep the builds that ended in so many last days
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
}

impl Gc {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let file = Config::read(&common.configdir)?.retention();
        let policy =
            Retention { keep_last: self.keep_last.or(file.keep_last), keep_days: self.keep_days.or(file.keep_days) };
        if policy == Retention::default() {
            // A timer that comes with a package is no reason to complain every night.
            let file = common.configdir.join(config::FILE);
            screen.note(&format!(
                "there is no retention policy in {}, so everything is kept; see builder-db gc --help",
                file.display()
            ));
        }
        let folder = Folder::open(common)?;
        let since = |days: u32| time_to_columns(now().plus_milliseconds(-i64::from(days) * DAY_MILLISECONDS));
        let rule = Rule::Retention { keep_last: policy.keep_last, keep_since: policy.keep_days.map(since) };
        let chosen = folder.read(|connection| Ok(rule.choose_rows(&candidates(connection, &[], None)?)))?;
        remove(&folder, &chosen, self.dry_run, screen)?;
        Ok(Exit::Success)
    }
}
