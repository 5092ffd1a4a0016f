//! Notes in ELF files: made by a compiler, made by hand, and broken in every way we know.

use super::elf::ByteOrder;
use super::*;
use proptest::prelude::*;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

fn number(value: u32, order: ByteOrder) -> [u8; 4] {
    match order {
        ByteOrder::Little => value.to_le_bytes(),
        ByteOrder::Big => value.to_be_bytes(),
    }
}

fn note(kind: u32, descriptor: &[u8], order: ByteOrder) -> Vec<u8> {
    let header = [6, descriptor.len() as u32, kind].map(|value| number(value, order));
    [header.concat().as_slice(), b"Solo5\0\0\0", descriptor].concat()
}

fn abi_descriptor(target: u32, version: u32) -> Vec<u8> {
    [target, version, 0, 0].map(u32::to_le_bytes).concat()
}

fn entry_bytes(name: &str, kind: u32) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(68, 0);
    bytes.extend(kind.to_le_bytes());
    bytes.resize(104, 0);
    bytes
}

fn manifest_descriptor(entries: &[(&str, u32)]) -> Vec<u8> {
    let mut bytes = [0, 1, entries.len() as u32].map(u32::to_le_bytes).concat();
    entries.iter().for_each(|(name, kind)| bytes.extend(entry_bytes(name, *kind)));
    bytes
}

const RESERVED: (&str, u32) = ("", 0x4000_0000);

/// An ELF file of nothing but sections.
fn elf_file(sections: &[(&str, Vec<u8>)], order: ByteOrder) -> Vec<u8> {
    let big = |value: u64, bytes: usize| match order {
        ByteOrder::Little => value.to_le_bytes()[..bytes].to_vec(),
        ByteOrder::Big => value.to_be_bytes()[8 - bytes..].to_vec(),
    };
    let names: Vec<u8> = sections.iter().flat_map(|(name, _)| [name.as_bytes(), b"\0"].concat()).collect();
    let mut contents = Vec::new();
    let mut headers = Vec::new();
    let mut name_at = 0;
    let names = ("", names);
    for (name, content) in sections.iter().chain([&names]) {
        let mut header = big(name_at, 4);
        header.resize(24, 0);
        header.extend(big(64 + contents.len() as u64, 8));
        header.extend(big(content.len() as u64, 8));
        header.resize(64, 0);
        headers.extend(header);
        contents.extend(content);
        contents.resize(contents.len().next_multiple_of(4), 0);
        name_at += name.len() as u64 + 1;
    }
    let mut file = b"\x7fELF\x02".to_vec();
    file.push(if order == ByteOrder::Little { 1 } else { 2 });
    file.resize(40, 0);
    file.extend(big(64 + contents.len() as u64, 8));
    file.resize(58, 0);
    file.extend([64, sections.len() as u64 + 1, sections.len() as u64].map(|value| big(value, 2)).concat());
    file.extend(contents);
    file.extend(headers);
    file
}

fn unikernel(abi: Vec<u8>, manifest: Vec<u8>, order: ByteOrder) -> Vec<u8> {
    let sections = [
        (".text", b"code".to_vec()),
        (ABI_SECTION, note(ABI_TYPE, &abi, order)),
        (MANIFEST_SECTION, note(MANIFEST_TYPE, &manifest, order)),
    ];
    elf_file(&sections, order)
}

fn told(file: &[u8]) -> String {
    match read(&mut Cursor::new(file)) {
        Ok(Solo5 { manifest, abi }) => {
            format!("{} {}", serde_json::to_string(&manifest).unwrap(), serde_json::to_string(&abi).unwrap())
        }
        Err(error) => error.to_string(),
    }
}

const DEVICES: &str = concat!(
    r#"{"type":"solo5.manifest","version":1,"#,
    r#""devices":[{"name":"service","type":"NET_BASIC"},{"name":"storage","type":"BLOCK_BASIC"}]} "#,
    r#"{"type":"solo5.abi","target":"hvt","version":2}"#
);

fn good(order: ByteOrder) -> Vec<u8> {
    unikernel(abi_descriptor(1, 2), manifest_descriptor(&[RESERVED, ("service", 2), ("storage", 1)]), order)
}

#[test]
fn both_byte_orders_are_read() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        assert_eq!(told(&good(order)), DEVICES, "{order:?}");
    }
}

