//! Images: their source, and their state on the host.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::companion::InvalidValue;
use super::container::{AbsolutePath, HostName};
use super::revision::Fingerprint;
use super::text::{as_text, validated_text};

validated_text! {
    /// A registry reference `[host[:port]/]path[:tag][@sha256:…]`, fully qualified.
    ///
    /// Fully qualified means that the first component names a registry (it holds a `.` or a `:`, or is
    /// `localhost`): a short name would be resolved by the host's configuration, and differently on the
    /// next one. Transports (`docker-archive:`, `dir:` …), options and Quadlet's references to other
    /// units (`x.build`, `x.image`) do not fit the grammar.
    ImageRef, "image", "must be a full reference such as `registry.example:5000/team/name:tag`",
    is_full_reference
}

impl ImageRef {
    /// Returns the registry, with its port if it has one.
    pub fn registry(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

/// The transports of containers-transports(5): before a colon, as in `dir:5000/x`, Podman reads one and no host.
const TRANSPORTS: &str = "atomic containers-storage dir docker docker-archive docker-daemon oci \
     oci-archive ostree sif tarball";

fn is_full_reference(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let Some((registry, path_and_tag)) = rest.split_once('/') else {
        return false;
    };
    let (path, tag) = match path_and_tag.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path_and_tag, None),
    };
    text.len() <= 512
        && registry.len() + 1 + path.len() <= 255
        && is_registry(registry)
        && path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
        // Quadlet treats these suffixes as references to its own units.
        && ![".build", ".image"].iter().any(|suffix| text.ends_with(suffix))
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let named = host == "localhost" || host.contains('.') || port.is_some();
    let transport = port.is_some() && TRANSPORTS.split(' ').any(|known| known == host);
    let port =
        port.is_none_or(|port| port.parse::<u16>().is_ok_and(|n| n.to_string() == port && n > 0));
    named && !transport && HostName::new(host).is_ok() && port
}

/// Returns whether `text` is a path component of the OCI distribution specification: `[a-z0-9]+` joined by `.`,
/// `_`, `__` or hyphens.
fn is_path_component(component: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = component.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b))
        && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"]
            .iter()
            .any(|pair| component.contains(pair))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !tag.starts_with(['.', '-'])
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(is_sha256_hex)
}

fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The id of an image on this host: the SHA-256 of its configuration, 64 hexadecimal digits.
///
/// Two builds of different contents have different ids; a tag moves, an id never does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

impl ImageId {
    /// Validates `text`, with or without a leading `sha256:`.
    ///
    /// # Errors
    /// [`InvalidValue`] when it is not 64 lower-case hexadecimal digits.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if is_sha256_hex(hex) {
            return Ok(Self(hex.to_owned()));
        }
        Err(InvalidValue::new("image id", text, "must be 64 lower-case hexadecimal digits"))
    }

    /// Returns the id as 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the image's part of a revision.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

as_text!(ImageId);

/// Where an image comes from: built from a directory if there is one, else pulled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
pub struct ImageSource {
    /// Built from the first of the contexts that holds a `Dockerfile` or `Containerfile`.
    pub build: Option<BuildSource>,
    /// Pulled when there is no context, or when the first build failed.
    pub pull: Option<PullSource>,
}

impl ImageSource {
    /// Returns the reference that identifies the source: that of its build, or else of its pull.
    pub fn reference(&self) -> Option<&ImageRef> {
        let built = self.build.as_ref().map(|build| &build.reference);
        built.or(self.pull.as_ref().map(|pull| &pull.reference))
    }
}

/// An image that is built on this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct BuildSource {
    /// The name the result gets; its registry is `localhost`.
    pub reference: ImageRef,
    /// Candidate directories, in order; the first that holds a Dockerfile wins.
    pub contexts: Vec<AbsolutePath>,
    /// Build arguments; a value may be a secret, so they are not serialized.
    #[serde(skip)]
    pub arguments: BTreeMap<String, String>,
}

/// An image that is fetched from a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct PullSource {
    /// What is fetched.
    pub reference: ImageRef,
    /// Whether the registry's certificate is verified; only an allow-list switches it off.
    pub verify_tls: bool,
}

/// The provenance of an image, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// Built on this host, from a context with this digest.
    Built {
        /// The digest of its build context.
        context: Fingerprint,
    },
    /// Has a registry's name: pulled by companion or by the operator.
    External,
    /// Has the name of a build, but was not made by companion for it, whatever its labels say. It is never current.
    Unmanaged,
}

