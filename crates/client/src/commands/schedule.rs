//! `schedule NAME PLATFORM FILE`.

use crate::cli::{Exit, Failure};
use crate::client::Client;
use builder_model::Period;
use builder_model::limits::SCRIPT_BYTES_MAX;
use builder_wire::ScriptJob;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Put a script on the schedule, and run it now.
#[derive(Debug, clap::Args)]
pub(crate) struct Schedule {
    /// The name of the job, unique on the server.
    name: String,
    /// The platform it runs on.
    platform: String,
    /// The script; `-` reads it from standard input.
    file: PathBuf,
    /// How often it runs: hourly, daily, weekly or never.
    #[arg(long, default_value = "daily")]
    period: Period,
}

impl Schedule {
    pub(crate) fn run(self, client: &Client) -> Result<Exit, Failure> {
        let script = self.script()?;
        let job = ScriptJob { name: self.name.as_bytes(), platform: self.platform.as_bytes(), script: &script };
        client.schedule(job, self.period)?;
        Ok(Exit::Success)
    }

    fn script(&self) -> Result<Vec<u8>, Failure> {
        let stdin = self.file.as_os_str() == "-";
        let name = if stdin { "from standard input".to_owned() } else { self.file.display().to_string() };
        let mut script = Vec::new();
        // One byte more than allowed tells a script that is too long.
        let limit = SCRIPT_BYTES_MAX as u64 + 1;
        let read = if stdin {
            io::stdin().lock().take(limit).read_to_end(&mut script)
        } else {
            File::open(&self.file).and_then(|file| file.take(limit).read_to_end(&mut script))
        };
        match read {
            Ok(count) if count > SCRIPT_BYTES_MAX => Err(Failure::ScriptLong { name }),
            Ok(_) => Ok(script),
            Err(source) => Err(Failure::Script { name, source }),
        }
    }
}
