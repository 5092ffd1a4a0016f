//! What an export of a switch tells: which packages are installed, which of them were asked for, and their opam files.

use super::ast::{File, Item, Value, ValueKind};
use super::duniverse::Duniverse;
use super::error::{OpamError, found, position};
use super::lexer::offset;
use super::lines::{self, Line, State};
use super::overlay::Overlay;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The package that tells a unikernel with metrics.
const METRICS_PACKAGE: &str = "metrics-influx";

/// The dependency that tells a unikernel with metrics.
const METRICS_DEPENDENCY: &str = "mirage-monitoring";

/// The field that MirageOS 4 writes into the opam file of a unikernel.
const UNIKERNEL_FIELD: &str = "x-mirage-opam-lock-location";

/// What the opam package of a unikernel of MirageOS 3 is called.
const UNIKERNEL_PREFIX: &str = "mirage-unikernel-";

/// The name and version of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version; empty if none was written.
    pub version: String,
}

impl Package {
    /// `name.version`, divided at the first dot, which no name holds.
    fn parse(text: &str) -> Self {
        let (name, version) = text.split_once('.').unwrap_or((text, ""));
        Self { name: name.to_owned(), version: version.to_owned() }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, ".{}", self.version) }
    }
}

/// What a switch was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A MirageOS unikernel.
    Unikernel {
        /// Whether it reports metrics to Influx.
        influx: bool,
    },
    /// Any other package.
    Package,
}

impl Kind {
    /// The title of the section of jobs that it belongs to.
    pub fn section(self) -> &'static str {
        match self {
            Self::Unikernel { influx: true } => "Unikernels (with metrics reported to Influx)",
            Self::Unikernel { influx: false } => "Unikernels",
            Self::Package => "Packages",
        }
    }
}

/// A package of a switch with all that the export says about it.
#[derive(Clone, Copy, Debug)]
pub struct InstalledPackage<'a> {
    /// The name.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
    /// Whether it was asked for, and not only needed by another.
    pub is_root: bool,
    /// Whether it belongs to the compiler.
    pub is_compiler: bool,
    /// Whether it was pinned.
    pub is_pinned: bool,
    /// Its opam file, if the export has it.
    pub overlay: Option<&'a Overlay>,
}

impl<'a> InstalledPackage<'a> {
    /// Where its sources came from.
    pub fn source_url(&self) -> Option<&'a str> {
        self.overlay?.source_url()
    }

    /// Where it is developed.
    pub fn dev_repo(&self) -> Option<&'a str> {
        self.overlay?.dev_repo()
    }
}

/// An export of a switch: `opam switch export --full --freeze`, of opam 2 or 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    compiler: BTreeSet<Package>,
    roots: BTreeSet<Package>,
    installed: BTreeSet<Package>,
    pinned: BTreeSet<Package>,
    overlays: BTreeMap<String, Overlay>,
}

