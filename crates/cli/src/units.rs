//! Quantities as people read them. Pure; ASCII, whatever the locale.

/// Steps of a bar.
const BAR: usize = 10;
const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// A time in milliseconds: `340ms`, `1.2s`, `59s`, `12m`, `3h05m`, `4d02h`.
pub fn millis(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms}ms"),
        1..=9 => format!("{seconds}.{}s", ms % 1_000 / 100),
        10..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A time in seconds.
pub fn seconds(seconds: f64) -> String {
    // What is negative or no number becomes 0, what is too much the most there is.
    millis((seconds * 1_000.0) as u64)
}

/// A size: `512 B`, `1.5 KiB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1_024.0, 0);
    while size >= 1_023.95 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1_024.0, unit + 1);
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A number with commas between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share, 0..=1, in whole percent; what is more is shown as more.
pub fn percent(share: f32) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A share as a bar and in percent: `######.... 62%`. No two blanks in it: those stand between columns.
pub fn bar(share: f32) -> String {
    // Rounded as the percentage is, so that both are full together; what is no number counts as empty.
    let full = ((share * BAR as f32).round() as usize).min(BAR);
    format!("{}{} {}", "#".repeat(full), ".".repeat(BAR - full), percent(share))
}

/// An engine's number, which is whole nearly always.
pub fn number(value: f32) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_two_digits_that_matter() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (1_250, "1.2s"),
            (9_999, "9.9s"),
            (10_000, "10s"),
            (119_999, "119s"),
            (120_000, "2m"),
            (7_199_999, "119m"),
            (7_500_000, "2h05m"),
            (172_799_999, "47h59m"),
            (200_000_000, "2d07h"),
        ];
        for (ms, expected) in cases {
            assert_eq!(millis(ms), expected);
        }
        assert_eq!(
            (seconds(1.25), seconds(-1.0), seconds(f64::NAN)),
            ("1.2s".into(), "0ms".into(), "0ms".into())
        );
    }

    #[test]
    fn sizes_change_their_unit_where_they_would_get_long() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (size, expected) in cases {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn counts_have_commas() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (65_536, "65,536"), (1_234_567, "1,234,567")];
        for (number, expected) in cases {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn a_bar_has_one_length_whatever_it_shows() {
        let cases = [
            (0.0, ".......... 0%"),
            (0.62, "######.... 62%"),
            (1.0, "########## 100%"),
            (1.4, "########## 140%"),
            (-0.5, ".......... -50%"),
        ];
        for (share, expected) in cases {
            assert_eq!(bar(share), expected);
        }
        assert_eq!(bar(f32::NAN), ".......... NaN%");
    }
}
