//! Options that determine the form of every message.

use std::sync::Arc;

use super::addresses::Addresses;
use super::types::Types;

/// Which strings are sent; the others are sent as empty strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strings {
    /// All.
    #[default]
    All,
    /// Task names only.
    Comm,
    /// None.
    None,
}

/// Options that determine the form of every message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageOptions {
    /// The level of type tags.
    pub types: Types,
    /// The beginning of every address: `/ftrace`.
    pub prefix: String,
    /// Send pointers even if the level of types leaves them out.
    pub pointers: bool,
    /// Which strings are sent.
    pub strings: Strings,
    /// The longest string, bytes.
    pub string_limit: usize,
    /// Send enums and flags as the kernel's names.
    pub names: bool,
    /// The addresses of events that would share one.
    pub addresses: Arc<Addresses>,
    /// Send arrays in brackets at the level [`Types::Full`]; otherwise they are flattened there too.
    pub brackets: bool,
}

impl MessageOptions {
    /// With these types, and all else as by default.
    pub fn new(types: Types) -> MessageOptions {
        MessageOptions { types, ..MessageOptions::default() }
    }
}

impl Default for MessageOptions {
    fn default() -> Self {
        let prefix = "/ftrace".to_owned();
        let (pointers, strings, string_limit) = (false, Strings::All, 64);
        let (types, addresses) = (Types::Double, Arc::default());
        MessageOptions { types, prefix, pointers, strings, string_limit, names: false, addresses, brackets: true }
    }
}
