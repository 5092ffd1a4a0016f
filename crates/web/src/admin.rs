//! `builder-db`: flags in, exit status out. Each command is a file of its own, and none needs a server, nor is any
//! disturbed by one that runs.

mod access;
mod args;
mod audit;
mod backup;
mod check;
mod extract_build;
mod folder;
mod gc;
mod hook_retry;
mod hooks;
mod job_remove;
mod man;
mod migrate;
mod pins;
mod screen;
mod token_add;
mod token_list;
mod token_remove;
mod upgrade;
mod user_add;
mod user_disable;
mod user_list;
mod user_remove;
mod user_update;
mod vacuum;
mod verify_cache_dir;
mod verify_input_id;

use args::{Cli, Command};
use clap::Parser;
use screen::Screen;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

/// How a command ended that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Success,
    /// It looked for faults, and told of some.
    Findings,
}

/// Runs builder-db with these arguments, the first of which is the program's name.
#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here, too; where the terminal is gone there is nobody to tell.
            let _gone: io::Result<()> = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut screen = Screen::new(cli.common.format, cli.common.quiet);
    let ended = run(cli, &mut screen).and_then(|exit| {
        screen.flush()?;
        Ok(exit)
    });
    drop(screen);
    match ended {
        Ok(Exit::Success) => ExitCode::SUCCESS,
        Ok(Exit::Findings) => ExitCode::FAILURE,
        // A reader that has seen enough, as in `builder-db user-list | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("builder-db: {}", builder_daemon::last_words(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, screen: &mut Screen) -> anyhow::Result<Exit> {
    let common = &cli.common;
    match cli.command {
        Command::Migrate(command) => command.run(common, screen),
        Command::UserAdd(command) => command.run(common, screen),
        Command::UserUpdate(command) => command.run(common, screen),
        Command::UserRemove(command) => command.run(common, screen),
        Command::UserDisable(command) => command.run(common, screen),
        Command::UserList(command) => command.run(common, screen),
        Command::AccessAdd(command) => command.add(common, screen),
        Command::AccessRemove(command) => command.remove(common, screen),
        Command::TokenAdd(command) => command.run(common, screen),
        Command::TokenList(command) => command.run(common, screen),
        Command::TokenRemove(command) => command.run(common, screen),
        Command::JobRemove(command) => command.run(common, screen),
        Command::Vacuum(command) => command.run(common, screen),
        Command::Gc(command) => command.run(common, screen),
        Command::Pin(command) => command.pin(common, screen),
        Command::Unpin(command) => command.unpin(common, screen),
        Command::Pins(command) => command.run(common, screen),
        Command::Check(command) => command.run(common, screen),
        Command::VerifyDataDir(command) => command.run(common, screen),
        Command::VerifyInputId(command) => command.run(common, screen),
        Command::VerifyCacheDir(command) => command.run(common, screen),
        Command::ExtractBuild(command) => command.run(common, screen),
        Command::Backup(command) => command.run(common, screen),
        Command::CheckBackup(command) => command.run(screen),
        Command::Hooks(command) => command.run(common, screen),
        Command::HookRetry(command) => command.run(common, screen),
        Command::Completions(command) => command.run(screen),
        Command::Man(command) => command.run(),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether `check` finds nothing to mend: for tests of what fills the folder.
#[cfg(test)]
pub(crate) fn is_sound(datadir: &std::path::Path) -> bool {
    let screen = Screen::new(args::Format::Text, true);
    let folder = folder::Folder::open_at(datadir).unwrap();
    audit::audit(&folder, audit::Scope::All, audit::Mode::Look, &screen).unwrap().is_clean()
}
