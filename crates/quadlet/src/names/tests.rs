use super::*;

#[test]
fn unit_names_give_the_names_of_file_and_service() {
    let name = UnitName::new("archy-bitcoin-ui").expect("a name");
    assert_eq!(name.file_name(), "archy-bitcoin-ui.container");
    assert_eq!(name.service(), "archy-bitcoin-ui.service");
    assert_eq!(
        (name.as_str(), name.to_string().as_str()),
        ("archy-bitcoin-ui", "archy-bitcoin-ui")
    );
}

#[test]
fn unit_names_that_leave_the_directory_or_mean_something_else_are_refused() {
    let long = "n".repeat(246);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/a",
        "-a",
        ".a",
        "a@b",
        "a@",
        "a\\x2db",
        "a b",
        "a\n",
        "é",
        "a.container",
        "a.service",
        "a.volume",
        "%n",
        "$x",
        &long,
    ] {
        assert!(UnitName::new(name).is_err(), "{name:?}");
    }
    assert!(UnitName::new("n".repeat(245)).is_ok());
}

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
        "Upper",
        "localhost/Upper",
        "--privileged",
        "-v",
        "a b",
        "a\nb",
        "a//b",
        "/a",
        "a/",
        "a:",
        ":a",
        "a:b:c",
        "a@b",
        "a@sha256:abc",
        "a:b@sha512:00",
        "host:99999/a",
        "host:/a",
        "a..b",
        "a___b",
        "_a",
        "a_",
        "é",
        "%n",
        "$x",
        ";",
        "http://a/b",
        "localhost/a:.b",
        "a/b:c/d",
    ] {
        assert!(check_image(image).is_err(), "{image:?}");
    }
}

#[test]
fn image_references_that_name_a_transport_or_a_unit_are_refused_as_such() {
    for image in ["docker-archive:/tmp/x", "docker://x", "dir:x", "oci:x", "containers-storage:x"] {
        assert!(matches!(check_image(image), Err(Refusal::Transport { .. })), "{image}");
    }
    for image in ["x.build", "x.image", "localhost/x.network", "a:v.pod"] {
        assert!(matches!(check_image(image), Err(Refusal::UnitReference { .. })), "{image}");
    }
}

#[test]
fn networks_with_a_meaning_of_their_own_are_no_names() {
    for name in ["host", "none", "pasta", "container"] {
        assert!(matches!(check_network(name), Err(Refusal::Reserved { .. })), "{name}");
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
fn dependencies_are_units_of_systemd() {
    for name in ["network-online.target", "a@b.service", "x:y.socket"] {
        assert_eq!(check_dependency(name), Ok(()), "{name}");
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
        assert!(check_dependency(name).is_err(), "{name:?}");
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
        assert!(matches!(check_section(name), Err(Refusal::Reserved { .. })), "{name}");
    }
    assert_eq!(check_section("Companion"), Ok(()));
    for name in ["", "a]", "a b", "-a", "a\n[Service"] {
        assert!(check_section(name).is_err(), "{name:?}");
    }
}

#[test]
fn permissions_are_each_letter_once() {
    for letters in ["r", "rw", "mrw"] {
        assert_eq!(check_permissions(letters), Ok(()), "{letters}");
    }
    for letters in ["", "rr", "rx", "rwm "] {
        assert!(check_permissions(letters).is_err(), "{letters:?}");
    }
}

#[test]
fn labels_hosts_and_users_that_would_mean_something_else_are_refused() {
    for key in ["", "a=b", "a\nb", "a\u{7f}"] {
        assert!(check_label(key).is_err(), "{key:?}");
    }
    assert_eq!(check_label("io.example/a b"), Ok(()));
    for host in ["", "-a", ".a", "a b", "a:b", "a/b", "é"] {
        assert!(check_host(host, 253).is_err(), "{host:?}");
    }
    assert_eq!(check_host("a-b.c_d", 253), Ok(()));
    assert!(check_host("abc", 2).is_err());
    for user in ["", "-a", ".a", "a b", "a:b", "a\n"] {
        assert!(check_user(user).is_err(), "{user:?}");
    }
    for user in ["0", "_a", "a.b-c"] {
        assert_eq!(check_user(user), Ok(()), "{user:?}");
    }
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
