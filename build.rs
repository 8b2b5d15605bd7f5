//! Makes `libdill.so.20` of the library, and its headers: `include/` is the text in `header/`, filled
//! with what cbindgen finds in `src/ffi/`.
//!
//! To add a section: `src/ffi/NAME.rs`, a line in `SECTIONS`, and `header/NAME.h` if there is text that
//! cbindgen cannot make, with `@declarations@` where its own goes.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "it runs where the library is built"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A part of a header.
struct Section {
    /// `src/ffi/NAME.rs`, if there is one, and `header/NAME.h`, if there is one.
    name: &'static str,
    title: &'static str,
    /// Files with types and constants that it needs besides.
    sources: &'static [&'static str],
    part: Part,
}

/// What may be left out: of the library, and of what its headers declare.
#[derive(Clone, Copy)]
enum Part {
    Core,
    Sockets,
    Tls,
}
use Part::{Core, Sockets, Tls};

impl Part {
    /// When the headers declare it.
    fn condition(self) -> Option<&'static str> {
        match self {
            Core => None,
            Sockets => Some("#ifndef DILL_DISABLE_SOCKETS"),
            Tls => Some("#if !defined DILL_DISABLE_SOCKETS && !defined DILL_DISABLE_TLS"),
        }
    }

    /// What `abi/symbols.txt` says behind its symbols: the feature without which they are not exported.
    fn remark(self) -> &'static str {
        match self {
            Core => "",
            Sockets => " sockets",
            Tls => " tls",
        }
    }
}

const fn section(
    name: &'static str,
    title: &'static str,
    sources: &'static [&'static str],
    part: Part,
) -> Section {
    Section { name, title, sources, part }
}

/// The sections of `libdill.h`.
const SECTIONS: &[Section] = &[
    section("time", "Time", &[], Core),
    section("fd", "File descriptors", &[], Core),
    section("handle", "Handles", &[], Core),
    section("coroutine", "Coroutines", &[], Core),
    section("bundle", "Bundles of coroutines", &[], Core),
    section("chan", "Channels", &["src/chan.rs"], Core),
    section("sock", "Bytestreams and message sockets", &["src/iol.rs"], Sockets),
    section("ipaddr", "IP addresses", &["src/net/addr.rs"], Sockets),
    section("tcp", "TCP", &[], Sockets),
    section("ipc", "IPC: AF_UNIX streams", &[], Sockets),
    section("udp", "UDP", &[], Sockets),
    section("happyeyeballs", "Connecting to names", &[], Sockets),
    section("prefix", "PREFIX: messages behind their length", &[], Sockets),
    section("suffix", "SUFFIX: messages before a delimiter", &[], Sockets),
    section("term", "TERM: an agreed last message", &[], Sockets),
    section("http", "HTTP: headers", &[], Sockets),
    section("socks5", "SOCKS5", &[], Sockets),
    section("tls", "TLS", &[], Tls),
    section("ws", "WebSocket", &[], Sockets),
];

/// The sections of `libdillext.h`.
const EXT_SECTIONS: &[Section] = &[
    section("outer_loop", "In an event loop of the program's own", &[], Core),
    section("dump", "What a thread is doing", &[], Core),
    section("tcp_opts", "TCP: listeners with options", &[], Sockets),
    section("tls_opts", "TLS: clients that verify, and servers", &["src/ffi/tls_structs.rs"], Tls),
    section("tls_info", "TLS: what was agreed on", &[], Tls),
    section("ws_opts", "WebSocket: options, and requests", &[], Sockets),
    section("ws_connect", "WebSocket: from a URL to a handle", &[], Sockets),
    section("ws_ping", "WebSocket: pings", &[], Sockets),
    section("ws_parts", "WebSocket: messages in parts", &[], Sockets),
    section("ws_info", "WebSocket: what has passed", &[], Sockets),
    section("ws_broadcast", "WebSocket: one message to many", &[], Sockets),
    section("ws_errmsg", "What has gone wrong", &[], Sockets),
];

/// The sections of `libdillimpl.h`.
const IMPL_SECTIONS: &[Section] =
    &[section("custom", "Handles", &[], Core), section("custom_sock", "Sockets", &[], Sockets)];

