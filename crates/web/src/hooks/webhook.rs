//! Tells another server what happened: one `POST` of JSON, signed with a secret that both know.

use super::Event;
use super::queue::Tried;
use super::subject::{Output, Subject};
use crate::app::App;
use crate::limits::{WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_DURATION_MAX};
use crate::pages::link;
use crate::settings::Webhook;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder_model::Shown;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::Sha256;
use std::fmt::Write as _;
use std::io::Read;
use ureq::tls::{RootCerts, TlsConfig};

/// Whether a webhook is told of this.
pub(super) fn wants(webhook: &Webhook, event: Event, job: &str) -> bool {
    let is_in = |list: &[String], word: &str| list.is_empty() || list.iter().any(|known| known == word);
    is_in(&webhook.events, event.as_str()) && is_in(&webhook.jobs, job)
}

/// An address as it is shown and stored: without user and password.
pub(crate) fn address_without_user(url: &str) -> String {
    match split_user(url) {
        (Some(_), url) => url,
        (None, _) => url.to_owned(),
    }
}

/// Takes user and password out of an address.
fn split_user(url: &str) -> (Option<&str>, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), format!("{scheme}://{host}{path}")),
        None => (None, url.to_owned()),
    }
}

/// Sends it. `delivery` stays the same when it is tried again, so that a receiver can tell.
pub(super) fn send(app: &App, delivery: i64, event: Event, address: &str, subject: &Subject) -> Tried {
    let failed = |log: String| Tried::Failed { status: None, log };
    let webhooks = &app.settings().webhooks;
    let wanted =
        |webhook: &&Webhook| address_without_user(&webhook.url) == address && wants(webhook, event, &subject.build.job);
    let Some(webhook) = webhooks.iter().find(wanted) else {
        return failed("the configuration has no such webhook any more\n".into());
    };
    let site = app.settings().site.url.as_deref();
    let body = body(delivery, event, subject, site).to_string();
    let Some(signature) = signature(&webhook.secret, body.as_bytes()) else {
        return failed("the secret cannot be used as a key\n".into());
    };
    let (user, url) = split_user(&webhook.url);
    let mut request = agent()
        .post(&url)
        .header("Content-Type", "application/json")
        .header("X-Builder-Event", event.as_str())
        .header("X-Builder-Delivery", delivery.to_string())
        .header("X-Builder-Signature-256", format!("sha256={signature}"));
    if let Some(user) = user {
        let decoded: Vec<u8> = percent_decode_str(user).collect();
        request = request.header("Authorization", format!("Basic {}", STANDARD.encode(decoded)));
    }
    match request.send(&body) {
        Ok(mut response) => {
            let status = response.status();
            let mut answer = Vec::new();
            // An answer that breaks off has a status all the same.
            let broken = response.body_mut().as_reader().take(WEBHOOK_ANSWER_BYTES_MAX).read_to_end(&mut answer).err();
            let mut log = format!("{status}\n{}\n", Shown(&answer));
            if let Some(broken) = broken {
                log.push_str(&format!("the answer breaks off: {broken}\n"));
            }
            let status = Some(i64::from(status.as_u16()));
            if response.status().is_success() { Tried::Done { status, log } } else { Tried::Failed { status, log } }
        }
        Err(error) => failed(format!("no answer: {error}\n")),
    }
}

fn agent() -> ureq::Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(WEBHOOK_DURATION_MAX))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .user_agent(concat!("builder-web/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

/// HMAC-SHA256 (RFC 2104) of the body, in hexadecimal.
fn signature(secret: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    let mut text = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}

fn body(delivery: i64, event: Event, subject: &Subject, site: Option<&str>) -> Value {
    let build = &subject.build;
    let address = |path: String| site.map(|site| format!("{site}{path}"));
    let output = |output: &Output| json!({ "kind": output.kind, "sha256": output.digest.to_string() });
    let main_binary = subject.main_binary.as_ref().map(|main| {
        json!({
            "path": main.path,
            "sha256": main.sha256.to_string(),
            "size": main.size,
            "url": address(link::artifact(&build.job, build.uuid, &main.path)),
        })
    });
    let mut body = json!({
        "event": event.as_str(),
        "delivery": delivery,
        "job": build.job,
        "uuid": build.uuid.to_string(),
        "platform": build.platform,
        "result": build.outcome.to_string(),
        "good": build.outcome.is_success(),
        "started": build.start.to_string(),
        "finished": build.finish.to_string(),
        "url": address(link::build(&build.job, build.uuid)),
        "main_binary": main_binary,
        "output": subject.output.as_ref().map(output),
    });
    if let (Event::OutputChanged, Some(previous), Some(members)) = (event, &subject.previous, body.as_object_mut()) {
        let before = previous.output.as_ref().and_then(|known| known.as_ref()).map(output);
        let previous = json!({
            "uuid": previous.uuid.to_string(),
            "url": address(link::build(&build.job, previous.uuid)),
            "output": before,
        });
        members.insert("previous".into(), previous);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_openssl() {
        // printf %s '{"event":"upload"}' | openssl dgst -sha256 -hmac secret
        let expected = "2ec5bc06b6aeca7e33b9f37a3d51b62180ba245f79094299a9128aaf76007f02";
        assert_eq!(signature("secret", br#"{"event":"upload"}"#).as_deref(), Some(expected));
    }

    #[test]
    fn addresses_are_shown_without_passwords() {
        assert_eq!(address_without_user("https://u:p@example.org/a?b=@c"), "https://example.org/a?b=@c");
        assert_eq!(address_without_user("http://example.org/u@x"), "http://example.org/u@x");
        assert_eq!(split_user("https://u:p@example.org/").0, Some("u:p"));
    }

    #[test]
    fn webhooks_choose_events_and_jobs() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let webhook = |events: &[&str], jobs: &[&str]| Webhook {
            url: "http://x".into(),
            secret: String::new(),
            events: words(events),
            jobs: words(jobs),
        };
        assert!(wants(&webhook(&[], &[]), Event::Failure, "a"));
        assert!(wants(&webhook(&["output-changed"], &["a", "b"]), Event::OutputChanged, "b"));
        assert!(!wants(&webhook(&["output-changed"], &[]), Event::Upload, "b"));
        assert!(!wants(&webhook(&[], &["a"]), Event::Upload, "b"));
    }
}
