//! The text of a CSV file: decompressed where its first bytes say that it is compressed, whatever its name, and in UTF-8
//! whatever it is written in. What begins like another kind of file is refused by its name. The byte that a row begins at
//! is counted in this text.

use std::io;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, ZstdDecoder};
use bytes::{Buf, Bytes, BytesMut};
use encoding_rs::{Decoder, DecoderResult};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::super::error::SourceError;
use super::super::file::SourceBytes;
use crate::spec::{CsvOptions, Encoding};

type Chunks = BoxStream<'static, Result<Bytes, SourceError>>;

/// Bytes that tell a kind of file.
const KIND_BYTES: usize = 16;

/// How SAS begins its transport files (XPT) and its data files (SAS7BDAT).
const SAS_TRANSPORT: &[u8] = b"HEADER RECORD***";
const SAS_DATA: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2, 0xea, 0x81, 0x60];
/// What to do with them.
pub(crate) const FROM_SAS: &str = "export it as csv or parquet";

const WINDOWS_1252: &str = "windows-1252";
const ISO_8859_15: &str = "iso-8859-15";

/// The five bytes that are no character of windows-1252.
const NOT_WINDOWS_1252: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// The text in chunks of about so many bytes.
pub(super) fn chunks(bytes: SourceBytes, csv: &CsvOptions, chunk_bytes: usize) -> Chunks {
    let (file, encoding) = (bytes.name.clone(), csv.encoding);
    let opened = async move {
        let (first, raw) = begun(bytes.chunks(chunk_bytes)).await?;
        let plain = match decompressed(&file, &first, raw, chunk_bytes) {
            (true, text) => {
                let (first, text) = begun(text).await?;
                check_kind(&file, &first)?;
                (first, text)
            }
            (false, raw) => {
                check_kind(&file, &first)?;
                (first, raw)
            }
        };
        decoded(file, &plain.0, plain.1, encoding)
    };
    stream::once(opened).try_flatten().boxed()
}

/// The first bytes, and all of the stream.
async fn begun(mut chunks: Chunks) -> Result<(Bytes, Chunks), SourceError> {
    let mut first = BytesMut::new();
    while first.len() < KIND_BYTES {
        match chunks.try_next().await? {
            Some(chunk) => first.extend_from_slice(&chunk),
            None => break,
        }
    }
    let first = first.freeze();
    let again = stream::iter((!first.is_empty()).then(|| Ok(first.clone())));
    Ok((first, again.chain(chunks).boxed()))
}

/// The stream, decompressed if its first bytes say so; and whether they do.
fn decompressed(file: &str, first: &[u8], raw: Chunks, chunk_bytes: usize) -> (bool, Chunks) {
    let reader = StreamReader::new(raw.map_err(io::Error::other).boxed());
    let decoder: Box<dyn AsyncRead + Send + Unpin> = match first {
        [0x1f, 0x8b, ..] => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = ZstdDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', ..] => {
            let mut decoder = BzDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        _ => return (false, reader.into_inner().map_err(own_error(file)).boxed()),
    };
    let chunks = ReaderStream::with_capacity(decoder, chunk_bytes);
    (true, chunks.map_err(own_error(file)).boxed())
}

/// An error of reading as it was before it went through a decoder.
fn own_error(file: &str) -> impl Fn(io::Error) -> SourceError + Send + 'static {
    let file = file.to_owned();
    move |error| match error.downcast::<SourceError>() {
        Ok(own) => own,
        Err(source) => SourceError::Compression {
            file: file.clone(),
            source,
        },
    }
}

/// Refuses what begins like another kind of file.
fn check_kind(file: &str, first: &[u8]) -> Result<(), SourceError> {
    let (found, remedy) = match first {
        [b'P', b'A', b'R', b'1', ..] => ("parquet", "say format = \"parquet\""),
        [b'P', b'K', 3, 4, ..] => (
            "a zip archive, or a workbook of a spreadsheet",
            "unpack it, or save it as csv",
        ),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => ("a workbook of a spreadsheet", "save it as csv"),
        [0xfd, b'7', b'z', b'X', ..] => ("compressed with xz", "use gzip, zstd or bzip2, or decompress it"),
        [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..] => (
            "utf-16 without a byte order mark",
            "write it in utf-8, or with the mark",
        ),
        [b'H', b'E', b'A', b'D', ..] if first.starts_with(SAS_TRANSPORT) => ("a transport file of SAS", FROM_SAS),
        [0, 0, 0, 0, ..] if first.starts_with(SAS_DATA) => ("a data file of SAS", FROM_SAS),
        _ => return Ok(()),
    };
    Err(SourceError::NotCsv {
        file: file.to_owned(),
        found,
        remedy,
    })
}

