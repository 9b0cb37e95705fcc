//! Why companions are not as desired, for people: each cause once, with the last log lines and a fix. Pure.

use adapter_systemd::Scope;
use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::root_cause::RootCause;
use companion_core::status::CompanionStatus;

use crate::service::Systemctl;

/// One cause, and the companions that have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// The companions, by name.
    pub(super) companions: Vec<CompanionName>,
    /// The cause, in the words of the first companion.
    pub(super) text: String,
    /// The last log lines of the first companion.
    pub(super) log: Vec<String>,
    /// What to do.
    pub(super) fix: Option<String>,
}

impl Cause {
    /// Returns its lines: the cause, the log, and the fix.
    pub(super) fn lines(&self) -> Vec<String> {
        let names: Vec<_> = self.companions.iter().map(CompanionName::as_str).collect();
        let mut lines = vec![format!("{}: {}", names.join(", "), self.text)];
        lines.extend(self.log.iter().map(|line| format!("    log: {line}")));
        lines.extend(self.fix.iter().map(|fix| format!("    fix: {fix}")));
        lines
    }
}

/// Returns the causes of all unhealthy companions; those that differ in nothing but the companion's own names are one.
pub(super) fn of(companions: &[CompanionStatus], scope: Option<Scope>) -> Vec<Cause> {
    let mut causes: Vec<(String, Cause)> = Vec::new();
    for status in companions.iter().filter(|status| !status.health.is_healthy()) {
        let Some(text) = status.why.first() else { continue };
        let text = summary(text);
        let key = without_own_names(&text, &status.name);
        match causes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, cause)) => cause.companions.push(status.name.clone()),
            None => {
                let companions = vec![status.name.clone()];
                let (log, fix) = (status.log.clone(), fix(status, scope));
                causes.push((key, Cause { companions, text, log, fix }));
            }
        }
    }
    causes.into_iter().map(|(_, cause)| cause).collect()
}

/// Returns `text` without the parts of Podman's messages that differ at each attempt and hide the cause: of an image that is
/// neither built nor pulled because no registry answers, only the registries. JSON and the history have the whole message.
pub(super) fn summary(text: &str) -> String {
    let reason = NO_NETWORK.iter().find(|reason| text.contains(**reason));
    let mut registries: Vec<&str> = Vec::new();
    for part in text.split(REGISTRY).skip(1) {
        // A colon follows the name and its port.
        let registry = part.split(' ').next().unwrap_or_default().trim_end_matches(':');
        if !registries.contains(&registry) {
            registries.push(registry);
        }
    }
    match reason {
        Some(reason) if !registries.is_empty() => {
            let registries = registries.join(", ");
            format!(
                "image can be neither built nor pulled: no connection to {registries} ({reason})"
            )
        }
        _ => text.to_owned(),
    }
}

/// What precedes the name of a registry in Podman's messages.
const REGISTRY: &str = "pinging container registry ";

/// Replaces the companion's name, and the name of its image, which is its end in the built-in companions.
fn without_own_names(text: &str, name: &CompanionName) -> String {
    let name = name.as_str();
    let base = name.strip_prefix("archy-").unwrap_or(name);
    text.replace(name, "*").replace(base, "*")
}

/// Returns what to do about the first cause of `status`, if that is known.
pub(super) fn fix(status: &CompanionStatus, scope: Option<Scope>) -> Option<String> {
    let cause = RootCause::of(&LogTail::of(status.log.iter().map(String::as_str)));
    cause.map(fix_of_cause).or_else(|| fix_of_condition(status, scope))
}

/// Returns what to do about `cause`.
pub(crate) fn fix_of_cause(cause: RootCause) -> String {
    let fix = match cause {
        RootCause::PortInUse { port } => {
            let filter = port.map(|port| format!(" sport = :{port}")).unwrap_or_default();
            return format!(
                "`ss -ltnp{filter}` shows the program that listens there; stop it, or set another `host` \
                 port in catalog.toml"
            );
        }
        RootCause::NoSpace => "free space: `df -h` and `podman system df` show what takes it",
        RootCause::KeyQuota => {
            "sudo sysctl -w kernel.keys.maxkeys=2000 kernel.keys.maxbytes=200000, and the same in a file of \
             /etc/sysctl.d"
        }
        RootCause::ImageMissing => "`companion reconcile` builds or pulls the image again",
        RootCause::ProgramMissing | RootCause::OtherArchitecture => {
            "name an image for this machine in catalog.toml, or build it here"
        }
        RootCause::Denied => "check owner and mode of the files that the container mounts",
    };
    fix.to_owned()
}

/// What to do about a condition with this reason, and a message with one of these words.
const FIXES: [(&str, &[&str], &str); 11] = [
    (
        "hook-not-ready",
        &["password", "cookie"],
        "start the node once, or set `password_file` or `cookie_file` in [node.bitcoin] of catalog.toml; the \
         companion then starts by itself",
    ),
    ("conflict", &[""], "move it away; the companion then starts by itself"),
    ("held", &[""], "SYSTEMCTL unmask NAME.service"),
    ("shadowed", &[""], "move that unit away, then SYSTEMCTL daemon-reload"),
    ("unit-refused", &[""], "`companion doctor` names the file"),
    ("not-loaded", &[""], "`companion doctor` names the file"),
    ("observation", &[""], "`companion doctor` checks this host"),
    (
        "back-off",
        &["HTTP response to HTTPS"],
        "the registry has no TLS: use one that has, or name it in `insecure_registries` of [node] in \
         catalog.toml",
    ),
    (
        "back-off",
        &NO_NETWORK,
        "check the network; it is tried again by itself. Without one, load the base image: `podman load \
         --input FILE`",
    ),
    (
        "back-off",
        &["no build context"],
        "install the build contexts, and name their directory in `context_directories` of [node] in \
         catalog.toml",
    ),
    ("crash-loop", &[""], "`companion logs NAME` shows why it exits"),
];

fn fix_of_condition(status: &CompanionStatus, scope: Option<Scope>) -> Option<String> {
    let condition = status.conditions.first()?;
    let says = |words: &[&str]| words.iter().any(|word| condition.message.contains(word));
    let mut fixes = FIXES.iter();
    let (_, _, fix) =
        fixes.find(|(reason, words, _)| *reason == condition.reason && says(words))?;
    let systemctl = scope.map_or("systemctl", |scope| Systemctl::new(scope).shown());
    Some(fix.replace("SYSTEMCTL", systemctl).replace("NAME", status.name.as_str()))
}

/// What Podman's messages contain if a registry cannot be reached.
const NO_NETWORK: [&str; 6] = [
    "connection refused",
    "network is unreachable",
    "no such host",
    "i/o timeout",
    "no route to host",
    "Temporary failure in name resolution",
];

#[cfg(test)]
mod tests;
