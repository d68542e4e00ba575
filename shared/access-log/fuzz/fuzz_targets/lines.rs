//! Fuzzes the fast path against the plain one: both write the same for each format, configured or detected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_access_log::{Format, Settings};
use lockstep_access_log_fuzz::read;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else { return };
    let settings = Settings { format: Format::ALL.get(usize::from(choice) % 6).copied(), ..Settings::default() };
    let plain = Settings { plainly: true, ..settings.clone() };
    assert_eq!(read(&settings, text, text.len()), read(&plain, text, 7));
});
