//! Presets: the capabilities of each receiver under one name; and targets, `PRESET@HOST:PORT`.
//!
//! The limits were measured with the real programs: which type tags they decode, how many messages a second they take
//! without loss, and how large a datagram may be.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use super::Types;

pub use super::datagram::DEFAULT_MTU;

/// What one kind of receiver needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// The word after `--for`.
    pub name: &'static str,
    /// The program's own name.
    pub receiver: &'static str,
    /// The UDP port it listens on by default or by custom.
    pub port: u16,
    /// The types it decodes.
    pub types: Types,
    /// Whether arrays are sent in brackets (OSC 1.0's optional `[` and `]`) at the level [`Types::Full`].
    pub brackets: bool,
    /// The most messages a second; `None` sends everything.
    pub max_rate: Option<u32>,
    /// The largest datagram, in bytes.
    pub mtu: usize,
    /// A hint for the user.
    pub note: &'static str,
}

/// All presets; the first is the default.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "sc",
        receiver: "SuperCollider",
        port: 57120,
        types: Types::Double,
        brackets: true,
        max_rate: Some(5000),
        mtu: DEFAULT_MTU,
        note: "event time arrives as the handler's `time`",
    },
    Preset {
        name: "pd",
        receiver: "Pure Data",
        port: 9001,
        types: Types::Portable,
        brackets: true,
        max_rate: Some(5000),
        mtu: DEFAULT_MTU,
        note: "[netreceive -u -b 9001] → [oscparse]",
    },
    Preset {
        name: "max",
        receiver: "Max",
        port: 7400,
        types: Types::Portable,
        brackets: true,
        max_rate: Some(2000),
        mtu: DEFAULT_MTU,
        note: "[udpreceive 7400]",
    },
    Preset {
        name: "chuck",
        receiver: "ChucK",
        port: 6449,
        types: Types::Portable,
        brackets: true,
        max_rate: Some(5000),
        mtu: DEFAULT_MTU,
        note: "OscIn.addAddress(\"address, tags\")",
    },
    Preset {
        name: "csound",
        receiver: "Csound",
        port: 7770,
        types: Types::Portable,
        brackets: true,
        max_rate: Some(5000),
        mtu: DEFAULT_MTU,
        note: "OSClisten needs the exact type tags: see `patch --for csound`",
    },
    Preset {
        name: "sonicpi",
        receiver: "Sonic Pi",
        port: 4560,
        types: Types::Portable,
        brackets: true,
        max_rate: Some(200),
        mtu: DEFAULT_MTU,
        note: "its socket holds 16 KiB: 11 datagrams; use --source-port, it is part of the cue's name",
    },
    Preset {
        name: "touchdesigner",
        receiver: "TouchDesigner",
        port: 7000,
        types: Types::Portable,
        brackets: true,
        max_rate: Some(500),
        mtu: DEFAULT_MTU,
        note: "OSC In CHOP takes numbers only (--aggregate); DAT takes strings too",
    },
    Preset {
        name: "python",
        receiver: "python-osc",
        port: 5005,
        types: Types::Double,
        brackets: true,
        max_rate: Some(2000),
        mtu: DEFAULT_MTU,
        note: "sleeps on a timetag in the future: no --latency",
    },
    Preset {
        name: "liblo",
        receiver: "liblo (oscdump)",
        port: 7770,
        types: Types::Full,
        brackets: false,
        max_rate: None,
        mtu: DEFAULT_MTU,
        // liblo does not support brackets: it drops the message and the rest of its bundle.
        note: "every number exact",
    },
    Preset {
        name: "rust",
        receiver: "rosc, nannou_osc",
        port: 12345,
        types: Types::Full,
        brackets: true,
        max_rate: None,
        mtu: DEFAULT_MTU,
        note: "rosc's decoder::MTU is 1536 bytes",
    },
];

impl Preset {
    /// The default preset: SuperCollider's.
    pub fn default_preset() -> &'static Preset {
        &PRESETS[0]
    }

    /// The preset of that name.
    pub fn named(name: &str) -> Result<&'static Preset, UnknownPreset> {
        PRESETS
            .iter()
            .find(|p| p.name == name)
            .ok_or_else(|| UnknownPreset { given: name.to_owned(), nearest: nearest(name) })
    }
}

/// There is no preset of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown receiver {given:?}{} Known are {}", meant(*nearest), names())]
pub struct UnknownPreset {
    /// The name given.
    pub given: String,
    /// The preset with the most similar name, if any is.
    pub nearest: Option<&'static str>,
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| ".".to_owned(), |name| format!("; did you mean {name}?"))
}

fn names() -> String {
    PRESETS.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
}

