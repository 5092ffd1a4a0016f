//! What a root file system is made of, and the command that makes it.

use crate::error::Error;
use crate::make::in_path;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How many packages may be named.
const PACKAGES_MAX: usize = 1000;
/// Length of a snapshot's time, such as 20260131T120000Z, in bytes.
const SNAPSHOT_BYTES: usize = 16;

/// Whose packages are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl Distribution {
    /// Where its packages come from.
    fn mirror(self) -> &'static str {
        match self {
            Self::Debian => "http://deb.debian.org/debian",
            Self::Ubuntu => "http://archive.ubuntu.com/ubuntu",
        }
    }

    /// Where its packages of an earlier day come from.
    fn snapshots(self) -> &'static str {
        match self {
            Self::Debian => "http://snapshot.debian.org/archive/debian",
            Self::Ubuntu => "http://snapshot.ubuntu.com/ubuntu",
        }
    }

    /// What the archive of a suite adds to the address of the archive: Debian keeps its security updates apart.
    fn archive_suffix(self, suite: &str) -> &'static str {
        match self {
            Self::Debian if suite.ends_with("-security") => "-security",
            Self::Debian | Self::Ubuntu => "",
        }
    }

    /// The parts of the archive that a system of it has when it is installed.
    fn components(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["main"],
            Self::Ubuntu => &["main", "universe"],
        }
    }

    /// The script of debootstrap for its suites, all of which are links to this one: for a suite that is younger than
    /// the debootstrap of this host.
    pub(crate) fn script(self) -> &'static str {
        match self {
            Self::Debian => "sid",
            Self::Ubuntu => "gutsy",
        }
    }

    /// The package that has its keys.
    pub(crate) fn keyring_package(self) -> &'static str {
        match self {
            Self::Debian => "debian-archive-keyring",
            Self::Ubuntu => "ubuntu-keyring",
        }
    }

    /// The keys that its packages are signed with, as Debian and Ubuntu install them.
    fn keyring(self) -> &'static str {
        match self {
            Self::Debian => "/usr/share/keyrings/debian-archive-keyring.gpg",
            Self::Ubuntu => "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        })
    }
}

/// A moment of a distribution's archive, such as `20260131T120000Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Snapshot(String);

impl FromStr for Snapshot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let whole = if text.len() == "20260131".len() { format!("{text}T000000Z") } else { text.to_owned() };
        let is_right = whole.len() == SNAPSHOT_BYTES
            && whole.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if is_right {
            return Ok(Self(whole));
        }
        let wrong = format!("{text:?} is no time of a snapshot\nhint: write 20260131 or 20260131T120000Z");
        Err(Error::argument(wrong))
    }
}

impl TryFrom<String> for Snapshot {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Snapshot> for String {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.0
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Debian's mmdebstrap: quick.
    Mmdebstrap,
    /// Debian's debootstrap: everywhere.
    Debootstrap,
}

impl Tool {
    /// The name of the program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Mmdebstrap => "mmdebstrap",
            Self::Debootstrap => "debootstrap",
        }
    }

    /// The quicker one of those that are installed here.
    pub fn of_this_host() -> Self {
        if in_path(Self::Mmdebstrap.program()).is_some() { Self::Mmdebstrap } else { Self::Debootstrap }
    }
}

impl FromStr for Tool {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "mmdebstrap" => Ok(Self::Mmdebstrap),
            "debootstrap" => Ok(Self::Debootstrap),
            _ => Err(Error::argument(format_args!("{text:?} is neither mmdebstrap nor debootstrap"))),
        }
    }
}

/// What a root file system is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// Whose packages.
    pub distribution: Distribution,
    /// Of which suite, such as `bookworm`.
    pub suite: String,
    /// Of which further suites, such as `bookworm-updates`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Of which parts of the archive, unless of those that the distribution installs from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// As they were at this moment; without one, as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// From where, unless from where that distribution has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// For which architecture, unless for this machine's, in the distribution's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Which packages, besides the smallest set that works.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Signed by these keys, unless by the distribution's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
    /// By which program.
    pub tool: Tool,
}

impl Recipe {
    /// The smallest set that works of a suite, as it is today, for this machine.
    pub fn new(distribution: Distribution, suite: &str, tool: Tool) -> Self {
        Self {
            distribution,
            suite: suite.to_owned(),
            also: Vec::new(),
            components: Vec::new(),
            snapshot: None,
            mirror: None,
            architecture: None,
            packages: Vec::new(),
            keyring: None,
            tool,
        }
    }

