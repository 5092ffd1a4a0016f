//! The pages of the docs that name tests name tests that exist, and the numbers that they name are those of the limits.

use builder_web::limits;
use std::path::Path;

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_known_defect_has_the_test_that_the_docs_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut code = String::new();
    sources(&root.join("crates"), &mut code);
    let page = std::fs::read_to_string(root.join("docs/repository.md")).unwrap();
    let (_, table) = page.split_once("## Known defects of the original").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).collect();
    assert_eq!(rows.len(), 53);
    let exists = |test: &str| code.contains(&format!("fn {test}("));
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests = cell.split('`').skip(1).step_by(2).collect::<Vec<_>>();
        assert!(!tests.is_empty() || cell == "–", "{row}");
        for test in tests {
            assert!(exists(test), "{test} is no test: {row}");
        }
    }
    let (_, checks) = table.split_once("### What a drop-in successor must show").unwrap();
    assert_eq!(checks.lines().filter(|line| line.starts_with("- ")).count(), 10);
    let (mut count, words) = (0, checks.split('`').skip(1).step_by(2));
    for test in words.filter(|word| word.bytes().filter(|byte| *byte == b'_').count() > 2) {
        assert!(exists(test), "{test} is no test");
        count += 1;
    }
    assert!(count >= 10);
}

#[test]
fn limits_are_the_numbers_that_the_docs_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/repository.md")).unwrap();
    let parameters = |address: &str| {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{address}` |")) && line.contains("`count`"));
        row.unwrap_or_else(|| panic!("no row of {address} tells of count")).split(" | ").nth(1).unwrap().to_owned()
    };
    let grouped = |number: u32| {
        if number < 10_000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
    };
    for (address, usual, most) in [
        ("/", limits::FRONT_JOBS, limits::FRONT_JOBS_MAX),
        ("/builds", limits::BUILDS, limits::BUILDS_MAX),
        ("/failed-builds", limits::FAILED_BUILDS, limits::FAILED_BUILDS_MAX),
        ("/job/JOB", limits::JOB_BUILDS, limits::JOB_BUILDS_MAX),
        ("/job/JOB/build/UUID", limits::ARTIFACTS_SHOWN, limits::ARTIFACTS_SHOWN_MAX),
    ] {
        let (parameters, said) =
            (parameters(address), format!("`count` ({}; at most {}", grouped(usual), grouped(most)));
        assert!(parameters.contains(&said), "{address}: {said} is not in {parameters}");
    }
    let most = grouped(limits::JOB_BUILDS_JSON_MAX);
    let said = [
        format!("as JSON {most} and at most {most}"),
        format!("`q` is a text of at most {} bytes", limits::SEARCH_BYTES_MAX),
        format!(
            "At most {} of a kind are found, of builds with a package {}; a page shows {} jobs, names and texts, and {} builds",
            limits::SEARCH_HITS_MAX,
            limits::SEARCH_PACKAGES_MAX,
            limits::SEARCH_ROWS_MAX,
            limits::SEARCH_PACKAGES
        ),
        format!(
            "`count` is at most {} jobs, {} builds or {} artifacts",
            limits::API_JOBS_MAX,
            limits::API_BUILDS_MAX,
            limits::API_ARTIFACTS_MAX
        ),
        format!("the newest {} builds of a job", limits::FEED_BUILDS),
        format!("`{}` | the largest upload, in bytes", limits::UPLOAD_BYTES_MAX),
        format!("| uploads at once | {} |", limits::UPLOADS_AT_ONCE_MAX),
        format!("| pause in a body | {} s |", limits::BODY_PAUSE_MAX.as_secs()),
        format!("| pause in which nothing of an answer is taken | {} s |", limits::SEND_PAUSE_MAX.as_secs()),
        format!(
            "| wrong passwords from one address, or one network `/64` of IPv6 | {} for one user, {} for all together;",
            limits::PASSWORDS_WRONG_MAX,
            limits::PASSWORDS_WRONG_OF_ADDRESS_MAX
        ),
        format!("| file that facts are derived from | {} MiB;", limits::FACTS_BYTES_MAX >> 20),
        format!("at most {} different ones side by side", limits::HOOKS_AT_ONCE_MAX),
        format!("after {} tries it is given up", limits::HOOK_TRIES_MAX),
        format!("the last {} KiB of standard output", limits::HOOK_LOG_BYTES_MAX >> 10),
        format!("in transactions of {} builds", limits::REMOVAL_BUILDS_AT_ONCE_MAX),
    ];
    for said in said {
        assert!(page.contains(&said), "docs/repository.md does not say: {said}");
    }
    let changes = std::fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    assert!(changes.contains(&format!("in parts of {}: `count`", limits::FRONT_JOBS)));
}

#[test]
fn the_glossary_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/glossary.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| **"));
    let words: Vec<_> = rows.map(|row| row.split("**").next().unwrap().to_lowercase()).collect();
    assert!(words.len() > 50 && words.is_sorted(), "{words:?}");
}