/// The state of an [`ImageSource`] on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageState {
    /// The digest of the source's build context, if it exists on the host.
    pub context: Option<Fingerprint>,
    /// The present image that the companion would be started from.
    pub present: Option<PresentImage>,
    /// Whether the engine refuses the image of that reference as damaged; it is not present then.
    pub damaged: bool,
    /// Dangling images: managed, replaced by a newer build, and not used by a container.
    pub dangling: Vec<ImageId>,
}

/// An image on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PresentImage {
    /// The reference it was found by.
    pub reference: ImageRef,
    /// Its id.
    pub id: ImageId,
    /// Its provenance.
    pub provenance: Provenance,
}

impl PresentImage {
    /// Returns the image's part of a revision.
    pub fn fingerprint(&self) -> Fingerprint {
        self.id.fingerprint()
    }
}

impl ImageState {
    /// Returns whether the present image matches the source.
    ///
    /// With a context it must have been built from that context; without one, any managed or pulled image with the
    /// source's reference matches, because an image is pulled only once.
    pub fn is_current(&self) -> bool {
        match (&self.present, self.context) {
            (None, _) => false,
            (Some(image), None) => image.provenance != Provenance::Unmanaged,
            (Some(image), Some(context)) => image.provenance == Provenance::Built { context },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fully_qualified_references_are_accepted() {
        let digest = "a".repeat(64);
        for text in [
            "localhost/bitcoin-ui:latest",
            "146.59.87.168:3000/lfg2025/bitcoin-ui:latest",
            "registry.example/a/b__c/d-e.f",
            "localhost/a---b",
            &format!("localhost/x:{}", "y".repeat(128)),
            &format!("localhost/{}", "x".repeat(245)),
            &format!("registry.example:5000/a:b@sha256:{digest}"),
        ] {
            assert_eq!(ImageRef::new(text).unwrap().as_str(), text);
        }
        assert_eq!(ImageRef::new("127.0.0.1:5000/x").unwrap().registry(), "127.0.0.1:5000");
    }

    #[test]
    fn incomplete_references_are_refused() {
        let names = "nginx library/nginx --privileged localhost/ localhost/-x localhost/A localhost/../x -x.y/z \
             localhost//x localhost/x/ localhost/.x localhost/x- localhost/a..b localhost/a___b localhost/a._b \
             localhost/a-.b localhost/a_-b localhost/x.build localhost/x.image localhost:0/x localhost:99999/x";
        let transports = "docker-archive:/tmp/x.tar docker://localhost/x dir:/x oci:/x:y dir:5000/x docker-archive:80/x";
        let tags =
            "localhost/a:.x localhost/x:y:z localhost/x: localhost/x:-y localhost/a@sha256:12";
        let words = [names, transports, tags].into_iter().flat_map(|words| words.split(' '));
        let others = [
            "",
            "localhost/a b",
            "localhost/a\n",
            &format!("localhost/x:{}", "y".repeat(129)),
            &format!("localhost/{}", "x".repeat(246)),
            &format!("localhost/x@sha256:{}", "a".repeat(63)),
            &format!("localhost/x@sha256:{}", "a".repeat(65)),
            &format!("localhost/x@sha256:{}", "A".repeat(64)),
            &format!("localhost/x@sha512:{}", "a".repeat(128)),
        ];
        for text in words.chain(others) {
            assert!(ImageRef::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn image_of_another_context_is_not_current() {
        let context = Fingerprint::of(b"new");
        let provenance = Provenance::Built { context: Fingerprint::of(b"old") };
        let reference = ImageRef::new("localhost/x:latest").unwrap();
        let id = ImageId::new(&"0".repeat(64)).unwrap();
        let present = Some(PresentImage { reference, id, provenance });
        let mut state =
            ImageState { context: Some(context), present, damaged: false, dangling: vec![] };
        assert!(!state.is_current());
        state.context = None;
        assert!(state.is_current(), "it stays current without a context");
        state.present.as_mut().unwrap().provenance = Provenance::Unmanaged;
        assert!(!state.is_current(), "nobody here built it");
    }

    #[test]
    fn image_fingerprint_depends_only_on_its_id() {
        let image = |id: &str, name: &str| PresentImage {
            reference: ImageRef::new(name).unwrap(),
            id: ImageId::new(&id.repeat(64)).unwrap(),
            provenance: Provenance::External,
        };
        let one = image("1", "localhost/x:latest").fingerprint();
        assert_ne!(image("2", "localhost/x:latest").fingerprint(), one);
        assert_eq!(image("1", "localhost/y:latest").fingerprint(), one);
        let built = Provenance::Built { context: Fingerprint::of(b"context") };
        let built = PresentImage { provenance: built, ..image("1", "localhost/x:latest") };
        assert_eq!(built.fingerprint(), one, "a build with the same result restarts nothing");
    }
}
