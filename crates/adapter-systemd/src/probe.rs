//! The command of a health check, run by the container's `/bin/sh`. Pure.
//!
//! Images differ in the programs that they have: curl or busybox's wget, nc or bash. The command takes the one that is
//! there; without any the check fails, with that in its output.

use companion_core::model::container::{HealthCheck, Probe};

/// The command that ends within its timeout: Podman 5.4.2 does not end a check that hangs, and reports the
/// container as healthy meanwhile.
pub(crate) fn command(check: &HealthCheck) -> String {
    let limit = check.timeout;
    let tried = tried(&check.probe).replace('\'', r"'\''");
    format!(
        "t=; if command -v timeout >/dev/null; then t='timeout {limit}'; fi; \
         exec $t /bin/sh -c '{tried}'"
    )
}

fn tried(probe: &Probe) -> String {
    match probe {
        // Its characters need no quotes but these.
        Probe::Http(url) => format!(
            "if command -v curl >/dev/null; then exec curl -fsSk -o /dev/null '{url}'; fi; \
             exec wget -q -O /dev/null '{url}'"
        ),
        Probe::Tcp(endpoint) => {
            let (host, port) = (endpoint.host(), endpoint.port());
            format!(
                "if command -v nc >/dev/null; then exec nc -z '{host}' {port}; fi; \
                 exec bash -c '</dev/tcp/{host}/{port}'"
            )
        }
        Probe::Command(command) => command.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs the command as a container's shell would, with `programs` alone, each a script.
    fn run(probe: Probe, programs: &[(&str, &str)]) -> (Option<i32>, String) {
        let directory = tempfile::tempdir().unwrap();
        for (name, script) in programs {
            let path = directory.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).unwrap();
        }
        let command = command(&HealthCheck::new(probe));
        let ran = Command::new("/bin/sh")
            .args(["-c", &command])
            .env_clear()
            .env("PATH", directory.path())
            .output()
            .unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    }

    const SHOW: &str = "echo \"$0|$*\"";

    #[test]
    fn url_is_requested_with_the_program_that_the_image_has() {
        let url = || Probe::Http("http://[::1]:80/a?b=1&c".parse().unwrap());
        let (_, both) = run(url(), &[("curl", SHOW), ("wget", SHOW)]);
        assert!(both.ends_with("curl|-fsSk -o /dev/null http://[::1]:80/a?b=1&c\n"), "{both}");
        let (_, wget) = run(url(), &[("wget", SHOW)]);
        assert!(wget.ends_with("wget|-q -O /dev/null http://[::1]:80/a?b=1&c\n"), "{wget}");
        assert_eq!(run(url(), &[]).0, Some(127));
        assert_eq!(run(url(), &[("curl", "exit 22")]).0, Some(22));
    }

    #[test]
    fn port_is_connected_to_with_the_program_that_the_image_has() {
        let port = || Probe::Tcp("[::1]:50001".parse().unwrap());
        let (_, nc) = run(port(), &[("nc", SHOW), ("bash", SHOW)]);
        assert!(nc.ends_with("nc|-z ::1 50001\n"), "{nc}");
        let (_, bash) = run(port(), &[("bash", SHOW)]);
        assert!(bash.ends_with("bash|-c </dev/tcp/::1/50001\n"), "{bash}");
    }

    #[test]
    fn command_of_a_check_gets_its_own_words_and_a_limit() {
        let hostile = r#"cli "a b" 'it'\''s' $((1 + 1)) `printf x` \$HOME; exit 3"#;
        let programs = [("cli", "printf '<%s>' \"$@\"")];
        let (status, shown) = run(Probe::Command(hostile.to_owned()), &programs);
        assert_eq!((status, shown.as_str()), (Some(3), "<a b><it's><2><x><$HOME>"));
        let limited = [("timeout", "echo \"limit $1\"; shift; exec \"$@\"")];
        let (status, shown) = run(Probe::Command("echo ok\n".to_owned()), &limited);
        assert_eq!((status, shown.as_str()), (Some(0), "limit 5\nok\n"));
    }
}
