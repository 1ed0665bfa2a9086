//! Who follows which agent: one follower for each that is wanted, from when it is until it is not.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::{sync::oneshot, task::JoinSet};

use super::{Following, Known, Marks, Wanted, follow::Follower};

/// See the module's header. Dropped, all of them stop.
pub(super) struct Crew {
    following: Following,
    marks: Arc<Marks>,
    /// By address, what stops who follows it when it is dropped.
    posts: HashMap<String, oneshot::Sender<()>>,
    tasks: JoinSet<()>,
    /// Agents that were ever followed: the next one's number.
    count: usize,
}

// === Crew ===

impl Crew {
    pub(super) fn new(following: Following, marks: Arc<Marks>) -> Self {
        Self { following, marks, posts: HashMap::new(), tasks: JoinSet::new(), count: 0 }
    }

    /// Follows whoever is wanted for as long as it is polled.
    pub(super) async fn run(mut self, wanted: Option<Wanted>) {
        self.follow(&[]);
        if let Some(mut wanted) = wanted {
            loop {
                let agents = wanted.borrow_and_update().clone();
                self.follow(&agents);
                // Those that are gone have said so by then.
                while self.tasks.try_join_next().is_some() {}
                if wanted.changed().await.is_err() {
                    break;
                }
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Follows those that are configured and these, and nobody else.
    fn follow(&mut self, agents: &[String]) {
        let config = self.following.config.clone();
        let wanted: HashSet<&str> = config.agents.iter().chain(agents).map(String::as_str).collect();
        self.posts.retain(|address, _| wanted.contains(address.as_str()));
        for address in config.agents.iter().chain(agents) {
            if !self.posts.contains_key(address) {
                self.add(address);
            }
        }
        let mut all = self.following.world.agents.all();
        all.retain(|known| wanted.contains(known.lock().address.as_str()));
    }

    fn add(&mut self, address: &str) {
        let tls = self.following.credentials.is_some();
        let known = Known::new(address, tls);
        let (stop, stopped) = oneshot::channel();
        let follower = Follower::new(self.following.clone(), (self.count, known.clone()), self.marks.clone());
        self.tasks.spawn(follower.run(stopped));
        self.following.world.agents.all().push(known);
        self.posts.insert(address.to_owned(), stop);
        self.count += 1;
    }
}
