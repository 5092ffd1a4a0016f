//! builder-web: see `builder_web::cli`.

fn main() -> std::process::ExitCode {
    builder_web::cli::main(std::env::args_os())
}
