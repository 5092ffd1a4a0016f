//! What the artifacts of a build tell: derived once, when it arrives, or in the background for a build that the
//! original stored. What cannot be read is a note for people, never a reason to refuse a build.

use crate::console::{ConsoleIndex, ConsoleIndexer};
use crate::digest::Digest;
use crate::limits::{FACTS_BYTES_MAX, TEXT_BYTES_MAX};
use builder_facts::buildinfo::Buildinfo;
use builder_facts::identity::{
    ArtifactDigest, InputIdentity, InputKind, Inputs, NoInput, OutputIdentity, buildinfo_path, input_identity,
    output_identity,
};
use builder_facts::opam::Switch;
use builder_facts::solo5::{self, Solo5Error};
use builder_facts::{KeyValues, artifact_role, system_packages};
use builder_model::Platform;
use rusqlite::{OptionalExtension, Transaction, params};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How much of a console is read at once, in bytes.
const CONSOLE_READ_BYTES: usize = 256 << 10;

/// An artifact as it is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) path: &'a str,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

/// A build whose facts are wanted.
pub(crate) struct Subject<'a> {
    pub(crate) job: &'a str,
    pub(crate) platform: &'a str,
    /// None when it is lost.
    pub(crate) script: Option<Digest>,
    pub(crate) artifacts: &'a [Candidate<'a>],
    /// Which of them is the main binary.
    pub(crate) main_binary: Option<usize>,
    /// Opens one of them, by its place.
    pub(crate) open: &'a dyn Fn(usize) -> io::Result<File>,
    pub(crate) console: &'a Path,
}

/// What a build tells.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) input: Result<InputIdentity, NoInput>,
    pub(crate) output: Option<OutputIdentity>,
    pub(crate) job: Option<JobFacts>,
    binary: Option<Binary>,
    inventories: Vec<Inventory>,
    console_index: Vec<u8>,
    console_lines: u64,
    console_bytes: u64,
    artifact_count: usize,
    artifact_bytes: u64,
    notes: Vec<String>,
}

/// What an opam switch tells of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobFacts {
    pub(crate) section: &'static str,
    pub(crate) synopsis: Option<String>,
    pub(crate) description: Option<String>,
}

#[derive(Debug)]
struct Binary {
    digest: Digest,
    solo5: Option<(String, String)>,
}

/// A file that lists packages; where there is none of the system's, the `.buildinfo` does.
#[derive(Debug)]
struct Inventory {
    digest: Digest,
    kind: &'static str,
    packages: Result<Vec<Package>, String>,
}

#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    pinned: bool,
    overlay: bool,
    source: Option<String>,
}

/// Derives all that is known of a build.
pub(crate) fn derive(subject: &Subject<'_>) -> Facts {
    let mut notes = Vec::new();
    let digests: Vec<ArtifactDigest<'_>> = subject
        .artifacts
        .iter()
        .map(|artifact| ArtifactDigest { path: artifact.path, sha256: artifact.digest.0 })
        .collect();
    let buildinfo = subject.buildinfo(&mut notes);
    let platform = Platform::from_history(subject.platform.as_bytes());
    let input = input_identity(&Inputs {
        job: subject.job,
        script_sha256: subject.script.map(|script| script.0),
        platform: &platform,
        artifacts: &digests,
        buildinfo: buildinfo.as_ref().map(|(_, buildinfo)| buildinfo),
    });
    let main = subject.main_binary.and_then(|main| digests.get(main).copied());
    let mut inventories = Vec::new();
    let mut job = None;
    if let Some((digest, switch)) = subject.switch(&mut notes) {
        job = switch.as_ref().ok().and_then(job_facts);
        let packages = switch.as_ref().map(opam_packages).map_err(ToString::to_string);
        inventories.push(Inventory { digest, kind: "opam", packages });
    }
    if let Some((digest, bytes)) = subject.content("system-packages", &mut notes) {
        inventories.push(Inventory::of_system(digest, &system_packages::parse(&bytes)));
    } else if let Some((digest, buildinfo)) = &buildinfo {
        inventories.push(Inventory::of_system(*digest, &buildinfo.system_packages()));
    }
    let console = subject.console_facts(&mut notes);
    Facts {
        input,
        output: output_identity(main, &digests),
        job,
        binary: subject.binary(&mut notes),
        inventories,
        console_lines: console.as_ref().map_or(0, ConsoleIndex::lines),
        console_bytes: console.as_ref().map_or(0, ConsoleIndex::bytes),
        console_index: console.as_ref().map_or_else(Vec::new, ConsoleIndex::to_bytes),
        artifact_count: subject.artifacts.len(),
        artifact_bytes: subject.artifacts.iter().map(|artifact| artifact.bytes).sum(),
        notes,
    }
}

