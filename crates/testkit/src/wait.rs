//! Waiting for what others do, never for ever.

use std::time::Duration;
use tokio::time::Instant;

/// Nothing in the tests takes that long.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before something is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits for something that can only be found out by asking.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for something that comes by itself.
pub async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("in vain: {what}"),
    }
}
