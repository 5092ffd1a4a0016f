//! A file whose content goes to disk while it is still being written, so that the sync at its end is short: a long one
//! holds up every small sync on the same disk, and with that everybody who waits for a transaction.

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::File;
use std::io::{self, Write};

/// After how many bytes the disk is told to begin with them.
const PIECE_BYTES: u64 = 8 << 20;

/// A file that is written front to back.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    file: File,
    /// How far it is written.
    written: u64,
    /// How far the disk was told to write.
    begun: u64,
}

impl WriteBehind {
    /// Around a file that is empty.
    pub(crate) fn new(file: File) -> Self {
        Self { file, written: 0, begun: 0 }
    }

    /// The file itself.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Nobody needs these bytes soon, which makes the system write them now. It is advice: where it is not heeded, the
    /// sync at the end does all.
    fn begin(&mut self) {
        let (from, length) = (self.begun, self.written - self.begun);
        if let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length))
            && let Err(errno) = posix_fadvise(&self.file, from, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        {
            tracing::debug!("the system takes no advice about a file: {errno}");
        }
        self.begun = self.written;
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        if self.written - self.begun >= PIECE_BYTES {
            self.begin();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
