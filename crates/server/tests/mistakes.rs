//! What once brought a session down, or a build to no end.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{Outcome, limits};
use builder_testkit::{Farm, Grounds};

/// A `jobFinished` whose list of files has a length of 127, in the long form that the original takes.
fn long_form_finish(build: &[u8; 16]) -> Vec<u8> {
    let file = [&[0x30, 0x7d, 0x0c, 0x01, b'a', 0x0c, 0x78][..], &[7; 120]].concat();
    let body = [&[0x0c, 0x10][..], build, &[0xa0, 0x03, 0x02, 0x01, 0x00, 0x30, 0x81, 0x7f], &file].concat();
    let sequence = [&[0x30, 0x81, u8::try_from(body.len()).unwrap()][..], &body].concat();
    let message = [&[0xa3, 0x81, u8::try_from(sequence.len()).unwrap()][..], &sequence].concat();
    [&(message.len() as u64).to_be_bytes()[..], &message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_of_127_in_long_form_is_recorded_in_its_short_form() {
    let farm = Farm::start().await;
    farm.schedule("a", "p").await;
    let (mut worker, job) = farm.running("p").await;
    worker.peer.send_bytes(&long_form_finish(job.build.as_bytes())).await;
    worker.closed().await;
    let record = farm.grounds().record("a", job.build);
    assert_eq!((record.outcome.as_str(), record.paths()), ("exited 0", vec!["a"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reason_of_another_is_cut_in_ours() {
    let farm = Grounds::new().start().await;
    farm.schedule("a", "p").await;
    let (worker, job) = farm.running("p").await;
    let long = Outcome::Aborted(vec![0xff; limits::REASON_BYTES_MAX - 100]);
    worker.finish(long, &[("/abs", b"x")]).await;
    let record = farm.grounds().record("a", job.build);
    let start = "execution aborted: artifact path \"/abs\" is absolute; the script had ended: execution aborted: \\xff";
    assert!(record.outcome.starts_with(start), "{}", record.outcome);
    assert!(record.outcome.len() < limits::REASON_BYTES_MAX);
    assert_eq!(farm.observe(job.build).await.lines.len(), 1);
}
