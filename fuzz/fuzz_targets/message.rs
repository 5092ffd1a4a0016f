//! Messages: no bytes make the decoder panic, and what was read is written so that it is read the same again.
#![no_main]

use builder_wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::decode(bytes) else { return };
    let written = message.encode().to_vec();
    assert_eq!(Message::decode(&written).as_ref(), Ok(&message));
});
