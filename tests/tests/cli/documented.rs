//! What is written about the program is true: each example runs, and page and help name the same commands and exit codes.

use std::{collections::BTreeSet, fs};

use warmlane_tests::{TestRouter, agent::TestAgent, eventually, picker::engines};

use super::{program, run};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    fs::read_to_string(path).expect("docs/cli.md")
}

fn help() -> String {
    run(program().arg("--help")).well()
}

/// The words after `warmlane` on each line that is an example, without what the shell or a reader makes of the rest.
fn examples(text: &str) -> Vec<Vec<String>> {
    let words = |line: &str| {
        let line = line.trim().strip_prefix("sudo ").unwrap_or(line.trim());
        let line = line.strip_prefix("warmlane ")?;
        let end = line.find(['#', '>', '|', '&']).unwrap_or(line.len());
        // In the help, two spaces stand before the explanation.
        let command = line[..end].trim().split("  ").next()?;
        Some(command.split_whitespace().map(str::to_owned).collect())
    };
    text.lines().filter_map(words).collect()
}

#[test]
fn each_example_runs() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    eventually("it follows", || router.admin().get("/debug/agents").json()["agents"][0]["connected"] == true);
    let (admin, node) = (router.listening().admin.to_string(), agent.admin_address().to_string());
    let (page, help) = (examples(&page()), examples(&help()));
    assert!(page.len() >= 5 && help.len() >= 8, "{page:?} {help:?}");
    // Those that need requests, or a terminal, are run with the recipes.
    let needs_requests = |words: &Vec<String>| {
        matches!(words.first().map(String::as_str), Some("explain" | "watch" | "drain" | "top"))
    };
    for words in page.into_iter().chain(help).filter(|words| !needs_requests(words)) {
        // Other machines' addresses are this one's here.
        let mut here = words.clone();
        for at in 1..here.len() {
            match here[at - 1].as_str() {
                "--router" => here[at].clone_from(&admin),
                "--agent" => here[at].clone_from(&node),
                _ => {}
            }
        }
        let said = run(program().env("WARMLANE_ROUTER", &admin).args(&here));
        // A machine of tests may lack what a node has.
        let fits = said.code == Some(0) || (said.code == Some(1) && words.contains(&"doctor".to_owned()));
        assert!(fits && said.err.is_empty() && !said.out.is_empty(), "{words:?}: {said:?}");
    }
}

#[test]
fn page_and_help_name_the_same_commands() {
    let help = help();
    let listed =
        help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("commands");
    let starts = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let listed: BTreeSet<&str> = starts.filter_map(|line| line.split_whitespace().next()).collect();
    let page = page();
    let table = page.split("## Commands").nth(1).and_then(|rest| rest.split("\n\n").nth(1)).expect("a table");
    let first = table.lines().skip(2).filter_map(|line| line.split('|').nth(1));
    let ticked = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let written: BTreeSet<&str> = ticked.filter_map(|words| words.split(' ').next()).collect();
    assert_eq!(listed.into_iter().filter(|name| *name != "help").collect::<BTreeSet<_>>(), written);
}

#[test]
fn page_and_help_name_the_same_exit_codes() {
    let help = help();
    let listed =
        help.split("Exit codes:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("codes");
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let page = page();
    let table =
        page.split("## Exit codes").nth(1).and_then(|rest| rest.split("\n\n").nth(1)).expect("a table");
    let rows = table.lines().skip(2).filter_map(|line| line.split('|').nth(1));
    let written: Vec<&str> = rows.map(str::trim).collect();
    assert_eq!(listed, written);
    assert_eq!(listed, ["0", "1", "2", "3", "4"]);
}
