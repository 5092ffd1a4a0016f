//! The comparison of two builds: the original's anchors and JSON, and any two builds, whatever they lack.

use crate::site::{Site, Told, uuid};
use builder_model::Outcome;
use http::StatusCode;
use serde_json::{Value, json};

const LEFT: &[u8] = include_bytes!("../../../facts/tests/data/unikernel-left.opam-switch");
const RIGHT: &[u8] = include_bytes!("../../../facts/tests/data/unikernel-right.opam-switch");

async fn two(site: &Site) -> (Told, Told) {
    let left = Told::new(1).files(&[
        ("bin/hello.hvt", b"binary"),
        ("opam-switch", LEFT),
        ("build-environment", b"A=1\nB=<b>\nC=x\n"),
        ("system-packages", b"gcc=12.2\nmake=4.3\n"),
        ("gone", b"gone"),
        ("old-name", b"moved"),
    ]);
    let right = Told::new(2).files(&[
        ("bin/hello.hvt", b"larger binary"),
        ("opam-switch", RIGHT),
        ("build-environment", b"A=2\nC=x\nD=4\n"),
        ("system-packages", b"py39-setuptools-1.2\ngcc=13.1\nmake=4.3\n"),
        ("new-name", b"moved"),
        ("new", b"new"),
    ]);
    site.upload(&left).await;
    site.upload(&right).await;
    (left, right)
}

fn address(left: &Told, right: &Told) -> String {
    format!("/compare/{}/{}", left.build, right.build)
}

#[tokio::test]
async fn json_has_the_keys_types_and_sides_that_mollymawk_expects() {
    let site = Site::new();
    let (left, right) = two(&site).await;
    let answer = site.get_json(&address(&left, &right)).await;
    for (side, told) in [("left", &left), ("right", &right)] {
        let side = &answer[side];
        assert_eq!((&side["job"], &side["uuid"]), (&"hello".into(), &told.build.to_string().into()));
        assert_eq!((&side["platform"], &side["main_binary"]), (&"debian-12".into(), &true.into()));
        assert!(side["main_binary_size"].is_u64());
        assert!(side["start_time"].as_str().unwrap().ends_with("-00:00"));
        assert!(side["finish_time"].as_str().unwrap().ends_with("-00:00"));
    }
    assert_eq!(
        answer["env_diff"],
        json!({
            "left_packages": [{ "name": "B", "version": "<b>" }],
            "right_packages": [{ "name": "D", "version": "4" }],
            "different_versions": [{ "name": "A", "version_left": "1", "version_right": "2" }],
        })
    );
    assert_eq!(
        answer["package_diff"],
        json!({
            "left_packages": [],
            "right_packages": [{ "name": "py39-setuptools", "version": "1.2" }],
            "different_versions": [{ "name": "gcc", "version_left": "12.2", "version_right": "13.1" }],
        })
    );
    let opam = &answer["opam_diff"];
    for key in ["opam_diff", "version_diff", "only_in_left", "only_in_right"] {
        assert!(opam[key].is_array(), "{key}");
    }
    assert_eq!(opam["version_diff"][0], json!({ "name": "dune", "version_left": "3.6.1", "version_right": "3.7.0" }));
    assert_eq!(opam["opam_diff"][0]["effectively_equal"], false);
    assert!(opam["opam_diff"][0]["diff"].is_string() && opam["opam_diff"][0]["package_version"].is_string());
    for key in ["left", "right", "detailed_diff"] {
        assert!(opam["duniverse_diff"][key].is_array(), "{key}");
    }
    assert_eq!(answer["artifact_diff"]["moved"][0]["path_right"], "new-name");
    assert_eq!(answer["artifact_diff"]["only_in_left"][0]["path"], "gone");
    assert_eq!(answer["artifact_diff"]["different"][0]["size_right"], 13);
}

