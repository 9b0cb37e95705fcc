//! Who reaches a companion's port, and what it returns.

use std::collections::BTreeSet;
use std::fs;

use crate::guest::{archy, mallory, root};
use crate::node::{ALL, ASKED, BITCOIN, installed};

/// Sends a request as another user; returns the exit status of curl and the HTTP status.
fn asked(arguments: &[&str]) -> (Option<i32>, String) {
    let curl = [
        "curl",
        "--silent",
        "--max-time",
        "5",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ];
    let ran = mallory(&[&curl, arguments].concat(), "");
    (ran.status, ran.stdout)
}

#[test]
fn companions_listen_on_their_declared_ports_only() {
    installed();
    let listening =
        root(&["ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric"]).good();
    let port = |line: &str| line.split_whitespace().nth(4)?.rsplit_once(':')?.1.parse::<u16>().ok();
    let ports: BTreeSet<u16> = listening.lines().filter_map(port).collect();
    // The machine's own: registry, stand-in node, name service of the system if there is one.
    let others = [53, 5000, 5353, 5355, 8080, 8332, 4224, 50001];
    let ours: Vec<u16> = ports.into_iter().filter(|port| !others.contains(port)).collect();
    assert_eq!(ours, [18081, 18082, 18083], "{listening}");
    // lnd's page has a separate IPv4 network.
    for port in [18081, 18082] {
        assert!(listening.contains(&format!("[::]:{port} ")), "{listening}");
    }
}

#[test]
fn another_user_gets_only_the_page_and_read_only_answers() {
    installed();
    for one in ALL {
        let page = format!("http://127.0.0.1:{}/", one.port);
        assert_eq!(asked(&[&page]), (Some(0), "200".to_owned()));
        assert_eq!(asked(&["--header", "Host: attacker.example", &page]).1, "421", "{}", one.name);
        assert_eq!(asked(&["--request", "POST", "--data", "x", &page]).1, "405", "{}", one.name);
    }
    let call = format!("http://127.0.0.1:{}/api/", BITCOIN.port);
    let own = ["--header", "X-Requested-With: companion"];
    let get = |headers: &[&str], method: &str| {
        asked(&[headers, &[&format!("{call}{method}")]].concat()).1
    };
    assert_eq!(get(&own, "uptime"), "200");
    let before = fs::read(ASKED).unwrap();
    assert_eq!(get(&[], "uptime"), "403");
    for header in ["Origin: http://attacker.example", "Sec-Fetch-Site: cross-site"] {
        assert_eq!(get(&[own[0], own[1], "--header", header], "uptime"), "403", "{header}");
    }
    assert_eq!(get(&[own[0], own[1], "--header", "Host: attacker.example"], "uptime"), "421");
    for method in
        ["stop", "dumpprivkey", "sendtoaddress", "listwallets", "getblockchaininfo/../stop"]
    {
        assert!(["400", "404"].contains(&get(&own, method).as_str()), "{method}");
    }
    assert!(fs::read(ASKED).unwrap() == before, "the node was asked");
    // No answer contains the credentials, whatever the request.
    let words = mallory(
        &["curl", "--silent", "--include", "--header", own[1], &format!("{call}uptime")],
        "",
    )
    .words();
    assert!(!words.to_lowercase().contains("authorization") && !words.contains("usual"), "{words}");
}

/// The pages are open to the network by design, and show only a status: by address, not by a name that may have been
/// rebound.
#[test]
fn pages_answer_other_networks_by_address_only() {
    installed();
    // Both ends of the pair are removed with the other network, and that with the script.
    let script = r#"
        ip link add near type veth peer name far netns 1
        nsenter --target=1 --net sh -ec 'ip address add 192.0.2.10/24 dev far; ip link set far up'
        ip address add 192.0.2.20/24 dev near
        ip link set near up
        for page in "$@"; do
            for name in "$page" attacker.example; do
                curl --silent --max-time 5 --retry 3 --retry-connrefused --output /dev/null \
                    --write-out '%{http_code} ' --header "Host: $name" "http://$page/"
            done
            curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}\n' \
                --request POST --data x "http://$page/"
        done
    "#;
    let pages = ALL.map(|one| format!("192.0.2.10:{}", one.port));
    let mut words = vec!["unshare", "--net", "sh", "-ec", script, "sh"];
    words.extend(pages.iter().map(String::as_str));
    assert_eq!(root(&words).good(), ["200 421 405"; 3].join("\n"));
}

#[test]
fn another_user_cannot_access_bus_state_or_image_store() {
    installed();
    for socket in ["/run/user/1000/bus", "/run/user/1000/systemd/private"] {
        let ask = ["curl", "--silent", "--max-time", "5", "--unix-socket", socket, "http://d/"];
        // 7: it could not connect. Other exit statuses are failures of reachable ports.
        assert_ne!(archy(&ask).status, Some(7), "{socket} is there");
        mallory(&ask, "").exits(7);
    }
    for file in [
        "/home/archy/.local/state/companion/desired.json",
        "/home/archy/.local/state/companion/host-key",
        "/home/archy/.local/share/containers/storage/overlay-images/images.json",
    ] {
        root(&["test", "-s", file]).good();
        assert_ne!(mallory(&["cat", file], "").status, Some(0), "{file}");
    }
    let kill =
        mallory(&["sh", "-c", "pkill -x nginx; pkill -x companion; kill -9 -- -1; true"], "");
    drop(kill);
    assert!(ALL.into_iter().all(|one| one.is_up()));
}
