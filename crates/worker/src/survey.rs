//! What a host could do to keep jobs apart, for who has not chosen yet: each kind of sandbox is held against it without a
//! policy, and each limit that takes more than this program. Nothing of it is asked, so nothing of it is a fault.

use crate::limits;
use crate::trial;
use crate::worker::{Settings, look};
use builder_sandbox::{Finding, Kind, Limits, Policy, Processors};

/// The kinds that this system may have.
const KINDS: &[Kind] =
    if cfg!(target_os = "freebsd") { &[Kind::Jail] } else { &[Kind::Bubblewrap, Kind::Container, Kind::Nspawn] };
/// Limits as somebody could ask for them.
const LIMITS: Limits = Limits {
    memory_bytes: Some(1 << 30),
    processors: Some(Processors { hundredths: 100 }),
    processes: Some(1000),
    disk_bytes: None,
    time: None,
    open_files: None,
};

/// A line for each kind and each limit; more where more is missing.
pub(crate) fn findings(settings: &Settings) -> Vec<Finding> {
    let kinds = KINDS.iter().flat_map(|kind| of_kind(settings, *kind));
    let limits = limits::findings(&Policy { limits: LIMITS, ..Policy::default() });
    let limits = limits.into_iter().map(|finding| match finding.is_fulfilled() {
        true => Finding { detail: format!("such as {}", finding.detail), ..finding },
        false => finding,
    });
    kinds.chain(limits).collect()
}

fn of_kind(settings: &Settings, kind: Kind) -> Vec<Finding> {
    let policy = Policy { kind, has_network: false, pass: Some(Vec::new()), ..Policy::default() };
    let settings = Settings { policy, ..settings.clone() };
    let (host, findings) = look(&settings);
    let (there, missing): (Vec<_>, Vec<_>) = findings.into_iter().partition(Finding::is_fulfilled);
    if !missing.is_empty() {
        let of_kind = |finding: Finding| {
            let detail = format!("{}: {}", finding.subject, finding.detail);
            Finding { subject: kind.name().to_owned(), detail, ..finding }
        };
        return missing.into_iter().map(of_kind).collect();
    }
    let Some(wanted) = wanted(kind) else {
        let tried = trial::tried(&settings, &host, kind.name());
        return vec![Finding { detail: format!("{}: {}", trial::SUBJECT, tried.detail), ..tried }];
    };
    // The first says only which kind it is.
    let found = there.get(1).map_or("", |finding| finding.detail.as_str());
    vec![Finding::works(kind.name(), format!("{found}; {wanted}, and then `check` tries it"))]
}

/// What a policy has to name before anything can run.
const fn wanted(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::None | Kind::Bubblewrap => None,
        Kind::Container => Some("a policy has to name an `image`, or with podman a `root`"),
        Kind::Nspawn | Kind::Jail => Some("a policy has to name a `root`"),
    }
}
