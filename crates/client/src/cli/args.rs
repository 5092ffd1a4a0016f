//! The command lines, from which help, man pages and completions are made.

use crate::commands;
use builder_model::Remote;
use builder_model::remote::DEFAULT;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For scripts: the keys are documented and stay.
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

const CLIENT_EXIT_CODES: &str = "\
Commands that change something print nothing: their exit status tells that it was done.

Exit status:
  0    done; of observe and observe-latest: the build exited with status 0
  1    of observe and observe-latest: the build failed, was killed, stopped or aborted
  2    the command line is wrong
  124  everything else: no connection, a refusal by the server, a server too old to tell, an unreadable file

Examples:
  builder-client schedule hello debian-12 hello.sh --period weekly
  builder-client -r builds.example.org:1234 info --format json
  builder-client observe-latest --job hello
  builder-client builds --failed --platform debian-12
  builder-client template show cargo --platform debian-12
  builder-client schedule-template ripgrep cargo url=https://example.org/ripgrep.tar.gz";

/// Asks a builder-server: changes its schedule, tells what is going on, shows builds live.
#[derive(Debug, Parser)]
#[command(name = "builder-client", version, after_help = CLIENT_EXIT_CODES, max_term_width = 100)]
pub(crate) struct ClientArgs {
    /// The server: a host name, an IPv4 address, or an IPv6 address in brackets, and a port.
    #[arg(short, long, global = true, value_name = "HOST:PORT", env = "BUILDER_REMOTE", hide_env_values = true, default_value = DEFAULT)]
    pub(crate) remote: Remote,
    /// How results are printed.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// When colours are used.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: ClientCommand,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Schedule(commands::schedule::Schedule),
    OrbBuild(commands::orb_build::OrbBuild),
    ScheduleTemplate(commands::schedule_template::ScheduleTemplate),
    #[command(subcommand)]
    Template(commands::template::Template),
    Unschedule(commands::unschedule::Unschedule),
    Execute(commands::execute::Execute),
    Reschedule(commands::reschedule::Reschedule),
    Info(commands::info::Info),
    Observe(commands::observe::Observe),
    ObserveLatest(commands::observe_latest::ObserveLatest),
    Builds(commands::builds::Builds),
    Log(commands::log::Log),
    Artifacts(commands::artifacts::Artifacts),
    Uploads(commands::uploads::Uploads),
    DropPlatform(commands::drop_platform::DropPlatform),
    UndropPlatform(commands::undrop_platform::UndropPlatform),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}

const INSPECT_EXIT_CODES: &str = "\
Exit status:
  0    done
  2    the command line is wrong
  124  everything else: the file is unreadable or no build record, or some artifact was not extracted

Examples:
  builder-inspect /var/lib/builder/hello/00112233-4455-6677-8899-aabbccddeeff/full --job --console
  builder-inspect full --output artifacts/
  builder-inspect decode --type exec < records.hex";

/// Reads the record of a finished build (the file `full`), or decodes bytes of the protocol.
///
/// Without a flag it checks the record and prints nothing.
#[derive(Debug, Parser)]
#[command(
    name = "builder-inspect",
    version,
    after_help = INSPECT_EXIT_CODES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 100
)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) inspect: Option<commands::inspect::Inspect>,
    /// How results are printed.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) command: Option<InspectCommand>,
}

/// What builder-inspect does besides reading a record. A record named `decode` is reached as `./decode`.
#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    Decode(commands::decode::Decode),
}

/// The definition of `builder-client`.
pub(crate) fn client_command() -> clap::Command {
    ClientArgs::command()
}

/// The definition of `builder-inspect`.
pub(crate) fn inspect_command() -> clap::Command {
    InspectArgs::command()
}
