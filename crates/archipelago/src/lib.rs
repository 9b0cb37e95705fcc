//! Archipelago's companions: catalog, hooks, backend manifests, and the calls a host program makes.
