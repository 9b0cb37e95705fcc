//! Secret types cannot be printed or serialized: their `Debug` output is redacted, and the other traits are not
//! implemented.

use std::fmt::{Debug, Display, LowerHex};
use std::marker::PhantomData;

use adapter_hooks::template::Value;
use adapter_hooks::{FileHooks, HostKey};
use companion_core::model::hook::Rendered;
use durable_dir::FileContents;
use serde_json::Value as Json;

/// Whether a type implements a trait: an inherent associated constant takes precedence over that of the trait.
struct Has<T: ?Sized>(PhantomData<T>);

macro_rules! probe {
    ($absent:ident, $name:ident: $($bound:tt)+) => {
        trait $absent {
            const $name: bool = false;
        }
        impl<T: ?Sized> $absent for Has<T> {}
        impl<T: ?Sized + $($bound)+> Has<T> {
            const $name: bool = true;
        }
    };
}

probe!(NoDisplay, DISPLAY: Display);
probe!(NoDebug, DEBUG: Debug);
probe!(NoHex, HEX: LowerHex);
probe!(NoSerialize, SERIALIZE: serde::Serialize);
probe!(NoDeserialize, DESERIALIZE: for<'de> serde::Deserialize<'de>);
probe!(NoAsRef, AS_REF_STR: AsRef<str>);

macro_rules! opaque {
    ($($type:ty),+) => {
        $(
            let name = stringify!($type);
            assert!(!Has::<$type>::DISPLAY, "{name} implements `Display`");
            assert!(!Has::<$type>::HEX, "{name} implements `LowerHex`");
            assert!(!Has::<$type>::SERIALIZE, "{name} implements `Serialize`");
            assert!(!Has::<$type>::DESERIALIZE, "{name} implements `Deserialize`");
            assert!(!Has::<$type>::AS_REF_STR, "{name} implements `AsRef<str>`");
        )+
    };
}

#[test]
fn secret_types_implement_neither_display_nor_serialize() {
    const {
        assert!(Has::<String>::DISPLAY && Has::<String>::SERIALIZE && Has::<String>::AS_REF_STR);
        assert!(Has::<Json>::DEBUG && Has::<Json>::DESERIALIZE && Has::<u8>::HEX);
        assert!(!Has::<Has<u8>>::DEBUG);
    }
    opaque!(Rendered, HostKey, Value, FileContents, FileHooks);
}

#[test]
fn debug_output_of_secret_types_is_redacted() {
    let secret = "correct-horse-of-the-battery";
    let key = HostKey::from_bytes([0x61; 32]);
    let mut hooks = FileHooks::new(key.clone());
    let name = companion_core::model::hook::HookName::new("own").unwrap();
    let held = secret.to_owned();
    let hook = move || {
        let rendered = Rendered::new(held.clone().into_bytes());
        Ok::<_, adapter_hooks::HookError>(rendered)
    };
    hooks.register(name, std::sync::Arc::new(hook)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("secret");
    std::fs::write(&file, secret).unwrap();
    let contents = durable_dir::read_file(&file, 100, durable_dir::Trust::Owned).unwrap().unwrap();
    let shown = [
        format!("{:?}", Rendered::new(secret.into())),
        format!("{:#?}", Value::Text(secret.to_owned())),
        format!("{:?}", Value::Texts(vec![secret.to_owned()])),
        format!("{key:?} {key:#?}"),
        format!("{hooks:?} {hooks:#?}"),
        format!("{contents:?} {contents:#?}"),
    ];
    for text in shown {
        let forms = [secret, "horse", "99, 111, 114", "97, 97", "0x61", "6161", "aaaa"];
        assert!(forms.iter().all(|form| !text.contains(form)), "{text}");
    }
}
