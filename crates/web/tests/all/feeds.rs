//! Feeds: what a reader gets, and that nothing of an upload breaks it.

use crate::site::{Site, Told};
use atom_syndication::Feed;
use builder_model::Outcome;
use http::StatusCode;

async fn feed(site: &Site, target: &str) -> Feed {
    let answer = site.get(target).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/atom+xml; charset=utf-8"));
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(site.get_with(target, &[("if-none-match", &tag)]).await.status, StatusCode::NOT_MODIFIED);
    Feed::read_from(answer.body.as_slice()).unwrap()
}

#[tokio::test]
async fn a_job_has_a_feed_of_its_newest_builds() {
    let site = Site::with(|settings| settings.site.url = Some("https://builds.example.org/".into()));
    site.upload(&Told::new(1)).await;
    site.upload(&Told::new(2).platform("freebsd-14").outcome(Outcome::Exited(2))).await;
    let all = feed(&site, "/job/hello/feed.atom").await;
    let titles: Vec<_> = all.entries.iter().map(|entry| entry.title.value.as_str()).collect();
    assert_eq!(titles, ["hello failed on freebsd-14", "hello built on debian-12"]);
    assert_eq!(all.updated.to_rfc3339(), "2024-09-05T14:01:01.250+00:00");
    let first = all.entries.last().unwrap();
    assert_eq!(first.id, format!("urn:uuid:{}", Told::new(1).build));
    assert_eq!(first.links[0].href, format!("https://builds.example.org{}", Told::new(1).page()));
    let told = first.content.as_ref().unwrap().value.clone().unwrap();
    assert!(told.contains("Result: exited 0") && told.contains("bin/hello"), "{told}");
    let own = all.links.iter().find(|link| link.rel == "self").unwrap();
    assert_eq!(own.href, "https://builds.example.org/job/hello/feed.atom");
    let some = feed(&site, "/job/hello/feed.atom?platform=debian-12").await;
    assert_eq!(some.entries.len(), 1);
    assert_ne!(some.id, all.id);
    assert_eq!(site.get("/job/none/feed.atom").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn failures_have_a_feed_that_no_text_breaks() {
    let site = Site::new();
    assert_eq!(feed(&site, "/failed-builds/feed.atom").await.entries.len(), 0);
    let hostile = "]]></title><script>alert(1)</script>&\"'\u{1b}\u{0}\u{fffe}";
    let job = "a<b>&\"' ü";
    site.upload(&Told::new(1).job(job).platform("p<&").outcome(Outcome::aborted(hostile))).await;
    site.upload(&Told::new(2)).await;
    let failed = feed(&site, "/failed-builds/feed.atom").await;
    let entry = failed.entries.first().unwrap();
    assert_eq!(entry.title.value, format!("{job} failed on p<&"));
    assert!(entry.content.as_ref().unwrap().value.as_ref().unwrap().contains("</script>&"));
    // Path-absolute, as the site does not know its address; encoded, so that it stays one segment.
    assert_eq!(entry.links[0].href, format!("/job/a%3Cb%3E%26%22%27%20%C3%BC/build/{}", Told::new(1).build));
    let text = site.get("/failed-builds/feed.atom").await.text();
    assert!(!text.contains("<script") && text.chars().all(|at| at >= ' ' || at == '\n'), "{text}");
}
