//! Health checks: what is tried, and how often. A check that exists can be run.

use std::net::Ipv6Addr;
use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use super::names::HostName;
use crate::model::companion::InvalidValue;
use crate::model::text::validated_text;

/// A check of a container from inside of it. Its start is complete when the check first succeeds.
///
/// For a backend, whose check needs its own programs or network. A page is probed from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// Seconds between the end of a check and the next one, from 3 to a day.
    ///
    /// Podman's checks are a unit of systemd, which may start 5 times in 10 s: one that is refused then may never
    /// be started again (Podman 5.4.2 with 1 s: a start waited for its limit although the container was healthy).
    #[serde(default = "seconds::<30>")]
    pub interval: NonZeroU32,
    /// Seconds after which a check has failed, at most a day.
    #[serde(default = "seconds::<5>")]
    pub timeout: NonZeroU32,
    /// How many failures in a row make a container unhealthy, at most 1000.
    #[serde(default = "seconds::<3>")]
    pub retries: NonZeroU32,
    /// Seconds after the start in which failures do not count, at most a week.
    #[serde(default)]
    pub start_period: u32,
}

const fn seconds<const COUNT: u32>() -> NonZeroU32 {
    match NonZeroU32::new(COUNT) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

/// What a health check tries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// A GET request that ends with a status below 400, by the container's `curl` or `wget`.
    Http(HttpUrl),
    /// A TCP connection, by the container's `nc` or `bash`.
    Tcp(Endpoint),
    /// A command for the container's `/bin/sh` that ends with 0.
    Command(String),
}

impl HealthCheck {
    /// Creates a check of `probe` with the default times: 30 s apart, 5 s each, 3 failures, no start period.
    pub fn new(probe: Probe) -> Self {
        let (interval, timeout, retries) = (seconds::<30>(), seconds::<5>(), seconds::<3>());
        Self { probe, interval, timeout, retries, start_period: 0 }
    }

    /// Checks the limits of its times and of its command.
    ///
    /// # Errors
    /// [`InvalidValue`] naming the first that is exceeded.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        const DAY: u32 = 24 * 3600;
        let limits = [
            ("interval", self.interval.get(), DAY, "must be at most a day"),
            ("timeout", self.timeout.get(), DAY, "must be at most a day"),
            ("retries", self.retries.get(), 1000, "must be at most 1000"),
            ("start_period", self.start_period, 7 * DAY, "must be at most a week"),
        ];
        let interval = self.interval.get();
        InvalidValue::unless(interval >= 3, "interval", interval, "must be at least 3 seconds")?;
        for (field, value, limit, rule) in limits {
            InvalidValue::unless(value <= limit, field, value, rule)?;
        }
        let Probe::Command(command) = &self.probe else { return Ok(()) };
        let fits = !command.trim().is_empty() && !command.contains('\0');
        InvalidValue::unless(fits, "health", command, "must be a command without NUL")
    }
}

validated_text! {
    /// A host and a port of its, `HOST:PORT`. An IPv6 address is in brackets.
    Endpoint, "endpoint", "must be `HOST:PORT`, with a lower-case host name or an address",
    is_endpoint
}

fn is_endpoint(text: &str) -> bool {
    let is_port = |port: &str| port.parse().is_ok_and(|n: NonZeroU16| n.to_string() == port);
    text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && is_port(port))
}

/// Returns whether `text` is a host name, an IPv4 address, which looks like one, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()),
        None => HostName::new(text).is_ok(),
    }
}

impl Endpoint {
    /// Returns the host as in a command: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(host, _)| host.trim_matches(['[', ']']))
    }

    /// Returns the port.
    pub fn port(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(_, port)| port)
    }
}

validated_text! {
    /// The URL of a health check: `http://HOST[:PORT][/PATH]` or `https://…`, without credentials and fragment, of characters
    /// that are themselves in every shell between single quotes.
    ///
    /// The certificate of an `https` server is not verified: the check asks whether the container answers.
    HttpUrl, "endpoint", "must be a URL such as `http://127.0.0.1:8080/path`",
    is_url
}

fn is_url(text: &str) -> bool {
    let character = |c: char| c.is_ascii_alphanumeric() || "/-._~%?=&:@!,;+*()".contains(c);
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        (is_host(authority) || is_endpoint(authority))
            && path.len() <= 1024
            && path.chars().all(character)
    })
}

impl HttpUrl {
    /// Returns the same URL with `path`.
    ///
    /// # Errors
    /// [`InvalidValue`] when the path does not start with `/` or has characters that no URL has, and when this URL has
    /// a path already.
    pub fn with_path(&self, path: &str) -> Result<Self, InvalidValue> {
        InvalidValue::unless(path.starts_with('/'), "path", path, "must start with `/`")?;
        let bare = self.0.strip_suffix('/').unwrap_or(&self.0);
        let is_bare = bare.matches(['/', '?']).count() == 2;
        InvalidValue::unless(is_bare, "path", path, "is given together with a URL with a path")?;
        Self::new(format!("{bare}{path}"))
    }
}

#[cfg(test)]
mod tests;
