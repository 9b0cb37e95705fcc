use super::*;

#[test]
fn image_references_with_registry_tag_and_digest_are_taken() {
    let digest = "0123456789abcdef".repeat(4);
    for image in [
        "localhost/bitcoin-ui:latest".to_owned(),
        "192.0.2.1:3000/lfg2025/bitcoin-ui:latest".to_owned(),
        "nginx".to_owned(),
        "docker.io/library/nginx:1.27-alpine".to_owned(),
        "registry.example/a/b__c/d---e_f.g:Tag_1.2".to_owned(),
        "a/x.build/y".to_owned(),
        "dir/x:tag".to_owned(),
        format!("quay.io/a/b@sha256:{digest}"),
        format!("localhost/a:b@sha256:{digest}"),
        format!("sha256:{digest}"),
        digest,
    ] {
        assert_eq!(check_image(&image), Ok(()), "{image}");
    }
}

#[test]
fn texts_that_are_no_image_reference_are_refused() {
    for image in [
        "",
        " ",
        "--privileged",
        "-v",
        "a b",
        "a\nb",
        "a//b",
        "/a",
        "./a",
        "../a",
        ":a",
        "_a",
        "é",
        "%n",
        "$x",
        ";",
        "a=b",
        "a?b",
        "[::1]:5000/x",
        "http://a/b",
    ] {
        assert!(check_image(image).is_err(), "{image:?}");
    }
}

fn assert_why(checked: Result<(), Refusal>, why: &str) {
    let refusal = checked.expect_err(why).to_string();
    assert!(refusal.contains(why), "{refusal}");
}

#[test]
fn image_references_that_name_a_transport_or_a_unit_are_refused_as_such() {
    for image in ["docker-archive:/tmp/x", "docker://x", "dir:x", "oci:x", "containers-storage:x"] {
        assert_why(check_image(image), "has the transport");
    }
    for image in ["x.build", "x.image", "localhost/x.network", "a:v.pod"] {
        assert_why(check_image(image), "refers to another unit");
    }
}

#[test]
fn networks_with_a_meaning_of_their_own_are_no_names() {
    for name in ["host", "none", "pasta", "container"] {
        assert_why(check_network(name), "is reserved");
    }
    for name in ["x.network", "a:b", "ns:/run/x", "-a", "container:x", ""] {
        assert!(check_network(name).is_err(), "{name}");
    }
    assert_eq!(check_network("archy-net"), Ok(()));
}

#[test]
fn paths_are_absolute_and_free_of_dots() {
    for path in ["", ".", "./x", "x", "~/x", "%h/x", "/a/../b", "/a/.", "/..", " /a"] {
        assert!(check_path(path).is_err(), "{path:?}");
    }
    for path in ["/", "/a", "/a b:c", "/...", "/x.volume", "/a/.hidden"] {
        assert_eq!(check_path(path), Ok(()), "{path}");
    }
}

#[test]
fn targets_are_units_of_systemd() {
    for name in ["network-online.target", "a@b.service", "x:y.socket"] {
        assert_eq!(check_unit(name), Ok(()), "{name}");
    }
    for name in [
        "",
        "a",
        "a.container",
        "x.pod",
        ".service",
        "-a.service",
        "a b.service",
        "%n.service",
        "a/b.service",
        "a.conf",
    ] {
        assert!(check_unit(name).is_err(), "{name:?}");
    }
}

#[test]
fn variables_have_names_that_a_shell_takes() {
    for name in ["A", "_", "rpc_user2"] {
        assert_eq!(check_variable(name), Ok(()), "{name}");
    }
    for name in ["", "9A", "A B", "A=B", "A-B", "é", "A\n", ";"] {
        assert!(check_variable(name).is_err(), "{name:?}");
    }
}

#[test]
fn sections_that_quadlet_renames_are_reserved() {
    for name in ["Container", "Quadlet", "Pod"] {
        assert_why(check_section(name), "is reserved");
    }
    assert_eq!(check_section("Companion"), Ok(()));
    for name in ["", "a]", "a b", "-a", "a\n[Service"] {
        assert!(check_section(name).is_err(), "{name:?}");
    }
}

#[test]
fn labels_and_hosts_that_would_mean_something_else_are_refused() {
    for key in ["", "a=b", "a\nb", "a\u{7f}"] {
        assert!(check_label(key).is_err(), "{key:?}");
    }
    assert_eq!(check_label("io.example/a b"), Ok(()));
    for host in ["", "-a", ".a", "a b", "a:b", "a/b", "é"] {
        assert!(check_host(host).is_err(), "{host:?}");
    }
    assert_eq!(check_host("a-b.c_d"), Ok(()));
    assert!(check_host(&"a".repeat(254)).is_err());
}

#[test]
fn podman_options_have_a_name_and_a_value() {
    for option in ["--umask=0022", "--log-driver=journald", "--label=a=b", "--x="] {
        assert!(check_option(option).is_ok(), "{option}");
    }
    for option in ["", "--", "--=x", "---x=1", "--x", "-x=1", "x=1", "--X=1", "--a b=1", "--a.b=1"]
    {
        assert!(check_option(option).is_err(), "{option}");
    }
}

#[test]
fn capabilities_are_letters_and_underscores() {
    assert!(check_capability("CAP_SYS_ADMIN").is_ok());
    assert!(check_capability("all").is_ok());
    for name in ["", "A B", "A-B", "A1", "%A"] {
        assert!(check_capability(name).is_err(), "{name}");
    }
}
