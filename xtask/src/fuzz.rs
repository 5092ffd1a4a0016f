//! `cargo xtask fuzz`: the fuzz targets, one for each decoder, each for a while, from the golden bytes or a few written
//! ones on.

use crate::command::{cargo, output, program, root, succeeds, works};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// The targets, and what each begins with.
const TARGETS: [(&str, Seeds); 10] = [
    ("frame", golden("cmd", Dress::Frame)),
    ("message", golden("cmd", Dress::Bare)),
    ("finished", Seeds::Golden { kind: "cmd", first: Some(0xa3), dress: Dress::Piece }),
    ("record", golden("exec", Dress::Piece)),
    ("state", golden("state", Dress::Bare)),
    ("console", golden("exec", Dress::Log)),
    ("switch", Seeds::Written(SWITCHES)),
    ("solo5", Seeds::Written(UNIKERNELS)),
    ("page", Seeds::Written(CONSOLES)),
    ("upload", golden("exec", Dress::Piece)),
];
/// Exports of opam.
const SWITCHES: &[&[u8]] = &[
    b"opam-version: \"2.0\"\ncompiler: [\"ocaml.5.2.0\"]\nroots: [\"a.1\"]\ninstalled: [\"a.1\" \"ocaml.5.2.0\"]\n\
      package \"a\" {\n  synopsis: \"\"\"text\"\"\"\n  depends: [\"ocaml\" {>= \"4.08\" & build}]\n  x-commit: (1 | -2)\n}\n",
    b"# comment\npinned: []\nurl { src: \"git+https://x\" checksum: [ \"md5=0\" ] }\na++: [x = \"y\" ?z !w]\n",
];
/// The start of an ELF file, and the notes that are looked for.
const UNIKERNELS: &[&[u8]] = &[
    b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\
      \0\0\0\0\x40\0\0\0\0\0\x40\0\x03\0\x02\0",
    b".note.solo5.manifest\0.note.solo5.abi\0\x06\0\0\0\x10\0\0\0ABI1Solo5\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0",
];
/// The size of the pieces, and a console as the repository stores it.
const CONSOLES: &[&[u8]] = &[
    b"\x070.000s:a\n1.500s:\x1b[1;31mred\x1b[38;5;200m\x1b[48;2;1;2;3m <b>&\x1b[0m\n2.000s:10%\r20%\r\n\xff\xc3\n",
    b"\x03\x1b]8;;http://x\x1b\\link\x1b]0;title\x07\n.\n.\n.\n.\n.\n0.1s:no time\x1b[?25l\x1bPx\x1b\\",
];
/// How long each target runs unless told otherwise.
const SECONDS: u64 = 60;
/// In pieces of how many bytes the seeds arrive at first.
const PIECE: u8 = 7;

#[derive(Clone, Copy)]
enum Seeds {
    /// Some of the golden bytes.
    Golden {
        kind: &'static str,
        /// The first byte, where only one message is wanted.
        first: Option<u8>,
        dress: Dress,
    },
    /// Written down here.
    Written(&'static [&'static [u8]]),
}

const fn golden(kind: &'static str, dress: Dress) -> Seeds {
    Seeds::Golden { kind, first: None, dress }
}

/// What a target's input is made of.
#[derive(Clone, Copy)]
enum Dress {
    /// The bytes.
    Bare,
    /// The size of the pieces, and the bytes.
    Piece,
    /// The size of the pieces, and frames.
    Frame,
    /// A console log with a line for each of the first bytes.
    Log,
}

