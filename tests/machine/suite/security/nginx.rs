//! Values in a configuration, read by nginx itself: each is returned unchanged, and none is parsed as configuration.

use std::fs;
use std::process::{Child, Command};

use adapter_hooks::template::{Value, Values, render};

use crate::guest::{log_value, until};
use crate::http;

const PORT: u16 = 18999;
const PLACE: &str = "/var/tmp/nginx-values";

const TEMPLATE: &str = "daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
    access_log off;
    default_type text/plain;
    server {
        listen 127.0.0.1:{{ port }};
        {%- for value in values %}
        location = /{{ loop.index0 }} { return 200 {{ value | nginx_quote }}; }
        {%- endfor %}
        location / { return 404 harmless; }
    }
}
";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Every printable byte, alone and between others, and texts that would end the string, the block or the file.
fn values() -> Vec<String> {
    let bytes = (0x20..=0x7e_u8).map(char::from).filter(|c| *c != '$');
    let texts = [
        "\"; } location = /owned { return 200 owned; } #",
        "'; } server { listen 127.0.0.1:18998; #",
        "\\\"; return 200 owned; \\",
        "\\\\\"; include /etc/passwd; \"",
        "{{ 7 * 7 }}{% if x %}",
        "a\\nb\\tc\\rd",
        "é\u{2028}\u{202e}\u{feff}",
        "; # \\",
        "\\",
        "\\\\",
    ];
    let alone = bytes.clone().map(String::from);
    let between = bytes.map(|c| format!("a{c}b{c}"));
    alone.chain(between).chain(texts.map(str::to_owned)).collect()
}

#[test]
fn nginx_returns_every_printable_byte_unchanged() {
    let texts = values();
    let filled: Values = [
        ("port".to_owned(), Value::Number(PORT.into())),
        ("values".to_owned(), Value::Texts(texts.clone())),
    ]
    .into();
    fs::create_dir_all(PLACE).unwrap();
    let file = format!("{PLACE}/nginx.conf");
    fs::write(&file, render(TEMPLATE, &filled).unwrap().as_bytes()).unwrap();
    let server = Server(Command::new("nginx").args(["-p", PLACE, "-c", &file]).spawn().unwrap());
    until("nginx answers", 20, || http::get(PORT, "/nothing", &[]).ok());
    for (index, value) in texts.iter().enumerate() {
        let answer = http::get(PORT, &format!("/{index}"), &[]).unwrap();
        let body = answer.text.split_once("\r\n\r\n").map(|(_, body)| body);
        assert_eq!((answer.status, body), (200, Some(value.as_str())), "{value:?}");
    }
    assert_eq!(http::get(PORT, "/owned", &[]).unwrap().status, 404);
    assert!(http::get(18998, "/", &[]).is_err());
    log_value("values read back by nginx", &texts.len().to_string());
    drop(server);
    fs::remove_dir_all(PLACE).unwrap();
}
