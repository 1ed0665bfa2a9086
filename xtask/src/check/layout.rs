//! The repository's own rules about files: their length, their names, and what must not be written in them.
//!
//! Pure but for reading the files: each rule takes a path and a text and returns what is wrong.

use std::path::Path;

use crate::workspace;

/// Above this, a file is named as one to split; above the ceiling, the check fails. Tests are not counted.
const AIM: usize = 300;
const CEILING: usize = 400;

/// Names that say nothing about the domain, so that anything ends up in such a file.
const BANNED: [&str; 9] = ["mod", "util", "utils", "common", "helper", "helpers", "manager", "base", "misc"];

/// Where a machine's own folders begin. Split in two so that this file passes its own rule.
const MACHINE: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// The library that talks to the kernel's programs, and the only place that may name it. Split for the same reason.
const FENCED: &str = concat!("ay", "a::");
const FENCE: &str = "router/src/kernel";

#[derive(Debug, PartialEq)]
enum Finding {
    Warning(String),
    Failure(String),
}

/// Checks every file of the checkout.
pub(super) fn check() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for file in workspace::files()? {
        let bytes = std::fs::read(workspace::root().join(&file))?;
        // Pictures and captures are not ours to read.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        for finding in findings(&file, &text) {
            match finding {
                Finding::Warning(what) => println!("  warning: {what}"),
                Finding::Failure(what) => failures.push(what),
            }
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn findings(file: &Path, text: &str) -> impl Iterator<Item = Finding> {
    [name(file), length(file, text), paths(file, text), fenced(file, text)].into_iter().flatten()
}

fn name(file: &Path) -> Option<Finding> {
    let parts = file.iter().filter_map(|part| Path::new(part).file_stem()?.to_str());
    let banned = parts.into_iter().find(|part| BANNED.contains(part))?;
    is_source(file).then(|| {
        let why = if banned == "mod" { "write foo.rs beside foo/" } else { "name it after what it holds" };
        Finding::Failure(format!("{}: the name `{banned}` is banned: {why}", file.display()))
    })
}

fn length(file: &Path, text: &str) -> Option<Finding> {
    if !is_source(file) || is_test(file) {
        return None;
    }
    // Tests stand last in a file, so everything before them is the code.
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let told = format!("{}: {lines} lines before its tests", file.display());
    match lines {
        lines if lines > CEILING => {
            Some(Finding::Failure(format!("{told}: over the ceiling of {CEILING}, split it")))
        }
        lines if lines > AIM => Some(Finding::Warning(format!("{told}: over the aim of {AIM}"))),
        _ => None,
    }
}

fn paths(file: &Path, text: &str) -> Option<Finding> {
    let found = text.lines().enumerate().find_map(|(at, line)| {
        let path = MACHINE.into_iter().find(|path| is_absolute(line, path))?;
        Some((at + 1, path))
    });
    found.map(|(line, path)| {
        Finding::Failure(format!("{}:{line}: names a folder of one machine ({path}...)", file.display()))
    })
}

fn fenced(file: &Path, text: &str) -> Option<Finding> {
    // The folder, and the file of its name.
    let inside = file.to_str().is_some_and(|file| file.starts_with(FENCE));
    let named =
        text.lines().position(|line| line.split(|c: char| !is_path(c)).any(|word| word.starts_with(FENCED)));
    let line = named.filter(|_| is_source(file) && !inside)? + 1;
    Some(Finding::Failure(format!("{}:{line}: only {FENCE} may name {FENCED}", file.display())))
}

fn is_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// Whether the line holds the path as a path of its own, not as a part of a longer one or of an address.
fn is_absolute(line: &str, path: &str) -> bool {
    let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/}".contains(c));
    line.match_indices(path).any(|(at, _)| starts(at))
}

fn is_source(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs" || extension == "py")
}

fn is_test(file: &Path) -> bool {
    let folder = file.iter().any(|part| part == "tests" || part == "benches" || part == "fuzz");
    folder || file.file_stem().is_some_and(|stem| stem == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(lines: usize) -> String {
        "let x = 1;\n".repeat(lines)
    }

    #[test]
    fn a_file_over_the_aim_is_a_warning_and_over_the_ceiling_a_failure() {
        let file = Path::new("router/src/relay.rs");
        assert_eq!(length(file, &source(AIM)), None);
        assert!(matches!(length(file, &source(AIM + 1)), Some(Finding::Warning(_))));
        assert!(matches!(length(file, &source(CEILING + 1)), Some(Finding::Failure(_))));
    }

    #[test]
    fn tests_do_not_count_wherever_they_stand() {
        let long = source(CEILING + 1);
        assert_eq!(length(Path::new("router/src/relay/tests.rs"), &long), None);
        assert_eq!(length(Path::new("tests/tests/fidelity.rs"), &long), None);
        let inline = format!("{}#[cfg(test)]\n{long}", source(10));
        assert_eq!(length(Path::new("router/src/relay.rs"), &inline), None);
    }

    #[test]
    fn names_that_say_nothing_are_refused_for_files_and_folders() {
        assert!(name(Path::new("router/src/relay/mod.rs")).is_some());
        assert!(name(Path::new("router/src/utils/text.rs")).is_some());
        assert!(name(Path::new("tests/common.rs")).is_some());
        assert!(name(Path::new("router/src/relay.rs")).is_none());
    }

    #[test]
    fn a_machine_path_is_found_with_its_line() {
        let text = format!("fine\nopen({:?})", concat!("/ro", "ot/.cache"));
        let Some(Finding::Failure(said)) = paths(Path::new("a.rs"), &text) else { panic!("not found") };
        assert!(said.starts_with("a.rs:2:"), "{said}");
    }

    #[test]
    fn the_library_for_kernel_programs_is_named_in_one_place_only() {
        let text = concat!("use std::io;\nuse ay", "a::Ebpf;\n");
        assert!(fenced(Path::new("router/src/kernel/object.rs"), text).is_none());
        let Some(Finding::Failure(said)) = fenced(Path::new("router/src/path.rs"), text) else {
            panic!("not found")
        };
        assert!(said.starts_with("router/src/path.rs:2:"), "{said}");
        assert!(fenced(Path::new("router/src/path.rs"), "use maya::calendar;").is_none());
    }

    #[test]
    fn a_longer_path_or_an_address_is_not_a_machine_path() {
        for line in
            [concat!("GET example.com/ho", "me/x"), concat!("tests/wo", "rk/x"), concat!("${DIR}/wo", "rk/")]
        {
            assert_eq!(paths(Path::new("a.rs"), line), None, "{line}");
        }
    }
}
