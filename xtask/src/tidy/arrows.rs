//! Crates point downwards: what each may know stands in a table of ARCHITECTURE.md, and nowhere else.

use super::Finding;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The first cells of the table's header.
const TABLE: &str = "| crate | may know | async |";
/// The runtime and what brings it along: only for rooms that wait on many sockets.
const ASYNC: [&str; 4] = ["tokio", "axum", "hyper", "async-std"];
/// The room whose helpers every other room may use in its tests, and only there.
const TESTKIT: &str = "testkit";

/// A package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name without `builder-`.
    room: String,
    /// The path of its Cargo.toml, relative to the workspace.
    manifest: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    only_in_tests: bool,
    /// Its line in the manifest.
    line: usize,
}

/// A row of the table.
struct Row {
    line: usize,
    /// None for a room that may know all.
    may_know: Option<Vec<String>>,
    may_async: bool,
}

impl Row {
    fn allows(&self, room: &str) -> bool {
        self.may_know.as_ref().is_none_or(|rooms| rooms.iter().any(|known| known == room))
    }
}

fn room(name: &str) -> String {
    name.strip_prefix("builder-").unwrap_or(name).to_owned()
}

/// The packages in the output of `cargo metadata --no-deps`; none when it has another shape.
pub(super) fn packages(metadata: &Value) -> Option<Vec<Package>> {
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array()? {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        // A manifest that cannot be read has no lines to point at; cargo has just read it.
        let text = std::fs::read_to_string(manifest).unwrap_or_default();
        let workspace = Path::new(metadata["workspace_root"].as_str()?);
        let mut dependencies = Vec::new();
        for dependency in package["dependencies"].as_array()? {
            let name = dependency["name"].as_str()?.to_owned();
            let line = text.lines().position(|line| line.starts_with(&name)).map_or(1, |index| index + 1);
            dependencies.push(Dependency { name, only_in_tests: dependency["kind"].as_str() == Some("dev"), line });
        }
        let manifest = manifest.strip_prefix(workspace).unwrap_or(manifest).to_str()?.to_owned();
        packages.push(Package { room: room(package["name"].as_str()?), manifest, dependencies });
    }
    Some(packages)
}

pub(super) fn check(path: &str, plan: &str, packages: &[Package]) -> Vec<Finding> {
    let rows = table(plan);
    if rows.is_empty() {
        return vec![Finding::new(path, 1, format!("no table that begins with `{TABLE}`; write it"))];
    }
    let mut findings = Vec::new();
    for package in packages {
        let Some(row) = rows.get(&package.room) else {
            let what = format!("{} has no row in the table of {path}; add one, with its reason", package.room);
            findings.push(Finding::new(&package.manifest, 1, what));
            continue;
        };
        for dependency in &package.dependencies {
            let known = packages.iter().any(|package| package.room == room(&dependency.name));
            if !known && !plan.contains(&format!("`{}`", dependency.name)) {
                let what = format!("{} is not named in {path}; say there what it saves us", dependency.name);
                findings.push(Finding::new(&package.manifest, dependency.line, what));
            }
            if let Some(what) = fault(package, row, dependency, packages) {
                let what = format!("{what} (see {path}:{})", row.line);
                findings.push(Finding::new(&package.manifest, dependency.line, what));
            }
        }
    }
    findings
}

fn fault(package: &Package, row: &Row, dependency: &Dependency, packages: &[Package]) -> Option<String> {
    let from = &package.room;
    let to = room(&dependency.name);
    if dependency.only_in_tests && to == TESTKIT {
        return None;
    }
    if packages.iter().any(|package| package.room == to) {
        if to == TESTKIT {
            return Some(format!("{from} uses testkit outside of its tests; make it a dev-dependency"));
        }
        let what = format!("{from} may not know {to}; move the code, or change the plan with a reason");
        return (!row.allows(&to)).then_some(what);
    }
    let runs_async = ASYNC.iter().any(|name| dependency.name.starts_with(name));
    let wrong = runs_async && !row.may_async && !dependency.only_in_tests;
    wrong.then(|| format!("{from} may not use {}; an async runtime is for rooms that wait on sockets", dependency.name))
}

