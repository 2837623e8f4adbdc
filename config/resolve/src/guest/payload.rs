// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Unpacking a kernel: one of several formats, followed by the unpacked size.
//!
//! Which format a kernel has was chosen when it was configured (`CONFIG_KERNEL_LZ4` and the like);
//! its first bytes tell. All but gzip, which ends with the size anyway, have it appended (32 bits).

use std::io::Read;

/// A way of packing: its first bytes, its name.
const FORMATS: [(&[u8], Format); 4] = [
    (&[0x1f, 0x8b], Format::Gzip),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Format::Xz),
    (&[0x02, 0x21, 0x4c, 0x18], Format::Lz4),
    (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
];
/// Those that are not unpacked here, and their names.
const OTHERS: [(&[u8], &str); 3] = [(b"BZh", "bzip2"), (&[0x5d, 0, 0], "LZMA"), (&[0x89, b'L', b'Z', b'O'], "LZO")];

/// The largest kernel that is believed.
const LARGEST: usize = 1 << 30;
/// Bytes of the size at the end.
const SIZE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gzip,
    Xz,
    Lz4,
    Zstd,
}

/// Unpacks a payload.
pub(super) fn unpack(payload: &[u8]) -> Result<Vec<u8>, String> {
    if payload.starts_with(b"\x7fELF") {
        return Ok(payload.to_vec());
    }
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| payload.starts_with(magic)) {
        return Err(format!("a bzImage that is packed with {name}, which is not supported"));
    }
    let found = FORMATS.iter().find(|(magic, _)| payload.starts_with(magic));
    let Some((_, format)) = found else {
        return Err("a bzImage that is packed in a way that is not known here".to_owned());
    };
    let Some((packed, size)) = payload.split_last_chunk::<SIZE>() else {
        return Err("a bzImage whose payload is cut off".to_owned());
    };
    let size = u32::from_le_bytes(*size) as usize;
    if size > LARGEST {
        return Err(format!("a bzImage whose payload would be {} MiB unpacked", size >> 20));
    }
    let unpacked = match format {
        Format::Gzip => all(flate2::read::GzDecoder::new(payload), size),
        // The kernel's build filters x86 code (BCJ) before it is packed; the reader knows that.
        Format::Xz => all(lzma_rust2::XzReader::new(packed, false), size),
        // The old frame format, without the end mark and the checks of the new.
        Format::Lz4 => all(lz4_flex::frame::FrameDecoder::new(packed), size),
        Format::Zstd => match ruzstd::decoding::StreamingDecoder::new(packed) {
            Ok(reader) => all(reader, size),
            Err(error) => Err(error.to_string()),
        },
    };
    unpacked.map_err(|why| format!("a bzImage whose payload ({format:?}) can't be unpacked: {why}"))
}

/// Reads exactly what the size at the end promises.
fn all(packed: impl Read, size: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::with_capacity(size);
    packed.take(size as u64 + 1).read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
    if unpacked.len() != size {
        let than = if unpacked.len() < size { "less" } else { "more" };
        return Err(format!("{than} came out than the {size} bytes that it promises"));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn kernel() -> Vec<u8> {
        (0..300_000u32).flat_map(|word| (word / 7).to_le_bytes()).collect()
    }

    /// Packed in each format, with the size behind.
    fn packed() -> [(Format, Vec<u8>); 4] {
        let kernel = kernel();
        let size = (kernel.len() as u32).to_le_bytes();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&kernel).unwrap();
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.prepend_pre_filter(lzma_rust2::FilterType::BcjX86, 0);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(&kernel).unwrap();
        let mut lz4 = vec![0x02, 0x21, 0x4c, 0x18];
        for block in kernel.chunks(8 << 20) {
            let block = lz4_flex::block::compress(block);
            lz4.extend((block.len() as u32).to_le_bytes());
            lz4.extend(block);
        }
        let zstd = ruzstd::encoding::compress_to_vec(&kernel[..], ruzstd::encoding::CompressionLevel::Fastest);
        [
            (Format::Gzip, gzip.finish().unwrap()),
            (Format::Xz, [xz.finish().unwrap(), size.to_vec()].concat()),
            (Format::Lz4, [lz4, size.to_vec()].concat()),
            (Format::Zstd, [zstd, size.to_vec()].concat()),
        ]
    }

    #[test]
    fn every_format_comes_out_whole() {
        for (format, payload) in packed() {
            let file = super::super::bzimage::tests::bzimage(&payload);
            let found = super::super::bzimage::payload(&file).unwrap();
            assert!(unpack(found).unwrap() == kernel(), "{format:?}");
        }
    }

    #[test]
    fn what_is_cut_or_lies_is_refused() {
        for (format, payload) in packed() {
            let cut = [&payload[..payload.len() / 2], &payload[payload.len() - 4..]].concat();
            assert!(unpack(&cut).is_err(), "{format:?}, half of it");
            for promise in [0u32, 1_199_999, 1_200_001, u32::MAX] {
                let mut lie = payload.clone();
                let at = lie.len() - 4;
                lie[at..].copy_from_slice(&promise.to_le_bytes());
                assert!(unpack(&lie).is_err(), "{format:?}, {promise} promised");
            }
        }
        assert!(unpack(b"BZh91AY").unwrap_err().contains("bzip2"));
        assert!(unpack(b"nothing").unwrap_err().contains("not known"));
        assert!(unpack(&[0x1f, 0x8b]).is_err());
    }
}
