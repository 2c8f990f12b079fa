//! One array in the npy format (NEP 1, versions 1 to 3): a magic, a Python dictionary
//! `{'descr', 'fortran_order', 'shape'}` and the values. Read here and not by a general
//! Python-literal parser, which could be driven into deep recursion; sizes are checked before
//! anything is allocated.

use half::f16;
use std::io::Read;

/// How every npy file begins.
pub const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is looked at; NumPy writes under 200 bytes for plain arrays.
const MAX_HEADER: usize = 4096;
/// Bytes decoded at a time; whole values of every width.
const PIECE: usize = 1 << 16;
/// Most dimensions (NumPy's own limit).
const MAX_RANK: usize = 64;

/// Values in row-major order: floats up to 32 bits as f32, integers as i64 or u64.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    U64(Vec<u64>),
}

/// What the header says.
#[derive(Clone, Debug)]
pub struct Header {
    kind: u8,
    width: usize,
    big_endian: bool,
    fortran: bool,
    pub shape: Vec<usize>,
    /// Product of `shape`.
    pub len: usize,
    /// Where the values begin.
    start: usize,
}

/// Reads a header of at most `max_elements` values.
///
/// # Errors
/// What is wrong with it.
pub fn header(bytes: &[u8], max_elements: usize) -> Result<Header, String> {
    let truncated = || "it ends within its header".to_string();
    if !bytes.starts_with(MAGIC) {
        return Err("it does not begin with the npy magic".into());
    }
    let (size, at) = match bytes.get(6).ok_or_else(truncated)? {
        1 => (bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))), 10),
        2 | 3 => (bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize), 12),
        version => return Err(format!("npy version {version} is unknown")),
    };
    let size = size.ok_or_else(truncated)?;
    if size > MAX_HEADER {
        return Err(format!("its header of {size} bytes is longer than the limit of {MAX_HEADER}"));
    }
    let text = bytes.get(at..at + size).ok_or_else(truncated)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is not text".to_string())?;
    let descr = field(text, "descr").and_then(quoted).ok_or("its type is not a plain number (structured or object array)")?;
    let fortran = match field(text, "fortran_order").unwrap_or_default() {
        order if order.starts_with("True") => true,
        order if order.starts_with("False") => false,
        _ => return Err("its header has no fortran_order".into()),
    };
    let shape = field(text, "shape").and_then(tuple).ok_or("its header has no readable shape")?;
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= max_elements);
    let len = len.ok_or_else(|| format!("its shape {shape:?} has more than {max_elements} elements"))?;
    let (kind, width, big_endian) = number_type(descr).ok_or_else(|| unknown_type(descr))?;
    Ok(Header { kind, width, big_endian, fortran, shape, len, start: at + size })
}

/// The text after `'name':`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let at = text.find(&format!("'{name}'"))? + name.len() + 2;
    Some(text.get(at..)?.trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text.get(1..)?.split(quote).next()
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.split(')').next()?;
    let parts = inner.split(',').map(str::trim).filter(|p| !p.is_empty());
    let shape: Option<Vec<usize>> = parts.map(|p| p.trim_end_matches('L').parse().ok()).collect();
    shape.filter(|s| s.len() <= MAX_RANK)
}

/// Kind (`f`, `i`, `u`, `b`), bytes per value and byte order.
fn number_type(descr: &str) -> Option<(u8, usize, bool)> {
    let &[order, kind, ref width @ ..] = descr.as_bytes() else { return None };
    let width: usize = std::str::from_utf8(width).ok()?.parse().ok()?;
    let valid = match kind {
        b'f' => matches!(width, 2 | 4 | 8),
        b'i' | b'u' => matches!(width, 1 | 2 | 4 | 8),
        b'b' => width == 1,
        _ => false,
    };
    (valid && matches!(order, b'<' | b'>' | b'|' | b'=')).then_some((kind, width, order == b'>'))
}

/// What is said of a type that is not a number.
fn unknown_type(descr: &str) -> String {
    match descr.as_bytes().get(1) {
        Some(b'U' | b'S' | b'a') => format!("its type `{descr}` is text"),
        Some(b'O') => format!("its type `{descr}` is not a plain number (Python objects)"),
        _ => format!("its type `{descr}` is not supported; use float32"),
    }
}

impl Header {
    /// Bytes of the whole array, header included.
    pub fn total_bytes(&self) -> usize {
        self.start.saturating_add(self.len.saturating_mul(self.width))
    }

