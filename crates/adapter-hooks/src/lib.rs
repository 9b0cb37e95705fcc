//! HookRunner for template, command and closure hooks.
