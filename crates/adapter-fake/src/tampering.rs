//! Tampering with a [`FakeHost`].

use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookName;
use companion_core::model::image::ImageRef;

use crate::host::FakeHost;
use crate::world::files::RenderOutcome;
use crate::world::images::{BuildOutcome, Reach};
use crate::world::units::UnitBytes;

/// Declares methods that call the world's methods of the same name.
macro_rules! done_to_the_world {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        impl FakeHost {
            $(
                #[doc = concat!("[`World::", stringify!($name), "`](crate::World::", stringify!($name), ").")]
                pub fn $name(&self, $($argument: $kind),*) {
                    self.tamper(|world, _| world.$name($($argument),*));
                }
            )*
        }
    };
}

/// As above, for methods that take the current time.
macro_rules! done_to_the_world_now {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        impl FakeHost {
            $(
                #[doc = concat!("[`World::", stringify!($name), "`](crate::World::", stringify!($name), "), now.")]
                pub fn $name(&self, $($argument: $kind),*) {
                    self.tamper(|world, now| world.$name($($argument,)* now));
                }
            )*
        }
    };
}

done_to_the_world! {
    edit_unit(name: &CompanionName);
    spoil_unit(name: &CompanionName);
    expose_unit(name: &CompanionName);
    change_renderer();
    delete_unit(name: &CompanionName);
    put_unit(name: &CompanionName, bytes: UnitBytes);
    refuse_unit(name: &CompanionName, refused: bool);
    mask(name: &CompanionName);
    unmask(name: &CompanionName);
    add_drop_in_of_file(name: &CompanionName);
    add_drop_in_of_service(name: &CompanionName);
    say_at_end(name: &CompanionName, lines: &str);
    put_input(path: &AbsolutePath, contents: &str);
    break_hook(path: &AbsolutePath, outcome: Option<RenderOutcome>);
    register_hook(name: &HookName, contents: &str);
    put_file(path: &AbsolutePath);
    rotate_credentials();
    remove_input(path: &AbsolutePath);
    delete_config(path: &AbsolutePath);
    unlink_config(path: &AbsolutePath);
    put_file_at_config(path: &AbsolutePath);
    edit_config(path: &AbsolutePath);
    expose_config(path: &AbsolutePath, mode: u16);
    put_directory_at_config(path: &AbsolutePath);
    put_context(path: &AbsolutePath, contents: &str);
    change_context(path: &AbsolutePath);
    break_build(path: &AbsolutePath, outcome: BuildOutcome);
    remove_context(path: &AbsolutePath);
    remove_image(reference: &ImageRef);
    damage_image(reference: &ImageRef);
    replace_archive(source: &ImageRef);
    put_image(reference: &ImageRef, contents: &str);
    leave_image(contents: &str);
    publish(reference: &ImageRef, contents: &str);
    set_registry(registry: &str, reach: Reach);
    registry_down(registry: &str);
    registry_up(registry: &str);
    lose_record();
    removal_finished(name: &CompanionName);
}

done_to_the_world_now! {
    shadow(name: &CompanionName);
    unshadow(name: &CompanionName);
    reload_by_others();
    kill_container(name: &CompanionName);
    remove_container(name: &CompanionName);
    pause_container(name: &CompanionName);
    unpause_container(name: &CompanionName);
    put_unmanaged_container(name: &CompanionName);
    take_container(name: &CompanionName);
    run_container(name: &CompanionName);
    leave_container(name: &CompanionName);
    stop_service(name: &CompanionName);
    cancel_job(name: &CompanionName);
    crash_loop(name: &CompanionName, crashes: bool);
    reboot();
    power_loss();
    power_loss_leaving(outcome: u64);
    user_logout();
    user_login();
}
