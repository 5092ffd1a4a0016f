//! The shape of files and what no line of them may hold.

use super::Finding;

/// Longest file of Rust, in lines.
const LINES_MAX: usize = 700;
/// Longest file of Rust without the tests at its end, in lines, before there is a warning.
const LINES_WITHOUT_TESTS_WARN: usize = 500;
/// The only place that dependencies come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// What a line says to allow the next one to break a rule, with the reason behind it.
const ALLOWED: &str = concat!("tidy", ": ");

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if path.ends_with(".rs") {
        check_shape(path, text, &mut findings);
    }
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        let allowed = before.split_once(ALLOWED).is_some_and(|(_, reason)| reason.trim().len() > 3);
        if let Some(what) = fault(path, line).filter(|_| !allowed) {
            findings.push(Finding::new(path, index + 1, what));
        }
        before = line;
    }
    findings
}

fn check_shape(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    let tests = text.lines().position(|line| line == "mod tests {").unwrap_or(lines);
    if lines > LINES_MAX {
        let what = format!("{lines} lines, over {LINES_MAX}; find the noun that is missing and give it a file");
        findings.push(Finding::new(path, lines, what));
    } else if tests > LINES_WITHOUT_TESTS_WARN {
        let what = format!("{tests} lines before the tests, over {LINES_WITHOUT_TESTS_WARN}; is a noun missing?");
        findings.push(Finding { fatal: false, ..Finding::new(path, tests, what) });
    }
    let first = text.lines().next().unwrap_or_default();
    if first.strip_prefix("//!").is_none_or(|says| says.trim().is_empty()) {
        let what = "the file does not open with `//!`; say what it is responsible for and what it leaves to others";
        findings.push(Finding::new(path, 1, what));
    }
}

/// What is wrong with a line, and what to do about it.
fn fault(path: &str, line: &str) -> Option<&'static str> {
    if path.ends_with("Cargo.lock") {
        let foreign = line.strip_prefix("source = ").is_some_and(|source| !source.contains(CRATES_IO));
        return foreign.then_some("a dependency from elsewhere than crates.io; take a release from there");
    }
    let is_settings = path.starts_with(".cargo/") || path.ends_with("Cargo.toml");
    if is_settings && ["replace-with", "[registries", "[source.", "registry ="].iter().any(|key| line.contains(key)) {
        return Some("a registry of one place; leave it to the settings of that place");
    }
    if path.ends_with(".rs") && !line.trim_start().starts_with("//") {
        let code = rust_fault(path, line);
        if code.is_some() {
            return code;
        }
    }
    let is_text = !path.ends_with(".jsonl");
    (is_text && names_machine(line)).then_some("a path of one machine; make it relative, or an argument")
}

fn rust_fault(path: &str, line: &str) -> Option<&'static str> {
    // In two pieces, so that this file does not find itself.
    if line.contains(concat!("#[", "ignore")) {
        return Some("an ignored test; make it pass, or delete it with the reason in the commit");
    }
    if line.contains(concat!("todo", "!(")) || line.contains(concat!("unimplemented", "!(")) {
        return Some("unfinished code; finish it, or return an error that says what is missing");
    }
    let sleeps = line.contains(concat!("thread::", "sleep")) && path.contains("src/");
    sleeps.then_some("a sleep; wait for the thing itself, or say why not: `// tidy: <reason>` on the line before")
}

/// Whether a line holds an absolute path below a folder that only some machines have.
fn names_machine(line: &str) -> bool {
    [concat!("/ho", "me/"), concat!("/wo", "rk/")].iter().any(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || "\"'`(=:<[,".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_rule_can_fail_and_can_be_met() {
        let code = |line: &str| found("crates/a/src/x.rs", &format!("//! A file.\n{line}\n"));
        let bad = [
            concat!("#[", "ignore = \"slow\"]"),
            concat!("    todo", "!()"),
            concat!("    std::thread::", "sleep(second);"),
            concat!("let path = \"/ho", "me/me/x\";"),
            concat!("// see /wo", "rk/notes"),
        ];
        for line in bad {
            let findings = code(line);
            assert_eq!(findings.len(), 1, "{line}");
            assert!(findings[0].starts_with("crates/a/src/x.rs:2: "), "{findings:?}");
            assert_eq!(code(&format!("// tidy: the reason\n{line}")), [""; 0], "{line}");
            assert_eq!(code(&format!("// tidy: \n{line}")).len(), 1, "{line}");
        }
        for line in [
            "let a = format!(\"crates/work/x\");",
            "https://example.org/home/x",
            concat!("// a thread::", "sleep, once"),
        ] {
            assert_eq!(code(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(found("crates/a/tests/x.rs", "//! A test.\n"), [""; 0]);
        for text in ["", "use std::fmt;\n", "//!\n", "\n//! Late.\n"] {
            assert!(found("crates/a/tests/x.rs", text)[0].starts_with("crates/a/tests/x.rs:1: the file does not"));
        }
    }

    #[test]
    fn files_stay_short() {
        let file = |code: usize, tests: usize| {
            let text = format!("//! A.\n{}mod tests {{\n{}}}\n", "a\n".repeat(code), "b\n".repeat(tests));
            found("crates/a/src/x.rs", &text)
        };
        assert_eq!(file(490, 200), [""; 0]);
        assert!(file(505, 100)[0].contains("warning: 506 lines before the tests"));
        assert!(file(300, 400)[0].contains("703 lines, over 700"));
    }

    #[test]
    fn dependencies_come_from_crates_io() {
        let lock = "name = \"a\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(found("Cargo.lock", lock), [""; 0]);
        assert_eq!(found("Cargo.lock", "source = \"git+https://example.org/a\"\n").len(), 1);
        assert_eq!(found(".cargo/config.toml", "[source.crates-io]\nreplace-with = \"mirror\"\n").len(), 2);
        assert_eq!(found("crates/a/Cargo.toml", "[dependencies]\nserde.workspace = true\n"), [""; 0]);
    }
}
