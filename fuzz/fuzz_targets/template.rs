//! See [`companion_fuzz::targets::template`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| companion_fuzz::targets::template(bytes));
