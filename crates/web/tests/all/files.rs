//! Files of builds: addresses, types, parts, caching, and that nothing of them runs here.

use crate::site::{Site, Told};
use axum::body::Body;
use flate2::read::GzDecoder;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use std::io::{Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tower::ServiceExt as _;

#[tokio::test]
async fn an_artifact_is_served_whole_in_part_or_not_again() {
    let site = Site::new();
    let told = Told::new(1).files(&[("bin/hello", b"0123456789"), ("a b/ü.txt", b"text")]);
    site.upload(&told).await;
    let target = format!("{}/f/bin/hello", told.page());
    let whole = site.get(&target).await;
    assert_eq!((whole.status, whole.text().as_str()), (StatusCode::OK, "0123456789"));
    assert_eq!(whole.header("content-length"), Some("10"));
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert!(whole.header("cache-control").unwrap().contains("immutable"));
    let etag = whole.header("etag").unwrap().to_owned();
    assert_eq!(etag.len(), 46, "44 digits of base64 in quotes");
    for known in [etag.as_str(), etag.trim_matches('"')] {
        let answer = site.get_with(&target, &[("if-none-match", known)]).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
    }
    let part = site.get_with(&target, &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status, part.text().as_str()), (StatusCode::PARTIAL_CONTENT, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    let beyond = site.get_with(&target, &[("range", "bytes=10-")]).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, Some("bytes */10"))
    );
    assert_eq!(beyond.header("cache-control"), Some("no-store"), "who wants the file next gets it");
    let head = site.send(Method::HEAD, &target, &[], Body::empty()).await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (StatusCode::OK, 0, Some("10")));
    let encoded = site.get(&format!("{}/f/a%20b/%C3%BC.txt", told.page())).await;
    assert_eq!((encoded.status, encoded.text().as_str()), (StatusCode::OK, "text"));
    assert_eq!(site.get(&format!("{}/f//bin//hello", told.page())).await.status, StatusCode::OK);
    for missing in ["/f/bin/none", "/f/", "/f/bin/hello/x", "/f/..%2fscript.txt"] {
        assert_eq!(site.get(&format!("{}{missing}", told.page())).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
    let post = site.send(Method::POST, &target, &[], Body::empty()).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(post.header("allow").unwrap().contains("GET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_and_each_answer_has_its_length_once() {
    let site = Site::new();
    let told = Told::new(1).files(&[("bin/hello", b"0123456789"), ("log.txt", &[b'a'; 5000])]);
    site.upload(&told).await;
    let served = site.serve().await;
    let address = served.url().trim_start_matches("http://").to_owned();
    let requests: String =
        [("f/bin/hello", ""), ("f/log.txt", "accept-encoding: gzip\r\n"), ("f/bin/hello", "connection: close\r\n")]
            .iter()
            .map(|(path, more)| format!("GET {}/{path} HTTP/1.1\r\nhost: a\r\n{more}\r\n", told.page()))
            .collect();
    let answers = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).unwrap();
        String::from_utf8_lossy(&answers).to_lowercase()
    });
    let answers = answers.await.unwrap();
    let heads: Vec<&str> =
        answers.split("http/1.1 200 ok\r\n").skip(1).map(|answer| answer.split("\r\n\r\n").next().unwrap()).collect();
    let framed = |head: &&str| (head.contains("content-length: "), head.contains("transfer-encoding: "));
    // What is compressed while it is sent has a length that nobody knows before.
    assert_eq!(
        heads.iter().map(framed).collect::<Vec<_>>(),
        [(true, false), (false, true), (true, false)],
        "{answers}"
    );
    served.stop().await;
}

