//! What `status` shows of each companion in addition to its state: the address of its page, its image, and copies of
//! edited units.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use archipelago_companions::published::edited_units;
use archipelago_companions::{Catalog, RecordStore};
use companion_core::model::companion::CompanionName;
use serde::Serialize;

use crate::config::Config;

/// The number of characters of an image id that people see, as `podman images` shows them.
const SHORT_ID: usize = 12;

/// Further facts of one companion; `None` for what is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Facts {
    /// The address of its page.
    pub(super) url: Option<String>,
    /// Its image.
    pub(super) image: Option<Image>,
    /// The copies of its unit file that were edited and replaced, the oldest first.
    pub(super) edited: Vec<PathBuf>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Image {
    /// The name under which it is built, else pulled.
    reference: String,
    /// The id that the unit file names.
    id: Option<String>,
}

impl Image {
    /// Returns its name and the beginning of its id.
    pub(super) fn short(&self) -> String {
        let id = self.id.as_ref().map(|id| id.chars().take(SHORT_ID).collect::<String>());
        match id {
            Some(id) => format!("{} ({id})", self.reference),
            None => self.reference.clone(),
        }
    }
}

/// Returns the facts of each of `names`.
pub(super) async fn facts<'n>(
    names: impl Iterator<Item = &'n CompanionName>,
    catalog: &Catalog,
    store: &RecordStore,
    config: &Config,
) -> BTreeMap<CompanionName, Facts> {
    let mut all = BTreeMap::new();
    for name in names {
        let facts = Facts {
            url: url(catalog, name),
            image: image(catalog, name, config),
            // The leader reports files that cannot be read.
            edited: edited_units(store.dir(), name).await.unwrap_or_default(),
        };
        all.insert(name.clone(), facts);
    }
    all
}

fn url(catalog: &Catalog, name: &CompanionName) -> Option<String> {
    let port = catalog.page_port(name)?;
    let mut ports = catalog.companion(name)?.container.ports.iter();
    let address = ports.find(|mapping| mapping.host.get() == port).and_then(|it| it.address);
    Some(match address.filter(|address| !address.is_unspecified()) {
        Some(address) => format!("http://{}/", SocketAddr::new(address, port)),
        None => {
            format!("http://{}:{port}/", rustix::system::uname().nodename().to_string_lossy())
        }
    })
}

fn image(catalog: &Catalog, name: &CompanionName, config: &Config) -> Option<Image> {
    let reference = catalog.companion(name)?.image.reference()?;
    let unit = config.host.unit_text(name).ok().flatten();
    let id = unit.as_deref().and_then(|text| text.lines().find_map(|it| it.strip_prefix("Image=")));
    let is_id = |id: &&str| id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit());
    Some(Image { reference: reference.to_string(), id: id.filter(is_id).map(str::to_owned) })
}
