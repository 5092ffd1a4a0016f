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