fn table(plan: &str) -> BTreeMap<String, Row> {
    let lines = plan.lines().enumerate().skip_while(|(_, line)| !line.starts_with(TABLE)).skip(2);
    let mut rows = BTreeMap::new();
    for (index, line) in lines.take_while(|(_, line)| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, may_know, may_async, ..] = cells.as_slice() else { continue };
        let may_know = match *may_know {
            "all" => None,
            "nothing" => Some(Vec::new()),
            rooms => Some(rooms.split(',').map(|room| room.trim().to_owned()).collect()),
        };
        rows.insert((*name).to_owned(), Row { line: index + 1, may_know, may_async: *may_async == "yes" });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::root;
    use super::*;

    const PLAN: &str = "\
# Plan

| crate | may know | async | why |
|---|---|---|---|
| `model` | nothing | no | |
| `wire` | model | no | |
| `server` | model, wire | yes | |
| `testkit` | all | yes | |

`jiff`, `tokio`, `tokio-util`
";

    fn package(room: &str, dependencies: &[(&str, bool)]) -> Package {
        let dependency = |(index, (name, only_in_tests)): (usize, &(&str, bool))| Dependency {
            name: (*name).to_owned(),
            only_in_tests: *only_in_tests,
            line: index + 1,
        };
        Package {
            room: room.to_owned(),
            manifest: format!("crates/{room}/Cargo.toml"),
            dependencies: dependencies.iter().enumerate().map(dependency).collect(),
        }
    }

    fn found(model: &[(&str, bool)], wire: &[(&str, bool)]) -> Vec<String> {
        let packages = [
            package("model", model),
            package("wire", wire),
            package("server", &[("builder-wire", false), ("tokio", false)]),
            package("testkit", &[("builder-server", false), ("builder-wire", false)]),
        ];
        check("PLAN.md", PLAN, &packages).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_of_the_plan_pass() {
        assert_eq!(found(&[("jiff", false)], &[("builder-model", false), ("builder-testkit", true)]), [""; 0]);
        assert_eq!(found(&[], &[("tokio", true)]), [""; 0]);
    }

    #[test]
    fn every_other_arrow_is_found() {
        let findings = found(&[("jiff", false), ("builder-wire", false)], &[("builder-server", true)]);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("crates/model/Cargo.toml:2: model may not know wire;"), "{findings:?}");
        assert!(findings[1].ends_with("(see PLAN.md:6)"), "{findings:?}");
        assert!(found(&[("builder-testkit", false)], &[])[0].contains("make it a dev-dependency"));
        assert!(found(&[("leftpad", true)], &[])[0].contains("leftpad is not named in PLAN.md"));
        assert!(found(&[("tokio-util", false)], &[])[0].contains("model may not use tokio-util"));
    }

    #[test]
    fn a_crate_or_a_table_that_is_missing_is_found() {
        let stranger = check("PLAN.md", PLAN, &[package("stranger", &[])]);
        assert!(stranger[0].to_string().starts_with("crates/stranger/Cargo.toml:1: stranger has no row"));
        assert!(check("PLAN.md", "# Plan\n", &[])[0].to_string().contains("no table"));
    }

    #[test]
    fn the_shape_of_the_metadata_is_known() {
        let manifest = root().join("xtask/Cargo.toml");
        let metadata = serde_json::json!({
            "workspace_root": root(),
            "packages": [{
                "name": "builder-wire",
                "manifest_path": manifest,
                "dependencies": [{ "name": "anyhow", "kind": null }, { "name": "builder-testkit", "kind": "dev" }],
            }],
        });
        let packages = packages(&metadata).unwrap();
        assert_eq!((packages[0].room.as_str(), packages[0].manifest.as_str()), ("wire", "xtask/Cargo.toml"));
        assert!(!packages[0].dependencies[0].only_in_tests && packages[0].dependencies[1].only_in_tests);
        assert!(packages[0].dependencies[0].line > 1);
    }
}
