//! State files: no bytes make the decoder panic, and what was read is written so that it is read the same again.
#![no_main]

use builder_wire::state;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(items) = state::decode(bytes) else { return };
    let written = state::encode(&items).to_vec();
    assert_eq!(state::decode(&written).as_ref(), Ok(&items));
});
