use super::*;

fn hung(text: &str, width: usize) -> String {
    hang(Screen { width: Some(width), color: false }, "why  ", Tone::Plain, text)
}

#[test]
fn a_text_is_broken_between_words_and_stays_beside_its_label() {
    assert_eq!(hung("one two three four", 13), "why  one two\n     three\n     four\n");
    assert_eq!(hung("one", 80), "why  one\n");
    assert_eq!(hung("", 80), "why  \n");
}

#[test]
fn a_word_that_is_longer_than_a_line_is_broken_anywhere() {
    assert_eq!(hung("a 0123456789abcdef z", 13), "why  a\n     01234567\n     89abcdef\n     z\n");
    assert_eq!(hung("模型模型模", 10), "why  模型\n     模型\n     模\n");
    assert_eq!(hung("模", 6), "why  模\n", "a character wider than the room still ends");
}

#[test]
fn complaints_are_broken_as_well_and_commands_in_them_are_not() {
    let screen = Screen { width: Some(24), color: false };
    let said = |line: &str| complaint(screen, line);
    assert_eq!(said("warmlane: no decision for it"), "warmlane: no decision\n          for it\n");
    assert_eq!(said("  Is the router running there?"), "  Is the router running\n  there?\n");
    let command = "    warmlane-router --endpoint HOST:PORT\n";
    assert_eq!(said(command.trim_end()), command);
    assert_eq!(said("warmlane: \u{1b}[2J"), "warmlane: \\u{1b}[2J\n");
}

#[test]
fn where_there_is_no_terminal_nothing_is_broken() {
    let text = "word ".repeat(200);
    assert_eq!(hang(Screen::default(), "why  ", Tone::Plain, &text).lines().count(), 1);
}