/// The stream in UTF-8. A byte order mark says more than the description.
fn decoded(file: String, first: &[u8], text: Chunks, encoding: Encoding) -> Result<Chunks, SourceError> {
    let (characters, mark) = match (first, encoding) {
        ([0xff, 0xfe, ..], _) => (Characters::decoded("utf-16", encoding_rs::UTF_16LE), 2),
        ([0xfe, 0xff, ..], _) => (Characters::decoded("utf-16", encoding_rs::UTF_16BE), 2),
        ([0xef, 0xbb, 0xbf, ..], _) | (_, Encoding::Utf8) => return Ok(text),
        (_, Encoding::Utf16) => {
            return Err(SourceError::Characters {
                file,
                encoding: "utf-16 with a byte order mark",
            });
        }
        (_, Encoding::Windows1252) => (Characters::decoded(WINDOWS_1252, encoding_rs::WINDOWS_1252), 0),
        (_, Encoding::Iso8859_15) => (Characters::decoded(ISO_8859_15, encoding_rs::ISO_8859_15), 0),
        (_, Encoding::Iso8859_1) => (Characters::Latin1, 0),
    };
    let state = Transcoding {
        file,
        text,
        characters,
        mark,
        ended: false,
    };
    Ok(stream::try_unfold(state, |mut state| async move {
        Ok(state.next_chunk().await?.map(|chunk| (chunk, state)))
    })
    .boxed())
}

/// Whether a byte is a control character of ISO 8859 that no text has: in windows-1252 it is `€` or a quote.
fn is_control(byte: &u8) -> bool {
    (0x80..=0x9f).contains(byte)
}

/// How bytes become characters.
enum Characters {
    /// Each byte is the character of its number.
    Latin1,
    Decoded {
        name: &'static str,
        decoder: Decoder,
    },
}

impl Characters {
    fn decoded(name: &'static str, encoding: &'static encoding_rs::Encoding) -> Self {
        Self::Decoded {
            name,
            decoder: encoding.new_decoder_without_bom_handling(),
        }
    }
}

/// A file that is being put into UTF-8.
struct Transcoding {
    file: String,
    text: Chunks,
    characters: Characters,
    /// Bytes of the byte order mark, until they are left out.
    mark: usize,
    ended: bool,
}

impl Transcoding {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = self.text.try_next().await?;
        self.ended = chunk.is_none();
        if let Some(chunk) = &mut chunk {
            chunk.advance(std::mem::take(&mut self.mark));
        }
        let chunk = chunk.unwrap_or_default();
        match &mut self.characters {
            Characters::Latin1 if chunk.iter().any(is_control) => Err(SourceError::Characters {
                file: self.file.clone(),
                encoding: "iso-8859-1",
            }),
            Characters::Latin1 => Ok(Some(
                chunk.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
            )),
            Characters::Decoded { name, decoder } => {
                let undefined = match *name {
                    WINDOWS_1252 => chunk.iter().any(|byte| NOT_WINDOWS_1252.contains(byte)),
                    ISO_8859_15 => chunk.iter().any(is_control),
                    _ => false,
                };
                let mut text = String::new();
                text.reserve(
                    decoder
                        .max_utf8_buffer_length_without_replacement(chunk.len())
                        .unwrap_or(0),
                );
                let (result, _) = decoder.decode_to_string_without_replacement(&chunk, &mut text, self.ended);
                match result == DecoderResult::InputEmpty && !undefined {
                    true => Ok(Some(text.into())),
                    false => Err(SourceError::Characters {
                        file: self.file.clone(),
                        encoding: name,
                    }),
                }
            }
        }
    }
}
