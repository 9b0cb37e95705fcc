//! Conflicts: what two companions of one catalog must not both have. It knows what they declare, and
//! nothing of what a program inside listens on.

use std::net::IpAddr;

use companion_core::model::companion::CompanionSpec;
use companion_core::model::container::PortMapping;

use super::CatalogError;

/// Refuses two companions that render the same file or publish the same port.
///
/// It holds for the whole catalog and not only for what is installed, because any two of its apps can
/// be installed at once.
pub(super) fn refuse<'s>(
    companions: impl Iterator<Item = &'s CompanionSpec>,
) -> Result<(), CatalogError> {
    let companions: Vec<_> = companions.collect();
    for (index, first) in companions.iter().enumerate() {
        for second in &companions[index + 1..] {
            refuse_pair(first, second)?;
        }
    }
    Ok(())
}

fn refuse_pair(first: &CompanionSpec, second: &CompanionSpec) -> Result<(), CatalogError> {
    let names = || (first.name.clone(), second.name.clone());
    if let (Some(one), Some(other)) = (&first.hook, &second.hook)
        && one.output == other.output
    {
        let ((first, second), output) = (names(), one.output.clone());
        return Err(CatalogError::SameOutput { first, second, output });
    }
    for port in &first.container.ports {
        if second.container.ports.iter().any(|other| clash(port, other)) {
            let ((first, second), port) = (names(), port.host.get());
            return Err(CatalogError::SamePort { first, second, port });
        }
    }
    Ok(())
}

fn clash(one: &PortMapping, other: &PortMapping) -> bool {
    one.host == other.host && one.protocol == other.protocol && overlap(one.address, other.address)
}

/// Whether a socket on the one address keeps another off the other: no address is all of them, and so
/// is `::`, which takes IPv4 too unless the kernel is told otherwise (ipv6(7), `bindv6only`).
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    let all = |address: IpAddr| address.is_ipv6() && address.is_unspecified();
    let family = one.is_ipv4() == other.is_ipv4();
    all(one)
        || all(other)
        || one == other
        || family && (one.is_unspecified() || other.is_unspecified())
}
