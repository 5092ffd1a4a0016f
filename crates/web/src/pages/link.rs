//! Addresses of pages. Every part that came from an upload is percent-encoded, so that a name can neither add a
//! segment nor end an attribute.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Display;

/// All but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A path keeps its slashes.
const PATH: &AsciiSet = &SEGMENT.remove(b'/').remove(b'+');

/// One segment of a path, or a value in a query.
pub(crate) fn segment(text: &str) -> String {
    match text {
        // A browser would resolve these before it asks.
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        // Nearly every name is one that stays as it is.
        plain if plain.bytes().all(is_unreserved) => plain.to_owned(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The path of an artifact, slashes kept.
pub(crate) fn path(text: &str) -> String {
    if text.bytes().all(|byte| is_unreserved(byte) || matches!(byte, b'/' | b'+')) {
        return text.to_owned();
    }
    utf8_percent_encode(text, PATH).to_string()
}

/// The page of a job, on one platform or on all.
pub(crate) fn job(name: &str, platform: Option<&str>) -> String {
    format!("/job/{}{}", segment(name), query(platform))
}

/// The page of a job with its failed builds.
pub(crate) fn job_failed(name: &str, platform: Option<&str>) -> String {
    format!("/job/{}/failed{}", segment(name), query(platform))
}

/// The list of all builds, of one job or of any, that meet conditions: keys and values of a query.
pub(crate) fn builds(job: Option<&str>, conditions: &[(&str, &str)]) -> String {
    let mut address = job.map(|name| format!("/job/{}/builds", segment(name))).unwrap_or_else(|| "/builds".into());
    for (index, (key, value)) in conditions.iter().enumerate() {
        address.push(if index == 0 { '?' } else { '&' });
        address.push_str(key);
        address.push('=');
        address.push_str(&segment(value));
    }
    address
}

/// The feed of a job, of one platform or of all.
pub(crate) fn job_feed(name: &str, platform: Option<&str>) -> String {
    format!("/job/{}/feed.atom{}", segment(name), query(platform))
}

/// The page of a build.
pub(crate) fn build(job: &str, uuid: impl Display) -> String {
    format!("/job/{}/build/{uuid}", segment(job))
}

/// The main binary of a build.
pub(crate) fn main_binary(job: &str, uuid: impl Display) -> String {
    format!("{}/main-binary", build(job, uuid))
}

/// An artifact of a build. A browser takes segments of dots out of a path before it asks, and we a slash at its end:
/// what has such is asked for in the query.
pub(crate) fn artifact(job: &str, uuid: impl Display, filepath: &str) -> String {
    let is_taken_out = |segment: &str| matches!(segment, "." | "..");
    if filepath.is_empty() || filepath.ends_with('/') || filepath.split('/').any(is_taken_out) {
        return format!("{}/f?path={}", build(job, uuid), utf8_percent_encode(filepath, SEGMENT));
    }
    format!("{}/f/{}", build(job, uuid), path(filepath))
}

/// The comparison of two builds.
pub(crate) fn compare(left: impl Display, right: impl Display) -> String {
    format!("/compare/{left}/{right}")
}

/// A search for a package in this version.
pub(crate) fn package(name: &str, version: &str) -> String {
    format!("/search?q={}%20{}", segment(name), segment(version))
}

/// A platform as a query, or nothing for all.
pub(crate) fn query(platform: Option<&str>) -> String {
    platform.map(|platform| format!("?platform={}", segment(platform))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_segment() {
        assert_eq!(job("a b/ü\"<", Some("x&y=z")), "/job/a%20b%2F%C3%BC%22%3C?platform=x%26y%3Dz");
        assert_eq!(artifact("..", 1, "bin/a b?c#d"), "/job/%2E%2E/build/1/f/bin/a%20b%3Fc%23d");
        assert_eq!(
            builds(Some("a b"), &[("platform", "x&y"), ("count", "5")]),
            "/job/a%20b/builds?platform=x%26y&count=5"
        );
        assert_eq!(builds(None, &[]), "/builds");
        assert_eq!(artifact("hello", 1, "../up"), "/job/hello/build/1/f?path=..%2Fup");
        assert_eq!(artifact("hello", 1, "a/./b&c"), "/job/hello/build/1/f?path=a%2F.%2Fb%26c");
        assert_eq!(artifact("hello", 1, "bin/"), "/job/hello/build/1/f?path=bin%2F");
        assert_eq!(artifact("hello", 1, "a/..b/.c"), "/job/hello/build/1/f/a/..b/.c");
        assert_eq!(main_binary("hello", 1), "/job/hello/build/1/main-binary");
        assert_eq!(segment("mirage-www_1.0~x@y"), "mirage-www_1.0~x%40y");
        assert_eq!(path("bin/a b++.hvt"), "bin/a%20b++.hvt");
        // It goes into headers, too.
        assert_eq!(path("a\r\nSet-Cookie: x"), "a%0D%0ASet-Cookie%3A%20x");
    }
}
