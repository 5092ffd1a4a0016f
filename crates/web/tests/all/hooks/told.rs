//! Webhooks, and a receiver that checks what it is told.

use super::{Running, webhook};
use crate::site::Told;
use base64::Engine as _;
use builder_model::Outcome;
use builder_testkit::{Post, Repository as Receiver};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// What a post says, after its signature has been checked.
fn checked(post: &Post) -> Value {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(&post.body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(post.header("x-builder-signature-256"), Some(format!("sha256={expected}").as_str()));
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!(post.line, "POST /told?x=1 HTTP/1.1");
    let user = base64::engine::general_purpose::STANDARD.encode("us:er:pass");
    assert_eq!(post.header("authorization"), Some(format!("Basic {user}").as_str()));
    let body: Value = serde_json::from_slice(&post.body).unwrap();
    assert_eq!(post.header("x-builder-event"), body["event"].as_str());
    assert_eq!(post.header("x-builder-delivery"), Some(body["delivery"].to_string().as_str()));
    body
}

#[tokio::test]
async fn a_webhook_is_told_of_uploads_failures_and_changes_of_the_output() {
    let receiver = Receiver::start(&[]).await;
    let running = Running::new(&[], |settings| {
        settings.site.url = Some("https://builds.example.org".into());
        settings.webhooks = vec![
            webhook(&receiver, &["failure", "output-changed"], &["hello"]),
            webhook(&receiver, &["upload"], &["other"]),
        ];
    })
    .await;
    let changed = Told::new(4).files(&[("bin/a b", b"another binary")]);
    for told in [
        Told::new(1),
        Told::new(2),
        Told::new(3).outcome(Outcome::Exited(2)).files(&[("bin/hello", b"broken")]),
        changed.clone(),
        Told::new(5).files(&[("bin/a b", b"another binary")]),
        // Another platform has nothing before it, and another job is not asked for.
        Told::new(6).platform("p").files(&[("bin/hello", b"for p")]),
        Told::new(7).job("other").outcome(Outcome::Exited(1)),
    ] {
        running.upload(&told).await;
    }
    let runs = running.ended().await;
    let said: Vec<_> = runs.iter().map(|run| (run.event.as_str(), run.state.as_str(), run.status)).collect();
    let done = |event| (event, "done", Some(200));
    assert_eq!(said, [done("failure"), done("output-changed"), done("upload")]);
    assert_eq!(runs[0].target, format!("http://{}/told?x=1", receiver.address()), "without the password");
    assert_eq!(runs[0].log, "200 OK\nstatus 200\\x0aand more\n");

    let bodies: Vec<Value> = receiver.posts().iter().map(checked).collect();
    assert_eq!(bodies[0]["result"], "exited 2");
    assert_eq!((bodies[0]["good"].as_bool(), bodies[2]["job"].as_str()), (Some(false), Some("other")));
    let output = |digest: &str| json!({ "kind": "main-binary", "sha256": digest });
    let (old, new) = (
        "9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd",
        "8f299512c037b0309d4e2635464db03d5e81b7000c279735a169e0dd0a7612c4",
    );
    let page = format!("https://builds.example.org{}", changed.page());
    let expected = json!({
        "event": "output-changed",
        "delivery": 2,
        "job": "hello",
        "uuid": changed.build.to_string(),
        "platform": "debian-12",
        "result": "exited 0",
        "good": true,
        "started": "2024-09-05T16:00:00Z",
        "finished": "2024-09-05T16:01:01.250Z",
        "url": page,
        "main_binary": { "path": "bin/a b", "sha256": new, "size": 14, "url": format!("{page}/f/bin/a%20b") },
        "output": output(new),
        "previous": {
            "uuid": Told::new(2).build.to_string(),
            "url": format!("https://builds.example.org{}", Told::new(2).page()),
            "output": output(old),
        },
    });
    assert_eq!(bodies[1], expected);
}

#[tokio::test]
async fn a_webhook_that_is_refused_or_sent_elsewhere_is_tried_again() {
    let receiver = Receiver::start(&[503, 307]).await;
    let running = Running::new(&[], |settings| settings.webhooks = vec![webhook(&receiver, &[], &[])]).await;
    running.upload(&Told::new(1)).await;
    for (tries, status, state) in [(1, 503, "waiting"), (2, 307, "waiting"), (3, 200, "done")] {
        let runs = running.until("a try", |run| run.tries == tries && run.state != "running").await;
        assert_eq!((runs[0].status, runs[0].state.as_str()), (Some(status), state), "{runs:?}");
        running.hurry();
    }
    let bodies: Vec<Value> = receiver.posts().iter().map(checked).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same delivery, the same octets");
    assert_eq!((&bodies[0]["url"], &bodies[0]["main_binary"]["url"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_webhook_that_nobody_answers_says_so() {
    let receiver = Receiver::start(&[]).await;
    let gone = webhook(&receiver, &["upload"], &[]);
    drop(receiver);
    let running = Running::new(&[], |settings| settings.webhooks = vec![gone]).await;
    running.upload(&Told::new(1)).await;
    let runs = running.until("a try", |run| run.tries == 1 && run.state == "waiting").await;
    assert!(runs[0].status.is_none() && runs[0].log.starts_with("no answer: "), "{runs:?}");
}
