//! Every golden vector through the whole decoders and the streaming parsers, and back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_wire::{DecodeError, Fault, Message, Record, state};
use support::{Exec, Finished, Vector, bytewise, vectors};

/// Where we refuse what the original takes: the line of the file, and why it is odd. The reasons are in the protocol
/// page: an underscore among digits is an accident, and a UUID has exactly 16 octets.
const DELIBERATE: [(usize, &str); 3] =
    [(221, "generalized_time text 20300101000000.1_2Z"), (288, "uuid of 17 bytes"), (289, "uuid of 36 bytes")];
/// Messages and records up to this size are cut at every byte.
const CUT_BYTES_MAX: usize = 2048;

/// What our encoder makes of what our decoder reads.
fn reencoded(vector: &Vector) -> Option<Vec<u8>> {
    let bytes = &vector.bytes;
    match vector.kind.as_str() {
        "cmd" => Message::decode(bytes).ok().map(|message| message.encode().to_vec()),
        "exec" => Record::decode(bytes).ok().map(|record| record.encode().to_vec()),
        "state" => state::decode(bytes).ok().map(|items| state::encode(&items).to_vec()),
        kind => panic!("unknown type {kind}"),
    }
}

#[test]
fn decoded_and_encoded_as_by_the_original() {
    let (vectors, mut differences) = (vectors(), Vec::new());
    for vector in &vectors {
        let ours = reencoded(vector);
        if ours.is_some() == vector.accept {
            assert!(ours.is_none_or(|bytes| bytes == vector.reencoded), "{vector:?}");
        } else {
            differences.push((vector.number, vector.why.as_str()));
            assert!(vector.accept, "we take nothing that the original refuses: {vector:?}");
        }
    }
    assert_eq!(differences, DELIBERATE);
}

#[test]
fn records_are_read_alike_whole_and_streamed() {
    for vector in vectors().iter().filter(|vector| vector.kind == "exec") {
        let whole = Exec::whole(&vector.bytes).ok();
        assert_eq!(whole, Exec::streamed(&bytewise(&vector.bytes)).ok(), "byte by byte: {vector:?}");
        for at in 0..vector.bytes.len().min(CUT_BYTES_MAX) {
            let (head, tail) = vector.bytes.split_at(at);
            assert_eq!(whole, Exec::streamed(&[head, tail]).ok(), "cut at {at}: {vector:?}");
            assert!(!vector.accept || Exec::streamed(&[head]).is_err(), "cut off at {at}: {vector:?}");
        }
    }
}

#[test]
fn finishes_are_read_alike_whole_and_streamed() {
    let is_finish = |vector: &&Vector| vector.kind == "cmd" && vector.bytes.first() == Some(&0xa3);
    let (mut taken, mut refused) = (0, 0);
    for vector in vectors().iter().filter(is_finish) {
        let whole = Finished::whole(&vector.bytes).ok();
        *(if whole.is_some() { &mut taken } else { &mut refused }) += 1;
        assert_eq!(whole, Finished::streamed(&bytewise(&vector.bytes)).ok(), "byte by byte: {vector:?}");
        if vector.bytes.len() < CUT_BYTES_MAX {
            for at in 0..vector.bytes.len() {
                let (head, tail) = vector.bytes.split_at(at);
                assert_eq!(whole, Finished::streamed(&[head, tail]).ok(), "cut at {at}: {vector:?}");
            }
        }
    }
    assert!(taken > 30 && refused > 5, "the vectors have both: {taken} {refused}");
}

#[test]
fn messages_cut_off_anywhere_are_errors() {
    for vector in vectors().iter().filter(|vector| vector.accept && vector.bytes.len() < CUT_BYTES_MAX) {
        for at in 0..vector.bytes.len() {
            let short = Vector {
                bytes: vector.bytes[..at].to_vec(),
                kind: vector.kind.clone(),
                why: String::new(),
                reencoded: Vec::new(),
                ..*vector
            };
            assert_eq!(reencoded(&short), None, "cut off at {at}: {vector:?}");
        }
    }
}

#[test]
fn surplus_is_told_where_it_is() {
    for mut vector in vectors().into_iter().filter(|vector| vector.kind == "exec" && vector.accept) {
        let length = vector.bytes.len() as u64;
        vector.bytes.push(0);
        let surplus = DecodeError { offset: length, fault: Fault::Surplus };
        assert_eq!(Exec::whole(&vector.bytes), Err(surplus.clone()));
        assert_eq!(Exec::streamed(&[&vector.bytes]), Err(surplus));
    }
}
