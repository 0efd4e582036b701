//! Hostile strings through a real `sh`: by `quote::word`, and by the frame as words, environment, evaluated text and stdin.
//! A process is begun for each, so it is slow: some hundred inputs a second.
#![no_main]

#[path = "../../tests/support/hostile.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(why) = hostile::all_ways("sh", &hostile::texts_of(data)) {
        panic!("{why}");
    }
});