#[tokio::test]
async fn what_was_uploaded_does_not_run_here() {
    let site = Site::new();
    let told = Told::new(1).files(&[("page.html", b"<script>"), ("p.svg", b"<svg>"), ("log.txt", b"<script>")]);
    site.upload(&told).await;
    for (path, is_saved) in
        [("f/page.html", true), ("f/p.svg", true), ("f/log.txt", false), ("script", false), ("console", false)]
    {
        let answer = site.get(&format!("{}/{path}", told.page())).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("content-security-policy").unwrap().starts_with("sandbox"), "{path}");
        let disposition = answer.header("content-disposition");
        assert_eq!(disposition.is_some_and(|value| value.starts_with("attachment")), is_saved, "{path}");
    }
}

#[tokio::test]
async fn texts_are_compressed_for_those_who_can_read_it() {
    let site = Site::new();
    let mut told = Told::new(1);
    told.console = (0..1000).map(|line| (line, b"the same again".to_vec())).collect();
    site.upload(&told).await;
    let target = format!("{}/console", told.page());
    let plain = site.get(&target).await;
    let small = site.get_with(&target, &[("accept-encoding", "gzip")]).await;
    assert_eq!((plain.header("content-encoding"), small.header("content-encoding")), (None, Some("gzip")));
    assert!(small.body.len() * 10 < plain.body.len());
    let mut text = Vec::new();
    GzDecoder::new(small.body.as_slice()).read_to_end(&mut text).unwrap();
    assert!(text == plain.body);
    let part = site.get_with(&target, &[("accept-encoding", "gzip"), ("range", "bytes=0-6")]).await;
    assert_eq!(part.text(), "0.000s:", "a part is sent as it is");
}

#[tokio::test]
async fn a_build_has_one_address() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    let foreign = site.get(&format!("/job/other/build/{}/f/bin/hello", told.build)).await;
    assert_eq!(foreign.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(foreign.location(), format!("{}/f/bin/hello", told.page()));
    let upper = format!("/job/hello/build/{}/script", told.build.to_string().to_uppercase());
    assert_eq!(site.get(&upper).await.text(), "echo hello\n");
    let tail = site.get(&format!("{}x/script", told.page())).await;
    assert_eq!(tail.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_archive_is_the_same_each_time_and_stays_where_it_is_unpacked() {
    let site = Site::new();
    let told = Told::new(1).files(&[("../../etc/x", b"1"), ("bin/hello", b"binary"), ("/abs", b"2")]);
    site.upload(&told).await;
    let target = format!("{}/all.tar.gz", told.page());
    let (first, second) = (site.get(&target).await, site.get(&target).await);
    assert_eq!(first.header("content-type"), Some("application/tar+gzip"));
    assert!(first.body == second.body);
    let mut archive = tar::Archive::new(GzDecoder::new(first.body.as_slice()));
    let mut seen = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let (mode, time) = (entry.header().mode().unwrap(), entry.header().mtime().unwrap());
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        seen.push((path, mode, text));
        assert_eq!(i64::try_from(time).unwrap(), told.finished.milliseconds() / 1000);
    }
    let expected = [("etc/x", 0o644, "1"), ("abs", 0o644, "2"), ("bin/hello", 0o755, "binary")];
    let comment = seen.iter().position(|(path, ..)| path == "pax_global_header").map(|place| seen.remove(place));
    assert!(comment.is_none_or(|(_, _, text)| text.ends_with(" comment=builder-web\n")));
    assert_eq!(seen, expected.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned())));
}

#[tokio::test]
async fn the_latest_good_binary_has_a_stable_address() {
    use builder_model::Outcome;
    let site = Site::new();
    for (number, platform, content) in [(1, "debian-12", "old"), (2, "freebsd-14", "free"), (3, "debian-12", "new")] {
        site.upload(&Told::new(number).platform(platform).files(&[("bin/hello", content.as_bytes())])).await;
    }
    // Neither a failure that left a binary nor a good build without one takes its place.
    site.upload(&Told::new(4).outcome(Outcome::Exited(1)).files(&[("bin/hello", b"bad")])).await;
    site.upload(&Told::new(5).files(&[("log", b"none")])).await;
    let follow = async |target: &str| {
        let mut answer = site.get(target).await;
        for _ in 0..2 {
            let location = answer.location().to_owned();
            answer = site.get(&location).await;
        }
        answer.text()
    };
    assert_eq!(follow("/job/hello/build/latest/main-binary").await, "new");
    assert_eq!(follow("/job/hello/build/latest/main-binary?platform=freebsd-14").await, "free");
    assert_eq!(site.get("/job/hello/build/latest?platform=none").await.status, StatusCode::NOT_FOUND);
    let file = site.get("/job/hello/build/latest/f/bin/hello?platform=debian-12").await;
    assert_eq!(file.status, StatusCode::TEMPORARY_REDIRECT);
    assert!(file.location().ends_with("/f/bin/hello"));
}

