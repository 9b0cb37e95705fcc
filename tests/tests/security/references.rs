//! Image references: only registries, never a transport, an option or a path.

use archipelago_companions::manifest::{BackendManifest, Format};
use companion_core::model::container::NetworkName;
use companion_core::model::image::ImageRef;

use crate::companions_of;

/// Every transport of containers-image (containers-transports(5)), and other inputs that podman accepts for an image.
const TRANSPORTS: &str = "docker:// docker-archive: docker-daemon: dir: oci: oci-archive: containers-storage: ostree: sif: \
     tarball: atomic: ssh:// http:// https:// file:// git://";

fn references() -> Vec<String> {
    let places = "/etc/shadow / x 5000/x localhost/x:latest registry.example/x //h/x.tar [a]x @x ";
    let transported = TRANSPORTS
        .split(' ')
        .flat_map(|transport| places.split(' ').map(move |place| format!("{transport}{place}")));
    let options = "- -- --privileged -v=/:/host --volume=/:/host -x.example/y --root=/tmp/x localhost/--privileged localhost/-v";
    let paths = "localhost/../x localhost/x/.. ../x ./x /x ~/x x nginx library/nginx x=y localhost/x=y localhost/x?y";
    let text = "localhost/x#y localhost/$HOME localhost/%h localhost/`id` LOCALHOST/x localhost/é localhоst/x";
    let digests = "localhost/x@md5:00 localhost/x@sha256:00 localhost/x@sha256:0123@sha256:4567";
    let units = "localhost/x.build localhost/x.image";
    let registries = "user@host/x user:password@registry.example/x registry.example:0/x registry.example:65536/x \
         registry.example:+80/x registry.example:080/x [::1]:5000/x registry..example/x .example/x \
         registry.example./x -registry.example/x registry_x.example/x";
    let words = [options, paths, text, digests, units, registries].map(|words| words.split(' '));
    let blanks = ["localhost/x --privileged", "localhost/x\n--privileged", "localhost/x\0"];
    let other = words.into_iter().flatten().chain(blanks);
    transported.chain(other.map(str::to_owned)).collect()
}

#[test]
fn transports_options_and_paths_are_refused_as_image_references() {
    let all = references();
    assert!(all.len() > 180, "{}", all.len());
    for text in all {
        assert!(ImageRef::new(text.as_str()).is_err(), "{text:?}");
    }
}

#[test]
fn invalid_reference_is_refused_in_every_catalog_field() {
    for text in references() {
        let value = crate::toml_string(&text);
        let entry = |image: &str| {
            format!("[[companion]]\nname = \"x\"\napps = [\"a\"]\nimage = {{ {image} }}\n")
        };
        let repository = format!("[node]\nimage_repository = {value}\n");
        let registry = format!("[node]\ninsecure_registries = [{value}]\n");
        let places = [entry(&format!("pull = {value}")), repository, registry];
        // A path below a registry is a repository, although it names no image.
        let paths = ["x", "nginx", "library/nginx", "localhost/x.build", "localhost/x.image"];
        let is_path = paths.contains(&text.as_str());
        for (index, place) in places.iter().enumerate() {
            assert!(companions_of(place).is_err() || (is_path && index > 0), "{place}");
        }
        let manifest = format!("[app]\nid = \"x\"\n[app.container]\nimage = {value}\n");
        let manifest = BackendManifest::parse(&manifest, Format::Toml, "manifest.toml");
        assert!(manifest.is_err(), "{text:?}");
    }
}

#[test]
fn container_and_host_network_modes_are_refused() {
    let modes = "default host bridge none private container ns pasta slirp4netns container:x ns:/proc/1/ns/net pasta:--map-gw slirp4netns:x -x ";
    for name in modes.split(' ') {
        assert!(NetworkName::new(name).is_err(), "{name:?}");
    }
}

#[test]
fn certificates_are_verified_except_for_allow_listed_registries() {
    let verified = |registry: &str| {
        let text = format!(
            "[node]\ninsecure_registries = [\"{}\"]\n[[companion]]\nname = \"x\"\napps = [\"a\"]\nimage = {{ pull = \"{registry}/x:1\" }}\n",
            archipelago_companions::ARCHIPELAGO_REGISTRY
        );
        companions_of(&text).unwrap()[0].image.pull.clone().unwrap().verify_tls
    };
    let listed = archipelago_companions::ARCHIPELAGO_REGISTRY;
    assert!(!verified(listed));
    let (host, _port) = listed.split_once(':').unwrap();
    for near in
        [host, &format!("{host}:3001"), &format!("x.{listed}"), &format!("{host}.example:3000")]
    {
        assert!(verified(near), "{near}");
    }
}
