//! Data sets that are right: their rows, units and splits.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use host_train::data::{self, DataSpec, Dataset, LabelColumn, Split, ValueKind};
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

/// The rows of a part as levels, in its order.
fn levels(part: &Dataset) -> Vec<Vec<u16>> {
    (0..part.len()).map(|row| part.row_levels(row).unwrap()).collect()
}

fn optdigits(change: impl FnOnce(&mut DataSpec)) -> Split {
    let mut spec = DataSpec::new("optdigits");
    change(&mut spec);
    data::load(&spec, Path::new("/nowhere")).unwrap()
}

#[test]
fn optical_digits_are_split_by_writer() {
    let split = optdigits(|spec| spec.validation_rows = 400.into());
    let Split {
        train,
        validation,
        test,
        ..
    } = &split;
    assert_eq!((train.len(), validation.len(), test.len()), (3423, 400, 1797));
    assert_eq!(
        (test.name.as_str(), test.dim, test.levels()),
        ("optdigits", 64, Some(17))
    );
    // Sums of all pixels of UCI's two files.
    let total = |rows: &[Vec<u16>]| rows.iter().flatten().map(|&level| u64::from(level)).sum::<u64>();
    let learned = [levels(train), levels(validation)].concat();
    assert_eq!((total(&learned), total(&levels(test))), (1_204_758, 561_718));
    // No two images of the whole set are the same, so none is in two parts.
    let every: HashSet<Vec<u16>> = learned.into_iter().chain(levels(test)).collect();
    assert_eq!(every.len(), 5620);
}

#[test]
fn the_test_rows_are_the_shipped_digits_in_order() {
    let test = optdigits(|_| ()).test;
    #[rustfmt::skip]
    assert_eq!(test.row_levels(0).unwrap(), [
        0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0,
        0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0,
    ]);
    let digits = data::load(&DataSpec::new("digits"), Path::new(".")).unwrap();
    let mut sorted = levels(&test);
    sorted.sort();
    assert_eq!(sorted, all_levels(&digits));
}

#[test]
fn the_seed_draws_the_validation_rows_of_optical_digits() {
    let [none, some, other] = [(0, 0), (400, 0), (400, 1)].map(|(rows, seed)| {
        optdigits(|spec| {
            spec.validation_rows = rows.into();
            spec.split_seed = seed;
        })
    });
    assert_eq!((none.train.len(), none.validation.len()), (3823, 0));
    assert_eq!(none.test, some.test);
    assert_eq!(none.test, other.test);
    let sorted = |split: &Split| {
        let mut rows = levels(&split.validation);
        rows.sort();
        rows
    };
    assert_ne!(sorted(&some), sorted(&other));
    // Row 0 of UCI's file, a zero, is for training.
    #[rustfmt::skip]
    let first = [
        0, 1, 6, 15, 12, 1, 0, 0, 0, 7, 16, 6, 6, 10, 0, 0, 0, 8, 16, 2, 0, 11, 2, 0, 0, 5, 16, 3, 0, 5, 7, 0,
        0, 7, 13, 3, 0, 8, 7, 0, 0, 4, 12, 0, 1, 13, 5, 0, 0, 0, 14, 9, 15, 9, 0, 0, 0, 0, 6, 14, 7, 1, 0, 0,
    ];
    assert_eq!(levels(&none.train).iter().filter(|row| **row == first).count(), 1);
}

#[test]
fn rows_of_a_file_take_the_units_of_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.csv");
    fs::write(&path, "4,2,0\n1,3,4\n").unwrap();
    let like = load("d.csv", b"0,4,0\n4,0,4\n", |spec| spec.levels = Some(5)).test;
    let rows = data::load_rows(&path, &like).unwrap();
    assert_eq!(rows.rows, [1.0, 0.0, -1.0, -0.5, 0.5, 1.0]);
    fs::write(&path, "4,2,5\n").unwrap();
    let error = data::load_rows(&path, &like).unwrap_err().to_string();
    assert!(
        error.ends_with("field 3: 5 is above the levels 0 to 4; correct the value or `levels`"),
        "{error}"
    );
    fs::write(&path, "4,2\n").unwrap();
    let error = data::load_rows(&path, &like).unwrap_err().to_string();
    assert!(
        error.ends_with("has 2 values a row where the data has 3: give rows of the same data set"),
        "{error}"
    );
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
        spec.label_column = Some(LabelColumn::Last);
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
            spec.array = asked.map(str::to_owned).into_iter().collect();
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

#[test]
fn bounded_values_are_brought_to_their_range() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("angles.csv"), "0,90\n180,45\n90,135\n20,10\n").unwrap();
    let spec = |range: [f64; 2]| DataSpec {
        range: Some(range),
        ..DataSpec::new("angles.csv")
    };
    let split = data::load(&spec([0.0, 180.0]), folder.path()).unwrap();
    let mut rows = [split.train.rows.clone(), split.test.rows.clone()].concat();
    rows.sort_by(f32::total_cmp);
    assert_eq!((rows[0], rows[4], rows[7]), (-1.0, 0.0, 1.0));
    let error = |spec: &DataSpec| data::load(spec, folder.path()).unwrap_err().to_string();
    let outside = error(&spec([0.0, 100.0]));
    assert!(
        outside.ends_with("row 2, field 1: 180 is not between 0 and 100; correct the value or `range`"),
        "{outside}"
    );
    assert!(error(&spec([3.0, 3.0])).contains("the least and the greatest value"));
    let both = DataSpec {
        levels: Some(5),
        ..spec([0.0, 180.0])
    };
    assert!(error(&both).contains("levels have their own"));
    let digits = DataSpec {
        source: vec!["digits".into()],
        ..spec([0.0, 16.0])
    };
    assert!(error(&digits).contains("levels have their own"));
}

#[test]
fn halves_and_bits_are_read() {
    let halves = [0.0, 1.0, 2.0, 3.0].map(half::f16::from_f32);
    let split = load("d.npy", &npy(&[2, 2], npyz::Order::C, halves), |spec| {
        spec.levels = Some(4)
    });
    assert_eq!(all_levels(&split), [[0, 1], [2, 3]]);
    let split = load(
        "d.npy",
        &npy(&[2, 2], npyz::Order::C, [true, false, false, true]),
        |spec| {
            spec.levels = Some(2);
        },
    );
    assert_eq!(all_levels(&split), [[0, 1], [1, 0]]);
}
