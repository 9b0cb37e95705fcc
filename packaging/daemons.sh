# Runs a command of systemctl in the systemd of root, and in that of each user that runs. Companions are services of
# their own, which no command of a package names. A daemon that fails is reported by `companion doctor`, and fails
# no installation.
each_systemd() {
    test -d /run/systemd/system || return 0
    timeout 450 systemctl "$@" || true
    for manager in $(systemctl list-units --plain --no-legend --state=active 'user@*.service' | cut -d ' ' -f 1); do
        uid=${manager#user@}
        timeout 450 systemctl --user --machine="${uid%.service}@.host" "$@" || true
    done
}
