//! Which cluster, which key: what nodes that are started here have in common.

use std::{fs, path::Path};

use guthi::{BuildError, Builder, ClusterKey, Ticket};

use crate::failure::Failure;

/// The key in a file, or in `GUTHI_KEY`, if there is one.
pub(crate) fn key(file: Option<&Path>) -> Result<Option<ClusterKey>, Failure> {
    let Some(path) = file else {
        let told = std::env::var_os("GUTHI_KEY").is_some_and(|key| !key.is_empty());
        return if told { ClusterKey::from_env().map(Some).map_err(not_started) } else { Ok(None) };
    };
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the key file {} cannot be read: {error}", path.display())))?;
    text.trim().parse().map(Some).map_err(not_started)
}

/// The key that the local nodes of this user share, if there are any.
pub(crate) fn shared_key() -> Option<ClusterKey> {
    fs::read_to_string(guthi::runtime_dir().join("key")).ok()?.trim().parse().ok()
}

/// Joins what is at an address; a ticket also says which cluster that is.
pub(crate) fn join(builder: Builder, address: &str) -> Builder {
    match address.parse::<Ticket>() {
        Ok(ticket) => builder.ticket(&ticket),
        Err(_) => builder.join(address),
    }
}

/// Why a node could not be started.
pub(crate) fn not_started(error: BuildError) -> Failure {
    let code = match &error {
        BuildError::BadAddress { .. } => "bad_address",
        BuildError::AddressInUse { .. } => "address_in_use",
        BuildError::IdentityInUse { .. } => "identity_in_use",
        BuildError::BadKey { .. } | BuildError::BadName { .. } | BuildError::KeyRequired { .. } => "usage",
        _ => "failure",
    };
    let failure = Failure::new(code, error.to_string());
    match &error {
        BuildError::KeyRequired { .. } => failure.next("make a key with `guthi key new`, and give it to all nodes"),
        error => match error.next_step() {
            Some(next) => failure.next(next),
            None => failure,
        },
    }
}

/// Whether an address stays on this machine; a name or a ticket may lead anywhere.
pub(crate) fn is_loopback(address: &str) -> bool {
    let ip = match address.strip_prefix('/') {
        Some(rest) => rest.split('/').nth(1),
        None => address.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']'])),
    };
    ip.is_some_and(|ip| ip == "localhost" || ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine_is_known() {
        for address in ["127.0.0.1:1", "[::1]:1", "localhost:1", "/ip4/127.0.0.1/tcp/1/p2p/x", "/ip6/::1/tcp/1"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["10.0.0.5:6969", "[fe80::1]:1", "example.org:1", "/ip4/10.0.0.5/tcp/1", "guthi1nodeabc", ""] {
            assert!(!is_loopback(address), "{address}");
        }
    }
}
