//! The file names that a hook uses in its output's directory. Pure.

use companion_core::model::hook::ConfigId;

use crate::error::HookError;

/// Maximum size of an output's name in bytes. The longest derived name, that of a rendered file with the longest epoch,
/// has 28 bytes more, and `durable_dir` accepts 240.
const MAX: usize = 200;

/// The name of an output, and the names derived from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputName<'a>(&'a str);

impl<'a> OutputName<'a> {
    /// Rejects a name that is too long, or that another output could derive.
    pub(crate) fn new(name: &'a str) -> Result<Self, HookError> {
        let why = if name.len() > MAX {
            format!("a name of more than {MAX} bytes")
        } else if is_reserved(name) {
            "the name of a rendered file, a stamp or a temporary file".to_owned()
        } else {
            return Ok(Self(name));
        };
        Err(HookError::invalid(format!("`output` of the hook must not have {why}")))
    }

    pub(crate) fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the name of the rendered file `id`: the last component of [`ConfigId::path`].
    pub(crate) fn file(self, id: ConfigId) -> String {
        format!("{}.{id}", self.0)
    }

    /// Returns the ID of the rendered file with this name.
    pub(crate) fn id_of(self, name: &str) -> Option<ConfigId> {
        name.strip_prefix(self.0)?.strip_prefix('.')?.parse().ok()
    }

    /// Returns the name of the stamp.
    pub(crate) fn stamp(self) -> String {
        format!(".{}.stamp", self.0)
    }

    /// Returns whether this is the name of the output, one of its rendered files or its stamp.
    pub(crate) fn makes(self, name: &str) -> bool {
        name == self.0 || name == self.stamp() || self.id_of(name).is_some()
    }
}

/// Returns whether `name` could be another output's rendered file, stamp or temporary file.
fn is_reserved(name: &str) -> bool {
    let mut ends = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
    let is_file = ends.any(|end| end.parse::<ConfigId>().is_ok());
    let is_hidden = name.starts_with('.');
    is_file || (is_hidden && (name.ends_with(".stamp") || name.ends_with(".tmp")))
}

#[cfg(test)]
mod tests {
    use companion_core::model::container::AbsolutePath;
    use companion_core::model::revision::Fingerprint;

    use super::*;

    fn ids() -> [ConfigId; 3] {
        [0, 1, u32::MAX].map(|epoch| ConfigId { digest: Fingerprint::of(b"x"), epoch })
    }

    #[test]
    fn a_rendered_files_name_and_path_follow_the_model() {
        for output in ["nginx.conf", "a", "ü", "0123456789abcdef", ".hidden"] {
            let path = AbsolutePath::new(format!("/ui/{output}")).unwrap();
            let output = OutputName::new(output).unwrap();
            for id in ids() {
                let name = output.file(id);
                assert_eq!(output.id_of(&name), Some(id));
                assert_eq!(id.path(&path).as_str(), format!("/ui/{name}"));
                assert!(output.makes(&name));
            }
        }
    }

    #[test]
    fn other_names_are_not_taken_for_those_of_rendered_files() {
        let output = OutputName::new("nginx.conf").unwrap();
        for name in [
            "nginx.conf",
            "nginx.conf.",
            "nginx.conf.other",
            "nginx.conf.0123456789abcde",
            "nginx.conf.0123456789ABCDEF",
            "nginx.conf.0123456789abcdef.",
            "nginx.conf.0123456789abcdef.0",
            "nginx.conf.0123456789abcdef.01",
            "nginx.conf.0123456789abcdef.4294967296",
            "nginx.conf.0123456789abcdef.1.2",
            "nginx.conf.other.0123456789abcdef",
            "nginx.conf0123456789abcdef",
            "other.0123456789abcdef",
        ] {
            assert_eq!(output.id_of(name), None, "{name}");
        }
    }

    #[test]
    fn an_output_makes_its_own_names_only() {
        let output = OutputName::new("nginx.conf").unwrap();
        assert!(output.makes("nginx.conf") && output.makes(".nginx.conf.stamp"));
        for name in
            ["nginx", ".conf.stamp", "nginx.conf.stamp", ".nginx.conf.0123456789abcdef.stamp"]
        {
            assert!(!output.makes(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_another_output_makes_is_refused() {
        let output = OutputName::new("nginx.conf").unwrap();
        for id in ids() {
            assert!(OutputName::new(&output.file(id)).is_err());
        }
        for name in [&output.stamp(), ".nginx.conf.abcdefgh.tmp", "x.y.0123456789abcdef.7"] {
            assert!(OutputName::new(name).is_err(), "{name}");
        }
        for name in ["nginx.stamp", "nginx.tmp", ".nginx", "x.0123456789abcdef.conf"] {
            assert!(OutputName::new(name).is_ok(), "{name}");
        }
    }
}
