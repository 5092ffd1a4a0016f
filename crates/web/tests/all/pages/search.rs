//! `/search`.

use super::site::{Build, GOOD, Site, ask};
use axum::http::StatusCode;
use builder_web::Digest;
use rusqlite::params;
use serde_json::{Value, json};

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

#[tokio::test]
async fn all_words_of_a_search_are_looked_for_wherever_they_stand() {
    let site = Site::empty();
    site.add(Build { job: "hello", ..GOOD });
    site.add(Build { job: "hello", platform: "freebsd-14", ..GOOD });
    site.add(Build { job: "hello-world", platform: "freebsd-13", ..GOOD });
    site.tag("hello", "readme.md", "Says it to everybody,\nand then\nends.");
    let jobs = async |asked: &str| {
        let found = site.json(&format!("/search?q={asked}")).await;
        let hit = |hit: &Value| (hit["name"].as_str().unwrap().to_owned(), hit["platform"].as_str().map(str::to_owned));
        found["jobs"].as_array().unwrap().iter().map(hit).collect::<Vec<_>>()
    };
    let on = |name: &str, platform: &str| (name.to_owned(), Some(platform.to_owned()));
    assert_eq!(jobs("hello%20freebsd-14").await, [on("hello", "freebsd-14")]);
    assert_eq!(jobs("FreeBSD+Hello").await, [on("hello", "freebsd-14"), on("hello-world", "freebsd-13")]);
    assert_eq!(jobs("world%0Ahello").await, [("hello-world".to_owned(), None)]);
    assert_eq!(jobs("hello+nowhere").await, []);
    assert_eq!(jobs("freebsd-14").await, [], "a platform alone is no job");
    for control in ["%00", "%00%01", "hello%00nowhere"] {
        assert_eq!(jobs(control).await, [], "{control}");
    }
    let texts = async |asked: &str| site.json(&format!("/search?q={asked}")).await["texts"].as_array().unwrap().len();
    for (asked, count) in
        [("everybody+ends", 1), ("ends+it", 1), ("it+and", 1), ("it", 1), ("ends+never", 0), ("it+zz", 0)]
    {
        assert_eq!(texts(asked).await, count, "{asked}");
    }
    let html = site.html("/search?q=hello+freebsd-14").await;
    assert!(html.contains("<a href=\"/job/hello?platform=freebsd-14\">hello on freebsd-14</a>"), "{html}");
    assert!(site.html("/search?q=%00").await.contains("What can be searched for"));
}

#[tokio::test]
async fn packages_are_offered_by_any_part_of_their_name() {
    let site = Site::filled(6, 3);
    for (asked, names) in [
        ("mirage", vec!["mirage-crypto"]),
        ("CRYPTO+mirage", vec!["mirage-crypto"]),
        ("m", vec!["mirage-crypto", "ocaml"]),
        ("nothing", vec![]),
    ] {
        assert_eq!(site.json(&format!("/search?q={asked}")).await["package_names"], json!(names), "{asked}");
    }
    let html = site.html("/search?q=crypto").await;
    assert!(html.contains("<li><a href=\"/search?q=mirage-crypto\">mirage-crypto</a></li>"), "{html}");
}

#[tokio::test]
async fn a_search_that_finds_much_stays_light() {
    let site = Site::filled(60, 8);
    let connection = site.connection();
    for number in 0..60 {
        let told = format!("{} an OCaml text {number}", "words and words ".repeat(30));
        let insert = "INSERT INTO job_tag(tag, value, job) SELECT 1000, ?1, id FROM job WHERE id = ?2
                      AND EXISTS (SELECT 1 FROM tag WHERE id = 1000)";
        connection.execute("INSERT OR IGNORE INTO tag(id, tag) VALUES (1000, 'readme')", []).unwrap();
        connection.execute(insert, params![told, number + 1]).unwrap();
        connection.execute("UPDATE job SET name = name || '-ocaml' WHERE id = ?1", [number + 1]).unwrap();
        let package = "INSERT INTO repository_package(inventory, name, version, pinned, overlay)
                       VALUES ((SELECT min(id) FROM repository_inventory), ?1, '1', 0, 0)";
        connection.execute(package, [format!("ocaml-library-{number}")]).unwrap();
    }
    let app = site.app();
    let first = ask(&app, "/search?q=ocaml", &[]).await.text();
    for heading in ["Jobs", "Builds with this package", "Packages with this in their name", "In the texts of jobs"] {
        assert!(first.contains(&format!(">{heading} <span class=\"count\">")), "{heading}");
    }
    assert_eq!(first.matches("the first 20</span>").count(), 3, "jobs, names and texts");
    assert!(first.len() < 50_000, "{} bytes", first.len());
    let mut seen = first.matches("<span class=\"mono\">ocaml ").count();
    assert_eq!(seen, 50);
    let mut target = "/search?q=ocaml&start=50".to_owned();
    while seen
        < ask(&app, "/search?q=ocaml", &[("accept", "application/json")]).await.json()["packages"]
            .as_array()
            .unwrap()
            .len()
    {
        let part = ask(&app, &target, &[]).await.text();
        assert!(!part.contains("In the texts of jobs") && part.len() < 50_000);
        seen += part.matches("<span class=\"mono\">ocaml ").count();
        target = format!("/search?q=ocaml&start={seen}");
    }
    assert!(ask(&app, &target, &[]).await.text().contains("To the beginning"));
}

#[tokio::test]
async fn jobs_and_platforms_by_the_thousand_are_not_all_paired() {
    let site = Site::empty();
    for number in 0..150 {
        site.add(Build { job: "elsewhere", platform: &format!("plate-{number}"), ..GOOD });
    }
    let jobs = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 200)
        INSERT INTO job(name) SELECT 'one-' || n FROM number";
    site.connection().execute(jobs, []).unwrap();
    let found = site.json("/search?q=one+plate").await;
    assert_eq!((&found["jobs"], &found["more"]), (&json!([]), &json!(true)), "30,000 pairs: some were not looked at");
    let found = site.json("/search?q=one-1+p").await;
    assert_eq!(found["more"], json!(false), "some hundred jobs, each with 150 platforms: {found}");
}

#[tokio::test]
async fn a_part_behind_the_last_one_says_so() {
    let site = Site::empty();
    site.add(Build { job: "dns", artifacts: &[("opam-switch", "switch")], ..GOOD });
    let connection = site.connection();
    let inventory = "INSERT INTO repository_inventory(id, sha256, kind) VALUES (1, ?1, 'opam')";
    connection.execute(inventory, [Digest::of(b"switch")]).unwrap();
    let package = "INSERT INTO repository_package(inventory, name, version, pinned, overlay) VALUES (1, ?1, '1', 0, 0)";
    for name in ["lwt", "lwt-dllist"] {
        connection.execute(package, [name]).unwrap();
    }
    for asked in ["dns", "lwt"] {
        let page = site.html(&format!("/search?q={asked}&start=50")).await;
        assert!(page.contains("The list ends before this part.") && !page.contains("<table"), "{page}");
        assert!(page.contains(&format!("href=\"/search?q={asked}\">← To the beginning")), "{page}");
    }
    // The package that was asked for is there already, and is not offered once more.
    let page = site.html("/search?q=lwt").await;
    assert!(page.contains("/search?q=lwt-dllist\"") && !page.contains("href=\"/search?q=lwt\""), "{page}");
}
