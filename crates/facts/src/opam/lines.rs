//! Exports of opam 1: no fields, but one package on each line, as in `cmdliner 0.9.8 root`.

use super::switch::Package;

/// Lines are no longer than names of packages are.
const LINE_BYTES_MAX: usize = 4096;

/// Words on a line: name, version, state, and how and to what it is pinned.
const WORDS_MAX: usize = 5;

/// A package of such an export.
pub(super) struct Line {
    pub(super) package: Package,
    pub(super) state: State,
    pub(super) is_pinned: bool,
}

/// What an export of opam 1 says about a package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Compiler,
    Root,
    Installed,
    Uninstalled,
}

/// The packages of an export of opam 1; nothing if the bytes are none.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let line = std::str::from_utf8(line).ok()?.trim();
        if !line.is_empty() && !line.starts_with('#') {
            lines.push(parse_line(line)?);
        }
    }
    (!lines.is_empty()).then_some(lines)
}

fn parse_line(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_ascii_whitespace().take(WORDS_MAX + 1).collect();
    let (name, version, rest) = match words.as_slice() {
        [name, version, rest @ ..] if words.len() <= WORDS_MAX => (name, version, rest),
        _ => return None,
    };
    let is_plain = |word: &str, others: &str| {
        word.chars().all(|character| character.is_ascii_alphanumeric() || others.contains(character))
    };
    if !is_plain(name, "-_+") || !is_plain(version, "-_+.~") {
        return None;
    }
    let state = match rest.first() {
        None | Some(&("installed" | "noroot")) => State::Installed,
        Some(&"root") => State::Root,
        Some(&("compiler" | "root-compiler")) => State::Compiler,
        Some(&("uninstalled" | "installed-removed")) => State::Uninstalled,
        Some(_) => return None,
    };
    let package = Package { name: (*name).to_owned(), version: (*version).to_owned() };
    Some(Line { package, state, is_pinned: rest.len() > 1 })
}
