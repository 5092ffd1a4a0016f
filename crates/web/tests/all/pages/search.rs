//! `/search`.

use super::site::{Build, GOOD, Site, ask};
use axum::http::StatusCode;
use builder_web::Digest;
use rusqlite::params;
use serde_json::json;

#[tokio::test]
async fn artifacts_are_found_by_any_prefix_of_their_digest() {
    let site = Site::empty();
    let uuid = site.add(Build { artifacts: &[("share/notes.txt", "notes")], ..GOOD });
    let digest = Digest::of(b"notes").to_string();
    for asked in [&digest[..8], &digest[..9], &digest, &digest.to_uppercase(), &format!("sha256:{digest}")] {
        let found = site.json(&format!("/search?q={asked}")).await;
        let hit = &found["artifacts"][0];
        assert_eq!((&hit["filepath"], &hit["build"]["uuid"]), (&json!("share/notes.txt"), &json!(uuid)), "{asked}");
    }
    assert_eq!(site.json(&format!("/search?q={}", &digest[..7])).await["artifacts"], json!([]), "too short");
    assert_eq!(site.json(&format!("/search?q={}", &uuid[..10])).await["builds"][0]["uuid"], json!(uuid));
    let html = site.html(&format!("/search?q={digest}")).await;
    assert!(html.contains(&format!("href=\"/job/hello/build/{uuid}/f/share/notes.txt\"")));
    assert!(html.contains(&format!("value=\"{digest}\"")), "it stands in the field again");
}

#[tokio::test]
async fn it_is_known_which_binaries_contain_a_package() {
    let site = Site::empty();
    let with = |content| [("opam-switch", content)];
    let add = |job, start, switch| site.add(Build { job, start, artifacts: &with(switch), ..GOOD });
    add("dns", "2026-01-01T00:00:00Z", "old");
    add("dns", "2026-01-02T00:00:00Z", "new");
    let newest = add("dns", "2026-01-03T00:00:00Z", "new");
    let web = add("web", "2026-01-03T00:00:00Z", "new");
    add("other", "2026-01-03T00:00:00Z", "none");
    site.add(Build { job: "failed", code: 1, artifacts: &with("new"), ..GOOD });
    let connection = site.connection();
    for (id, switch, version) in [(1, "old", "1.0"), (2, "new", "1.1.0"), (3, "newer", "1.10")] {
        let inventory = "INSERT INTO repository_inventory(id, sha256, kind) VALUES (?1, ?2, 'opam')";
        connection.execute(inventory, params![id, Digest::of(switch.as_bytes())]).unwrap();
        let package = "INSERT INTO repository_package(inventory, name, version, pinned, overlay)
                       VALUES (?1, 'mirage-crypto', ?2, 0, 0)";
        connection.execute(package, params![id, version]).unwrap();
    }
    for asked in ["mirage-crypto+1.1", "mirage-crypto.1.1", "mirage-crypto.1.1.0", "mirage-crypto%20%3D%201.1"] {
        let found = site.json(&format!("/search?q={asked}")).await;
        let packages = found["packages"].as_array().unwrap();
        let mut hits: Vec<_> =
            packages.iter().map(|hit| (hit["newest"]["uuid"].as_str().unwrap(), hit["builds"].as_u64())).collect();
        hits.sort_unstable();
        assert_eq!(hits, [(newest.as_str(), Some(2)), (web.as_str(), Some(1))], "{asked}");
        assert_eq!((&packages[0]["version"], &packages[0]["kind"]), (&json!("1.1.0"), &json!("opam")));
    }
    assert_eq!(site.json("/search?q=mirage-crypto").await["packages"].as_array().unwrap().len(), 3);
    assert!(site.html("/search?q=mirage-crypto+1.1").await.contains("mirage-crypto 1.1.0"));
}

#[tokio::test]
async fn jobs_are_found_by_name_and_by_what_is_told_of_them() {
    let site = Site::empty();
    site.add(Build { job: "dns-primary", ..GOOD });
    site.add(Build { job: "dns", ..GOOD });
    site.add(Build { job: "100%", ..GOOD });
    site.tag("dns", "readme.md", "Answers on port 53; made with Love and care.");
    let found = site.json("/search?q=DNS").await;
    assert_eq!(found["jobs"], json!([{"name": "dns", "synopsis": ""}, {"name": "dns-primary", "synopsis": ""}]));
    assert_eq!(site.json("/search?q=%25").await["jobs"].as_array().unwrap().len(), 1, "a percent sign is itself");
    let text = site.json("/search?q=love+and").await["texts"][0].clone();
    assert_eq!((&text["job"], &text["place"]), (&json!("dns"), &json!("readme")));
    assert!(site.html("/search?q=nowhere").await.contains("Nothing was found for <b>nowhere</b>"));
    let long = ask(&site.app(), &format!("/search?q={}", "x".repeat(600)), &[]).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
}
