//! What a guest's words come to. Pure: from what it said, and from what its kernel said, to how it went.
//!
//! A guest passes only by saying so: one that said nothing at its end has failed, whatever came before.

use anyhow::{Context as _, ensure};

/// Before each line that is for the command; `assets/guest.sh` writes them.
const MARK: &str = "warmlane-guest: ";
/// Beginnings of what a kernel says when something in it is broken, though it may go on. Not among them: that it was
/// slow ("soft lockup", "stall"), as an emulated one is.
const BROKEN: [&str; 6] = [
    "WARNING: ",
    "kernel BUG at",
    "BUG: unable to handle",
    "BUG: kernel NULL pointer",
    "Oops:",
    "Kernel panic",
];

/// A guest that passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Its kernel's full version.
    pub(super) kernel: String,
    /// Tests that ran, the self-test among them.
    pub(super) tests: u32,
}

/// How the suite went in the guest that said this.
pub(super) fn read(said: &str) -> anyhow::Result<Passed> {
    let told = |name| told(said, name);
    let kernel = told("kernel").context("the guest did not come up: its first process said nothing")?;
    for (part, name) in [("self-test", "the lane's self-test"), ("suite", "the suite")] {
        let status = told(part).with_context(|| format!("the guest ended in {name}: {}", last(said)))?;
        ensure!(status == "0", "{name} failed on {kernel} (status {status}){}", failed(said));
    }
    ensure!(ended(said), "the guest did not come to its end");
    let counts: Vec<u32> = said.lines().filter_map(passed).collect();
    let ran = counts.len() == 2 && counts.iter().all(|count| *count > 0);
    ensure!(ran, "no tests ran in the guest: have they, or the words that select them, changed their names?");
    Ok(Passed { kernel: kernel.to_owned(), tests: counts.iter().sum() })
}

/// Whether the guest came to its end by itself, however its tests went.
pub(super) fn ended(said: &str) -> bool {
    told(said, "end").is_some()
}

/// Lines with which the kernel tells that something in it is broken.
pub(super) fn complaints(log: &str) -> Vec<&str> {
    let broken = |line: &&str| BROKEN.iter().any(|words| line.contains(words));
    log.lines().map(str::trim).filter(broken).collect()
}

/// What is behind a word of the guest's for the command.
fn told<'s>(said: &'s str, name: &str) -> Option<&'s str> {
    let lines = said.lines().filter_map(|line| line.trim().strip_prefix(MARK));
    lines.filter_map(|line| line.strip_prefix(name)).map(str::trim).next_back()
}

/// How many tests passed, of the line that tells it.
fn passed(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("test result: ok. ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The tests that failed, as they are listed behind a suite.
fn failed(said: &str) -> String {
    let lines = said.lines().map(str::trim);
    let names = lines.filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let names: Vec<&str> = names.collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

fn last(said: &str) -> &str {
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "warmlane-guest: kernel 6.1.0-57-cloud-amd64\r\n\
        test privileged::bodies::the_self_test_passes ... ok\r\n\
        test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 36 filtered out; finished in 1.20s\r\n\
        warmlane-guest: self-test 0\r\n\
        test privileged::limits::slots ... ok\r\n\
        test result: ok. 36 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 60.01s\r\n\
        warmlane-guest: suite 0\r\nwarmlane-guest: end\r\n";

    fn error(said: &str) -> String {
        read(said).expect_err("it did not pass").to_string()
    }

    #[test]
    fn a_guest_that_says_so_has_passed() {
        let passed = Passed { kernel: "6.1.0-57-cloud-amd64".into(), tests: 37 };
        assert_eq!(read(WHOLE).expect("it passed"), passed);
    }

    #[test]
    fn a_guest_that_stops_anywhere_has_failed() {
        assert!(error("").contains("did not come up"));
        for lines in 0..WHOLE.lines().count() {
            let said: Vec<&str> = WHOLE.lines().take(lines).collect();
            assert!(read(&said.join("\n")).is_err(), "{lines} lines");
        }
        let hung = WHOLE.split("test result: ok. 36").next().expect("the beginning");
        assert!(error(hung).contains("ended in the suite: test privileged::limits::slots ... ok"));
    }

    #[test]
    fn tests_that_fail_are_named() {
        let said = WHOLE.replace("suite 0", "suite 101").replace("slots ... ok", "slots ... FAILED");
        assert_eq!(
            error(&said),
            "the suite failed on 6.1.0-57-cloud-amd64 (status 101): privileged::limits::slots"
        );
        let said = WHOLE.replace("self-test 0", "self-test 132");
        assert!(error(&said).starts_with("the lane's self-test failed"));
    }

    #[test]
    fn a_suite_without_tests_has_not_passed() {
        assert!(error(&WHOLE.replace("36 passed", "0 passed")).contains("no tests ran"));
    }

    #[test]
    fn a_kernel_that_is_broken_is_heard_and_a_slow_one_is_not() {
        let log = "[    3.1] TCP recvmsg seq # bug 2\n[    3.2] WARNING: CPU: 1 PID: 99 at net/ipv4/tcp.c:2\r\n\
            [    9.0] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!\n[   12.0] Kernel panic - not syncing: x\n";
        let told = complaints(log);
        assert_eq!(told.len(), 2);
        assert!(told[0].ends_with("tcp.c:2") && told[1].contains("panic"), "{told:?}");
    }
}
