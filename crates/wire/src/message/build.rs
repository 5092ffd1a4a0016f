//! The parts of a build that travel in several messages: its UUID, its outcome, the files it left.

use crate::der::{DecodeError, Fault, Reader};
use crate::element::Element;
use builder_model::{BuildId, Outcome};
use std::borrow::Cow;

/// A file that a build left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'a> {
    /// Its path, with repeated slashes collapsed; otherwise as it came.
    pub path: Cow<'a, [u8]>,
    /// What is in it.
    pub data: &'a [u8],
}

pub(super) fn build_id(build: &BuildId) -> Element<'_> {
    Element::octets(&build.as_bytes()[..])
}

pub(crate) fn outcome(outcome: &Outcome) -> Element<'_> {
    match outcome {
        Outcome::Exited(status) => Element::explicit(0, Element::integer(*status)),
        Outcome::Signalled(number) => Element::explicit(1, Element::integer(*number)),
        Outcome::Stopped(number) => Element::explicit(2, Element::integer(*number)),
        Outcome::Aborted(reason) => Element::explicit(3, Element::octets(&reason[..])),
    }
}

pub(crate) fn files<'a>(files: &'a [File<'a>]) -> Element<'a> {
    let file =
        |file: &'a File<'a>| Element::sequence(vec![Element::octets(&file.path[..]), Element::octets(file.data)]);
    Element::sequence(files.iter().map(file).collect())
}

impl<'a> Reader<'a> {
    pub(crate) fn build_id(&mut self) -> Result<BuildId, DecodeError> {
        let before = self.clone();
        let octets = self.octets()?;
        match <[u8; 16]>::try_from(octets) {
            Ok(bytes) => Ok(BuildId::from_bytes(bytes)),
            Err(_) => before.error(Fault::Uuid { octets: octets.len() }),
        }
    }

    pub(crate) fn outcome(&mut self) -> Result<Outcome, DecodeError> {
        match self.choice("a result")? {
            0 => self.explicit(0, |reader| Ok(Outcome::Exited(reader.integer()?))),
            1 => self.explicit(1, |reader| Ok(Outcome::Signalled(reader.integer()?))),
            2 => self.explicit(2, |reader| Ok(Outcome::Stopped(reader.integer()?))),
            3 => self.explicit(3, |reader| Ok(Outcome::Aborted(reader.octets()?.to_vec()))),
            _ => self.no_such_choice("a result"),
        }
    }

    /// A path with repeated slashes collapsed.
    pub(crate) fn path(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let before = self.clone();
        let path = self.octets()?;
        if path.is_empty() || path.contains(&0) {
            return before.error(Fault::Path);
        }
        Ok(collapse_slashes(path))
    }

    pub(crate) fn file(&mut self) -> Result<File<'a>, DecodeError> {
        self.sequence(|reader| Ok(File { path: reader.path()?, data: reader.octets()? }))
    }
}

/// Repeated slashes become one; but two or more at the very start become two, as in the original, where POSIX gives
/// exactly two slashes a meaning of their own.
fn collapse_slashes(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(path);
    }
    let mut collapsed: Vec<u8> = Vec::with_capacity(path.len());
    for (index, &byte) in path.iter().enumerate() {
        let repeated = byte == b'/' && collapsed.last() == Some(&b'/') && index != 1;
        if !repeated {
            collapsed.push(byte);
        }
    }
    Cow::Owned(collapsed)
}
