//! Whether anybody listens at the targets, as far as the receivers' machines report it.
//!
//! A machine on whose port nobody listens answers a datagram with ICMP "port unreachable" (`__udp4_lib_rcv`,
//! net/ipv4/udp.c), which Linux reports to the connected socket as ECONNREFUSED. On this machine it is reported when
//! `send` returns; from another it arrives later, and not for every datagram: machines limit how often they answer
//! (net.ipv4.icmp_ratelimit, one a second to each other machine). If a firewall drops datagrams, nothing is known.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Outputs;
use crate::osc::patch::Language;
use crate::osc::preset::PRESETS;

/// Checks without a refusal until a remote target counts as listening again: it may not answer each time.
const QUIET_LOOKS: u32 = 3;

/// The targets at which nobody listens.
#[derive(Debug, Default)]
pub struct Audience {
    /// With the number of checks since the last refusal.
    absent: BTreeMap<SocketAddr, u32>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nobody listens there.
    Absent(SocketAddr),
    /// Somebody listens there again.
    Back(SocketAddr),
}

impl Audience {
    /// Checks the targets that were sent to since the last check; returns what changed.
    pub fn look(&mut self, outputs: &mut Outputs) -> Vec<News> {
        let mut news = Vec::new();
        for transport in outputs.transports_mut() {
            if let (Some(target), Some(refused)) = (transport.target(), transport.refused_since()) {
                news.extend(self.heard(target, refused));
            }
        }
        news
    }

    fn heard(&mut self, target: SocketAddr, refused: bool) -> Option<News> {
        if refused {
            return self.absent.insert(target, 0).is_none().then_some(News::Absent(target));
        }
        let quiet = self.absent.get_mut(&target)?;
        *quiet += 1;
        (target.ip().is_loopback() || *quiet >= QUIET_LOOKS).then(|| {
            self.absent.remove(&target);
            News::Back(target)
        })
    }

    /// For the status line: `nobody listens at 127.0.0.1:57120`; `None` if all listen, or nothing is known.
    pub fn status(&self) -> Option<String> {
        let targets: Vec<_> = self.absent.keys().map(SocketAddr::to_string).collect();
        (!targets.is_empty()).then(|| format!("nobody listens at {}", targets.join(", ")))
    }
}

impl News {
    /// The message for the user, with a remedy.
    pub fn sentence(&self) -> String {
        let target = match self {
            News::Absent(target) => target,
            News::Back(target) => return format!("{target}: somebody listens now"),
        };
        let (there, port) = (if target.ip().is_loopback() { "" } else { " there" }, target.port());
        let listen = match PRESETS[0].port == port {
            true => "`ftrace-live listen`".to_owned(),
            false => format!("`ftrace-live listen {port}`"),
        };
        let patch = Language::all().map(Language::preset).find(|preset| preset.port == port);
        let receiver = match patch {
            Some(preset) => {
                let (name, word) = (preset.receiver, preset.name);
                format!("{name} with the patch of `ftrace-live patch --for {word} EVENT…`")
            }
            None => "your receiver".to_owned(),
        };
        format!("nobody listens at {target}: start {receiver}{there}, or see what arrives with {listen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_target_is_back_after_some_checks_and_a_local_one_at_once() {
        let (near, far) = ("127.0.0.1:57120".parse().unwrap(), "10.0.0.5:9".parse().unwrap());
        let mut audience = Audience::default();
        assert_eq!(audience.heard(near, false), None);
        assert_eq!(audience.heard(near, true), Some(News::Absent(near)));
        assert_eq!(audience.heard(near, true), None);
        assert_eq!(audience.heard(far, true), Some(News::Absent(far)));
        assert_eq!(audience.status().unwrap(), "nobody listens at 10.0.0.5:9, 127.0.0.1:57120");
        assert_eq!(audience.heard(near, false), Some(News::Back(near)));
        // A refusal in between restarts the count.
        for refused in [false, false, true, false, false] {
            assert_eq!(audience.heard(far, refused), None);
        }
        assert_eq!(audience.heard(far, false), Some(News::Back(far)));
        assert_eq!(audience.status(), None);
    }

    #[test]
    fn the_message_says_what_to_start() {
        let absent = |target: &str| News::Absent(target.parse().unwrap()).sentence();
        let near = absent("127.0.0.1:57120");
        assert!(near.contains("start SuperCollider with") && near.contains("--for sc"), "{near}");
        assert!(near.ends_with("with `ftrace-live listen`"), "{near}");
        let far = absent("10.0.0.5:4444");
        assert!(far.contains("your receiver there") && far.ends_with("`ftrace-live listen 4444`"), "{far}");
    }
}
