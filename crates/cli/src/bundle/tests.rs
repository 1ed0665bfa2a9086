use std::io::Read as _;

use super::{gathered::MOST_BYTES, *};

fn manifest(missing: &[(&'static str, &str)]) -> Manifest {
    let files = vec![Listed { name: "router/router.json", bytes: 2_048 }];
    let missing = missing.iter().map(|(name, why)| Missing { name, why: (*why).to_owned() }).collect();
    Manifest {
        archive: "a.tar.gz".into(),
        path: "a.tar.gz".into(),
        version: "0.1.0",
        made: "now".to_owned(),
        redacted: true,
        removed: [("router/config.toml", 1)].into(),
        files,
        missing,
        is_whole: true,
    }
}

#[test]
fn an_archive_is_whole_where_each_who_answers_has_said_all() {
    let whole = |files: &[&'static str], missing: &[&'static str]| {
        let files: Vec<File> = files.iter().map(|name| File { name, text: String::new() }).collect();
        let missing: Vec<Missing> = missing.iter().map(|name| Missing { name, why: String::new() }).collect();
        is_whole(&files, &missing)
    };
    assert!(whole(&["router/a", "doctor.json"], &["agent/a", "agent/b"]), "there is no agent here");
    assert!(whole(&["agent/a"], &["router/a"]), "there is no router here");
    assert!(!whole(&["router/a"], &["router/b", "agent/a"]));
    assert!(!whole(&["doctor.json"], &["router/a", "agent/a"]), "nobody is here");
}

#[test]
fn what_there_is_not_is_told_by_a_line_each() {
    let manifest =
        manifest(&[("agent/node.json", "cannot reach it\n  Start one"), ("router/pins.json", "\u{1b}[2J")]);
    let text = manifest.draw(Screen::default(), false);
    assert_eq!(
        text,
        "archive   a.tar.gz\nholds     1 files and the list of them, 2.0 KiB before they were pressed; names stand for others\n\
         removed   what may be a secret or a prompt: 1 in router/config.toml\nlacks     agent/node.json: cannot reach it\n\
         lacks     router/pins.json: \\u{1b}[2J\n"
    );
}

#[test]
fn an_archive_can_be_opened_and_begins_with_what_is_in_it() {
    let files = [File { name: "router/router.json", text: "{}\n".to_owned() }];
    let packed = archive(&manifest(&[]), &files, SystemTime::UNIX_EPOCH).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*packed));
    let mut read = Vec::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        read.push((name, text));
    }
    assert_eq!(read[0].0, "warmlane-bundle/manifest.json");
    let listed: serde_json::Value = serde_json::from_str(&read[0].1).expect("JSON");
    assert_eq!(listed["files"][0]["name"], "router/router.json");
    assert_eq!(read[1], ("warmlane-bundle/router/router.json".to_owned(), "{}\n".to_owned()));
}

#[test]
fn what_there_is_no_room_for_is_left_out_and_named() {
    let mut gathered = Gathered::new(false);
    gathered.keep("router/a.json", Ok("x".repeat(MOST_BYTES - 10)));
    gathered.keep("router/b.json", Ok("x".repeat(11)));
    gathered.keep("router/c.json", Ok("x".repeat(10)));
    assert_eq!(
        gathered.files.iter().map(|file| file.name).collect::<Vec<_>>(),
        ["router/a.json", "router/c.json"]
    );
    assert_eq!(gathered.missing[0].name, "router/b.json");
}
