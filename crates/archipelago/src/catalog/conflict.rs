//! Conflicts: what two companions of one catalog must not both have. It knows what they declare, and
//! nothing of what a program inside listens on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use companion_core::model::companion::CompanionSpec;
use companion_core::model::container::PortMapping;

use super::CatalogError;

/// Refuses two companions that render the same file or publish the same port.
///
/// It holds for the whole catalog and not only for what is installed, because any two of its apps can
/// be installed together.
pub(super) fn refuse<'s>(
    companions: impl Iterator<Item = &'s CompanionSpec>,
) -> Result<(), CatalogError> {
    let mut outputs = BTreeMap::new();
    // Only ports of one number can clash, so that a catalog of thousands is compared in linear time.
    let mut ports: BTreeMap<u16, Vec<(&PortMapping, &CompanionSpec)>> = BTreeMap::new();
    for second in companions {
        if let Some(hook) = &second.hook
            && let Some(first) = outputs.insert(&hook.output, second)
        {
            return Err(refused(
                first,
                second,
                format!("have the same hook output, `{}`", hook.output),
            ));
        }
        for port in &second.container.ports {
            let same = ports.entry(port.host.get()).or_default();
            let mut others = same.iter().filter(|(_, first)| first.name != second.name);
            if let Some((_, first)) = others.find(|(other, _)| clash(port, other)) {
                let what = format!("publish the same host port, {}", port.host);
                return Err(refused(first, second, what));
            }
            same.push((port, second));
        }
    }
    Ok(())
}

fn refused(first: &CompanionSpec, second: &CompanionSpec, what: String) -> CatalogError {
    let message = format!("the companions `{}` and `{}` {what}", first.name, second.name);
    CatalogError::invalid(message, None)
}

fn clash(one: &PortMapping, other: &PortMapping) -> bool {
    one.host == other.host && one.protocol == other.protocol && overlap(one.address, other.address)
}

/// Whether a socket on the one address keeps another off the other: no address is all of them, and so
/// is `::`, which takes IPv4 too unless the kernel is configured otherwise (ipv6(7), `bindv6only`).
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    let all = |address: IpAddr| address.is_ipv6() && address.is_unspecified();
    let family = one.is_ipv4() == other.is_ipv4();
    all(one)
        || all(other)
        || one == other
        || family && (one.is_unspecified() || other.is_unspecified())
}
