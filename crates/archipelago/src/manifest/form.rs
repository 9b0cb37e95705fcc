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

/// Parses YAML. The error is place and message in one line, without the text of the file.
pub(super) fn from_yaml(text: &str, file: &str) -> Result<File, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let what = error.without_snippet().to_string();
        let what = what.lines().next().unwrap_or_default();
        let what = what.rsplit_once(" at line ").map_or(what, |(what, _)| what);
        let escaped = |c: char| match c.is_control() {
            true => c.escape_debug().to_string(),
            false => c.to_string(),
        };
        let what: String = what.chars().take(400).map(escaped).collect();
        format!("{file}:{line}:{column}: {what}")
    })
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) app: App,
}

/// The app. Values of `IgnoredAny` keys are not read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub(super) id: AppId,
    /// The name and version for people.
    #[serde(rename = "name")]
    _name: Option<IgnoredAny>,
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    pub(super) description: Option<String>,
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
    pub(super) health_check: Option<HealthEntry>,
    pub(super) stop_grace_secs: Option<u32>,
    pub(super) restart_policy: Option<RestartPolicy>,
    dependencies: Option<IgnoredAny>,
    files: Option<IgnoredAny>,
    interfaces: Option<IgnoredAny>,
    metadata: Option<IgnoredAny>,
}

/// The image and what runs in it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Container {
    pub(super) image: Option<ImageRef>,
    pub(super) build: Option<Build>,
    image_signature: Option<IgnoredAny>,
    pull_policy: Option<PullPolicy>,
    pub(super) network: Option<NetworkEntry>,
    pub(super) entrypoint: Vec<String>,
    pub(super) custom_args: Vec<String>,
    pub(super) working_dir: Option<AbsolutePath>,
    pub(super) user: Option<ContainerUser>,
    pub(super) extra_hosts: Vec<ExtraHost>,
    pub(super) derived_env: Vec<Derived>,
    pub(super) secret_env: Vec<SecretVariable>,
    generated_secrets: Option<IgnoredAny>,
    generated_certs: Option<IgnoredAny>,
    data_uid: Option<IgnoredAny>,
}

/// An image that is built on the node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    /// A directory with a Dockerfile; a relative one is relative to the manifest.
    pub(super) context: String,
    pub(super) dockerfile: Option<Dockerfile>,
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
    disk_limit: Option<IgnoredAny>,
}

/// What a container may do: as little as possible unless the manifest says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Security {
    pub(super) capabilities: Vec<Capability>,
    pub(super) readonly_root: Option<bool>,
    pub(super) no_new_privileges: Option<bool>,
    pub(super) network_policy: Option<NetworkEntry>,
    apparmor_profile: Option<IgnoredAny>,
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
