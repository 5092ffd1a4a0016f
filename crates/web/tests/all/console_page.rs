//! The page of a console: parts, links to lines, and that a long one costs no more than a short one.

use crate::site::{Site, Told};
use builder_web::console::ConsoleIndexer;
use http::StatusCode;
use std::fmt::Write as _;

/// Puts a long console in the place of the one that was uploaded, with its index.
fn lengthen(site: &Site, told: &Told, lines: u64) {
    let mut text = String::new();
    for line in 1..=lines {
        writeln!(text, "{}.{:03}s:\x1b[32mline\x1b[0m {line}", line / 1000, line % 1000).unwrap();
    }
    std::fs::write(site.data().join(&told.job).join(told.build.to_string()).join("console.txt"), &text).unwrap();
    let mut indexer = ConsoleIndexer::new();
    indexer.push(text.as_bytes());
    let values = (indexer.finish().to_bytes(), lines);
    let text = "UPDATE repository_build SET console_index = ?1, console_lines = ?2";
    assert_eq!(site.connection().execute(text, values).unwrap(), 1);
}

/// Bytes that this process has read so far, of files and sockets.
fn bytes_read() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_part_of_a_million_lines_is_served_by_reading_little() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    lengthen(&site, &told, 1_000_000);
    let log = format!("{}/log", told.page());
    for (target, first, last) in [
        (log.clone(), 1, 1000),
        (format!("{log}?from=500001"), 500_001, 501_000),
        (format!("{log}?line=500500"), 500_001, 501_000),
        (format!("{log}?tail"), 999_001, 1_000_000),
    ] {
        let before = bytes_read();
        let answer = site.get(&target).await;
        let read = bytes_read() - before;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(read < 1_000_000, "{read} bytes were read for {target}");
        let page = answer.text();
        assert!(page.len() < 400_000, "{} bytes", page.len());
        for line in [first, last] {
            assert!(page.contains(&format!("<div id=\"L{line}\"><a href=\"#L{line}\">{line}</a>")), "{target}: {line}");
        }
        assert!(!page.contains(&format!("id=\"L{}\"", last + 1)));
        let leads = |rel: &str| page.contains(&format!("rel=\"{rel}\""));
        assert_eq!((leads("prev"), leads("next")), (first > 1, last < 1_000_000), "{target}");
    }
}

#[tokio::test]
async fn lines_are_linked_without_script() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    lengthen(&site, &told, 2500);
    let log = format!("{}/log", told.page());
    let page = site.get(&format!("{log}?from=1001")).await.text();
    assert!(page.contains("Lines 1001 to 2000 of 2500"), "{page}");
    assert!(page.contains(&format!("href=\"{log}?from=1\" rel=\"prev\"")));
    assert!(page.contains(&format!("href=\"{log}?from=2001\" rel=\"next\"")));
    assert!(page.contains("<span class=\"a-green\">line</span> 1001"));
    let answer = site.get(&format!("{log}?goto=1234")).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, format!("{log}?line=1234#L1234").as_str()));
    let beyond = site.get(&format!("{log}?line=9999")).await.text();
    assert!(beyond.contains("There is no line 9999; this is the end.") && beyond.contains("id=\"L2500\""));
    for bad in ["from=0", "line=x"] {
        assert_eq!(site.get(&format!("{log}?{bad}")).await.status, StatusCode::BAD_REQUEST);
    }
    let elsewhere = site.get(&log.replace("/hello/", "/other/")).await;
    assert_eq!((elsewhere.status, elsewhere.location()), (StatusCode::PERMANENT_REDIRECT, log.as_str()));
}

#[tokio::test]
async fn the_text_comes_as_it_is_stored_or_without_escapes() {
    let site = Site::new();
    let told = Told::new(1);
    site.upload(&told).await;
    let stored = site.get(&format!("{}/console", told.page())).await;
    assert_eq!(stored.text(), "0.000s:hello\n1.500s:\x1b[32mdone\x1b[0m\n");
    let browser = [("accept", "text/html,application/xhtml+xml")];
    let stored_for_browsers = site.get_with(&format!("{}/console", told.page()), &browser).await;
    assert_eq!(stored_for_browsers.header("content-type"), Some("text/plain; charset=utf-8"));
    let plain = site.get(&format!("{}/log?plain", told.page())).await;
    assert_eq!(plain.text(), "0.000s:hello\n1.500s:done\n");
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(site.get(&format!("{}/log?plain&times=no", told.page())).await.text(), "hello\ndone\n");
    let mut silent = Told::new(2);
    silent.console.clear();
    site.upload(&silent).await;
    assert!(site.get(&format!("{}/log", silent.page())).await.text().contains("This build printed nothing."));
}

#[tokio::test]
async fn programs_get_the_same_parts_as_json() {
    let site = Site::new();
    let mut told = Told::new(1);
    told.console = vec![(0, b"10%\r\x1b[1;32m20%".to_vec()), (1_500_000_000, b"a\xff<b>\x07".to_vec())];
    site.upload(&told).await;
    let log = format!("{}/log", told.page());
    let answer = site.get_with(&log, &[("accept", "application/json")]).await;
    assert!(answer.header("vary").unwrap().contains("accept"), "{answer:?}");
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "from": 1, "to": 2, "lines_total": 2, "next": null, "previous": null, "note": null,
            "lines": [
                { "number": 1, "time": "0.000s", "text": "20%" },
                { "number": 2, "time": "1.500s", "text": "a\u{fffd}<b>\u{2407}" },
            ],
        })
    );
    lengthen(&site, &told, 2500);
    for (query, from, to, previous, next) in [
        ("", 1, 1000, None, Some(1001)),
        ("?line=1500", 1001, 2000, Some(1), Some(2001)),
        ("?tail", 2001, 2500, Some(1001), None),
        ("?from=9999", 2001, 2500, Some(1001), None),
    ] {
        let json = site.get_json(&format!("{log}{query}")).await;
        assert_eq!((&json["from"], &json["to"], &json["lines_total"]), (&from.into(), &to.into(), &2500.into()));
        let lines = json["lines"].as_array().unwrap();
        assert_eq!((lines.len() as u64, &lines[0]["text"]), (to - from + 1, &format!("line {from}").into()));
        let address = |line: Option<u64>| line.map(|line| format!("{log}?from={line}"));
        assert_eq!(
            (json["previous"].as_str(), json["next"].as_str()),
            (address(previous).as_deref(), address(next).as_deref())
        );
        assert_eq!(json["note"].is_null(), query != "?from=9999");
    }
    let mut silent = Told::new(2);
    silent.console.clear();
    site.upload(&silent).await;
    let json = site.get_json(&format!("{}/log", silent.page())).await;
    assert_eq!((&json["from"], &json["lines"]), (&serde_json::Value::Null, &serde_json::json!([])));
    std::fs::remove_file(site.data().join(&told.job).join(told.build.to_string()).join("console.txt")).unwrap();
    let lost = site.get_with(&log, &[("accept", "application/json")]).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
}
