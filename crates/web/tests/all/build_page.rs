//! The page and JSON of a build: what mollymawk reads, what is said of reproducibility, and that nothing an uploader
//! chose can run or break it.

use crate::site::{Answer, PASSWORD, RESTRICTED, Site, Told, USER, basic, uuid};
use builder_model::Outcome;
use http::StatusCode;
use serde_json::Value;

const SWITCH: &[u8] = include_bytes!("../../../facts/tests/data/unikernel-left.opam-switch");

/// A unikernel's build: the three files that make its input, and a binary.
fn unikernel(number: u8, environment: &str, binary: &[u8]) -> Told {
    Told::new(number).files(&[
        ("bin/hello.hvt", binary),
        ("opam-switch", SWITCH),
        ("build-environment", environment.as_bytes()),
        ("system-packages", b"gcc=12.2\nmake=4.3\n"),
    ])
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    answer.text()
}

#[tokio::test]
async fn json_has_every_key_that_mollymawk_reads() {
    let site = Site::new();
    let told = unikernel(1, "A=1\n", b"binary");
    site.upload(&told).await;
    let json = site.get_json(&told.page()).await;
    assert_eq!(json["job"], "hello");
    assert_eq!(json["uuid"], told.build.to_string());
    assert_eq!(json["platform"], "debian-12");
    assert_eq!(json["start_time"], "2024-09-05T13:00:00-00:00");
    assert_eq!(json["finish_time"], "2024-09-05T13:01:01-00:00");
    assert_eq!(json["main_binary"], true);
    assert_eq!(json["main_binary_size"], 6);
    assert!(json.get("solo5_manifest").is_none(), "only a Solo5 binary has this key");
    assert_eq!((&json["result"], &json["good"]), (&"exited 0".into(), &true.into()));
    assert_eq!(json["artifact_count"], 4);
    assert_eq!(json["artifacts"][0]["path"], "bin/hello.hvt");
    assert_eq!(json["artifacts"][0]["url"], format!("{}/f/bin/hello.hvt", told.page()));
    assert_eq!((&json["input"]["kind"], &json["output"]["kind"]), (&"opam".into(), &"main-binary".into()));

    let failed = Told::new(2).outcome(Outcome::Aborted(b"timeout".to_vec())).files(&[]);
    site.upload(&failed).await;
    let json = site.get_json(&failed.page()).await;
    assert_eq!((&json["main_binary"], &json["main_binary_size"]), (&false.into(), &Value::Null));
    assert_eq!(json["result_detail"], serde_json::json!({ "kind": "aborted", "code": null, "reason": "timeout" }));
}

#[tokio::test]
async fn a_binary_of_solo5_says_what_it_needs() {
    let site = Site::new();
    let told = unikernel(1, "A=1\n", b"binary");
    site.upload(&told).await;
    let manifest = r#"{"type":"solo5.manifest","version":1,"devices":[{"name":"service","type":"NET_BASIC"},
        {"name":"a<b","type":"BLOCK_BASIC"},{"name":"c","type":"BLOCK_BASIC"}]}"#;
    let abi = r#"{"type":"solo5.abi","target":"spt","version":3}"#;
    let text = "INSERT OR REPLACE INTO repository_binary SELECT sha256, ?1, ?2 FROM build_artifact
        WHERE filepath = 'bin/hello.hvt'";
    assert_eq!(site.connection().execute(text, [manifest, abi]).unwrap(), 1);
    let json = site.get_json(&told.page()).await;
    assert_eq!(json["solo5_manifest"]["devices"][0], serde_json::json!({ "name": "service", "type": "NET_BASIC" }));
    assert_eq!(json["solo5_abi"], serde_json::json!({ "type": "solo5.abi", "target": "spt", "version": 3 }));
    let page = html(&site.get(&told.page()).await);
    let sentence = "A Solo5 unikernel for spt, ABI version 3. It needs the block devices “a&#60;b” and “c”, and the \
                    network interface “service”.";
    assert!(page.contains(sentence), "{page}");
}

