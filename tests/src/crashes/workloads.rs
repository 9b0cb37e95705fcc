//! Workloads: intents and events, step by step, for crash testing. A workload is independent of the crashes in it.

use std::time::Duration;

use adapter_fake::FakeHost;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::image::{ImageSource, PullSource};

use crate::faults::Fault;
use crate::node::{
    REGISTRY, companions, indexer, name, other_version, published, reference, viewer, wallet,
};

mod faults;

/// The host before a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Only the explorer, which no workload changes.
    Bare,
    /// All four companions, running for a minute.
    Installed,
}

/// A process that runs concurrently with the manager's converge.
#[derive(Debug, Clone, Copy)]
pub enum Other {
    /// A second manager, which converges too.
    Manager,
    /// A command that installs this companion.
    Installs(fn() -> CompanionSpec),
    /// A command that removes the companion of this name.
    Removes(&'static str),
}

/// One step of a workload.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// A process records the intent to install this companion, and repeats it after a crash.
    Install(fn() -> CompanionSpec),
    /// A process records the intent to remove the companion, and repeats it after a crash.
    Remove(&'static str),
    /// The manager converges, and a new one does after a crash.
    Converge,
    /// The manager converges, and after this delay another process acts concurrently.
    Concurrent(Duration, Other),
    /// A fault of the companion of this name.
    Fault(Fault, &'static str),
    /// Seconds pass.
    Sleep(u64),
}

impl Op {
    /// Whether a requester waits for the end of this step and repeats it after a crash.
    pub(super) fn is_asked_again(&self) -> bool {
        match self {
            Self::Install(_) | Self::Remove(_) | Self::Concurrent(..) => true,
            Self::Converge | Self::Fault(..) | Self::Sleep(_) => false,
        }
    }
}

/// A workload; it ends with converges of the manager until the host matches the desired state.
#[derive(Debug)]
pub struct Workload {
    /// A short description.
    pub name: &'static str,
    /// The initial host.
    pub base: Base,
    /// The companions that it may change; the others must be unaffected.
    pub touches: &'static [&'static str],
    /// Its steps.
    pub ops: Vec<Op>,
}

/// The companion that no workload changes.
pub fn explorer() -> CompanionSpec {
    CompanionSpec {
        name: name("explorer"),
        description: "the explorer".to_owned(),
        image: pulled("explorer:latest"),
        ..indexer()
    }
}

fn pulled(image: &str) -> ImageSource {
    let reference = reference(&format!("{REGISTRY}/team/{image}"));
    ImageSource { build: None, pull: Some(PullSource { reference, verify_tls: true }) }
}

fn indexer_from_another_image() -> CompanionSpec {
    CompanionSpec { image: pulled("indexer:v2"), ..indexer() }
}

fn other_wallet() -> CompanionSpec {
    other_version(wallet())
}

/// Only the values of its hook differ.
fn other_viewer() -> CompanionSpec {
    let mut spec = viewer();
    if let Some(HookSpec { program: HookProgram::Template { values, .. }, .. }) = &mut spec.hook {
        values.insert("title".to_owned(), TemplateValue::Text("another".to_owned()));
    }
    spec
}

/// Every specification that a workload requests, in the order in which each host learns of them.
pub(super) fn specifications() -> Vec<CompanionSpec> {
    let mut all = companions();
    all.extend([explorer(), indexer_from_another_image(), other_wallet(), other_viewer()]);
    all
}

/// The specifications that are desired on `base`.
pub(super) fn intended_in(base: Base) -> Vec<CompanionSpec> {
    match base {
        Base::Bare => vec![explorer()],
        Base::Installed => companions().into_iter().chain([explorer()]).collect(),
    }
}

const ALL: &[&str] = &["viewer", "wallet", "indexer"];
const EVERY: &[&str] = &["viewer", "wallet", "indexer", "explorer"];
const VIEWER: &[&str] = &["viewer"];
const WALLET: &[&str] = &["wallet"];
const INDEXER: &[&str] = &["indexer"];

/// All workloads.
pub fn workloads() -> Vec<Workload> {
    let mut all = intents();
    all.extend(faults::each());
    all.extend(faults::combined());
    all.extend(faults::conditions());
    all.extend(faults::concurrent());
    all
}

fn installed(name: &'static str, touches: &'static [&'static str], ops: Vec<Op>) -> Workload {
    Workload { name, base: Base::Installed, touches, ops }
}

fn bare(name: &'static str, touches: &'static [&'static str], ops: Vec<Op>) -> Workload {
    Workload { name, base: Base::Bare, touches, ops }
}

fn intents() -> Vec<Workload> {
    use Op::{Converge, Install, Remove, Sleep};
    vec![
        bare("install one with a hook", VIEWER, vec![Install(viewer)]),
        bare("install one that is pulled", INDEXER, vec![Install(indexer)]),
        bare("install three", ALL, vec![Install(viewer), Install(wallet), Install(indexer)]),
        installed("another image", INDEXER, vec![Install(indexer_from_another_image)]),
        installed("another specification", WALLET, vec![Install(other_wallet)]),
        installed("another configuration", VIEWER, vec![Install(other_viewer)]),
        installed(
            "another specification and back",
            WALLET,
            vec![Install(other_wallet), Converge, Sleep(60), Install(wallet)],
        ),
        installed("remove one with a hook", VIEWER, vec![Remove("viewer")]),
        installed(
            "remove all three",
            ALL,
            vec![Remove("viewer"), Remove("wallet"), Remove("indexer")],
        ),
        installed(
            "remove and install again",
            VIEWER,
            vec![Remove("viewer"), Converge, Sleep(60), Install(viewer)],
        ),
        installed(
            "remove and install before the next reconcile",
            WALLET,
            vec![Remove("wallet"), Install(other_wallet)],
        ),
        bare(
            "install and remove before the next reconcile",
            VIEWER,
            vec![Install(viewer), Remove("viewer")],
        ),
    ]
}

/// Images in the registry in addition to the node's own.
pub(super) fn publish(host: &FakeHost) {
    for spec in [explorer(), indexer_from_another_image()] {
        if let Some(reference) = published(&spec) {
            host.publish(reference, &format!("published as {reference}"));
        }
    }
}
