//! Where in the frames of a stream a position lies, so that a connection can be cut within one.

use builder_wire::frame::HEADER_BYTES;

/// Follows a stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Frames {
    header: [u8; HEADER_BYTES],
    /// How many bytes of the header came.
    have: usize,
    /// How many bytes of the message are to come.
    left: u64,
}

impl Frames {
    fn step(&mut self, byte: u8) {
        if self.left > 0 {
            self.left -= 1;
        } else {
            self.header[self.have] = byte;
            self.have += 1;
            if self.have == HEADER_BYTES {
                (self.have, self.left) = (0, u64::from_be_bytes(self.header));
            }
        }
    }

    /// Moves over bytes.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
            } else {
                self.step(*first);
                bytes = rest;
            }
        }
    }

    /// How many of these bytes may pass so that the stream ends within a frame, near a wanted number; nothing if
    /// there is no such place.
    pub(crate) fn cut(&self, bytes: &[u8], wanted: usize) -> Option<usize> {
        let mut at = self.clone();
        let mut best: Option<usize> = None;
        for (index, byte) in bytes.iter().enumerate() {
            at.step(*byte);
            if at.have > 0 || at.left > 0 {
                best = Some(index + 1);
                if index + 1 >= wanted {
                    break;
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_within_a_frame() {
        let mut stream = Vec::new();
        for size in [3_u64, 1, 5] {
            stream.extend_from_slice(&size.to_be_bytes());
            stream.extend(std::iter::repeat_n(9, usize::try_from(size).unwrap()));
        }
        let boundaries = [11, 20, 33];
        for wanted in 1..=stream.len() {
            let cut = Frames::default().cut(&stream, wanted).unwrap();
            assert!(!boundaries.contains(&cut), "{cut}");
        }
        let mut frames = Frames::default();
        frames.pass(&stream[..20]);
        assert_eq!(frames.cut(&stream[20..], 13), Some(12));
        assert_eq!(frames.cut(&[], 1), None);
    }
}
