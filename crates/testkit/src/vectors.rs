//! The golden bytes of the original.

/// A line of `wire.jsonl`.
#[derive(Debug, Clone)]
pub struct Vector {
    /// The number of the line, from 1.
    pub number: usize,
    /// `cmd`, `exec` or `state`.
    pub kind: String,
    /// The DER.
    pub bytes: Vec<u8>,
    /// Whether the original takes it.
    pub accept: bool,
    /// What the original writes back.
    pub reencoded: Vec<u8>,
}

/// All of them.
pub fn vectors() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/wire.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let vector = |(index, line): (usize, &str)| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let hex = text("hex").unwrap();
        Vector {
            number: index + 1,
            kind: text("type").unwrap(),
            bytes: unhex(&hex),
            accept: value["accept"].as_bool().unwrap_or(true),
            reencoded: unhex(&text("reencode").unwrap_or(hex)),
        }
    };
    text.lines().enumerate().map(vector).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}
