//! What the template of a build's page says, in words.

use super::gather::Gathered;
use super::tree::{Folder, Step, walk};
use crate::database::artifact::Artifact;
use crate::database::build::{Build, HookRun, Inventory, ListedPackage};
use crate::database::related::{Difference, Related};
use crate::digest::Digest;
use crate::http::paging::Paging;
use crate::limits::{ARTIFACTS_SHOWN, ENVIRONMENT_SHOWN_MAX, PACKAGES_SHOWN_MAX, RELATED_COUNTED_MAX};
use crate::pages::{link, text};
use askama::Template;
use builder_facts::KeyValues;
use builder_facts::identity::NoInput;
use builder_facts::solo5::{Abi, Device, DeviceKind, Manifest, Target};
use builder_model::Timestamp;

#[derive(Template)]
#[template(path = "build.html")]
pub(super) struct BuildPage<'a> {
    build: &'a Build,
    /// Its own address, to which others are added.
    address: String,
    verdict: Verdict,
    /// How it ended: `good`, or `failed` and how.
    headline: String,
    main_binary: Option<&'a Artifact>,
    solo5: Option<String>,
    console: Option<String>,
    artifacts: Artifacts<'a>,
    identities: Option<Identities>,
    reproduced_by: Relatives,
    other_outputs: Relatives,
    other_inputs: Relatives,
    comparisons: Vec<Relative>,
    opam: Option<&'a Inventory>,
    opam_summary: String,
    system: Option<&'a Inventory>,
    system_summary: String,
    environment: Option<Entries<'a>>,
    /// The `.buildinfo` that system packages or environment are out of.
    buildinfo: Option<&'a str>,
    has_dependencies: bool,
    has_treemap: bool,
    has_hook_runs: bool,
    /// The words that it is kept under, as a list.
    pins: Option<String>,
    hook_runs: Option<&'a [HookRun]>,
    notes: &'a [String],
}

/// How far the build can be reproduced, in one line.
struct Verdict {
    /// The class of its mark: `good`, `bad` or `none`.
    mark: &'static str,
    text: String,
}

struct Artifacts<'a> {
    steps: Vec<Step<'a>>,
    /// `12 files, 3.4 MiB`.
    summary: String,
    is_empty: bool,
    /// `1001 to 2000`, when there is more than one page of them.
    range: Option<String>,
    previous: Option<String>,
    next: Option<String>,
}

/// By what the build is judged.
struct Identities {
    input: Option<Identity>,
    /// Why there is none.
    no_input: Option<&'static str>,
    output: Option<Identity>,
}

struct Identity {
    judged_by: &'static str,
    sha256: String,
}

struct Relatives {
    builds: Vec<Relative>,
    /// Whether it is said of any how its artifacts differ.
    has_differences: bool,
    /// `3 builds`, `more than 999 builds`.
    count: String,
    /// `and 12 builds more`.
    more: Option<String>,
    /// Where all of them are.
    address: String,
}

/// Another build.
struct Relative {
    /// Why it is shown.
    what: String,
    job: String,
    platform: String,
    start: String,
    address: String,
    compare: String,
    /// How its artifacts differ.
    difference: Option<String>,
}

struct Entries<'a> {
    shown: Vec<(&'a str, &'a str)>,
    /// `4 variables`.
    count: String,
    more: Option<String>,
}

