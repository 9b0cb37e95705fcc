//! The desired state: what is to exist, what is to be gone, and since which generation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::companion::{CompanionName, CompanionSpec};
use super::container::ContainerSpec;
use super::hook::{ConfigId, HookSpec};
use super::image::{ImageId, PresentImage};
use super::revision::{Fingerprint, Revision};
use super::unit::UnitSpec;

/// A number that grows with every wish that is recorded for a companion.
///
/// An effect that was planned for an older one is not carried out: that is how a resync which began
/// before a removal cannot undo it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// A companion that is to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredCompanion {
    spec: CompanionSpec,
    fingerprint: Fingerprint,
    generation: Generation,
}

impl DesiredCompanion {
    /// The wish for `spec`, recorded as `generation`.
    pub fn new(spec: CompanionSpec, generation: Generation) -> Self {
        let fingerprint = canonical_fingerprint(&spec);
        Self { spec, fingerprint, generation }
    }

    /// What it is to be.
    pub fn spec(&self) -> &CompanionSpec {
        &self.spec
    }

    /// The part of its revisions that stands for its specification.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// When that was last wished for.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The revision on `image` with the rendered configuration `config`, restart epoch 0. Its rendering
    /// is for a unit store to say.
    pub fn revision(&self, image: &PresentImage, config: Option<ConfigId>) -> Revision {
        let (spec, image) = (self.fingerprint, image.fingerprint());
        Revision { spec, image, config, rendering: None, restart_epoch: 0 }
    }

    /// The unit that names `revision`: it starts from `image`, and mounts the revision's rendered file
    /// wherever the specification mounts the hook's output.
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

/// The fingerprint of the canonical form: JSON with the fields in the order of their declaration,
/// maps sorted, and unset fields left out, so that a field which a later version adds changes no
/// revision until somebody sets it.
///
/// It is written from a struct and never from a `serde_json::Value`, whose order depends on a feature
/// that any other crate of the program may switch on.
#[expect(
    clippy::expect_used,
    reason = "strings, numbers, lists and maps with text keys have no way to fail; no bytes would be one fingerprint for all"
)]
fn canonical_fingerprint(spec: &CompanionSpec) -> Fingerprint {
    #[derive(Serialize)]
    struct Canonical<'s> {
        description: &'s str,
        container: &'s ContainerSpec,
    }
    let canonical = Canonical { description: &spec.description, container: &spec.container };
    let bytes = serde_json::to_vec(&canonical).expect("a specification is written as JSON");
    Fingerprint::of(&bytes)
}

/// A companion that was wished away, and of which nothing is to be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedCompanion {
    /// When that was wished for.
    pub generation: Generation,
    /// The hook whose rendered file goes too, if it is still known.
    pub hook: Option<HookSpec>,
}

/// What is to exist and what is to be gone. What is in neither is nobody's wish, and left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesiredState {
    /// The generation of the last intent that it includes, whichever companion that is about.
    pub latest: Generation,
    /// The companions that are to exist.
    pub companions: BTreeMap<CompanionName, DesiredCompanion>,
    /// The companions that are to be gone; a name is never in both.
    pub removed: BTreeMap<CompanionName, RemovedCompanion>,
}

impl DesiredState {
    /// The generation of what is wished for `name`, whichever way.
    pub fn generation(&self, name: &CompanionName) -> Option<Generation> {
        let wanted = self.companions.get(name).map(DesiredCompanion::generation);
        wanted.or_else(|| self.removed.get(name).map(|companion| companion.generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image::ImageSource;

    #[test]
    fn the_fingerprint_of_a_specification_is_the_same_in_every_program() {
        let spec = CompanionSpec {
            name: CompanionName::new("web").unwrap(),
            description: "a page".to_owned(),
            image: ImageSource::default(),
            container: ContainerSpec::default(),
            hook: None,
        };
        let text =
            r#"{"description":"a page","container":{"network":"bridge","restart":"always"}}"#;
        assert_eq!(canonical_fingerprint(&spec), Fingerprint::of(text.as_bytes()));
    }
}
