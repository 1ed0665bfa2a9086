//! What `top` takes.

use std::time::Duration;

use clap::Args as ClapArgs;

use crate::top::Column;

/// Faster than this nobody reads, and slower ones look away.
const FASTEST: Duration = Duration::from_millis(100);
const SLOWEST: Duration = Duration::from_secs(60);

/// A live picture.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct Top {
    /// How often the router is asked: 500ms, 2s; from 100ms to 60s
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = interval)]
    pub interval: Duration,
    /// What comes first
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Column::Score)]
    pub sort: Column,
}

fn interval(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse::<u32>().ok();
    let read = match text.strip_suffix("ms") {
        Some(digits) => number(digits).map(|millis| Duration::from_millis(millis.into())),
        None => text.strip_suffix('s').and_then(number).map(|seconds| Duration::from_secs(seconds.into())),
    };
    match read {
        Some(time) if (FASTEST..=SLOWEST).contains(&time) => Ok(time),
        Some(_) => Err("from 100ms to 60s is possible".to_owned()),
        None => Err("a number with its unit is wanted: 500ms, 2s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_unit_and_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("60s"), Ok(Duration::from_secs(60)));
        for text in ["", "5", "ms", "s", "1m", "-1s", "99ms", "61s", "0s", "5000000000s", "1.5s"] {
            assert!(interval(text).is_err(), "{text:?}");
        }
    }
}
