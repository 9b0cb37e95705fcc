//! Formats durations and times.

use std::time::{Duration, SystemTime};

/// Formats a duration in its largest sensible unit, rounded down.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Formats a duration with tenths of a second.
pub(crate) fn tenths(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Formats a duration in milliseconds or, from one second, in seconds with tenths.
pub(crate) fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        _ => tenths(Duration::from_millis(milliseconds)),
    }
}

/// Formats a number of bytes in MiB with tenths.
#[expect(clippy::cast_precision_loss, reason = "tenths of a MiB are shown")]
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Formats a time in UTC, such as `2026-11-28 14:05:09Z`.
pub(crate) fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string().replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_printed_in_its_largest_sensible_unit() {
        assert_eq!(span(0), "0 s");
        assert_eq!(span(119), "119 s");
        assert_eq!(span(120), "2 min");
        assert_eq!(span(7200), "2 h");
        assert_eq!(span(172_800), "2 days");
    }
}
