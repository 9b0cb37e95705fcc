//! Workloads: what is wished for and what happens, step by step, while crashes are tried out.
//!
//! It decides nothing about crashes: a workload reads the same whether its manager dies in it or not.

use std::time::Duration;

use adapter_fake::FakeHost;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::image::{ImageSource, PullSource};

use crate::node::{REGISTRY, companions, indexer, name, published, reference, viewer, wallet};

mod repairs;
mod troubles;

/// What a host has before a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Only the explorer, which no workload touches.
    Bare,
    /// All four companions, running for a minute.
    Installed,
}

/// Who else is at work while the manager makes a pass.
#[derive(Debug, Clone, Copy)]
pub enum Other {
    /// A second manager, which makes a pass too.
    Manager,
    /// A command that installs this companion.
    Installs(fn() -> CompanionSpec),
    /// A command that removes the companion of this name.
    Removes(&'static str),
}

/// One step of a workload.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Somebody records that this companion is wished for, and repeats it when that died.
    Install(fn() -> CompanionSpec),
    /// Somebody records that nothing of the companion is to be left, and repeats it when that died.
    Remove(&'static str),
    /// The manager makes a pass, and another one when it died.
    Pass,
    /// The manager makes a pass, and so much later another process does something beside it.
    Beside(Duration, Other),
    /// Something happens to the host.
    Happens(fn(&FakeHost)),
    /// The host is rebooted in order.
    Reboot,
    /// The host loses its power and gets it back.
    PowerLoss,
    /// Seconds pass.
    Sleep(u64),
}

impl Op {
    /// Whether somebody waits for its end who will ask again when it died.
    pub(super) fn is_asked_again(&self) -> bool {
        match self {
            Self::Install(_) | Self::Remove(_) | Self::Beside(..) => true,
            Self::Pass | Self::Happens(_) | Self::Reboot | Self::PowerLoss | Self::Sleep(_) => {
                false
            }
        }
    }
}

/// A workload: it ends with passes of the manager until everything is as wished.
#[derive(Debug)]
pub struct Workload {
    /// What it is about.
    pub name: &'static str,
    /// What the host has before it.
    pub base: Base,
    /// The companions that it may touch; the others must not notice anything.
    pub touches: &'static [&'static str],
    /// Its steps.
    pub ops: Vec<Op>,
}

/// The companion that no workload touches.
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

fn wallet_with_another_specification() -> CompanionSpec {
    let mut spec = wallet();
    spec.container.read_only_root = !spec.container.read_only_root;
    spec
}

fn viewer_with_another_configuration() -> CompanionSpec {
    let mut spec = viewer();
    if let Some(HookSpec { program: HookProgram::Template { values, .. }, .. }) = &mut spec.hook {
        values.insert("title".to_owned(), TemplateValue::Text("another".to_owned()));
    }
    spec
}

/// Every specification that a workload wishes for, in the order in which each host learns of them.
pub(super) fn specifications() -> Vec<CompanionSpec> {
    let mut all = companions();
    all.extend([
        explorer(),
        indexer_from_another_image(),
        wallet_with_another_specification(),
        viewer_with_another_configuration(),
    ]);
    all
}

/// The specifications whose wish stands in the record of `base`.
pub(super) fn wished_in(base: Base) -> Vec<CompanionSpec> {
    match base {
        Base::Bare => vec![explorer()],
        Base::Installed => companions().into_iter().chain([explorer()]).collect(),
    }
}

const ALL: &[&str] = &["viewer", "wallet", "indexer"];
const VIEWER: &[&str] = &["viewer"];
const WALLET: &[&str] = &["wallet"];
const INDEXER: &[&str] = &["indexer"];

/// All workloads.
pub fn workloads() -> Vec<Workload> {
    let mut all = wishes();
    all.extend(repairs::units());
    all.extend(repairs::services());
    all.extend(repairs::images_and_configuration());
    all.extend(troubles::conditions());
    all.extend(troubles::beside_each_other());
    all
}

fn installed(name: &'static str, touches: &'static [&'static str], ops: Vec<Op>) -> Workload {
    Workload { name, base: Base::Installed, touches, ops }
}

fn bare(name: &'static str, touches: &'static [&'static str], ops: Vec<Op>) -> Workload {
    Workload { name, base: Base::Bare, touches, ops }
}

fn wishes() -> Vec<Workload> {
    use Op::{Install, Pass, Remove, Sleep};
    vec![
        bare("install one with a hook", VIEWER, vec![Install(viewer)]),
        bare("install one that is pulled", INDEXER, vec![Install(indexer)]),
        bare("install three", ALL, vec![Install(viewer), Install(wallet), Install(indexer)]),
        installed("another image", INDEXER, vec![Install(indexer_from_another_image)]),
        installed(
            "another specification",
            WALLET,
            vec![Install(wallet_with_another_specification)],
        ),
        installed(
            "another configuration",
            VIEWER,
            vec![Install(viewer_with_another_configuration)],
        ),
        installed(
            "another specification and back",
            WALLET,
            vec![Install(wallet_with_another_specification), Pass, Sleep(60), Install(wallet)],
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
            vec![Remove("viewer"), Pass, Sleep(60), Install(viewer)],
        ),
        installed(
            "remove and install before anyone looked",
            WALLET,
            vec![Remove("wallet"), Install(wallet_with_another_specification)],
        ),
        bare(
            "install and remove before anyone looked",
            VIEWER,
            vec![Install(viewer), Remove("viewer")],
        ),
        installed(
            "remove one whose unit vanished",
            WALLET,
            vec![
                Op::Happens(|host| host.delete_unit(&name("wallet"))),
                Op::Happens(FakeHost::reload_by_others),
                Remove("wallet"),
            ],
        ),
    ]
}

/// What lies on the registry for the workloads besides the node's own images.
pub(super) fn publish(host: &FakeHost) {
    for spec in [explorer(), indexer_from_another_image()] {
        if let Some(reference) = published(&spec) {
            host.publish(reference, &format!("published as {reference}"));
        }
    }
}