/// What items of the sources are called in C.
const NAMES: &[(&str, &str)] = &[
    ("sockaddr", "struct sockaddr"),
    ("JmpBuf", "jmp_buf"),
    ("Hvfs", "struct dill_hvfs"),
    ("BundleStorage", "struct dill_bundle_storage"),
    ("ChClause", "struct dill_chclause"),
    ("CHSEND", "DILL_CHSEND"),
    ("CHRECV", "DILL_CHRECV"),
    ("ChStorage", "struct dill_chstorage"),
    ("IoList", "struct dill_iolist"),
    ("IpAddr", "struct dill_ipaddr"),
    ("IPV4", "DILL_IPADDR_IPV4"),
    ("IPV6", "DILL_IPADDR_IPV6"),
    ("PREFER_IPV4", "DILL_IPADDR_PREF_IPV4"),
    ("PREFER_IPV6", "DILL_IPADDR_PREF_IPV6"),
    ("MAX_TEXT", "DILL_IPADDR_MAXSTRLEN"),
    ("TcpListenerStorage", "struct dill_tcp_listener_storage"),
    ("TcpStorage", "struct dill_tcp_storage"),
    ("IpcListenerStorage", "struct dill_ipc_listener_storage"),
    ("IpcStorage", "struct dill_ipc_storage"),
    ("IpcPairStorage", "struct dill_ipc_pair_storage"),
    ("UdpStorage", "struct dill_udp_storage"),
    ("PrefixStorage", "struct dill_prefix_storage"),
    ("SuffixStorage", "struct dill_suffix_storage"),
    ("TermStorage", "struct dill_term_storage"),
    ("HttpStorage", "struct dill_http_storage"),
    ("TlsStorage", "struct dill_tls_storage"),
    ("TlsOpts", "struct dill_tls_opts"),
    ("TlsServerOpts", "struct dill_tls_server_opts"),
    ("TlsInfo", "struct dill_tls_info"),
    ("WsStorage", "struct dill_ws_storage"),
    ("TcpListenOpts", "struct dill_tcp_listen_opts"),
    ("WsOpts", "struct dill_ws_opts"),
    ("WsDeflate", "struct dill_ws_deflate"),
    ("WsInfo", "struct dill_ws_info"),
];

/// How long a line of the headers may be.
const WIDTH: usize = 100;

/// What has no short name: what only the macros in `header/coroutine.h` and compiled programs use, and what a
/// program is likely to call something of its own.
const NO_RAW_NAME: &[&str] = &[
    "dill_prologue",
    "dill_epilogue",
    "dill_setjmp",
    "dill_longjmp",
    "dill_setsp",
    "dill_unoptimisable",
    "dill_loop",
    "dill_run",
    "dill_dump",
];

/// What C takes from `header/`, though cbindgen meets it in the sources.
const HAND_WRITTEN: &[&str] = &["IpAddr", "TypeId", "dill_bsock_type", "dill_msock_type"];

fn main() {
    println!("cargo:rustc-link-arg-cdylib=-Wl,-soname,libdill.so.20");
    // A thread that has used the library calls it once more when it ends, after any dlclose.
    println!("cargo:rustc-link-arg-cdylib=-Wl,-z,nodelete");
    // The code lies in the file where it lies in memory, since perf takes the one for the other at a probe.
    println!("cargo:rustc-link-arg-cdylib=-Wl,-z,separate-code");
    for path in [
        "build.rs",
        "header",
        "src/ffi",
        "src/chan.rs",
        "src/iol.rs",
        "src/net/addr.rs",
        "include",
        "abi/symbols.txt",
    ] {
        println!("cargo:rerun-if-changed={path}");
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut symbols = BTreeMap::new();
    let headers = [("libdill.h", SECTIONS), ("libdillext.h", EXT_SECTIONS), ("libdillimpl.h", IMPL_SECTIONS)];
    for (name, sections) in headers {
        let text: Vec<String> =
            sections.iter().map(|section| write_section(&root, section, &mut symbols)).collect();
        let frame = read(&root.join("header").join(name));
        update(&root.join("include").join(name), &frame.replace("@sections@\n", text.join("\n").as_str()));
    }
    symbols.extend(exported(&generate(&root, &["src/ffi/raw.rs"])).map(|name| (name, Sockets)));
    let symbols: String =
        symbols.into_iter().map(|(name, part)| format!("{name}{}\n", part.remark())).collect();
    update(&root.join("abi/symbols.txt"), &symbols);
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file that is part of the sources, if it has changed. Sources that cannot be written are built
/// all the same: packagers do that.
fn update(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    if let Err(error) = fs::write(path, text) {
        println!("cargo:warning={} is out of date and cannot be written: {error}", path.display());
    }
}

/// A section of a header; adds the symbols that it declares.
fn write_section(root: &Path, section: &Section, symbols: &mut BTreeMap<String, Part>) -> String {
    let own = format!("src/ffi/{}.rs", section.name);
    let mut sources = section.sources.to_vec();
    if root.join(&own).exists() {
        sources.push(&own);
    }
    let declarations = if sources.is_empty() { String::new() } else { generate(root, &sources) };
    let frame = root.join("header").join(section.name).with_extension("h");
    let text = match fs::read_to_string(frame) {
        Ok(frame) if frame.contains("@declarations@") => frame.replace("@declarations@\n", &declarations),
        Ok(frame) => frame + &declarations,
        Err(_) => declarations,
    };
    symbols.extend(exported(&text).map(|name| (name, section.part)));
    let title = format!("/* --- {} ", section.title);
    let short_names = short_names(&text);
    let body = format!("{title:-<99} */\n\n{}\n\n{short_names}", text.trim());
    match section.part.condition() {
        Some(condition) => format!("{condition}\n\n{body}\n#endif\n"),
        None => body,
    }
}

/// The C declarations of what these files offer.
fn generate(root: &Path, sources: &[&str]) -> String {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Tag,
        no_includes: true,
        usize_is_size_t: true,
        // One declaration a line; `wrap` breaks it.
        line_length: usize::MAX,
        tab_width: 4,
        documentation_style: cbindgen::DocumentationStyle::C,
        ..cbindgen::Config::default()
    };
    config.function.prefix = Some("DILL_EXPORT".to_owned());
    let texts: Vec<String> = sources.iter().map(|source| read(&root.join(source))).collect();
    for (rust, c) in NAMES {
        // cbindgen puts "struct" only before the types that it prints itself.
        let definition = format!("pub struct {rust} {{");
        let defined = texts.iter().any(|text| text.contains(&definition));
        let c = if defined { c.trim_start_matches("struct ") } else { c };
        config.export.rename.insert(rust.to_string(), c.to_owned());
    }
    config.export.exclude = HAND_WRITTEN.iter().map(|name| name.to_string()).collect();
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = sources.iter().fold(builder, |builder, source| builder.with_src(root.join(source)));
    let bindings = builder.generate().unwrap_or_else(|error| panic!("{sources:?}: {error}"));
    let mut text = Vec::new();
    bindings.write(&mut text);
    tidy(&String::from_utf8(text).expect("cbindgen writes UTF-8"))
}

/// Comments and long declarations in the style of the text in `header/`.
fn tidy(text: &str) -> String {
    let mut tidied = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "/*" {
            let indent = " ".repeat(line.len() - 2);
            let comment: Vec<&str> =
                lines.by_ref().take_while(|line| line.trim() != "*/").map(str::trim).collect();
            let comment = comment.join("\n").replace("# Safety\n", "Required: ");
            let comment = comment.trim().replace('\n', &format!("\n{indent}   ")).replace("   \n", "\n");
            tidied += &format!("{indent}/* {comment} */\n");
        } else {
            tidied += &wrap(line);
        }
    }
    tidied
}

