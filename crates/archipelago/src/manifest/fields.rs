//! Values of a manifest with their own notation. Each is checked where it is read, so an error has its place.

use std::num::NonZeroU32;
use std::time::Duration;

use companion_core::model::companion::InvalidValue;
use companion_core::model::container::{
    AbsolutePath, BindMount, CpuQuota, Device, Endpoint, EnvName, HealthCheck, HttpUrl, Memory,
    NamedVolume, Network, NetworkName, Probe, Tmpfs, VolumeName,
};
use serde::Deserialize;

/// `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Assignment {
    pub(super) name: EnvName,
    pub(super) value: String,
}

impl TryFrom<String> for Assignment {
    type Error = InvalidValue;

    /// The value may be a secret, so an error never shows it.
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let refused = || InvalidValue::unshown("environment", "must have the form `NAME=value`");
        let (name, value) = text.split_once('=').ok_or_else(refused)?;
        let name = EnvName::new(name).map_err(|_invalid| refused())?;
        Ok(Self { name, value: value.to_owned() })
    }
}

/// A number of processors, `2` or `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Cores(pub(super) CpuQuota);

impl TryFrom<f64> for Cores {
    type Error = InvalidValue;

    fn try_from(cores: f64) -> Result<Self, InvalidValue> {
        let percent = (cores * 100.0).round();
        let rule = "must be a number of processors between 0.01 and 1000";
        if !(1.0..=100_000.0).contains(&percent) {
            return Err(InvalidValue::new("cpu_limit", &cores.to_string(), rule));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 1 and 100000"
        )]
        CpuQuota::from_percent(percent as u32).map(Self)
    }
}

/// `host`, `isolated`, `bridge`, or the name of a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct NetworkEntry(pub(super) Network);

impl TryFrom<String> for NetworkEntry {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        Ok(Self(match text.as_str() {
            "host" => Network::Host,
            "isolated" | "bridge" => Network::Bridge,
            _ => Network::Named(NetworkName::new(text)?),
        }))
    }
}

/// `/dev/ttyUSB0`, or `/dev/ttyUSB0:/dev/modem`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DeviceEntry(pub(super) Device);

impl TryFrom<String> for DeviceEntry {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let (source, target) = match text.split_once(':') {
            Some((source, target)) => (source, Some(AbsolutePath::new(target)?)),
            None => (text.as_str(), None),
        };
        let device = Device { source: AbsolutePath::new(source)?, target };
        device.validate()?;
        Ok(Self(device))
    }
}

/// A text with `{{FACT}}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(String);

impl TryFrom<String> for Template {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let template = Self(text);
        template.filled(|_name| Some(""))?;
        Ok(template)
    }
}

