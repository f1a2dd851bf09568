//! NumPy arrays: one in an `.npy`, several in an `.npz`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::npz::NpzArchive;
use npyz::{DType, NpyFile, NpyHeader, Order, TypeChar};

use super::error::DataError;
use super::label::label_position;
use super::options::ReadOptions;
use super::table::{Origin, RawLabel, RawTable, is_finite, unreadable};

/// Reads the array of an `.npy` file.
pub(super) fn read_npy(path: &Path, options: &ReadOptions) -> Result<RawTable, DataError> {
    let file = path.display().to_string();
    let open = || {
        let mut reader = BufReader::new(File::open(path)?);
        let header = NpyHeader::from_reader(&mut reader)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok((header, bytes))
    };
    let (header, bytes) = open().map_err(|error| unreadable(&file, &error))?;
    to_table(file, header, &bytes, options)
}

/// Reads the arrays that the options name of an `.npz` file, one after the other, or its only one.
pub(super) fn read_npz(path: &Path, options: &ReadOptions) -> Result<RawTable, DataError> {
    let file = path.display().to_string();
    let mut archive = NpzArchive::open(path).map_err(|error| unreadable(&file, &error))?;
    let mut names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    names.sort();
    let mut chosen = options.arrays.clone();
    if let Some(asked) = chosen.iter().find(|asked| !names.contains(asked)) {
        let asked = asked.clone();
        return Err(DataError::UnknownArray { file, asked, names });
    }
    if chosen.is_empty() {
        match names.as_slice() {
            [] => return Err(DataError::Empty { file }),
            [only] => chosen = vec![only.clone()],
            _ => return Err(DataError::AmbiguousArray { file, names }),
        }
    }
    let mut whole: Option<RawTable> = None;
    for name in &chosen {
        let mut open = || {
            let array = archive.by_name(name)?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            let header = array.header().clone();
            let mut bytes = Vec::new();
            array.into_inner().read_to_end(&mut bytes)?;
            Ok((header, bytes))
        };
        let (header, bytes) = open().map_err(|error| unreadable(&file, &error))?;
        let table = to_table(format!("{file}, array {name:?}"), header, &bytes, options)?;
        match &mut whole {
            Some(whole) => whole.append(table)?,
            None => whole = Some(table),
        }
    }
    whole.ok_or(DataError::Empty { file })
}

/// Makes a table of an array: rows are the first axis, and the axes that follow are one row's values.
fn to_table(file: String, header: NpyHeader, bytes: &[u8], options: &ReadOptions) -> Result<RawTable, DataError> {
    let shape = header.shape().to_vec();
    if shape.len() < 2 {
        return Err(DataError::Rank { file, shape });
    }
    let (order, strides) = (header.order(), header.strides().to_vec());
    let count = element_count(&file, &header, bytes.len())?;
    if count == 0 {
        return Err(DataError::Empty { file });
    }
    let stored = elements(&file, header, bytes)?;
    let rows = shape[0] as usize;
    let width = count / rows;
    let label = label_position(&file, options.label.as_ref(), width, &[])?;
    let mut table = RawTable::new(&file);
    table.dim = width - usize::from(label.is_some());
    table.label = label.map(RawLabel::new);
    for row in 0..rows {
        let mut place = 0;
        for column in 0..width {
            let value = match order {
                Order::C => stored[row * width + column],
                Order::Fortran => stored[fortran_position(row, column, &shape, &strides)],
            };
            match &mut table.label {
                Some(label) if label.index == column => label.texts.push(value.to_string()),
                _ if !is_finite(value) => {
                    return Err(DataError::NotFinite {
                        file,
                        row: row as u64 + 1,
                        field: table.field(place),
                        found: value.to_string(),
                    });
                }
                _ => {
                    table.values.push(value);
                    place += 1;
                }
            }
        }
        table.origins.push(Origin {
            file: 0,
            row: row as u64 + 1,
        });
    }
    Ok(table)
}

/// Position at which column `column` (counted in C order over the axes after the first) of `row` is stored.
fn fortran_position(row: usize, column: usize, shape: &[u64], strides: &[u64]) -> usize {
    let mut rest = column;
    let mut position = row * strides[0] as usize;
    for (extent, stride) in shape.iter().zip(strides).skip(1).rev() {
        position += rest % *extent as usize * *stride as usize;
        rest /= *extent as usize;
    }
    position
}

/// Number of elements, after checking that `available` bytes hold as many: a damaged header may claim anything.
fn element_count(file: &str, header: &NpyHeader, available: usize) -> Result<usize, DataError> {
    let size = header.dtype().num_bytes().unwrap_or(0) as u64;
    let count = header
        .shape()
        .iter()
        .try_fold(1u64, |product, extent| product.checked_mul(*extent));
    match count.and_then(|count| count.checked_mul(size)) {
        Some(needed) if needed <= available as u64 => Ok(count.unwrap_or(0) as usize),
        _ => Err(DataError::Unreadable {
            file: file.to_owned(),
            reason: format!(
                "its header promises shape {:?} but only {available} bytes follow",
                header.shape()
            ),
        }),
    }
}

/// All elements in the order of the file.
fn elements(file: &str, header: NpyHeader, bytes: &[u8]) -> Result<Vec<f64>, DataError> {
    let dtype = header.dtype();
    let scalar = match &dtype {
        DType::Plain(scalar) => Some((scalar.type_char(), scalar.size_field())),
        _ => None,
    };
    let array = NpyFile::with_header(header, bytes);
    // Above 2⁵³ a 64-bit integer loses digits here; the model's f32 has fewer anyway.
    macro_rules! read {
        ($element:ty) => {
            array
                .into_vec::<$element>()
                .map(|all| all.into_iter().map(|x| x as f64).collect())
        };
    }
    let read = match scalar {
        Some((TypeChar::Bool, 1)) => array
            .into_vec::<bool>()
            .map(|all| all.into_iter().map(|x| f64::from(u8::from(x))).collect()),
        Some((TypeChar::Float, 2)) => array
            .into_vec::<half::f16>()
            .map(|all| all.into_iter().map(f64::from).collect()),
        Some((TypeChar::Float, 4)) => read!(f32),
        Some((TypeChar::Float, 8)) => read!(f64),
        Some((TypeChar::Int, 1)) => read!(i8),
        Some((TypeChar::Int, 2)) => read!(i16),
        Some((TypeChar::Int, 4)) => read!(i32),
        Some((TypeChar::Int, 8)) => read!(i64),
        Some((TypeChar::Uint, 1)) => read!(u8),
        Some((TypeChar::Uint, 2)) => read!(u16),
        Some((TypeChar::Uint, 4)) => read!(u32),
        Some((TypeChar::Uint, 8)) => read!(u64),
        _ => {
            return Err(DataError::ElementType {
                file: file.to_owned(),
                found: dtype.descr(),
            });
        }
    };
    read.map_err(|error| unreadable(file, &error))
}
