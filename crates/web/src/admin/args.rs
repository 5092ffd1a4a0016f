//! The command line of `builder-db`.

use crate::admin::{
    access, backup, check, extract_build, gc, hook_retry, hooks, job_remove, man, migrate, pins, token_add, token_list,
    token_remove, user_add, user_disable, user_list, user_remove, user_update, vacuum, verify_cache_dir,
    verify_input_id,
};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[cfg(target_os = "freebsd")]
const DATADIR: &str = "/var/db/builder-web";
#[cfg(not(target_os = "freebsd"))]
const DATADIR: &str = "/var/lib/builder-web";
#[cfg(target_os = "freebsd")]
const CONFIGDIR: &str = "/usr/local/etc/builder-web";
#[cfg(not(target_os = "freebsd"))]
const CONFIGDIR: &str = "/etc/builder-web";

const AFTER_HELP: &str = "\
Examples:
  builder-db migrate
  builder-db user-add farm --unrestricted
  builder-db token-add farm laptop --job hello --expires-in 90d
  builder-db vacuum except-latest-successful 10 --platform debian-12 --dry-run
  builder-db gc --dry-run
  builder-db check --format json
  builder-db backup /srv/backups/builds

Run it as the user that runs builder-web, so that the files stay that user's. A running builder-web is not disturbed.

Exit status: 0 done, nothing found · 1 not done, or faults were found · 2 wrong usage";

/// Looks after the data folder of a repository: users, rights, builds and their files.
#[derive(Debug, Parser)]
#[command(name = "builder-db", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The data folder
    #[arg(short, long, global = true, value_name = "DIR", env = "BUILDER_WEB_DATADIR", default_value = DATADIR)]
    pub(crate) datadir: PathBuf,
    /// The configuration folder, whose builder-web.toml has the policy of `gc`
    #[arg(short, long, global = true, value_name = "DIR", default_value = CONFIGDIR)]
    pub(crate) configdir: PathBuf,
    /// How to show what was found and done
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// Say nothing where all is well, and show no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Taken as the original takes it; there is nothing more to say
    #[arg(short, long, global = true, action = ArgAction::Count, hide = true)]
    pub(crate) verbose: u8,
    /// Taken as the original takes it
    #[arg(long, global = true, value_name = "LEVEL", hide = true)]
    pub(crate) verbosity: Option<String>,
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON value on one line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Migrate(migrate::Migrate),
    UserAdd(user_add::UserAdd),
    UserUpdate(user_update::UserUpdate),
    UserRemove(user_remove::UserRemove),
    UserDisable(user_disable::UserDisable),
    UserList(user_list::UserList),
    /// Let a restricted user upload for a job
    ///
    /// In JSON: `name`, `job`, and `access`, whether the user may upload for the job from now on.
    AccessAdd(access::Access),
    /// Take back what `access-add` allowed
    ///
    /// In JSON: as `access-add`. Who is unrestricted may upload still.
    AccessRemove(access::Access),
    TokenAdd(token_add::TokenAdd),
    TokenList(token_list::TokenList),
    TokenRemove(token_remove::TokenRemove),
    JobRemove(job_remove::JobRemove),
    Vacuum(vacuum::Vacuum),
    Gc(gc::Gc),
    /// Keep a build whatever `gc` and `vacuum` are told, under a tag such as release-1.2
    ///
    /// In JSON: `uuid` and `tag`.
    Pin(pins::Pin),
    /// Take back what `pin` did
    ///
    /// In JSON: `uuid` and `tag`.
    Unpin(pins::Pin),
    Pins(pins::Pins),
    Check(check::Check),
    VerifyDataDir(check::VerifyDataDir),
    VerifyInputId(verify_input_id::VerifyInputId),
    VerifyCacheDir(verify_cache_dir::VerifyCacheDir),
    ExtractBuild(extract_build::ExtractBuild),
    Backup(backup::Backup),
    CheckBackup(backup::CheckBackup),
    Hooks(hooks::Hooks),
    HookRetry(hook_retry::HookRetry),
    Completions(man::Completions),
    Man(man::Man),
}

/// A duration such as `30m`, `12h`, `90d` or `52w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// The longest such duration.
const SPAN_MAX: Duration = Duration::from_secs(1000 * 366 * 86_400);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not a duration such as 12h, 90d or 52w");
        let span = builder_model::parse_duration(text).map_err(|_| error())?;
        // What ends in more than a thousand years ends never.
        if !(Duration::from_secs(1)..=SPAN_MAX).contains(&span) {
            return Err(error());
        }
        Ok(Self(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_names_the_keys_of_its_json() {
        let mut cli = Cli::command();
        for command in
            cli.get_subcommands_mut().filter(|command| !command.is_hide_set() && command.get_name() != "help")
        {
            let help = command.render_long_help().to_string();
            assert!(help.contains("In JSON: "), "{}", command.get_name());
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!("90d".parse::<Span>().unwrap().0.as_secs(), 90 * 86_400);
        for bad in ["", "d", "90", "0d", "-1d", "+1d", "1.5d", "9999999999999999999w", "1y", "ü"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }
}
