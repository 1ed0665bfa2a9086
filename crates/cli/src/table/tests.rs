use super::*;

const COLUMNS: [Column; 4] = [
    column("NAME", 0).long(8),
    column("QUEUE", 1).right(),
    column("WHY", 2).long(8),
    column("SLOT", 3).wide(),
];

fn table() -> Table {
    let row = |name, queue: &str, why, slot| {
        [name, queue, why, slot].into_iter().map(Cell::new).collect::<Vec<Cell>>()
    };
    let rows = [
        row("10.0.0.1:8000", "3", "healthy", "0"),
        row("gpu-b.llm.svc:8000", "120", "failed: the engine has not answered for ten seconds", "1"),
    ];
    Table::new(&COLUMNS).with(rows)
}

fn drawn(width: Option<usize>) -> String {
    table().draw(Screen { width, color: false }, false)
}

#[test]
fn columns_are_as_wide_as_what_they_hold_where_nothing_limits_them() {
    let expected = "\
NAME                QUEUE  WHY
10.0.0.1:8000           3  healthy
gpu-b.llm.svc:8000    120  failed: the engine has not answered for ten seconds
";
    assert_eq!(drawn(None), expected);
    assert!(table().draw(Screen::default(), true).contains("SLOT\n"));
}

#[test]
fn on_a_terminal_the_longest_text_is_shortened_first() {
    let expected = "\
NAME                QUEUE  WHY
10.0.0.1:8000           3  healthy
gpu-b.llm.svc:8000    120  failed: the engine..
";
    assert_eq!(drawn(Some(47)), expected);
}

#[test]
fn columns_that_matter_least_go_when_nothing_can_be_shortened_any_more() {
    let expected = "\
NAME             QUEUE
10.0.0.1:8000        3
gpu-b.llm.svc..    120
(no room for WHY)
";
    assert_eq!(drawn(Some(22)), expected);
}

#[test]
fn no_line_is_ever_wider_than_the_terminal() {
    for width in 1..80 {
        for wide in [false, true] {
            let text = table().draw(Screen { width: Some(width), color: false }, wide);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
        }
    }
}

#[test]
fn characters_of_two_columns_are_counted_as_two() {
    let table = Table::new(&[column("A", 0).long(8), column("B", 1)])
        .with([vec![Cell::new("模型模型模型模型"), Cell::new("x")], vec![Cell::new("m"), Cell::new("y")]]);
    let expected = "A           B\n模型模型..  x\nm           y\n";
    assert_eq!(table.draw(Screen { width: Some(13), color: false }, false), expected);
}

#[test]
fn colours_do_not_count_for_the_width() {
    let table = Table::new(&[column("A", 0), column("B", 1)]).with([
        vec![Cell::new("no").toned(Tone::Bad), Cell::new("x")],
        vec![Cell::new("yes"), Cell::new("y")],
    ]);
    let expected = "\u{1b}[1mA\u{1b}[0m    \u{1b}[1mB\u{1b}[0m\n\u{1b}[31mno\u{1b}[0m   x\nyes  y\n";
    assert_eq!(table.draw(Screen { width: Some(80), color: true }, false), expected);
}

#[test]
fn a_hostile_name_is_shown_and_does_nothing() {
    let table = Table::new(&[column("A", 0)]).with([vec![Cell::new("x\u{1b}]0;owned\u{7}\n\u{202e}y")]]);
    assert_eq!(table.draw(Screen::default(), false), "A\nx\\u{1b}]0;owned\\u{7}\\u{a}\\u{202e}y\n");
}

#[test]
fn a_long_id_is_cut_even_where_nothing_limits_the_width() {
    let text =
        |id: String| Table::new(&[column("A", 0)]).with([vec![Cell::id(id)]]).draw(Screen::default(), false);
    assert_eq!(text("x".repeat(64)), format!("A\n{}\n", "x".repeat(64)));
    assert_eq!(text("x".repeat(9_000)), format!("A\n{}..\n", "x".repeat(62)));
}

#[test]
fn where_nothing_stands_a_sign_says_so() {
    assert_eq!(Cell::new(""), Cell::none());
}
