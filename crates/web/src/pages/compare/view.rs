//! What the template of a comparison says: categories in the order and under the anchors of the original, then ours.

use crate::comparison::{Compared, SideRows};
use crate::database::build::Build;
use crate::digest::Digest;
use crate::limits::COMPARED_ROWS_SHOWN_MAX;
use crate::pages::{link, text};
use askama::Template;
use builder_facts::compare::{
    Artifact, ArtifactsDiff, DuniverseDiff, Input, KeyValuesDiff, LineKind, OpamDiff, OpamFileChange, OpamFiles, Part,
    TextDiff,
};
use builder_facts::identity::NoInput;

#[derive(Template)]
#[template(path = "compare.html")]
pub(super) struct ComparePage<'a> {
    sides: [Side<'a>; 2],
    is_same: bool,
    /// Whether what went in is the same, where both inputs are known.
    input: Option<&'static str>,
    /// Whether both ran the same script.
    same_script: Option<bool>,
    reverse: String,
    /// Those that are not empty.
    categories: Vec<Category<'a>>,
    /// What a side lacked or what could not be read.
    notes: Vec<String>,
    /// Whether everything could be compared, so that no category means no difference.
    is_complete: bool,
    json: String,
}

struct Side<'a> {
    name: &'static str,
    build: &'a Build,
    address: String,
    start: String,
    outcome: String,
    main_binary: Option<String>,
    /// By what its input is told, or why it is not.
    input: String,
    input_sha256: Option<String>,
}

/// One kind of difference.
struct Category<'a> {
    /// What it is a difference of, where the one before is of something else.
    group: Option<&'static str>,
    anchor: &'static str,
    title: &'static str,
    count: usize,
    body: Body<'a>,
    more: Option<String>,
}

enum Body<'a> {
    /// Names with one value each.
    Single(Mark, Vec<(&'a str, &'a str)>),
    /// Names with a value on each side.
    Double(Vec<Double<'a>>),
    /// Names with a diff each.
    Diffs(Vec<Diff<'a>>),
    Files(Vec<File<'a>>),
}

/// What became of an entry: the element that it stands in.
#[derive(Clone, Copy)]
enum Mark {
    Removed,
    Added,
}

struct Double<'a> {
    name: &'a str,
    left: String,
    right: String,
}

struct Diff<'a> {
    title: String,
    note: Option<&'static str>,
    added: usize,
    removed: usize,
    /// Short ones are shown open.
    open: bool,
    hunks: Vec<(String, &'a [builder_facts::compare::DiffLine])>,
    is_coarse: bool,
    is_cut: bool,
}

struct File<'a> {
    path: &'a str,
    /// Where it was before.
    from: Option<&'a str>,
    left: Option<FileSide>,
    right: Option<FileSide>,
    /// How the size changed, such as `+1.5 KiB`.
    change: String,
}

struct FileSide {
    size: String,
    sha256: String,
    address: String,
}

/// Lines of a diff that is shown open.
const OPEN_LINES_MAX: usize = 40;

impl<'a> ComparePage<'a> {
    pub(super) fn of(left: &'a SideRows, right: &'a SideRows, compared: &'a Compared) -> Self {
        let inputs = &compared.inputs;
        let mut notes = compared.notes.clone();
        lacking("an", "opam switch", "opam packages", &inputs.opam, &mut notes);
        lacking("an", "environment", "environments", &inputs.environment, &mut notes);
        lacking("a", "list of system packages", "system packages", &inputs.system_packages, &mut notes);
        let mut categories = Vec::new();
        if let Some(opam) = inputs.opam.compared() {
            opam_categories(opam, &mut categories);
            let malformed = opam.duniverse.malformed_left.len() + opam.duniverse.malformed_right.len();
            if malformed > 0 {
                notes.push(format!("{malformed} entries of vendored sources cannot be read, and are not compared."));
            }
        }
        if let Some(diff) = inputs.environment.compared() {
            key_value_categories(diff, ENVIRONMENT, &mut categories);
        }
        if let Some(diff) = inputs.system_packages.compared() {
            key_value_categories(diff, SYSTEM_PACKAGES, &mut categories);
        }
        if let Some(diff) = inputs.script.compared() {
            script_category(diff, &mut categories);
        }
        artifact_categories(&compared.artifacts, &left.build, &right.build, &mut categories);
        head_groups(&mut categories);
        Self {
            sides: [side("left", left), side("right", right)],
            is_same: left.build.id == right.build.id,
            input: input_text(&left.build, &right.build),
            same_script: inputs.script.compared().map(|diff| diff.hunks.is_empty()),
            reverse: link::compare(right.build.uuid, left.build.uuid),
            categories,
            is_complete: notes.is_empty(),
            notes,
            json: link::compare(left.build.uuid, right.build.uuid),
        }
    }
}

