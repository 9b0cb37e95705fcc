//! Health checks: what is tried, and how often. A check that exists can be run.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::WORD_LIMIT;
use super::names::HostName;
use crate::model::companion::InvalidValue;
use crate::model::text::as_text;

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
        let fits = command.len() <= WORD_LIMIT && !command.contains('\0');
        let rule = "must be a command of 1 to 32768 bytes without NUL";
        InvalidValue::unless(fits && !command.trim().is_empty(), "health", command, rule)
    }
}

/// A host and a port of its, `HOST:PORT`. An IPv6 address is in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: Host,
    port: NonZeroU16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Address(IpAddr),
    Name(HostName),
}

impl Endpoint {
    /// Returns the host as in a command: a name, or an address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.to_string(),
        }
    }

    /// Returns the port.
    pub fn port(&self) -> NonZeroU16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host(), self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidValue;

    /// Parses `HOST:PORT`.
    ///
    /// # Errors
    /// [`InvalidValue`] for anything else, such as a URL.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        endpoint(text).ok_or_else(|| {
            let rule = "must be `HOST:PORT`, with a lower-case host name or an address";
            InvalidValue::new("endpoint", text, rule)
        })
    }
}

fn endpoint(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(address) => Host::Address(IpAddr::V6(address?.parse().ok()?)),
        None => match host.parse() {
            Ok(address) => Host::Address(IpAddr::V4(address)),
            Err(_) => Host::Name(HostName::new(host).ok()?),
        },
    };
    let plain = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    Some(Endpoint { host, port: port.parse().ok().filter(|_| plain)? })
}

/// The URL of a health check: `http://HOST[:PORT][/PATH]` or `https://…`, without credentials and fragment, of characters
/// that are themselves in every shell between single quotes.
///
/// The certificate of an `https` server is not verified: the check asks whether the container answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub struct HttpUrl {
    tls: bool,
    endpoint: Endpoint,
    path: String,
}

impl HttpUrl {
    /// Returns the URL of `path` at `endpoint`, by plain HTTP.
    ///
    /// # Errors
    /// [`InvalidValue`] when the path does not start with `/`, or has characters that no URL has.
    pub fn new(endpoint: Endpoint, path: &str) -> Result<Self, InvalidValue> {
        let character = |c: char| c.is_ascii_alphanumeric() || "/-._~%?=&:@!,;+*()".contains(c);
        if path.starts_with('/') && path.len() <= 1024 && path.chars().all(character) {
            return Ok(Self { tls: false, endpoint, path: path.to_owned() });
        }
        let rule = "must start with `/` and have characters of a URL only";
        Err(InvalidValue::new("path", path, rule))
    }

    /// Returns the same URL with `path`.
    ///
    /// # Errors
    /// As [`HttpUrl::new`], and when this URL has a path already.
    pub fn with_path(self, path: &str) -> Result<Self, InvalidValue> {
        if self.path != "/" {
            return Err(InvalidValue::new("path", path, "is given beside a URL with a path"));
        }
        let tls = self.tls;
        Ok(Self { tls, ..Self::new(self.endpoint, path)? })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.endpoint, self.path)
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidValue;

    /// Parses a URL.
    ///
    /// # Errors
    /// [`InvalidValue`] for anything that is not one, such as `http://http://127.0.0.1`.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refused = || {
            InvalidValue::new(
                "endpoint",
                text,
                "must be a URL such as `http://127.0.0.1:8080/path`",
            )
        };
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(refused()),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let default = if tls { 443 } else { 80 };
        let place = endpoint(authority).or_else(|| endpoint(&format!("{authority}:{default}")));
        let path = match path {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        Ok(Self { tls, ..Self::new(place.ok_or_else(refused)?, &path)? })
    }
}

as_text!(Endpoint);
as_text!(HttpUrl);

#[cfg(test)]
mod tests;