    /// Refuses what would reach a command line as something else than it is.
    ///
    /// # Errors
    ///
    /// Names with other letters than such names have, too many packages, a mirror that is no URL.
    pub fn check(&self) -> Result<(), Error> {
        word("suite", &self.suite)?;
        if let Some(architecture) = &self.architecture {
            word("architecture", architecture)?;
        }
        if self.packages.len() > PACKAGES_MAX {
            let count = self.packages.len();
            return Err(Error::argument(format_args!(
                "{count} packages are named, at most {PACKAGES_MAX} are allowed"
            )));
        }
        let named = [("package", &self.packages), ("suite", &self.also), ("component", &self.components)];
        for (what, names) in named {
            names.iter().try_for_each(|name| word(what, name))?;
        }
        if !self.also.is_empty() && self.tool == Tool::Debootstrap {
            let wrong = "debootstrap takes the packages of one suite, and of further ones what that one lacks\n\
                         hint: apt-get install mmdebstrap, which takes the newest of all";
            return Err(Error::argument(wrong));
        }
        let known = ["http://", "https://", "file:///"];
        match &self.mirror {
            Some(mirror) if !known.iter().any(|scheme| mirror.starts_with(scheme)) || mirror.contains(['\n', ' ']) => {
                let wrong = format!("the mirror {mirror:?} is no URL of http, https or file");
                Err(Error::argument(wrong))
            }
            Some(_) if self.snapshot.is_some() => {
                let wrong = "a snapshot is of the distribution's own archive of snapshots\n\
                             hint: name either --snapshot, or a --mirror that does not change";
                Err(Error::argument(wrong))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Where the packages come from.
    pub fn source(&self) -> String {
        self.source_of(&self.suite)
    }

    fn source_of(&self, suite: &str) -> String {
        let suffix = self.distribution.archive_suffix(suite);
        match (&self.snapshot, &self.mirror) {
            (Some(snapshot), _) => format!("{}{suffix}/{snapshot}", self.distribution.snapshots()),
            (None, Some(mirror)) => mirror.clone(),
            (None, None) => format!("{}{suffix}", self.distribution.mirror()),
        }
    }

    /// The parts of the archive.
    fn components(&self) -> Vec<&str> {
        match self.components.as_slice() {
            [] => self.distribution.components().to_vec(),
            named => named.iter().map(String::as_str).collect(),
        }
    }

    /// The lines by which the packages inside are updated from where they came, one for each suite.
    pub(crate) fn sources_list(&self) -> String {
        // What signs a snapshot has run out by the time that it is asked.
        let options = if self.snapshot.is_some() { "[check-valid-until=no] " } else { "" };
        let components = self.components().join(" ");
        let line = |suite: &String| format!("deb {options}{} {suite} {components}\n", self.source_of(suite));
        std::iter::once(&self.suite).chain(&self.also).map(line).collect()
    }

    /// The file of the keys.
    pub(crate) fn keyring(&self) -> &str {
        self.keyring.as_deref().unwrap_or_else(|| self.distribution.keyring())
    }

    /// The command that makes it; with debootstrap by this script of it, unless by that of the suite.
    pub(crate) fn command(&self, root: &Path, script: Option<&str>) -> Vec<String> {
        let root = root.display().to_string();
        let mut words = vec![self.tool.program().to_owned(), "--variant=minbase".to_owned()];
        words.push(format!("--keyring={}", self.keyring()));
        words.push(format!("--components={}", self.components().join(",")));
        if let Some(architecture) = &self.architecture {
            words.push(format!("--arch={architecture}"));
        }
        if !self.packages.is_empty() {
            words.push(format!("--include={}", self.packages.join(",")));
        }
        match self.tool {
            Tool::Debootstrap => {}
            Tool::Mmdebstrap => {
                words.extend(["--mode=root", "--format=directory"].map(str::to_owned));
                if self.snapshot.is_some() {
                    words.push("--aptopt=Acquire::Check-Valid-Until \"false\"".to_owned());
                }
            }
        }
        words.extend([self.suite.clone(), root]);
        match self.tool {
            Tool::Debootstrap => {
                words.push(self.source());
                words.extend(script.map(str::to_owned));
            }
            // A line for each suite; their keys are named once for all.
            Tool::Mmdebstrap => words.extend(self.sources_list().lines().map(str::to_owned)),
        }
        words
    }
}

fn word(what: &str, text: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-:".contains(&byte);
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(allowed) {
        return Err(Error::argument(format_args!("the {what} {text:?} may only have ASCII letters, digits and ._+-:")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let packages = vec!["build-essential".to_owned(), "git".to_owned()];
        Recipe { packages, ..Recipe::new(Distribution::Debian, "bookworm", Tool::Debootstrap) }
    }

    #[test]
    fn commands_of_both_tools() {
        let root = Path::new("/r");
        let keyring = "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg --components=main";
        assert_eq!(
            recipe().command(root, None).join(" "),
            format!(
                "debootstrap --variant=minbase {keyring} --include=build-essential,git bookworm /r http://deb.debian.org/debian"
            )
        );
        let pinned = Recipe { snapshot: Some("20260131".parse().unwrap()), tool: Tool::Mmdebstrap, ..recipe() };
        assert_eq!(
            pinned.command(root, None).join(" "),
            format!(
                "mmdebstrap --variant=minbase {keyring} --include=build-essential,git --mode=root --format=directory \
                 --aptopt=Acquire::Check-Valid-Until \"false\" bookworm /r \
                 deb [check-valid-until=no] http://snapshot.debian.org/archive/debian/20260131T000000Z bookworm main"
            )
        );
    }

    #[test]
    fn ubuntu_is_made_by_a_debootstrap_that_does_not_know_the_suite() {
        let recipe = Recipe::new(Distribution::Ubuntu, "noble", Tool::Debootstrap);
        assert_eq!(
            recipe.command(Path::new("/r"), Some(recipe.distribution.script())).join(" "),
            "debootstrap --variant=minbase --keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg \
             --components=main,universe noble /r http://archive.ubuntu.com/ubuntu gutsy"
        );
        let few = Recipe { components: vec!["main".to_owned()], ..recipe };
        assert_eq!(few.sources_list(), "deb http://archive.ubuntu.com/ubuntu noble main\n");
    }

    #[test]
    fn further_suites_come_from_where_they_are() {
        let also = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let debian =
            Recipe { also: also(["bookworm-updates", "bookworm-security"]), tool: Tool::Mmdebstrap, ..recipe() };
        assert_eq!(
            debian.sources_list(),
            "deb http://deb.debian.org/debian bookworm main\n\
             deb http://deb.debian.org/debian bookworm-updates main\n\
             deb http://deb.debian.org/debian-security bookworm-security main\n"
        );
        let pinned = Recipe { snapshot: Some("20260131".parse().unwrap()), ..debian.clone() };
        let last = "debian-security/20260131T000000Z bookworm-security main\n";
        assert!(pinned.sources_list().ends_with(last), "{}", pinned.sources_list());
        let words = debian.command(Path::new("/r"), None);
        assert_eq!(words.last().unwrap(), "deb http://deb.debian.org/debian-security bookworm-security main");
        let ubuntu =
            Recipe { distribution: Distribution::Ubuntu, also: also(["noble-updates", "noble-security"]), ..debian };
        let last = "deb http://archive.ubuntu.com/ubuntu noble-security main universe\n";
        assert!(ubuntu.sources_list().ends_with(last), "{}", ubuntu.sources_list());
        assert!(Recipe { tool: Tool::Debootstrap, ..ubuntu }.check().unwrap_err().to_string().contains("hint:"));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        assert!(recipe().check().is_ok());
        for wrong in [
            Recipe { suite: "-oops".to_owned(), ..recipe() },
            Recipe { suite: String::new(), ..recipe() },
            Recipe { packages: vec!["a,b".to_owned()], ..recipe() },
            Recipe { components: vec!["main universe".to_owned()], ..recipe() },
            Recipe { also: vec!["-x".to_owned()], tool: Tool::Mmdebstrap, ..recipe() },
            Recipe { packages: vec!["a".to_owned(); PACKAGES_MAX + 1], ..recipe() },
            Recipe { architecture: Some("amd64 x".to_owned()), ..recipe() },
            Recipe { mirror: Some("deb.debian.org".to_owned()), ..recipe() },
            Recipe { mirror: Some("http://x".to_owned()), snapshot: Some("20260131".parse().unwrap()), ..recipe() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        for wrong in ["", "2026", "20260131T1200", "20260131 120000Z", "2026013100000000"] {
            assert!(wrong.parse::<Snapshot>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_recipe_survives_its_file() {
        let whole = Recipe {
            snapshot: Some("20260131T010203Z".parse().unwrap()),
            architecture: Some("arm64".to_owned()),
            ..recipe()
        };
        for recipe in [recipe(), whole] {
            let text = toml::to_string(&recipe).unwrap();
            assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe, "{text}");
        }
    }
}