/// Gives the first category of each group its heading.
fn head_groups(categories: &mut [Category<'_>]) {
    let mut last = "";
    for category in categories {
        let group = match category.anchor.split('-').next() {
            Some("opam") if category.anchor.ends_with("opam-diff") => "Opam files",
            Some("opam") => "Opam packages",
            Some("duniverse") => "Vendored sources",
            Some("env") => "Environment",
            Some("pkgs") => "System packages",
            Some("script") => "Script",
            Some(_) | None => "Artifacts",
        };
        category.group = (group != last).then_some(group);
        last = group;
    }
}

/// Whether both builds had the same input; none where one has none.
fn input_text(left: &Build, right: &Build) -> Option<&'static str> {
    let input = |build: &Build| build.derived.as_ref().and_then(|derived| derived.input);
    let (left, right) = (input(left)?, input(right)?);
    Some(match (left == right, left.0 == right.0) {
        (true, _) => "the same",
        (false, true) => "different",
        (false, false) => "different, and told by different things",
    })
}

fn side<'a>(name: &'static str, rows: &'a SideRows) -> Side<'a> {
    let build = &rows.build;
    let main_binary = rows.main_binary.as_ref();
    let input = build.derived.as_ref().and_then(|derived| derived.input);
    let no_input = build.derived.as_ref().map(|derived| derived.no_input.map_or("not known", NoInput::text));
    Side {
        input: input.map_or(no_input.unwrap_or("not known yet"), |(kind, _)| kind.judged_by()).to_owned(),
        input_sha256: input.map(|(_, sha256)| sha256.to_string()),
        name,
        build,
        address: link::build(&build.job, build.uuid),
        start: text::time(build.start),
        outcome: text::outcome_in_list(&build.outcome),
        main_binary: main_binary.map(|binary| format!("{}, {}", binary.path, text::bytes(binary.size))),
    }
}

/// Says which side lacks something, so that what it would tell of is not compared.
fn lacking<T>(article: &str, what: &str, told: &str, part: &Part<T>, notes: &mut Vec<String>) {
    let Part::Lacking { left, right } = part else { return };
    if matches!((left, right), (Input::Absent, Input::Absent)) {
        notes.push(format!("Neither build has {article} {what}."));
        return;
    }
    for (side, input) in [("left", left), ("right", right)] {
        match input {
            Input::Readable => {}
            Input::Absent => {
                notes.push(format!("The {side} build has no {what}, so {told} are not compared."));
            }
            Input::Unreadable(error) => {
                let cannot = format!("The {what} of the {side} build cannot be read");
                notes.push(format!("{cannot}, so {told} are not compared: {error}"));
            }
        }
    }
}

fn category<'a>(anchor: &'static str, title: &'static str, count: usize, body: Body<'a>) -> Option<Category<'a>> {
    let left_out = count.saturating_sub(COMPARED_ROWS_SHOWN_MAX);
    let more = (left_out > 0).then(|| {
        format!("and {} more, which are in the JSON", text::number_text(u64::try_from(left_out).unwrap_or(u64::MAX)))
    });
    (count > 0).then_some(Category { group: None, anchor, title, count, body, more })
}

