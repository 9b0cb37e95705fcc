//! An engine and a registry in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use companion_conformance::image_provider::ImageWorld;
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, PullSource};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{ImageProvider, PortError, PortErrorKind};
use image_source::{
    Build, CONTEXT_LABEL, EngineError, EngineResult, ImageEngine, ImageRecords, Images,
    ListedImage, Listing, Platform, SOURCE_LABEL,
};
use tempfile::TempDir;
use tokio::sync::Notify;

const BUILT: &str = "localhost/companion:latest";
pub(crate) const STAGE: &str = "localhost/0f-tmp:latest";
const PULLED: &str = "registry.example:5000/team/companion";

#[derive(Default)]
pub(crate) struct State {
    pub(crate) images: Vec<ListedImage>,
    pub(crate) mismatches: BTreeSet<ImageId>,
    pub(crate) used: BTreeSet<ImageId>,
    pub(crate) registry: BTreeMap<String, ImageId>,
    /// Why a pull fails.
    pub(crate) refusal: Option<PortErrorKind>,
    pub(crate) contacts: u32,
    pub(crate) is_untrusted: bool,
    pub(crate) is_missing: bool,
    pub(crate) build_fails: bool,
    pub(crate) builds: u32,
    /// Images that a power loss would take.
    pub(crate) unsynced: BTreeSet<ImageId>,
    pub(crate) syncs: u32,
    pub(crate) sync_fails: bool,
    /// A sync ends when this is notified.
    pub(crate) sync_waits: Option<Arc<Notify>>,
    pub(crate) damaged: BTreeSet<ImageId>,
    pub(crate) discarded: Vec<ImageId>,
    pub(crate) saves: u32,
    pub(crate) restores: u32,
    pub(crate) save_fails: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Engine(Arc<Mutex<State>>);

type Labels = BTreeMap<String, String>;

impl Engine {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Gives `name` to the image `id`, and to no other one.
    fn put(&self, name: &str, id: ImageId, labels: Labels) {
        let mut state = self.state();
        state.untag(name);
        // As in an engine: layers of an image that is there are reused, damaged or not.
        if !state.images.iter().any(|image| image.id == id) {
            state.damaged.remove(&id);
        }
        state.images.retain(|image| image.id != id);
        state.unsynced.insert(id.clone());
        let (names, former_names) = (vec![name.to_owned()], vec![name.to_owned()]);
        state.images.push(ListedImage { id, names, former_names, labels, is_dangling: false });
    }
}

impl State {
    fn untag(&mut self, name: &str) {
        let names = self.images.iter_mut().map(|image| &mut image.names);
        names.for_each(|names| names.retain(|one| one != name));
    }
}

fn failure(kind: PortErrorKind) -> EngineError {
    PortError::new(kind, "it failed").into()
}

pub(crate) fn id(contents: &str) -> ImageId {
    let digest = Fingerprint::of(contents.as_bytes()).to_string();
    ImageId::new(&format!("{digest:0>64}")).unwrap()
}

#[async_trait]
impl ImageEngine for Engine {
    async fn list(&self) -> EngineResult<Arc<Listing>> {
        let state = self.state();
        if state.is_missing {
            return Err(failure(PortErrorKind::Unavailable));
        }
        let mut images = state.images.clone();
        for image in &mut images {
            image.is_dangling = image.names.is_empty() && !state.used.contains(&image.id);
        }
        Ok(Arc::new(Listing { images, unreadable: vec![] }))
    }

    async fn platforms(
        &self,
        images: &BTreeSet<ImageId>,
    ) -> BTreeMap<ImageId, EngineResult<Platform>> {
        let state = self.state();
        let platform = |id: &ImageId| match state.mismatches.contains(id) {
            _ if state.damaged.contains(id) => {
                Err(EngineError::Damaged(PortError::new(PortErrorKind::Unavailable, "it failed")))
            }
            true => Ok(Platform { architecture: "mips".to_owned(), ..Platform::host() }),
            false => Ok(Platform::host()),
        };
        images.iter().map(|id| (id.clone(), platform(id))).collect()
    }

    async fn build(&self, build: &Build<'_>) -> EngineResult<()> {
        let Build { source, context, labels, stage_labels } = *build;
        self.put(STAGE, id(STAGE), stage_labels.clone());
        self.state().untag(STAGE);
        // A second request for the image comes meanwhile, or the build is cancelled.
        tokio::task::yield_now().await;
        self.state().images.retain(|image| image.id != id(STAGE));
        self.state().builds += 1;
        if self.state().build_fails {
            return Err(failure(PortErrorKind::Invalid));
        }
        self.put(source.reference.as_str(), id(&context.digest.to_string()), labels.clone());
        Ok(())
    }

