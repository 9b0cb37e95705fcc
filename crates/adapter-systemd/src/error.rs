//! Errors of the bus and their port error kinds. Nothing here is retried.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use companion_core::ports::{PortError, PortErrorKind};
use host_files::blocking::Stuck;
use zbus::fdo;

/// An error of the bus or of systemd.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BusError {
    /// Opening a connection failed.
    #[error("failed to connect to the bus at `{address}`")]
    Connect { address: String, source: Box<BusError> },
    /// systemd or the bus returned an error.
    #[error("{}", refusal_text(name, detail))]
    Refused { name: String, detail: String },
    /// The connection broke or could not be opened.
    #[error(transparent)]
    Broken(Arc<io::Error>),
    /// The connection was closed for an unknown reason.
    #[error("the connection to the bus was closed")]
    Closed,
    /// The bus rejected the user of this process.
    #[error("the bus rejected this user ({0})")]
    Rejected(String),
    /// No reply within the time limit.
    #[error("no reply within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// Files of the kernel or of the unit directory could not be read in time.
    #[error("failed to read files of the host")]
    Files(#[from] Stuck),
    /// The reply has an unexpected form.
    #[error("unexpected reply: {0}")]
    NotUnderstood(String),
}

impl BusError {
    /// Returns the port error kind.
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::Connect { source, .. } => source.kind(),
            Self::Refused { name, .. } => refusal_kind(name),
            Self::Broken(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    PortErrorKind::Unavailable
                }
                io::ErrorKind::PermissionDenied => PortErrorKind::Denied,
                _ => PortErrorKind::Transient,
            },
            Self::Closed | Self::TimedOut(_) | Self::Files(_) => PortErrorKind::Transient,
            Self::Rejected(_) => PortErrorKind::Denied,
            Self::NotUnderstood(_) => PortErrorKind::Unavailable,
        }
    }

    /// Returns whether the connection is unusable.
    pub(crate) fn is_disconnection(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken(_) | Self::Closed | Self::Rejected(_) => true,
            Self::Refused { name, .. } => name == "org.freedesktop.DBus.Error.Disconnected",
            Self::TimedOut(_) | Self::Files(_) | Self::NotUnderstood(_) => false,
        }
    }

    /// Returns the port error for `attempt`, a verb phrase that follows "failed to".
    pub(crate) fn during(self, attempt: impl std::fmt::Display) -> PortError {
        PortError::new(self.kind(), format!("failed to {attempt}")).with_source(self)
    }
}

fn refusal_text(name: &str, detail: &str) -> String {
    match detail {
        "" => name.to_owned(),
        detail => format!("{detail} ({name})"),
    }
}

/// Maps error names of systemd (`bus-common-errors.h`) and of the bus (D-Bus specification) to kinds. The error text
/// never decides.
fn refusal_kind(name: &str) -> PortErrorKind {
    if let Some(name) = name.strip_prefix("org.freedesktop.systemd1.") {
        return match name {
            "NoSuchUnit" | "NoSuchJob" => PortErrorKind::NotFound,
            "UnitMasked" | "OnlyByDependency" | "UnitGenerated" | "UnitLinked" => {
                PortErrorKind::Denied
            }
            "BadUnitSetting"
            | "LoadFailed"
            | "JobTypeNotApplicable"
            | "TransactionOrderIsCyclic" => PortErrorKind::Invalid,
            // `ShuttingDown`, `TransactionIsDestructive` (another job in the way), `DiskFull`, `JobFailed`, newer ones.
            _ => PortErrorKind::Transient,
        };
    }
    match name.strip_prefix("org.freedesktop.DBus.Error.") {
        Some("AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired") => {
            PortErrorKind::Denied
        }
        Some("InvalidArgs") => PortErrorKind::Invalid,
        Some("UnknownObject") => PortErrorKind::NotFound,
        Some(
            "ServiceUnknown" | "NameHasNoOwner" | "NoServer" | "NotSupported" | "UnknownMethod"
            | "UnknownInterface" | "UnknownProperty",
        ) => PortErrorKind::Unavailable,
        Some(name) if name.starts_with("Spawn") => PortErrorKind::Unavailable,
        // `NoReply`, `LimitsExceeded` (a reload's rate limit), `Disconnected`, `Timeout`, `NoMemory`, newer ones.
        _ => PortErrorKind::Transient,
    }
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, detail, _) => Self::Refused {
                name: name.to_string(),
                detail: shown(detail.as_deref().unwrap_or_default()),
            },
            zbus::Error::FDO(error) => Self::from(*error),
            zbus::Error::InputOutput(error) | zbus::Error::Connection(error, _) => {
                Self::Broken(error)
            }
            zbus::Error::Handshake(text) => Self::Rejected(shown(&text)),
            other => Self::NotUnderstood(shown(&other.to_string())),
        }
    }
}

