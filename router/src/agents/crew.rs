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
    /// What is known of each that is followed, and what stops who follows it when it is dropped.
    posts: HashMap<Told, (Known, oneshot::Sender<()>)>,
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
        let is_followed = |known: &Known| self.posts.values().any(|(followed, _)| followed.is(known));
        self.following.world.agents.all().retain(is_followed);
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
        self.following.world.agents.all().push(known.clone());
        self.posts.insert(agent, (known, stop));
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::{config::Config, world::World};

    #[tokio::test]
    async fn an_agent_whose_node_is_another_is_followed_anew_and_shown_once() {
        let config = Arc::new(Config::for_endpoints(Vec::new()));
        let world = Arc::new(World::new(&config, 1));
        let (updates, _told) = mpsc::channel(1);
        let following = Following { world: world.clone(), config, credentials: None, updates };
        let mut crew = Crew::new(following, Arc::default());
        let told =
            |address: &str, node: &str| Told { address: address.to_owned(), node: Some(node.to_owned()) };
        crew.follow(&[told("10.0.0.1:9010", "a"), told("10.0.0.2:9010", "b")]);
        crew.follow(&[told("10.0.0.1:9010", "c"), told("10.0.0.2:9010", "b")]);
        let addresses: Vec<String> = world.agents.each().into_iter().map(|agent| agent.address).collect();
        assert_eq!(addresses, ["10.0.0.2:9010", "10.0.0.1:9010"]);
        assert_eq!(crew.count, 3);
        crew.follow(&[]);
        assert!(world.agents.each().is_empty());
    }
}