impl Switch {
    /// Parses an export.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpamError> {
        let file = match File::parse(bytes) {
            Ok(file) => file,
            Err(error @ OpamError::TooLong { .. }) => return Err(error),
            Err(error) => return lines::parse(bytes).map(Self::from_lines).ok_or(error),
        };
        if file.items.is_empty() {
            return Err(OpamError::Empty);
        }
        let mut switch = Self::default();
        for item in file.items {
            match item {
                Item::Field(field) => match field.name.as_str() {
                    "compiler" => switch.compiler = packages(bytes, "compiler", &field.value)?,
                    "roots" => switch.roots = packages(bytes, "roots", &field.value)?,
                    "installed" => switch.installed = packages(bytes, "installed", &field.value)?,
                    "pinned" => switch.pinned = packages(bytes, "pinned", &field.value)?,
                    _ => {}
                },
                Item::Section(section) => {
                    if section.kind == "package"
                        && let Some(name) = section.name
                    {
                        switch.overlays.insert(name, Overlay::new(section.items));
                    }
                }
            }
        }
        Ok(switch)
    }

    fn from_lines(lines: Vec<Line>) -> Self {
        let mut switch = Self::default();
        for Line { package, state, is_pinned } in lines {
            if is_pinned {
                switch.pinned.insert(package.clone());
            }
            match state {
                State::Compiler => {
                    switch.compiler.insert(package.clone());
                }
                State::Root => {
                    switch.roots.insert(package.clone());
                }
                State::Installed => {}
                State::Uninstalled => continue,
            }
            switch.installed.insert(package);
        }
        switch
    }

    /// Packages of the compiler, ascending.
    pub fn compiler(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.compiler.iter()
    }

    /// Packages that were asked for, ascending.
    pub fn roots(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.roots.iter()
    }

    /// Packages that are installed, ascending.
    pub fn installed(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.installed.iter()
    }

    /// Packages that are pinned, ascending; they need not be installed.
    pub fn pinned(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.pinned.iter()
    }

    /// The opam file of a package.
    pub fn overlay(&self, name: &str) -> Option<&Overlay> {
        self.overlays.get(name)
    }

    /// Names and opam files, ascending by name.
    pub fn overlays(&self) -> impl ExactSizeIterator<Item = (&str, &Overlay)> {
        self.overlays.iter().map(|(name, overlay)| (name.as_str(), overlay))
    }

    /// The package that was asked for, if it is one alone.
    pub fn root(&self) -> Option<&Package> {
        if self.roots.len() == 1 { self.roots.first() } else { None }
    }

    /// The opam file of the package that was asked for.
    pub fn root_overlay(&self) -> Option<&Overlay> {
        self.overlay(&self.root()?.name)
    }

    /// What the switch was made for; unknown unless exactly one package was asked for.
    pub fn kind(&self) -> Option<Kind> {
        let root = self.root()?;
        let overlay = self.overlay(&root.name);
        let has_field = overlay.is_some_and(|overlay| overlay.field(UNIKERNEL_FIELD).is_some());
        if !has_field && !root.name.starts_with(UNIKERNEL_PREFIX) {
            return Some(Kind::Package);
        }
        let depends = overlay.and_then(|overlay| overlay.field("depends"));
        let influx = self.installed.iter().any(|package| package.name == METRICS_PACKAGE)
            || depends.is_some_and(|formula| formula.mentions(METRICS_DEPENDENCY));
        Some(Kind::Unikernel { influx })
    }

    /// The synopsis of the package that was asked for, without blanks around it.
    pub fn synopsis(&self) -> Option<&str> {
        self.root_overlay()?.synopsis()
    }

    /// The description of the package that was asked for, without blanks around it.
    pub fn description(&self) -> Option<&str> {
        self.root_overlay()?.description()
    }

    /// The vendored directories of the packages that were asked for; usually that is one, but several do no harm.
    pub fn duniverse(&self) -> Duniverse {
        Duniverse::of(self.roots.iter().filter_map(|root| self.overlay(&root.name)))
    }

    /// Every package that is there, ascending by name, each name once: the installed ones, and those of the compiler and
    /// those asked for even where an export does not repeat them among the installed ones.
    pub fn packages(&self) -> Vec<InstalledPackage<'_>> {
        let mut versions = BTreeMap::new();
        for package in self.compiler.iter().chain(&self.roots).chain(&self.installed) {
            versions.insert(package.name.as_str(), package.version.as_str());
        }
        let names = |packages: &'_ BTreeSet<Package>| -> BTreeSet<String> {
            packages.iter().map(|package| package.name.clone()).collect()
        };
        let (roots, compiler, pinned) = (names(&self.roots), names(&self.compiler), names(&self.pinned));
        let describe = |(name, version)| InstalledPackage {
            name,
            version,
            is_root: roots.contains(name),
            is_compiler: compiler.contains(name),
            is_pinned: pinned.contains(name),
            overlay: self.overlays.get(name),
        };
        versions.into_iter().map(describe).collect()
    }
}

/// The packages that a field of an export lists. opam writes a list of one without brackets, and some versions add to a
/// pinned package in braces or a list where it comes from.
fn packages(bytes: &[u8], field: &'static str, value: &Value) -> Result<BTreeSet<Package>, OpamError> {
    let name = |value: &Value| {
        let value = value.unconstrained();
        let first = match &value.kind {
            ValueKind::List(parts) | ValueKind::Group(parts) => parts.first().unwrap_or(value),
            ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::String(_)
            | ValueKind::Ident(_)
            | ValueKind::Option { .. }
            | ValueKind::Relation { .. }
            | ValueKind::Constraint { .. }
            | ValueKind::Logic { .. }
            | ValueKind::Prefix { .. }
            | ValueKind::Environment { .. } => value,
        };
        first.as_string().map(Package::parse).ok_or_else(|| {
            let (start, end) = (offset(value.span.start), offset(value.span.end));
            let (position, found) = (position(bytes, start), found(bytes, start, end));
            OpamError::Field { position, field, found, expected: "strings \"name.version\"" }
        })
    };
    value.elements().iter().map(name).collect()
}
