//! The recipes of `docs/debugging.md`: each command in them is run against a router that has something to tell.

use std::{fs, path::PathBuf, thread};

use warmlane_tests::{TestRouter, picker::TestPicker, terminal::Terminal};

use super::{Said, folder, program, run};

const BODY: &str = r#"{"model":"m","prompt":"hello hello hello","max_tokens":2}"#;

/// Commands within blocks of `console`.
fn recipes() -> Vec<String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/debugging.md"));
    let text = fs::read_to_string(path).expect("the page");
    let (mut recipes, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            line if inside => recipes.push(line.to_owned()),
            _ => {}
        }
    }
    recipes
}

/// Words as a shell would cut them, as far as recipes need it.
fn words(recipe: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in recipe.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn send(router: &TestRouter, id: &str) -> String {
    let header = format!("x-request-id: {id}\r\nx-session-id: abc\r\n");
    let sent = router.aware().post_with("/v1/completions", &header, BODY);
    sent.header("x-warmlane-endpoint").expect("an endpoint").to_owned()
}

/// What is to be seen on a terminal, and ends by a key.
fn watched(admin: &str, words: &[String]) {
    let start = Terminal::start(&folder().join("warmlane"), (100, 20), |command| {
        command.env_clear().envs([("TERM", "xterm"), ("WARMLANE_ROUTER", admin)]).args(words);
    });
    let terminal = start.expect("a terminal");
    terminal.shows("2 of 2 ready");
    terminal.press("q");
    assert_eq!(terminal.left().code, Some(0), "{words:?}");
}

#[test]
fn every_command_of_the_recipes_answers() {
    let picker = TestPicker::idle(2);
    let admin = picker.router.listening().admin.to_string();
    let endpoint = send(&picker.router, "the-request");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("body.json"), BODY).expect("a body");
    let recipes = recipes();
    assert!(recipes.len() > 25, "{recipes:?}");
    for recipe in &recipes {
        let recipe = recipe.replace("REQUEST-ID", "the-request").replace("HOST:PORT", &endpoint);
        let recipe = recipe.replace("ROUTER", &admin).replace("MODEL", "m");
        let mut words = words(&recipe);
        assert_eq!(words.remove(0), "warmlane", "{recipe}");
        if words[0] == "top" {
            watched(&admin, &words);
            continue;
        }
        let said: Said = thread::scope(|scope| {
            let mut command = program();
            command.current_dir(folder.path()).env("WARMLANE_ROUTER", &admin).args(&words);
            let answer = scope.spawn(move || run(&mut command));
            let mut number = 0;
            // Those that watch wait for something to happen.
            while !answer.is_finished() {
                number += 1;
                send(&picker.router, &format!("meanwhile-{number}"));
                thread::sleep(std::time::Duration::from_millis(20));
            }
            answer.join().expect("it ends")
        });
        // A machine without a GPU, and a router without agents, are not all well.
        let may_say_no = matches!(
            words.iter().map(String::as_str).find(|word| !word.starts_with('-')),
            Some("status" | "doctor")
        );
        let well = said.code == Some(0) || (may_say_no && said.code == Some(1));
        assert!(well && !said.out.is_empty(), "{recipe}: {said:?}");
    }
}