#[tokio::test]
async fn the_page_has_the_anchors_of_the_original_in_its_order() {
    let site = Site::new();
    let (left, right) = two(&site).await;
    let page = site.get(&address(&left, &right)).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.text();
    let title = format!("<title>Comparing builds {} and {} ", left.build, right.build);
    assert!(page.contains(&title), "{page}");
    let anchors = [
        "opam-packages-removed",
        "opam-packages-installede",
        "opam-packages-version-diff",
        "duniverse-dirs-removed",
        "duniverse-dirs-installed",
        "duniverse-dirs-content-diff",
        "opam-packages-opam-diff",
        "env-removed",
        "env-added",
        "env-changed",
        "pkgs-added",
        "pkgs-changed",
        "artifacts-removed",
        "artifacts-added",
        "artifacts-changed",
        "artifacts-moved",
    ];
    let places = anchors.map(|anchor| {
        assert!(page.contains(&format!("href=\"#{anchor}\"")), "{anchor} in the summary");
        page.find(&format!("id=\"{anchor}\"")).unwrap_or_else(|| panic!("no {anchor} in {page}"))
    });
    assert!(places.is_sorted());
    assert!(!page.contains("id=\"pkgs-removed\""), "what is empty is not there");
    assert!(page.contains(&format!("href=\"{}\"", address(&right, &left))), "the reverse");
    assert!(page.contains("<del>&#60;b&#62;</del>"));
    assert!(page.contains("<ins>+"), "a diff");
    assert!(page.contains("+7 B"), "how the size changed");
}

#[tokio::test]
async fn any_two_builds_are_compared_and_what_they_lack_is_said() {
    let site = Site::new();
    let (left, _) = two(&site).await;
    let plain = Told::new(3).job("plain").outcome(Outcome::Exited(1)).files(&[("bin/plain", b"binary")]);
    let broken = Told::new(4).files(&[("bin/x", b"x"), ("opam-switch", b"installed: [ <oops>")]);
    site.upload(&plain).await;
    site.upload(&broken).await;
    let page = site.get(&address(&left, &plain)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text().contains("The right build has no opam switch, so opam packages are not compared."),
        "{}",
        page.text()
    );
    assert!(page.text().contains("id=\"artifacts-removed\""));
    let answer = site.get_json(&address(&left, &plain)).await;
    assert_eq!(answer["inputs"]["opam_switch"], json!({ "left": "readable", "right": "absent" }));
    assert_eq!(answer["opam_diff"]["duniverse_diff"], json!({ "left": [], "right": [], "detailed_diff": [] }));
    assert_eq!(answer["env_diff"]["left_packages"], json!([]));

    let page = site.get(&address(&broken, &left)).await.text();
    assert!(
        page.contains("The opam switch of the left build cannot be read, so opam packages are not compared:"),
        "{page}"
    );
    assert!(!page.contains("<oops>"));
    let page = site.get(&address(&plain, &plain)).await.text();
    assert!(page.contains("Neither build has a list of system packages."), "{page}");
    assert!(page.contains("compared with itself"));
    let same = Told { build: uuid(9), ..left.clone() };
    site.upload(&same).await;
    assert!(site.get(&address(&left, &same)).await.text().contains("These builds do not differ"));
    for missing in [uuid(77).to_string(), "x".into(), format!("{}x", left.build)] {
        let answer = site.get(&format!("/compare/{}/{missing}", left.build)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{missing}");
    }
    // A link to a comparison may be older than what became of one of its builds.
    let gone = uuid(77);
    for target in [format!("/compare/{gone}/{}", left.build), format!("/compare/{}/{gone}", left.build)] {
        let page = site.get(&target).await.text();
        assert!(page.contains(&format!("There is no build {gone} here; it may have been removed.")), "{page}");
    }
}

#[tokio::test]
async fn a_file_that_is_missing_is_said_until_it_is_back() {
    let site = Site::new();
    let (left, right) = two(&site).await;
    let artifacts = site.data().join("_artifacts");
    let aside = site.data().join("aside");
    std::fs::rename(&artifacts, &aside).unwrap();
    std::fs::create_dir(&artifacts).unwrap();
    let page = site.get(&address(&left, &right)).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = "The opam-switch of the left build is not compared: its file is missing on this server.";
    assert!(page.text().contains(text), "{}", page.text());
    std::fs::remove_dir(&artifacts).unwrap();
    std::fs::rename(&aside, &artifacts).unwrap();
    // Pages are kept until the next commit, comparisons that were read in full for ever.
    site.upload(&Told::new(8)).await;
    assert!(site.get(&address(&left, &right)).await.text().contains("id=\"opam-packages-removed\""));
    std::fs::remove_dir_all(&artifacts).unwrap();
    std::fs::create_dir(&artifacts).unwrap();
    site.upload(&Told::new(9)).await;
    assert!(site.get(&address(&left, &right)).await.text().contains("id=\"opam-packages-removed\""));
}

#[tokio::test]
async fn a_form_leads_to_the_comparison() {
    let site = Site::new();
    let (left, right) = (uuid(1), uuid(2));
    let target = format!("/compare?right={right}&left=+https%3A%2F%2Fx.example%2Fjob%2Fa%2Fbuild%2F{left}%2F");
    let answer = site.get(&target).await;
    let expected = format!("/compare/{left}/{right}");
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, expected.as_str()));
    let bad = site.get(&format!("/compare?right={right}&left=%3Cscript%3E")).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(!bad.text().contains("<script>}"), "{}", bad.text());
    let problem: Value = site.get_json("/compare").await;
    assert_eq!(problem["status"], 400);
}

