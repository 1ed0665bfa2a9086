//! The command line with the help of its commands kept short: what every command takes stands in `warmlane --help` alone.

use clap::{Command, CommandFactory as _, builder::StyledStr};

use super::Args;

const EVERYWHERE: &str = "Options for every command, such as --router ADDR and -o FORMAT: warmlane --help";

/// As it is read. What completes commands or is a manual takes it from [`Args`], with all of it everywhere.
pub(crate) fn command() -> Command {
    let mut command = Args::command();
    // Before that, commands lack what all take.
    command.build();
    command.mut_subcommands(short)
}

fn short(command: Command) -> Command {
    let after = match command.get_after_help() {
        Some(after) => format!("{}\n\n{EVERYWHERE}", after.ansi()),
        None => EVERYWHERE.to_owned(),
    };
    let hidden = command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    hidden.after_help(StyledStr::from(after)).mut_subcommands(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown for these words.
    fn help(words: &[&str]) -> String {
        let words = ["warmlane"].iter().chain(words).chain(&["--help"]);
        command().try_get_matches_from(words).expect_err("help").to_string()
    }

    #[test]
    fn a_command_tells_of_its_own_options_and_where_the_others_are() {
        assert!(help(&[]).contains("--kube") && !help(&[]).contains(EVERYWHERE));
        for words in [&["explain"][..], &["lane"], &["set"], &["set", "lane"]] {
            let help = help(words);
            assert!(!help.contains("--kube") && help.contains(EVERYWHERE), "{words:?}: {help}");
        }
        assert!(help(&["explain"]).contains("adds up to its total"));
    }

    #[test]
    fn what_every_command_takes_may_stand_anywhere() {
        for words in [["--router", "a:1", "set", "lane", "off"], ["set", "lane", "off", "--router", "a:1"]] {
            let words = ["warmlane"].iter().chain(&words);
            command().try_get_matches_from(words).expect("a command");
        }
    }
}
