//! builder-db: the administration of a repository's data folder.

fn main() -> std::process::ExitCode {
    builder_web::admin::main(std::env::args_os())
}
