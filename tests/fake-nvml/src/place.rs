//! Where the script is.

use std::{ffi::OsString, path::PathBuf};

const VARIABLE: &str = "WARMLANE_FAKE_NVML";

/// The script's file, if any is named.
pub(crate) fn find() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    choose(std::env::var_os(VARIABLE), &maps, (find as fn() -> Option<PathBuf> as *const ()).addr())
}

/// `maps` is what the kernel says of this process; `address` lies in this library.
fn choose(named: Option<OsString>, maps: &str, address: usize) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.into());
    }
    let line = maps.lines().find(|line| holds(line, address))?;
    // Address, rights, offset, device, inode, then the path.
    let path = &line[line.find('/')?..];
    Some(format!("{path}.json").into())
}

fn holds(line: &str, address: usize) -> bool {
    let bounds = || {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(from)?..number(to)?)
    };
    bounds().is_some_and(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MAPS: &str = "\
        7f10-7f20 r--p 00000000 08:01 42 /lib/other.so\n\
        7f20-7f30 r-xp 00001000 08:01 43 /tmp/a b/libfake.so\n\
        7f30-7f40 rw-p 00000000 00:00 0\n";

    #[test]
    fn the_variable_goes_before_the_file_beside_the_library() {
        assert_eq!(choose(Some("x.json".into()), MAPS, 0x7f25).as_deref(), Some(Path::new("x.json")));
        let beside = Path::new("/tmp/a b/libfake.so.json");
        assert_eq!(choose(None, MAPS, 0x7f25).as_deref(), Some(beside));
        assert_eq!(choose(None, MAPS, 0x7f35), None);
        assert_eq!(choose(None, MAPS, 0x1), None);
    }
}
