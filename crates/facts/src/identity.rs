//! What a build is judged by: the identity of what went in, and of what came out. Two builds with the same input are
//! expected to have the same output; if they have, the build is reproducible.
//!
//! An identity is a SHA-256. Every layout that is ours begins with a text of its own, so that no two kinds ever have
//! the same bytes; a change of a layout changes the number in that text. In the layouts below, `number` is a count or
//! length in 8 bytes, big endian, and `bytes` is the number of bytes followed by them.

use crate::artifact_role::{BINARIES, extension, is_dropped};
use crate::buildinfo::Buildinfo;
use builder_model::Platform;
use sha2::{Digest as _, Sha256};

/// The three artifacts that decide what an opam build makes, in the order of the original's `input_id`.
pub const OPAM_INPUTS: [&str; 3] = ["opam-switch", "build-environment", "system-packages"];

/// Artifacts at top level by which any build may declare what went in, sorted. `rootfs-digest` names, in whatever
/// form the script chose, the root file system that the build ran in.
pub const DECLARED_INPUTS: [&str; 5] =
    ["build-environment", "build-inputs", "opam-switch", "rootfs-digest", "system-packages"];

const BUILDINFO_DOMAIN: &[u8] = b"builder input identity: buildinfo 1\0";
const SCRIPT_DOMAIN: &[u8] = b"builder input identity: script 2\0";
/// The script of a binary that somebody made by hand and uploaded alone, as the original has it; earlier ones of the
/// original have none at all.
pub const BY_HAND_SCRIPT: &[u8] = b"# This artifact was manually built\n";
/// What a name ends with that tells how a build went, or when and where: not what came out of it.
const ACCOUNT_EXTENSIONS: [&str; 4] = ["build", "buildinfo", "changes", "log"];
const OUTPUT_DOMAIN: &[u8] = b"builder output identity: artifacts 2\0";

/// An artifact as an identity sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactDigest<'a> {
    /// Below the folder of the build; each path at most once in a build.
    pub path: &'a str,
    /// The SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// What is known about what went into a build.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The name of the job.
    pub job: &'a str,
    /// The SHA-256 of the script, unless it is lost.
    pub script_sha256: Option<[u8; 32]>,
    /// Where it ran.
    pub platform: &'a Platform,
    /// All artifacts, in any order.
    pub artifacts: &'a [ArtifactDigest<'a>],
    /// The parsed content of the artifact that [`buildinfo_path`] names, if it could be parsed.
    pub buildinfo: Option<&'a Buildinfo>,
}

/// By what a build's input is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputKind {
    /// The original's `input_id`: [`OPAM_INPUTS`] are all there.
    Opam,
    /// A Debian `.buildinfo`.
    Buildinfo,
    /// Script, job and platform alone.
    Script,
    /// Script, job, platform, and at least one of [`DECLARED_INPUTS`].
    ScriptAndInputs,
}

/// Why nothing is known of what went into a build, so that it is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoInput {
    /// It is a binary that somebody made by hand: its script says nothing of how.
    ByHand,
    /// Only the script would tell, and it is lost.
    ScriptLost,
    /// Some of its artifacts are not known.
    RowsUnreadable,
}

/// By what a build's output is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputKind {
    /// The main binary alone, which lies below `bin/`.
    MainBinary,
    /// All artifacts that came out.
    Artifacts,
}

/// What went into a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputIdentity {
    /// By what it is judged.
    pub kind: InputKind,
    /// Equal for builds with the same input.
    pub sha256: [u8; 32],
}

/// What came out of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputIdentity {
    /// By what it is judged.
    pub kind: OutputKind,
    /// Equal for builds with the same output.
    pub sha256: [u8; 32],
}

impl InputKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Opam, Self::Buildinfo, Self::Script, Self::ScriptAndInputs];

    /// The word for it in databases and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opam => "opam",
            Self::Buildinfo => "buildinfo",
            Self::Script => "script",
            Self::ScriptAndInputs => "script-and-inputs",
        }
    }

    /// The kind with that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What a page says: "judged by …".
    pub fn judged_by(self) -> &'static str {
        match self {
            Self::Opam => "the opam switch, environment and system packages",
            Self::Buildinfo => "the .buildinfo: source, version, architecture, build dependencies and environment",
            Self::Script => "the script, job and platform",
            Self::ScriptAndInputs => "the script, job, platform and declared inputs",
        }
    }
}

