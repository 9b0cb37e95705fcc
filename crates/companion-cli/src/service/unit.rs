//! Renders the daemon's unit from the template. Pure.

use std::path::Path;

use adapter_systemd::Scope;

/// The unit of a user as a package installs it.
const USER: &str = include_str!("../../systemd/companion.service");
/// The unit of root as a package installs it.
const SYSTEM: &str = include_str!("../../systemd/companion-system.service");

/// The program in both.
const PACKAGED_PROGRAM: &str = "/usr/bin/companion";

/// The section of a unit that `companion setup` may replace.
const SECTION: &str = "[X-Companion]";

/// Renders the unit of `scope` that runs `program`; `None` if the path needs quoting in a unit file.
pub(crate) fn text(program: &Path, scope: Scope) -> Option<String> {
    // These characters are special in the command line of a unit (systemd.service(5)).
    let is_special =
        |c: char| c.is_whitespace() || c.is_control() || "\"'\\%$;".chars().any(|s| s == c);
    let program = program.to_str().filter(|text| !text.chars().any(is_special))?;
    let line = |line: &str| match line.split_once('=') {
        Some(("ExecStart" | "ExecReload", _)) => line.replace(PACKAGED_PROGRAM, program),
        _ => line.to_owned(),
    };
    Some(packaged_text(scope).lines().map(|text| line(text) + "\n").collect())
}

fn packaged_text(scope: Scope) -> &'static str {
    match scope {
        Scope::User => USER,
        Scope::System => SYSTEM,
    }
}

/// Returns the path of the unit of `scope` in a package.
pub(crate) fn packaged_path(scope: Scope) -> &'static Path {
    Path::new(match scope {
        Scope::User => "/usr/lib/systemd/user/companion.service",
        Scope::System => "/usr/lib/systemd/system/companion.service",
    })
}

/// Returns whether a package installs `program`.
pub(crate) fn is_packaged(program: &Path) -> bool {
    program == Path::new(PACKAGED_PROGRAM)
}

/// Returns whether `text` is a unit of `companion setup` or of a companion package.
pub(crate) fn is_managed(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == SECTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#') && line.contains('=')).collect()
    }

    #[test]
    fn the_unit_of_a_package_is_the_template_itself() {
        for scope in [Scope::User, Scope::System] {
            let packaged = text(Path::new(PACKAGED_PROGRAM), scope).unwrap();
            assert_eq!(packaged, packaged_text(scope));
            assert!(is_managed(&packaged));
            assert!(packaged.contains(&format!("\nWantedBy={}\n", scope.wanted_by())));
        }
    }

    #[test]
    fn start_and_reload_run_the_given_program_and_nothing_else_changes() {
        let user = text(Path::new("/home/é/.cargo/bin/companion"), Scope::User).unwrap();
        let changed: Vec<_> =
            settings(&user).into_iter().filter(|line| !USER.contains(line)).collect();
        assert_eq!(
            changed,
            [
                "ExecStart=/home/é/.cargo/bin/companion run",
                "ExecReload=/home/é/.cargo/bin/companion reload"
            ]
        );
        assert_eq!(user.lines().count(), USER.lines().count());
    }

    #[test]
    fn the_unit_of_root_has_every_setting_of_the_user_unit() {
        let root = settings(SYSTEM);
        let missing: Vec<_> =
            settings(USER).into_iter().filter(|line| !root.contains(line)).collect();
        assert_eq!(missing, ["WantedBy=default.target"]);
        assert!(root.contains(&"NoNewPrivileges=yes") && root.contains(&"ProtectSystem=yes"));
    }

    #[test]
    fn path_with_special_characters_is_refused() {
        for path in ["/a b/companion", "/a%h/companion", "/a$X/companion", "/a\"/c", "/a\n/c"] {
            assert_eq!(text(Path::new(path), Scope::User), None, "{path:?}");
        }
    }

    #[test]
    fn a_unit_without_the_section_is_not_managed() {
        assert!(!is_managed("[Service]\nExecStart=/usr/bin/companion run\n# [X-Companion]\n"));
    }
}
