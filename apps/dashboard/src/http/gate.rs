//! Who is let in: hosts, origins, the token, sessions and the password.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Browsers that may be logged in at once; the one that came first is logged out for one more.
const SESSIONS_MAX: usize = 64;
/// Links that may be given to other dashboards at once.
const INVITES_MAX: usize = 256;
/// How long such a link is good for.
const INVITE_AGE_MAX: Duration = Duration::from_secs(600);
/// Wrong passwords within [`ATTEMPT_AGE_MAX`], from one address and from all.
const ATTEMPTS_MAX: u32 = 5;
const ATTEMPTS_OF_ALL_MAX: u32 = 60;
const ATTEMPT_AGE_MAX: Duration = Duration::from_secs(60);

/// A random secret in its text form, 256 bits.
pub(crate) fn fresh_secret() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(HEXLOWER.encode(&secret))
}

/// What lets people and scripts in.
pub(crate) struct Gate {
    /// `http` or `https`.
    scheme: &'static str,
    /// Texts of the `Host` header that mean this server.
    hosts: Vec<String>,
    cookie: String,
    token: Secret,
    password: Option<Secret>,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    sessions: VecDeque<Secret>,
    invites: VecDeque<(Secret, Instant)>,
    failures: BTreeMap<IpAddr, u32>,
    failures_since: Option<Instant>,
}

/// A secret of which only the hash is kept; hashes are compared in constant time.
#[derive(PartialEq, Eq)]
struct Secret(blake3::Hash);

impl Secret {
    fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }
}

/// How somebody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// By the token in `Authorization`, which no page of another site can send.
    Bearer,
    /// By the cookie, which a browser sends by itself.
    Cookie,
}

/// Why a password did not let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Wrong,
    /// Ask again after this time.
    TooOften(Duration),
}

impl Gate {
    pub(crate) fn new(
        address: SocketAddr,
        names: &[String],
        token: &str,
        password: Option<&str>,
        is_tls: bool,
    ) -> Self {
        let port = address.port();
        let own = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        let ip = match address.ip() {
            ip if ip.is_unspecified() => None,
            IpAddr::V4(ip) => Some(ip.to_string()),
            IpAddr::V6(ip) => Some(format!("[{ip}]")),
        };
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        let scheme = if is_tls { "https" } else { "http" };
        // Browsers leave out the port that belongs to the scheme.
        let is_usual = port == if is_tls { 443 } else { 80 };
        let hosts = own.into_iter().chain(ip).chain(names).flat_map(|name| {
            let bare = is_usual.then(|| name.clone());
            [format!("{name}:{port}")].into_iter().chain(bare)
        });
        Self {
            scheme,
            hosts: hosts.collect(),
            cookie: format!("guthi_{port}"),
            token: Secret::of(token),
            password: password.map(Secret::of),
            guests: Mutex::default(),
        }
    }

    /// Whether a `Host` header means this server: another name that leads here is an attack by name resolution.
    pub(crate) fn is_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether a page of this origin is one of ours.
    pub(crate) fn is_origin(&self, origin: &str) -> bool {
        let rest = origin.strip_prefix(self.scheme).and_then(|rest| rest.strip_prefix("://"));
        rest.is_some_and(|host| self.is_host(host))
    }

    pub(crate) fn is_token(&self, token: &str) -> bool {
        Secret::of(token) == self.token
    }

    pub(crate) const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether the value of a `Cookie` header has a session in it.
    pub(crate) fn is_session(&self, cookies: &str) -> bool {
        let named = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let mut values = named.filter(|(name, _)| *name == self.cookie).map(|(_, value)| Secret::of(value));
        let guests = self.guests.lock();
        values.any(|value| guests.sessions.contains(&value))
    }

    /// A new session, as the value of a `Set-Cookie` header.
    pub(crate) fn session(&self) -> Result<String, getrandom::Error> {
        let value = fresh_secret()?;
        let mut guests = self.guests.lock();
        if guests.sessions.len() == SESSIONS_MAX {
            guests.sessions.pop_front();
        }
        guests.sessions.push_back(Secret::of(&value));
        let secure = if self.scheme == "https" { "; Secure" } else { "" };
        Ok(format!("{}={value}; HttpOnly; SameSite=Strict; Path=/{secure}", self.cookie))
    }

    /// A secret that lets in once.
    pub(crate) fn invite(&self, now: Instant) -> Result<String, getrandom::Error> {
        let invite = fresh_secret()?;
        let mut guests = self.guests.lock();
        guests.expire(now);
        if guests.invites.len() == INVITES_MAX {
            guests.invites.pop_front();
        }
        guests.invites.push_back((Secret::of(&invite), now));
        Ok(invite)
    }

    /// Takes what the start URL carries: the token, or an invite, which is used up by it.
    pub(crate) fn welcomes(&self, secret: &str, now: Instant) -> bool {
        if self.is_token(secret) {
            return true;
        }
        let mut guests = self.guests.lock();
        guests.expire(now);
        let invite = Secret::of(secret);
        let place = guests.invites.iter().position(|(known, _)| *known == invite);
        place.and_then(|place| guests.invites.remove(place)).is_some()
    }

