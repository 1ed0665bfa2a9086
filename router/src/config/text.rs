//! Values as people write them. Each unit reads a text and writes one that reads back as the same value.
//!
//! What is wrong with a text is told in words that say what to write instead.

use std::{fmt::Display, str::FromStr};

/// What is wrong with a text.
pub(super) type Refusal = String;

/// How a value stands in a TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In quotes.
    Quoted,
    /// As it is: numbers, true and false.
    Bare,
    /// In quotes where it has a unit.
    Size,
    /// A list of quoted texts, separated by commas where it is one text.
    List,
    /// TOML already.
    Toml,
}

/// Times: `250ms`, `5s`, `1m30s`, `1h`.
pub(super) mod span {
    use std::time::Duration;

    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Quoted;
    const UNITS: [(&str, u64); 6] = [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
        ("us", 1),
    ];
    const HOW: &str = "write a time with its unit, such as 250ms, 5s, 1m30s or 1h";

    pub(in super::super) fn read(text: &str) -> Result<Duration, Refusal> {
        let mut rest = text.trim();
        let mut micros: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(HOW)?;
            let after = &rest[digits..];
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let unit = UNITS.iter().find(|(name, _)| *name == &after[..letters]).ok_or(HOW)?;
            let count: u64 = rest[..digits].parse().map_err(|_| HOW)?;
            let part = count.checked_mul(unit.1).and_then(|part| micros.checked_add(part));
            micros = part.ok_or("that is too long a time")?;
            rest = &after[letters..];
        }
        if text.trim().is_empty() { Err(HOW.to_owned()) } else { Ok(Duration::from_micros(micros)) }
    }

    pub(in super::super) fn write(value: &Duration) -> String {
        let mut micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let mut text = String::new();
        for (name, size) in UNITS {
            if micros >= size {
                text += &format!("{}{name}", micros / size);
                micros %= size;
            }
        }
        if text.is_empty() { "0s".to_owned() } else { text }
    }
}

/// Sizes: `64MiB`, `1GiB`, `10MB`, `65536`.
pub(super) mod bytes {
    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Size;
    const UNITS: [(&str, u64); 8] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
        ("B", 1),
    ];
    const HOW: &str = "write a number of bytes, or a size such as 512KiB, 64MiB, 1GiB or 10MB";

    pub(in super::super) fn read<T: TryFrom<u64>>(text: &str) -> Result<T, Refusal> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let name = text[digits..].trim_start();
        let unit = if name.is_empty() { 1 } else { UNITS.iter().find(|(n, _)| *n == name).ok_or(HOW)?.1 };
        let count: u64 = text[..digits].parse().map_err(|_| HOW)?;
        let bytes = count.checked_mul(unit).ok_or("that is too large a size")?;
        T::try_from(bytes).map_err(|_| "that is too large a size".to_owned())
    }

    pub(in super::super) fn write<T: Copy + TryInto<u64>>(value: &T) -> String {
        let bytes = (*value).try_into().unwrap_or(u64::MAX);
        let unit = UNITS.iter().take(4).find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
        unit.map_or_else(|| bytes.to_string(), |(name, size)| format!("{}{name}", bytes / size))
    }
}

/// Whole numbers.
pub(super) mod count {
    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Bare;

    pub(in super::super) fn read<T: TryFrom<u64>>(text: &str) -> Result<T, Refusal> {
        let number: u64 =
            text.trim().replace('_', "").parse().map_err(|_| "write a whole number, 0 or more")?;
        T::try_from(number).map_err(|_| "that number is too large here".to_owned())
    }

    pub(in super::super) fn write<T: ToString>(value: &T) -> String {
        value.to_string()
    }
}

/// Numbers that may have a fraction, 0 or more.
pub(super) mod ratio {
    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Bare;

    pub(in super::super) fn read(text: &str) -> Result<f32, Refusal> {
        let number = text.trim().parse().ok().filter(|n: &f32| n.is_finite() && *n >= 0.0);
        number.ok_or_else(|| "write a number, 0 or more, such as 0.8".to_owned())
    }

    pub(in super::super) fn write(value: &f32) -> String {
        value.to_string()
    }
}

/// `true` and `false`.
pub(super) mod switch {
    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Bare;

