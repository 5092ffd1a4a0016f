//! Bytes of the protocol as JSON: hex in, one JSON object out, with what our encoder makes of the value. This is how
//! our codec is compared with others.

mod json;

use builder_wire::{Encoded, Message, Record, state};
use json::{Json, push_hex};

/// What the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// A build record.
    Record,
    /// A state file.
    State,
}

/// Decodes one value after the other; its buffers are used again.
#[derive(Debug)]
pub struct Decoder {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Decoder {
    /// A decoder for values of this kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new() }
    }

    /// Writes `{"ok":true,"value":…,"reencoded":"<hex>"}` or `{"ok":false,"error":"…"}` to the end of `out`.
    pub fn decode(&mut self, hex: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        if let Err(error) = self.try_decode(hex, out) {
            out.truncate(before);
            out.extend_from_slice(b"{\"ok\":false,\"error\":");
            Json(out).text(&error);
            out.push(b'}');
        }
    }

    fn try_decode(&mut self, hex: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        unhex(hex, &mut self.bytes)?;
        let bytes = &self.bytes;
        match self.kind {
            Kind::Message => {
                let message = Message::decode(bytes).map_err(|error| error.to_string())?;
                begin(out).message(&message);
                end(out, &message.encode());
            }
            Kind::Record => {
                let record = Record::decode(bytes).map_err(|error| error.to_string())?;
                begin(out).record(&record);
                end(out, &record.encode());
            }
            Kind::State => {
                let items = state::decode(bytes).map_err(|error| error.to_string())?;
                begin(out).state(&items);
                end(out, &state::encode(&items));
            }
        }
        Ok(())
    }
}

fn begin(out: &mut Vec<u8>) -> Json<'_> {
    out.extend_from_slice(b"{\"ok\":true,\"value\":");
    Json(out)
}

fn end(out: &mut Vec<u8>, encoded: &Encoded<'_>) {
    out.extend_from_slice(b",\"reencoded\":\"");
    encoded.pieces().for_each(|piece| push_hex(out, piece));
    out.extend_from_slice(b"\"}");
}

fn unhex(hex: &[u8], bytes: &mut Vec<u8>) -> Result<(), String> {
    bytes.clear();
    bytes.reserve(hex.len() / 2);
    if hex.len() % 2 == 1 {
        return Err("not hex: an odd number of digits".to_owned());
    }
    for (index, pair) in hex.chunks_exact(2).enumerate() {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        if high > 15 || low > 15 {
            return Err(format!("not hex: no digits at {}", index * 2));
        }
        bytes.push(high << 4 | low);
    }
    Ok(())
}

/// The value of each ASCII hex digit; 16 for everything else.
const DIGITS: [u8; 256] = {
    let mut table = [16; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};
