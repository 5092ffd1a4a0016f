//! builder-server: see the library.

fn main() -> std::process::ExitCode {
    builder_server::cli::main(std::env::args_os())
}
