//! [`PodmanContainers`]: the containers at given names, by one `podman ps` for all of them.
//!
//! Says whose a container is and never guesses: without one of the two marks it is a stranger's, and
//! a stranger's is never removed.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerFacts, PortError, PortErrorKind, PortResult};
use serde::Deserialize;

use crate::command::output::shown;
use crate::command::{Podman, argv};
use crate::error::{PodmanError, Verb, port_error};

/// The label that names the companion a container belongs to.
pub const NAME_LABEL: &str = "companion.name";

/// The label with which Podman remembers the systemd unit that a container was started by
/// (podman-auto-update(1)); Quadlet sets it for its own units.
const UNIT_LABEL: &str = "PODMAN_SYSTEMD_UNIT";

/// One container of `podman ps --format json`, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListedContainer {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    labels: Option<BTreeMap<String, String>>,
    state: String,
}

impl ListedContainer {
    fn has_name(&self, name: &CompanionName) -> bool {
        self.names.iter().flatten().any(|own| own == name.as_str())
    }

    /// Whether it carries our label, or was started by the unit of that name: such is a container
    /// of a companion from before there was a label, or one whose unit was written by hand.
    fn is_of(&self, name: &CompanionName) -> bool {
        let label = |key: &str| self.labels.as_ref().and_then(|labels| labels.get(key));
        label(NAME_LABEL).is_some_and(|own| own == name.as_str())
            || label(UNIT_LABEL).is_some_and(|unit| *unit == format!("{name}.service"))
    }

    pub(crate) fn state(&self, name: &CompanionName) -> ContainerState {
        if self.is_of(name) {
            let status = shown(&self.state);
            return ContainerState::Ours { status };
        }
        let image = shown(&self.image);
        ContainerState::Foreign { image }
    }
}

/// Containers by podman.
#[derive(Debug, Clone)]
pub struct PodmanContainers {
    podman: Podman,
}

impl PodmanContainers {
    /// Containers by `podman`.
    #[must_use]
    pub fn new(podman: Podman) -> Self {
        Self { podman }
    }

    async fn list(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> Result<Vec<ListedContainer>, PodmanError> {
        // Podman prints `null` or `[]` where there is none, after its version.
        let containers: Option<Vec<ListedContainer>> =
            self.podman.query(Verb::Ps, argv::containers(names)).await?;
        Ok(containers.unwrap_or_default())
    }
}

#[async_trait]
impl ContainerFacts for PodmanContainers {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> PortResult<BTreeMap<CompanionName, ContainerState>> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let containers = self.list(names).await.map_err(|error| {
            let message = "the containers of the companions could not be observed";
            port_error(error.kind(), message, error)
        })?;
        let state = |name: &CompanionName| {
            let container = containers.iter().find(|container| container.has_name(name));
            container.map_or(ContainerState::Absent, |container| container.state(name))
        };
        Ok(names.iter().map(|name| (name.clone(), state(name))).collect())
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let failed = |error: PodmanError| {
            let message = format!("container `{name}` could not be removed");
            port_error(error.kind(), message, error)
        };
        let names = BTreeSet::from([name.clone()]);
        let containers = self.list(&names).await.map_err(failed)?;
        let Some(container) = containers.iter().find(|container| container.has_name(name)) else {
            return Ok(());
        };
        if !container.is_of(name) {
            let message = format!(
                "container `{name}` is not ours: it has neither the label `{NAME_LABEL}={name}` \
                 nor was it started by `{name}.service`"
            );
            return Err(PortError::new(PortErrorKind::Conflict, message));
        }
        // By its id: whatever takes the name in between is another container.
        let args = argv::remove_container(&container.id);
        self.podman.run(Verb::Rm, args).await.map_err(failed)?;
        tracing::info!(container = %name, id = %shown(&container.id), "removed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CompanionName {
        CompanionName::new(text).unwrap()
    }

    fn state(labels: &str) -> ContainerState {
        let json = format!(
            r#"{{"Id": "ec44", "Names": ["archy-x"], "Image": "localhost/x:latest",
                "Labels": {labels}, "State": "running", "Pid": 1292}}"#
        );
        let container: ListedContainer = serde_json::from_str(&json).unwrap();
        container.state(&name("archy-x"))
    }

    #[test]
    fn a_container_with_our_label_or_of_our_unit_is_ours() {
        let status = "running".to_owned();
        for labels in
            [r#"{"companion.name": "archy-x"}"#, r#"{"PODMAN_SYSTEMD_UNIT": "archy-x.service"}"#]
        {
            assert_eq!(state(labels), ContainerState::Ours { status: status.clone() });
        }
    }

    #[test]
    fn a_container_with_another_s_marks_is_a_stranger_s() {
        for labels in [
            "null",
            "{}",
            r#"{"companion.name": "archy-y"}"#,
            r#"{"PODMAN_SYSTEMD_UNIT": "archy-x"}"#,
            r#"{"PODMAN_SYSTEMD_UNIT": "xarchy-x.service"}"#,
        ] {
            let image = "localhost/x:latest".to_owned();
            assert_eq!(state(labels), ContainerState::Foreign { image }, "{labels}");
        }
    }
}