/// Runs the targets, or one of them.
pub(crate) fn fuzz(arguments: &[&str]) -> Result<bool> {
    let (mut seconds, mut only) = (SECONDS, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => seconds = words.next().context("--seconds needs a number")?.parse().context("--seconds")?,
            name if TARGETS.iter().any(|(target, _)| *target == name) => only = Some(name),
            other => {
                let names: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
                bail!("{other:?} is no target; there are {}", names.join(", "));
            }
        }
    }
    if !is_installed()? {
        println!("xtask: skipped: fuzzing: cargo-fuzz is missing; `cargo install cargo-fuzz` brings it");
        return Ok(!crate::component::strict());
    }
    let mut failed = Vec::new();
    for (target, seeds) in TARGETS.into_iter().filter(|(target, _)| only.is_none_or(|only| only == *target)) {
        write_seeds(&root().join("fuzz/corpus").join(target), seeds)?;
        let time = format!("-max_total_time={seconds}");
        let toolchain = program("rustup", &["run", "stable", "true"]);
        let stable: &[&str] = if works(toolchain) { &["+stable"] } else { &[] };
        let run = ["fuzz", "run", target, "--", &time, "-print_final_stats=1"];
        // Through the shim of rustup: the cargo that runs us is of one toolchain already.
        let mut command = program("cargo", &[stable, &run].concat());
        command.env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
        if !succeeds(&mut command)? {
            failed.push(target);
        }
    }
    failed.iter().for_each(|target| println!("xtask: failed: {target}; the input is in fuzz/artifacts/{target}"));
    Ok(failed.is_empty())
}

/// Whether cargo-fuzz is there; where it is not, it is installed if it can be.
fn is_installed() -> Result<bool> {
    let version = || cargo(&["fuzz", "--version"]);
    if !works(version()) {
        succeeds(&mut cargo(&["install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(works(version()) && output(&mut version()).is_ok())
}

fn write_seeds(folder: &Path, seeds: Seeds) -> Result<()> {
    std::fs::create_dir_all(folder).context("make the folder of a corpus")?;
    for (name, bytes) in seeds_of(seeds)? {
        std::fs::write(folder.join(name), bytes).context("write a seed")?;
    }
    Ok(())
}

/// The names and bytes of the seeds.
fn seeds_of(seeds: Seeds) -> Result<Vec<(String, Vec<u8>)>> {
    let (kind, first, dress) = match seeds {
        Seeds::Golden { kind, first, dress } => (kind, first, dress),
        Seeds::Written(texts) => {
            let named = (1..).zip(texts).map(|(index, text)| (format!("written-{index}"), text.to_vec()));
            return Ok(named.collect());
        }
    };
    let path = root().join("crates/testkit/vectors/wire.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).context("read the golden bytes")?;
        let bytes = unhex(value["hex"].as_str().unwrap_or_default());
        if value["type"] == kind && first.is_none_or(|first| bytes.first() == Some(&first)) {
            found.push((format!("vector-{}", index + 1), dressed(&bytes, dress)));
        }
    }
    Ok(found)
}

fn dressed(bytes: &[u8], dress: Dress) -> Vec<u8> {
    match dress {
        Dress::Bare => bytes.to_vec(),
        Dress::Piece => [&[PIECE], bytes].concat(),
        Dress::Frame => [&[PIECE][..], &(bytes.len() as u64).to_be_bytes(), bytes].concat(),
        Dress::Log => bytes.chunks(20).take(8).flat_map(log_entry).collect(),
    }
}

/// A line as a console log holds it: `SEQUENCE { INTEGER, UTF8String }`, and the length of that.
fn log_entry(line: &[u8]) -> Vec<u8> {
    let length = u8::try_from(line.len()).unwrap_or(0);
    let der = [&[0x30, length + 5, 0x02, 0x01, 0x05, 0x0c, length], line].concat();
    [&der[..], &u32::from(length + 7).to_be_bytes()].concat()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).unwrap_or(0);
    text.as_bytes().chunks(2).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds() {
        for (target, seeds) in TARGETS {
            assert!(!seeds_of(seeds).unwrap().is_empty(), "{target}");
        }
    }

    #[test]
    fn seeds_are_dressed_for_their_targets() {
        assert_eq!(unhex("30ff"), [0x30, 0xff]);
        assert_eq!(dressed(&[9], Dress::Piece), [PIECE, 9]);
        assert_eq!(dressed(&[9], Dress::Frame), [PIECE, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
        assert_eq!(dressed(b"hi", Dress::Log), b"\x30\x07\x02\x01\x05\x0c\x02hi\0\0\0\x09");
    }
}