    async fn pull(&self, source: &PullSource) -> EngineResult<()> {
        let name = source.reference.as_str();
        let (refusal, found) = {
            let mut state = self.state();
            state.contacts += 1;
            let distrusted = state.is_untrusted && source.verify_tls;
            let refusal = state.refusal.or(distrusted.then_some(PortErrorKind::Transient));
            (refusal, state.registry.get(name).cloned())
        };
        match (refusal, found) {
            (Some(kind), _) => Err(failure(kind)),
            (None, None) => Err(failure(PortErrorKind::NotFound)),
            (None, Some(id)) => {
                self.put(name, id, Labels::new());
                Ok(())
            }
        }
    }

    async fn sync(&self) -> EngineResult<()> {
        let waits = self.state().sync_waits.clone();
        if let Some(end) = waits {
            end.notified().await;
        }
        let mut state = self.state();
        state.syncs += 1;
        if state.sync_fails {
            return Err(failure(PortErrorKind::Transient));
        }
        state.unsynced.clear();
        Ok(())
    }

    async fn save(&self, image: &ImageId, path: &Path, limit: u64) -> EngineResult<()> {
        let mut state = self.state();
        let labels = state.images.iter().find(|one| one.id == *image).map(|one| &one.labels);
        let labels = labels.ok_or_else(|| failure(PortErrorKind::NotFound))?;
        let lines = labels.iter().map(|(name, value)| format!("\n{name} {value}"));
        let text = format!("{image}{}", lines.collect::<String>());
        if state.save_fails || text.len() as u64 > limit {
            return Err(failure(PortErrorKind::Invalid));
        }
        state.saves += 1;
        fs::write(path, text).map_err(|_| failure(PortErrorKind::Transient))
    }

    async fn restore(&self, path: &Path, image: &ImageId, name: &ImageRef) -> EngineResult<()> {
        self.state().restores += 1;
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        if lines.next() != Some(image.as_str()) {
            return Err(failure(PortErrorKind::Invalid));
        }
        let labels = lines.filter_map(|line| line.split_once(' '));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.put(name.as_str(), image.clone(), labels.collect());
        Ok(())
    }

    fn file_limit(&self) -> Duration {
        // Short where a test waits for it.
        Duration::from_secs(if self.state().sync_waits.is_some() { 1 } else { 10 })
    }

    async fn discard(&self, image: &ImageId) -> EngineResult<()> {
        let mut state = self.state();
        if state.used.contains(image) {
            return Err(failure(PortErrorKind::Transient));
        }
        state.discarded.push(image.clone());
        state.images.retain(|one| one.id != *image);
        Ok(())
    }

    async fn remove(&self, image: &ImageId) -> EngineResult<bool> {
        let mut state = self.state();
        let before = state.images.len();
        state.images.retain(|one| one.id != *image);
        Ok(state.images.len() < before)
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) images: Arc<Images<Engine>>,
    place: TempDir,
}

/// The limit of all archives in bytes.
pub(crate) const LIMIT: u64 = 4096;

fn records(place: &TempDir) -> ImageRecords {
    ImageRecords::new(place.path().join("state/images"), || LIMIT)
}

fn provider(engine: &Engine, place: &TempDir) -> Images<Engine> {
    Images::new(engine.clone(), records(place))
}

impl World {
    /// Another instance on the same host, as in another process.
    pub(crate) fn next(&self) -> Images<Engine> {
        provider(&self.engine, &self.place)
    }

    /// The same with another limit of all archives in bytes.
    pub(crate) fn next_with_limit(&self, limit: u64) -> Images<Engine> {
        let records = ImageRecords::new(self.place.path().join("state/images"), move || limit);
        Images::new(self.engine.clone(), records)
    }

    /// Brings the archives in line with `sources`; returns how many were removed.
    pub(crate) async fn keep(&self, sources: &[&ImageSource]) -> usize {
        let sources: Vec<_> = sources.iter().map(|&source| source.clone()).collect();
        self.images.keep_archives(&sources).await.unwrap()
    }

    pub(crate) fn records(&self) -> ImageRecords {
        records(&self.place)
    }

    /// The files with records and archives that end in `end`.
    pub(crate) fn files(&self, end: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.place.path().join("state/images")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
    }

    pub(crate) fn new() -> Self {
        let engine = Engine::default();
        let place = tempfile::tempdir().unwrap();
        let images = Arc::new(provider(&engine, &place));
        let world = Self { engine, images, place };
        world.put_context("second", "one");
        world
    }

    fn put_context(&self, name: &str, page: &str) {
        let directory = self.place.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("Dockerfile"), "FROM scratch\n").unwrap();
        fs::write(directory.join("page"), page).unwrap();
    }

