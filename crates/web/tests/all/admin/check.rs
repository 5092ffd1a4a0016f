//! Faults that are found, and those that are mended.

use super::support::{Build, Data, GOOD};
use builder_web::Depot;
use serde_json::Value;
use std::fs;

/// The kinds and places of what `check` finds, in order; whether all of it was repaired.
fn check(data: &Data, arguments: &[&str]) -> (Vec<String>, i32) {
    let ended = data.run(&[&["--format", "json"], arguments].concat());
    let json: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    let text = |finding: &Value| {
        let repaired = if finding["repaired"] == true { " (repaired)" } else { "" };
        format!("{} {}{repaired}", finding["kind"].as_str().unwrap(), finding["at"].as_str().unwrap())
    };
    let mut found: Vec<String> = json["findings"].as_array().unwrap().iter().map(text).collect();
    found.sort();
    (found, ended.status)
}

fn at(data: &Data, content: &str) -> String {
    data.artifact(content).strip_prefix(data.path()).unwrap().display().to_string()
}

#[test]
fn a_sound_folder_has_no_faults() {
    let data = Data::new();
    let says = "0 builds and 0 artifacts read, 0 B: all is well\n";
    assert_eq!(data.ok(&["check"]), says);
    data.add(GOOD);
    data.add(Build { artifacts: &[("doc", "binary"), ("empty", "")], result: 1, ..GOOD });
    assert_eq!(data.ok(&["check"]), "2 builds and 2 artifacts read, 6 B: all is well\n");
    assert_eq!(data.ok(&["check", "--quiet"]), "");
    assert_eq!(data.ok(&["verify-data-dir"]), "2 builds and 2 artifacts read, 6 B: all is well\n");
}

#[test]
fn every_fault_of_a_file_is_found_and_orphans_go() {
    let data = Data::new();
    let artifacts = [("bin/a", "missing"), ("b", "longer"), ("c", "changed"), ("d", "sound")];
    let uuid = data.add(Build { artifacts: &artifacts, ..GOOD });
    let note = "INSERT INTO repository_build(build, console_lines, console_bytes, console_index, artifact_count,
                artifact_bytes, notes) VALUES (1, 1, 1, x'', 4, 1, 'opam-switch: no roots')";
    data.connection().execute(note, []).unwrap();
    fs::remove_file(data.artifact("missing")).unwrap();
    fs::write(data.artifact("longer"), "longer!").unwrap();
    fs::write(data.artifact("changed"), "CHANGED").unwrap();
    fs::remove_file(data.file("hello").join(&uuid).join("script.txt")).unwrap();
    fs::write(data.file("hello").join(&uuid).join("strange"), "").unwrap();
    let orphan = data.artifact("orphan");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "orphan").unwrap();
    fs::write(orphan.with_extension("tmp"), "").unwrap();
    for folder in ["hello/00112233-4455-6677-8899-aabbccddeeff", "hello/notes", "_staging/x.1/deep", ".snapshots"] {
        fs::create_dir_all(data.file(folder)).unwrap();
    }
    fs::write(data.file("README"), "").unwrap();

    let files = [
        format!("artifact-damaged {}", at(&data, "changed")),
        format!("artifact-damaged {}", at(&data, "longer")),
        format!("artifact-missing {}", at(&data, "missing")),
        format!("artifact-orphan {}", at(&data, "orphan")),
        format!("build-file-missing hello/{uuid}/script.txt"),
        "folder-orphan hello/00112233-4455-6677-8899-aabbccddeeff".to_owned(),
        "untracked README".to_owned(),
        format!("untracked {}.tmp", at(&data, "orphan")),
        format!("untracked hello/{uuid}/strange"),
        "untracked hello/notes".to_owned(),
    ];
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let mut all = files.to_vec();
    assert_eq!(check(&data, &["verify-data-dir"]), (sorted(all.clone()), 1));
    all.push("staging-stale _staging/x.1".to_owned());
    assert_eq!(check(&data, &["check"]), (sorted(all.clone()), 1));
    assert!(orphan.exists() && data.file("_staging/x.1").exists(), "looking changes nothing");
    let text = data.run(&["check"]).out;
    let line = format!("artifact-missing: {}: there is no such file; bin/a of hello/{uuid}\n", at(&data, "missing"));
    assert!(text.contains(&line) && text.ends_with(": 11 faults\n"), "{text}");

    let repaired = |fault: String| {
        let mended = ["orphan ", "stale "].iter().any(|kind| fault.contains(kind));
        if mended { format!("{fault} (repaired)") } else { fault }
    };
    assert_eq!(check(&data, &["check", "--repair"]), (sorted(all.into_iter().map(repaired).collect()), 1));
    assert!(!orphan.exists() && !data.file("_staging/x.1").exists() && data.file("README").exists());
    assert!(data.artifact("sound").exists() && !data.artifact("changed").exists(), "nobody is served a damaged one");
    let aside = data.file("_damaged").join(data.artifact("changed").file_name().unwrap());
    assert_eq!(fs::read_to_string(aside).unwrap(), "CHANGED");
    let notes = || data.connection().query_row("SELECT notes FROM repository_build", [], |row| row.get::<_, String>(0));
    assert_eq!(notes().unwrap(), "opam-switch: no roots");
    let marked = |what: &str| data.count(&format!("SELECT count(*) FROM repository_damage WHERE what = '{what}'"));
    assert_eq!((marked("missing"), marked("damaged")), (1, 2));

    // What comes back is no longer marked.
    for content in ["missing", "longer", "changed"] {
        fs::write(data.artifact(content), content).unwrap();
    }
    data.run(&["check", "--repair"]);
    assert_eq!(data.count("SELECT count(*) FROM repository_damage"), 0);
}