impl NoInput {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::ByHand, Self::ScriptLost, Self::RowsUnreadable];

    /// The word for it in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by-hand",
            Self::ScriptLost => "script-lost",
            Self::RowsUnreadable => "rows-unreadable",
        }
    }

    /// The reason with that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// What a page says of the build.
    pub fn text(self) -> &'static str {
        match self {
            Self::ByHand => "made by hand",
            Self::ScriptLost => "its script is lost",
            Self::RowsUnreadable => "rows of its artifacts cannot be read",
        }
    }
}

impl OutputKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::MainBinary, Self::Artifacts];

    /// The word for it in databases and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MainBinary => "main-binary",
            Self::Artifacts => "artifacts",
        }
    }

    /// The kind with that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What a page says: "judged by …".
    pub fn judged_by(self) -> &'static str {
        match self {
            Self::MainBinary => "the main binary",
            Self::Artifacts => "all artifacts that came out; logs, .buildinfo and .changes files do not count",
        }
    }
}

/// The artifact whose content decides the input of a Debian build: the only one with the extension `buildinfo`.
pub fn buildinfo_path<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut found = paths.into_iter().filter(|path| extension(path) == Some("buildinfo"));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// What went into a build, judged by the first of these that it has:
///
/// 1. [`InputKind::Opam`]: the digests of `opam-switch`, `build-environment` and `system-packages`, 32 bytes each,
///    in this order and nothing else: the original's `input_id`.
/// 2. [`InputKind::Buildinfo`]: `builder input identity: buildinfo 1`, NUL, then for each field in the order of
///    [`Buildinfo::fields`] the number of its values, and each value as `bytes`.
/// 3. [`InputKind::Script`] and [`InputKind::ScriptAndInputs`]: `builder input identity: script 2`, NUL, the digest of
///    the script in 32 bytes, the name of the job and the platform, each as `bytes`, the number of declared inputs, and
///    for each in the order of their names the name as `bytes` and the digest in 32 bytes. A script tells little of
///    what it fetches: two jobs that both say `make` are hardly meant to make the same, so it is held to one job.
///
/// All binaries that were made by hand have one script, which is not what made them: they have no input.
pub fn input_identity(inputs: &Inputs<'_>) -> Result<InputIdentity, NoInput> {
    let mut declared: Vec<&ArtifactDigest<'_>> = inputs.artifacts.iter().filter(|it| is_declared(it.path)).collect();
    declared.sort_unstable_by_key(|artifact| artifact.path);
    declared.dedup_by_key(|artifact| artifact.path);
    let named = |name| declared.iter().find(|artifact| artifact.path == name).map(|artifact| artifact.sha256);
    if let [Some(switch), Some(environment), Some(packages)] = OPAM_INPUTS.map(named) {
        let hash = Sha256::new().chain_update(switch).chain_update(environment).chain_update(packages);
        return Ok(InputIdentity { kind: InputKind::Opam, sha256: hash.finalize().into() });
    }
    if let Some(buildinfo) = inputs.buildinfo {
        return Ok(InputIdentity { kind: InputKind::Buildinfo, sha256: buildinfo_sha256(buildinfo) });
    }
    let script_sha256 = inputs.script_sha256.ok_or(NoInput::ScriptLost)?;
    if is_by_hand(&script_sha256, inputs.artifacts) {
        return Err(NoInput::ByHand);
    }
    let mut hash = Sha256::new_with_prefix(SCRIPT_DOMAIN);
    hash.update(script_sha256);
    update_bytes(&mut hash, inputs.job.as_bytes());
    update_bytes(&mut hash, inputs.platform.as_bytes());
    update_artifacts(&mut hash, &declared);
    let kind = if declared.is_empty() { InputKind::Script } else { InputKind::ScriptAndInputs };
    Ok(InputIdentity { kind, sha256: hash.finalize().into() })
}

