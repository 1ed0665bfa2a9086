//! Who follows which agent: one follower for each that is wanted, from when it is until it is not.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::oneshot, task::JoinSet};

use super::{
    Following, Known, Marks, Told, Wanted,
    follow::{Follower, Post},
};

/// See the module's header. Dropped, all of them stop.
pub(super) struct Crew {
    following: Following,
    marks: Arc<Marks>,
    /// What stops who follows an agent when it is dropped.
    posts: HashMap<Told, oneshot::Sender<()>>,
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
    fn follow(&mut self, agents: &[Told]) {
        let configured = |address: &String| Told { address: address.clone(), node: None };
        let mut wanted: Vec<Told> = self.following.config.agents.iter().map(configured).collect();
        let more = agents.iter().filter(|agent| !self.following.config.agents.contains(&agent.address));
        wanted.extend(more.cloned());
        self.posts.retain(|agent, _| wanted.contains(agent));
        let is_wanted = |known: &Known| wanted.iter().any(|agent| agent.address == known.lock().address);
        self.following.world.agents.all().retain(is_wanted);
        for agent in wanted {
            if !self.posts.contains_key(&agent) {
                self.add(agent);
            }
        }
    }

    fn add(&mut self, agent: Told) {
        let known = Known::new(&agent.address, self.following.credentials.is_some());
        let (stop, stopped) = oneshot::channel();
        let post = Post { number: self.count, agent: known.clone(), node: agent.node.clone() };
        let follower = Follower::new(self.following.clone(), post, self.marks.clone());
        self.tasks.spawn(follower.run(stopped));
        self.following.world.agents.all().push(known);
        self.posts.insert(agent, stop);
        self.count += 1;
    }
}