/// Breaks a declaration between its arguments.
fn wrap(line: &str) -> String {
    let mut wrapped = String::new();
    let mut rest = line.to_owned();
    while rest.len() > WIDTH {
        let Some(comma) = rest[..WIDTH].rfind(", ") else { break };
        wrapped += &format!("{}\n", &rest[..=comma]);
        rest = format!("    {}", &rest[comma + 2..]);
    }
    wrapped + &rest + "\n"
}

/// The name that a line declares: a function, a variable, a structure or a macro.
fn declared(line: &str) -> Option<&str> {
    let name = if let Some(rest) = line.strip_prefix("#define ") {
        rest.split([' ', '(']).next()
    } else if let Some(rest) = line.strip_prefix("struct ") {
        rest.strip_suffix(" {")
    } else if let Some(rest) = line.strip_prefix("extern DILL_EXPORT ") {
        rest.trim_end_matches(';').rsplit([' ', '*']).next()
    } else if line.starts_with("DILL_EXPORT ") {
        // What stands before a parenthesis and is no attribute.
        let mut before = line.split('(').filter_map(|part| part.rsplit([' ', '*']).next());
        before.find(|word| !word.is_empty() && !word.starts_with("__"))
    } else {
        None
    };
    // A name with an underscore at its end is nobody else's business.
    name.filter(|name| !name.ends_with('_'))
}

/// The functions and variables that a text declares.
fn exported(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.contains("DILL_EXPORT "));
    lines.filter_map(declared).map(str::to_owned)
}

/// The short names of everything that a text declares. In C++ those of functions are functions, which
/// are the same as the long ones for the linker: as a macro, `now` would rename what others call so.
fn short_names(text: &str) -> String {
    let (mut macros, mut functions) = (Vec::new(), Vec::new());
    let is_macro = |name: &str| text.contains(&format!("#define {name}"));
    for line in text.lines() {
        let Some(name) = declared(line).filter(|name| !NO_RAW_NAME.contains(name)) else { continue };
        let Some(short) = name.strip_prefix("dill_").or_else(|| name.strip_prefix("DILL_")) else { continue };
        let names =
            if line.starts_with("DILL_EXPORT ") && !is_macro(name) { &mut functions } else { &mut macros };
        if !names.iter().any(|(known, _)| *known == short) {
            names.push((short, name));
        }
    }
    let defines = |names: &[(&str, &str)]| -> String {
        names.iter().map(|(short, name)| format!("#define {short} {name}\n")).collect()
    };
    let aliases: String = functions.iter().map(|(short, _)| format!("DILL_ALIAS_({short});\n")).collect();
    let functions = match functions.as_slice() {
        [] => String::new(),
        functions => format!("#ifdef __cplusplus\n{aliases}#else\n{}#endif\n", defines(functions)),
    };
    let names = defines(&macros) + &functions;
    if names.is_empty() { names } else { format!("#ifndef DILL_DISABLE_RAW_NAMES\n{names}#endif\n") }
}
