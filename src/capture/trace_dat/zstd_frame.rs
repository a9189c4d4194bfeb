//! Decodes one Zstandard frame (RFC 8878) of known size: in Rust, or with the feature `zstd-c` by the C library, which
//! takes a third of the time.
//!
//! Both accept the same frames with the same limits. The C library decodes into the output itself and has no window of
//! its own, so it needs no memory that a frame could ask for; its window is limited nevertheless, so that both refuse the
//! same files.

#[cfg(any(test, not(feature = "zstd-c")))]
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

#[cfg(any(test, not(feature = "zstd-c")))]
use super::exactly::exactly;

/// The beginning of a frame. libzstd can omit it ("magicless" frames), as trace-cmd has it do.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest window accepted. The default level uses 2 MiB, the highest ordinary one 8 MiB.
const MAX_WINDOW: u64 = 16 << 20;

#[cfg(feature = "zstd-c")]
pub(super) use self::in_c::Decoder;
#[cfg(not(feature = "zstd-c"))]
pub(super) use InRust as Decoder;

/// The decoder in Rust. It is used for frame after frame, so that its tables and window exist once.
#[cfg(any(test, not(feature = "zstd-c")))]
pub(super) struct InRust(FrameDecoder);

#[cfg(any(test, not(feature = "zstd-c")))]
impl InRust {
    pub(super) fn new() -> InRust {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        InRust(decoder)
    }

    /// Decodes `frame`, which begins with [`MAGIC`] and must fill `out` exactly; what follows it is not looked at.
    pub(super) fn decode(&mut self, frame: &[u8], out: &mut [u8]) -> Result<(), String> {
        // One left in the middle by an earlier frame restarts with each.
        let decoder = StreamingDecoder::new_with_decoder(frame, &mut self.0).map_err(|error| error.to_string())?;
        exactly(decoder, out)?;
        let stored = self.0.get_checksum_from_data();
        if stored.is_some() && stored != self.0.get_calculated_checksum() {
            return Err("the checksum does not match".to_owned());
        }
        Ok(())
    }
}

#[cfg(feature = "zstd-c")]
mod in_c {
    use zstd_safe::{DCtx, find_frame_compressed_size, get_error_name};

    use super::super::exactly::too_long;
    use super::{MAGIC, MAX_WINDOW};

