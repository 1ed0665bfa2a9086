//! Images, arguments and ports of the manifests are those of the binaries.
//!
//! The binaries lie where `WARMLANE_BIN_DIR` says, which `cargo xtask test` sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

use super::{
    extension::{MOUNTED, SECRET},
    rendered::{all, containers, list, pod, title, tool},
};

/// What is ours to build.
const OURS: [&str; 3] = ["warmlane-router", "warmlane-agent", "warmlane-sim"];

/// What each binary says of its flags.
static HELP: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let ask = |binary: &'static str| (binary, run(binary, &["--help".to_owned()]).1);
    OURS.into_iter().map(ask).collect()
});

/// Whether it ended well, and all it said.
fn run(binary: &str, words: &[String]) -> (bool, String) {
    let output = Command::new(tool("WARMLANE_BIN_DIR").join(binary)).args(words).env_clear().output();
    let output = output.unwrap_or_else(|error| panic!("{binary}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn has(binary: &str, flag: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    HELP[binary].split(|c: char| !is_name(c)).any(|word| word == flag)
}

/// A container of ours: binary, its arguments, and itself.
struct Ours {
    place: String,
    binary: &'static str,
    args: Vec<String>,
    container: &'static Value,
}

fn ours() -> Vec<Ours> {
    let pods = all().filter_map(|(set, object)| Some((format!("{set}: {}", title(object)), pod(object)?)));
    let each = pods.flat_map(|(place, pod)| containers(pod).into_iter().map(move |c| (place.clone(), c)));
    let ours = each.filter_map(|(place, container)| {
        let image = container["image"].as_str().expect("an image").split(':').next()?;
        let binary = OURS.into_iter().find(|name| *name == image)?;
        let args = list(&container["args"]).iter().map(|word| word.as_str().expect("a word").to_owned());
        Some(Ours { place, binary, args: args.collect(), container })
    });
    ours.collect()
}

/// `--flag=value` and `--flag`.
pub(super) fn halves(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)))
}

#[test]
fn each_argument_is_a_flag_of_its_binary() {
    let found = ours();
    let seen: BTreeSet<&str> = found.iter().map(|ours| ours.binary).collect();
    assert_eq!(seen, BTreeSet::from(OURS));
    for Ours { place, binary, args, .. } in &found {
        for (flag, _) in args.iter().map(|word| halves(word)) {
            assert!(flag.starts_with("--"), "{place}: {flag} is no flag; values go with `=`");
            assert!(has(binary, flag), "{place}: {binary} has no {flag}");
        }
    }
}

#[test]
fn the_router_accepts_its_arguments() {
    let found = ours();
    let routers = found.iter().filter(|ours| ours.binary == "warmlane-router");
    let mut checked = BTreeSet::new();
    for Ours { place, args, binary, .. } in routers {
        // Certificates lie elsewhere on this machine.
        let here = |word: &String| word.replace("$(POOLS)", "llm/qwen").replace(MOUNTED, &SECRET.path());
        let words: Vec<String> = args.iter().map(here).collect();
        if checked.insert(words.clone()) {
            let (well, said) = run(binary, &[words, vec!["--check".to_owned()]].concat());
            assert!(well, "{place}: {said}");
        }
    }
    assert!(checked.len() >= 3, "{checked:?}");
    let (well, said) = run("warmlane-router", &["--lane=mostly".to_owned(), "--check".to_owned()]);
    assert!(!well, "what is wrong is not refused: {said}");
}

#[test]
fn the_agent_accepts_its_arguments() {
    use clap::Parser as _;
    use warmlane_agent::config::Config;
    let found = ours();
    let agents: Vec<_> = found.iter().filter(|ours| ours.binary == "warmlane-agent").collect();
    assert!(!agents.is_empty());
    for Ours { place, args, binary, .. } in agents {
        // The kubelet puts the node's name there.
        let args = args.iter().map(|word| word.replace("$(NODE_NAME)", "gpu-1"));
        let config = Config::try_parse_from(std::iter::once((*binary).to_owned()).chain(args));
        let config = config.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(config.check(), Ok(()), "{place}");
        assert!(config.kube && config.engines.is_empty(), "{place}: it finds engines by itself");
    }
}

/// Ports of other machines' addresses, as flags name them, and those that the container says it has.
#[test]
fn what_listens_is_what_the_container_says() {
    for Ours { place, args, container, .. } in ours() {
        let open = |value: &str| value.strip_prefix("0.0.0.0:")?.parse::<u64>().ok();
        let listened: BTreeSet<u64> =
            args.iter().filter_map(|word| halves(word).1).filter_map(open).collect();
        let said: BTreeSet<u64> =
            list(&container["ports"]).iter().filter_map(|port| port["containerPort"].as_u64()).collect();
        assert_eq!(listened, said, "{place}");
        for admin in [9091, 9012] {
            assert!(!said.contains(&admin), "{place}: admin ports are for loopback only");
        }
    }
}

/// Prefix index and bodies are the router's two large bounds; the rest, connections and tables, takes less than a third.
#[test]
fn the_routers_memory_is_bounded_below_its_limit() {
    const INDEX: u64 = 256 << 20;
    let carries = |ours: &&Ours| ours.args.iter().any(|word| halves(word).0 == "--limits-body-budget");
    let found = ours();
    let carriers: Vec<_> = found.iter().filter(carries).collect();
    assert!(!carriers.is_empty());
    for Ours { place, args, container, .. } in carriers {
        let budget = args.iter().find_map(|word| word.strip_prefix("--limits-body-budget="));
        let budget = mebibytes(budget.expect("a budget"), "MiB");
        let limit = container["resources"]["limits"]["memory"].as_str().expect("a limit");
        assert!((budget + INDEX) * 3 <= mebibytes(limit, "Mi") * 2, "{place}: {budget} of {limit}");
    }
}

fn mebibytes(text: &str, unit: &str) -> u64 {
    text.strip_suffix(unit).and_then(|count| count.parse::<u64>().ok()).expect("a size") << 20
}

/// The kubelet kills at the end of the grace period: a router must have ended by itself before.
#[test]
fn routers_end_before_they_are_killed() {
    let mut seen = 0;
    for (set, object) in all() {
        let Some(pod) = pod(object) else { continue };
        for container in containers(pod) {
            let words = list(&container["args"]).iter().filter_map(Value::as_str);
            let drain =
                words.clone().find_map(|word| word.strip_prefix("--timeouts-drain=")?.strip_suffix('m'));
            let Some(drain) = drain.and_then(|minutes| minutes.parse::<u64>().ok()) else { continue };
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().expect("a grace period");
            assert!(drain * 60 < grace, "{set}: {}", title(object));
            seen += 1;
        }
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn images_of_ours_have_the_version_of_this_checkout() {
    for Ours { place, binary, container, .. } in ours() {
        let image = container["image"].as_str().expect("an image");
        assert_eq!(image, format!("{binary}:{}", env!("CARGO_PKG_VERSION")), "{place}");
    }
    for (set, object) in all() {
        for container in pod(object).map(containers).unwrap_or_default() {
            let image = container["image"].as_str().expect("an image");
            assert!(image.contains(':') && !image.ends_with(":latest"), "{set}: {image} names no version");
        }
    }
}
