//! Root causes: recognizes known errors in the last log lines of a failed run.
//!
//! A program may log anything, so a root cause is a hint for people; no decision depends on it.

use crate::model::log::LogTail;

/// A known cause of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum RootCause {
    /// Another program listens on a required port.
    #[error("{} is already in use", named(*.port))]
    PortInUse {
        /// The port, if the log line names it.
        port: Option<u16>,
    },
    /// A file system or disk quota is full.
    #[error("no space left on device, or disk quota exceeded")]
    NoSpace,
    /// The user's kernel key quota is exceeded, so no container can be created.
    #[error("kernel key quota exceeded (sysctl kernel.keys.maxkeys, maxbytes)")]
    KeyQuota,
    /// The image is not in the local storage.
    #[error("image is not in the local storage")]
    ImageMissing,
    /// The image does not contain the program.
    #[error("program not found in the image")]
    ProgramMissing,
    /// The image is built for another architecture.
    #[error("image is built for another architecture")]
    OtherArchitecture,
    /// Permission denied by file modes or SELinux labels.
    #[error("permission denied by file modes or SELinux labels")]
    Denied,
}

impl RootCause {
    /// Returns the cause named by the earliest known line of `log`; later errors are mostly consequences.
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
            // The kernel returns EDQUOT for both quotas; only key calls contain these words.
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

fn named(port: Option<u16>) -> String {
    port.map_or("a required port".to_owned(), |port| format!("port {port}"))
}

/// Returns the port in an "address in use" line: the first number after `port ` or after the `:` of an address,
/// searched from `bind`, `listen` or `port` on, because a time (`12:00:01`) may come first.
fn port_in(line: &str) -> Option<u16> {
    let attempt = ["bind", "listen", "port"].iter().filter_map(|word| line.find(word)).min()?;
    let mut rest = &line[attempt..];
    while let Some(at) = rest.find([':', '[', ' ']) {
        let (before, after) = rest.split_at(at);
        let mut after = &after[1..];
        if rest[at..].starts_with('[') {
            // Colons inside an IPv6 address do not separate a port.
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
    fn port_in_use_is_recognized_in_each_programs_message() {
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
    fn earliest_known_line_decides() {
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
