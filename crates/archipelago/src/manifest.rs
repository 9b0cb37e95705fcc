//! Backend manifests: an app's own container, described in TOML, managed like a companion.
//!
//! Unlike a companion, a backend may write to paths of the host and run any command. Mounts of the host's
//! root, sockets and devices are refused; a manifest lists each device. The same planner manages it.
//! [`Catalog::add_backend`](crate::Catalog::add_backend) adds it to a catalog.

use std::collections::BTreeMap;

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::{
    AbsolutePath, BindMount, Capability, ContainerSpec, ContainerUser, CpuQuota, Device, EnvName,
    ExtraHost, Memory, Network, PortMapping, RestartPolicy, Tmpfs,
};
use companion_core::model::image::{ImageRef, ImageSource, PullSource};
use serde::Deserialize;

use crate::node::Node;

/// A backend's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendManifest {
    /// The name of the unit and of the container.
    pub name: CompanionName,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// The image.
    pub image: ImageRef,
    /// The network.
    #[serde(default)]
    pub network: Network,
    /// Published ports.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
    /// Directories and files of the host, and directories in memory.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Environment; not for secrets, since a unit can be read by others.
    #[serde(default)]
    pub environment: BTreeMap<EnvName, String>,
    /// Devices of the host.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Names that resolve to given addresses.
    #[serde(default)]
    pub extra_hosts: Vec<ExtraHost>,
    /// What replaces the image's entrypoint.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// What replaces the image's command.
    #[serde(default)]
    pub command: Vec<String>,
    /// The directory that its first process starts in; the image's own when absent.
    #[serde(default)]
    pub working_dir: Option<AbsolutePath>,
    /// User and group inside the container.
    #[serde(default)]
    pub user: Option<ContainerUser>,
    /// Whether the root file system is read-only.
    #[serde(default)]
    pub read_only: bool,
    /// Whether processes are kept from gaining privileges.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// Whether all capabilities are dropped before `capabilities` are added.
    #[serde(default)]
    pub drop_all_capabilities: bool,
    /// Capabilities that are added.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The most memory: `1024` (MiB), `512m`, `2g`.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// The most processor time, in percent of one processor.
    #[serde(default)]
    pub cpu_quota: Option<CpuQuota>,
    /// When it is restarted.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Seconds between its end and its next start.
    #[serde(default)]
    pub restart_delay: Option<u32>,
    /// Seconds that a stop may take.
    #[serde(default)]
    pub stop_timeout: Option<u32>,
}

/// What is mounted at a path of the container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "type")]
pub enum Volume {
    /// A path of the host.
    Bind {
        /// The path on the host.
        source: AbsolutePath,
        /// The path in the container.
        target: AbsolutePath,
        /// Whether the container may only read it.
        #[serde(default)]
        read_only: bool,
    },
    /// A directory in memory.
    Tmpfs {
        /// The path in the container.
        target: AbsolutePath,
        /// The most it may hold.
        #[serde(default)]
        size: Option<Memory>,
    },
}

/// The error of a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Invalid TOML, or an unknown key.
    #[error("the manifest cannot be parsed: {0}")]
    Syntax(String),
    /// A field breaks a rule.
    #[error("the manifest of `{name}` is invalid")]
    Field {
        /// The backend.
        name: CompanionName,
        /// The field and the rule.
        #[source]
        source: InvalidValue,
    },
}