fn single<'a>(
    anchor: &'static str,
    title: &'static str,
    mark: Mark,
    entries: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Option<Category<'a>> {
    let count = entries.len();
    category(anchor, title, count, Body::Single(mark, entries.take(COMPARED_ROWS_SHOWN_MAX).collect()))
}

fn double<'a>(
    anchor: &'static str,
    title: &'static str,
    entries: impl ExactSizeIterator<Item = Double<'a>>,
) -> Option<Category<'a>> {
    let count = entries.len();
    category(anchor, title, count, Body::Double(entries.take(COMPARED_ROWS_SHOWN_MAX).collect()))
}

fn opam_categories<'a>(opam: &'a OpamDiff, categories: &mut Vec<Category<'a>>) {
    let package = |package: &'a builder_facts::opam::Package| (package.name.as_str(), package.version.as_str());
    let versions = opam.versions.iter().map(|change| Double {
        name: &change.name,
        left: change.left.clone(),
        right: change.right.clone(),
    });
    let removed = opam.only_left.iter().map(package);
    categories.extend(single("opam-packages-removed", "opam packages removed", Mark::Removed, removed));
    let installed = opam.only_right.iter().map(package);
    // The anchor is the original's, letter for letter.
    categories.extend(single("opam-packages-installede", "opam packages newly installed", Mark::Added, installed));
    categories.extend(double("opam-packages-version-diff", "opam packages with version changes", versions));
    duniverse_categories(&opam.duniverse, categories);
    let diffs = opam.opam_files.iter().take(COMPARED_ROWS_SHOWN_MAX).map(opam_file).collect();
    categories.extend(category(
        "opam-packages-opam-diff",
        "opam packages with changes in their opam file",
        opam.opam_files.len(),
        Body::Diffs(diffs),
    ));
}

fn script_category<'a>(diff: &'a TextDiff, categories: &mut Vec<Category<'a>>) {
    let diffs: Vec<Diff<'_>> =
        (!diff.hunks.is_empty() || diff.is_cut).then(|| shown_diff("Script".into(), None, diff)).into_iter().collect();
    categories.extend(category("script", "changes of the script", diff.hunks.len(), Body::Diffs(diffs)));
}

fn duniverse_categories<'a>(diff: &'a DuniverseDiff, categories: &mut Vec<Category<'a>>) {
    let directory = |entry: &'a builder_facts::opam::DuniverseDirectory| (entry.directory.as_str(), entry.url.as_str());
    let removed = diff.only_left.iter().map(directory);
    categories.extend(single("duniverse-dirs-removed", "vendored sources removed", Mark::Removed, removed));
    let installed = diff.only_right.iter().map(directory);
    categories.extend(single("duniverse-dirs-installed", "vendored sources installed", Mark::Added, installed));
    let changed = diff.changed.iter().map(|change| {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        if change.left_url != change.right_url {
            left.push(change.left_url.clone());
            right.push(change.right_url.clone());
        }
        for hash in &change.hashes {
            let text = |value: &Option<String>| format!("{}={}", hash.kind, value.as_deref().unwrap_or("NONE"));
            left.push(text(&hash.left));
            right.push(text(&hash.right));
        }
        Double { name: &change.directory, left: left.join(" "), right: right.join(" ") }
    });
    categories.extend(double("duniverse-dirs-content-diff", "vendored sources with content changes", changed));
}

fn opam_file(change: &OpamFileChange) -> Diff<'_> {
    let note = match change.files {
        OpamFiles::Both => None,
        OpamFiles::OnlyLeft => Some("only the left build has its opam file"),
        OpamFiles::OnlyRight => Some("only the right build has its opam file"),
    };
    shown_diff(change.package.to_string(), note, &change.diff)
}