#[test]
fn rows_that_name_nothing_are_found_and_ours_go() {
    let data = Data::new();
    data.add(GOOD);
    let connection = data.connection();
    connection
        .execute_batch(
            "PRAGMA foreign_keys = off;
             INSERT INTO repository_pin VALUES (99, 'gone', 0);
             INSERT INTO repository_token(user, name, sha256, created) VALUES (99, 'gone', x'00', 0);
             INSERT INTO repository_binary(sha256) VALUES (x'00');
             INSERT INTO repository_inventory VALUES (1, x'00', 'opam', NULL);
             INSERT INTO repository_package VALUES (1, 'fmt', '1', 0, 0, NULL);
             INSERT INTO access_list(user, job) VALUES (99, 1);
             UPDATE build_artifact SET sha256 = x'0102' WHERE id = 1;",
        )
        .unwrap();
    fs::remove_file(data.artifact("binary")).unwrap();
    let own = ["binary", "inventory", "pin", "token"].map(|name| format!("row-dangling repository_{name}"));
    let (found, status) = check(&data, &["check"]);
    let mut expected = vec!["row-dangling access_list".to_owned()];
    expected.extend(own.iter().cloned());
    expected.push("row-invalid build_artifact".to_owned());
    assert_eq!((found, status), (expected, 1));
    let (found, status) = check(&data, &["check", "--repair"]);
    assert_eq!((found.len(), status), (6, 1), "{found:?}");
    let text = data.run(&["check"]);
    assert!(
        text.out.ends_with(": 1 fault\n") && text.err.contains("a row without a SHA-256 goes with its build"),
        "{text:?}"
    );
    let (found, status) = check(&data, &["check"]);
    assert_eq!((found, status), (vec!["row-invalid build_artifact".to_owned()], 1));
    assert_eq!(data.count("SELECT count(*) FROM repository_package"), 0);
}

