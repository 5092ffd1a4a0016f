//! The program `builder-worker`; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    builder_worker::cli::main()
}
