//! `PodmanImages` on the guest's Podman, with build contexts and a separate registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use adapter_podman::{ImageRecords, Podman, PodmanImages};
use async_trait::async_trait;
use companion_conformance::image_provider::ImageWorld;
use companion_conformance::worlds::{Registry, absolute};
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, PullSource};
use companion_core::ports::ImageProvider;

use super::guest::{BASE, InOrder, config_dir, name, podman};

/// The number of worlds so far: each has unique names and is isolated from the others.
static WORLDS: AtomicU32 = AtomicU32::new(0);

const NAME_IN_REGISTRY: &str = "team/companion:latest";
const RECIPE: &str = "FROM scratch\nCOPY page /page\n";

/// A build of three stages; two of them leave intermediate images.
const STAGES: &str = "FROM scratch AS first
COPY page /first
FROM first AS second
COPY page /second
FROM scratch
COPY --from=second /first /second /
";

pub(crate) struct Images {
    podman: Podman,
    images: Arc<PodmanImages>,
    registry: Mutex<Registry>,
    /// The address of the registry.
    address: String,
    number: u32,
    root: tempfile::TempDir,
    #[expect(dead_code, reason = "held for what its drop does, never read")]
    in_order: InOrder,
}

impl Images {
    pub(crate) async fn new() -> Self {
        let in_order = InOrder::put();
        let registry = Registry::start();
        let address = registry.address();
        fs::create_dir_all(trust_of(&address)).unwrap();
        fs::copy(registry.certificate(), trust_of(&address).join("ca.crt")).unwrap();
        let podman = Podman::from_environment();
        let root = tempfile::tempdir().unwrap();
        let world = Self {
            images: Arc::new(images(podman.clone(), root.path())),
            podman,
            address,
            registry: Mutex::new(registry),
            number: WORLDS.fetch_add(1, Ordering::SeqCst),
            root,
            in_order,
        };
        world.remove_all();
        world.write_context("second", STAGES, "one");
        world
    }

    fn built(&self) -> String {
        format!("localhost/conform-{}:latest", self.number)
    }

    fn pulled(&self) -> String {
        format!("{}/{NAME_IN_REGISTRY}", self.address)
    }

    /// The name of a container that uses the image.
    fn user(&self) -> String {
        format!("conform-user-of-{}", self.number)
    }

    fn context(&self, which: &str) -> PathBuf {
        self.root.path().join(which)
    }

    fn write_context(&self, which: &str, recipe: &str, page: &str) {
        write_context(&self.context(which), recipe, &format!("{page} of {}", self.number));
    }

    /// Builds an image of `page` with more options, and pushes it behind the gate; returns its digest.
    fn push(&self, page: &str, options: &[&str]) -> String {
        let directory = self.root.path().join("published");
        write_context(&directory, RECIPE, page);
        let image = format!("localhost/conform-published-{}", self.number);
        let digest = self.root.path().join("digest");
        let mut build = vec!["build", "--quiet", "--tag", &image];
        build.extend(options);
        build.push(directory.to_str().unwrap());
        podman(&build);
        let target = self.registry.lock().unwrap().behind(NAME_IN_REGISTRY);
        let file = format!("--digestfile={}", digest.display());
        podman(&["push", "--quiet", "--tls-verify=false", &file, &image, &target]);
        podman(&["image", "rm", "--force", &image]);
        fs::read_to_string(digest).unwrap().trim().to_owned()
    }

    fn remove_all(&self) {
        let label = format!("label=companion.source={}", self.built());
        podman(&["image", "rm", "--force", "--ignore", &self.built(), &self.pulled()]);
        podman(&["image", "prune", "--force", "--filter", &label]);
    }
}

fn images(podman: Podman, root: &Path) -> PodmanImages {
    PodmanImages::new(podman, ImageRecords::new(root.join("records"), || 0))
}

fn write_context(directory: &Path, recipe: &str, page: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("Dockerfile"), recipe).unwrap();
    fs::write(directory.join("page"), page).unwrap();
}

impl Drop for Images {
    fn drop(&mut self) {
        // Their users are removed first.
        podman(&["rm", "--force", "--ignore", &self.user()]);
        self.remove_all();
        let _there_is_none = fs::remove_dir_all(trust_of(&self.address));
    }
}

/// The directory with the certificates that Podman trusts for the registry (containers-certs.d(5)).
fn trust_of(address: &str) -> PathBuf {
    config_dir().join("containers/certs.d").join(address)
}