impl Subject<'_> {
    /// The content of the artifact with this path, when there is one that can be read.
    fn content(&self, path: &str, notes: &mut Vec<String>) -> Option<(Digest, Vec<u8>)> {
        let (place, artifact) = self.artifacts.iter().enumerate().find(|(_, artifact)| artifact.path == path)?;
        if artifact.bytes > FACTS_BYTES_MAX {
            notes.push(format!("{path} has {} bytes, more than {FACTS_BYTES_MAX}, and was not read", artifact.bytes));
            return None;
        }
        let mut bytes = Vec::new();
        match (self.open)(place).and_then(|file| file.take(FACTS_BYTES_MAX).read_to_end(&mut bytes)) {
            Ok(_) => Some((artifact.digest, bytes)),
            Err(error) => {
                notes.push(format!("{path} cannot be read: {error}"));
                None
            }
        }
    }

    /// The switch at the top, else in any folder.
    fn switch(&self, notes: &mut Vec<String>) -> Option<(Digest, Result<Switch, builder_facts::opam::OpamError>)> {
        let named = |path: &&str| artifact_role::base_name(path) == "opam-switch";
        let paths = || self.artifacts.iter().map(|artifact| artifact.path);
        let path = paths().find(|path| *path == "opam-switch").or_else(|| paths().find(named))?;
        let (digest, bytes) = self.content(path, notes)?;
        let switch = Switch::parse(&bytes);
        if let Err(error) = &switch {
            notes.push(format!("{path} is no export of an opam switch: {error}"));
        }
        Some((digest, switch))
    }

    fn buildinfo(&self, notes: &mut Vec<String>) -> Option<(Digest, Buildinfo)> {
        let path = buildinfo_path(self.artifacts.iter().map(|artifact| artifact.path))?;
        let (digest, bytes) = self.content(path, notes)?;
        match Buildinfo::parse(&bytes) {
            Ok(buildinfo) => Some((digest, buildinfo)),
            Err(error) => {
                notes.push(format!("{path} is no buildinfo: {error}"));
                None
            }
        }
    }

    fn binary(&self, notes: &mut Vec<String>) -> Option<Binary> {
        let place = self.main_binary?;
        let artifact = self.artifacts.get(place)?;
        let mut file = match (self.open)(place) {
            Ok(file) => file,
            Err(error) => {
                notes.push(format!("{} cannot be read: {error}", artifact.path));
                return None;
            }
        };
        let solo5 = match solo5::read(&mut file) {
            Ok(solo5) => {
                let json = |value: serde_json::Result<String>| value.ok();
                json(serde_json::to_string(&solo5.manifest)).zip(json(serde_json::to_string(&solo5.abi)))
            }
            Err(Solo5Error::Read(error)) => {
                notes.push(format!("{} cannot be read: {error}", artifact.path));
                return None;
            }
            Err(error @ Solo5Error::Note { .. }) => {
                notes.push(format!("{} has notes of Solo5 that cannot be read: {error}", artifact.path));
                None
            }
            // Most binaries are no unikernels: that they have no notes is nothing to tell.
            Err(Solo5Error::Elf(_) | Solo5Error::Missing(_)) => None,
        };
        Some(Binary { digest: artifact.digest, solo5 })
    }

    fn console_facts(&self, notes: &mut Vec<String>) -> Option<ConsoleIndex> {
        match File::open(self.console).and_then(index_console) {
            Ok(index) => Some(index),
            Err(error) => {
                notes.push(format!("the console cannot be read: {error}"));
                None
            }
        }
    }
}

fn index_console(mut file: File) -> io::Result<ConsoleIndex> {
    let mut indexer = ConsoleIndexer::new();
    let mut buffer = vec![0; CONSOLE_READ_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(indexer.finish());
        }
        indexer.push(buffer.split_at(count).0);
    }
}

fn job_facts(switch: &Switch) -> Option<JobFacts> {
    let bounded = |text: &str| text.chars().take(TEXT_BYTES_MAX / 4).collect::<String>();
    Some(JobFacts {
        section: switch.kind()?.section(),
        synopsis: switch.synopsis().map(bounded),
        description: switch.description().map(bounded),
    })
}