#[test]
fn rows_of_the_original_are_mended_where_nothing_is_lost() {
    let data = Data::new();
    let artifacts = [("bin/hello", "binary"), ("doc", "shared")];
    data.add(Build { artifacts: &artifacts, ..GOOD });
    data.add(Build { artifacts: &[("doc", "shared")], ..GOOD });
    data.connection()
        .execute_batch(
            "PRAGMA foreign_keys = off;
             INSERT INTO tag VALUES (1, 'section');
             INSERT INTO job_tag(tag, value, job) VALUES (1, 'x', 99);
             INSERT INTO access_list(user, job) VALUES (1, 99);
             INSERT INTO build_artifact(filepath, sha256, size, build) SELECT 'gone', sha256, size, 99 FROM build_artifact WHERE id = 1;
             UPDATE build SET main_binary = 99 WHERE id = 1;
             UPDATE build_artifact SET size = 7 WHERE filepath = 'doc' AND build = 2;",
        )
        .unwrap();
    let faults = ["access_list", "build", "build_artifact", "job_tag"].map(|table| format!("row-dangling {table}"));
    let all = [&faults[..], &["row-invalid build_artifact".to_owned()]].concat();
    assert_eq!(check(&data, &["check"]), (all.clone(), 1));
    let repaired: Vec<String> = all.iter().map(|fault| format!("{fault} (repaired)")).collect();
    assert_eq!(check(&data, &["check", "--repair"]), (repaired, 0));
    assert_eq!(data.ok(&["check"]), "2 builds and 2 artifacts read, 12 B: all is well\n");
    assert_eq!(data.count("SELECT count(*) FROM build_artifact WHERE filepath = 'doc' AND size = 6"), 2);

    // Whose build it is nobody can tell.
    data.connection().execute_batch("PRAGMA foreign_keys = off; UPDATE build SET user = 99 WHERE id = 2").unwrap();
    let ended = data.run(&["check", "--repair"]);
    assert!(ended.status == 1 && ended.err.contains("come back with the database of a backup"), "{ended:?}");
    assert_eq!(data.count("SELECT count(*) FROM build"), 2);
}

#[test]
fn when_all_is_repaired_all_is_well() {
    let data = Data::new();
    fs::create_dir(data.file("_staging/x.1")).unwrap();
    let ended = data.run(&["check", "--repair"]);
    assert!(ended.status == 0 && ended.out.ends_with("1 fault, all repaired\n"), "{ended:?}");
}

/// Waits until a process waits for a lock on a file, as the kernel lists it.
#[cfg(target_os = "linux")]
fn wait_for_lock(process: u32) {
    let waits = format!(" {process} ");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains("->") && line.contains(&waits)) {
        assert!(std::time::Instant::now() < until, "it waits for no lock");
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_an_upload_heals_meanwhile_is_not_set_aside() {
    let data = Data::new();
    data.add(Build { artifacts: &[("bin/a", "damaged"), ("b", "missing")], ..GOOD });
    fs::write(data.artifact("damaged"), "DAMAGED").unwrap();
    let sharing = Depot::open(data.path()).unwrap().lock_sharing().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_builder-db"));
    command.args(["check", "--repair", "--datadir"]).arg(data.path());
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // It has seen the damage, and an upload brings the content again before it comes to its turn.
    wait_for_lock(child.id());
    fs::write(data.artifact("damaged"), "damaged").unwrap();
    drop(sharing);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(fs::read_to_string(data.artifact("damaged")).unwrap(), "damaged");
}

#[test]
fn visualizations_go_with_an_artifact_that_a_crash_left() {
    let data = Data::new();
    let (orphan, kept) = (data.artifact("orphan"), data.artifact("kept"));
    data.add(Build { artifacts: &[("bin/a", "kept")], ..GOOD });
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "orphan").unwrap();
    let cache = data.file("_cache/treemap_1");
    fs::create_dir_all(&cache).unwrap();
    let page = |of: &std::path::Path| cache.join(of.file_name().unwrap()).with_extension("html");
    [&orphan, &kept].iter().for_each(|of| fs::write(page(of), "<html>").unwrap());
    let (found, status) = check(&data, &["check", "--repair"]);
    assert_eq!((found, status), (vec![format!("artifact-orphan {} (repaired)", at(&data, "orphan"))], 0));
    assert!(!page(&orphan).exists() && page(&kept).exists());
}

