//! Interprets the generator's output for staged units. Pure.

use std::collections::HashSet;
use std::path::Path;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use crate::error::shown;
use crate::process::Ended;

/// Parts of the generator's error lines (`cmd/quadlet/main.go` of Podman 4.4 to 6.0). Some are warnings in Podman, but
/// mean that a whole line of the unit was dropped.
const COMPLAINTS: [&str; 6] = [
    "converting \"",
    "error loading \"",
    "error occurred",
    "encountered some errors",
    "unsupported escape",
    "unbalanced",
];

/// Evaluates a dry run over the units of `names`: all of them must be accepted.
///
/// Before Podman 4.6 the exit status is not sufficient, and the service's header does not reveal a dropped line.
pub(crate) fn interpret<'n>(
    program: &Path,
    names: impl IntoIterator<Item = &'n CompanionName>,
    ended: &Ended,
) -> PortResult<()> {
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let complaints: Vec<&str> =
        stderr.lines().filter(|line| is_complaint(line)).map(bare).collect();
    let stdout = String::from_utf8_lossy(&ended.stdout);
    let headers: HashSet<&str> = stdout.lines().map(str::trim_end).collect();
    let made = |name: &CompanionName| headers.contains(format!("---{name}.service---").as_str());
    if !complaints.is_empty() {
        let words = shown(&complaints.join("; "));
        let text = format!("the Quadlet generator rejected the unit: {words}");
        return Err(PortError::new(PortErrorKind::Invalid, text));
    }
    match ended.code {
        Some(0) if names.into_iter().all(made) => Ok(()),
        // As versions before 4.6 do.
        Some(0) => {
            let text =
                "the Quadlet generator generated no service from the unit and printed no reason";
            Err(PortError::new(PortErrorKind::Invalid, text))
        }
        _ => Err(ended.failure(program, PortErrorKind::Unavailable)),
    }
}

fn is_complaint(line: &str) -> bool {
    !line.contains("Loading source unit file") && COMPLAINTS.iter().any(|mark| line.contains(mark))
}

/// Returns the line without the program's name and process ID.
pub(crate) fn bare(line: &str) -> &str {
    match line.split_once("]: ") {
        Some((head, words)) if head.starts_with("quadlet-generator[") => words,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreted(code: Option<i32>, stdout: &str, stderr: &str) -> PortResult<()> {
        let ended =
            Ended { code, stdout: stdout.as_bytes().to_vec(), stderr: stderr.as_bytes().to_vec() };
        interpret(Path::new("/g"), [&CompanionName::new("error-ui").unwrap()], &ended)
    }

    const MADE: &str = "---error-ui.service---\n[Unit]\n";
    const READ: &str = "quadlet-generator[7]: Loading source unit file /run/x/error-ui.container\n";

    #[test]
    fn the_generators_message_is_reported() {
        let words = "converting \"error-ui.container\": unsupported key 'Pulll' in group 'Container' in /run/x";
        let stderr = format!(
            "{READ}quadlet-generator[7]: {words}\nquadlet-generator[7]: processing encountered some errors\n"
        );
        let error = interpreted(Some(1), "", &stderr).unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid);
        assert!(error.to_string().contains("unsupported key 'Pulll'"), "{error}");
        assert!(!error.to_string().contains("quadlet-generator["), "{error}");
    }

    #[test]
    fn a_dropped_line_is_a_refusal_although_a_service_was_made() {
        let stderr = "quadlet-generator[7]: Warning: unsupported escape char in \"a\\.b\"\n";
        let error = interpreted(Some(0), MADE, stderr).unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid, "{error}");
    }

    #[test]
    fn no_output_is_not_acceptance() {
        for stdout in ["", "---error-ui-2.service---\n"] {
            let error = interpreted(Some(0), stdout, "").unwrap_err();
            assert!(error.to_string().ends_with("printed no reason"), "{error}");
        }
    }

    #[test]
    fn a_broken_generator_does_not_reject_the_unit() {
        for code in [Some(127), Some(1), None] {
            let error = interpreted(code, MADE, "panic: runtime error\n").unwrap_err();
            assert_eq!(error.kind(), PortErrorKind::Unavailable, "{error}");
        }
    }
}
