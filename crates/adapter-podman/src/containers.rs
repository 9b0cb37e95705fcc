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
use serde::Deserialize;
use serde_json::Value;

use crate::command::{Podman, argv};
use crate::error::{PodmanError, Verb};

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
    names: Option<Vec<String>>,
    image: String,
    labels: Option<BTreeMap<String, String>>,
    state: String,
}

impl ListedContainer {
    fn has_name(&self, name: &CompanionName) -> bool {
        self.names.iter().flatten().any(|own| own == name.as_str())
    }

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

    pub(crate) fn state(&self, name: &CompanionName) -> ContainerState {
        if self.is_of(name) {
            let status = shown(&self.state);
            return ContainerState::Ours { status };
        }
        ContainerState::Unmanaged { what: self.description() }
    }
}

/// A row of the list: a container, or an invalid row.
#[derive(Debug)]
enum Row {
    Readable(ListedContainer),
    Unreadable {
        /// Its names, if at least those are readable.
        names: Option<Vec<String>>,
        /// The parser's error.
        error: String,
    },
}

impl Row {
    fn of(row: Value) -> Self {
        let names = row.get("Names").map(|names| Vec::deserialize(names).ok());
        match ListedContainer::deserialize(row) {
            Ok(container) => Self::Readable(container),
            Err(error) => {
                let error = shown(&error.to_string());
                Self::Unreadable { names: names.flatten(), error }
            }
        }
    }
}

/// The output of `podman ps`.
#[derive(Debug)]
struct Listing(Vec<Row>);

impl Listing {
    /// Returns the container at `name`. A row with unreadable names may be the container of any name that no other row
    /// has.
    fn at(&self, name: &CompanionName) -> Result<Option<&ListedContainer>, &str> {
        let mut doubt = None;
        for row in &self.0 {
            match row {
                Row::Readable(container) if container.has_name(name) => return Ok(Some(container)),
                Row::Readable(_) => {}
                Row::Unreadable { names: Some(names), error } => {
                    if names.iter().any(|own| own == name.as_str()) {
                        return Err(error);
                    }
                }
                Row::Unreadable { names: None, error } => doubt = Some(error.as_str()),
            }
        }
        doubt.map_or(Ok(None), Err)
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

    async fn list(&self, names: &BTreeSet<CompanionName>) -> Result<Listing, PodmanError> {
        // Depending on its version, Podman prints `null` or `[]` if there is none.
        let rows: Option<Vec<Value>> = self.podman.query(Verb::Ps, argv::containers(names)).await?;
        Ok(Listing(rows.unwrap_or_default().into_iter().map(Row::of).collect()))
    }

    /// Finds the container at `name` with a separate call.
    async fn find(&self, name: &CompanionName) -> Result<Option<ListedContainer>, PodmanError> {
        let listing = self.list(&BTreeSet::from([name.clone()])).await?;
        listing.at(name).map(|found| found.cloned()).map_err(unreadable)
    }

    /// Reads containers for [`observe`](ContainerRuntime::observe), in one call if possible.
    async fn read(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>> {
        let listing = match self.list(names).await {
            Ok(listing) => listing,
            // The call failed. Any container of the list can be the cause.
            Err(PodmanError::Failed { .. } | PodmanError::TooMuch { .. }) if names.len() > 1 => {
                let mut states = BTreeMap::new();
                for name in names {
                    let found = self.find(name).await;
                    let state = found.map(|found| state_at(name, found.as_ref()));
                    states.insert(name.clone(), state.map_err(|error| unobserved(name, error)));
                }
                return states;
            }
            Err(error) => {
                let message = "failed to observe the companions' containers";
                return PortError::new(error.kind(), message).with_source(error).for_each(names);
            }
        };
        let state = |name: &CompanionName| match listing.at(name) {
            Ok(found) => Ok(state_at(name, found)),
            Err(error) => Err(unobserved(name, unreadable(error))),
        };
        names.iter().map(|name| (name.clone(), state(name))).collect()
    }
}

fn unreadable(text: &str) -> PodmanError {
    let source = serde::de::Error::custom(text);
    PodmanError::Unreadable { call: Verb::Ps, source }
}

fn unobserved(name: &CompanionName, error: PodmanError) -> PortError {
    let message = format!("failed to observe container `{name}`");
    PortError::new(error.kind(), message).with_source(error)
}

fn state_at(name: &CompanionName, found: Option<&ListedContainer>) -> ContainerState {
    found.map_or(ContainerState::Absent, |container| container.state(name))
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
        self.read(names).await
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let failed = |error: PodmanError| {
            let message = format!("failed to remove container `{name}`");
            PortError::new(error.kind(), message).with_source(error)
        };
        let Some(container) = self.find(name).await.map_err(failed)? else {
            return Ok(());
        };
        if !container.is_of(name) {
            let message = format!(
                "container `{name}` is unmanaged: {}; a container of ours was started by `{name}.service`, \
                 or by no unit and has the label `{NAME_LABEL}={name}`",
                container.description()
            );
            return Err(PortError::new(PortErrorKind::Conflict, message));
        }
        // By ID: a container that takes the name in the meantime is another one.
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