impl Template {
    /// Puts facts in the place of their names.
    pub(super) fn filled<'f>(
        &self,
        fact: impl Fn(&str) -> Option<&'f str>,
    ) -> Result<String, InvalidValue> {
        let rule = "must have the names of facts in `{{` and `}}`, in capitals";
        let refused = || InvalidValue::new("template", &self.0, rule);
        let (mut text, mut rest) = (String::new(), self.0.as_str());
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(refused)?;
            let name = name.trim();
            if before.contains("}}") || !crate::node::is_fact_name(name) {
                return Err(refused());
            }
            let rule = "is a fact that `facts` of the node does not have";
            let value = fact(name).ok_or_else(|| InvalidValue::new("derived_env", name, rule))?;
            text.push_str(before);
            text.push_str(value);
            rest = after;
        }
        if rest.contains("}}") {
            return Err(refused());
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// What is mounted at a path of the container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "VolumeEntry")]
pub(super) enum Volume {
    Bind(BindMount),
    Named(NamedVolume),
    Tmpfs(Tmpfs),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeEntry {
    #[serde(rename = "type")]
    kind: VolumeKind,
    source: Option<String>,
    target: AbsolutePath,
    #[serde(default)]
    options: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VolumeKind {
    Bind,
    Volume,
    Tmpfs,
}

impl TryFrom<VolumeEntry> for Volume {
    type Error = InvalidValue;

    fn try_from(entry: VolumeEntry) -> Result<Self, InvalidValue> {
        let VolumeEntry { kind, source, target, options } = entry;
        let (mut read_only, mut size) = (false, None);
        for option in &options {
            match (kind, option.split_once('=')) {
                (VolumeKind::Tmpfs, Some(("size", text))) => size = Some(Memory::parse(text)?),
                (_, None) if option == "rw" => {}
                (VolumeKind::Bind | VolumeKind::Volume, None) if option == "ro" => read_only = true,
                // Podman's defaults of a tmpfs.
                (VolumeKind::Tmpfs, None)
                    if ["noexec", "nosuid", "nodev"].contains(&option.as_str()) => {}
                _ => {
                    let rule = "must be `ro` or `rw`; of a tmpfs `rw`, `noexec`, `nosuid`, `nodev` \
                                or `size=`";
                    return Err(InvalidValue::new("options", option, rule));
                }
            }
        }
        let missing = || InvalidValue::new("source", "", "must be given for this type");
        Ok(match kind {
            VolumeKind::Bind => {
                let source = AbsolutePath::new(source.ok_or_else(missing)?)?;
                Self::Bind(BindMount { source, target, read_only })
            }
            VolumeKind::Volume => {
                let name = VolumeName::new(source.ok_or_else(missing)?)?;
                Self::Named(NamedVolume { name, target, read_only })
            }
            VolumeKind::Tmpfs => Self::Tmpfs(Tmpfs { target, size }),
        })
    }
}

/// `30s`, `2m`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecondsText")]
struct Seconds(u32);

#[derive(Deserialize)]
#[serde(untagged)]
enum SecondsText {
    Number(u32),
    Text(String),
}

impl TryFrom<SecondsText> for Seconds {
    type Error = InvalidValue;

    fn try_from(text: SecondsText) -> Result<Self, InvalidValue> {
        let text = match text {
            SecondsText::Number(count) => return Ok(Self(count)),
            SecondsText::Text(text) => text,
        };
        let whole = |time: Duration| (time.subsec_nanos() == 0).then_some(time.as_secs());
        let seconds = humantime::parse_duration(&text).ok().and_then(whole);
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        let rule = "must be a time in whole seconds, such as `30s` or `2m`";
        seconds.map(Self).ok_or_else(|| InvalidValue::new("time", &text, rule))
    }
}

/// A health check. A malformed one is an error: without it a start would wait indefinitely, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "HealthKeys")]
pub(super) struct HealthEntry(pub(super) HealthCheck);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthKeys {
    #[serde(rename = "type")]
    kind: HealthKind,
    endpoint: String,
    path: Option<String>,
    interval: Option<Seconds>,
    timeout: Option<Seconds>,
    retries: Option<NonZeroU32>,
    start_period: Option<Seconds>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HealthKind {
    Http,
    Tcp,
    #[serde(alias = "exec")]
    Cmd,
}

impl TryFrom<HealthKeys> for HealthEntry {
    type Error = InvalidValue;

    fn try_from(keys: HealthKeys) -> Result<Self, InvalidValue> {
        if let (HealthKind::Tcp | HealthKind::Cmd, Some(path)) = (keys.kind, &keys.path) {
            return Err(InvalidValue::new("path", path, "belongs to a check of the type `http`"));
        }
        let probe = match keys.kind {
            HealthKind::Http => Probe::Http(url(&keys.endpoint, keys.path.as_deref())?),
            HealthKind::Tcp => Probe::Tcp(keys.endpoint.parse()?),
            HealthKind::Cmd => Probe::Command(keys.endpoint),
        };
        let positive = |field, given: Option<Seconds>, usual| {
            let rule = "must be more than zero";
            let refused = || InvalidValue::new(field, "0", rule);
            given.map_or(Ok(usual), |Seconds(count)| NonZeroU32::new(count).ok_or_else(refused))
        };
        let usual = HealthCheck::new(probe);
        let check = HealthCheck {
            interval: positive("interval", keys.interval, usual.interval)?,
            timeout: positive("timeout", keys.timeout, usual.timeout)?,
            retries: keys.retries.unwrap_or(usual.retries),
            start_period: keys.start_period.map_or(0, |Seconds(count)| count),
            ..usual
        };
        check.validate()?;
        Ok(Self(check))
    }
}

/// The URL of an endpoint, which is a URL or `HOST:PORT`, with the path that the manifest has next to it.
fn url(endpoint: &str, path: Option<&str>) -> Result<HttpUrl, InvalidValue> {
    let url: HttpUrl = if endpoint.contains("://") {
        endpoint.parse()?
    } else {
        HttpUrl::new(format!("http://{}", endpoint.parse::<Endpoint>()?))?
    };
    path.map_or(Ok(url.clone()), |path| url.with_path(path))
}
