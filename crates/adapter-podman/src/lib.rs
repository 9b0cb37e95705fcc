//! ImageProvider and container facts on the podman command.