    /// Compares a password, unless too many wrong ones came lately.
    pub(crate) fn admit(&self, password: &str, from: IpAddr, now: Instant) -> Result<(), Denied> {
        let mut guests = self.guests.lock();
        guests.forgive(now);
        let of_all: u32 = guests.failures.values().sum();
        let of_one = guests.failures.get(&from).copied().unwrap_or(0);
        if of_one >= ATTEMPTS_MAX || of_all >= ATTEMPTS_OF_ALL_MAX {
            let since = guests.failures_since.unwrap_or(now);
            return Err(Denied::TooOften(ATTEMPT_AGE_MAX.saturating_sub(now - since)));
        }
        if self.password.as_ref().is_some_and(|own| *own == Secret::of(password)) {
            return Ok(());
        }
        guests.failures_since.get_or_insert(now);
        // As many addresses as failures at most.
        *guests.failures.entry(from).or_default() += 1;
        Err(Denied::Wrong)
    }
}

impl Guests {
    fn expire(&mut self, now: Instant) {
        while self.invites.front().is_some_and(|(_, made)| now - *made > INVITE_AGE_MAX) {
            self.invites.pop_front();
        }
    }

    fn forgive(&mut self, now: Instant) {
        if self.failures_since.is_some_and(|since| now - since >= ATTEMPT_AGE_MAX) {
            self.failures.clear();
            self.failures_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn gate(password: Option<&str>) -> Gate {
        let address = "127.0.0.1:7969".parse().unwrap();
        Gate::new(address, &["ann.example".into()], "token", password, password.is_some())
    }

    fn value(cookie: &str) -> &str {
        cookie.split(';').next().unwrap()
    }

    #[test]
    fn a_host_is_one_of_ours_with_its_port() {
        let gate = gate(None);
        for host in ["127.0.0.1:7969", "localhost:7969", "LOCALHOST:7969", "[::1]:7969", "ann.example:7969"] {
            assert!(gate.is_host(host), "{host}");
        }
        for host in ["127.0.0.1", "127.0.0.1:7970", "evil.example:7969", "localhost:7969.evil.example", ""] {
            assert!(!gate.is_host(host), "{host}");
        }
        assert!(gate.is_origin("http://localhost:7969"));
        for origin in ["https://localhost:7969", "http://localhost:7970", "null", "http://evil.example:7969", ""] {
            assert!(!gate.is_origin(origin), "{origin}");
        }
        let usual = Gate::new("127.0.0.1:80".parse().unwrap(), &[], "token", None, false);
        assert!(usual.is_host("localhost") && usual.is_origin("http://localhost"));
    }

    #[test]
    fn the_cookie_is_not_the_token_and_keeps_to_this_site() {
        let gate = gate(None);
        let cookie = gate.session().unwrap();
        assert!(!cookie.contains("token"), "{cookie}");
        for part in ["guthi_7969=", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(gate.is_session(&format!("a=b; {}; c=d", value(&cookie))));
        assert!(!gate.is_session("guthi_7969=token"));
        assert!(!gate.is_session(&value(&cookie).replace("7969", "7970")));
        let secret = value(&cookie).split_once('=').unwrap().1;
        assert!(!gate.is_token(secret) && !gate.welcomes(secret, Instant::now()));
    }

    #[test]
    fn sessions_are_bounded() {
        let gate = gate(None);
        let first = gate.session().unwrap();
        let rest: Vec<_> = (1..=SESSIONS_MAX).map(|_| gate.session().unwrap()).collect();
        assert!(!gate.is_session(value(&first)));
        assert!(rest.iter().all(|cookie| gate.is_session(value(cookie))));
    }

    #[test]
    fn an_invite_lets_in_once_and_not_for_long() {
        let (gate, now) = (gate(None), Instant::now());
        let invite = gate.invite(now).unwrap();
        assert!(!gate.is_token(&invite));
        assert!(gate.welcomes(&invite, now) && !gate.welcomes(&invite, now));
        let late = gate.invite(now).unwrap();
        assert!(!gate.welcomes(&late, now + INVITE_AGE_MAX + Duration::from_millis(1)));
        let first = gate.invite(now).unwrap();
        (0..INVITES_MAX).for_each(|_| drop(gate.invite(now).unwrap()));
        assert!(!gate.welcomes(&first, now));
        assert!(gate.welcomes("token", now) && gate.welcomes("token", now));
    }

    #[test]
    fn a_password_cannot_be_guessed_fast() {
        let (gate, now) = (gate(Some("correct horse")), Instant::now());
        let there = IpAddr::from([10, 0, 0, 9]);
        for _ in 0..ATTEMPTS_MAX {
            assert_eq!(gate.admit("wrong", HERE, now), Err(Denied::Wrong));
        }
        assert_eq!(gate.admit("correct horse", HERE, now), Err(Denied::TooOften(ATTEMPT_AGE_MAX)));
        assert_eq!(gate.admit("correct horse", there, now), Ok(()));
        assert_eq!(gate.admit("correct horse", HERE, now + ATTEMPT_AGE_MAX), Ok(()));

        for host in 0..ATTEMPTS_OF_ALL_MAX {
            let from = IpAddr::from(std::net::Ipv6Addr::from(u128::from(host)));
            assert_eq!(gate.admit("wrong", from, now + ATTEMPT_AGE_MAX), Err(Denied::Wrong));
        }
        assert!(matches!(gate.admit("correct horse", there, now + ATTEMPT_AGE_MAX), Err(Denied::TooOften(_))));
    }

    #[test]
    fn without_a_password_none_lets_in() {
        assert_eq!(gate(None).admit("", HERE, Instant::now()), Err(Denied::Wrong));
    }
}