#[tokio::test]
async fn visualizations_are_those_of_the_newest_tool() {
    let site = Site::new();
    let told = Told::new(1).files(&[("bin/hello.hvt", b"b"), ("hello.hvt.debug", b"d"), ("opam-switch", b"roots: []")]);
    site.upload(&told).await;
    let target = format!("{}/viztreemap", told.page());
    assert_eq!(site.get(&target).await.status, StatusCode::NOT_FOUND);
    let name = format!("{}.html", builder_web::Digest::of(b"d"));
    for version in ["treemap_0", "treemap_9", "treemap_10", "treemap_11"] {
        let folder = site.data().join("_cache").join(version);
        std::fs::create_dir_all(&folder).unwrap();
        if version != "treemap_11" {
            std::fs::write(folder.join(&name), version).unwrap();
        }
    }
    let answer = site.get(&target).await;
    assert_eq!(answer.text(), "treemap_10");
    assert!(answer.header("content-security-policy").unwrap().contains("sandbox allow-scripts;"));
}

#[tokio::test]
async fn files_that_are_gone_are_not_found_and_nothing_breaks() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    std::fs::remove_dir_all(site.data().join("hello")).unwrap();
    std::fs::remove_dir_all(site.data().join("_artifacts")).unwrap();
    for (path, lost) in [
        ("/f/bin/hello", "The file of the artifact bin/hello is missing"),
        ("/script", "The script of this build is missing"),
        ("/console", "The console of this build is missing"),
        ("/all.tar.gz", "The file of the artifact bin/hello is missing"),
        ("/exec", "The console of this build is missing"),
    ] {
        let answer = site.get(&format!("{}{path}", told.page())).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains(lost), "{path}: {}", answer.text());
        assert_eq!(answer.header("etag"), None, "{path}: nobody keeps it");
    }
}

#[tokio::test]
async fn what_is_cut_off_or_gone_is_said_before_anything_is_sent() {
    let site = Site::new();
    let told = Told::new(1).files(&[("bin/hello", b"binary"), ("lib/one", b"one"), ("lib/two", b"two")]);
    site.upload(&told).await;
    let digest = builder_web::Digest::of(b"two").to_string();
    let file = site.data().join("_artifacts").join(&digest[..2]).join(&digest);
    for damage in ["cut off", "removed"] {
        if damage == "removed" {
            std::fs::remove_file(&file).unwrap()
        } else {
            std::fs::write(&file, b"t").unwrap()
        }
        for path in ["all.tar.gz", "exec", "f/lib/two"] {
            let answer = site.get(&format!("{}/{path}", told.page())).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{damage}: {path}");
            assert!(answer.text().contains("artifact lib/two is missing on this server"), "{}", answer.text());
            assert!(!answer.header("cache-control").unwrap().contains("immutable"), "{damage}: {path}");
        }
    }
    // The same upload again heals it.
    assert_eq!(site.post(crate::site::USER, "/upload", told.encode()).await.status, StatusCode::OK);
    for path in ["all.tar.gz", "exec", "f/lib/two"] {
        assert_eq!(site.get(&format!("{}/{path}", told.page())).await.status, StatusCode::OK, "{path}");
    }
}

