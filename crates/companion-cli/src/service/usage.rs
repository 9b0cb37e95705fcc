//! What a service uses, as systemd accounts it for all processes of its control group.

use std::collections::BTreeMap;

use companion_core::model::companion::CompanionName;
use serde::Serialize;

use crate::output::words;

/// The properties that [`Usage`] is read from.
pub(super) const PROPERTIES: &str = "--property=Id,ActiveState,MemoryCurrent,CPUUsageNSec";

/// The memory and the processor time of a running service; `None` where the host does not account them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    /// Its memory in bytes, with the page cache.
    memory: Option<u64>,
    /// Its processor time since its start, in milliseconds.
    cpu_milliseconds: Option<u64>,
}

impl Usage {
    /// Returns it as text, such as `5.2 MiB, 1.3 s of CPU`; empty if nothing is known.
    pub(crate) fn short(self) -> String {
        let memory = self.memory.map(words::mebibytes);
        let cpu = self.cpu_milliseconds.map(words::milliseconds);
        let parts = memory.into_iter().chain(cpu.map(|time| format!("{time} of CPU")));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// Reads the output of `systemctl show` for several units; a stopped one still has the processor time of its last run.
pub(super) fn parse(text: &str) -> BTreeMap<CompanionName, Usage> {
    // An unset value is `[not set]`, in older versions the maximum.
    let number = |value: &str| value.parse::<u64>().ok().filter(|number| *number != u64::MAX);
    let of_a_unit = |block: &str| {
        let (mut name, mut runs, mut usage) = (None, false, Usage::default());
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "Id" => name = CompanionName::new(value.trim_end_matches(".service")).ok(),
                "ActiveState" => runs = matches!(value, "active" | "reloading" | "deactivating"),
                "MemoryCurrent" => usage.memory = number(value),
                "CPUUsageNSec" => usage.cpu_milliseconds = number(value).map(|it| it / 1_000_000),
                _ => {}
            }
        }
        Some((name?, usage)).filter(|(_, usage)| runs && *usage != Usage::default())
    };
    text.split("\n\n").filter_map(of_a_unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_each_running_service_is_read() {
        let text = "CPUUsageNSec=1301000000\nMemoryCurrent=5452595\nId=archy-lnd-ui.service\n\
                    ActiveState=active\n\n\
                    MemoryCurrent=[not set]\nId=archy-electrs-ui.service\nCPUUsageNSec=12000000\n\
                    ActiveState=deactivating\n\n\
                    MemoryCurrent=18446744073709551615\nId=archy-bitcoin-ui.service\n\
                    CPUUsageNSec=[not set]\nActiveState=active\n\n\
                    MemoryCurrent=[not set]\nId=archy-fedimint-ui.service\n\
                    CPUUsageNSec=12000000\nActiveState=inactive\n";
        let usage = parse(text);
        let short = |name: &str| usage.get(&CompanionName::new(name).unwrap()).map(|it| it.short());
        assert_eq!(short("archy-lnd-ui").as_deref(), Some("5.2 MiB, 1.3 s of CPU"));
        assert_eq!(short("archy-electrs-ui").as_deref(), Some("12 ms of CPU"));
        assert_eq!(short("archy-bitcoin-ui"), None, "the host accounts nothing");
        assert_eq!(short("archy-fedimint-ui"), None, "it does not run");
    }
}
