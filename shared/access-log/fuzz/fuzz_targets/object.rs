//! Fuzzes objects: every line is accounted for, and unreadable bytes are returned as they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_access_log::Settings;
use lockstep_access_log_fuzz::read;

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, object)) = data.split_first() else { return };
    let settings = Settings { batch_bytes: 500, line_bytes_max: 200, ..Settings::default() };
    let all = read(&settings, object, usize::from(chunk));
    if let Some(rest) = all.unreadable {
        assert_eq!(rest.bytes, object[rest.offset as usize..]);
    } else if object.first() != Some(&0x1f) {
        let text: Vec<&[u8]> = object.split(|&byte| byte == b'\n').collect();
        for line in text.iter().enumerate().map(|(index, line)| (index as u64 + 1, *line)) {
            let parts = all.quarantined.iter().filter(|part| part.line == line.0);
            let kept: Vec<u8> = parts.flat_map(|part| part.bytes.iter().copied()).collect();
            assert!(kept.is_empty() || kept == line.1);
        }
    }
});