/// What is in gzip.
fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_compressed_artifact_has_a_tag_of_its_own() {
    let site = Site::new();
    let (text, svg) = (b"opam\n".repeat(500), b"<svg>".repeat(500));
    let told = Told::new(1).files(&[("opam-switch", &text), ("p.svg", &svg), ("bin/hello", &text)]);
    site.upload(&told).await;
    let gzip = ("accept-encoding", "gzip");
    for (path, is_compressed) in [("opam-switch", true), ("p.svg", true), ("bin/hello", false)] {
        let target = format!("{}/f/{path}", told.page());
        let whole = site.get(&target).await;
        let strong = whole.header("etag").unwrap().to_owned();
        assert!(strong.starts_with('"') && whole.header("content-encoding").is_none(), "{path}");
        let small = site.get_with(&target, &[gzip]).await;
        assert_eq!(small.header("content-encoding"), is_compressed.then_some("gzip"), "{path}");
        assert_eq!(small.header("content-security-policy"), whole.header("content-security-policy"));
        if !is_compressed {
            assert_eq!(small.header("etag"), Some(strong.as_str()));
            continue;
        }
        assert!(small.body.len() * 10 < whole.body.len() && unpack(&small.body) == whole.body, "{path}");
        assert_eq!(small.header("etag"), Some(format!("W/{strong}").as_str()));
        for answer in [&whole, &small] {
            assert!(answer.header("vary").unwrap().contains("accept-encoding"), "{path}");
        }
        for known in [strong.clone(), format!("W/{strong}")] {
            let answer = site.get_with(&target, &[gzip, ("if-none-match", &known)]).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
        }
        let part = site.get_with(&target, &[gzip, ("range", "bytes=0-3"), ("if-range", &strong)]).await;
        assert_eq!((part.status, part.header("etag")), (StatusCode::PARTIAL_CONTENT, Some(strong.as_str())));
        assert_eq!((part.header("content-encoding"), part.body.len()), (None, 4));
    }
    let missing = format!("{}/f/none", told.page());
    let missing = site.get_with(&missing, &[gzip, ("accept", "application/json")]).await;
    assert_eq!((missing.status, missing.header("content-encoding")), (StatusCode::NOT_FOUND, None));
    assert_eq!(missing.json()["status"], 404);
}

#[tokio::test]
async fn a_long_text_is_compressed_while_others_have_their_turns() {
    let site = Site::new();
    let told = Told::new(1).files(&[("log.txt", &[b'a'; 4 << 20])]);
    site.upload(&told).await;
    let request = Request::get(format!("{}/f/log.txt", told.page())).header("accept-encoding", "gzip");
    let router = builder_web::http::router(site.app.clone());
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    // There is one thread: if it compressed, nobody else would be on it before the end.
    let turns = Arc::new(AtomicU64::new(0));
    let counted = turns.clone();
    let others = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let body = response.into_body().collect().await.unwrap().to_bytes();
    others.abort();
    assert!(turns.load(Ordering::SeqCst) > 0);
    assert!(body.len() < 10_000 && unpack(&body) == vec![b'a'; 4 << 20]);
}

