//! Solo5 manifest and ABI: two notes in the ELF file of a unikernel, by which a page says what devices it wants and
//! what runs it.
//!
//! A file may be hundreds of megabytes, and anybody may have made it. So only its header, its section headers, the
//! table of their names and the two notes are read, each with a limit. The layouts are those of `mft_abi.h` and
//! `elf_abi.h` of Solo5. Which artifact to read is the caller's choice.

use crate::solo5::elf::{ByteOrder, Header, Note, Sections};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Seek};

mod elf;

/// Most devices in a manifest, the reserved entry at its start included.
pub const MANIFEST_ENTRIES_MAX: u32 = 64;

const MANIFEST_SECTION: &str = ".note.solo5.manifest";
const ABI_SECTION: &str = ".note.solo5.abi";
const MANIFEST_TYPE: u32 = 0x3154_464d;
const ABI_TYPE: u32 = 0x3149_4241;
const MANIFEST_VERSION: u32 = 1;
const ABI_BYTES: usize = 16;
/// Padding, version and number of entries.
const MANIFEST_HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 104;
const NAME_BYTES: usize = 68;

/// What the notes of a unikernel say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solo5 {
    /// The devices it wants.
    pub manifest: Manifest,
    /// What runs it.
    pub abi: Abi,
}

/// The devices that a unikernel wants. As JSON it is the original's `solo5_manifest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "solo5.manifest")]
pub struct Manifest {
    /// Always 1.
    pub version: u32,
    /// In the order of the manifest, without the reserved entry at its start.
    pub devices: Vec<Device>,
}

/// One device that a unikernel wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The name by which it is attached.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// A block device.
    #[serde(rename = "BLOCK_BASIC")]
    Block,
    /// A network interface.
    #[serde(rename = "NET_BASIC")]
    Net,
}

/// What runs a unikernel. As JSON it is the original's `solo5_abi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "solo5.abi")]
pub struct Abi {
    /// The tender, hypervisor or host.
    pub target: Target,
    /// The version of the target's ABI.
    pub version: u32,
}

/// The tender, hypervisor or host that a unikernel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Hardware virtualization by a tender.
    Hvt,
    /// A process in a sandbox.
    Spt,
    /// A hypervisor with virtio devices.
    Virtio,
    /// The Muen separation kernel.
    Muen,
    /// The Genode framework.
    Genode,
    /// The Xen hypervisor.
    Xen,
}

/// Why a file is not taken as a unikernel.
#[derive(Debug, thiserror::Error)]
pub enum Solo5Error {
    /// Reading failed. Every other variant is a fact about the file, this one is not.
    #[error("cannot read the file")]
    Read(#[source] io::Error),
    /// It is no ELF file of the kind we read.
    #[error("not a 64-bit ELF file: {0}")]
    Elf(&'static str),
    /// It has no section with such a note.
    #[error("no section {0}")]
    Missing(&'static str),
    /// A section by the right name holds something else.
    #[error("section {section} {why}")]
    Note {
        /// The section.
        section: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Solo5Error {
    fn note(section: &'static str, why: &'static str) -> Self {
        Self::Note { section, why }
    }
}

/// Reads both notes; a unikernel has both.
pub fn read(file: &mut (impl Read + Seek)) -> Result<Solo5, Solo5Error> {
    let header = Header::read(file)?;
    let sections = Sections::read(file, &header)?;
    let mut note = |name, kind, descriptor_max| {
        let section = sections.find(name).ok_or(Solo5Error::Missing(name))?;
        Note { section: name, kind, descriptor_max }.read(file, header.order, section)
    };
    let manifest_max = MANIFEST_HEADER_BYTES + ENTRY_BYTES * MANIFEST_ENTRIES_MAX as usize;
    let abi = abi(&note(ABI_SECTION, ABI_TYPE, ABI_BYTES)?)?;
    let manifest = manifest(&note(MANIFEST_SECTION, MANIFEST_TYPE, manifest_max)?)?;
    Ok(Solo5 { manifest, abi })
}

/// The descriptors are little endian, whatever the file is.
fn little(bytes: &[u8], at: usize) -> Option<u32> {
    elf::u32_at(bytes, at, ByteOrder::Little)
}

fn abi(descriptor: &[u8]) -> Result<Abi, Solo5Error> {
    let refuse = |why| Err(Solo5Error::note(ABI_SECTION, why));
    let words = [0, 4, 8, 12].map(|at| little(descriptor, at));
    let ([Some(target), Some(version), Some(0), Some(0)], ABI_BYTES) = (words, descriptor.len()) else {
        return refuse("is not 16 bytes of which the last 8 are zero");
    };
    let target = match target {
        1 => Target::Hvt,
        2 => Target::Spt,
        3 => Target::Virtio,
        4 => Target::Muen,
        5 => Target::Genode,
        6 => Target::Xen,
        _ => return refuse("names an unknown target"),
    };
    Ok(Abi { target, version })
}

fn manifest(descriptor: &[u8]) -> Result<Manifest, Solo5Error> {
    let refuse = |why| Err(Solo5Error::note(MANIFEST_SECTION, why));
    let (Some(version), Some(count)) = (little(descriptor, 4), little(descriptor, 8)) else {
        return refuse("ends before its entries");
    };
    if version != MANIFEST_VERSION {
        return refuse("is not of version 1");
    }
    if !(1..=MANIFEST_ENTRIES_MAX).contains(&count) {
        return refuse("has not 1 to 64 entries");
    }
    if descriptor.len() != MANIFEST_HEADER_BYTES + ENTRY_BYTES * count as usize {
        return refuse("is longer or shorter than its entries");
    }
    let mut entries = descriptor[MANIFEST_HEADER_BYTES..].chunks_exact(ENTRY_BYTES).map(entry);
    match entries.next() {
        Some(Ok(Entry::Reserved)) => {}
        Some(Err(why)) => return refuse(why),
        Some(Ok(Entry::Device(_))) | None => return refuse("does not begin with the reserved entry"),
    }
    let mut devices = Vec::new();
    for entry in entries {
        match entry {
            Ok(Entry::Device(device)) => devices.push(device),
            Ok(Entry::Reserved) => return refuse("has a second reserved entry"),
            Err(why) => return refuse(why),
        }
    }
    Ok(Manifest { version, devices })
}

enum Entry {
    Reserved,
    Device(Device),
}

/// Name, type, and what the tender fills in: that must still be zero.
fn entry(bytes: &[u8]) -> Result<Entry, &'static str> {
    let Some(end) = bytes[..NAME_BYTES].iter().position(|byte| *byte == 0) else {
        return Err("has a name that does not end");
    };
    let Ok(name) = str::from_utf8(&bytes[..end]) else {
        return Err("has a name that is not UTF-8");
    };
    if bytes[NAME_BYTES + 4..=96].iter().any(|byte| *byte != 0) {
        return Err("has an entry that is attached already");
    }
    let kind = match little(bytes, NAME_BYTES) {
        Some(1) => DeviceKind::Block,
        Some(2) => DeviceKind::Net,
        Some(0x4000_0000) if name.is_empty() => return Ok(Entry::Reserved),
        Some(0x4000_0000) => return Err("has a reserved entry with a name"),
        Some(_) | None => return Err("has an entry of an unknown type"),
    };
    Ok(Entry::Device(Device { name: name.to_owned(), kind }))
}

#[cfg(test)]
mod tests;
