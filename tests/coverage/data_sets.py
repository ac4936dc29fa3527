"""Data sets: a reader of local files and a made-up stand-in for each."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "T01",
        "28×28 letters (notMNIST) and digits (MNIST)",
        "local reader + synthetic twin",
        (
            "tests/data/test_data.py::test_idx_reads_what_was_written",
            "tests/data/test_synthetic.py::test_images_have_the_form_of_the_real_ones",
            "tests/data/test_synthetic.py::test_letters_are_letters",
            "gx.data.mnist",
            "gx.data.synthetic.letters",
            "gx.data.synthetic.digits_28x28",
        ),
    ),
    Row(
        "T02",
        "CIFAR-10 (50000,32,32,3)",
        "no pickle",
        (
            "tests/data/test_data.py::test_cifar10_reads_the_binary_version",
            "tests/data/test_synthetic.py::test_shapes_can_be_told_apart",
            "gx.data.cifar10",
            "gx.data.synthetic.cifar_like",
        ),
    ),
    Row(
        "T03",
        "ImageNet",
        "folder reader",
        (
            "tests/data/test_readers.py::test_image_folder",
            "gx.data.image_folder",
            "gx.data.synthetic.cifar_like",
        ),
    ),
    Row(
        "T04",
        "COCO captions",
        "JSON reader",
        (
            "tests/data/test_readers.py::test_captions",
            "tests/data/test_synthetic.py::test_captions_say_what_is_there",
            "gx.data.captions",
            "gx.data.synthetic.captions",
        ),
    ),
    Row(
        "T05",
        "Wikipedia / web text",
        "text8-like reader",
        (
            "tests/data/test_readers.py::test_text",
            "tests/data/test_synthetic.py::test_languages_agree_word_by_word",
            "gx.data.text",
            "gx.data.synthetic.text",
        ),
    ),
    Row(
        "T06",
        "parallel text",
        "",
        (
            "tests/data/test_readers.py::test_aligned",
            "tests/data/test_synthetic.py::test_languages_agree_word_by_word",
            "gx.data.aligned",
            "gx.data.synthetic.aligned",
        ),
    ),
    Row(
        "T07",
        "speech",
        "WAV reader, mel features",
        (
            "tests/data/test_readers.py::test_wav",
            "tests/data/test_readers.py::test_log_mel_is_that_of_the_formula",
            "tests/data/test_synthetic.py::test_speech_can_be_read_from_its_tones",
            "gx.data.wav",
            "gx.data.synthetic.speech",
        ),
    ),
    Row(
        "T08",
        "Kaggle Higgs tabular",
        "CSV",
        (
            "tests/data/test_readers.py::test_csv_has_numbers_and_categories",
            "tests/data/test_synthetic.py::test_collisions_have_signals_at_one_mass_and_gaps",
            "gx.data.csv",
            "gx.data.synthetic.collisions",
        ),
    ),
    Row(
        "T09",
        "Street View house numbers",
        "MAT reader",
        (
            "tests/data/test_readers.py::test_mat",
            "tests/data/test_scenes.py::test_numbers_begin_at_the_left",
            "gx.data.mat",
            "gx.data.synthetic.house_numbers",
        ),
    ),
    Row(
        "T10",
        "cats / not cats",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_heads_are_told_from_the_rest",
            "gx.data.image_folder",
            "gx.data.synthetic.cats",
        ),
    ),
    Row(
        "T11",
        "house prices",
        "",
        (
            "tests/data/test_readers.py::test_csv_has_numbers_and_categories",
            "tests/data/test_synthetic.py::test_tables_have_their_documented_columns",
            "gx.data.csv",
            "gx.data.synthetic.houses",
        ),
    ),
    Row(
        "T12",
        "height/weight/sex table of the slides",
        "in the package",
        (
            "tests/data/test_synthetic.py::test_tables_have_their_documented_columns",
            "gx.data.synthetic.people",
        ),
    ),
    Row(
        "T13",
        "galaxies, whales, Chinese characters, traffic signs",
        "folder reader",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_synthetic.py::test_letters_are_letters",
            "tests/data/test_synthetic.py::test_shapes_can_be_told_apart",
            "gx.data.image_folder",
            "gx.data.synthetic.letters",
            "gx.data.synthetic.cifar_like",
        ),
    ),
    Row(
        "T14",
        "medical and neural-tissue images",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_every_pixel_has_its_answer",
            "gx.data.synthetic.tissue",
        ),
    ),
    Row(
        "T15",
        "satellite roads",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_every_pixel_has_its_answer",
            "gx.data.synthetic.roads",
        ),
    ),
    Row(
        "T16",
        "faces",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_heads_are_told_from_the_rest",
            "gx.data.synthetic.faces",
        ),
    ),
    Row(
        "T17",
        "paired images (maps, bags)",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_maps_are_of_their_pictures",
            "gx.data.synthetic.maps",
        ),
    ),
    Row(
        "T18",
        "unpaired images (horse, zebra)",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_animals_are_striped_in_one_set_alone",
            "gx.data.synthetic.unpaired",
        ),
    ),
    Row(
        "T19",
        "newspaper scans",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_scans_are_dark_where_letters_are",
            "gx.data.synthetic.scans",
        ),
    ),
    Row(
        "T20",
        "playground sets with x₁², x₂²",
        "generator in the package",
        (
            "tests/data/test_synthetic.py::test_playground_is_apart_where_it_should_be",
            "examples/playground.py",
            "gx.data.synthetic.playground",
        ),
    ),
    Row(
        "T21",
        "mail digits and cheques",
        "",
        (
            "tests/data/test_readers.py::test_image_folder",
            "tests/data/test_scenes.py::test_cheques_have_as_many_digits_as_asked",
            "gx.data.synthetic.cheques",
        ),
    ),
)
