//! zlib and zstd, as trace-cmd uses them in version 7: separate pieces of known, limited size.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{
    DatError, Part, Problem,
    exactly::exactly,
    source::Source,
    zstd_frame::{Decoder, MAGIC},
};

/// The compression named in the header of a version 7 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Sections and data are stored as they are.
    None,
    /// The zlib format (RFC 1950).
    Zlib,
    /// Zstandard frames (RFC 8878).
    Zstd,
}

impl Compression {
    /// The algorithm with this name in the file's header.
    pub(super) fn by_name(name: &str) -> Result<Compression, Problem> {
        match name {
            "none" => Ok(Compression::None),
            "zlib" => Ok(Compression::Zlib),
            "zstd" => Ok(Compression::Zstd),
            _ => Err(Problem::Compression(name.chars().take(32).collect())),
        }
    }

    /// The name in the file's header.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Zlib => "zlib",
            Compression::Zstd => "zstd",
        }
    }
}

/// Decompresses pieces. All readers of a file share one, so that there are as many tables and windows as threads that
/// decompress, and not as many as CPUs.
pub(super) struct Decompressor {
    pub(super) algorithm: Compression,
    /// What no thread uses now.
    idle: Mutex<Vec<State>>,
}

/// State that is kept from piece to piece.
struct State {
    zstd: Decoder,
    /// The compressed piece, behind room for [`MAGIC`].
    piece: Vec<u8>,
}

impl Decompressor {
    /// A decompressor for pieces compressed with `algorithm`.
    pub(super) fn new(algorithm: Compression) -> Decompressor {
        Decompressor { algorithm, idle: Mutex::default() }
    }

    /// Decompresses the `stored` bytes at `offset` into `out`, whose length is the announced size. The caller has
    /// checked both sizes. More or fewer bytes than announced are an error.
    pub(super) fn read(
        &self,
        source: &Source,
        offset: u64,
        stored: u64,
        out: &mut [u8],
        part: Part,
    ) -> Result<(), DatError> {
        // No algorithm makes incompressible bytes much longer.
        let limit = out.len() as u64 + out.len() as u64 / 8 + 1024;
        let failed = |problem| DatError { offset, part, problem };
        if stored > limit {
            return Err(failed(Problem::TooLarge { size: stored, limit }));
        }
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let state = idle().pop();
        let mut state = state.unwrap_or_else(|| State { zstd: Decoder::new(), piece: MAGIC.to_vec() });
        let read = source.read(offset, state.room(stored as usize), part);
        let done =
            read.and_then(|()| state.decompress(self.algorithm, out).map_err(|error| failed(Problem::Corrupt(error))));
        idle().push(state);
        done
    }
}

impl State {
    /// Room for a compressed piece of `stored` bytes.
    fn room(&mut self, stored: usize) -> &mut [u8] {
        self.piece.resize(MAGIC.len() + stored, 0);
        &mut self.piece[MAGIC.len()..]
    }

    /// Decompresses the piece that is in the [room](Self::room).
    fn decompress(&mut self, algorithm: Compression, out: &mut [u8]) -> Result<(), String> {
        let State { zstd, piece } = self;
        let (_, stored) = piece.split_at(MAGIC.len());
        match algorithm {
            Compression::None if stored.len() == out.len() => {
                out.copy_from_slice(stored);
                Ok(())
            }
            Compression::None => Err("its stored size differs from the announced one".to_owned()),
            Compression::Zlib => exactly(flate2::read::ZlibDecoder::new(stored), out),
            Compression::Zstd if stored.starts_with(&MAGIC) => zstd.decode(stored, out),
            Compression::Zstd => zstd.decode(piece, out),
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decompressor").field(&self.algorithm).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn decompressed(algorithm: Compression, stored: &[u8], size: usize) -> Result<Vec<u8>, Problem> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(stored).unwrap();
        let mut out = vec![0; size];
        let read = Decompressor::new(algorithm).read(
            &Source::new(file).unwrap(),
            6,
            stored.len() as u64,
            &mut out,
            Part::Printk,
        );
        read.map(|()| out).map_err(|error| error.problem)
    }

    #[test]
    fn each_algorithm_gives_exactly_the_announced_bytes() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        zlib.write_all(b"hello").unwrap();
        // A frame by hand (RFC 8878): one segment of 5 bytes, one block as it is. trace-cmd stores it with its magic number
        // or, in some versions, without.
        let block = [&[0x20, 5, 5 << 3 | 1, 0, 0][..], b"hello"].concat();
        let frame = [&[0x28, 0xb5, 0x2f, 0xfd][..], &block].concat();
        let stored = [
            (Compression::None, b"hello".to_vec()),
            (Compression::Zlib, zlib.finish().unwrap()),
            (Compression::Zstd, frame),
            (Compression::Zstd, block),
        ];
        for (algorithm, stored) in &stored {
            assert_eq!(decompressed(*algorithm, stored, 5).unwrap(), b"hello", "{algorithm:?}");
            for size in [4, 6] {
                assert!(matches!(decompressed(*algorithm, stored, size), Err(Problem::Corrupt(_))), "{algorithm:?}");
            }
            assert_eq!(Compression::by_name(algorithm.name()).unwrap(), *algorithm);
        }
        assert!(matches!(Compression::by_name("lzma"), Err(Problem::Compression(name)) if name == "lzma"));
    }

    #[test]
    fn compressed_bytes_much_longer_than_what_they_become_are_not_read() {
        // 800 bytes, an eighth of them, and 1024.
        assert!(matches!(decompressed(Compression::Zlib, &[0; 1924], 800), Err(Problem::Corrupt(_))));
        let error = decompressed(Compression::Zlib, &[0; 1925], 800).unwrap_err();
        assert!(matches!(error, Problem::TooLarge { size: 1925, limit: 1924 }), "{error}");
    }
}