#[test]
fn uploads_of_a_running_server_are_its_own() {
    let data = Data::new();
    fs::create_dir(data.file("_staging/x.1")).unwrap();
    let server = Depot::open(data.path()).unwrap().lock_server().unwrap();
    let ended = data.run(&["check", "--repair"]);
    assert!(ended.status == 0 && ended.err.contains("builder-web runs"), "{ended:?}");
    assert!(data.file("_staging/x.1").exists());
    drop(server);
}

#[test]
fn inputs_with_two_outputs_are_found() {
    let data = Data::new();
    for content in ["one", "one", "two"] {
        data.add(Build { artifacts: &[("bin/hello", content)], ..GOOD });
    }
    assert_eq!(data.ok(&["verify-input-id"]), "0 inputs with different outputs\n", "without an input nothing matches");
    let input = |builds: &str| {
        let sql = format!("UPDATE build SET input_id = zeroblob(32) WHERE id IN ({builds})");
        data.connection().execute(&sql, []).unwrap();
    };
    input("1, 2");
    assert_eq!(data.ok(&["verify-input-id"]), "0 inputs with different outputs\n");
    input("3");
    let ended = data.run(&["verify-input-id"]);
    assert!(ended.status == 1 && ended.out.ends_with("\n1 input with different outputs\n"), "{ended:?}");
    assert_eq!(ended.out.matches(&"0".repeat(64)).count(), 3, "{ended:?}");
    let ended = data.run(&["verify-input-id", "--format", "json"]);
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.status, json["inputs"][0]["builds"].as_array().unwrap().len()), (1, 3));
}

#[test]
fn visualizations_are_looked_for_in_the_newest_folders() {
    let data = Data::new();
    assert_eq!(data.ok(&["verify-cache-dir"]), "0 faults\n", "nothing to show, nothing missing");
    let artifacts = [("bin/hello", "x"), ("opam-switch", "switch"), ("hello.debug", "debug")];
    let uuid = data.add(Build { artifacts: &artifacts, ..GOOD });
    data.add(Build { artifacts: &[("opam-switch", "failed")], result: 1, ..GOOD });
    let missing = data.run(&["verify-cache-dir"]);
    assert!(missing.status == 1 && missing.out.matches("there is no folder").count() == 2, "{missing:?}");
    for folder in ["dependencies_9", "dependencies_10", "treemap_2", "treemap_x", "treemap_02"] {
        fs::create_dir_all(data.file("_cache").join(folder)).unwrap();
    }
    let page = |folder: &str, content: &str| {
        let name = format!("{}.html", data.artifact(content).file_name().unwrap().to_str().unwrap());
        data.file("_cache").join(folder).join(name)
    };
    fs::write(page("dependencies_9", "switch"), "<svg>").unwrap();
    fs::write(page("treemap_2", "debug"), "").unwrap();
    fs::write(data.file("_cache/treemap_2/.done"), "").unwrap();
    let ended = data.run(&["verify-cache-dir"]);
    let name = |content: &str| page("", content).file_name().unwrap().to_str().unwrap().to_owned();
    let expected = format!(
        "\"treemap_02\" is neither treemap_VERSION nor dependencies_VERSION\n\
         \"treemap_x\" is neither treemap_VERSION nor dependencies_VERSION\n\
         dependencies_10 is not complete: it has no .done\n\
         dependencies_10/{} of hello/{uuid} is missing\n\
         treemap_2/{} of hello/{uuid} is empty\n\
         5 faults\n",
        name("switch"),
        name("debug"),
    );
    assert_eq!((ended.out.as_str(), ended.status), (expected.as_str(), 1));
}
