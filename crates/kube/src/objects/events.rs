//! Where the engines of a pod publish KV events, as its annotation says: a port for each target port of its pool, in their order.
//!
//! `5557`, `5557,none`. Replays are at the port behind, so the last port of all is none. What cannot be understood counts as none.

use warmlane_api::kube::KV_EVENTS;

/// As many as a pool has target ports at most.
const MOST: usize = 8;

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvPorts {
    ports: Vec<Option<u16>>,
    /// Why what stands there is not taken.
    refused: Option<String>,
}

// === KvPorts ===

impl KvPorts {
    /// Reads the annotation.
    pub fn read(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::default() };
        let ports: Option<Vec<_>> = text.split(',').take(MOST + 1).map(|part| port(part.trim())).collect();
        match ports {
            Some(ports) if ports.len() <= MOST => Self { ports, refused: None },
            _ => Self { ports: Vec::new(), refused: Some(refusal(text)) },
        }
    }

    /// Where the engine at the target port of this number publishes, in a pool that has so many.
    pub fn of(&self, number: usize, count: usize) -> Option<u16> {
        if self.ports.len() == count { self.ports.get(number).copied().flatten() } else { None }
    }

    /// Why nothing is followed where something stands; `None` where that is as it should be.
    pub fn refused(&self, count: usize) -> Option<String> {
        let said = self.ports.len();
        let differs = said != 0 && said != count;
        let why = || format!("annotation {KV_EVENTS}: {said} ports where the pool has {count}; {HOW}");
        self.refused.clone().or_else(|| differs.then(why))
    }
}

const HOW: &str = "write one for each target port of its pool, in their order, such as 5557 or 5557,none; until then no KV events \
                   of this pod are followed";

fn port(text: &str) -> Option<Option<u16>> {
    match text {
        "none" => Some(None),
        // Behind the last one there is none for replays.
        _ => text.parse().ok().filter(|port| (1..u16::MAX).contains(port)).map(Some),
    }
}

fn refusal(text: &str) -> String {
    let shown: String = text.chars().take(64).collect();
    format!("annotation {KV_EVENTS}: {shown:?} are no ports from 1 to 65534; {HOW}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_port_has_its_own_or_none() {
        let ports = KvPorts::read(Some("5557, none"));
        assert_eq!((ports.of(0, 2), ports.of(1, 2), ports.refused(2)), (Some(5557), None, None));
        assert_eq!((KvPorts::read(None).of(0, 1), KvPorts::read(None).refused(1)), (None, None));
    }

    #[test]
    fn what_cannot_be_meant_counts_as_none_and_says_what_to_write() {
        for wrong in ["", "65535", "0", "x", "5557,", "tcp://*:5557", "1,2,3,4,5,6,7,8,9"] {
            let ports = KvPorts::read(Some(wrong));
            assert_eq!(ports.of(0, 1), None, "{wrong}");
            let why = ports.refused(1).unwrap_or_else(|| panic!("{wrong:?} is taken"));
            assert!(why.contains(KV_EVENTS) && why.contains("such as 5557 or 5557,none"), "{why}");
        }
    }

    #[test]
    fn other_numbers_of_ports_than_the_pool_has_are_not_guessed_at() {
        let ports = KvPorts::read(Some("5557"));
        assert_eq!((ports.of(0, 2), ports.of(1, 2)), (None, None));
        assert!(ports.refused(2).expect("refused").contains("1 ports where the pool has 2"));
    }
}