#[tokio::test]
async fn scripts_and_inputs_are_compared() {
    let site = Site::new();
    let (mut left, mut right, same) = (Told::new(1), Told::new(2), Told::new(3));
    left.script = "#!/bin/sh\nmake\necho <done>\n".into();
    right.script = "#!/bin/sh\nmake -j2\necho <done>\n".into();
    let same = Told { script: left.script.clone(), ..same };
    for told in [&left, &right, &same] {
        site.upload(told).await;
    }
    let page = site.get(&address(&left, &right)).await.text();
    assert!(page.contains("<h3 id=\"script\">") && page.contains("<del>-make</del><ins>+make -j2</ins>"), "{page}");
    assert!(page.contains("<dt>Input</dt><dd>different</dd>"), "{page}");
    let json = site.get_json(&left.page()).await;
    let input = json["input"]["sha256"].as_str().unwrap();
    assert!(
        page.contains(&format!("Input: the script, job and platform<br><code class=\"digest\">{input}</code>")),
        "{page}"
    );
    let json = site.get_json(&address(&left, &right)).await;
    assert_eq!(json["left"]["input"]["sha256"], input);
    let diff = json["script_diff"].as_str().unwrap();
    assert!(diff.starts_with("--- left/script\n+++ right/script\n") && diff.contains("\n-make\n+make -j2\n"), "{diff}");
    let json = site.get_json(&format!("/api/v1{}", address(&left, &right))).await;
    assert_eq!((&json["script"], &json["left_input"]["kind"]), (&diff.into(), &"script".into()));

    let page = site.get(&address(&left, &same)).await.text();
    assert!(
        page.contains("<dt>Input</dt><dd>the same</dd>") && page.contains("<dt>Script</dt><dd>the same</dd>"),
        "{page}"
    );
    assert!(!page.contains("id=\"script\""), "{page}");

    std::fs::remove_file(site.data().join(format!("hello/{}/script.txt", right.build))).unwrap();
    let json = site.get_json(&address(&same, &right)).await;
    assert_eq!(json["script_diff"], Value::Null);
    assert!(json["notes"][0].as_str().unwrap().starts_with("The script of the right build is not compared"), "{json}");
}