impl BackendManifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] with line and column.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        toml::from_str(text).map_err(|error| {
            let (place, what) = crate::catalog::described(text, "manifest", &error);
            ManifestError::Syntax(format!("{}:{}: {what}", place.line(), place.column()))
        })
    }

    /// What is to exist on `node`.
    ///
    /// # Errors
    /// [`ManifestError::Field`] for fields that do not go together.
    pub fn spec(self, node: &Node) -> Result<CompanionSpec, ManifestError> {
        let name = self.name.clone();
        self.checked(node).map_err(|source| ManifestError::Field { name, source })
    }

    fn checked(self, node: &Node) -> Result<CompanionSpec, InvalidValue> {
        let description =
            self.description.unwrap_or_else(|| format!("Archipelago backend: {}", self.name));
        crate::catalog::one_line("description", &description)?;
        let (mut mounts, mut tmpfs) = (Vec::new(), Vec::new());
        for volume in self.volumes {
            match volume {
                Volume::Bind { source, target, read_only } => {
                    mounts.push(BindMount { source, target, read_only });
                }
                Volume::Tmpfs { target, size } => tmpfs.push(Tmpfs { target, size }),
            }
        }
        let container = ContainerSpec {
            network: self.network,
            host_loopback: false,
            ports: self.ports,
            mounts,
            tmpfs,
            environment: self.environment,
            user: self.user,
            memory: self.memory,
            cpu_quota: self.cpu_quota,
            drop_all_capabilities: self.drop_all_capabilities,
            capabilities: self.capabilities.into_iter().collect(),
            no_new_privileges: self.no_new_privileges,
            read_only_root: self.read_only,
            devices: self.devices,
            extra_hosts: self.extra_hosts,
            entrypoint: self.entrypoint,
            command: self.command,
            working_dir: self.working_dir,
            restart: self.restart,
            restart_delay: self.restart_delay,
            stop_timeout: self.stop_timeout,
        };
        container.validate()?;
        let mut sources = container.mounts.iter().map(|mount| &mount.source);
        sources.try_for_each(crate::catalog::validate_mount_source)?;
        let verify_tls = !node.is_insecure_registry(self.image.registry());
        let pull = Some(PullSource { reference: self.image, verify_tls });
        let image = ImageSource { build: None, pull };
        Ok(CompanionSpec { name: self.name, description, image, container, hook: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
        name = "bitcoin-knots"
        image = "registry.example/bitcoin-knots:28"
        ports = [{ host = 8332, container = 8332, address = "127.0.0.1" }]
        environment = { BITCOIN_DATA = "/data" }
        extra_hosts = [{ name = "tor", address = "10.0.0.2" }, { name = "host" }]
        devices = [{ source = "/dev/ttyUSB0" }]
        entrypoint = ["/usr/bin/bitcoind"]
        command = ["-server", "-conf=/data/it's here.conf"]
        read_only = true
        no_new_privileges = true
        cpu_quota = 150
        memory = "2g"
        restart = "on-failure"
        restart_delay = 5
        stop_timeout = 600
        [[volumes]]
        type = "bind"
        source = "/var/lib/archipelago/bitcoin"
        target = "/data"
        [[volumes]]
        type = "bind"
        source = "/etc/ssl/certs"
        target = "/certs"
        read_only = true
        [[volumes]]
        type = "tmpfs"
        target = "/tmp"
        size = "64m"
    "#;

    #[test]
    fn manifest_becomes_a_companion_spec() {
        let spec = BackendManifest::parse(FULL).unwrap().spec(&Node::default()).unwrap();
        let container = &spec.container;
        assert_eq!(container.memory.unwrap().mebibytes(), 2048);
        assert_eq!(container.restart, RestartPolicy::OnFailure);
        assert_eq!(
            container.mounts.iter().map(|mount| mount.read_only).collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(container.tmpfs[0].target.as_str(), "/tmp");
        assert_eq!(spec.description, "Archipelago backend: bitcoin-knots");
        assert!(spec.image.pull.unwrap().verify_tls);
    }

    #[test]
    fn a_manifest_that_mounts_the_hosts_root_or_sockets_is_refused() {
        for source in ["/", "/run/user/1000/podman/podman.sock", "/var/run/docker.sock", "/dev"] {
            let volume = format!("type = \"bind\", source = \"{source}\", target = \"/s\"");
            let text =
                format!("name = \"x\"\nimage = \"a.example/x\"\nvolumes = [{{ {volume} }}]\n");
            let error = BackendManifest::parse(&text).unwrap().spec(&Node::default()).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains("mounts") && source.contains("must not be"), "{source}");
        }
    }

    #[test]
    fn memory_is_read_in_mebibytes_or_refused() {
        let with = |memory: &str| {
            let text = format!("name = \"x\"\nimage = \"a.example/x\"\nmemory = {memory}\n");
            BackendManifest::parse(&text).map(|manifest| manifest.memory.unwrap().mebibytes())
        };
        assert_eq!(with("1024").unwrap(), 1024);
        assert_eq!(with("\"512m\"").unwrap(), 512);
        for bad in ["\"512k\"", "\"lots\"", "-1", "1.5", "\"\""] {
            let error = with(bad).unwrap_err().to_string();
            assert!(error.contains(": 3:"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let error = BackendManifest::parse("name = \"x\"\nprivileged = true\n").unwrap_err();
        assert!(error.to_string().contains(": 2:1: "), "{error}");
    }

    #[test]
    fn fields_that_do_not_go_together_name_the_backend() {
        let text = "name = \"x\"\nimage = \"a.example/x\"\nnetwork = \"host\"\nports = [{ host = 1, container = 1 }]\n";
        let error = BackendManifest::parse(text).unwrap().spec(&Node::default()).unwrap_err();
        assert!(error.to_string().contains("`x`"), "{error}");
    }
}
