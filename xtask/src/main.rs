//! `cargo xtask`: the tests, the checks and the packages of builder, from one place on every machine.
//!
//! This file reads the arguments and gives the exit code; what a command does lies in the module of its name.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the terminal is what this program is for")]

mod bench;
mod command;
mod component;
mod count;
mod dist;
mod e2e;
mod faults;
mod freebsd;
mod fuzz;
#[cfg(test)]
mod monitoring;
mod packages;
mod pictures;
mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND

  test [ARGUMENTS]  check the tree, then run every test of the workspace, 1,000 seeds of the simulator and a short run
                    of the fault tests; ARGUMENTS go to the test runner (cargo nextest where it is installed, cargo
                    test otherwise), and leave all the others out
  tidy              check the arrows between crates, the shape of files, and the links of the docs
  ci                formatting, tidy, clippy, types for FreeBSD and all tests: what has to pass before a change goes in
  freebsd           check the types of every program for FreeBSD, a part of ci
  dist [--only deb|tarball] [--twice]
                    release programs, man pages, completions and units in dist/: packages for Debian and Ubuntu, and a
                    tarball for other Linux; with --twice, once more from a copy of the sources in another folder, and
                    it is a failure if a byte differs
  dist --target freebsd [--twice]
                    packages of FreeBSD 14, with programs that are built here: docs/operations.md
  e2e bubblewrap [--debug]
                    jobs in a whole Debian as their root file system, of workers that are root and that are not;
                    --debug takes the programs as they are developed; needs root, and a mirror of Debian
  e2e cgroup2 [--debug] [--only limits|engines]
                    a machine with control groups of version 2 only: Debian, emulated by qemu, with server and workers
                    as units: the limits of jobs without a sandbox, in bubblewrap and in nspawn; and docker and podman,
                    as root and without rights; needs root
  e2e debian|ubuntu [--packages FOLDER]
                    the packages on a whole system, booted with systemd in a container; needs root
  e2e docker [--debug]
                    workers in containers of docker, on a daemon started for this, and jobs in containers of docker and
                    podman; needs root
  e2e reproduce [--debug]
                    Debian's hello, built twice by the shipped template: in two sandboxes, in folders with different
                    names, ten months apart by the clock of the jobs; the packages have to be the same, and the
                    repository to say so; needs root, and Debian's archive once
  e2e tarball [--tarball FILE]
                    the tarball on another Linux, the smallest Debian 13; needs root
  faults [--rounds N] [--seed S] [--seconds MAX]
                    break the release programs while they work, and count what they lose; the table comes last
  fuzz [--seconds N] [TARGET]
                    run the fuzz targets, or one of them, for N seconds each (60), from the golden bytes on
  bench [web] [--quick] [--only CASE,…]
                    measure the release programs, with `web` the repository, and compare with the goals:
                    docs/performance.md
  pictures          take the pictures of the documentation anew, in docs/pictures: look at them before you commit them
  help              this text

environment:
  CI=true            a real component that tests need and that cannot be installed is a failure, not a skip
  SOURCE_DATE_EPOCH  the time of every file in the package; by default that of the last commit

exit codes: 0 all is well · 1 a check, a test or a step failed; the output says which · 2 wrong usage
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["test", rest @ ..] => test::test(rest),
        ["ci"] => test::ci(),
        ["tidy"] => tidy::tidy(),
        ["freebsd"] => dist::target_folder().and_then(|target| freebsd::check(&target)),
        ["dist", rest @ ..] => match dist::dist(rest) {
            Some(result) => result,
            None => return wrong_usage(),
        },
        ["e2e", rest @ ..] => match e2e::e2e(rest) {
            Some(result) => result,
            None => return wrong_usage(),
        },
        ["faults", rest @ ..] => faults::faults(rest),
        ["fuzz", rest @ ..] => fuzz::fuzz(rest),
        ["pictures"] => pictures::pictures(),
        ["bench", rest @ ..] => bench::bench(rest),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [] | [_, ..] => return wrong_usage(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}