impl HostWorld for Images {}

#[async_trait]
impl ImageWorld for Images {
    fn images(&self) -> Arc<dyn ImageProvider> {
        Arc::clone(&self.images) as _
    }
    fn another(&self) -> Arc<dyn ImageProvider> {
        Arc::new(images(Podman::from_environment(), self.root.path()))
    }
    fn name(&self) -> CompanionName {
        name(0)
    }
    fn source(&self) -> ImageSource {
        ImageSource {
            build: Some(BuildSource {
                reference: ImageRef::new(self.built()).unwrap(),
                contexts: ["first", "second"].map(|which| absolute(&self.context(which))).to_vec(),
                arguments: [].into(),
            }),
            pull: Some(PullSource {
                reference: ImageRef::new(self.pulled()).unwrap(),
                verify_tls: true,
            }),
        }
    }
    async fn change_context(&self) {
        let page = self.context("second").join("page");
        let newer = fs::read_to_string(&page).unwrap() + ", newer";
        fs::write(page, newer).unwrap();
    }
    async fn break_build(&self) {
        let recipe = format!("{STAGES}COPY nothing /nothing\n");
        fs::write(self.context("second").join("Dockerfile"), recipe).unwrap();
    }
    async fn fix_build(&self) {
        fs::write(self.context("second").join("Dockerfile"), STAGES).unwrap();
    }
    async fn put_first_context(&self) {
        self.write_context("first", STAGES, "first");
    }
    async fn remove_contexts(&self) {
        for which in ["first", "second"] {
            let _there_is_none = fs::remove_dir_all(self.context(which));
        }
    }
    async fn publish(&self, contents: &str) {
        self.push(contents, &[]);
    }
    async fn registry_down(&self) {
        self.registry.lock().unwrap().set_open(false);
    }
    async fn registry_up(&self) {
        self.registry.lock().unwrap().set_open(true);
    }
    async fn distrust_registry(&self) {
        fs::remove_file(trust_of(&self.address).join("ca.crt")).unwrap();
    }
    async fn contacts(&self) -> u32 {
        self.registry.lock().unwrap().contacts()
    }
    async fn remove_images(&self) {
        podman(&["image", "rm", "--force", "--ignore", &self.built(), &self.pulled()]);
    }
    async fn leave_unmanaged_image(&self) {
        let directory = self.root.path().join("unmanaged");
        write_context(&directory, RECIPE, &format!("somebody's {}", self.number));
        podman(&["build", "--quiet", directory.to_str().unwrap()]);
    }
    async fn take_the_name(&self) {
        podman(&["tag", BASE, &self.built()]);
    }
    async fn lock_registry(&self) -> Arranged {
        self.registry.lock().unwrap().lock();
        Ok(())
    }
    async fn publish_mismatch(&self) -> Arranged {
        self.push("mismatch", &["--platform=linux/s390x"]);
        Ok(())
    }
    async fn publish_pinned(&self) -> Arranged<(ImageRef, ImageRef)> {
        let named = |digest: &str| ImageRef::new(format!("{}@{digest}", self.pulled())).unwrap();
        let digest = self.push("pinned", &[]);
        Ok((named(&digest), named(&format!("sha256:{}", "b".repeat(64)))))
    }
    async fn use_image(&self, id: &ImageId) -> Arranged {
        podman(&["create", "--name", &self.user(), id.as_str(), "/page"]);
        Ok(())
    }
    /// Removes its top layer, as if its directory had not reached the disk.
    async fn damage_image(&self, id: &ImageId) -> Arranged {
        let format = "--format={{.GraphDriver.Data.UpperDir}}";
        let layer = podman(&["image", "inspect", format, id.as_str()]);
        let directory = Path::new(layer.trim()).parent().unwrap();
        podman(&["unshare", "rm", "-r", directory.to_str().unwrap()]);
        Ok(())
    }
    async fn stored(&self) -> Arranged<usize> {
        self.podman.settled().await;
        let images = podman(&["images", "--all", "--quiet", "--no-trunc"]);
        let containers = podman(&["ps", "--all", "--external", "--quiet"]);
        let ids: std::collections::BTreeSet<&str> = images.lines().collect();
        Ok(ids.len() + containers.lines().count())
    }
    async fn without_host(&self) -> Arranged<Arc<dyn ImageProvider>> {
        let podman = Podman::from_environment().with_program("/nowhere/podman");
        Ok(Arc::new(images(podman, self.root.path())))
    }
}
