//! Images: local storage, build contexts and registries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use companion_core::model::container::AbsolutePath;
use companion_core::model::image::{
    BuildSource, ImageId, ImageRef, ImageSource, ImageState, PresentImage, Provenance, PullSource,
};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;

mod archives;

pub(crate) use archives::Archived;

/// The outcome of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuildOutcome {
    /// It succeeds.
    Works,
    /// A step fails.
    Fails,
    /// It hangs.
    Hangs,
}

/// A build context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context {
    /// A digest of its contents.
    pub digest: Fingerprint,
    /// The outcome of a build.
    pub build: BuildOutcome,
}

/// The behaviour of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It answers immediately.
    Up,
    /// It refuses connections.
    Down,
    /// A pull takes this long.
    Slow(Duration),
    /// It has an untrusted certificate.
    Untrusted,
    /// It requires credentials.
    Locked,
}

/// An image with a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    /// Its id.
    pub id: Fingerprint,
    /// The digest of its build context, if it was built on this host.
    pub built_from: Option<Fingerprint>,
}

/// Images, build contexts and registries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Images {
    pub(crate) store: BTreeMap<ImageRef, Image>,
    /// Dangling images, with their previous reference if they were built here for a companion.
    pub(crate) unnamed: BTreeMap<Fingerprint, Option<ImageRef>>,
    /// Images that a power loss would damage.
    pub(crate) unsynced: BTreeSet<Fingerprint>,
    /// Images that no container can be started from.
    pub(crate) damaged: BTreeSet<Fingerprint>,
    /// The build contexts.
    pub contexts: BTreeMap<AbsolutePath, Context>,
    /// The registries, by host and port.
    pub registries: BTreeMap<String, Reach>,
    /// The images in registries.
    pub published: BTreeMap<ImageRef, Fingerprint>,
    /// The archived image of each source.
    pub(crate) archived: BTreeMap<ImageRef, Archived>,
    /// Those for another architecture.
    pub mismatches: BTreeSet<ImageRef>,
    pub(crate) builds: u32,
}

impl Images {
    /// Returns whether an image has that reference.
    pub fn has(&self, reference: &ImageRef) -> bool {
        self.store.contains_key(reference)
    }

    /// Returns the image with that reference.
    pub fn get(&self, reference: &ImageRef) -> Option<&Image> {
        self.store.get(reference)
    }

    /// Returns the number of images, including dangling ones.
    pub fn count(&self) -> usize {
        let named: BTreeSet<_> = self.store.values().map(|image| image.id).collect();
        named.len() + self.unnamed.len()
    }

    /// Returns the undamaged image with this id, with or without a reference.
    pub fn find(&self, image: &ImageId) -> Option<Fingerprint> {
        let named = self.store.values().map(|image| &image.id);
        let mut usable = named.chain(self.unnamed.keys()).filter(|id| !self.damaged.contains(id));
        usable.find(|id| image_id(**id) == *image).copied()
    }

    /// Adds a whole image, and tags it. It is not synced yet unless it was there already.
    fn make(&mut self, reference: &ImageRef, image: Image) {
        if self.find(&image_id(image.id)).is_none() {
            self.damaged.remove(&image.id);
            self.unsynced.insert(image.id);
        }
        self.tag(reference, image);
    }

    /// Damages the images that are not synced.
    pub(crate) fn lose_unsynced(&mut self) {
        self.damaged.append(&mut self.unsynced);
    }

    /// Tags `image` with `reference`; the previously tagged image becomes dangling.
    pub(crate) fn tag(&mut self, reference: &ImageRef, image: Image) {
        let before = self.store.insert(reference.clone(), image);
        self.unnamed.remove(&image.id);
        if let Some(before) = before
            && !self.store.values().any(|other| other.id == before.id)
        {
            let name = before.built_from.map(|_context| reference.clone());
            self.unnamed.insert(before.id, name);
        }
    }

    /// Returns the first existing context of the candidates, with its digest and build outcome.
    fn context(&self, source: &BuildSource) -> Option<Context> {
        let mut found = source.contexts.iter().filter_map(|path| self.contexts.get(path));
        let context = *found.next()?;
        if source.arguments.is_empty() {
            return Some(context);
        }
        let text = format!("{}{:?}", context.digest, source.arguments);
        Some(Context { digest: Fingerprint::of(text.as_bytes()), ..context })
    }