/// The preset most similar to `word`, which may also be the program's own name (`supercollider`).
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let likeness = |p: &Preset| {
        let receiver = p.receiver.to_lowercase().replace(' ', "");
        strsim::jaro_winkler(&word, p.name).max(strsim::jaro_winkler(&word, &receiver))
    };
    let nearest = PRESETS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) > 0.7).then_some(nearest.name)
}

/// The presets as a table, for `--for` without a value.
pub fn listing() -> impl fmt::Display {
    struct Listing;
    impl fmt::Display for Listing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            writeln!(
                f,
                "{:<14} {:<17} {:>5}  {:<8}  {:>5}  {:>8}  notes",
                "--for", "receiver", "port", "types", "msg/s", "datagram"
            )?;
            for p in PRESETS {
                let rate = p.max_rate.map_or_else(|| "all".to_owned(), |r| r.to_string());
                writeln!(
                    f,
                    "{:<14} {:<17} {:>5}  {:<8}  {:>5}  {:>8}  {}",
                    p.name,
                    p.receiver,
                    p.port,
                    p.types.name(),
                    rate,
                    p.mtu,
                    p.note
                )?;
            }
            writeln!(f, "Without --for: sc. --to, --types, --max-rate and --mtu override single settings.")
        }
    }
    Listing
}

/// Where to send, and to what kind of receiver: `PRESET@HOST:PORT`, each part optional except the host.
///
/// ```
/// use ftrace_live::osc::preset::Target;
/// let target: Target = "pd@studio:9002".parse().unwrap();
/// assert_eq!((target.preset.unwrap().name, target.host.as_str(), target.port), ("pd", "studio", Some(9002)));
/// let target: Target = "[::1]:57120".parse().unwrap();
/// assert_eq!((target.preset, target.host.as_str(), target.port), (None, "::1", Some(57120)));
/// assert!("pd@studio:0".parse::<Target>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The preset, if given.
    pub preset: Option<&'static Preset>,
    /// A host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port, if given; otherwise the preset's.
    pub port: Option<u16>,
}

/// Why a target was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The word before the `@` is not a preset.
    #[error(transparent)]
    Preset(#[from] UnknownPreset),
    /// There is no host.
    #[error("the target {0:?} has no host: write [PRESET@]HOST[:PORT], such as 127.0.0.1:57120 or pd@studio:9001")]
    NoHost(String),
    /// The text after the colon is not a port.
    #[error("the target {target:?} has no usable port: {port:?} is not a number from 1 to 65535")]
    Port {
        /// The whole target.
        target: String,
        /// The text in place of the port.
        port: String,
    },
    /// The text in brackets is not an IPv6 address.
    #[error("the target {0:?} has a malformed IPv6 address: write [::1]:57120")]
    Ipv6(String),
    /// It has another form.
    #[error(
        "the target {0:?} is not a host with a port: write [PRESET@]HOST[:PORT], such as 127.0.0.1:57120; --to may be given several times"
    )]
    Form(String),
    /// A number alone, which the resolver would take for an address: 5000 for 0.0.19.136.
    #[error("the target {target:?} has a number as its host: for a port of this machine write 127.0.0.1:{number}")]
    Number {
        /// The whole target.
        target: String,
        /// The number.
        number: String,
    },
    /// An IPv4 address with leading zeros, which the resolver would take for octal numbers.
    #[error("the target {0:?} has an IPv4 address with leading zeros: write it without, such as 10.0.0.5:57120")]
    Zeros(String),
    /// An IPv6 address that is valid on one interface only, without the interface.
    #[error("{0} is an address on one link only: add the interface, such as [{0}%eth0]:57120 (`ip link` lists them)")]
    NoZone(std::net::Ipv6Addr),
    /// The host's name does not resolve.
    #[error(
        "the host {host:?} cannot be found ({source}): check its name, or write its address, such as 10.0.0.5:57120"
    )]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The name resolves to nothing.
    #[error("the host {0:?} has no address: write one instead, such as 10.0.0.5:57120")]
    NoAddress(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (preset, place) = match text.split_once('@') {
            Some((word, place)) => (Some(Preset::named(word)?), place),
            // A preset alone means that receiver on this machine; a host of that name can be given with a port.
            None => match Preset::named(text) {
                Ok(preset) => (Some(preset), "127.0.0.1"),
                Err(_) => (None, text),
            },
        };
        let (host, port) = split_place(text, place)?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(TargetError::NoHost(text.to_owned()));
        }
        check_ipv4(text, host)?;
        let port = port.map(|port| parse_port(text, port)).transpose()?;
        Ok(Target { preset, host: host.to_owned(), port })
    }
}