#[test]
fn the_json_is_read_back() {
    let Solo5 { manifest, abi } = read(&mut Cursor::new(good(ByteOrder::Little))).unwrap();
    let text = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
    let text = serde_json::to_string(&abi).unwrap();
    assert_eq!(serde_json::from_str::<Abi>(&text).unwrap(), abi);
}

#[test]
fn every_target_has_its_name() {
    let manifest = || manifest_descriptor(&[RESERVED]);
    for (number, name) in (1..).zip(["hvt", "spt", "virtio", "muen", "genode", "xen"]) {
        let told = told(&unikernel(abi_descriptor(number, 3), manifest(), ByteOrder::Little));
        assert_eq!(
            told,
            format!(
                "{{\"type\":\"solo5.manifest\",\"version\":1,\"devices\":[]}} \
                 {{\"type\":\"solo5.abi\",\"target\":\"{name}\",\"version\":3}}"
            )
        );
    }
}

#[test]
fn what_is_wrong_with_a_note_is_said() {
    let long_name = "x".repeat(68);
    let mut attached = manifest_descriptor(&[RESERVED, ("net", 2)]);
    attached[12 + 104 + 96] = 1;
    let many = vec![RESERVED; 65];
    let manifests: Vec<(Vec<u8>, &str)> = vec![
        (manifest_descriptor(&[]), "has not 1 to 64 entries"),
        (manifest_descriptor(&many[..]), "holds a note of the wrong length"),
        (manifest_descriptor(&many[..2]), "has a second reserved entry"),
        (manifest_descriptor(&[("net", 2)]), "does not begin with the reserved entry"),
        (manifest_descriptor(&[("x", RESERVED.1)]), "has a reserved entry with a name"),
        (manifest_descriptor(&[RESERVED, ("x", 3)]), "has an entry of an unknown type"),
        (manifest_descriptor(&[RESERVED, (&long_name, 1)]), "has a name that does not end"),
        (attached, "has an entry that is attached already"),
        (manifest_descriptor(&[RESERVED])[..115].to_vec(), "is longer or shorter than its entries"),
        (vec![0; 11], "ends before its entries"),
        (vec![0; 12], "is not of version 1"),
    ];
    for (manifest, why) in manifests {
        let told = told(&unikernel(abi_descriptor(1, 1), manifest, ByteOrder::Little));
        assert_eq!(told, format!("section {MANIFEST_SECTION} {why}"));
    }
    let abis = [
        (abi_descriptor(7, 1), "names an unknown target"),
        (abi_descriptor(1, 1)[..12].to_vec(), "is not 16 bytes of which the last 8 are zero"),
        ([1, 1, 1, 0].map(u32::to_le_bytes).concat(), "is not 16 bytes of which the last 8 are zero"),
    ];
    for (abi, why) in abis {
        let told = told(&unikernel(abi, manifest_descriptor(&[RESERVED]), ByteOrder::Little));
        assert_eq!(told, format!("section {ABI_SECTION} {why}"));
    }
}

#[test]
fn a_note_of_another_owner_or_type_is_none() {
    let manifest = note(MANIFEST_TYPE, &manifest_descriptor(&[RESERVED]), ByteOrder::Little);
    let mut other = note(ABI_TYPE, &abi_descriptor(1, 1), ByteOrder::Little);
    other[12] = b'X';
    for abi in [other, note(1, &abi_descriptor(1, 1), ByteOrder::Little)] {
        let file = elf_file(&[(ABI_SECTION, abi), (MANIFEST_SECTION, manifest.clone())], ByteOrder::Little);
        assert_eq!(told(&file), format!("section {ABI_SECTION} holds another note"));
    }
    let alone = elf_file(&[(MANIFEST_SECTION, manifest)], ByteOrder::Little);
    assert_eq!(told(&alone), format!("no section {ABI_SECTION}"));
}

