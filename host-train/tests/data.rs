//! Data sets that are right: their rows, units and splits.

use std::fs;
use std::path::Path;

use host_train::data::{self, DataSpec, LabelColumn, Split, ValueKind};
use npyz::WriterBuilder;

fn load(name: &str, bytes: &[u8], change: impl FnOnce(&mut DataSpec)) -> Split {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    let mut spec = DataSpec::new(name);
    change(&mut spec);
    data::load(&spec, folder.path()).unwrap()
}

/// All rows as levels, sorted, so that the split does not matter.
fn all_levels(split: &Split) -> Vec<Vec<u16>> {
    let sides = [&split.train, &split.test];
    let mut rows: Vec<_> = sides
        .iter()
        .flat_map(|side| (0..side.len()).map(|row| side.row_levels(row).unwrap()))
        .collect();
    rows.sort();
    rows
}

#[test]
fn digits_are_cut_into_1500_and_297() {
    let split = data::load(&DataSpec::new("digits"), Path::new("/nowhere")).unwrap();
    assert_eq!((split.train.len(), split.test.len(), split.train.dim), (1500, 297, 64));
    assert_eq!((split.train.name.as_str(), split.train.levels()), ("digits", Some(17)));
    // The sum of all pixels of the published set.
    let total: u64 = all_levels(&split).iter().flatten().map(|&level| u64::from(level)).sum();
    assert_eq!(total, 561_718);
    assert_eq!(split, data::load(&DataSpec::new("digits"), Path::new(".")).unwrap());
    let other = data::load(
        &DataSpec {
            split_seed: 1,
            ..DataSpec::new("digits")
        },
        Path::new("."),
    )
    .unwrap();
    assert_ne!(split.test.rows, other.test.rows);
    assert_eq!(all_levels(&split), all_levels(&other));
}

#[test]
fn digits_look_like_digits() {
    let split = data::load(&DataSpec::new("digits"), Path::new(".")).unwrap();
    let pixels = split.test.row_bytes(0).unwrap();
    let picture: Vec<String> = pixels
        .chunks(data::builtin::DIGITS_SIDE)
        .map(|line| line.iter().map(|&k| b" .:*#"[usize::from(k) / 4] as char).collect())
        .collect();
    #[rustfmt::skip]
    assert_eq!(picture, [
        "  **.   ",
        " .***   ",
        "  . *   ",
        "    *.  ",
        "   .*   ",
        "  .**.  ",
        " .*###. ",
        " .***:  ",
    ]);
}

#[test]
fn levels_map_to_both_ends_and_back() {
    let split = load("d.csv", b"0,1,2\n2,1,0\n", |spec| spec.levels = Some(3));
    assert!(split.train.rows == [-1.0, 0.0, 1.0] || split.train.rows == [1.0, 0.0, -1.0]);
    let every: String = (0..=65534).map(|k| format!("{k}\n")).collect();
    let split = load("d.csv", every.as_bytes(), |spec| spec.levels = Some(65535));
    assert!(
        all_levels(&split)
            .iter()
            .enumerate()
            .all(|(k, row)| row[0] as usize == k)
    );
    assert_eq!(split.train.row_bytes(0), None);
}

#[test]
fn continuous_units_come_from_the_training_rows_alone() {
    let text: String = (0..100)
        .map(|i| format!("{},{}\n", i, 1000.0 - 0.5 * f64::from(i * i)))
        .collect();
    let Split { train, test, .. } = load("d.csv", text.as_bytes(), |_| ());
    assert_eq!((train.len(), test.len()), (90, 10));
    assert_eq!(train.kind, test.kind);
    for column in 0..2 {
        let values: Vec<f64> = (0..90).map(|row| f64::from(train.row(row)[column])).collect();
        let mean = values.iter().sum::<f64>() / 90.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 90.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    }
    let raw = test.kind.to_raw(test.row(3));
    assert!((raw[1] - (1000.0 - 0.5 * raw[0] * raw[0])).abs() < 0.1, "{raw:?}");
    assert!(matches!(test.kind, ValueKind::Continuous { .. }));
    assert_eq!((test.levels(), test.row_levels(0)), (None, None));
}

#[test]
fn labels_headers_quotes_and_blank_lines_are_read() {
    let text = b"\xef\xbb\xbf\"a\" , b,class\r\n\r\n 1,\"2\",cat\r\n3,0,dog\r\n";
    let split = load("d.CSV", text, |spec| {
        spec.levels = Some(4);
        spec.label_column = LabelColumn::Last;
    });
    assert_eq!(all_levels(&split), [[1, 2], [3, 0]]);
}

#[test]
fn compressed_csv_is_read() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"1,2\n3,0\n").unwrap();
    let split = load("d.csv.gz", &encoder.finish().unwrap(), |spec| spec.levels = Some(4));
    assert_eq!(all_levels(&split), [[1, 2], [3, 0]]);
}

fn npy<T: npyz::AutoSerialize>(shape: &[u64], order: npyz::Order, values: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn every_element_type_is_read() {
    macro_rules! check {
        ($($element:ty),*) => {$(
            let bytes = npy(&[2, 2], npyz::Order::C, [1 as $element, 2 as $element, 3 as $element, 0 as $element]);
            let split = load("d.npy", &bytes, |spec| spec.levels = Some(4));
            assert_eq!(all_levels(&split), [[1, 2], [3, 0]], stringify!($element));
        )*};
    }
    check!(f32, f64, u8, i8, u16, i16, u32, i32, u64, i64);
}

#[test]
fn arrays_of_images_are_flattened_in_either_order() {
    // Element (r, y, x) of a 2×2×3 array is 6r + 3y + x.
    let fortran = (0..3).flat_map(|x| (0..2).flat_map(move |y| (0..2).map(move |r| 6 * r + 3 * y + x)));
    for bytes in [
        npy(&[2, 2, 3], npyz::Order::C, 0..12),
        npy(&[2, 2, 3], npyz::Order::Fortran, fortran),
    ] {
        let split = load("d.npy", &bytes, |spec| spec.levels = Some(12));
        assert_eq!(all_levels(&split), [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]);
    }
}

#[test]
fn an_array_of_an_npz_is_read_by_name_or_because_it_is_alone() {
    for (names, asked) in [(&["x"][..], None), (&["x", "y"], Some("x"))] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = npyz::npz::NpzWriter::new(&mut bytes);
        for name in names {
            let options = Default::default();
            let array = writer
                .array::<u8>(name, options)
                .unwrap()
                .default_dtype()
                .shape(&[2, 2]);
            let mut array = array.begin_nd().unwrap();
            array.extend([1, 2, 3, 0]).unwrap();
            array.finish().unwrap();
        }
        drop(writer);
        let split = load("d.npz", &bytes.into_inner(), |spec| {
            spec.levels = Some(4);
            spec.array = asked.map(str::to_owned);
        });
        assert_eq!(all_levels(&split), [[1, 2], [3, 0]]);
    }
}

#[test]
fn rows_can_be_selected_in_any_order() {
    let train = data::load(&DataSpec::new("digits"), Path::new(".")).unwrap().train;
    let chosen = train.select(&[5, 0, 5]);
    assert_eq!(
        (chosen.len(), chosen.row(0), chosen.row(1)),
        (3, train.row(5), train.row(0))
    );
    assert!(train.select(&[]).is_empty());
}