#[tokio::test]
async fn the_plain_console_is_compressed_and_kept() {
    let site = Site::new();
    let mut told = Told::new(1);
    told.console = (0..1000).map(|line| (line, b"\x1b[32mthe same\x1b[m again".to_vec())).collect();
    site.upload(&told).await;
    let mut tags = Vec::new();
    for query in ["plain", "plain&times=no"] {
        let target = format!("{}/log?{query}", told.page());
        let plain = site.get(&target).await;
        let small = site.get_with(&target, &[("accept-encoding", "gzip")]).await;
        assert_eq!((plain.header("content-encoding"), small.header("content-encoding")), (None, Some("gzip")));
        assert!(unpack(&small.body) == plain.body && plain.body.len() > 10 * small.body.len());
        assert!(small.header("cache-control").unwrap().contains("immutable"));
        let tag = small.header("etag").unwrap().to_owned();
        assert_eq!(plain.header("etag"), Some(tag.as_str()));
        let again = site.get_with(&target, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        tags.push(tag);
    }
    assert_ne!(tags[0], tags[1]);
    let page = site.get_with(&format!("{}/log", told.page()), &[("accept-encoding", "gzip")]).await;
    assert!(String::from_utf8(unpack(&page.body)).unwrap().contains("the same"));
}

#[tokio::test]
async fn paths_that_the_original_kept_as_they_came_are_found() {
    let site = Site::new();
    let told = Told::new(1).files(&[("a/b", b"one"), ("c", b"two"), ("d/e", b"three")]);
    site.upload(&told).await;
    for (path, old) in [("a//b", "a/b"), ("/c", "c")] {
        let text = "UPDATE build_artifact SET filepath = ?1 WHERE filepath = ?2";
        assert_eq!(site.connection().execute(text, (path, old)).unwrap(), 1);
    }
    site.connection()
        .execute_batch(
            "INSERT INTO build_artifact (filepath, sha256, size, build)
        SELECT 'a/b', sha256, size, build FROM build_artifact WHERE filepath = '/c'",
        )
        .unwrap();
    for (path, text) in
        [("a//b", "one"), ("a/b", "two"), ("a///b", "two"), ("c", "two"), ("/c", "two"), ("d//e", "three")]
    {
        let answer = site.get(&format!("{}/f/{path}", told.page())).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, text), "{path}");
    }
    let foreign = site.get(&format!("/job/other/build/{}/f/a//b", told.build)).await;
    assert_eq!(foreign.location(), format!("{}/f/a//b", told.page()));
    let page = site.get(&told.page()).await.text();
    assert!(page.contains(&format!("{}/f/a//b\"", told.page())), "{page}");
}

/// The path of an address as a browser asks for it: segments of dots are taken out, encoded or not.
fn as_a_browser(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("/{}{query}", segments.join("/"))
}

#[tokio::test]
async fn every_artifact_has_an_address_that_a_browser_reaches() {
    let site = Site::new();
    let paths = ["../up", "a/./b", "a/../../c d", "..", "bin/hello", "/abs", "50%2e%2E/é+&?#"];
    let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (*path, path.as_bytes())).collect();
    let told = Told::new(1).files(&files);
    site.upload(&told).await;
    let json = site.get_json(&told.page()).await;
    let page = site.get(&told.page()).await.text();
    let artifacts = json["artifacts"].as_array().unwrap();
    assert_eq!(artifacts.len(), paths.len());
    for artifact in artifacts {
        let (path, url) = (artifact["path"].as_str().unwrap(), artifact["url"].as_str().unwrap());
        let answer = site.get(&as_a_browser(url)).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, path), "{url}");
        assert!(page.contains(&format!("href=\"{}\"", url.replace('&', "&#38;"))), "{url}\n{page}");
    }
    // Under another job it leads to the right one, with what was asked.
    let elsewhere = site.get(&format!("/job/other/build/{}/f?path=..%2Fup", told.build)).await;
    assert_eq!(elsewhere.location(), format!("{}/f?path=..%2Fup", told.page()));
    for nothing in ["/f", "/f?path=", "/f?path=up", "/f?path=..%2Fscript.txt"] {
        assert_eq!(site.get(&format!("{}{nothing}", told.page())).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[tokio::test]
async fn a_path_that_is_a_folders_is_refused_and_an_old_one_is_reached() {
    let site = Site::new();
    for bad in ["bin/", "/"] {
        let answer = site.post(crate::site::USER, "/upload", Told::new(1).files(&[(bad, b"x")]).encode()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?}");
        assert!(answer.text().contains("which is a folder's and no file's"), "{}", answer.text());
    }
    let told = Told::new(2);
    site.upload(&told).await;
    site.connection().execute("UPDATE build_artifact SET filepath = 'bin/'", []).unwrap();
    let to_file = site.get(&format!("{}/main-binary", told.page())).await;
    assert_eq!(site.get(&as_a_browser(to_file.location())).await.text(), "binary");
}