    pub(in super::super) fn read(text: &str) -> Result<bool, Refusal> {
        match text.trim() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("write true or false".to_owned()),
        }
    }

    pub(in super::super) fn write(value: &bool) -> String {
        value.to_string()
    }
}

/// Anything with a name of its own: addresses, strategies, free text.
pub(super) mod word {
    use super::{Display, Form, FromStr, Refusal};

    pub(in super::super) const FORM: Form = Form::Quoted;

    pub(in super::super) fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, Refusal> {
        text.trim().parse().map_err(|error: T::Err| error.to_string())
    }

    pub(in super::super) fn write<T: ToString>(value: &T) -> String {
        value.to_string()
    }
}

/// An address to listen on.
pub(super) mod address {
    use std::net::SocketAddr;

    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Quoted;

    pub(in super::super) fn read(text: &str) -> Result<SocketAddr, Refusal> {
        let text = text.trim();
        text.parse().map_err(|_| {
            let port = text.trim_start_matches(':').parse().unwrap_or(8080_u16);
            format!(
                "write IP:PORT, such as 127.0.0.1:{port}, 0.0.0.0:{port} for every address, or [::]:{port}"
            )
        })
    }

    pub(in super::super) fn write(value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// An address to listen on, or `off`.
pub(super) mod maybe_address {
    use std::net::SocketAddr;

    use super::{Form, Refusal, address};

    pub(in super::super) const FORM: Form = Form::Quoted;

    const OFF: &str = "off";

    pub(in super::super) fn read(text: &str) -> Result<Option<SocketAddr>, Refusal> {
        match text.trim() {
            "" | OFF => Ok(None),
            text => address::read(text).map(Some).map_err(|why| format!("{why}; {OFF} for no listener")),
        }
    }

    pub(in super::super) fn write(value: &Option<SocketAddr>) -> String {
        value.as_ref().map_or_else(|| OFF.to_owned(), address::write)
    }
}

/// A file's path, or nothing.
pub(super) mod file {
    use std::path::{Path, PathBuf};

    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::Quoted;

    pub(in super::super) fn read(text: &str) -> Result<PathBuf, Refusal> {
        Ok(PathBuf::from(text))
    }

    pub(in super::super) fn write(value: &Path) -> String {
        value.to_string_lossy().into_owned()
    }
}

/// Lists of words, separated by commas.
pub(super) mod list {
    use super::{Form, Refusal};

    pub(in super::super) const FORM: Form = Form::List;

    pub(in super::super) fn read(text: &str) -> Result<Vec<String>, Refusal> {
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    pub(in super::super) fn write(value: &[String]) -> String {
        value.join(",")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_need_a_unit_and_take_several() {
        assert_eq!(span::read("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(span::read(" 1m30s "), Ok(Duration::from_secs(90)));
        assert_eq!(span::read("0s"), Ok(Duration::ZERO));
        for wrong in
            ["", "5", "s", "5 s", "-5s", "5sec", "1.5s", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(span::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_plain_numbers_or_have_a_unit() {
        assert_eq!(bytes::read("64MiB"), Ok(64_u64 << 20));
        assert_eq!(bytes::read("10 MB"), Ok(10_000_000_u64));
        assert_eq!(bytes::read("4096"), Ok(4_096_usize));
        for wrong in ["", "MiB", "64mib", "64M", "-1", "1e6", "99999999TiB"] {
            assert!(bytes::read::<u64>(wrong).is_err(), "{wrong}");
        }
        assert!(bytes::read::<u32>("8GiB").is_err(), "too large for its type");
        assert_eq!(bytes::write(&(1_u64 << 30)), "1GiB");
        assert_eq!(bytes::write(&1_500_u64), "1500");
    }

    #[test]
    fn numbers_are_finite_and_not_below_zero() {
        for wrong in ["-1", "NaN", "inf", "", "a"] {
            assert!(ratio::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ratio::read("0.8"), Ok(0.8));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(micros in any::<u64>(), size in any::<u64>(), number in 0.0..1e9_f32) {
            let time = Duration::from_micros(micros);
            prop_assert_eq!(span::read(&span::write(&time)), Ok(time));
            prop_assert_eq!(bytes::read(&bytes::write(&size)), Ok(size));
            prop_assert_eq!(ratio::read(&ratio::write(&number)), Ok(number));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,12}") {
            let _ = (span::read(&text), bytes::read::<u64>(&text), ratio::read(&text), address::read(&text));
        }
    }
}
