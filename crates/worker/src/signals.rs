//! Asking a worker to stop, and the signals that do so for a program that is nothing but a worker.

use crate::wait;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A request to stop that wakes whoever waits; it cannot be taken back. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Pair>);

/// The request is made when the reader can be read from; nobody ever reads.
#[derive(Debug)]
struct Pair {
    reader: UnixStream,
    writer: UnixStream,
}

impl Stop {
    /// A request that has not been made yet.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        Ok(Self(Arc::new(Pair { reader, writer })))
    }

    /// Makes the request.
    pub fn stop(&self) {
        loop {
            match (&self.0.writer).write(&[1]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // When there is no room for one more byte, the request has been made often enough.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Whether the request has been made.
    pub fn is_stopped(&self) -> bool {
        // A poll of one valid descriptor fails only for want of kernel memory; stopping is the safe answer.
        wait::is_readable(self.fd()).unwrap_or(true)
    }

    /// Waits for the request, at most this long; gives whether it has been made.
    pub fn wait(&self, at_most: Duration) -> bool {
        let until = Instant::now().checked_add(at_most);
        wait::poll_until(&mut [wait::to_read(self.fd())], until).unwrap_or(true)
    }

    /// What can be read from as soon as the request has been made.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

/// Makes SIGTERM and SIGINT of this process the request; the second of them ends the process as if nobody handled
/// it. Only for a program that handles no signals itself.
pub fn stop_on_signals() -> io::Result<Stop> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let stop = Stop::new()?;
    let asked_before = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down, and raises it for the next one.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&asked_before))?;
        signal_hook::flag::register(signal, Arc::clone(&asked_before))?;
        signal_hook::low_level::pipe::register(signal, stop.0.writer.try_clone()?)?;
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stays() {
        let stop = Stop::new().unwrap();
        assert!(!stop.is_stopped());
        assert!(!stop.wait(Duration::from_millis(1)));
        let clone = stop.clone();
        let waiting = std::thread::spawn(move || clone.wait(Duration::from_secs(3600)));
        for _ in 0..100_000 {
            stop.stop();
        }
        assert!(waiting.join().unwrap());
        assert!(stop.is_stopped());
    }
}