    /// The decoder in C.
    pub(in super::super) struct Decoder(Option<DCtx<'static>>);

    impl Decoder {
        pub(in super::super) fn new() -> Decoder {
            Decoder(DCtx::try_create())
        }

        /// Like that in Rust.
        pub(in super::super) fn decode(&mut self, frame: &[u8], out: &mut [u8]) -> Result<(), String> {
            let context = self.0.as_mut().ok_or("there is no memory for a decoder")?;
            let window = window_of(frame).ok_or("its frame has no header")?;
            if window > MAX_WINDOW {
                return Err(format!("a window of {window} bytes; the limit is {MAX_WINDOW}"));
            }
            // The library would decode what follows as further frames.
            let length = find_frame_compressed_size(frame).map_err(|code| get_error_name(code).to_owned())?;
            let frame = frame.get(..length).unwrap_or(frame);
            match context.decompress(out, frame) {
                Ok(length) if length == out.len() => Ok(()),
                Ok(length) => Err(format!("{length} bytes, not the announced {}", out.len())),
                Err(code) => Err(match get_error_name(code) {
                    "Destination buffer is too small" => too_long(out),
                    "Restored data doesn't match checksum" => "the checksum does not match".to_owned(),
                    name => name.to_owned(),
                }),
            }
        }
    }

    /// The size of the window that the header of `frame` announces: its own, or, of a single segment, the content's.
    fn window_of(frame: &[u8]) -> Option<u64> {
        let header = frame.strip_prefix(&MAGIC)?;
        let (&descriptor, rest) = header.split_first()?;
        let single = descriptor & 0x20 != 0;
        if !single {
            let window = rest.first()?;
            let base = 1u64 << (10 + (window >> 3));
            return Some(base + base / 8 * u64::from(window & 7));
        }
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = |length: usize| {
            let bytes = rest.get(dictionary..dictionary + length)?;
            Some(bytes.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte)))
        };
        match descriptor >> 6 {
            0 => size(1),
            1 => Some(size(2)? + 256),
            2 => size(4),
            _ => size(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    type Decode = fn(&[u8], &mut [u8]) -> Result<(), String>;

    /// Every decoder that was built.
    fn decoders() -> Vec<(&'static str, Decode)> {
        let rust: Decode = |frame, out| InRust::new().decode(frame, out);
        let used: Decode = |frame, out| Decoder::new().decode(frame, out);
        vec![("in Rust", rust), ("the one in use", used)]
    }

    /// A frame of one segment whose content is `size` zeros, in blocks of a repeated byte; it announces `announced`.
    fn zeros(size: u32, announced: u32) -> Vec<u8> {
        let mut frame = [&MAGIC[..], &[0xa0]].concat();
        frame.extend(announced.to_le_bytes());
        blocks(&mut frame, size);
        frame
    }

    fn blocks(frame: &mut Vec<u8>, mut size: u32) {
        while size > 0 {
            let block = size.min(128 << 10);
            size -= block;
            frame.extend_from_slice(&(block << 3 | 1 << 1 | u32::from(size == 0)).to_le_bytes()[..3]);
            frame.push(0);
        }
    }

    #[test]
    fn a_frame_must_have_the_announced_size_and_no_more() {
        for (name, decode) in decoders() {
            let mut out = vec![7; 1000];
            assert_eq!(decode(&zeros(1000, 1000), &mut out), Ok(()), "{name}");
            assert!(out.iter().all(|byte| *byte == 0), "{name}");
            // A bomb: of a little frame, no more is written than there is room for.
            for (size, announced) in [(1001, 1001), (999, 999), (100 << 20, 1000), (100 << 20, 100 << 20)] {
                let mut out = vec![7; 1000];
                assert!(decode(&zeros(size, announced), &mut out).is_err(), "{name} {size} {announced}");
            }
            let more = decode(&zeros(1001, 1001), &mut vec![7; 1000]);
            assert_eq!(more, Err("more than the announced 1000 bytes".to_owned()), "{name}");
            // What follows a frame is not looked at.
            let mut followed = zeros(1000, 1000);
            followed.extend(b"anything");
            assert_eq!(decode(&followed, &mut out), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_window_has_a_limit() {
        // 16 MiB, and an eighth more.
        for (name, decode) in decoders() {
            for (descriptor, fits) in [(14 << 3, true), (14 << 3 | 1, false), (31 << 3 | 7, false)] {
                let mut frame = [&MAGIC[..], &[0, descriptor]].concat();
                blocks(&mut frame, 1000);
                assert_eq!(decode(&frame, &mut vec![0; 1000]).is_ok(), fits, "{name} {descriptor}");
            }
            let single = |announced| decode(&zeros(1000, announced), &mut vec![0; 1000]);
            assert!(single(MAX_WINDOW as u32 + 1).is_err() && single(u32::MAX).is_err(), "{name}");
        }
        let most = MAX_WINDOW as u32;
        for (name, decode) in decoders() {
            assert_eq!(decode(&zeros(most, most), &mut vec![1; most as usize]), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_refused_at_every_byte() {
        let content: Vec<u8> = (0..3000u32).flat_map(|at| (at / 7 % 50).to_le_bytes()).collect();
        let frame = compress_to_vec(&content[..], CompressionLevel::Fastest);
        for (name, decode) in decoders() {
            let mut out = vec![0; content.len()];
            assert_eq!(decode(&frame, &mut out), Ok(()), "{name}");
            assert!(out == content, "{name}");
            for length in 0..frame.len() {
                assert!(decode(&frame[..length], &mut out).is_err(), "{name} {length} of {}", frame.len());
            }
        }
    }

    proptest! {
        /// Of any damage, no decoder takes it for other content than the other one does.
        #[test]
        fn damage_is_refused_or_read_alike(
            content in proptest::collection::vec(0u8..12, 0..600),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut frame = compress_to_vec(&content[..], CompressionLevel::Fastest);
            for (at, byte) in &damage {
                let at = MAGIC.len() + at.index(frame.len() - MAGIC.len());
                frame[at] = *byte;
            }
            let read: Vec<_> = decoders().iter().map(|(_, decode)| {
                let mut out = vec![0; content.len()];
                decode(&frame, &mut out).map(|()| out).ok()
            }).collect();
            if damage.is_empty() {
                prop_assert_eq!(&read, &vec![Some(content.clone()); read.len()]);
            }
            for pair in read.windows(2) {
                if let [Some(one), Some(other)] = pair {
                    prop_assert_eq!(one, other);
                }
            }
        }
    }
}
