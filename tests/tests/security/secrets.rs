//! What may hold a secret cannot be printed or serialised: where `Debug` is there, it shows no byte; the rest is not there to be
//! called at all.

use std::fmt::{Debug, Display, LowerHex};
use std::marker::PhantomData;

use adapter_hooks::template::Value;
use adapter_hooks::{FileHooks, HostKey};
use companion_core::model::hook::Rendered;
use durable_dir::FileContents;
use serde_json::Value as Json;

/// Whether a type has a trait: an associated constant of the type itself comes before that of the trait.
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
            assert!(!Has::<$type>::DISPLAY, "{name} can be displayed");
            assert!(!Has::<$type>::HEX, "{name} can be displayed in hexadecimal");
            assert!(!Has::<$type>::SERIALIZE, "{name} can be serialised");
            assert!(!Has::<$type>::DESERIALIZE, "{name} can be read from a file");
            assert!(!Has::<$type>::AS_REF_STR, "{name} passes for a text");
        )+
    };
}

#[test]
fn what_may_hold_a_secret_has_no_display_and_no_serialize() {
    const {
        assert!(Has::<String>::DISPLAY && Has::<String>::SERIALIZE && Has::<String>::AS_REF_STR);
        assert!(Has::<Json>::DEBUG && Has::<Json>::DESERIALIZE && Has::<u8>::HEX);
        assert!(!Has::<Has<u8>>::DEBUG);
    }
    opaque!(Rendered, HostKey, Value, FileContents, FileHooks);
}

#[test]
fn debug_of_what_may_hold_a_secret_shows_none_of_it() {
    let secret = "correct-horse-of-the-battery";
    let key = HostKey::from_bytes([0x61; 32]);
    let mut hooks = FileHooks::new(key.clone());
    let name = companion_core::model::hook::HookName::new("own").unwrap();
    let held = secret.to_owned();
    let hook = move || {
        let rendered = Rendered::new(held.clone().into_bytes());
        Ok::<_, adapter_hooks::HookError>(adapter_hooks::Readiness::Ready(rendered))
    };
    hooks.register(name, hook).unwrap();
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
