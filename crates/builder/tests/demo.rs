//! The demo as a stranger starts it: a real job, built twice, the same bytes.

use assert_cmd::Command;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

fn builder() -> Command {
    Command::new(env!("CARGO_BIN_EXE_builder"))
}

#[test]
fn demo_builds_the_same_bytes_twice() {
    let work = tempfile::tempdir().unwrap();
    let output = builder().args(["demo", "--once"]).env("TMPDIR", work.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("ok: Hello, builder!").count(), 2, "{text}");
    assert_eq!(text.matches(": exited 0").count(), 2, "{text}");
    let same: Vec<&str> = text.lines().filter(|line| line.ends_with("  same")).collect();
    assert_eq!(same.len(), 2, "{text}");
    assert!(same[0].contains("bin/hello") && same[1].contains("hello-1.0.tar.gz"), "{text}");
    assert!(!text.contains("/job/hello/build/"), "an address that leads nowhere by now: {text}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn demo_without_a_compiler_says_what_to_do() {
    let work = tempfile::tempdir().unwrap();
    let bin = work.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["sh", "mv", "mkdir", "cat", "chmod", "rm"] {
        let path = ["/bin", "/usr/bin"].iter().map(|folder| format!("{folder}/{tool}"));
        let found = path.into_iter().find(|path| Path::new(path).exists()).unwrap();
        std::os::unix::fs::symlink(found, bin.join(tool)).unwrap();
    }
    let output = builder().args(["demo", "--once"]).env("TMPDIR", work.path()).env("PATH", &bin).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("configure: install a C compiler") && text.contains("A build failed"), "{text}");
}

#[test]
fn wrong_usage_is_told_apart() {
    builder().arg("dmo").assert().code(2);
    let help = builder().arg("--help").output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("builder demo --once"));
}

/// Whether a process has this path in its environment, as all have that descend from one that was given it.
#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn has_processes(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("environ"));
    let mut environments = processes.filter_map(|environ| std::fs::read(environ).ok());
    environments.any(|environment| environment.windows(path.len()).any(|window| window == path))
}

/// Interrupts a demo when it has shown this line.
fn interrupt_at(line: &str, signal: &str, status: i32) {
    look_and_interrupt_at(line, &|_| (), signal, status);
}

/// Looks at a demo when it has shown this line, interrupts it, reads all the rest, and looks at what is left.
#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn look_and_interrupt_at(line: &str, look: &dyn Fn(&str), signal: &str, status: i32) {
    let work = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder"));
    command.arg("demo").env("TMPDIR", work.path()).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut demo = command.spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.lines().last().is_some_and(|last| last.contains(line)) {
        assert!(lines.read_line(&mut shown).unwrap() > 0, "{shown}");
    }
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 1, "the folder of the demo");
    look(&shown);
    let kill = std::process::Command::new("sh").args(["-c", &format!("kill -{signal} {}", demo.id())]).status();
    assert!(kill.unwrap().success());
    lines.read_to_string(&mut shown).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(status), "{shown}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left behind");
    assert!(!has_processes(work.path()), "no process is left behind");
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    interrupt_at("A server at", "INT", 130);
    interrupt_at("configure", "INT", 130);
    interrupt_at("configure", "TERM", 130);
}

/// The page that a demo leads to, as a browser asks for it.
#[expect(clippy::unwrap_used, reason = "all of this is test")]
fn page_of(shown: &str) -> String {
    let address = shown.lines().find_map(|line| line.strip_prefix("Both builds, side by side, in the browser: "));
    let (host, path) = address.unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_of_a_demo_says_that_the_builds_are_the_same() {
    let look = |shown: &str| {
        let page = page_of(shown);
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        assert!(page.contains("Reproduced by 1 ") && page.contains("same input, same output"), "{page}");
        assert!(page.contains("bin/hello") && page.contains("hello-1.0.tar.gz"), "{page}");
    };
    look_and_interrupt_at("The farm stays up", &look, "INT", 0);
}

#[test]
fn completions_and_pages_come_from_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    builder().arg("man").arg(folder.path()).assert().success();
    let pages = std::fs::read_dir(folder.path()).unwrap();
    let pages: Vec<_> = pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    // The packages take the pages by these names.
    let is_packed = |page: &String| {
        page == "builder.1"
            || ["-demo", "-rootfs", "-up"].iter().any(|name| page.starts_with(&format!("builder{name}")))
    };
    assert!(pages.len() >= 9 && pages.iter().all(is_packed), "{pages:?}");
    let page = std::fs::read_to_string(folder.path().join("builder-up.1")).unwrap();
    assert!(page.contains("\\-\\-workers"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let output = builder().args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("rootfs"), "{shell}");
    }
    let nowhere = builder().args(["man", "/nowhere/at/all"]).assert().code(1).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&nowhere).starts_with("builder: cannot write into /nowhere/at/all: "));
}