impl From<fdo::Error> for BusError {
    fn from(error: fdo::Error) -> Self {
        if let fdo::Error::ZBus(error) = error {
            return Self::from(error);
        }
        Self::Refused {
            name: zbus::DBusError::name(&error).to_string(),
            detail: shown(zbus::DBusError::description(&error).unwrap_or_default()),
        }
    }
}

/// Escapes and truncates external text, so that it can neither forge nor flood log lines.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 2048;
    let mut shown = String::new();
    for c in text.trim_end().chars() {
        if shown.len() >= LIMIT {
            shown.push('…');
            break;
        }
        match c {
            // Newlines and tabs are layout, and quotes are harmless.
            '\n' => shown.push_str("\\n"),
            '\'' | '"' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_name_has_its_error_kind() {
        use PortErrorKind::{Denied, Invalid, NotFound, Transient, Unavailable};
        for (name, kind) in [
            ("org.freedesktop.systemd1.NoSuchUnit", NotFound),
            ("org.freedesktop.systemd1.UnitMasked", Denied),
            ("org.freedesktop.systemd1.BadUnitSetting", Invalid),
            ("org.freedesktop.systemd1.LoadFailed", Invalid),
            ("org.freedesktop.systemd1.ShuttingDown", Transient),
            ("org.freedesktop.systemd1.TransactionIsDestructive", Transient),
            ("org.freedesktop.systemd1.SomethingNewer", Transient),
            ("org.freedesktop.DBus.Error.AccessDenied", Denied),
            ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", Denied),
            ("org.freedesktop.DBus.Error.LimitsExceeded", Transient),
            ("org.freedesktop.DBus.Error.NoReply", Transient),
            ("org.freedesktop.DBus.Error.Disconnected", Transient),
            ("org.freedesktop.DBus.Error.ServiceUnknown", Unavailable),
            ("org.freedesktop.DBus.Error.Spawn.ChildExited", Unavailable),
            ("org.freedesktop.DBus.Error.UnknownMethod", Unavailable),
            ("com.example.Strange", Transient),
        ] {
            assert_eq!(refusal_kind(name), kind, "{name}");
        }
    }

    #[test]
    fn a_missing_socket_is_no_bus_and_a_broken_one_is_tried_again() {
        let of = |kind| BusError::Broken(Arc::new(io::Error::from(kind)));
        assert_eq!(of(io::ErrorKind::NotFound).kind(), PortErrorKind::Unavailable);
        assert_eq!(of(io::ErrorKind::ConnectionRefused).kind(), PortErrorKind::Unavailable);
        assert_eq!(of(io::ErrorKind::PermissionDenied).kind(), PortErrorKind::Denied);
        assert_eq!(of(io::ErrorKind::BrokenPipe).kind(), PortErrorKind::Transient);
    }

    #[test]
    fn an_external_text_is_shown_escaped_and_cut() {
        let text = shown(&format!("a\n\u{1b}[31m\"{}", "é".repeat(5000)));
        assert!(text.starts_with("a\\n\\u{1b}[31m\"é") && text.ends_with('…'), "{text}");
        assert!(text.len() <= 2048 + 16);
    }
}
