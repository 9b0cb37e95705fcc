//! An engine in memory: an image is built once, found present, and replaced after its context has changed.
//!
//! `cargo run -p image-source --example memory_engine`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, PullSource};
use companion_core::ports::{ImageProvider as _, PortError, PortErrorKind};
use image_source::{
    Build, EngineResult, ImageEngine, ImageRecords, Images, ListedImage, Listing, Platform,
};

/// The engine: a list of images. It has no registry.
#[derive(Default)]
struct Memory(Mutex<Vec<ListedImage>>);

impl Memory {
    fn images(&self) -> MutexGuard<'_, Vec<ListedImage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ImageEngine for Memory {
    async fn list(&self) -> EngineResult<Arc<Listing>> {
        Ok(Arc::new(Listing { images: self.images().clone(), unreadable: vec![] }))
    }

    async fn platforms(
        &self,
        images: &BTreeSet<ImageId>,
    ) -> BTreeMap<ImageId, EngineResult<Platform>> {
        images.iter().map(|id| (id.clone(), Ok(Platform::host()))).collect()
    }

    async fn build(&self, build: &Build<'_>) -> EngineResult<()> {
        let Build { source, context, labels, .. } = *build;
        println!("building {} from {}", source.reference, context.file);
        let id = ImageId::new(&format!("{:0>64}", context.digest.to_string()))
            .map_err(|error| PortError::new(PortErrorKind::Invalid, error.to_string()))?;
        let name = source.reference.to_string();
        let mut images = self.images();
        // The name moves to the new image.
        for image in images.iter_mut().filter(|image| image.names.contains(&name)) {
            (image.names, image.is_dangling) = (vec![], true);
        }
        images.push(ListedImage {
            id,
            names: vec![name.clone()],
            former_names: vec![name],
            labels: labels.clone(),
            is_dangling: false,
        });
        Ok(())
    }

    async fn pull(&self, source: &PullSource) -> EngineResult<()> {
        let text = format!("no registry has {}", source.reference);
        Err(PortError::new(PortErrorKind::NotFound, text).into())
    }

    async fn sync(&self) -> EngineResult<()> {
        Ok(())
    }

    async fn discard(&self, image: &ImageId) -> EngineResult<()> {
        self.remove(image).await.map(drop)
    }

    async fn remove(&self, image: &ImageId) -> EngineResult<bool> {
        let mut images = self.images();
        let before = images.len();
        images.retain(|one| one.id != *image);
        Ok(images.len() < before)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("Dockerfile"), "FROM scratch\nCOPY page /page\n")?;
    fs::write(directory.path().join("page"), "one")?;
    let context = AbsolutePath::new(directory.path().to_string_lossy())?;
    let reference = ImageRef::new("localhost/page:latest")?;
    let build = BuildSource { reference, contexts: vec![context], arguments: BTreeMap::new() };
    let source = ImageSource { build: Some(build), pull: None };
    let name: CompanionName = "page".parse()?;

    let records = ImageRecords::new(directory.path().join("records"), || 0);
    let images = Images::new(Memory::default(), records);
    for contents in ["one", "one", "two"] {
        fs::write(directory.path().join("page"), contents)?;
        let image = images.ensure(&source).await?;
        println!("{contents}: {}", image.fingerprint());
    }
    for state in images.observe(&[(name, source)].into()).await.into_values() {
        let state = state?;
        println!("current: {}, dangling: {}", state.is_current(), state.dangling.len());
        images.prune(&state.dangling).await?;
    }
    Ok(())
}