#[test]
fn a_file_that_is_no_elf_of_ours_is_none() {
    assert_eq!(told(b""), "not a 64-bit ELF file: it ends within its header");
    assert_eq!(told(&[b'x'; 100]), "not a 64-bit ELF file: it does not begin like one");
    let with = |at: usize, value: u8| {
        let mut file = good(ByteOrder::Little);
        file[at] = value;
        told(&file)
    };
    assert_eq!(with(4, 1), "not a 64-bit ELF file: it does not begin like one");
    assert_eq!(with(5, 3), "not a 64-bit ELF file: it has no known byte order");
    for at in 9..16 {
        assert_eq!(with(at, 1), "not a 64-bit ELF file: its identification is not padded with zeros");
    }
    assert_eq!(with(43, 0xff), "not a 64-bit ELF file: it ends within its section headers");
    assert_eq!(with(44, 0xff), DEVICES, "the high half of the offset does not count");
    assert_eq!(with(58, 40), "not a 64-bit ELF file: its section headers have another size");
    assert_eq!(with(62, 9), "not a 64-bit ELF file: its sections have no names");
}

#[test]
fn a_claim_of_a_huge_section_costs_nothing() {
    let mut file = good(ByteOrder::Little);
    let headers = file.len() - 4 * 64;
    // Length of the ABI's section, then its offset, then the length of the names.
    file[headers + 64 + 32..][..8].fill(0xff);
    assert_eq!(told(&file), DEVICES);
    file[headers + 64 + 24..][..8].fill(0xff);
    assert_eq!(told(&file), format!("section {ABI_SECTION} lies beyond the end of the file"));
    file[headers + 3 * 64 + 32..][..8].fill(0xff);
    assert_eq!(told(&file), "not a 64-bit ELF file: the names of its sections are too long");
}

proptest! {
    #[test]
    fn broken_files_never_panic(at in 0_usize..1500, value: u8, keep in 0_usize..1500) {
        let mut file = good(ByteOrder::Big);
        let length = file.len();
        file[at % length] = value;
        file.truncate(keep.max(1));
        let told = told(&file);
        prop_assert!(!told.is_empty());
    }
}

const SOURCE: &str = r#"
#include <stdint.h>
struct entry { char name[68]; uint32_t type; uint64_t u[2]; uint8_t b[8]; uint8_t attached; uint8_t pad[7]; };
struct header { uint32_t namesz, descsz, type; char name[8]; };
struct manifest { struct header h; uint32_t pad; uint32_t version, entries; struct entry e[3]; };
struct abi { struct header h; uint32_t target, version, reserved[2]; };
__attribute__((section(".note.solo5.manifest"), used, aligned(8))) const struct manifest m = {
  { 6, sizeof(struct manifest) - sizeof(struct header), 0x3154464d, "Solo5" }, 0, 1, 3,
  { { "", 0x40000000 }, { "service", 2 }, { "storage", 1 } } };
__attribute__((section(".note.solo5.abi"), used, aligned(4))) const struct abi a = {
  { 6, 16, 0x31494241, "Solo5" }, 1, 2, { 0, 0 } };
void _start(void) {}
"#;

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_program_linked_by_gcc_has_its_notes_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.c"), SOURCE).unwrap();
    run(folder.path(), "gcc", &["-c", "-g", "-o", "hello.o", "hello.c"]);
    run(folder.path(), "gcc", &["-nostdlib", "-static", "-o", "hello.hvt", "hello.o"]);
    run(folder.path(), "objcopy", &["--remove-section", ABI_SECTION, "hello.hvt", "half.hvt"]);
    let told = |name: &str| told(&std::fs::read(folder.path().join(name)).unwrap());
    assert_eq!(told("hello.hvt"), DEVICES);
    assert_eq!(told("hello.o"), DEVICES);
    assert_eq!(told("half.hvt"), format!("no section {ABI_SECTION}"));
}

#[test]
fn a_big_endian_file_of_objcopy_beside_gcc_has_its_notes_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("abi", &note(ABI_TYPE, &abi_descriptor(1, 2), ByteOrder::Big));
    let devices = manifest_descriptor(&[RESERVED, ("service", 2), ("storage", 1)]);
    write("manifest", &note(MANIFEST_TYPE, &devices, ByteOrder::Big));
    let data = format!(".data={ABI_SECTION}");
    let manifest = format!("{MANIFEST_SECTION}=manifest");
    let sections = ["--rename-section", &data, "--add-section", &manifest];
    let arguments = [&["-I", "binary", "-O", "elf64-big"], &sections[..], &["abi", "big.o"]].concat();
    run(folder.path(), "objcopy", &arguments);
    let file = std::fs::read(folder.path().join("big.o")).unwrap();
    assert_eq!(file[5], 2, "objcopy wrote a big-endian file");
    assert_eq!(told(&file), DEVICES);
}
