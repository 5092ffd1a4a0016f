//! What a worker of version 6 may tell of its build, when it does not hand it in.

use crate::der::{DecodeError, Reader};
use crate::element::Element;

/// What became of a build at a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told<'a> {
    /// `[0]`: its script has not begun, and will not begin here: why.
    Refused(&'a [u8]),
}

impl Told<'_> {
    pub(super) fn element(&self) -> Element<'_> {
        match self {
            Self::Refused(reason) => Element::explicit(0, Element::octets(*reason)),
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn told(&mut self) -> Result<Told<'a>, DecodeError> {
        match self.choice("what a worker tells")? {
            0 => self.explicit(0, |reader| Ok(Told::Refused(reader.octets()?))),
            _ => self.no_such_choice("what a worker tells"),
        }
    }
}
