//! Waiting: for a while, for something, never for ever, and not after somebody asked us to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long to wait before looking again.
const LOOK: Duration = Duration::from_millis(10);

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Takes note of SIGTERM, SIGINT and SIGHUP from now on.
pub(crate) fn heed_signals() -> std::io::Result<()> {
    let stop = STOP.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(())
}

/// Whether somebody asked us to stop.
pub(crate) fn is_stopped() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}

/// Lets time pass.
pub(crate) fn pause(duration: Duration) {
    // tidy: faults last for a while, and their rhythm is that of a clock
    std::thread::sleep(duration);
}

/// Waits until something is so; whether it became so in time.
pub(crate) fn until(at_most: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + at_most;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= end || is_stopped() {
            return false;
        }
        pause(LOOK);
    }
}
