//! The pages of the docs that name tests name tests that exist.

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