impl<'a> BuildPage<'a> {
    pub(super) fn of(gathered: &'a Gathered) -> Self {
        let build = &gathered.build;
        let [input, output] = conditions(build);
        let related = |related: &Related, same: &[(&str, &str)]| relatives(gathered, related, link::builds(None, same));
        let (input, output) = (("input", input.as_str()), ("output", output.as_str()));
        let lines = build.derived.as_ref().map(|derived| {
            let lines = text::count(derived.console_lines, "line", "lines");
            format!("{lines}, {}", text::bytes(derived.console_bytes))
        });
        Self {
            address: link::build(&build.job, build.uuid),
            verdict: verdict(gathered),
            headline: text::verdict(&build.outcome),
            main_binary: gathered.main_binary.as_ref(),
            solo5: gathered.manifest.as_ref().zip(gathered.abi.as_ref()).map(|(manifest, abi)| solo5(manifest, abi)),
            console: lines,
            artifacts: artifacts(gathered),
            identities: build.derived.as_ref().map(|derived| Identities {
                input: derived
                    .input
                    .map(|(kind, sha256)| Identity { judged_by: kind.judged_by(), sha256: sha256.to_string() }),
                no_input: derived.no_input.map(NoInput::text),
                output: derived
                    .output
                    .map(|(kind, sha256)| Identity { judged_by: kind.judged_by(), sha256: sha256.to_string() }),
            }),
            reproduced_by: related(&gathered.reproduction.reproduced_by, &[input, output]),
            other_outputs: related(&gathered.reproduction.other_outputs, &[input]),
            other_inputs: related(&gathered.reproduction.other_inputs, &[output]),
            comparisons: comparisons(gathered),
            opam: gathered.opam.as_ref(),
            opam_summary: gathered.opam.as_ref().map(packages_text).unwrap_or_default(),
            system: gathered.system_packages.as_ref(),
            system_summary: gathered.system_packages.as_ref().map(packages_text).unwrap_or_default(),
            environment: gathered.environment.as_ref().map(entries),
            buildinfo: gathered.buildinfo.as_deref(),
            has_dependencies: gathered.has_dependencies,
            has_treemap: gathered.has_treemap,
            has_hook_runs: gathered.has_hook_runs,
            pins: (!gathered.pins.is_empty()).then(|| gathered.pins.join(", ")),
            hook_runs: gathered.hook_runs.as_deref(),
            notes: &gathered.notes,
            build,
        }
    }

    fn is_good(&self) -> bool {
        self.build.outcome.is_success()
    }

    fn outcome(&self) -> String {
        text::outcome(&self.build.outcome)
    }

    fn duration(&self) -> String {
        text::span(self.build.finish.milliseconds_since(self.build.start))
    }

    fn platform_address(&self) -> String {
        link::job(&self.build.job, Some(&self.build.platform))
    }

    fn artifact_address(&self, artifact: &Artifact) -> String {
        link::artifact(&self.build.job, self.build.uuid, &artifact.path)
    }

    fn moment(&self, time: &Timestamp) -> String {
        text::time(*time)
    }

    fn size(&self, artifact: &Artifact) -> String {
        text::bytes(artifact.size)
    }

    fn folder_summary(&self, folder: &Folder) -> String {
        let files = u64::try_from(folder.files).unwrap_or(u64::MAX);
        format!("{}, {}", text::count(files, "file", "files"), text::bytes(folder.bytes))
    }

    fn is_main(&self, artifact: &Artifact) -> bool {
        self.build.main_binary == Some(artifact.id)
    }
}

fn verdict(gathered: &Gathered) -> Verdict {
    let say = |mark, text: String| Verdict { mark, text };
    let unread = "not judged yet: this build was stored by an earlier program and is still to be read";
    let Some(derived) = gathered.build.derived.as_ref().filter(|_| !gathered.reproduction.is_stale) else {
        return say("none", unread.into());
    };
    if !gathered.build.outcome.is_success() {
        return say("none", "not judged, as it failed".into());
    }
    if derived.output.is_none() {
        return say("none", "not judged, as it left nothing".into());
    }
    if derived.input.is_none() {
        let why = derived.no_input.map_or("it has no known input", NoInput::text);
        return say("none", format!("{why}: not judged"));
    }
    let (same, other) = (gathered.reproduction.reproduced_by.count, gathered.reproduction.other_outputs.count);
    let same_text = counted(same);
    let reproduction = &gathered.reproduction;
    let (in_same, in_other) =
        (nearest(gathered, &reproduction.reproduced_by), nearest(gathered, &reproduction.other_outputs));
    match (same, other) {
        (0, 0) => say("none", "not built again from the same input so far".into()),
        (_, 0) => say("good", format!("reproduced by {same_text}{in_same}")),
        (0, _) => say("bad", format!("not reproducible: the same input gave different output{in_other}")),
        (_, _) => say("bad", format!("reproduced by {same_text}, but the same input also gave different output")),
    }
}

