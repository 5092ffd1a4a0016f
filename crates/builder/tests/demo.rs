//! The demo as a stranger starts it: a real job, built twice, the same bytes.

use assert_cmd::Command;

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
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn demo_without_a_compiler_says_what_to_do() {
    let work = tempfile::tempdir().unwrap();
    let bin = work.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["sh", "mv", "mkdir", "cat", "chmod", "rm"] {
        let path = ["/bin", "/usr/bin"].iter().map(|folder| format!("{folder}/{tool}"));
        let found = path.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap();
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
