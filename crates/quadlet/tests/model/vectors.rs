//! Texts for every field.

/// Texts that have broken a renderer of unit files, or could.
pub(crate) fn vectors() -> Vec<String> {
    let short = [
        "nginx", "a.target", "CHOWN", "NET_RAW", "rpc_user", "size=10%", "noexec", "X-y", "", " ",
        "a b", " lead", "trail ", "a\"b", "a'b", "\"a\"", "\"", "'", "it's", "a\\b", "C:\\dir",
        "\\", "a\\", "a\\\\", "a\\ ", "\\n", "\\x41", "a\nb", "a\rb", "a\r\nb", "a\tb", "a\u{b}b",
        "a\u{7f}", "a\0b", "a\u{80}b", "a\u{85}b", "a\u{a0}b", "a\u{a0}", "#c", ";c", ":c", "=x",
        "a=b=c", "%", "%%", "%n", "%Z", "100%", "$", "$$", "$HOME", "${HOME}", "$(id)", ";", ";;",
        "a;b", "\\;", "-v", "-", "--", "Upper", "x.build", "x.image", "x.volume", "x.pod", "dir:x",
        "oci:x", ".", "./x", "../x", "/a/../b", "a:b:c:d", "/a:b", "/a,b:c", "/a\"b", "/a b",
        "/a\n", "/a:", "/", "a@b", "-a", ".a", "a/b", "..", "a\\x2db", "[\"a\"]", "[", "host",
        "pasta", "A_B", "9A", "null", "''", "a  b", "a\t", "\\x00", "\\u0041", "\\101", "x=\"y\"",
        "0",
    ];
    let long = [
        "/é\u{a0}",
        "archy-lnd-ui",
        "registry.example:5000/a/b:1.2",
        "b-c.socket",
        "d@e.service",
        "CAP_SYS_ADMIN",
        "/dev/null",
        "/var/lib/my app/x",
        "/srv/100%/$x",
        "/with'quote",
        "daemon off;",
        "--umask=0022",
        "--tz=local",
        "--annotation=a=b c",
        "--cpus=1.5",
        "--hostuser=%U$",
        "\u{1b}[0m",
        "a\u{2028}b",
        "\u{2028}a",
        "x\n[Service]\nExecStartPre=/bin/touch /tmp/p",
        "x\nImage=evil",
        "[Service]",
        "--privileged",
        "--privileged=true",
        "é😀e\u{301}\u{202e}x",
        "\u{feff}a",
        "localhost/a:b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "x.network",
        "x.container",
        "x.artifact",
        "docker-archive:/tmp/x",
        "docker://x",
        "/a%n$HOME\\b",
        "/x.volume",
        "[::1]:80:80",
        "a.container",
        "{\"a\":1}",
        "a.service",
        "network-online.target",
        "a@b.service",
        "\"\" \"\"",
        "4294967296",
        "%t/%N.cid",
    ];
    let mut all: Vec<_> = short.into_iter().chain(long).map(str::to_owned).collect();
    all.push("n".repeat(256));
    all
}

/// Texts that exceed the limits of an argument or line.
pub(crate) fn oversized() -> [String; 3] {
    ["x".repeat(128 * 1024), " ".repeat(300 * 1024), "é".repeat(600 * 1024)]
}
