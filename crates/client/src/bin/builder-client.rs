//! `builder-client`: see `builder_client::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    builder_client::cli::client()
}
