import csv
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.commands.evaluate import main


def command(*arguments):
    code = "import sys; from medt_pipeline.commands.evaluate import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def folders(tmp_path):
    content = {
        "labels": {"a": [[1, 1, 0, 0]], "b": [[0, 0, 0, 0]], "c": [[2, 0, 0, 0]]},
        "masks": {"a": [[1, 0, 0, 0]], "b": [[0, 0, 0, 0]], "c": [[2, 0, 0, 0]]},
    }
    for folder, label_maps in content.items():
        (tmp_path / folder).mkdir()
        for name, label_map in label_maps.items():
            Image.fromarray(np.array(label_map, np.uint8)).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "labels", tmp_path / "masks"


def test_whole_way_through_the_real_command(folders):
    reference, predictions = folders
    done = command("-g", reference, "-p", predictions, "--labels", "gland=1,tumour=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [line.split() for line in done.stdout.splitlines()]
    assert "gland: 3 images (in both 1, in neither 2, false alarms 0, misses 0)" in done.stdout
    assert ["Dice", "0.6667", "–", "1", "0.6667", "–"] in lines
    assert ["Dice", "0.8333", "–", "0.8333", "–"] in lines
    with (predictions / "medt_scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    pixels = [repr(2 / 3), "0.5", "1.0", "0.5"]
    outlines = ["0.95", repr(1 / 3), "1.0"]
    assert list(rows[0].values()) == ["a", "a", "gland", "1", "both", *pixels, *outlines, "1", "0", "1", "2", "px"]
    assert ",".join(rows[0]) == (
        "image,group,label,value,case,dice,iou,precision,recall,hd95,assd,surface_dice,tp,fp,fn,tn,distance_unit"
    )
    assert (rows[2]["image"], rows[2]["case"], rows[2]["dice"]) == ("b", "neither", "")


def test_json_is_strict_and_complete(folders, tmp_path):
    reference, predictions = folders
    arguments = ["-g", str(reference), "-p", str(predictions), "-o", str(tmp_path / "new" / "scores")]
    assert main(arguments) == 0

    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    text = (tmp_path / "new" / "scores" / "medt_scores.json").read_text(encoding="utf-8")
    scores = json.loads(text, parse_constant=refuse)
    assert scores["convention"] == "zero_denominator_is_nan"
    assert scores["labels"] == {"1": 1, "2": 2}
    assert scores["images_scored"] == 3
    assert scores["classes"]["1"]["images_by_case"] == {"both": 1, "neither": 2, "false alarm": 0, "miss": 0}
    assert scores["classes"]["1"]["images_in_mean"]["dice"] == 1
    assert scores["classes"]["1"]["mean_interval"]["dice"] is None  # one image has a value
    assert scores["classes"]["1"]["counts"] == {"tp": 1, "fp": 0, "fn": 1, "tn": 10}
    assert scores["images"][1]["dice"] is None
    assert not (predictions / "medt_scores.json").exists()


def test_missing_predictions(folders, capsys):
    reference, predictions = folders
    (predictions / "c.png").unlink()
    Image.fromarray(np.zeros((1, 4), np.uint8)).save(predictions / "x.png")
    arguments = ["-g", str(reference), "-p", str(predictions)]
    assert main(arguments) == 2
    assert "(c)" in capsys.readouterr().err
    assert not (predictions / "medt_scores.json").exists()
    assert main([*arguments, "--allow-missing"]) == 1
    shown = capsys.readouterr().out
    assert "References without a prediction, in no score: 1 of 3 (c)" in shown
    assert "Predictions without a reference, in no score: 1 (x)" in shown
    scores = json.loads((predictions / "medt_scores.json").read_text(encoding="utf-8"))
    assert scores["references_without_prediction"] == ["c"]
    assert scores["predictions_without_reference"] == ["x"]


@pytest.mark.parametrize("labels", ["gland", "gland=", "=1", "gland=x", "gland=-1", "gland=1,gland=2", "gland=1,,b=2"])
def test_labels_that_cannot_be_read_are_refused(folders, labels, capsys):
    reference, predictions = folders
    with pytest.raises(SystemExit) as ended:
        main(["-g", str(reference), "-p", str(predictions), f"--labels={labels}"])
    assert ended.value.code == 2
    assert "--labels" in capsys.readouterr().err


def test_bad_input_ends_with_2_and_one_sentence(folders):
    reference, predictions = folders
    Image.fromarray(np.full((1, 4), 255, np.uint8)).save(reference / "a.png")
    done = command("-g", reference, "-p", predictions, "--labels", "gland=1,tumour=2")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "a.png holds the values 255" in done.stderr


def test_help_is_quick_and_shows_an_example():
    seconds = []
    for _ in range(4):  # the quickest counts: the machine may be busy, and the first call may compile bytecode
        start = time.perf_counter()
        done = command("--help")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5
    assert done.returncode == 0
    assert "medt_evaluate -g" in done.stdout


def test_help_imports_no_numpy():
    code = (
        "import sys; from medt_pipeline.commands.evaluate import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: sys.exit(bool({'numpy', 'pandas', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_options_reach_the_scores(folders, tmp_path, capsys):
    reference, predictions = folders
    (tmp_path / "patients.csv").write_text("name,patient\na,p1\nb,p1\nc,p2\n", encoding="utf-8")
    arguments = ["-g", str(reference), "-p", str(predictions), "--groups", str(tmp_path / "patients.csv")]
    arguments += [
        "--pixel-size",
        "0.5,0.1",
        "--tolerance",
        "0.05mm",
        "--instances",
        "components",
        "--protocol",
        "paper",
    ]
    assert main([*arguments, "--paper-size", "4"]) == 0
    scores = json.loads((predictions / "medt_scores.json").read_text(encoding="utf-8"))
    assert (scores["groups"], scores["distance_unit"], scores["surface_dice_tolerance"]) == (2, "mm", "0.05 mm")
    assert scores["classes"]["1"]["mean"]["hd95"] == pytest.approx(0.095)
    assert scores["classes"]["1"]["mean"]["surface_dice"] == pytest.approx(2 / 3)
    assert scores["classes"]["1"]["mean"]["object_dice"] == pytest.approx(2 / 3)
    assert scores["classes"]["1"]["published_protocol"]["size"] == 4
    assert "Warning" in capsys.readouterr().out


def test_less_can_be_scored(folders):
    reference, predictions = folders
    assert main(["-g", str(reference), "-p", str(predictions), "--no-surface", "--groups", "(.)"]) == 0
    scores = json.loads((predictions / "medt_scores.json").read_text(encoding="utf-8"))
    assert set(scores["classes"]["1"]["mean"]) == {"dice", "iou", "precision", "recall"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--tolerance", "2"),
        ("--pixel-size", "0"),
        ("--groups", "x(y)"),
        ("--instances", "nowhere"),
        ("--paper-size", "0"),
    ],
)
def test_impossible_options_are_refused(folders, option, value, capsys):
    reference, predictions = folders
    assert main(["-g", str(reference), "-p", str(predictions), option, value]) == 2
    assert capsys.readouterr().err.count("\n") == 1
