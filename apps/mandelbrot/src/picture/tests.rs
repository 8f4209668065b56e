use super::*;
use crate::kernel::render;

#[test]
fn the_bytes_of_a_png_do_not_depend_on_the_size_and_order_of_tiles() {
    let view = View { center: (-0.7453, 0.1127), half_width: 6.5e-4, size: (150, 97), iterations: 500 };
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (edge, backwards) in [(150, false), (32, true), (7, false), (64, true)] {
        let mut picture = Picture::new(view.clone(), Layers::Smooth);
        let mut tiles = view.tiles(edge);
        if backwards {
            tiles.reverse();
        }
        for tile in tiles {
            picture.put(tile, &render(&view, tile, &|| false).unwrap()).unwrap();
        }
        let path = directory.path().join(format!("{edge}.png"));
        picture.write_png(&path, &Palette::default(), 1).unwrap();
        files.push(fs::read(path).unwrap());
    }
    assert!(files.iter().all(|file| file == &files[0]));
}

#[test]
fn a_png_can_be_read_and_says_where_it_was_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("home.png");
    let picture = home((90, 60));
    for (shrink, size) in [(1, (90, 60)), (4, (22, 15))] {
        let palette = Palette::by_name("ember").unwrap();
        picture.write_png(&path, &palette, shrink).unwrap();
        let decoder = png::Decoder::new(io::BufReader::new(File::open(&path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let info = reader.info();
        assert_eq!((info.width, info.height), size);
        assert!(info.srgb.is_some());
        let text = |keyword: &str| {
            let chunk = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword);
            chunk.map(|chunk| chunk.text.clone())
        };
        assert_eq!(text("View").unwrap().parse::<View>().as_ref(), Ok(picture.view()));
        assert_eq!(text("Palette").as_deref(), Some("ember"));
        // The middle of the picture lies in the set.
        let middle = (size.1 / 2 * size.0 + size.0 / 2) as usize * 3;
        assert_eq!(pixels[middle..middle + 3], palette.inside());
    }
}

#[test]
fn raw_counts_are_little_endian_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("home.raw");
    let picture = home((90, 60));
    picture.write_raw(&path).unwrap();
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len(), 90 * 60 * 4);
    let counts: Vec<u32> = bytes.chunks(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(picture.counts(), Some(&counts[..]));
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("picture.png");
    fs::write(&path, "old").unwrap();
    let result = replace(&path, |file| {
        file.write_all(&[7; 1 << 20])?;
        Err(io::ErrorKind::StorageFull.into())
    });
    assert!(matches!(result, Err(WriteError::System { advice: Advice::Full, .. })), "{result:?}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    replace(&path, |file| file.write_all(b"new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn errors_name_the_path_and_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let picture = home((8, 8));
    let nowhere = directory.path().join("missing").join("home.png");
    let error = picture.write_png(&nowhere, &Palette::default(), 1).unwrap_err();
    assert!(matches!(error, WriteError::System { advice: Advice::NoDirectory, .. }));
    assert!(error.to_string().contains("missing") && error.to_string().contains("create it"), "{error}");
    assert!(matches!(probe(directory.path()), Err(WriteError::NotAFile { what: "a directory", .. })));
    #[cfg(unix)]
    assert!(matches!(probe("/dev/null".as_ref()), Err(WriteError::NotAFile { .. })));
    assert!(probe(&directory.path().join("home.png")).is_ok());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(matches!(
        picture.write_png(&directory.path().join("a.png"), &Palette::default(), 9),
        Err(WriteError::Shrink { .. })
    ));
}

#[test]
fn what_a_picture_does_not_keep_it_does_not_write() {
    let picture = Picture::new(home((8, 8)).view, Layers::Counts);
    assert!(matches!(picture.write_png("a.png".as_ref(), &Palette::default(), 1), Err(WriteError::Layer { .. })));
    let picture = Picture::new(home((8, 8)).view, Layers::Smooth);
    assert!(matches!(picture.write_raw("a.raw".as_ref()), Err(WriteError::Layer { .. })));
}

#[test]
fn tiles_that_do_not_fit_change_nothing() {
    let mut picture = home((8, 8));
    let before = picture.clone();
    let good = render(&picture.view, Tile { x: 0, y: 0, width: 4, height: 4 }, &|| false).unwrap();
    for tile in [Tile { x: 5, y: 0, width: 4, height: 4 }, Tile { x: u32::MAX, y: 0, width: 4, height: 4 }] {
        assert_eq!(picture.put(tile, &good), Err(PutError::Outside { tile }));
    }
    let tile = Tile { x: 0, y: 0, width: 4, height: 5 };
    assert_eq!(picture.put(tile, &good), Err(PutError::Incomplete { tile, length: 16, expected: 20 }));
    assert_eq!(picture, before);
}

#[test]
fn a_shrunken_pixel_has_the_light_of_its_square() {
    let mut blend = Blend::new(1, 2);
    assert_eq!(blend.add(&[0, 0, 0, 255, 255, 255]), None);
    // Half of the light of white is 188, not 128.
    assert_eq!(blend.add(&[255, 255, 255, 0, 0, 0]), Some(vec![188, 188, 188]));
    assert_eq!(blend.add(&[10, 20, 30, 10, 20, 30]), None);
    assert_eq!(blend.add(&[10, 20, 30, 10, 20, 30]), Some(vec![10, 20, 30]));
}

fn home(size: (u32, u32)) -> Picture {
    let view = View { center: (-0.75, 0.0), half_width: 1.5, size, iterations: 200 };
    let mut picture = Picture::new(view.clone(), Layers::Both);
    picture.put(view.whole(), &render(&view, view.whole(), &|| false).unwrap()).unwrap();
    picture
}
