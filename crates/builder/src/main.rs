//! builder: the whole farm in one process, on one machine.

mod cli;
mod demo;
mod example;
mod farm;
mod rootfs;
mod up;

fn main() -> std::process::ExitCode {
    // A job is supervised by a process of its own, which is this program again.
    builder_worker::supervisor::run_if_asked();
    cli::main()
}
