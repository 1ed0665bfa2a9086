//! A way to the admin port of a pod: `kubectl port-forward`, which knows every way to sign in to a cluster that its user has.
//!
//! Bounds: `PATIENCE` for a list and for the forwarded port. The port is on loopback, chosen by the system, and closed with `Forward`.

use std::{
    env, io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{address::Address, clean::clean, error::Side};

mod pods;

use pods::{Found, choose};

/// Somebody may have to sign in, in a browser.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of kubectl's own words that are quoted.
const MOST_QUOTE: usize = 400;

/// Whose port, and in which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub(crate) who: Side,
    /// `None`: the kubeconfig's own.
    pub(crate) context: Option<String>,
    pub(crate) namespace: String,
    pub(crate) node: Option<String>,
    /// Its name, where one is named.
    pub(crate) pod: Option<String>,
    pub(crate) port: u16,
}

/// A port that leads to a pod, until it is dropped.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) address: Address,
    /// Its name.
    pub(crate) pod: String,
    /// What people should know of the choice.
    pub(crate) note: Option<String>,
    child: Child,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// No program.
    #[error(
        "cannot run {program}: {source}\n  --kube goes by kubectl: install it, or name it in WARMLANE_KUBECTL."
    )]
    Tool {
        /// How it is called.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The cluster does not let its user.
    #[error(
        "the cluster does not allow this: {said}\n  Its user needs get and list on pods, and create on pods/portforward, in namespace \
         {namespace}: docs/cli.md has a Role."
    )]
    Forbidden {
        /// Its words.
        said: String,
        /// Where.
        namespace: String,
    },
    /// Another complaint of kubectl's.
    #[error(
        "kubectl {what} ended with {status}: {said}\n  Does `kubectl config get-contexts` have the context, and does `kubectl get pods` work?"
    )]
    Failed {
        /// What it was to do.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its words.
        said: String,
    },
    /// It neither did it nor ended.
    #[error(
        "kubectl {what} has come to nothing within {PATIENCE:?}\n  Can the cluster be reached, and does it wait for somebody to sign in?"
    )]
    Silent {
        /// What it was to do.
        what: &'static str,
    },
    /// Nothing can be made of its answer.
    #[error("kubectl {what} says something unexpected: {said}")]
    Strange {
        /// What it was to do.
        what: &'static str,
        /// Its words, or what is wrong with them.
        said: String,
    },
    /// It was there.
    #[error("the way to {pod} is gone\n  kubectl has ended, or its pod has: try again.")]
    Lost {
        /// The pod.
        pod: String,
    },
    /// Nobody to ask.
    #[error("{0}")]
    NoPod(String),
}

// === Forward ===

impl Forward {
    /// Chooses a pod, and opens a port to it.
    pub(crate) async fn open(wanted: &Wanted) -> Result<Self, KubeError> {
        let (pod, note) = match &wanted.pod {
            Some(pod) => (pod.trim_start_matches("pod/").to_owned(), None),
            None => {
                let Found { pod, note } = choose(wanted, &wanted.list().await?)?;
                (pod, note)
            }
        };
        let port = format!(":{}", wanted.port);
        let target = format!("pod/{pod}");
        let mut command = wanted.kubectl(&["port-forward", "--address", "127.0.0.1", &target, &port]);
        // Of its own, so that a Ctrl-C at the terminal does not end it before us: a bench may still ask by it.
        command.process_group(0);
        let mut child = command.spawn().map_err(|source| tool(&command, source))?;
        let what = "port-forward";
        let address = timeout(PATIENCE, wanted.forwarded(&mut child)).await;
        Ok(Self { address: address.map_err(|_| KubeError::Silent { what })??, pod, note, child })
    }

    /// Whether kubectl has ended, as it does when it has lost its pod.
    pub(crate) fn has_ended(&mut self) -> bool {
        // Where that cannot be told, asking by it will show.
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

// === Wanted ===

impl Wanted {
    /// The pods that there are, as JSON.
    async fn list(&self) -> Result<Vec<u8>, KubeError> {
        let labels = match self.who {
            Side::Router => "app.kubernetes.io/name in (warmlane-router,warmlane-router-node)",
            Side::Agent => "app.kubernetes.io/name=warmlane-agent",
        };
        let mut command = self.kubectl(&["get", "pods", "--selector", labels, "--output", "json"]);
        let what = "get pods";
        let output = timeout(PATIENCE, command.output()).await.map_err(|_| KubeError::Silent { what })?;
        let output = output.map_err(|source| tool(&command, source))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(self.failed(what, output.status, &output.stderr)),
        }
    }

    fn kubectl(&self, words: &[&str]) -> Command {
        let program = env::var_os("WARMLANE_KUBECTL").filter(|program| !program.is_empty());
        let mut command = Command::new(program.unwrap_or_else(|| "kubectl".into()));
        if let Some(context) = &self.context {
            command.arg(format!("--context={context}"));
        }
        command.arg(format!("--namespace={}", self.namespace)).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Where it listens, once it does.
    async fn forwarded(&self, child: &mut Child) -> Result<Address, KubeError> {
        let what = "port-forward";
        let strange = |said: &str| KubeError::Strange { what, said: quote(said.as_bytes()) };
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| strange("nothing"))?).lines();
        let line = lines.next_line().await.map_err(|error| strange(&error.to_string()))?;
        let Some(line) = line else {
            let mut said = Vec::new();
            if let Some(errors) = &mut child.stderr {
                // What could be read is quoted.
                _ = errors.take(64 << 10).read_to_end(&mut said).await;
            }
            let status = child.wait().await.map_err(|error| strange(&error.to_string()))?;
            return Err(self.failed(what, status, &said));
        };
        // It tells of each connection: somebody must read that, or it would wait.
        let (Some(errors), mut rest) = (child.stderr.take(), lines) else { return Err(strange("nothing")) };
        tokio::spawn(async move { while let Ok(Some(_)) = rest.next_line().await {} });
        tokio::spawn(async move {
            let mut errors = BufReader::new(errors).lines();
            while let Ok(Some(_)) = errors.next_line().await {}
        });
        // "Forwarding from 127.0.0.1:40001 -> 9091"
        let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(" ->").next());
        address.and_then(|address| address.parse().ok()).ok_or_else(|| strange(&line))
    }

    fn failed(&self, what: &'static str, status: ExitStatus, said: &[u8]) -> KubeError {
        let text = String::from_utf8_lossy(said);
        // Its log comes before what it says.
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let said = quote(last.as_bytes());
        match said.contains("forbidden") || said.contains("Forbidden") {
            true => KubeError::Forbidden { said, namespace: self.namespace.clone() },
            false => KubeError::Failed { what, status, said },
        }
    }
}

fn tool(command: &Command, source: io::Error) -> KubeError {
    KubeError::Tool { program: command.as_std().get_program().to_string_lossy().into_owned(), source }
}

fn quote(said: &[u8]) -> String {
    let said: String = String::from_utf8_lossy(said).trim().chars().take(MOST_QUOTE).collect();
    clean(&said).into_owned()
}
