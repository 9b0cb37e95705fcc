//! Root causes: what the last lines of a failed run say, in one plain sentence where they are known.
//!
//! The lines are the program's own and may say anything. So a cause is a hint for people, and nothing is
//! decided by it.

use std::fmt;

use crate::model::log::LogTail;

/// A known cause of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootCause {
    /// Another program listens on a port that it needs.
    PortInUse {
        /// Which port, if the line names it.
        port: Option<u16>,
    },
    /// A file system or a quota of it is full.
    NoSpace,
    /// The user's quota of kernel keys is used up, and with it no container can be made.
    KeyQuota,
    /// The image is not in the local storage.
    ImageMissing,
    /// The image does not have the program that it is to run.
    ProgramMissing,
    /// The image's program is for another kind of machine.
    OtherArchitecture,
    /// The host forbids it: file modes, or the labels of SELinux.
    Denied,
}

impl RootCause {
    /// The cause that the earliest telling line of `log` names: what comes later is mostly its consequence.
    pub fn of(log: &LogTail) -> Option<Self> {
        log.lines().iter().find_map(|line| Self::of_line(line))
    }

    fn of_line(line: &str) -> Option<Self> {
        let line = line.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if says(&["address already in use", "address in use", "port is already allocated"]) {
            return Some(Self::PortInUse { port: port_in(&line) });
        }
        if says(&["no space left on device"]) {
            return Some(Self::NoSpace);
        }
        if says(&["disk quota exceeded"]) {
            // The kernel has one word for both quotas; only keys are made by these calls.
            let keys = says(&["keyring", "keyctl", "session key"]);
            return Some(if keys { Self::KeyQuota } else { Self::NoSpace });
        }
        if says(&["image not known", "no such image"]) {
            return Some(Self::ImageMissing);
        }
        let missing = says(&["no such file or directory", "not found"]);
        if missing && says(&["executable file", "attempted to invoke a command"]) {
            return Some(Self::ProgramMissing);
        }
        if says(&["exec format error"]) {
            return Some(Self::OtherArchitecture);
        }
        says(&["permission denied", "operation not permitted", "selinux"]).then_some(Self::Denied)
    }
}

impl fmt::Display for RootCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortInUse { port: Some(port) } => {
                return write!(f, "port {port} is already in use");
            }
            Self::PortInUse { port: None } => "a port that it needs is already in use",
            Self::NoSpace => "no space is left on the device, or the disk quota is used up",
            Self::KeyQuota => {
                "the kernel's quota of keys is used up (sysctl kernel.keys.maxkeys, maxbytes)"
            }
            Self::ImageMissing => "its image is not in the local storage",
            Self::ProgramMissing => "its image does not have the program that it is to run",
            Self::OtherArchitecture => "its image is for another kind of machine",
            Self::Denied => "permission denied by file modes or SELinux labels",
        })
    }
}

/// The port that a line about a taken address names: the first number after `port ` or after the `:` of
/// an address, from the word on that says what was tried. Before it there may be a time (`12:00:01`).
fn port_in(line: &str) -> Option<u16> {
    let attempt = ["bind", "listen", "port"].iter().filter_map(|word| line.find(word)).min()?;
    let mut rest = &line[attempt..];
    while let Some(at) = rest.find([':', '[', ' ']) {
        let (before, after) = rest.split_at(at);
        let mut after = &after[1..];
        if rest[at..].starts_with('[') {
            // An IPv6 address: its colons part no port off.
            after = after.split_once(']').map_or("", |(_, after)| after);
        } else if rest[at..].starts_with(':') || before.ends_with("port") {
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let port = after[..digits].parse().ok().filter(|port| *port != 0);
            if port.is_some() {
                return port;
            }
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn says(lines: &[&str], cause: Option<RootCause>) {
        assert_eq!(RootCause::of(&LogTail::of(lines.iter().copied())), cause, "{lines:?}");
    }

    #[test]
    fn a_taken_port_is_named_as_each_program_says_it() {
        for line in [
            "Error: rootlessport listen tcp 0.0.0.0:18083: bind: address already in use",
            "Error: cannot listen on the TCP port: listen tcp4 :18083: bind: address already in use",
            "Failed to bind port 18083 (Address already in use) for option '-t 0.0.0.0/18083-18083:80-80'",
            "2026/11/22 12:00:01 [emerg] 1#1: bind() to 127.0.0.1:18083 failed (98: Address already in use)",
            "nginx: [emerg] bind() to [::1]:18083 failed (98: Address in use)",
            "Error: rootlessport listen tcp [fe80::10:2]:18083: bind: address already in use",
            "Bind for 0.0.0.0:18083 failed: port is already allocated",
        ] {
            says(&[line], Some(RootCause::PortInUse { port: Some(18083) }));
        }
        let unnamed = "bind(): Address already in use";
        says(&[unnamed], Some(RootCause::PortInUse { port: None }));
        says(&["bind: x:0 y:99999: address in use"], Some(RootCause::PortInUse { port: None }));
        let sentence = RootCause::PortInUse { port: Some(18083) }.to_string();
        assert_eq!(sentence, "port 18083 is already in use");
    }

    #[test]
    fn each_known_line_has_its_cause() {
        for (line, cause) in [
            ("Error: writing blob: write /x: no space left on device", RootCause::NoSpace),
            ("write /etc/x: disk quota exceeded", RootCause::NoSpace),
            ("Error: crun: create keyring `ab`: Disk quota exceeded", RootCause::KeyQuota),
            (
                "unable to join session keyring: unable to create session key: disk quota exceeded",
                RootCause::KeyQuota,
            ),
            ("Error: localhost/absent:latest: image not known", RootCause::ImageMissing),
            ("Error: No such image: localhost/absent:latest", RootCause::ImageMissing),
            (
                "Error: crun: executable file `/nope` not found: No such file or directory: OCI runtime \
                 attempted to invoke a command that was not found",
                RootCause::ProgramMissing,
            ),
            ("exec: \"nope\": executable file not found in $PATH", RootCause::ProgramMissing),
            ("exec /docker-entrypoint.sh: exec format error", RootCause::OtherArchitecture),
            ("open() \"/etc/nginx/nginx.conf\" failed (13: Permission denied)", RootCause::Denied),
        ] {
            says(&[line], Some(cause));
        }
        says(&[], None);
        says(&["started", "listening on port 80", "/favicon.ico: no such file or directory"], None);
    }

    #[test]
    fn the_earliest_telling_line_counts() {
        let lines =
            ["starting", "bind() to 0.0.0.0:80 failed (98: Address in use)", "permission denied"];
        says(&lines, Some(RootCause::PortInUse { port: Some(80) }));
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line: String, tail in "[a-z:\\[\\] 0-9é]{0,40}") {
            let _cause = RootCause::of(&LogTail::of([line.as_str()]));
            let taken = format!("{tail} bind {tail} address already in use");
            let cause = RootCause::of(&LogTail::of([taken.as_str()]));
            let in_use = matches!(cause, Some(RootCause::PortInUse { .. }));
            prop_assert!(in_use, "{cause:?}");
        }
    }
}
