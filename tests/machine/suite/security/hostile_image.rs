//! An image whose working directory is a link to the host's files.

use crate::guest::{archy, podman, root, write};
use crate::node::{companion, extend_catalog, installed};

const VICTIM: &str = "/home/archy/victim";
const IMAGE: &str = "127.0.0.1:5000/lfg2025/linked:1";

const ENTRY: &str = r#"
[[companion]]
name = "linked-ui"
apps = ["linked"]
image = { pull = "127.0.0.1:5000/lfg2025/linked:1" }
"#;

/// Names, modes, owners and contents of the files that the image could reach.
fn host_tree() -> String {
    let script = format!(
        "find {VICTIM} /etc /opt /root /srv -xdev -printf '%p %m %u %y %l\\n' | sort; \
         find {VICTIM} /etc -xdev -type f -print0 | sort -z | xargs -0 sha256sum"
    );
    root(&["sh", "-c", &script]).good()
}

#[test]
fn working_directory_that_is_a_link_creates_nothing_on_the_host() {
    installed();
    archy(&["mkdir", "-p", VICTIM]).good();
    write(&format!("{VICTIM}/file"), "precious");
    let dockerfile = format!(
        "FROM localhost/companion-base:latest\n\
         RUN ln -s /../../../../../../..{VICTIM} /linked && ln -s ../../../../../../..{VICTIM} /relative\n"
    );
    write("/home/archy/linked/Dockerfile", &dockerfile);
    extend_catalog(ENTRY);
    podman(&["build", "--quiet", "--tag", "localhost/linked-base:latest", "/home/archy/linked"])
        .good();
    let before = host_tree();
    for directory in
        ["/linked/made", "/relative/made", "/linked", "/proc/1/root/home/archy/victim/made"]
    {
        podman(&["rm", "--force", "--ignore", "linker"]).good();
        podman(&["create", "--quiet", "--name", "linker", "localhost/linked-base:latest"]).good();
        let change = format!("--change=WORKDIR {directory}");
        podman(&["commit", "--quiet", &change, "linker", IMAGE]).good();
        podman(&["push", "--quiet", "--tls-verify=false", IMAGE]).good();
        podman(&["rm", "--force", "linker"]).good();
        podman(&["image", "rm", "--force", IMAGE]).good();
        // Podman decides whether it starts; it must create nothing on the host.
        let ran = companion(&["install", "linked"]);
        let pulled = podman(&["image", "exists", IMAGE]);
        assert_eq!(pulled.status, Some(0), "it came to this host at all: {ran}");
        assert_eq!(host_tree(), before, "{directory}");
        companion(&["remove", "linked"]).exits(0);
        podman(&["image", "rm", "--force", "--ignore", IMAGE]);
    }
    podman(&["image", "rm", "--force", "--ignore", "localhost/linked-base:latest"]);
    archy(&["rm", "-rf", VICTIM, "/home/archy/linked"]).good();
}