    fn refuse(&self, kind: Option<PortErrorKind>) {
        self.engine.state().refusal = kind;
    }
}

impl HostWorld for World {}

#[async_trait]
impl ImageWorld for World {
    fn images(&self) -> Arc<dyn ImageProvider> {
        self.images.clone()
    }
    fn another(&self) -> Arc<dyn ImageProvider> {
        Arc::new(self.next())
    }
    fn name(&self) -> CompanionName {
        CompanionName::new("archy-page").unwrap()
    }
    fn source(&self) -> ImageSource {
        let path = |name| AbsolutePath::new(self.place.path().join(name).to_str().unwrap());
        let reference = |text: String| ImageRef::new(text).unwrap();
        ImageSource {
            build: Some(BuildSource {
                reference: reference(BUILT.to_owned()),
                contexts: ["first", "second"].map(|name| path(name).unwrap()).into(),
                arguments: BTreeMap::new(),
            }),
            pull: Some(PullSource {
                reference: reference(format!("{PULLED}:latest")),
                verify_tls: true,
            }),
        }
    }
    async fn change_context(&self) {
        self.put_context("second", "changed");
    }
    async fn break_build(&self) {
        self.engine.state().build_fails = true;
    }
    async fn fix_build(&self) {
        self.engine.state().build_fails = false;
    }
    async fn put_first_context(&self) {
        self.put_context("first", "other contents");
    }
    async fn remove_contexts(&self) {
        fs::remove_dir_all(self.place.path().join("second")).unwrap();
    }
    async fn publish(&self, contents: &str) {
        self.engine.state().registry.insert(format!("{PULLED}:latest"), id(contents));
    }
    async fn registry_down(&self) {
        self.refuse(Some(PortErrorKind::Transient));
    }
    async fn registry_up(&self) {
        self.refuse(None);
    }
    async fn distrust_registry(&self) {
        self.engine.state().is_untrusted = true;
    }
    async fn contacts(&self) -> u32 {
        self.engine.state().contacts
    }
    async fn remove_images(&self) {
        self.engine.state().images.retain(|image| image.names.is_empty());
    }
    /// It was built on top of a companion's image, so it has our labels.
    async fn leave_unmanaged_image(&self) {
        let labels = [(CONTEXT_LABEL, "00000000000000aa"), (SOURCE_LABEL, BUILT)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.engine.put("localhost/derived:latest", id("derived"), labels.into());
        self.engine.state().untag("localhost/derived:latest");
    }
    async fn take_the_name(&self) {
        self.engine.put(BUILT, id("unmanaged"), Labels::new());
    }
    async fn sideload(&self) -> Arranged {
        let labels = {
            let state = self.engine.state();
            let ours = state.images.iter().find(|image| image.names.contains(&BUILT.to_owned()));
            ours.unwrap().labels.clone()
        };
        self.engine.put(BUILT, id("sideloaded"), labels);
        Ok(())
    }
    async fn archives(&self) -> Arranged {
        Ok(())
    }
    async fn replace_archive(&self) -> Arranged {
        for path in self.files(".tar") {
            let text = fs::read_to_string(&path).unwrap();
            // The same ID with other contents: only the digest of the file shows it.
            fs::write(path, format!("{text}\nx y")).unwrap();
        }
        Ok(())
    }
    async fn lock_registry(&self) -> Arranged {
        self.refuse(Some(PortErrorKind::Denied));
        Ok(())
    }
    async fn publish_mismatch(&self) -> Arranged {
        self.publish("mismatch").await;
        self.engine.state().mismatches.insert(id("mismatch"));
        Ok(())
    }
    async fn publish_pinned(&self) -> Arranged<(ImageRef, ImageRef)> {
        let pinned = |digit: &str| format!("{PULLED}@sha256:{}", digit.repeat(64));
        self.engine.state().registry.insert(pinned("a"), id("pinned"));
        Ok((ImageRef::new(pinned("a")).unwrap(), ImageRef::new(pinned("b")).unwrap()))
    }
    async fn use_image(&self, id: &ImageId) -> Arranged {
        self.engine.state().used.insert(id.clone());
        Ok(())
    }
    async fn damage_image(&self, id: &ImageId) -> Arranged {
        self.engine.state().damaged.insert(id.clone());
        Ok(())
    }
    async fn lose_power(&self) -> Arranged {
        let mut state = self.engine.state();
        let lost = std::mem::take(&mut state.unsynced);
        state.damaged.extend(lost);
        Ok(())
    }
    async fn stored(&self) -> Arranged<usize> {
        Ok(self.engine.state().images.len())
    }
    async fn without_host(&self) -> Arranged<Arc<dyn ImageProvider>> {
        self.engine.state().is_missing = true;
        Ok(self.images())
    }
}
