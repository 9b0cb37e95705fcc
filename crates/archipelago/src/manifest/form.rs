//! The keys of a manifest. What a key's value may be is in `fields`, what they mean together in `spec`.

use companion_core::model::companion::CompanionName;
use companion_core::model::container::{
    AbsolutePath, Capability, ContainerUser, EnvName, ExtraHost, Memory, PortMapping,
    RestartPolicy, SecretName,
};
use companion_core::model::image::ImageRef;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::fields::{Assignment, Cores, DeviceEntry, HealthEntry, NetworkEntry, Template, Volume};
use crate::app::AppId;

/// Parses YAML. The error is line, column and message, without the text of the file.
pub(super) fn from_yaml(text: &str) -> Result<File, (usize, usize, String)> {
    let options = serde_saphyr::options! {
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let number = |place: Option<u64>| place.and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        let (line, column) = (place.map(|place| place.line()), place.map(|place| place.column()));
        let what = error.without_snippet().to_string();
        let what = what.lines().next().unwrap_or_default();
        let what = what.rsplit_once(" at line ").map_or(what, |(what, _)| what);
        let what = what.chars().take(400).flat_map(escaped).collect();
        (number(line), number(column), what)
    })
}

/// Shows control characters as escapes.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let (plain, control) = if c.is_control() { (None, Some(c)) } else { (Some(c), None) };
    plain.into_iter().chain(control.into_iter().flat_map(char::escape_debug))
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) app: App,
}

/// The app. Values of `Ignored` keys are not read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub(super) id: AppId,
    /// The name and version for people.
    #[serde(default, rename = "name")]
    _name: Option<Ignored>,
    #[serde(default, rename = "version")]
    _version: Option<Ignored>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) container_name: Option<CompanionName>,
    pub(super) container: Container,
    #[serde(default)]
    pub(super) resources: Resources,
    #[serde(default)]
    pub(super) security: Security,
    #[serde(default)]
    pub(super) ports: Vec<PortMapping>,
    #[serde(default)]
    pub(super) volumes: Vec<Volume>,
    #[serde(default)]
    pub(super) environment: Vec<Assignment>,
    #[serde(default)]
    pub(super) devices: Vec<DeviceEntry>,
    #[serde(default)]
    pub(super) health_check: Option<HealthEntry>,
    #[serde(default)]
    pub(super) stop_grace_secs: Option<u32>,
    #[serde(default)]
    pub(super) restart_policy: Option<RestartPolicy>,
    #[serde(default)]
    dependencies: Option<Ignored>,
    #[serde(default)]
    files: Option<Ignored>,
    #[serde(default)]
    interfaces: Option<Ignored>,
    #[serde(default)]
    metadata: Option<Ignored>,
}

/// The image and what runs in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    #[serde(default)]
    pub(super) image: Option<ImageRef>,
    #[serde(default)]
    pub(super) build: Option<Build>,
    #[serde(default)]
    image_signature: Option<Ignored>,
    #[serde(default)]
    pull_policy: Option<PullPolicy>,
    #[serde(default)]
    pub(super) network: Option<NetworkEntry>,
    #[serde(default)]
    pub(super) entrypoint: Vec<String>,
    #[serde(default)]
    pub(super) custom_args: Vec<String>,
    #[serde(default)]
    pub(super) working_dir: Option<AbsolutePath>,
    #[serde(default)]
    pub(super) user: Option<ContainerUser>,
    #[serde(default)]
    pub(super) extra_hosts: Vec<ExtraHost>,
    #[serde(default)]
    pub(super) derived_env: Vec<Derived>,
    #[serde(default)]
    pub(super) secret_env: Vec<SecretVariable>,
    #[serde(default)]
    generated_secrets: Option<Ignored>,
    #[serde(default)]
    generated_certs: Option<Ignored>,
    #[serde(default)]
    data_uid: Option<Ignored>,
}

/// An image that is built on the node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    /// A directory with a Dockerfile; a relative one is relative to the manifest.
    pub(super) context: String,
    #[serde(default)]
    pub(super) dockerfile: Option<Dockerfile>,
    #[serde(default)]
    pub(super) tag: Option<ImageRef>,
}

/// The names of a Dockerfile that a build looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Dockerfile {
    Dockerfile,
    Containerfile,
}

/// When the image is pulled. Here it is pulled once, before the first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullPolicy {
    IfNotPresent,
    Never,
    Always,
}

/// A variable made of facts of the node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Derived {
    pub(super) key: EnvName,
    pub(super) template: Template,
}

/// A variable whose value is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretVariable {
    pub(super) key: EnvName,
    pub(super) secret_file: SecretName,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Resources {
    pub(super) cpu_limit: Option<Cores>,
    pub(super) memory_limit: Option<Memory>,
    disk_limit: Option<Ignored>,
}

/// What a container may do: as little as possible unless the manifest says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Security {
    pub(super) capabilities: Vec<Capability>,
    pub(super) readonly_root: bool,
    pub(super) no_new_privileges: bool,
    pub(super) network_policy: Option<NetworkEntry>,
    apparmor_profile: Option<Ignored>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            capabilities: Vec::new(),
            readonly_root: true,
            no_new_privileges: true,
            network_policy: None,
            apparmor_profile: None,
        }
    }
}

/// A value that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_ignored| Self)
    }
}

impl App {
    pub(super) fn outside_the_unit(&self) -> Vec<&'static str> {
        let container = &self.container;
        let keys = [
            ("dependencies", self.dependencies.is_some()),
            ("files", self.files.is_some()),
            ("interfaces", self.interfaces.is_some()),
            ("metadata", self.metadata.is_some()),
            ("container.image_signature", container.image_signature.is_some()),
            ("container.pull_policy", container.pull_policy == Some(PullPolicy::Always)),
            ("container.generated_secrets", container.generated_secrets.is_some()),
            ("container.generated_certs", container.generated_certs.is_some()),
            ("container.data_uid", container.data_uid.is_some()),
            ("resources.disk_limit", self.resources.disk_limit.is_some()),
            ("security.apparmor_profile", self.security.apparmor_profile.is_some()),
        ];
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }
}
