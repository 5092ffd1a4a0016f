//! Opam switches with as many packages as wanted, as `opam switch export --full --freeze` writes them, and the files
//! that lie beside them.

use super::Plan;
use super::random::number;

/// What the names of packages are made of, each with its number.
const NAMES: [&str; 10] = ["mirage", "dns", "tls", "x509", "cstruct", "lwt", "fmt", "logs", "ptime", "digestif"];
/// One in so many packages has another version from one era of a job to the next.
const CHANGED_EVERY: u64 = 7;

/// A package as it stands in a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
}

impl Package {
    pub(super) fn source(&self) -> String {
        format!("https://example.org/sources/{}-{}.tbz", self.name, self.version)
    }
}

/// The packages that the builds of one era of a job are made from, by name.
pub(super) fn packages(plan: &Plan, job: u64, era: u64) -> Vec<Package> {
    let package = |place: u64| {
        let changed = number(&[plan.seed, b'p'.into(), job, place]).is_multiple_of(CHANGED_EVERY);
        let minor = number(&[plan.seed, b'v'.into(), place]) % 5 + if changed { era } else { 0 };
        Package { name: format!("{}-{place:03}", super::pick(&NAMES, place)), version: format!("1.{minor}.0") }
    };
    let mut packages: Vec<Package> = (0..plan.packages).map(package).collect();
    // Some come and go.
    packages.retain(|package| {
        !number(&[plan.seed, b'g'.into(), job, era, package.name.len() as u64]).is_multiple_of(50)
            || !package.name.ends_with('7')
    });
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    packages
}

/// The export of a switch with these packages.
pub(super) fn export(packages: &[Package]) -> String {
    let mut text = String::from("opam-version: \"2.0\"\ncompiler: [\"ocaml-base-compiler.5.2.0\"]\n");
    let full = |package: &Package| format!("\"{}.{}\"", package.name, package.version);
    text.push_str(&format!("roots: [{}]\ninstalled: [\n", packages.first().map(full).unwrap_or_default()));
    packages.iter().for_each(|package| text.push_str(&format!("  {}\n", full(package))));
    text.push_str("]\n");
    for (place, package) in packages.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| packages.get(before));
        let depends = before.map(|before| format!("\n    \"{}\" {{>= \"1.0\" & < \"9.0\"}}", before.name));
        let Package { name, version } = package;
        text.push_str(&format!(
            "package \"{name}\" {{
  opam-version: \"2.0\"
  version: \"{version}\"
  synopsis: \"What {name} is for, in a line\"
  description: \"\"\"\\
{name} does one thing, and says in two lines what that is:
it is a package of a switch that somebody measures with.\"\"\"
  maintainer: \"A. Person <person@example.org>\"
  authors: [\"A. Person\" \"B. Person\"]
  license: \"ISC\"
  homepage: \"https://example.org/{name}\"
  bug-reports: \"https://example.org/{name}/issues\"
  depends: [\n    \"dune\" {{>= \"2.9\"}}{}\n  ]
  build: [
    [\"dune\" \"subst\"] {{dev}}
    [\"dune\" \"build\" \"-p\" name \"-j\" jobs]
    [\"dune\" \"runtest\" \"-p\" name \"-j\" jobs] {{with-test}}
  ]
  dev-repo: \"git+https://example.org/repos/{name}.git\"
  url {{
    src: \"{}\"
    checksum: \"sha256={:064x}\"
  }}
}}
",
            depends.unwrap_or_default(),
            package.source(),
            number(&[name.len() as u64, version.len() as u64, place as u64]),
        ));
    }
    text
}

/// The environment of a build, as `build-environment` has it.
pub(super) fn environment(era: u64) -> String {
    let line = |place: u64| format!("VARIABLE_{place}=value {}\n", if place == 3 { era } else { place });
    std::iter::once("PATH=/usr/bin:/bin\n".to_owned()).chain((0..20).map(line)).collect()
}

/// The packages of the system, as `system-packages` has them on Debian.
pub(super) fn system_packages(era: u64) -> Vec<Package> {
    let version = |place: u64| format!("{}.{}-1", place % 9, if place.is_multiple_of(10) { era } else { place % 5 });
    (0..120).map(|place| Package { name: format!("lib{place:03}"), version: version(place) }).collect()
}

/// [`system_packages`] as the file has them.
pub(super) fn system_text(packages: &[Package]) -> String {
    packages.iter().map(|package| format!("{}={}\n", package.name, package.version)).collect()
}