/// Splits `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT` or an IPv6 address without brackets.
fn split_place<'a>(target: &str, place: &'a str) -> Result<(&'a str, Option<&'a str>), TargetError> {
    if let Some(rest) = place.strip_prefix('[') {
        let malformed = || TargetError::Ipv6(target.to_owned());
        let (host, rest) = rest.split_once(']').ok_or_else(malformed)?;
        // A zone may follow: fe80::1%eth0.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        address.parse::<std::net::Ipv6Addr>().map_err(|_| malformed())?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(malformed()),
        };
    }
    if place.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((place, None));
    }
    match place.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => {
            let of_ipv6 = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '%' | ']');
            let error = if place.chars().all(of_ipv6) { TargetError::Ipv6 } else { TargetError::Form };
            Err(error(target.to_owned()))
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((place, None)),
    }
}

/// Refuses what the resolver reads as an IPv4 address, but people do not (inet_aton(3)).
fn check_ipv4(target: &str, host: &str) -> Result<(), TargetError> {
    if host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::Number { target: target.to_owned(), number: host.to_owned() });
    }
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric && host.split('.').any(|part| part.len() > 1 && part.starts_with('0')) {
        return Err(TargetError::Zeros(target.to_owned()));
    }
    Ok(())
}

fn parse_port(target: &str, port: &str) -> Result<u16, TargetError> {
    let number = if port.bytes().all(|b| b.is_ascii_digit()) { port.parse().ok() } else { None };
    number.filter(|&n| n != 0).ok_or_else(|| TargetError::Port { target: target.to_owned(), port: port.to_owned() })
}

