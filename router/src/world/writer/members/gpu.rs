//! What is believed of an endpoint's GPUs: what its agent says, and for a while what an agent said that is gone.
//!
//! A new agent knows nothing of what its card did before, and an agent that is away says nothing: neither makes a card well.
//! So a fault stays for [`HELD`] after its agent was lost, whatever better is said meanwhile.

use warmlane_picker::{Health, Time};

/// As long as an agent wants a card calm before it forgets a fault.
pub(super) const HELD: Time = Time::from_secs(60);

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Gpu {
    /// What is believed.
    now: Health,
    /// Until when at least, since the agent that said it was lost.
    held_until: Option<Time>,
    /// What counts then.
    next: Health,
}

// === Gpu ===

impl Gpu {
    pub(super) fn health(&self) -> &Health {
        &self.now
    }

    /// An agent says how they are; true where that is news.
    pub(super) fn told(&mut self, health: Health, now: Time) -> bool {
        if self.held_until.is_some_and(|until| now < until) && grade(&health) < grade(&self.now) {
            self.next = health;
            return false;
        }
        self.held_until = None;
        self.believe(health)
    }

    /// Nobody says anything any more; true where there is something to be held.
    pub(super) fn untold(&mut self, now: Time) -> bool {
        self.next = Health::Healthy;
        let is_bad = self.now != Health::Healthy;
        if is_bad && self.held_until.is_none_or(|until| now >= until) {
            self.held_until = Some(now + HELD);
        }
        is_bad
    }

    /// True where time has changed what is believed.
    pub(super) fn look(&mut self, now: Time) -> bool {
        if self.held_until.is_none_or(|until| now < until) {
            return false;
        }
        self.held_until = None;
        let next = std::mem::take(&mut self.next);
        self.believe(next)
    }

    fn believe(&mut self, health: Health) -> bool {
        let was = std::mem::replace(&mut self.now, health);
        was != self.now
    }
}

fn grade(health: &Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Degraded(_) => 1,
        Health::Failed(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Time = Time::from_secs(100);

    fn failed() -> Health {
        Health::Failed("XID 48".into())
    }

    fn lost() -> Gpu {
        let mut gpu = Gpu::default();
        assert!(gpu.told(failed(), AT) && !gpu.told(failed(), AT));
        assert!(gpu.untold(AT));
        gpu
    }

    #[test]
    fn a_fault_outlives_its_agent_for_a_while_and_not_for_ever() {
        let mut gpu = lost();
        assert!(!gpu.look(AT + HELD - Time::from_millis(1)));
        assert_eq!(*gpu.health(), failed());
        assert!(gpu.look(AT + HELD) && !gpu.look(AT + HELD * 2));
        assert_eq!(*gpu.health(), Health::Healthy);
    }

    #[test]
    fn an_agent_that_knows_nothing_of_it_does_not_end_it_and_one_that_knows_more_is_believed() {
        let mut gpu = lost();
        let hot = Health::Degraded("hot".into());
        assert!(!gpu.told(Health::Healthy, AT + HELD / 2) && !gpu.told(hot.clone(), AT + HELD / 2));
        assert_eq!(*gpu.health(), failed());
        assert!(gpu.look(AT + HELD));
        assert_eq!(*gpu.health(), hot, "what was said last");
        let mut gpu = lost();
        let worse = Health::Failed("XID 79".into());
        assert!(gpu.told(worse.clone(), AT + HELD / 2) && !gpu.look(AT + HELD));
        assert_eq!(*gpu.health(), worse);
        assert!(gpu.told(Health::Healthy, AT + HELD), "its own word");
    }

    #[test]
    fn an_agent_that_comes_and_goes_does_not_hold_it_for_ever() {
        let mut gpu = lost();
        for second in 1..60 {
            gpu.told(Health::Healthy, AT + Time::from_secs(second));
            gpu.untold(AT + Time::from_secs(second));
        }
        assert!(gpu.look(AT + HELD));
        assert!(!Gpu::default().untold(AT), "nothing was wrong");
    }
}
