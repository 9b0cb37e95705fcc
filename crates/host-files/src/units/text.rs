//! The text of a unit and its digest, which the unit names as the rendering of its revision. Pure.
//!
//! The digest covers the whole text except the revision, so that the revision can contain it. It detects edits since
//! the file was written, whichever release or host it was written for. It is not a protection: anyone who can edit the
//! file can compute it.

use companion_core::model::revision::{Fingerprint, Revision};

/// A rendered unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedUnit {
    /// The revision of the unit, with the rendering of the text.
    pub revision: Revision,
    /// The text, which contains that revision.
    pub text: String,
}

impl RenderedUnit {
    /// Adds the rendering to `text`, which names `revision` wherever the unit names its revision; ignores the rendering
    /// that `revision` names.
    pub fn new(text: &str, revision: &Revision) -> Self {
        let rendered = revision.with_rendering(Some(digest(text, revision)));
        Self {
            revision: rendered,
            text: text.replace(&revision.to_string(), &rendered.to_string()),
        }
    }
}

/// Returns whether the file with `revision` and `bytes` is unedited as far as known.
///
/// A release that recorded no rendering wrote files without this information.
pub(super) fn is_as_written(bytes: &[u8], revision: &Revision) -> bool {
    let Some(rendering) = revision.rendering else { return true };
    std::str::from_utf8(bytes).is_ok_and(|text| digest(text, revision) == rendering)
}

fn digest(text: &str, revision: &Revision) -> Fingerprint {
    Fingerprint::of(text.replace(&revision.to_string(), "").as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";

    fn rendered() -> RenderedUnit {
        let text = format!("revision={REVISION}\nimage=x\nlabel={REVISION}\n");
        RenderedUnit::new(&text, &REVISION.parse().unwrap())
    }

    #[test]
    fn the_text_names_its_rendering_wherever_it_names_its_revision() {
        let RenderedUnit { revision, text } = rendered();
        assert_eq!(revision.with_rendering(None), REVISION.parse().unwrap());
        assert_eq!(text.matches(&revision.to_string()).count(), 2, "{text}");
        assert!(!text.contains(REVISION), "{text}");
        assert!(is_as_written(text.as_bytes(), &revision));
    }

    #[test]
    fn of_a_file_without_a_rendering_nothing_is_known() {
        assert!(is_as_written(b"edited", &REVISION.parse().unwrap()));
    }

    proptest! {
        #[test]
        fn whichever_byte_was_edited_it_is_noticed(at: prop::sample::Index, byte: u8) {
            let RenderedUnit { revision, text } = rendered();
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            prop_assert!(!is_as_written(&bytes, &revision));
        }
    }
}
