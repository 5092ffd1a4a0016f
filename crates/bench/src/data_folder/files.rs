//! The files of a plan: few, and real ones.

use super::random::number;
use super::{ERA_BUILDS, Plan, switch};
use anyhow::{Context, Result};
use builder_web::console::ConsoleIndexer;
use builder_web::{Depot, Digest};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// How much of the download is written at once, in bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// Lines in the consoles that builds share; the first is that of builds that fail.
const SHARED_CONSOLE_LINES: [u64; 4] = [40, 200, 400, 900];
/// The folder of consoles and scripts, below the data folder.
const SHARED: &str = "shared";

/// A file of the depot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

impl Stored {
    fn write(depot: &Depot, content: &[u8]) -> Result<Self> {
        let digest = Digest::of(content);
        let path = depot.artifact(&digest);
        make_parent(&path)?;
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(Self { digest, bytes: content.len() as u64 })
    }

    /// A large one that no layer below can make smaller.
    fn write_download(plan: &Plan, depot: &Depot) -> Result<Self> {
        let new = depot.root().join(SHARED).join("download");
        let mut file = File::create_new(&new).context("create the download")?;
        let (mut hash, mut left, mut block) = (Sha256::new(), plan.download_bytes, vec![0; BLOCK_BYTES]);
        for (place, word) in block.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&number(&[plan.seed, b'f'.into(), place as u64]).to_le_bytes());
        }
        while left > 0 {
            block[..8].copy_from_slice(&left.to_le_bytes());
            let piece = &block[..BLOCK_BYTES.min(usize::try_from(left).unwrap_or(BLOCK_BYTES))];
            hash.update(piece);
            file.write_all(piece).context("write the download")?;
            left -= piece.len() as u64;
        }
        file.sync_all().context("sync the download")?;
        let digest = Digest::finish(hash);
        let path = depot.artifact(&digest);
        make_parent(&path)?;
        std::fs::rename(&new, &path).context("rename the download")?;
        Ok(Self { digest, bytes: plan.download_bytes })
    }
}

fn make_parent(path: &Path) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// What is known of a console.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) path: String,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) index: Vec<u8>,
}

impl Console {
    /// Writes a console as builds have them: times, some colours, a bar that is drawn over itself.
    fn write(depot: &Depot, name: &str, lines: u64) -> Result<Self> {
        let path = format!("{SHARED}/{name}.console.txt");
        let file = File::create_new(depot.root().join(&path)).with_context(|| format!("create {path}"))?;
        let (mut to, mut indexer, mut bytes) = (BufWriter::with_capacity(BLOCK_BYTES, file), ConsoleIndexer::new(), 0);
        for line in 0..lines {
            let text = match line % 50 {
                7 => "\u{1b}[1;33mwarning:\u{1b}[0m unused variable <x> & \"y\"".to_owned(),
                23 => "10%\r50%\r100%".to_owned(),
                _ => format!("[{line}] ocamlfind ocamlopt -c -g lib/module_{}.ml -o _build/default/x.cmx", line % 977),
            };
            let line = format!("{}.{:03}s:{text}\n", line / 100, line % 100 * 10);
            to.write_all(line.as_bytes()).context("write a console")?;
            indexer.push(line.as_bytes());
            bytes += line.len() as u64;
        }
        to.flush().context("write a console")?;
        Ok(Self { path, lines, bytes, index: indexer.finish().to_bytes() })
    }
}

/// All that is a file.
pub(super) struct Files {
    consoles: Vec<Console>,
    long_console: Console,
    pub(super) download: Stored,
    /// By job and era.
    pub(super) switches: BTreeMap<(u64, u64), Stored>,
    environments: Vec<Stored>,
    pub(super) systems: Vec<Stored>,
}

impl Files {
    pub(super) fn write(plan: &Plan, depot: &Depot) -> Result<Self> {
        let shared = depot.root().join(SHARED);
        std::fs::create_dir(&shared).with_context(|| format!("create {}", shared.display()))?;
        std::fs::write(shared.join("script.txt"), "#!/bin/sh\nset -e\ndune build\n").context("write a script")?;
        let consoles = SHARED_CONSOLE_LINES.iter().map(|lines| Console::write(depot, &format!("{lines}"), *lines));
        let eras = 0..=(plan.builds / plan.jobs / ERA_BUILDS);
        let mut switches = BTreeMap::new();
        for job in (0..plan.jobs).step_by(usize::try_from(plan.switch_every)?) {
            for era in eras.clone() {
                let text = switch::export(&switch::packages(plan, job, era));
                switches.insert((job, era), Stored::write(depot, text.as_bytes())?);
            }
        }
        let environment = |era| Stored::write(depot, switch::environment(era).as_bytes());
        let system = |era| Stored::write(depot, switch::system_text(&switch::system_packages(era)).as_bytes());
        Ok(Self {
            consoles: consoles.collect::<Result<_>>()?,
            long_console: Console::write(depot, "long", plan.console_lines)?,
            download: Stored::write_download(plan, depot)?,
            switches,
            environments: eras.clone().map(environment).collect::<Result<_>>()?,
            systems: eras.map(system).collect::<Result<_>>()?,
        })
    }

    /// The console of a build.
    pub(super) fn console(&self, plan: &Plan, build: u64) -> &Console {
        if build == plan.last() {
            return &self.long_console;
        }
        let place = if plan.outcome(build).is_success() { 1 + build % 3 } else { 0 };
        &self.consoles[place as usize]
    }

    /// The artifacts of a build that have a file, with their paths.
    pub(super) fn of_build(&self, plan: &Plan, build: u64) -> Vec<(&'static str, Stored)> {
        let mut stored = Vec::new();
        if let Some(era) = plan.era(build) {
            let place = usize::try_from(era).unwrap_or(0);
            let files = [
                ("opam-switch", self.switches.get(&(plan.job_of(build), era))),
                ("build-environment", self.environments.get(place)),
                ("system-packages", self.systems.get(place)),
            ];
            stored.extend(files.into_iter().filter_map(|(path, stored)| Some((path, *stored?))));
        }
        if build == plan.last() {
            stored.push(("download.bin", self.download));
        }
        stored
    }
}
