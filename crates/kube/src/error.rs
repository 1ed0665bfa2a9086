//! Why the cluster does not tell, in the words of those who can change it.

use std::{fmt, path::PathBuf};

use crate::objects::Kind;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The process does not run in a pod, or in one without a token.
    #[error(
        "not in a cluster ({0}): run in a pod with a service account (automountServiceAccountToken), or give --kubeconfig FILE"
    )]
    NotInCluster(String),
    /// The file cannot be used.
    #[error(
        "cannot use the kubeconfig {path}: {why}; `kubectl config get-contexts --kubeconfig {path}` shows what kubectl makes of it"
    )]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The settings are there but no client can be made of them.
    #[error("cannot make a Kubernetes client: {0}")]
    Client(String),
}

/// What is asked of the API server: a resource in a namespace, or in all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The resource.
    pub kind: Kind,
    /// The namespace; `None`: all.
    pub namespace: Option<String>,
}

/// Why a resource is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No answer: it is the same for all resources.
    Unreachable(String),
    /// 401: it is the same for all resources.
    Unauthorized(String),
    /// 403.
    Forbidden {
        /// What was asked for.
        verb: &'static str,
        /// What the API server says.
        says: String,
    },
    /// 404: nobody has such a resource.
    Absent,
    /// 408, 429 and all from 500 on: the next try may be answered. It is this resource's own, such as a conversion that is
    /// broken, until others say the same.
    Busy {
        /// The status.
        code: u16,
        /// What the API server says.
        says: String,
    },
    /// An answer that is none.
    Failed(String),
}

// === Trouble ===

impl Trouble {
    /// Reads the error of a request.
    pub fn of(error: &kube::Error, verb: &'static str) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized(status.message.clone()),
                403 => Self::Forbidden { verb, says: status.message.clone() },
                404 => Self::Absent,
                code @ (408 | 429 | 500..) => Self::Busy { code, says: status.message.clone() },
                code => Self::Failed(format!("it answered {code}: {}", status.message)),
            },
            kube::Error::SerdeError(error) => Self::Failed(format!("its answer cannot be read: {error}")),
            other => Self::Unreachable(deepest(other)),
        }
    }

    /// Whether it is the API server's, not this resource's.
    pub fn is_everywhere(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unauthorized(_) => true,
            Self::Forbidden { .. } | Self::Absent | Self::Busy { .. } | Self::Failed(_) => false,
        }
    }

    /// Whether it stays as it is until somebody changes something. Anything else passes by itself, and says nothing of what
    /// there is.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::Absent | Self::Failed(_) => true,
            Self::Unreachable(_) | Self::Unauthorized(_) | Self::Busy { .. } => false,
        }
    }

    /// Whether it is the same trouble, whatever the words: libraries word one outage in several ways.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// For people, with what would help.
    pub fn tell(&self, source: &Source) -> String {
        match self {
            Self::Unreachable(why) => format!(
                "the Kubernetes API server cannot be reached ({why}); what is known of the cluster stays in use"
            ),
            Self::Unauthorized(why) => format!(
                "the Kubernetes API server does not know who asks ({why}); has the token or certificate expired?"
            ),
            Self::Forbidden { verb, says } => format!(
                "not allowed to {verb} {source}: a {role} needs a rule with apiGroups [{:?}], resources \
                 [{:?}], verbs [\"list\", \"watch\"]; the rest works without ({says})",
                source.kind.group(),
                source.kind.plural(),
                role = if source.namespace.is_some() { "Role there" } else { "ClusterRole" }
            ),
            Self::Absent => format!("the cluster has no {}.{}", source.kind.plural(), source.kind.group()),
            Self::Busy { code, says } => {
                format!("cannot watch {source} now: the Kubernetes API server answered {code} ({says})")
            }
            Self::Failed(why) => format!("cannot watch {source}: {why}"),
        }
    }
}

// === Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.kind.resource();
        match &self.namespace {
            Some(namespace) => write!(f, "{resource} in namespace {namespace}"),
            None => write!(f, "{resource} in all namespaces"),
        }
    }
}

/// What the operating system or the TLS library says, which stands at the end of a chain of causes.
pub(crate) fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn source(kind: Kind) -> Source {
        Source { kind, namespace: Some("default".to_owned()) }
    }

    fn answered(code: u16) -> Trouble {
        let status = Status { code, message: "said".to_owned(), ..Status::default() };
        Trouble::of(&kube::Error::Api(Box::new(status)), "list")
    }

    #[test]
    fn what_is_forbidden_is_told_with_the_rule_that_is_missing() {
        let told = answered(403).tell(&source(Kind::Model));
        for part in [
            "list inferencemodels.inference.networking.x-k8s.io in namespace default",
            r#"apiGroups ["inference.networking.x-k8s.io"]"#,
            r#"resources ["inferencemodels"]"#,
            r#"verbs ["list", "watch"]"#,
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(answered(403).tell(&source(Kind::Pod)).contains(r#"apiGroups [""]"#));
        let everywhere = answered(403).tell(&Source { kind: Kind::Pod, namespace: None });
        assert!(everywhere.contains("pods in all namespaces: a ClusterRole needs"), "{everywhere}");
    }

    #[test]
    fn an_answer_is_the_resources_trouble_and_none_is_everybodys() {
        assert_eq!(answered(404), Trouble::Absent);
        assert!(answered(401).is_everywhere());
        for code in [403, 422, 429, 500, 503] {
            assert!(!answered(code).is_everywhere(), "{code}");
        }
        assert!(answered(500).is_like(&answered(503)) && !answered(403).is_like(&answered(503)));
    }

    #[test]
    fn what_may_pass_by_itself_is_no_final_word() {
        for code in [401, 408, 429, 500, 502, 503, 504] {
            assert!(!answered(code).is_final(), "{code}");
        }
        for code in [400, 403, 404, 422] {
            assert!(answered(code).is_final(), "{code}");
        }
    }
}