/// How the artifacts of the most similar of these builds differ, in brackets; nothing if they do not.
fn nearest(gathered: &Gathered, related: &Related) -> String {
    let known = related.builds.iter().filter_map(|other| gathered.differences.get(&other.id).copied());
    match known.min_by_key(|difference| difference.differing) {
        Some(nearest) if nearest.differing > 0 => format!(" ({})", difference(nearest)),
        Some(_) | None => String::new(),
    }
}

/// How the artifacts of two builds differ, such as `main binary the same, 1 of 3 artifacts differs`.
fn difference(difference: Difference) -> String {
    let Difference { paths, differing, same_main_binary } = difference;
    match (differing, paths) {
        (0, 1) => "the only artifact is the same".into(),
        (0, 2) => "both artifacts the same".into(),
        (0, _) => format!("all {} artifacts the same", text::number_text(paths)),
        (1, 1) => "the only artifact differs".into(),
        (_, _) => {
            let main = match same_main_binary {
                Some(true) => "main binary the same, ",
                Some(false) => "main binary differs, ",
                None => "",
            };
            let verb = if differing == 1 { "differs" } else { "differ" };
            let (differing, paths) = (text::number_text(differing), text::number_text(paths));
            format!("{main}{differing} of {paths} artifacts {verb}")
        }
    }
}

fn counted(count: u64) -> String {
    if count >= RELATED_COUNTED_MAX {
        format!("{} builds or more", text::number_text(RELATED_COUNTED_MAX))
    } else {
        text::count(count, "build", "builds")
    }
}

/// What the notes of a unikernel say, in a sentence or two.
fn solo5(manifest: &Manifest, abi: &Abi) -> String {
    let names = |kind: DeviceKind| {
        let named = manifest.devices.iter().filter(|device| device.kind == kind);
        named.map(|Device { name, .. }| format!("“{name}”")).collect::<Vec<_>>()
    };
    let list = |one: &str, many: &str, names: &[String]| match names {
        [] => None,
        [name] => Some(format!("the {one} {name}")),
        [first @ .., last] => Some(format!("the {many} {} and {last}", first.join(", "))),
    };
    let block = list("block device", "block devices", &names(DeviceKind::Block));
    let net = list("network interface", "network interfaces", &names(DeviceKind::Net));
    let devices = match (block, net) {
        (None, None) => "It needs no block device and no network interface".into(),
        (Some(one), None) | (None, Some(one)) => format!("It needs {one}"),
        (Some(block), Some(net)) => format!("It needs {block}, and {net}"),
    };
    let target = match abi.target {
        Target::Hvt => "hvt",
        Target::Spt => "spt",
        Target::Virtio => "virtio",
        Target::Muen => "muen",
        Target::Genode => "genode",
        Target::Xen => "xen",
    };
    format!("A Solo5 unikernel for {target}, ABI version {}. {devices}.", abi.version)
}