fn shown_diff<'a>(title: String, note: Option<&'static str>, diff: &'a TextDiff) -> Diff<'a> {
    let count = |kind: LineKind| {
        let lines = diff.hunks.iter().flat_map(|hunk| &hunk.lines);
        lines.filter(|line| line.kind == kind).count()
    };
    let shown: usize = diff.hunks.iter().map(|hunk| hunk.lines.len()).sum();
    Diff {
        title,
        note,
        added: count(LineKind::Added),
        removed: count(LineKind::Removed),
        open: shown <= OPEN_LINES_MAX,
        hunks: diff.hunks.iter().map(|hunk| (hunk.header(), hunk.lines.as_slice())).collect(),
        is_coarse: diff.is_coarse,
        is_cut: diff.is_cut,
    }
}

/// Anchor and title of what is removed, added, changed.
type Headings = [(&'static str, &'static str); 3];

const ENVIRONMENT: Headings = [
    ("env-removed", "environment variables removed"),
    ("env-added", "environment variables added"),
    ("env-changed", "environment variables changed"),
];
const SYSTEM_PACKAGES: Headings = [
    ("pkgs-removed", "system packages removed"),
    ("pkgs-added", "system packages added"),
    ("pkgs-changed", "system packages changed"),
];

fn key_value_categories<'a>(diff: &'a KeyValuesDiff, headings: Headings, categories: &mut Vec<Category<'a>>) {
    let entry = |entry: &'a builder_facts::compare::KeyValue| (entry.name.as_str(), entry.value.as_str());
    let changed = diff.changed.iter().map(|change| Double {
        name: &change.name,
        left: change.left.clone(),
        right: change.right.clone(),
    });
    let [(removed_at, removed), (added_at, added), (changed_at, changed_title)] = headings;
    categories.extend(single(removed_at, removed, Mark::Removed, diff.removed.iter().map(entry)));
    categories.extend(single(added_at, added, Mark::Added, diff.added.iter().map(entry)));
    categories.extend(double(changed_at, changed_title, changed));
}

fn artifact_categories<'a>(diff: &'a ArtifactsDiff, left: &Build, right: &Build, categories: &mut Vec<Category<'a>>) {
    let file_side = |build: &Build, artifact: &Artifact| FileSide {
        size: text::bytes(artifact.size),
        sha256: Digest(artifact.sha256).to_string(),
        address: link::artifact(&build.job, build.uuid, &artifact.path),
    };
    let mut add = |anchor, title, count, files: Vec<File<'a>>| {
        categories.extend(category(anchor, title, count, Body::Files(files)));
    };
    let removed = diff.removed.iter().take(COMPARED_ROWS_SHOWN_MAX).map(|artifact| File {
        path: &artifact.path,
        from: None,
        left: Some(file_side(left, artifact)),
        right: None,
        change: String::new(),
    });
    add("artifacts-removed", "artifacts removed", diff.removed.len(), removed.collect());
    let added = diff.added.iter().take(COMPARED_ROWS_SHOWN_MAX).map(|artifact| File {
        path: &artifact.path,
        from: None,
        left: None,
        right: Some(file_side(right, artifact)),
        change: String::new(),
    });
    add("artifacts-added", "artifacts added", diff.added.len(), added.collect());
    let changed = diff.changed.iter().take(COMPARED_ROWS_SHOWN_MAX).map(|change| File {
        path: &change.left.path,
        from: None,
        left: Some(file_side(left, &change.left)),
        right: Some(file_side(right, &change.right)),
        change: size_change(change.left.size, change.right.size),
    });
    add("artifacts-changed", "artifacts changed", diff.changed.len(), changed.collect());
    let moved = diff.moved.iter().take(COMPARED_ROWS_SHOWN_MAX).map(|moved| File {
        path: &moved.right.path,
        from: Some(&moved.left_path),
        left: None,
        right: Some(file_side(right, &moved.right)),
        change: String::new(),
    });
    add("artifacts-moved", "artifacts moved", diff.moved.len(), moved.collect());
}

fn size_change(left: u64, right: u64) -> String {
    match left.cmp(&right) {
        std::cmp::Ordering::Equal => "same size".into(),
        std::cmp::Ordering::Less => format!("+{}", text::bytes(right - left)),
        std::cmp::Ordering::Greater => format!("−{}", text::bytes(left - right)),
    }
}
