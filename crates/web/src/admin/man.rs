//! `completions` and `man`, for packagers.

use crate::admin::Exit;
use crate::admin::args::Cli;
use crate::admin::screen::Screen;
use anyhow::Context;
use clap::CommandFactory;
use std::path::PathBuf;

/// Write a completion script for a shell to standard output
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self, screen: &mut Screen) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "builder-db", &mut script);
        screen.write(&script)?;
        Ok(Exit::Success)
    }
}

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Man {
    /// Which folder
    dir: PathBuf,
}

impl Man {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        clap_mangen::generate_to(Cli::command(), &self.dir)
            .with_context(|| format!("cannot write manual pages to {}", self.dir.display()))?;
        Ok(Exit::Success)
    }
}
