//! `builder-inspect decode`.

use crate::cli::{Exit, Failure, Screen};
use crate::decode::{Decoder, Kind};
use std::io::{self, BufRead, BufReader, Read, Write};

/// How much of standard input is read at once, in bytes.
const INPUT_BYTES: usize = 1 << 20;
/// The longest line that is taken, in bytes: two for each byte of the value.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// Decode lines of hex from standard input, each to one line of JSON.
///
/// A line that can be decoded gives `{"ok":true,"value":…,"reencoded":"<hex>"}`, every other one gives
/// `{"ok":false,"error":"…"}`. Byte strings are hex, times RFC 3339 with 12 decimals.
#[derive(Debug, clap::Args)]
pub(crate) struct Decode {
    /// What the lines are.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Kind,
}

impl clap::ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Message, Self::Record, Self::State]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(match self {
            Self::Message => clap::builder::PossibleValue::new("cmd").help("messages of the protocol"),
            Self::Record => clap::builder::PossibleValue::new("exec").help("build records"),
            Self::State => clap::builder::PossibleValue::new("state").help("state files"),
        })
    }
}

impl Decode {
    pub(crate) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin().lock());
        let mut decoder = Decoder::new(self.kind);
        let (mut line, mut answer) = (Vec::new(), Vec::new());
        loop {
            if input.buffer().is_empty() {
                screen.flush().map_err(Failure::Output)?;
            }
            line.clear();
            let count = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(Failure::Input)?;
            if count == 0 {
                return Ok(Exit::Success);
            }
            answer.clear();
            if count as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                input.skip_until(b'\n').map_err(Failure::Input)?;
                answer.extend_from_slice(b"{\"ok\":false,\"error\":\"the line is longer than 1 GiB\"}");
            } else {
                decoder.decode(line.trim_ascii(), &mut answer);
            }
            answer.push(b'\n');
            screen.write_all(&answer).map_err(Failure::Output)?;
        }
    }
}
