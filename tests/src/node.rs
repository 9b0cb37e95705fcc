//! A node on the fake host: three companions of the three kinds, and a reconciler.

#![expect(clippy::panic, reason = "a test fails if it cannot be set up")]

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::world::services::Phase;
use adapter_fake::{Counts, FakeHost, World};
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::{
    AbsolutePath, BindMount, ContainerSpec, Network, PortMapping, Protocol,
};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, PullSource};
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitSpec;
use companion_core::plan::Step;
use companion_core::reconciler::{Convergence, Limits, NoEvents, Outcome, Reconciler};

/// The registry of the node's images.
pub const REGISTRY: &str = "registry.example:5000";

/// A fake host with everything that its companions need, and its reconciler.
pub struct Node {
    /// The host.
    pub host: FakeHost,
    /// The reconciler.
    pub reconciler: Arc<Reconciler>,
}

/// Parses a path.
///
/// # Panics
/// If it is invalid.
pub fn path(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Parses a name.
///
/// # Panics
/// If it is invalid.
pub fn name(text: &str) -> CompanionName {
    CompanionName::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Parses an image reference.
///
/// # Panics
/// If it is invalid.
pub fn reference(text: &str) -> ImageRef {
    ImageRef::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The unit of the companion `companion-NUMBER`, with `image`.
pub fn numbered_unit(number: u8, image: ImageId) -> UnitSpec {
    UnitSpec {
        name: name(&format!("companion-{number}")),
        description: format!("Page {number}"),
        image,
        container: ContainerSpec { restart_delay: Some(1), ..ContainerSpec::default() },
        config: None,
        revision: Revision {
            spec: Fingerprint::of(&[number]),
            image: Fingerprint::of(b"page"),
            config: None,
            rendering: None,
            restart_epoch: 0,
        },
    }
}

/// The companion with a hook, built from a context.
pub fn viewer() -> CompanionSpec {
    let output = config();
    let target = path("/etc/nginx/conf.d/default.conf");
    let values = [("password".to_owned(), TemplateValue::File(password()))].into();
    let program = HookProgram::Template { template: template(), values };
    let mounts = vec![BindMount { source: output.clone(), target, read_only: true }];
    let container = ContainerSpec { network: Network::Host, mounts, ..ContainerSpec::default() };
    CompanionSpec {
        hook: Some(HookSpec { program, output }),
        ..companion("viewer", container, true)
    }
}

/// The companion with a published port, built from a context, else pulled.
pub fn wallet() -> CompanionSpec {
    let port = |number: u16| number.try_into().unwrap_or(std::num::NonZeroU16::MIN);
    let mapping = PortMapping {
        address: None,
        host: port(18083),
        container: port(80),
        protocol: Protocol::Tcp,
    };
    let container = ContainerSpec { ports: vec![mapping], ..ContainerSpec::default() };
    companion("wallet", container, true)
}

/// The companion that is only pulled.
pub fn indexer() -> CompanionSpec {
    companion("indexer", ContainerSpec::default(), false)
}

/// The same companion with the name `base`, and a separate image, build context and rendered file.
pub fn called(spec: CompanionSpec, base: &str) -> CompanionSpec {
    let mut spec = CompanionSpec { name: name(base), ..spec };
    if let Some(build) = &mut spec.image.build {
        build.reference = reference(&format!("localhost/{base}:latest"));
        build.contexts = vec![context(base)];
    }
    if let Some(pull) = &mut spec.image.pull {
        pull.reference = reference(&format!("{REGISTRY}/team/{base}:latest"));
    }
    if let Some(hook) = &mut spec.hook {
        hook.output = path(&format!("/var/lib/archipelago/{base}/nginx.conf"));
        for mount in &mut spec.container.mounts {
            mount.source = hook.output.clone();
        }
    }
    spec
}

/// The other version of the companion of `spec`: its container and the output of its hook differ.
pub fn other_version(mut spec: CompanionSpec) -> CompanionSpec {
    spec.container.read_only_root = !spec.container.read_only_root;
    if let Some(HookSpec { program: HookProgram::Template { values, .. }, .. }) = &mut spec.hook {
        let title = "title".to_owned();
        if values.remove(&title).is_none() {
            values.insert(title, TemplateValue::Text("a title".to_owned()));
        }
    }
    spec
}

/// All three companions.
pub fn companions() -> Vec<CompanionSpec> {
    vec![viewer(), wallet(), indexer()]
}

fn companion(base: &str, container: ContainerSpec, built: bool) -> CompanionSpec {
    let build = built.then(|| BuildSource {
        reference: reference(&format!("localhost/{base}:latest")),
        contexts: vec![context(base)],
        arguments: [].into(),
    });
    let pull = PullSource {
        reference: reference(&format!("{REGISTRY}/team/{base}:latest")),
        verify_tls: true,
    };
    CompanionSpec {
        name: name(base),
        description: format!("the {base}"),
        image: ImageSource { build, pull: Some(pull) },
        container: ContainerSpec { restart_delay: Some(10), ..container },
        hook: None,
    }
}

/// The start time of the companion `name` in `world`, if it runs.
pub fn running_since(world: &World, name: &CompanionName) -> Option<Duration> {
    let service = &world.slot(name)?.service;
    matches!(service.phase, Phase::Running { .. }).then_some(service.since)
}

/// The template of the viewer's configuration.
pub fn template() -> AbsolutePath {
    path("/opt/docker/viewer/nginx.conf.j2")
}

/// The file with the password that the viewer's configuration holds.
pub fn password() -> AbsolutePath {
    path("/var/lib/archipelago/secrets/rpc-password")
}

/// The image of `spec` in its registry, if it has one.
pub fn published(spec: &CompanionSpec) -> Option<&ImageRef> {
    spec.image.pull.as_ref().map(|pull| &pull.reference)
}

/// The viewer's rendered configuration.
pub fn config() -> AbsolutePath {
    path("/var/lib/archipelago/viewer/nginx.conf")
}

/// The build context of the companion `base`.
pub fn context(base: &str) -> AbsolutePath {
    path(&format!("/opt/docker/{base}"))
}

/// Puts everything that an installation of `specs` needs on `host`, which is empty.
pub fn prepare(host: &FakeHost, specs: &[CompanionSpec]) {
    for spec in specs {
        if let Some(reference) = published(spec) {
            host.publish(reference, "published");
        }
        if spec.image.build.is_some() {
            host.put_context(&context(spec.name.as_str()), &format!("first of {}", spec.name));
        }
    }
    host.put_input(&template(), "a template");
    host.put_input(&password(), "first password");
    host.require_leader(true);
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// A node without companions and with everything that an installation needs.
    pub fn new() -> Self {
        Self::on(FakeHost::default())
    }

    /// The same on `host`, which is empty.
    pub fn on(host: FakeHost) -> Self {
        prepare(&host, &companions());
        Self::of(host)
    }

    /// A node on `host`, unchanged.
    pub fn of(host: FakeHost) -> Self {
        let reconciler = Self::reconciler_of(&host);
        Self { host, reconciler }
    }

    /// A reconciler without jitter, for reproducible tests.
    pub fn reconciler_of(host: &FakeHost) -> Arc<Reconciler> {
        let limits = Limits::default();
        let jitter = Box::new(|| 0);
        Arc::new(Reconciler::with(host.ports(), limits, Arc::new(NoEvents), jitter))
    }

    /// Installs all three companions and lets them run for a minute, so that no back-off is active.
    pub async fn installed() -> Self {
        let node = Self::new();
        node.install_all();
        let _ = node.converge().await;
        node.assert_true();
        node.sleep(60).await;
        let _ = node.converge().await;
        node
    }

    /// Records the intent to install all three companions.
    pub fn install_all(&self) {
        for spec in companions() {
            self.host.install(&spec);
        }
    }

    /// Replaces the manager by a new one without memory.
    pub fn restart_manager(&mut self) {
        self.reconciler = Self::reconciler_of(&self.host);
    }

    /// Whether the service of `base` runs.
    pub fn runs(&self, base: &str) -> bool {
        running_since(&self.host.world(), &name(base)).is_some()
    }

    /// Converges once.
    ///
    /// # Panics
    /// If it fails or a plan breaks a rule.
    pub async fn converge(&self) -> Convergence {
        let convergence =
            self.reconciler.converge().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(convergence.last.violations, [], "no plan breaks a rule");
        convergence
    }

    /// Converges once and returns the steps as text.
    pub async fn steps_of_pass(&self) -> Vec<String> {
        in_words(&self.converge().await.steps)
    }

    /// Lets time pass.
    pub async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Converges every 30 s until the host matches the desired state; returns the number of runs.
    ///
    /// # Panics
    /// After `most` runs.
    pub async fn converges_until_as_desired(&self, most: usize) -> usize {
        for count in 1..=most {
            let _ = self.converge().await;
            if self.host.mismatch().is_none() {
                return count;
            }
            self.sleep(30).await;
        }
        panic!("after {most} converges: {:?}", self.host.mismatch());
    }

    /// Asserts that the host matches the desired state and no invariant was violated.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_true(&self) {
        assert_eq!(self.host.mismatch(), None);
        assert_eq!(self.host.violations(), []);
    }

    /// Asserts that a further resync does nothing.
    ///
    /// # Panics
    /// If it does something.
    pub async fn assert_quiet(&self) {
        let _ = self.converge().await;
        let before = self.host.counts();
        let convergence = self.converge().await;
        assert_eq!(in_words(&convergence.steps), Vec::<String>::new());
        assert_eq!(self.host.counts().since(before), Counts::default());
    }
}

/// Formats steps, with the outcome of those that were not done.
pub fn in_words(steps: &[(Step, Outcome)]) -> Vec<String> {
    let word = |(step, outcome): &(Step, Outcome)| match outcome {
        Outcome::Done | Outcome::Started => step.to_string(),
        Outcome::NotNeeded => format!("{step} (not needed)"),
        Outcome::Failed(problem) => format!("{step} (failed: {})", problem.message),
        Outcome::Skipped => format!("{step} (skipped)"),
    };
    steps.iter().map(word).collect()
}
