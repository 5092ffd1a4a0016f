//! Running other programs: their output streams through, and a failure names the command.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo, as it was called to run us, in the folder of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Any other program, in the folder of the workspace.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root());
    command
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let name = Path::new(&*words[0]).file_name().map_or_else(|| words[0].clone(), |name| name.to_string_lossy());
    std::iter::once(&name).chain(&words[1..]).map(|word| word.to_string()).collect::<Vec<_>>().join(" ")
}

/// Runs a command with our own streams; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    println!("\n$ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("run {}", shown(command)))?;
    Ok(status.success())
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if !succeeds(command)? {
        bail!("`{}` failed", shown(command));
    }
    Ok(())
}

/// What a command that has to succeed writes to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("run {}", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", shown(command), output.status);
    }
    Ok(output.stdout)
}

/// Whether a command can be run and succeeds, quietly.
pub(crate) fn works(mut command: Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a command whose output streams through, and shows each line of it to `on_line`; whether it succeeded.
pub(crate) fn watch(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<bool> {
    println!("\n$ {}", shown(command));
    let what = format!("run {}", shown(command));
    let streams = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().context(what.clone())?;
    let (lines, seen) = mpsc::sync_channel(1024);
    std::thread::scope(|scope| {
        if let Some(stdout) = child.stdout.take() {
            let lines = lines.clone();
            scope.spawn(move || pass_on(stdout, std::io::stdout(), &lines));
        }
        if let Some(stderr) = child.stderr.take() {
            scope.spawn(move || pass_on(stderr, std::io::stderr(), &lines));
        }
        seen.iter().for_each(|line: String| on_line(&line));
    });
    Ok(child.wait().context(what)?.success())
}

fn pass_on(from: impl Read, mut to: impl Write, lines: &mpsc::SyncSender<String>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // A stream that breaks ends here as one that ends does: the exit status of the command tells the two apart.
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let passed = to.write_all(&line).and_then(|()| to.flush());
        let sent = lines.send(String::from_utf8_lossy(&line).into_owned());
        if passed.is_err() || sent.is_err() {
            return;
        }
        line.clear();
    }
}
