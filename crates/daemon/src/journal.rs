//! Lines for systemd's journal: each with its priority in front, as `sd-daemon(3)` has it, so that
//! `journalctl --priority warning` shows what is to be seen. The journal has its own times, and no colours.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Whether standard error leads into the journal: systemd says which file that is, as a program may have been started
/// with another one by somebody below it.
pub(crate) fn has_standard_error() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let file = std::io::stderr().as_fd().try_clone_to_owned().and_then(|file| File::from(file).metadata());
    file.is_ok_and(|file| is_file(&named, file.dev(), file.ino()))
}

/// Whether a text such as `8:42` names this device and inode.
fn is_file(named: &str, device: u64, inode: u64) -> bool {
    let numbers = named.split_once(':').map(|(device, inode)| (device.parse::<u64>(), inode.parse::<u64>()));
    numbers == Some((Ok(device), Ok(inode)))
}

/// The priority of `syslog(3)`.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The text with the priority in front of each line: a line without one would be shown as any other.
pub(crate) fn lines(level: Level, text: &str) -> String {
    text.trim_end().lines().map(|line| format!("<{}>{line}\n", priority(level))).collect()
}

/// Events as lines for the journal.
pub(crate) struct Lines(Format<Full, ()>);

impl Default for Lines {
    fn default() -> Self {
        Self(tracing_subscriber::fmt::format().with_target(false).without_time().with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&lines(*event.metadata().level(), text.trim_start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_the_file_that_systemd_names() {
        assert!(is_file("8:42", 8, 42));
        for other in ["", "8", "8:43", "9:42", "8:42:1", "a:b", "-8:42"] {
            assert!(!is_file(other, 8, 42), "{other:?}");
        }
    }

    #[test]
    fn every_line_has_its_priority() {
        assert_eq!(lines(Level::ERROR, "cannot start\nhint: look\n"), "<3>cannot start\n<3>hint: look\n");
        assert_eq!(lines(Level::WARN, "it is late"), "<4>it is late\n");
        assert_eq!(
            lines(Level::INFO, "a") + &lines(Level::DEBUG, "b") + &lines(Level::TRACE, "c"),
            "<6>a\n<7>b\n<7>c\n"
        );
    }

    #[test]
    fn events_are_lines_without_time_and_colour() {
        let written = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .event_format(Lines::default())
            .with_writer(std::sync::Mutex::new(Shared(written.clone())))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(job = "hello", "the upload of {} failed\nhint: look", 17);
        });
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "<4>WARN the upload of 17 failed\n<4>hint: look job=\"hello\"\n");
    }

    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