#[tokio::test]
async fn reproducibility_is_said_in_words() {
    let site = Site::new();
    let told = unikernel(1, "A=1\n", b"binary");
    site.upload(&told).await;
    assert!(html(&site.get(&told.page()).await).contains("not built again from the same input so far"));

    // Another job and platform may have it too: the link leads there.
    let again = unikernel(2, "A=1\n", b"binary").job("other").platform("freebsd-14");
    let different_input = unikernel(3, "A=2\n", b"binary");
    let failed = unikernel(4, "A=1\n", b"half").outcome(Outcome::Exited(1));
    for build in [&again, &different_input, &failed] {
        site.upload(build).await;
    }
    let page = html(&site.get(&told.page()).await);
    assert!(page.contains("reproduced by 1 build<") && page.contains("Reproduced by 1 build "), "{page}");
    assert!(page.contains("Judged by the opam switch, environment and system packages."));
    assert!(page.contains(&format!("href=\"{}\"", again.page())));
    assert!(page.contains(&format!("href=\"/compare/{}/{}\"", different_input.build, told.build)));
    assert!(!page.contains("not reproducible"), "a build that failed proves nothing");
    assert!(html(&site.get(&failed.page()).await).contains("not judged, as it failed"));

    let different_output = unikernel(5, "A=1\n", b"other");
    site.upload(&different_output).await;
    let page = html(&site.get(&told.page()).await);
    assert!(page.contains("Same input, different output (not reproducible!)"));
    assert!(page.contains(&different_output.page()));
    let json = site.get_json(&told.page()).await;
    let uuids = |key: &str| -> Vec<String> {
        let builds = json[key].as_array().unwrap().iter();
        builds.map(|build| build["uuid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uuids("reproduced_by"), [again.build.to_string()]);
    assert_eq!(uuids("same_input_different_output"), [different_output.build.to_string()]);
    assert_eq!(uuids("different_input_same_output"), [different_input.build.to_string()]);
    assert_eq!(json["next_different_output"]["uuid"], different_output.build.to_string());
    assert_eq!(json["latest"]["uuid"], different_output.build.to_string());
    assert_eq!(json["previous_different_output"], Value::Null);
    assert!(
        page.contains(&format!("href=\"/compare/{}/{}\">latest good build</a>", different_output.build, told.build))
    );
}

#[tokio::test]
async fn related_builds_stand_by_their_start_however_they_arrived() {
    let site = Site::new();
    let told = |number, start: &str, binary: &[u8]| {
        let mut told = unikernel(number, "A=1\n", binary);
        told.started = start.parse().unwrap();
        told.finished = told.started.plus_milliseconds(61_250);
        told
    };
    let build = told(1, "2024-03-03T00:00:00Z", b"binary");
    let others = [(2, "2024-03-05"), (3, "2024-01-01"), (4, "2024-03-04")]
        .map(|(number, day)| told(number, &format!("{day}T00:00:00Z"), b"binary"));
    let different = [(5, "2024-02-01", b"one"), (6, "2024-02-03", b"two"), (7, "2024-02-02", b"one")]
        .map(|(number, day, binary)| told(number, &format!("{day}T00:00:00Z"), binary));
    for told in std::iter::once(&build).chain(&others).chain(&different) {
        site.upload(told).await;
    }
    let json = site.get_json(&build.page()).await;
    let uuids = |key: &str| -> Vec<&str> {
        json[key].as_array().unwrap().iter().map(|build| build["uuid"].as_str().unwrap()).collect()
    };
    assert_eq!(uuids("reproduced_by"), [0, 2, 1].map(|index: usize| others[index].build.to_string()));
    let newest_of_each = [1, 2].map(|index: usize| different[index].build.to_string());
    assert_eq!(uuids("same_input_different_output"), newest_of_each);
}

#[tokio::test]
async fn a_build_has_one_address() {
    let site = Site::new();
    let told = Told::new(0xab);
    site.upload(&told).await;
    let upper = format!("/job/hello/build/{}", told.build.to_string().to_uppercase());
    for other in [format!("/job/other/build/{}", told.build), upper] {
        let answer = site.get(&other).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::PERMANENT_REDIRECT, told.page().as_str()));
        assert!(answer.body.is_empty());
        let answer = site.get(&format!("{other}?start=5")).await;
        assert_eq!(answer.location(), format!("{}?start=5", told.page()));
    }
    for missing in [format!("{}x", told.page()), format!("{}0", told.page()), format!("/job/hello/build/{}", uuid(1))] {
        assert_eq!(site.get(&missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
    assert_eq!(site.get(&format!("{}/", told.page())).await.status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_of_an_upload_gets_out_of_its_place() {
    let site = Site::new();
    let mut told = unikernel(1, "<script>alert(1)</script>=\"><img src=x>\n", b"binary");
    told.job = "<b>job \"'&".into();
    told.platform = "<i>&".into();
    told.outcome = Outcome::Aborted(b"<script>alert(2)</script>".to_vec());
    told.files.push(("bin/x/<img src=x onerror=alert(3)>/..\"y'%2e?#".into(), b"x".to_vec()));
    told.console = vec![(0, b"<script>alert(4)</script>\x1b]8;;javascript:alert(5)\x07x".to_vec())];
    site.upload(&told).await;
    let target = format!("/job/%3Cb%3Ejob%20%22%27%26/build/{}", told.build);
    let page = html(&site.get(&target).await);
    for bad in ["<script>alert", "<img", "<b>job", "<i>", "javascript:", "onerror=alert(3)\""] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
    let log = html(&site.get(&format!("{target}/log")).await);
    assert!(!log.contains("<script>alert") && !log.contains("javascript:"), "{log}");
    assert!(log.contains("&lt;script&gt;alert(4)"));
    // Its links lead to its files.
    let link = page.split("href=\"").map(|rest| rest.split('"').next().unwrap()).find(|link| link.contains("onerror"));
    let answer = site.get(link.unwrap()).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "x"));
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_fails_nothing() {
    let site = Site::new();
    let told = unikernel(1, "A=1\n", b"binary");
    site.upload(&told).await;
    let artifacts = site.data().join("_artifacts");
    std::fs::remove_dir_all(&artifacts).unwrap();
    std::fs::create_dir(&artifacts).unwrap();
    std::fs::remove_dir_all(site.data().join("hello")).unwrap();
    let page = html(&site.get(&told.page()).await);
    assert!(page.contains("The file of the artifact bin/hello.hvt is missing on this server."), "{page}");
    assert!(page.contains("build-environment is not shown: its file is missing on this server."));
    assert_eq!(site.get_json(&told.page()).await["notes"].as_array().unwrap().len(), 2);
    assert!(page.contains(">make</a><td>4.3\n"), "packages are in the rows");
    let log = html(&site.get(&format!("{}/log", told.page())).await);
    assert!(log.contains("The file of this console is missing on this server."), "{log}");

    let broken = Told::new(2).files(&[("bin/hello", b"x"), ("opam-switch", b"installed: [ oops")]);
    site.upload(&broken).await;
    let page = html(&site.get(&broken.page()).await);
    assert!(page.contains("opam-switch is no export of an opam switch"), "{page}");
}

#[tokio::test]
async fn a_build_of_which_nothing_was_derived_yet_is_shown() {
    let site = Site::new();
    let told = unikernel(1, "A=1\n", b"binary");
    site.upload(&told).await;
    for table in ["repository_build", "repository_binary", "repository_package", "repository_inventory"] {
        site.connection().execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    let page = html(&site.get(&told.page()).await);
    assert!(page.contains("not judged yet") && page.contains("4 files, "), "{page}");
    let json = site.get_json(&told.page()).await;
    assert_eq!((&json["input"], &json["output"], &json["main_binary"]), (&Value::Null, &Value::Null, &true.into()));
    let log = html(&site.get(&format!("{}/log", told.page())).await);
    assert!(log.contains("Lines 1 to 2 of 2") && log.contains("a-green"), "{log}");
}

#[tokio::test]
async fn many_artifacts_come_in_parts() {
    let site = Site::new();
    let mut told = Told::new(1).files(&[]);
    told.files = (0..2500).map(|number| (format!("lib/{number:04}"), b"x".to_vec())).collect();
    site.upload(&told).await;
    let page = html(&site.get(&told.page()).await);
    assert!(page.contains("2500 files") && page.contains("Files 1 to 1000.") && !page.contains(">1000</a>"));
    let next = format!("href=\"{}?start=1000#artifacts\"", told.page());
    assert!(page.contains(&next));
    let page = html(&site.get(&format!("{}?start=2000", told.page())).await);
    assert!(page.contains("Files 2001 to 2500.") && page.contains(">2499</a>") && !page.contains("rel=\"next\""));
    let page = html(&site.get(&format!("{}?start=90000", told.page())).await);
    let beginning = format!("<a href=\"{}#artifacts\" rel=\"prev\">Previous</a>", told.page());
    assert!(page.contains("Files none here.") && page.contains(&beginning), "{page}");
    let json = site.get_json(&format!("{}?start=10&count=3", told.page())).await;
    let paths: Vec<_> = json["artifacts"].as_array().unwrap().iter().map(|artifact| &artifact["path"]).collect();
    assert_eq!(paths, ["lib/0010", "lib/0011", "lib/0012"]);
    assert_eq!((&json["artifact_count"], &json["artifacts_from"]), (&2500.into(), &10.into()));
    assert_eq!(site.get(&format!("{}?start=x", told.page())).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn packages_are_listed_and_lead_to_other_builds() {
    let site = Site::new();
    let told = unikernel(1, "A=1\nPATH=/bin\n", b"binary");
    site.upload(&told).await;
    let page = html(&site.get(&told.page()).await);
    assert!(page.contains("<a href=\"/search?q=metrics-influx%200.5.0\">metrics-influx</a><td>0.5.0"), "{page}");
    assert!(page.contains("<tr><td><a href=\"/search?q=gcc%2012.2\">gcc</a><td>12.2\n"));
    assert!(page.contains("<summary>Environment <small>2 variables</small>"));
    assert!(page.contains("<tr><td><code>PATH</code></td><td><code>/bin</code></td></tr>"));
    assert!(!page.contains("<iframe"), "nothing was drawn");
    assert!(page.len() < 50_000, "{} bytes", page.len());

    let sha256: Vec<u8> = site
        .connection()
        .query_row("SELECT sha256 FROM build_artifact WHERE filepath = 'opam-switch'", [], |row| row.get(0))
        .unwrap();
    let digits: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = site.data().join("_cache/dependencies_2");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{digits}.html")), "<svg/>").unwrap();
    // Pages are kept until the next commit; the hook's record is one.
    site.upload(&Told::new(2).job("other")).await;
    let page = html(&site.get(&told.page()).await);
    let frame = format!("<iframe src=\"{}/vizdependencies\" loading=\"lazy\" sandbox=\"allow-scripts\"", told.page());
    assert!(page.contains(&frame), "{page}");
}

#[tokio::test]
async fn a_build_is_good_or_failed_in_the_same_words_everywhere() {
    let site = Site::new();
    let good = Told::new(1);
    let killed = Told::new(2).outcome(Outcome::Signalled(-7));
    site.upload(&good).await;
    site.upload(&killed).await;
    for target in [good.page(), format!("{}/log", good.page())] {
        assert!(html(&site.get(&target).await).contains("<span class=\"st good\">good</span>"), "{target}");
    }
    const WORDS: &str = "signalled -7 (SIGKILL)";
    for target in [killed.page(), format!("{}/log", killed.page())] {
        let page = html(&site.get(&target).await);
        assert!(page.contains(&format!("<span class=\"st bad\">failed: {WORDS}</span>")), "{target}: {page}");
    }
    for target in ["/failed-builds", "/job/hello/failed", "/builds"] {
        assert!(html(&site.get(target).await).contains(WORDS), "{target}");
    }
    assert_eq!(site.get_json(&killed.page()).await["result"], WORDS);
    assert_eq!(site.get_json("/builds").await["builds"][0]["result"], WORDS);
    assert_eq!(site.get_json(&format!("/api/v1/builds/{}", killed.build)).await["result"]["text"], WORDS);
    let main = |page: &str| page.contains("class=\"button\"");
    assert!(main(&html(&site.get(&good.page()).await)), "what people come for");
    let page = html(&site.get(&killed.page()).await);
    assert!(!main(&page) && page.contains("/main-binary\">Main binary</a>"), "{page}");
}

#[tokio::test]
async fn a_build_says_under_which_words_it_is_kept() {
    let site = Site::new();
    let (told, other) = (Told::new(1), Told::new(2));
    site.upload(&told).await;
    site.upload(&other).await;
    let pin = |tag: &str| {
        let text = "INSERT INTO repository_pin SELECT id, ?1, 0 FROM build WHERE uuid = ?2";
        assert_eq!(site.connection().execute(text, [tag, &told.build.to_string()]).unwrap(), 1);
    };
    pin("release-1");
    pin("a<b");
    assert!(html(&site.get(&told.page()).await).contains("<dt>Kept</dt><dd>as a&#60;b, release-1</dd>"));
    assert!(!html(&site.get(&other.page()).await).contains("<dt>Kept</dt>"));
    for target in [told.page(), format!("/api/v1/builds/{}", told.build)] {
        assert_eq!(site.get_json(&target).await["pins"], serde_json::json!(["a<b", "release-1"]), "{target}");
    }
    assert_eq!(site.get_json(&other.page()).await["pins"], serde_json::json!([]));
}

#[tokio::test]
async fn hooks_are_shown_to_those_who_may_see_them() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    let text =
        "INSERT INTO repository_hook_run(build, kind, event, target, state, tries, next_try, finished, status, log)
        SELECT id, 'hook', 'upload', 'dpkg.sh', 'failed', 3, 0, 1725537600000, 1, '<secret>' FROM build";
    site.connection().execute(text, []).unwrap();
    site.upload(&Told::new(2).job("other")).await;
    let page = html(&site.get(&told.page()).await);
    assert!(!page.contains("dpkg.sh") && page.contains("?hooks=1"), "{page}");
    let target = format!("{}?hooks=1", told.page());
    assert_eq!(site.get(&target).await.status, StatusCode::UNAUTHORIZED);
    let ask = |user: &str, password: &str| basic(user, password);
    let wrong = site.get_with(&target, &[("authorization", &ask(USER, "wrong"))]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let restricted = site.get_with(&target, &[("authorization", &ask(RESTRICTED, PASSWORD))]).await;
    assert_eq!(restricted.status, StatusCode::FORBIDDEN);
    let page = html(&site.get_with(&target, &[("authorization", &ask(USER, PASSWORD))]).await);
    assert!(page.contains("dpkg.sh") && page.contains("failed (1)") && page.contains("&#60;secret&#62;"), "{page}");
    assert!(!html(&site.get(&told.page()).await).contains("dpkg.sh"), "nothing of it was kept for others");
}