/// Whether a script says that somebody made the artifacts by hand. One without a byte in it makes nothing.
fn is_by_hand(script_sha256: &[u8; 32], artifacts: &[ArtifactDigest<'_>]) -> bool {
    let is = |script: &[u8]| <[u8; 32]>::from(Sha256::digest(script)) == *script_sha256;
    is(BY_HAND_SCRIPT) || !artifacts.is_empty() && is(b"")
}

/// What came out of a build. Where it has a main binary below `bin/`, that one's digest, as the original has it. Else,
/// for [`OutputKind::Artifacts`], `builder output identity: artifacts 2`, NUL, the number of artifacts that came out, and
/// for each in the order of their paths (as bytes) the path as `bytes` and the digest in 32 bytes: who installs some of
/// a build's packages believes of each that it was reproduced. `None` if nothing came out.
pub fn output_identity(
    main_binary: Option<ArtifactDigest<'_>>,
    artifacts: &[ArtifactDigest<'_>],
) -> Option<OutputIdentity> {
    if let Some(main) = main_binary.filter(|main| main.path.starts_with(BINARIES)) {
        return Some(OutputIdentity { kind: OutputKind::MainBinary, sha256: main.sha256 });
    }
    let mut outputs: Vec<&ArtifactDigest<'_>> = artifacts.iter().filter(|artifact| is_output(artifact.path)).collect();
    if outputs.is_empty() {
        return None;
    }
    outputs.sort_unstable_by_key(|artifact| (artifact.path, artifact.sha256));
    let mut hash = Sha256::new_with_prefix(OUTPUT_DOMAIN);
    update_artifacts(&mut hash, &outputs);
    Some(OutputIdentity { kind: OutputKind::Artifacts, sha256: hash.finalize().into() })
}

/// Whether the artifact at `path` came out of the build, rather than telling what went in or how it went: what declares
/// inputs did not, nor logs, nor `.buildinfo` and `.changes` files, in which dates are written.
pub fn is_output(path: &str) -> bool {
    let is_account = extension(path).is_some_and(|extension| ACCOUNT_EXTENSIONS.contains(&extension));
    !is_declared(path) && !is_dropped(path) && !is_account
}

fn is_declared(path: &str) -> bool {
    DECLARED_INPUTS.contains(&path)
}

fn buildinfo_sha256(buildinfo: &Buildinfo) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(BUILDINFO_DOMAIN);
    for (_, values) in buildinfo.fields() {
        update_number(&mut hash, values.len());
        values.iter().for_each(|value| update_bytes(&mut hash, value.as_bytes()));
    }
    hash.finalize().into()
}

fn update_artifacts(hash: &mut Sha256, artifacts: &[&ArtifactDigest<'_>]) {
    update_number(hash, artifacts.len());
    for artifact in artifacts {
        update_bytes(hash, artifact.path.as_bytes());
        hash.update(artifact.sha256);
    }
}

fn update_bytes(hash: &mut Sha256, bytes: &[u8]) {
    update_number(hash, bytes.len());
    hash.update(bytes);
}

fn update_number(hash: &mut Sha256, number: usize) {
    hash.update((number as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(path: &str, byte: u8) -> ArtifactDigest<'_> {
        ArtifactDigest { path, sha256: [byte; 32] }
    }

    fn judge(artifacts: &[ArtifactDigest<'_>], buildinfo: Option<&str>) -> (InputKind, [u8; 32]) {
        let identity = judge_script(Some([7; 32]), artifacts, buildinfo).unwrap();
        (identity.kind, identity.sha256)
    }

    fn judge_script(
        script_sha256: Option<[u8; 32]>,
        artifacts: &[ArtifactDigest<'_>],
        buildinfo: Option<&str>,
    ) -> Result<InputIdentity, NoInput> {
        let platform = Platform::parse(b"debian-12").unwrap();
        let buildinfo = buildinfo.map(|text| Buildinfo::parse(text.as_bytes()).unwrap());
        let buildinfo = buildinfo.as_ref();
        input_identity(&Inputs { job: "hello", script_sha256, platform: &platform, artifacts, buildinfo })
    }

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        Sha256::digest(parts.concat()).into()
    }

    fn number(value: u64) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }

    fn bytes(text: &str) -> Vec<u8> {
        [number(text.len() as u64).as_slice(), text.as_bytes()].concat()
    }

    const BUILDINFO: &str =
        "Source: a\nVersion: 1\nArchitecture: all\nBuild-Architecture: amd64\nInstalled-Build-Depends: b (= 2)\n";

    #[test]
    fn an_opam_build_has_the_original_input_id() {
        let three = [artifact("system-packages", 3), artifact("opam-switch", 1), artifact("build-environment", 2)];
        let expected = (InputKind::Opam, hash(&[&[1; 32], &[2; 32], &[3; 32]]));
        assert_eq!(judge(&three, None), expected);
        assert_eq!(judge(&three, Some(BUILDINFO)), expected, "the original's identity comes first");
    }

    #[test]
    fn a_debian_build_is_judged_by_its_buildinfo() {
        let one = number(1);
        let source = [one.clone(), bytes("a")].concat();
        let version = [one.clone(), bytes("1")].concat();
        let architectures = [one.clone(), bytes("all"), one.clone(), bytes("amd64")].concat();
        let depends = [one, bytes("b (= 2)")].concat();
        let sha256 = hash(&[BUILDINFO_DOMAIN, &source, &version, &architectures, &depends, &number(0)]);
        assert_eq!(judge(&[artifact("opam-switch", 1)], Some(BUILDINFO)), (InputKind::Buildinfo, sha256));
        let dated = format!("{BUILDINFO}Build-Date: now\nBuild-Path: /x\n");
        assert_eq!(judge(&[], Some(&dated)).1, sha256);
    }

    #[test]
    fn any_other_build_is_judged_by_script_job_platform_and_declared_inputs() {
        let head = [SCRIPT_DOMAIN, &[7; 32], &bytes("hello"), &bytes("debian-12")].concat();
        let plain = judge(&[artifact("bin/x", 1), artifact("deep/build-inputs", 2)], None);
        assert_eq!(plain, (InputKind::Script, hash(&[&head, &number(0)])));
        let declared = judge(&[artifact("rootfs-digest", 2), artifact("build-inputs", 1)], None);
        let inputs = [bytes("build-inputs"), vec![1; 32], bytes("rootfs-digest"), vec![2; 32]].concat();
        let sha256 = hash(&[&head, &number(2), &inputs]);
        assert_eq!(declared, (InputKind::ScriptAndInputs, sha256));
    }

    #[test]
    fn what_was_made_by_hand_or_lost_its_script_has_no_input() {
        let (by_hand, none) = (Some(hash(&[BY_HAND_SCRIPT])), Some(hash(&[])));
        let binary = [artifact("bin/hello.bin", 1)];
        assert_eq!(judge_script(by_hand, &binary, None), Err(NoInput::ByHand));
        assert_eq!(judge_script(none, &binary, None), Err(NoInput::ByHand), "as the original once stored them");
        assert!(judge_script(none, &[], None).is_ok(), "an empty script leaves nothing");
        assert_eq!(judge_script(None, &binary, None), Err(NoInput::ScriptLost));
        let three = OPAM_INPUTS.map(|name| artifact(name, 1));
        assert_eq!(judge_script(by_hand, &three, None).map(|input| input.kind), Ok(InputKind::Opam));
        assert_eq!(judge_script(None, &[], Some(BUILDINFO)).map(|input| input.kind), Ok(InputKind::Buildinfo));
    }

    #[test]
    fn the_output_is_the_main_binary_or_all_that_came_out() {
        let main = output_identity(Some(artifact("bin/x", 9)), &[artifact("bin/x", 9), artifact("x", 1)]);
        assert_eq!(main, Some(OutputIdentity { kind: OutputKind::MainBinary, sha256: [9; 32] }));
        let all = [artifact("b", 2), artifact("a", 1), artifact("opam-switch", 3), artifact("a.buildinfo", 4)];
        let more = [artifact("x/a.changes", 5), artifact("README.md", 6), artifact("a", 1), artifact("b", 2)];
        let logs = [artifact("a", 1), artifact("b", 2), artifact("a_1_amd64.build", 7), artifact("test/x.log", 8)];
        let outputs = [bytes("a"), vec![1; 32], bytes("b"), vec![2; 32]].concat();
        let sha256 = hash(&[OUTPUT_DOMAIN, &number(2), &outputs]);
        let expected = Some(OutputIdentity { kind: OutputKind::Artifacts, sha256 });
        assert_eq!(output_identity(None, &all), expected);
        assert_eq!(output_identity(None, &more), expected);
        assert_eq!(output_identity(None, &logs), expected);
        assert_eq!(output_identity(Some(artifact("a", 1)), &all), expected, "a package is one of several");
        assert_eq!(output_identity(None, &[artifact("build-inputs", 1)]), None, "nothing came out");
    }

    #[test]
    fn one_buildinfo_decides_several_do_not() {
        assert_eq!(buildinfo_path(["a", "d/x.buildinfo"]), Some("d/x.buildinfo"));
        assert_eq!(buildinfo_path(["x_source.buildinfo", "x.buildinfo"]), None);
        assert_eq!(buildinfo_path(["buildinfo", "x.buildinfo.gz"]), None);
    }

    #[test]
    fn kinds_are_read_back_from_their_words() {
        for kind in InputKind::ALL {
            assert_eq!(InputKind::parse(kind.as_str()), Some(kind));
        }
        for kind in OutputKind::ALL {
            assert_eq!(OutputKind::parse(kind.as_str()), Some(kind));
        }
        for reason in NoInput::ALL {
            assert_eq!(NoInput::parse(reason.as_str()), Some(reason));
            assert_eq!(InputKind::parse(reason.as_str()), None, "both stand in one column");
        }
        assert_eq!(InputKind::parse("Opam"), None);
    }

    #[test]
    fn the_declared_inputs_are_sorted() {
        assert!(DECLARED_INPUTS.is_sorted());
        assert!(OPAM_INPUTS.iter().all(|name| DECLARED_INPUTS.contains(name)));
    }
}
