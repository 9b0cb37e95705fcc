//! The desired state: companions to keep, companions to remove, and their generations.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::companion::{CompanionName, CompanionSpec};
use super::container::ContainerSpec;
use super::hook::{ConfigId, HookSpec};
use super::image::{ImageId, PresentImage};
use super::revision::{Fingerprint, Revision};
use super::unit::UnitSpec;

/// A number that grows with every intent recorded for a companion.
///
/// A step planned for an older generation is not executed, so a reconcile that started before a removal cannot
/// undo it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// A desired companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredCompanion {
    spec: CompanionSpec,
    /// Computed with each load: a reconcile of all needs it twice.
    fingerprint: Fingerprint,
    /// The generation of the last intent.
    pub generation: Generation,
}

impl DesiredCompanion {
    /// Returns the intent for `spec`, recorded as `generation`.
    pub fn new(spec: CompanionSpec, generation: Generation) -> Self {
        let fingerprint = canonical_fingerprint(&spec);
        Self { spec, fingerprint, generation }
    }

    /// Returns its specification.
    pub fn spec(&self) -> &CompanionSpec {
        &self.spec
    }

    /// Returns the revision with `image`, the rendered configuration `config` and restart epoch 0. A unit store
    /// adds the rendering digest.
    pub fn revision(&self, image: &PresentImage, config: Option<ConfigId>) -> Revision {
        let (spec, image) = (self.fingerprint, image.fingerprint());
        Revision { spec, image, config, rendering: None, restart_epoch: 0 }
    }

    /// Returns the unit of `revision`: it uses `image`, and mounts the revision's rendered file in place of the
    /// hook's output.
    pub fn unit(&self, image: &ImageId, revision: Revision) -> UnitSpec {
        let mut container = self.spec.container.clone();
        let hook = self.spec.hook.as_ref();
        let config = hook.and_then(|hook| {
            let file = revision.config?.path(&hook.output);
            let mounts = container.mounts.iter_mut();
            mounts
                .filter(|mount| mount.source == hook.output)
                .for_each(|mount| mount.source = file.clone());
            Some(file)
        });
        UnitSpec {
            name: self.spec.name.clone(),
            description: self.spec.description.clone(),
            image: image.clone(),
            container,
            config,
            revision,
        }
    }
}

/// Returns the fingerprint of the canonical form: JSON with fields in declaration order, sorted maps and
/// without unset fields, so that a field added by a later version changes no revision until it is set.
///
/// It is serialized from a struct, not from a `serde_json::Value`, whose order depends on a feature that
/// another crate may enable.
#[expect(
    clippy::expect_used,
    reason = "strings, numbers, lists and maps with text keys always serialize; a fallback would give one fingerprint for all"
)]
fn canonical_fingerprint(spec: &CompanionSpec) -> Fingerprint {
    #[derive(Serialize)]
    struct Canonical<'s> {
        description: &'s str,
        container: &'s ContainerSpec,
    }
    let canonical = Canonical { description: &spec.description, container: &spec.container };
    let bytes = serde_json::to_vec(&canonical).expect("a specification serializes to JSON");
    Fingerprint::of(&bytes)
}

/// A companion that is pending deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedCompanion {
    /// The generation of the removal.
    pub generation: Generation,
    /// The hook whose rendered files are removed too, if known.
    pub hook: Option<HookSpec>,
}

/// What is desired for one companion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "almost every target is present")]
pub enum Target {
    /// It exists.
    Present(DesiredCompanion),
    /// It is pending deletion.
    Removed(RemovedCompanion),
}

impl Target {
    /// The hook whose files belong to it.
    pub fn hook(&self) -> Option<&HookSpec> {
        match self {
            Self::Present(companion) => companion.spec.hook.as_ref(),
            Self::Removed(removed) => removed.hook.as_ref(),
        }
    }

    /// Returns the generation of the last intent.
    pub fn generation(&self) -> Generation {
        match self {
            Self::Present(companion) => companion.generation,
            Self::Removed(removed) => removed.generation,
        }
    }
}

/// The desired state. Objects of other names are not changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesiredState {
    /// The generation of the last intent for any companion.
    pub latest: Generation,
    /// What is desired for each companion.
    pub targets: BTreeMap<CompanionName, Target>,
}

impl DesiredState {
    /// Returns the desired companions.
    pub fn present(&self) -> impl Iterator<Item = (&CompanionName, &DesiredCompanion)> {
        self.targets.iter().filter_map(|(name, target)| match target {
            Target::Present(companion) => Some((name, companion)),
            Target::Removed(_) => None,
        })
    }

    /// Returns the companions that are pending deletion.
    pub fn removed(&self) -> impl Iterator<Item = (&CompanionName, &RemovedCompanion)> {
        self.targets.iter().filter_map(|(name, target)| match target {
            Target::Present(_) => None,
            Target::Removed(removed) => Some((name, removed)),
        })
    }

    /// Returns the desired companion `name`.
    pub fn companion(&self, name: &CompanionName) -> Option<&DesiredCompanion> {
        match self.targets.get(name)? {
            Target::Present(companion) => Some(companion),
            Target::Removed(_) => None,
        }
    }

    /// Returns the pending deletion of `name`.
    pub fn removal(&self, name: &CompanionName) -> Option<&RemovedCompanion> {
        match self.targets.get(name)? {
            Target::Present(_) => None,
            Target::Removed(removed) => Some(removed),
        }
    }

    /// Returns what is desired for `names`, and nothing for others.
    #[must_use]
    pub fn restricted_to(&self, names: &BTreeSet<CompanionName>) -> Self {
        let target = |name: &CompanionName| Some((name.clone(), self.targets.get(name)?.clone()));
        Self { latest: self.latest, targets: names.iter().filter_map(target).collect() }
    }

    /// Returns the generation of the last intent for `name`.
    pub fn generation(&self, name: &CompanionName) -> Option<Generation> {
        Some(self.targets.get(name)?.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specification_fingerprint_is_stable_across_programs() {
        let spec = CompanionSpec {
            name: CompanionName::new("web").unwrap(),
            description: "a page".to_owned(),
            image: crate::model::image::ImageSource::default(),
            container: ContainerSpec::default(),
            hook: None,
        };
        let text =
            r#"{"description":"a page","container":{"network":"bridge","restart":"always"}}"#;
        assert_eq!(canonical_fingerprint(&spec), Fingerprint::of(text.as_bytes()));
    }
}