    /// Returns the image that a companion of `source` would start from, damaged or not.
    fn named<'s>(&self, source: &'s ImageSource) -> Option<(&'s ImageRef, Image)> {
        let built = source.build.as_ref().map(|build| &build.reference);
        let pulled = source.pull.as_ref().map(|pull| &pull.reference);
        let references = built.into_iter().chain(pulled);
        let found = || references.clone().filter_map(|name| Some((name, *self.get(name)?)));
        found().find(|(name, image)| !is_unmanaged(source, name, image)).or_else(|| found().next())
    }
}

/// Returns whether the image has the name of the build, but was not built here.
fn is_unmanaged(source: &ImageSource, name: &ImageRef, image: &Image) -> bool {
    let built = source.build.as_ref().map(|build| &build.reference);
    image.built_from.is_none() && Some(name) == built
}

/// Returns the id of an image with these contents.
#[expect(clippy::expect_used, reason = "four times 16 hexadecimal digits are an id")]
pub fn image_id(contents: Fingerprint) -> ImageId {
    ImageId::new(&contents.to_string().repeat(4)).expect("64 hexadecimal digits")
}

fn present(reference: &ImageRef, image: Image) -> PresentImage {
    PresentImage {
        reference: reference.clone(),
        id: image_id(image.id),
        provenance: match image.built_from {
            Some(context) => Provenance::Built { context },
            None => Provenance::External,
        },
    }
}

/// The work to make an image present and current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// None.
    Nothing(PresentImage),
    /// A build, with its outcome.
    Build(BuildOutcome),
    /// A pull, with the registry's behaviour.
    Pull(Reach),
}

impl World {
    /// Returns the state of `source` on the host. Contacts no registry.
    ///
    /// # Errors
    /// `Unavailable` without Podman.
    pub fn image_state(&self, source: &ImageSource) -> PortResult<ImageState> {
        self.needs_podman()?;
        let context = source.build.as_ref().and_then(|build| self.images.context(build));
        let name = source.build.as_ref().map(|build| &build.reference);
        let dangling = self.dangling().filter(|(_, built_as)| Some(*built_as) == name);
        let named = self.images.named(source);
        let damaged = named.is_some_and(|(_, image)| self.images.damaged.contains(&image.id));
        let usable = named.filter(|_| !damaged);
        Ok(ImageState {
            context: context.map(|context| context.digest),
            present: usable.map(|(reference, image)| {
                match is_unmanaged(source, reference, &image) {
                    true => PresentImage {
                        provenance: Provenance::Unmanaged,
                        ..present(reference, image)
                    },
                    false => present(reference, image),
                }
            }),
            damaged,
            dangling: dangling.map(|(id, _)| image_id(*id)).collect(),
        })
    }

    /// Damages the image `reference`; running containers keep running.
    pub fn damage_image(&mut self, reference: &ImageRef) {
        if let Some(image) = self.images.get(reference).copied() {
            for slot in self.slots.values_mut() {
                slot.unseen.image = true;
            }
            self.images.damaged.insert(image.id);
        }
    }

    /// Returns managed dangling images that no container uses, with their previous reference.
    fn dangling(&self) -> impl Iterator<Item = (&Fingerprint, &ImageRef)> {
        let used: BTreeSet<Fingerprint> =
            self.slots.values().filter_map(|slot| slot.service.run?.image).collect();
        let unnamed = self.images.unnamed.iter();
        let ours = unnamed.filter_map(|(id, built_as)| Some((id, built_as.as_ref()?)));
        ours.filter(move |(id, _)| !used.contains(id))
    }

