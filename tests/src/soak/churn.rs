//! Replicas that misbehave, die and come back, by the dice.

use std::time::{Duration, Instant};

use warmlane_sim::{
    model::Profile,
    server::{Mode, Options, Running, Stop, Troubles, start},
};

/// Between two changes.
const TURN: Duration = Duration::from_millis(1_500);

/// The first so many replicas always behave.
const GOOD: usize = 2;

pub(super) struct Replicas {
    options: Vec<Options>,
    /// `None`: dead.
    running: Vec<Option<Running>>,
    rng: fastrand::Rng,
    next: Instant,
    /// Faults switched on, and deaths.
    pub(super) faults: usize,
    pub(super) deaths: usize,
}

impl Replicas {
    pub(super) fn start(count: usize, seed: u64) -> anyhow::Result<Self> {
        let mut replicas = Self {
            options: Vec::new(),
            running: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            next: Instant::now() + 2 * TURN,
            faults: 0,
            deaths: 0,
        };
        for number in 0..count {
            let mut options = Options::new("m");
            options.adapters = vec!["a".to_owned()];
            options.profile = Profile::A10;
            options.time_scale = 20.0;
            options.seed = number as u64;
            let running = start(options.clone())?;
            // Comes back where it was.
            options.listen = running.address();
            replicas.options.push(options);
            replicas.running.push(Some(running));
        }
        Ok(replicas)
    }

    /// Their addresses, as the router's flag takes them.
    pub(super) fn list(&self) -> String {
        self.options.iter().map(|options| options.listen.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Changes something, if it is time to.
    pub(super) fn turn(&mut self) -> anyhow::Result<()> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + TURN;
        let number = self.rng.usize(GOOD..self.options.len());
        match self.running[number].take() {
            None => self.running[number] = Some(start(self.options[number].clone())?),
            Some(running) if self.rng.u8(..4) == 0 => {
                self.deaths += 1;
                running.stop(if self.rng.bool() { Stop::Kill } else { Stop::Terminate });
            }
            Some(running) => {
                let behaves = self.rng.u8(..3) == 0;
                let mode = Mode::ALL[self.rng.usize(..Mode::ALL.len())];
                let share = if self.rng.bool() { 1.0 } else { 0.3 };
                self.faults += usize::from(!behaves);
                running.trouble(match behaves {
                    true => Troubles::none(),
                    false => Troubles { modes: vec![mode], share },
                });
                self.running[number] = Some(running);
            }
        }
        Ok(())
    }

    /// All of them behave from now on.
    pub(super) fn behave(&self) {
        self.running.iter().flatten().for_each(|running| running.trouble(Troubles::none()));
    }

    pub(super) fn line(&self) -> String {
        format!("{} faults, {} deaths", self.faults, self.deaths)
    }
}
