//! [`PodmanContainers`]: the containers at given names, from one `podman ps` for all of them.
//!
//! A container without the ownership label, or of another unit, is unmanaged, and unmanaged containers are never removed. An
//! unreadable container affects only its own name: if `podman ps` fails as a whole, it is repeated for each name.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime, PortError, PortErrorKind, PortResult};
use image_source::text::shown;
use image_source::{EngineError, EngineResult};
use serde::Deserialize;
use serde_json::Value;

use crate::command::{Podman, argv};
use crate::error;

/// The label with the name of the container's companion.
pub const NAME_LABEL: &str = "companion.name";

/// The label with which Podman records the systemd unit that started a container (podman-auto-update(1)); Quadlet sets
/// it for its units.
const UNIT_LABEL: &str = "PODMAN_SYSTEMD_UNIT";

/// The used fields of a container in `podman ps --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListedContainer {
    id: String,
    image: String,
    labels: Option<BTreeMap<String, String>>,
    state: String,
}

impl ListedContainer {
    fn label(&self, key: &str) -> Option<&str> {
        Some(self.labels.as_ref()?.get(key)?.as_str())
    }

    /// Returns whether it was started by the unit of that name, or carries our label and was started by no unit.
    ///
    /// The unit decides: a companion's container from before the label has none, and `podman generate systemd` copies
    /// labels into another unit.
    fn is_of(&self, name: &CompanionName) -> bool {
        match self.label(UNIT_LABEL) {
            Some(unit) => unit == format!("{name}.service"),
            None => self.label(NAME_LABEL) == Some(name.as_str()),
        }
    }

    /// Returns its image, and the unit that started it.
    fn description(&self) -> String {
        let image = shown(&self.image);
        match self.label(UNIT_LABEL) {
            Some(unit) => format!("a container of image {image}, started by `{}`", shown(unit)),
            None => format!("a container of image {image}"),
        }
    }

    fn state(&self, name: &CompanionName) -> ContainerState {
        if self.is_of(name) {
            let status = shown(&self.state);
            return ContainerState::Ours { status };
        }
        ContainerState::Unmanaged { what: self.description() }
    }
}

/// A row of the output of `podman ps`.
#[derive(Debug)]
struct Row {
    /// Its names, if at least those are readable.
    names: Option<Vec<String>>,
    container: EngineResult<ListedContainer>,
}

/// The output of `podman ps`.
#[derive(Debug)]
pub(crate) struct Listing(Vec<Row>);

impl Listing {
    pub(crate) fn of(answer: &[u8]) -> EngineResult<Self> {
        let unreadable = |why| error::unreadable("podman ps", why);
        // Depending on its version, Podman prints `null` or `[]` if there is none.
        let rows: Option<Vec<Value>> = serde_json::from_slice(answer).map_err(unreadable)?;
        let row = |row: Value| {
            let names = row.get("Names").and_then(|names| Vec::deserialize(names).ok());
            Row { names, container: ListedContainer::deserialize(row).map_err(unreadable) }
        };
        Ok(Self(rows.unwrap_or_default().into_iter().map(row).collect()))
    }

    /// Returns the container at `name`. A row without readable names may be the container of any name that no other row
    /// has.
    fn at(&self, name: &CompanionName) -> EngineResult<Option<&ListedContainer>> {
        let has_name = |row: &&Row| row.names.iter().flatten().any(|own| own == name.as_str());
        if let Some(row) = self.0.iter().find(has_name) {
            return row.container.as_ref().map(Some).map_err(Clone::clone);
        }
        match self.0.iter().find(|row| row.names.is_none()) {
            Some(_) => Err(error::unreadable("podman ps", "a container has no readable name")),
            None => Ok(None),
        }
    }

    pub(crate) fn state(&self, name: &CompanionName) -> EngineResult<ContainerState> {
        let found = self.at(name)?;
        Ok(found.map_or(ContainerState::Absent, |container| container.state(name)))
    }
}

/// The containers of a podman.
#[derive(Debug, Clone)]
pub struct PodmanContainers {
    podman: Podman,
}

impl PodmanContainers {
    /// Creates the port over `podman`.
    #[must_use]
    pub fn new(podman: Podman) -> Self {
        Self { podman }
    }

    /// Lists the containers at `names`. The inner error is one that any of them can be the cause of.
    async fn list(&self, names: &BTreeSet<CompanionName>) -> EngineResult<EngineResult<Listing>> {
        let exit = self.podman.exit(argv::containers(names)).await?;
        Ok(exit.answer().and_then(|answer| Listing::of(&answer)))
    }

    /// Lists the container at `name` with a separate call.
    async fn find(&self, name: &CompanionName) -> EngineResult<Listing> {
        self.list(&BTreeSet::from([name.clone()])).await?
    }
}

#[async_trait]
impl ContainerRuntime for PodmanContainers {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>> {
        if names.is_empty() {
            return BTreeMap::new();
        }
        let listing = match self.list(names).await {
            Ok(listing) => listing,
            Err(error) => {
                let message = "failed to observe the companions' containers";
                return PortError::new(error.kind(), message).with_source(error).for_each(names);
            }
        };
        let mut states = BTreeMap::new();
        for name in names {
            let state = match &listing {
                Ok(listing) => listing.state(name),
                Err(_) if names.len() > 1 => {
                    self.find(name).await.and_then(|listing| listing.state(name))
                }
                Err(error) => Err(error.clone()),
            };
            let unobserved = |error: EngineError| {
                let message = format!("failed to observe container `{name}`");
                PortError::new(error.kind(), message).with_source(error)
            };
            states.insert(name.clone(), state.map_err(unobserved));
        }
        states
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let failed = |error: EngineError| {
            let message = format!("failed to remove container `{name}`");
            PortError::new(error.kind(), message).with_source(error)
        };
        let listing = self.find(name).await.map_err(failed)?;
        let Some(container) = listing.at(name).map_err(failed)? else { return Ok(()) };
        if !container.is_of(name) {
            let message = format!(
                "container `{name}` is unmanaged: {}; a container of ours was started by `{name}.service`, \
                 or by no unit and has the label `{NAME_LABEL}={name}`",
                container.description()
            );
            return Err(PortError::new(PortErrorKind::Conflict, message));
        }
        // By ID: a container that takes the name in the meantime is another one.
        let removal = argv::remove_container(&container.id);
        self.podman.run(removal).await.map_err(failed)?;
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
    fn a_container_with_our_label_or_of_our_unit_is_managed() {
        let status = "running".to_owned();
        for labels in
            [r#"{"companion.name": "archy-x"}"#, r#"{"PODMAN_SYSTEMD_UNIT": "archy-x.service"}"#]
        {
            assert_eq!(state(labels), ContainerState::Ours { status: status.clone() });
        }
    }

    #[test]
    fn a_container_with_another_companions_labels_is_unmanaged() {
        for labels in ["null", "{}", r#"{"companion.name": "archy-y"}"#] {
            let what = "a container of image localhost/x:latest".to_owned();
            assert_eq!(state(labels), ContainerState::Unmanaged { what }, "{labels}");
        }
    }

    #[test]
    fn a_container_of_another_unit_is_unmanaged_and_names_the_unit() {
        for unit in ["archy-x", "xarchy-x.service", "container-archy-x.service"] {
            let labels =
                format!(r#"{{"companion.name": "archy-x", "PODMAN_SYSTEMD_UNIT": "{unit}"}}"#);
            let what = format!("a container of image localhost/x:latest, started by `{unit}`");
            assert_eq!(state(&labels), ContainerState::Unmanaged { what });
        }
    }
}
