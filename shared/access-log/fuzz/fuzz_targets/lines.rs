//! Fuzzes the fast path against the plain one: both write the same for each format, configured or detected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_access_log::{Fields, Format, Settings};
use lockstep_access_log_fuzz::read;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else { return };
    let fields = if choice < 128 { Fields::Ecs } else { Fields::Plain };
    let format = Format::ALL.get(usize::from(choice) % 6).copied();
    let settings = Settings { format, fields, ..Settings::default() };
    let plain = Settings { plainly: true, ..settings.clone() };
    assert_eq!(read(&settings, text, text.len()), read(&plain, text, 7));
});
