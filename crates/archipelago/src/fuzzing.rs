//! The entry point of the fuzz targets: the parser of the desired state. Not part of the API.

use companion_core::model::desired::DesiredState;

use crate::catalog::Catalog;
use crate::record::Record;

/// Parses `bytes` as the desired state, with `catalog`.
///
/// # Errors
/// The message for an invalid file.
pub fn record(bytes: &[u8], catalog: &Catalog) -> Result<DesiredState, String> {
    let mut record = Record::from_bytes(bytes)?;
    let written = record.to_bytes().map_err(|error| error.to_string())?;
    assert_eq!(Record::from_bytes(&written).as_ref(), Ok(&record), "what is written is read back");
    let desired = record.desired(catalog);
    let apps: Vec<_> = record.installed().cloned().collect();
    record.sync_catalog(catalog);
    for app in &apps {
        record.remove(app, "a fuzzer", catalog);
    }
    assert_eq!(record.installed().next(), None, "what is removed is not installed");
    assert!(record.desired(catalog).present().next().is_none());
    Ok(desired)
}