fn artifacts(gathered: &Gathered) -> Artifacts<'_> {
    let (paging, count) = (gathered.paging, gathered.artifact_count);
    let address = link::build(&gathered.build.job, gathered.build.uuid);
    let at = |paging: Paging| format!("{address}{}#artifacts", paging.query(ARTIFACTS_SHOWN, None));
    let shown = u64::try_from(gathered.artifacts.len()).unwrap_or(u64::MAX);
    let end = u64::from(paging.start).saturating_add(shown);
    Artifacts {
        steps: walk(&gathered.artifacts),
        summary: format!("{}, {}", text::count(count, "file", "files"), text::bytes(gathered.artifact_bytes)),
        is_empty: count == 0,
        range: (shown < count).then(|| {
            let first = text::number_text(u64::from(paging.start).saturating_add(1));
            if shown == 0 { "none here".into() } else { format!("{first} to {}", text::number_text(end)) }
        }),
        // Beyond the end the part before may be empty, too.
        previous: paging.before().map(|before| if shown == 0 { Paging { start: 0, ..before } } else { before }).map(at),
        next: paging.after(end < count && shown > 0).map(at),
    }
}

/// The digests of input and output, by which builds are listed; empty where there are none, and no related builds.
fn conditions(build: &Build) -> [String; 2] {
    let derived = build.derived.as_ref();
    let digest = |identity: Option<Digest>| identity.map(|digest| digest.to_string()).unwrap_or_default();
    [
        digest(derived.and_then(|derived| derived.input).map(|(_, digest)| digest)),
        digest(derived.and_then(|derived| derived.output).map(|(_, digest)| digest)),
    ]
}

fn relatives(gathered: &Gathered, related: &Related, address: String) -> Relatives {
    let one = |other: &Build| Relative {
        difference: gathered.differences.get(&other.id).copied().map(difference),
        ..relative(&gathered.build, other, String::new())
    };
    let shown = u64::try_from(related.builds.len()).unwrap_or(u64::MAX);
    let more = related.count.saturating_sub(shown);
    Relatives {
        builds: related.builds.iter().map(one).collect(),
        has_differences: related.builds.iter().any(|other| gathered.differences.contains_key(&other.id)),
        count: counted(related.count),
        more: (more > 0).then(|| format!("and {} more", counted(more))),
        address,
    }
}

fn relative(build: &Build, other: &Build, what: String) -> Relative {
    Relative {
        what,
        job: other.job.clone(),
        platform: other.platform.clone(),
        start: text::time(other.start),
        address: link::build(&other.job, other.uuid),
        compare: link::compare(other.uuid, build.uuid),
        difference: None,
    }
}

fn comparisons(gathered: &Gathered) -> Vec<Relative> {
    let (build, neighbours) = (&gathered.build, &gathered.neighbours);
    let mut comparisons = Vec::new();
    let mut add = |other: &Option<Build>, what: &str| {
        comparisons.extend(other.as_ref().map(|other| relative(build, other, what.into())));
    };
    add(&neighbours.latest, "latest good build");
    add(&neighbours.later_different, "later, with different output");
    add(&neighbours.earlier_different, "earlier, with different output");
    let others = neighbours.other_platforms.iter();
    comparisons.extend(others.map(|other| relative(build, other, format!("latest good build on {}", other.platform))));
    comparisons
}

/// How many packages there are.
fn packages_text(inventory: &Inventory) -> String {
    let count = u64::try_from(inventory.packages.len()).unwrap_or(u64::MAX);
    let pinned = inventory.packages.iter().filter(|package| package.pinned).count();
    let more = if inventory.packages.len() == PACKAGES_SHOWN_MAX { " or more" } else { "" };
    let packages = text::count(count, "package", "packages");
    if pinned == 0 { format!("{packages}{more}") } else { format!("{packages}{more}, {pinned} pinned") }
}

fn entries(list: &KeyValues) -> Entries<'_> {
    let shown: Vec<_> =
        list.iter().take(ENVIRONMENT_SHOWN_MAX).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let more = list.len() - shown.len();
    let more = (more > 0 || list.is_cut()).then(|| format!("and {more} more, left out here"));
    let count = text::count(u64::try_from(list.len()).unwrap_or(u64::MAX), "variable", "variables");
    Entries { shown, count, more }
}

/// Where builds are that a package in this version went into.
fn package_address(package: &ListedPackage) -> String {
    link::package(&package.name, &package.version)
}
