use super::{builder::Builder, key::ClusterKey};
use crate::{BuildError, Ticket};

impl Builder {
    /// Takes over what the environment says, so that programs need no flags of their own for it: `GUTHI_NAME`,
    /// `GUTHI_CLUSTER`, `GUTHI_KEY` (a key, or `file:PATH`), `GUTHI_LISTEN` and `GUTHI_JOIN` (addresses with commas
    /// between them; `GUTHI_LISTEN` adds to where the node listens anyway). What is not set, or empty, changes nothing.
    ///
    /// Presets never read the environment by themselves, but for `GUTHI_RUNTIME_DIR`.
    ///
    /// # Errors
    /// [`BuildError::BadKey`] if `GUTHI_KEY` holds no key.
    pub fn from_env(self) -> Result<Self, BuildError> {
        self.with_variables(|name| std::env::var(name).ok())
    }

    fn with_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, BuildError> {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        if let Some(name) = variable("GUTHI_NAME") {
            self = self.name(name);
        }
        if let Some(cluster) = variable("GUTHI_CLUSTER") {
            self = self.cluster(cluster);
        }
        if let Some(key) = variable("GUTHI_KEY") {
            self = self.key(ClusterKey::from_text_or_file(&key)?);
        }
        for address in variable("GUTHI_LISTEN").iter().flat_map(|list| list.split(',')) {
            self = self.listen(address.trim());
        }
        for address in variable("GUTHI_JOIN").iter().flat_map(|list| list.split(',')) {
            self = self.join(address.trim());
        }
        Ok(self)
    }

    /// Takes over what a [`Ticket`] says: the cluster, the key if it has one, and whom to join.
    pub fn ticket(self, ticket: &Ticket) -> Self {
        let builder = self.cluster(ticket.cluster()).join(ticket.to_string());
        match ticket.key() {
            Some(key) => builder.key(key),
            None => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[test]
    fn what_the_environment_says_is_taken_over() {
        let variable = |name: &str| match name {
            "GUTHI_NAME" => Some("ann".into()),
            "GUTHI_CLUSTER" => Some("  ".into()),
            "GUTHI_JOIN" => Some("10.0.0.5:6969, 10.0.0.6:6969".into()),
            _ => None,
        };
        let debug = format!("{:?}", Node::builder().with_variables(variable).unwrap());
        assert!(debug.contains(r#"name: Some("ann"), cluster: "local""#), "{debug}");
        assert!(debug.contains(r#"[Address("10.0.0.5:6969"), Address("10.0.0.6:6969")]"#), "{debug}");
        let bad = |name: &str| (name == "GUTHI_KEY").then(|| "secret".to_owned());
        assert!(matches!(Node::builder().with_variables(bad), Err(BuildError::BadKey { .. })));
    }
}