fn opam_packages(switch: &Switch) -> Vec<Package> {
    let package = |package: builder_facts::opam::InstalledPackage<'_>| Package {
        name: package.name.to_owned(),
        version: package.version.to_owned(),
        pinned: package.is_pinned,
        overlay: package.overlay.is_some(),
        source: package.source_url().or_else(|| package.dev_repo()).map(str::to_owned),
    };
    switch.packages().into_iter().map(package).collect()
}

impl Facts {
    /// Where rows of artifacts cannot be read, the build is not judged by the others.
    pub(crate) fn of_a_part(mut self) -> Self {
        (self.input, self.output) = (Err(NoInput::RowsUnreadable), None);
        self.notes.push("rows of its artifacts cannot be read: `builder-db check` names them".into());
        self
    }

    /// The original's `input_id`: NULL for builds without the three files.
    pub(crate) fn input_id(&self) -> Option<Digest> {
        let input = self.input.ok()?;
        match input.kind {
            InputKind::Opam => Some(Digest(input.sha256)),
            InputKind::Buildinfo | InputKind::Script | InputKind::ScriptAndInputs => None,
        }
    }

    /// Puts them in our own tables; `received` is there for a build that comes just now, and when it came. What is known
    /// of how an earlier one came stays.
    pub(crate) fn insert(
        &self,
        transaction: &Transaction<'_>,
        build: i64,
        received: Option<(crate::outline::RecordIdentity, i64)>,
    ) -> rusqlite::Result<()> {
        let text = "INSERT INTO repository_build(build, outline_sha256, outline_bytes, received, input_kind, input,
            output_kind, output, console_lines, console_bytes, console_index, artifact_count, artifact_bytes, notes)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
            ON CONFLICT DO UPDATE SET input_kind = excluded.input_kind, input = excluded.input,
            output_kind = excluded.output_kind, output = excluded.output, console_lines = excluded.console_lines,
            console_bytes = excluded.console_bytes, console_index = excluded.console_index,
            artifact_count = excluded.artifact_count, artifact_bytes = excluded.artifact_bytes, notes = excluded.notes";
        let notes = (!self.notes.is_empty()).then(|| self.notes.join("\n"));
        transaction.prepare_cached(text)?.execute(params![
            build,
            received.map(|(record, _)| record.outline),
            received.map(|(record, _)| record.bytes),
            received.map(|(_, at)| at),
            self.input.map_or_else(NoInput::as_str, |input| input.kind.as_str()),
            self.input.ok().map(|input| Digest(input.sha256)),
            self.output.as_ref().map(|output| output.kind.as_str()),
            self.output.as_ref().map(|output| Digest(output.sha256)),
            self.console_lines,
            self.console_bytes,
            self.console_index,
            self.artifact_count,
            self.artifact_bytes,
            notes,
        ])?;
        if let Some(Binary { digest, solo5 }) = &self.binary {
            let (manifest, abi) = solo5.as_ref().map_or((None, None), |(manifest, abi)| (Some(manifest), Some(abi)));
            let text = "INSERT OR IGNORE INTO repository_binary(sha256, solo5_manifest, solo5_abi) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(text)?.execute(params![digest, manifest, abi])?;
        }
        self.inventories.iter().try_for_each(|inventory| inventory.insert(transaction))
    }
}

impl Inventory {
    fn of_system(digest: Digest, list: &KeyValues) -> Self {
        let package = |(name, version): (&String, &String)| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            pinned: false,
            overlay: false,
            source: None,
        };
        Self { digest, kind: "system", packages: Ok(list.iter().map(package).collect()) }
    }

    /// Each content once, however many builds have it.
    fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let text = "INSERT INTO repository_inventory(sha256, kind, error) VALUES (?1, ?2, ?3)
            ON CONFLICT DO NOTHING RETURNING id";
        let error = self.packages.as_ref().err();
        let id: Option<i64> = transaction
            .prepare_cached(text)?
            .query_row(params![self.digest, self.kind, error], |row| row.get(0))
            .optional()?;
        let (Some(id), Ok(packages)) = (id, &self.packages) else { return Ok(()) };
        let text = "INSERT OR IGNORE INTO repository_package(inventory, name, version, pinned, overlay, source)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut insert = transaction.prepare_cached(text)?;
        for Package { name, version, pinned, overlay, source } in packages {
            insert.execute(params![id, name, version, pinned, overlay, source])?;
        }
        Ok(())
    }
}
