//! `completions SHELL`.

use crate::cli::{Exit, Failure, Screen, client_command, inspect_command};
use std::io::Write;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// Which shell.
    shell: clap_complete::Shell,
    /// For which program.
    #[arg(long, value_name = "PROGRAM", default_value = "builder-client")]
    program: Program,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Program {
    BuilderClient,
    BuilderInspect,
}

impl Completions {
    pub(crate) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        let (mut command, name) = match self.program {
            Program::BuilderClient => (client_command(), "builder-client"),
            Program::BuilderInspect => (inspect_command(), "builder-inspect"),
        };
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        screen.write_all(&script).map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}
