use super::*;

fn hidden(files: &[(&'static str, &str)]) -> Vec<String> {
    let files: Vec<File> = files.iter().map(|(name, text)| File { name, text: (*text).to_owned() }).collect();
    let mut names = Pseudonyms::default();
    files.iter().for_each(|file| names.learn(file));
    files.iter().map(|file| names.hide(file)).collect()
}

#[test]
fn a_name_is_the_same_other_name_in_every_file() {
    let page = r#"{"endpoints":[{"address":"10.0.0.1:8000","socket":"10.0.0.1:8000","node":"gpu-a","models":["Qwen/Q3"],
        "listener":"aware","health":"failed: 10.0.0.1:8000 of Qwen/Q3 on gpu-a: refused."}]}"#;
    let all = hidden(&[
        ("a.json", page),
        (
            "b.toml",
            "endpoints = [\"10.0.0.1:8000\"]\nmodel = \"x=Qwen/Q3\"\nurl = \"http://10.0.0.1:8000/v1\"\n",
        ),
        ("c.txt", "x{model=\"Qwen/Q3\",endpoint=\"10.0.0.1:8000\"} 1\n"),
    ]);
    for text in &all {
        for name in ["10.0.0.1", "Qwen", "gpu-a"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }
    assert!(all[0].contains("failed: 240.0.0.1:8000 of model-1 on node-1: refused."), "{}", all[0]);
    assert!(all[0].contains("\"listener\": \"aware\""), "{}", all[0]);
    assert_eq!(
        all[1],
        "endpoints = [\"240.0.0.1:8000\"]\nmodel = \"x=model-1\"\nurl = \"http://240.0.0.1:8000/v1\"\n"
    );
    assert_eq!(all[2], "x{model=\"model-1\",endpoint=\"240.0.0.1:8000\"} 1\n");
}

#[test]
fn addresses_stay_addresses_and_this_machine_stays_this_machine() {
    let text = |text: &str| hidden(&[("a.txt", text)]).remove(0);
    assert_eq!(
        text("from [fd00::7]:80, fd00::7 or 127.0.0.1:1"),
        "from [2001:db8::1]:80, 2001:db8::1 or 127.0.0.1:1"
    );
    assert_eq!(
        text("at 0.0.0.0:9090 and [::]:1; version 0.1.0"),
        "at 0.0.0.0:9090 and [::]:1; version 0.1.0"
    );
}

#[test]
fn hosts_and_names_with_spaces_are_names_too() {
    let page = r#"{"agents":[{"address":"gpu-7.example:9010","trouble":"gpu-7.example: a \"my model\" b"}],"models":["my model"]}"#;
    let text = hidden(&[("a.json", page)]).remove(0);
    assert!(!text.contains("example") && !text.contains("my model"), "{text}");
    assert!(text.contains("host-1:9010") && text.contains("a \\\"model-1\\\" b"), "{text}");
}

#[test]
fn what_is_a_word_of_ours_stays_whatever_models_are_called() {
    let page = r#"{"decisions":[{"model":"aware","listener":"aware","strategy":"DEFAULT"}]}"#;
    let text = hidden(&[("a.jsonl", page)]).remove(0);
    assert_eq!(
        text,
        "{\"decisions\":[{\"listener\":\"aware\",\"model\":\"model-1\",\"strategy\":\"DEFAULT\"}]}\n"
    );
}

#[test]
fn names_of_settings_and_of_texts_are_learnt_too() {
    let settings = "endpoints = [\"10.0.0.1:8000\", \"vllm-7.corp:8000\"]  # file\nmodels = [{ name = \"chat\", targets = [{ name = \"travel\", weight = 9 }] }]\n\
        \ntokenizers = [\"corp/m1=/m/t.json\"]\nagents = [\n  \"ag-1.corp:1\",\n  \"ag-2.corp:1\",\n]\n[listen]\nmetrics = \"10.9.8.7:9090\"\nstrategy = \"DEFAULT\"\n\n[admin]\nhosts = [\"debug.corp\"]\nother = \"http://logs.corp:80/x\"\n\n[[models]]\nname = \"big\"\n";
    let mut names = Pseudonyms::default();
    let file = File { name: "router/config.toml", text: settings.to_owned() };
    names.own(&"gpu-9.corp:9012".parse().expect("an address"), None);
    names.learn_text("cannot reach the agent at 10.7.7.7:9012");
    names.learn(&file);
    let text = names.hide(&file) + &names.text("at gpu-9.corp:9012, 10.7.7.7:9012 and 10.9.8.7");
    for name in ["corp", "10.0.", "10.9.", "10.7.", "chat", "travel", "big"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    assert!(text.contains(":8000\"]  # file") && text.contains("strategy = \"DEFAULT\""), "{text}");
}

#[test]
fn an_address_is_the_same_one_however_it_is_written() {
    let text = hidden(&[("a.txt", "fd00::7 FD00:0::7 fd00:0:0:0:0:0:0:7")]).remove(0);
    assert_eq!(text, "2001:db8::1 2001:db8::1 2001:db8::1");
    let names = Pseudonyms::default();
    assert_eq!(
        names.text("10.1.1.1:80 ::1 127.0.0.1"),
        "240.0.0.0:80 ::1 127.0.0.1",
        "one that nobody has learnt"
    );
}
