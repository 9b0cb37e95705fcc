//! `RecordStore` in a temporary directory, with a catalog of ten companions, and the calls by which a host program
//! records intents.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use adapter_fake::FakeHost;
use archipelago_companions::{AppId, Catalog, Companions, RecordStore};
use async_trait::async_trait;
use companion_conformance::desired_store::DesiredWorld;
use companion_conformance::worlds::{obey_modes, set_mode};
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::ports::DesiredStore;

pub(crate) struct Intents {
    store: Arc<RecordStore>,
    companions: Companions,
    root: tempfile::TempDir,
}

impl Intents {
    pub(crate) fn new() -> Self {
        obey_modes();
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("catalog.toml"), catalog()).unwrap();
        let store = Arc::new(store(root.path()));
        // Nothing is reconciled on that host: intents are only recorded.
        let companions = Companions::on(Arc::clone(&store), FakeHost::default().ports());
        Self { store, companions, root }
    }
}

fn store(root: &Path) -> RecordStore {
    let catalog = Catalog::with_files(&[root.join("catalog.toml")]).unwrap();
    RecordStore::new(root.join("state"), Arc::new(catalog))
}

fn name(number: u8) -> CompanionName {
    CompanionName::new(format!("companion-{number}")).unwrap()
}

/// The app that has the companion `name`, and no other.
fn app(name: &CompanionName) -> AppId {
    AppId::new(format!("app-of-{name}")).unwrap()
}

fn catalog() -> String {
    let mut text = String::new();
    for number in 0..10 {
        let name = name(number);
        writeln!(
            text,
            r#"[[companion]]
name = "{name}"
apps = ["{app}"]
description = "Page {number}"
image.base = "page-{number}"
hook.output = "/var/lib/companion/{name}/nginx.conf"
hook.program.template.template = "/usr/share/companion/{name}.conf.j2"
"#,
            app = app(&name).as_str(),
        )
        .unwrap();
    }
    text
}

impl HostWorld for Intents {}

#[async_trait]
impl DesiredWorld for Intents {
    fn desired(&self) -> Arc<dyn DesiredStore> {
        Arc::clone(&self.store) as _
    }
    fn another(&self) -> Arc<dyn DesiredStore> {
        Arc::new(store(self.root.path()))
    }
    fn spec(&self, number: u8) -> CompanionSpec {
        self.store.inputs().catalog().companion(&name(number)).unwrap().clone()
    }
    async fn install(&self, spec: &CompanionSpec) {
        self.companions.record_apps(&[app(&spec.name)], &[]).await.unwrap();
    }
    async fn remove(&self, name: &CompanionName) {
        self.companions.record_apps(&[], &[app(name)]).await.unwrap();
    }
    async fn corrupt(&self) {
        let record = self.root.path().join("state/desired.json");
        let whole = fs::read(&record).unwrap();
        fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    }
    async fn forbid(&self) -> Arranged {
        set_mode(&self.root.path().join("state/desired.json"), 0);
        Ok(())
    }
}