impl Target {
    /// The preset of this target: its own, or `default` (`--for`).
    pub fn preset_or(&self, default: &'static Preset) -> &'static Preset {
        self.preset.unwrap_or(default)
    }

    /// The address to send to, with the preset's port if the target has none. IPv4 is preferred: most receivers
    /// listen on IPv4 only.
    pub fn resolve(&self, default: &'static Preset) -> Result<SocketAddr, TargetError> {
        let port = self.port.unwrap_or(self.preset_or(default).port);
        let found: Vec<SocketAddr> = (self.host.as_str(), port)
            .to_socket_addrs()
            .map_err(|source| TargetError::Resolve { host: self.host.clone(), source })?
            .collect();
        let first = found.iter().find(|a| a.is_ipv4()).or(found.first());
        if let Some(SocketAddr::V6(address)) = first
            && (address.ip().is_unicast_link_local() || matches!(address.ip().segments()[0], 0xff01..=0xff02))
            && address.scope_id() == 0
        {
            return Err(TargetError::NoZone(*address.ip()));
        }
        first.copied().ok_or_else(|| TargetError::NoAddress(self.host.clone()))
    }

    /// A likely mistake in this target, in a sentence.
    pub fn warning(&self) -> Option<&'static str> {
        // scsynth prints an error for every message that it does not know.
        (self.port == Some(57110)).then_some(
            "port 57110 is the SuperCollider server (scsynth), which does not understand /ftrace messages: send to sclang, 57120",
        )
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(preset) = self.preset {
            write!(f, "{}@", preset.name)?;
        }
        let v6 = self.host.contains(':');
        match (v6, self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (false, None) => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn refusal(text: &str) -> String {
        text.parse::<Target>().expect_err(text).to_string()
    }

    #[test]
    fn every_preset_is_as_specified() {
        let rows: Vec<_> = PRESETS.iter().map(|p| (p.name, p.port, p.types, p.max_rate)).collect();
        assert_eq!(
            rows,
            [
                ("sc", 57120, Types::Double, Some(5000)),
                ("pd", 9001, Types::Portable, Some(5000)),
                ("max", 7400, Types::Portable, Some(2000)),
                ("chuck", 6449, Types::Portable, Some(5000)),
                ("csound", 7770, Types::Portable, Some(5000)),
                ("sonicpi", 4560, Types::Portable, Some(200)),
                ("touchdesigner", 7000, Types::Portable, Some(500)),
                ("python", 5005, Types::Double, Some(2000)),
                ("liblo", 7770, Types::Full, None),
                ("rust", 12345, Types::Full, None),
            ]
        );
        assert!(PRESETS.iter().all(|p| p.mtu <= 1472), "by default a datagram fits into a frame");
    }

    #[test]
    fn the_error_for_an_unknown_preset_names_the_nearest_and_all() {
        let said = |word: &str| Preset::named(word).expect_err(word).to_string();
        assert!(said("supercollider").contains("did you mean sc?"), "{}", said("supercollider"));
        assert!(said("puredata").contains("did you mean pd?"));
        assert!(said("csuond").contains("did you mean csound?"));
        assert!(said("sonic-pi").contains("did you mean sonicpi?"));
        assert!(said("foo").starts_with("unknown receiver \"foo\". Known are sc, pd, "), "{}", said("foo"));
        assert!(PRESETS.iter().all(|preset| said("").contains(preset.name)));
    }

    #[test]
    fn a_target_is_preset_host_and_port_each_optional_but_the_host() {
        let parts = |text: &str| {
            let t = target(text);
            (t.preset.map(|p| p.name), t.host, t.port)
        };
        assert_eq!(parts("sc@127.0.0.1:57120"), (Some("sc"), "127.0.0.1".into(), Some(57120)));
        assert_eq!(parts("pd@studio"), (Some("pd"), "studio".into(), None));
        assert_eq!(parts("10.0.0.2:9000"), (None, "10.0.0.2".into(), Some(9000)));
        assert_eq!(parts("studio"), (None, "studio".into(), None));
        assert_eq!(parts("[::1]:57120"), (None, "::1".into(), Some(57120)));
        assert_eq!(parts("chuck@[::1]"), (Some("chuck"), "::1".into(), None));
        assert_eq!(parts("fe80::1"), (None, "fe80::1".into(), None));
        assert_eq!(parts("pd"), (Some("pd"), "127.0.0.1".into(), None));
        assert_eq!(parts("max:7400"), (None, "max".into(), Some(7400)));
    }

    #[test]
    fn a_target_prints_as_it_is_written() {
        for text in ["sc@127.0.0.1:57120", "pd@studio", "studio:9000", "[::1]:57120", "chuck@[::1]"] {
            assert_eq!(target(text).to_string(), text);
        }
    }

    #[test]
    fn a_bad_target_is_refused_with_a_valid_example() {
        for text in ["127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", "127.0.0.1:http", "studio:+80", "sc@h:-1"] {
            assert!(refusal(text).contains("not a number from 1 to 65535"), "{text}: {}", refusal(text));
        }
        for text in ["", ":57120", "sc@", "sc@:57120", "stu dio:9000", "osc.udp://studio"] {
            let said = refusal(text);
            assert!(said.contains("[PRESET@]HOST[:PORT]") || said.contains("1 to 65535"), "{text}: {said}");
        }
        for text in ["[::1", "[::1]57120", "[studio]:80", "1:2:3:57120", "[]:1"] {
            assert!(refusal(text).contains("write [::1]:57120"), "{text}: {}", refusal(text));
        }
        for text in ["http://127.0.0.1:5000", "1.2.3.4:5000:6000", "127.0.0.1:5000,127.0.0.1:5001"] {
            let said = refusal(text);
            assert!(said.contains("HOST[:PORT]") && said.contains("--to may be given several times"), "{said}");
        }
        for text in ["5000", "pd@5000", "5000:5000"] {
            assert!(refusal(text).ends_with("write 127.0.0.1:5000"), "{text}: {}", refusal(text));
        }
        assert!(refusal("010.0.0.1:5000").contains("leading zeros"));
        assert_eq!(target("10.0.0.0:5").host, "10.0.0.0");
        assert!(refusal("scc@127.0.0.1:57120").contains("did you mean sc?"));
    }

    #[test]
    fn the_port_comes_from_the_target_or_its_preset_or_the_default() {
        let sc = Preset::default_preset();
        assert_eq!(target("127.0.0.1").resolve(sc).unwrap().to_string(), "127.0.0.1:57120");
        assert_eq!(target("pd@127.0.0.1").resolve(sc).unwrap().to_string(), "127.0.0.1:9001");
        assert_eq!(target("pd@127.0.0.1:9").resolve(sc).unwrap().to_string(), "127.0.0.1:9");
        assert_eq!(target("[::1]").resolve(sc).unwrap().to_string(), "[::1]:57120");
    }

    #[test]
    fn an_address_of_one_link_needs_its_interface() {
        let sc = Preset::default_preset();
        for text in ["[fe80::1]:5", "fe80::1", "[ff02::1]:5"] {
            let said = target(text).resolve(sc).unwrap_err().to_string();
            assert!(said.contains("%eth0]:57120"), "{text}: {said}");
        }
        let lo = target("[fe80::1%lo]:5").resolve(sc);
        assert!(!matches!(lo, Err(TargetError::NoZone(_))), "{lo:?}");
        assert!(target("[ff0e::1]:5").resolve(sc).is_ok());
    }

    #[test]
    fn the_listing_has_a_line_for_each_preset() {
        let text = listing().to_string();
        for p in PRESETS {
            let line = text.lines().find(|l| l.starts_with(p.name)).unwrap_or_else(|| panic!("{}", p.name));
            assert!(line.contains(&p.port.to_string()) && line.contains(p.types.name()), "{line}");
        }
    }

    #[test]
    fn the_port_of_scsynth_causes_a_warning() {
        assert!(target("127.0.0.1:57110").warning().is_some_and(|w| w.contains("57120")));
        assert_eq!(target("127.0.0.1:57120").warning(), None);
    }
}