    /// Compares the length of the whole array with what the header declares.
    ///
    /// # Errors
    /// Where they differ.
    pub fn check_length(&self, found: u64) -> Result<(), String> {
        let expected = self.total_bytes();
        if found == expected as u64 {
            return Ok(());
        }
        Err(format!("shape {:?} needs {expected} bytes, but there are {found}: truncated or damaged", self.shape))
    }

    /// Where the values begin.
    pub fn start(&self) -> u64 {
        self.start as u64
    }

    /// Whether consecutive samples lie side by side.
    pub fn is_row_major(&self) -> bool {
        !self.fortran || self.shape.len() < 2
    }

    /// Bytes of one value.
    pub fn width(&self) -> u64 {
        self.width as u64
    }

    /// Decodes all values; `source` is where they begin.
    ///
    /// # Errors
    /// Where there are fewer or more bytes than declared.
    pub fn values(&self, source: &mut impl Read) -> Result<Values, String> {
        let values = self.stored(source, self.len)?;
        match source.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => {
                return Err(format!("shape {:?} needs {} bytes, but there are more: damaged", self.shape, self.total_bytes()));
            }
            Err(e) => return Err(format!("damaged: {e}")),
        }
        if self.is_row_major() {
            return Ok(values);
        }
        Ok(match values {
            Values::F32(v) => Values::F32(self.transposed(&v)),
            Values::F64(v) => Values::F64(self.transposed(&v)),
            Values::I64(v) => Values::I64(self.transposed(&v)),
            Values::U64(v) => Values::U64(self.transposed(&v)),
        })
    }

    /// Decodes the next `n` values as they are stored.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn stored(&self, source: &mut impl Read, n: usize) -> Result<Values, String> {
        Ok(match (self.kind, self.width) {
            (b'f', 2) => Values::F32(self.each(source, n, |b| f16::from_le_bytes(b).to_f32())?),
            (b'f', 4) => Values::F32(self.each(source, n, f32::from_le_bytes)?),
            (b'f', _) => Values::F64(self.each(source, n, f64::from_le_bytes)?),
            (b'i', 1) => Values::I64(self.each(source, n, |b| i8::from_le_bytes(b).into())?),
            (b'i', 2) => Values::I64(self.each(source, n, |b| i16::from_le_bytes(b).into())?),
            (b'i', 4) => Values::I64(self.each(source, n, |b| i32::from_le_bytes(b).into())?),
            (b'i', _) => Values::I64(self.each(source, n, i64::from_le_bytes)?),
            (b'b', _) => Values::I64(self.each(source, n, |[b]: [u8; 1]| i64::from(b != 0))?),
            (_, 1) => Values::I64(self.each(source, n, |[b]: [u8; 1]| b.into())?),
            (_, 2) => Values::I64(self.each(source, n, |b| u16::from_le_bytes(b).into())?),
            (_, 4) => Values::I64(self.each(source, n, |b| u32::from_le_bytes(b).into())?),
            _ => Values::U64(self.each(source, n, u64::from_le_bytes)?),
        })
    }

    fn each<const N: usize, T>(
        &self,
        source: &mut impl Read,
        n: usize,
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, String> {
        let mut values = Vec::with_capacity(n);
        let mut piece = vec![0; PIECE.min(n * N)];
        while values.len() < n {
            let bytes = ((n - values.len()) * N).min(PIECE);
            source.read_exact(&mut piece[..bytes]).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    format!(
                        "shape {:?} needs {} bytes, but there are fewer: truncated or damaged",
                        self.shape,
                        self.total_bytes()
                    )
                }
                _ => format!("damaged: {e}"),
            })?;
            let one = |&(mut value): &[u8; N]| {
                if self.big_endian {
                    value.reverse();
                }
                convert(value)
            };
            values.extend(piece[..bytes].as_chunks::<N>().0.iter().map(one));
        }
        Ok(values)
    }

    /// What was stored with the first axis fastest, row by row.
    fn transposed<T: Copy>(&self, stored: &[T]) -> Vec<T> {
        // walks the row-major order and keeps the stored position
        let mut strides = vec![1usize; self.shape.len()];
        for axis in 1..self.shape.len() {
            strides[axis] = strides[axis - 1] * self.shape[axis - 1];
        }
        let mut index = vec![0usize; self.shape.len()];
        let mut at = 0;
        let mut values = Vec::with_capacity(stored.len());
        for _ in 0..stored.len() {
            values.push(stored[at]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        values
    }
}