    /// Returns the work for the image of `source`; `built_in_vain` means that its build failed.
    ///
    /// # Errors
    /// `NotFound` when there is neither a context nor a registry to ask, `Invalid` when the build failed and
    /// nothing can stand in for it, `Unavailable` without Podman.
    pub fn image_need(&self, source: &ImageSource, built_in_vain: bool) -> PortResult<Need> {
        let state = self.image_state(source)?;
        let current = state.is_current();
        if let Some(image) = state.present {
            if current {
                return Ok(Need::Nothing(image));
            }
            if built_in_vain {
                let message = format!("the build of `{}` failed: exit status 1", image.reference);
                return Err(PortError::new(PortErrorKind::Invalid, message));
            }
        }
        let context = source.build.as_ref().and_then(|build| self.images.context(build));
        match (context, &source.pull) {
            (Some(context), _) if !built_in_vain => Ok(Need::Build(context.build)),
            (_, Some(pull)) => {
                let reach = self.images.registries.get(pull.reference.registry());
                Ok(Need::Pull(reach.copied().unwrap_or(Reach::Down)))
            }
            (Some(_), None) => {
                let message = "the build failed with exit status 1, and no registry is named";
                Err(PortError::new(PortErrorKind::Invalid, message))
            }
            (None, None) => {
                let message = "no build context exists, and no registry is named";
                Err(PortError::new(PortErrorKind::NotFound, message))
            }
        }
    }

    /// Builds the image of `source` from its context.
    ///
    /// # Errors
    /// `NotFound` when the context is missing, `Invalid` when the build fails, `Transient` and `Denied` from
    /// the disk.
    pub fn build_image(&mut self, source: &ImageSource) -> PortResult<PresentImage> {
        let build = source.build.as_ref();
        let found = build.and_then(|build| Some((build, self.images.context(build)?)));
        let Some((build, context)) = found else {
            let message = "the build context does not exist";
            return Err(PortError::new(PortErrorKind::NotFound, message));
        };
        if context.build != BuildOutcome::Works {
            let message = format!("the build of `{}` failed: exit status 1", build.reference);
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
        self.disk_takes("the image store")?;
        let number = if self.conditions.fresh_build_ids {
            self.images.builds += 1;
            self.images.builds
        } else {
            0
        };
        let text = format!("built {} {number}", context.digest);
        let image =
            Image { id: Fingerprint::of(text.as_bytes()), built_from: Some(context.digest) };
        self.images.make(&build.reference, image);
        Ok(present(&build.reference, image))
    }

    /// Pulls the image of `source` from its registry.
    ///
    /// # Errors
    /// `Transient` when the registry is unreachable or untrusted, `Denied` when it requires credentials,
    /// `NotFound` when none is named or it does not have the image, `Invalid` when the image is for another
    /// architecture, `Transient` and `Denied` from the disk.
    pub fn pull_image(&mut self, source: &ImageSource) -> PortResult<PresentImage> {
        let Some(PullSource { reference, verify_tls }) = &source.pull else {
            return Err(PortError::new(PortErrorKind::NotFound, "no registry is named"));
        };
        let refuse = |kind, why: &str| {
            let message = format!("cannot pull `{reference}`: {why}");
            Err(PortError::new(kind, message))
        };
        match self.images.registries.get(reference.registry()) {
            None | Some(Reach::Down) => {
                return refuse(PortErrorKind::Transient, "connection refused");
            }
            Some(Reach::Untrusted) if *verify_tls || !self.conditions.traits.tls_per_pull => {
                let why = "certificate signed by unknown authority";
                return refuse(PortErrorKind::Transient, why);
            }
            Some(Reach::Locked) => return refuse(PortErrorKind::Denied, "unauthorized"),
            Some(Reach::Up | Reach::Slow(_) | Reach::Untrusted) => {}
        }
        if self.images.mismatches.contains(reference) {
            return refuse(PortErrorKind::Invalid, "image is built for another architecture");
        }
        let Some(content) = self.images.published.get(reference) else {
            return refuse(PortErrorKind::NotFound, "manifest unknown");
        };
        let image = Image { id: *content, built_from: None };
        self.disk_takes("the image store")?;
        self.images.make(reference, image);
        Ok(present(reference, image))
    }

    /// Removes the images in `dangling` that are managed, still dangling and unused; returns how many.
    ///
    /// # Errors
    /// `Unavailable` without Podman.
    pub fn prune_images(&mut self, dangling: &[ImageId]) -> PortResult<u32> {
        self.needs_podman()?;
        self.watch_prune(dangling);
        let asked: BTreeSet<&ImageId> = dangling.iter().collect();
        let is_asked = |id: &Fingerprint| asked.contains(&image_id(*id));
        let going: Vec<Fingerprint> = self.dangling().map(|(id, _)| *id).filter(is_asked).collect();
        for id in &going {
            self.images.unnamed.remove(id);
        }
        let removed = u32::try_from(going.len()).unwrap_or(u32::MAX);
        Ok(removed)
    }
}
