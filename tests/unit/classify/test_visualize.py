"""Filters, maps, projections and patches, on networks of which one knows what they look for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from deepcanon.classify.inside.looks import (
    Choice,
    Named,
    checked_layers,
    default_layers,
    title_of,
    view,
)
from deepcanon.classify.inside.projection import Rule
from deepcanon.classify.inside.subject import Subject
from deepcanon.classify.inside.top_patches import Peak, peaks, top_patches
from deepcanon.classify.vgg import VGG, Config, Conv
from deepcanon.classify.visualize import activations, filters, projections
from deepcanon.core.errors import BadInput, Failed
from deepcanon.nn.layer_table import receptive_fields
from deepcanon.nn.preprocessing import CAFFE, Preprocessing

pytestmark = pytest.mark.row("C6")

PLAIN = Preprocessing(name="plain", order="RGB", scale=1.0, mean=(0.0, 0.0, 0.0))


def subject(
    net: nn.Module, *, side: int = 16, how: Preprocessing = PLAIN, labels: tuple[str, ...] = ()
) -> Subject:
    return Subject(
        net=net.eval(),
        model="tiny",
        variant="paper",
        preprocessing=how,
        side=side,
        resize=side,
        labels=labels,
        fields=receptive_fields(net, input_size=(3, side, side)),
    )


def seeing_red_and_blue() -> nn.Sequential:
    """Channel 0 sees red, channel 1 blue; then 2x2 pools, a 5x5 and a mean over all."""
    conv = nn.Conv2d(3, 2, 1, bias=False)
    deep = nn.Conv2d(2, 2, 5, padding=2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 0.5]])[..., None, None])
        deep.weight.fill_(0)
        deep.weight[0, 0] = deep.weight[1, 1] = 1
    return nn.Sequential(
        conv,
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        deep,
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def dot(row: int, column: int, colour: tuple[int, int, int], *, side: int = 16) -> np.ndarray:
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[row, column] = colour
    return pixels


def silent(_: str) -> None:
    """Nobody watches."""


RED, BLUE = (255, 0, 0), (0, 0, 255)


# --- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_first_filters_are_pictures_in_rgb_whatever_the_network_reads(order: str) -> None:
    net = seeing_red_and_blue()
    how = PLAIN if order == "RGB" else CAFFE
    section = filters(subject(net, how=how), choice=Choice(tile=10))
    assert "2 of 2 filters, 1x1 over 3 channels" in section.title
    red, blue = (tile.pixels for tile in section.tiles)
    if order == "BGR":
        red, blue = blue, red
    assert red.shape == (10, 10, 3)
    assert red[4, 4].tolist() == [255, 128, 128]  # zero is the middle grey
    assert blue[4, 4].tolist() == [128, 128, 255]


def test_deeper_filters_are_a_square_for_each_channel_that_they_read() -> None:
    section = filters(subject(seeing_red_and_blue()), layer="3", choice=Choice(tile=11))
    first = section.tiles[0].pixels
    assert first.shape == (5, 11, 3)  # 5x5, a line, 5x5
    assert (first[:, :5] == 255).all()
    assert (first[:, 5:] == 128).all()


def test_only_convolutions_have_filters() -> None:
    with pytest.raises(BadInput, match="1 is a ReLU") as caught:
        filters(subject(seeing_red_and_blue()), layer="1", choice=Choice())
    assert "such as 0, 3" in caught.value.hint
    with pytest.raises(BadInput, match="no convolution"):
        filters(subject(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)), side=8), choice=Choice())


def test_filters_that_are_asked_for() -> None:
    section = filters(subject(seeing_red_and_blue()), choice=Choice(channels=(1,)))
    assert [tile.label for tile in section.tiles] == ["1"]
    with pytest.raises(BadInput, match="0 has no channel 2") as caught:
        filters(subject(seeing_red_and_blue()), choice=Choice(channels=(1, 2)))
    assert "0 to 1" in caught.value.hint


# --- a picture -----------------------------------------------------------------------------------


def test_maps_are_bright_where_the_pattern_is() -> None:
    pictures = [Named("dots", dot(3, 12, RED) + dot(9, 1, BLUE))]
    looks = activations(
        subject(seeing_red_and_blue()),
        pictures,
        advance=silent,
        layers=["1"],
        choice=Choice(tile=16),
    )
    (section,) = looks.sections
    assert section.title == "1: 2 channels of 16x16, each value sees 1x1 pixels"
    shown, red, blue = section.tiles
    assert shown.label == "dots" and (shown.pixels == pictures[0].source).all()
    assert (red.label, blue.label) == ("0: 1", "1: 0.5")
    assert np.argwhere(red.pixels[..., 0] > 0).tolist() == [[3, 12]]
    assert np.argwhere(blue.pixels[..., 0] > 0).tolist() == [[9, 1]]
    assert red.pixels.max() == blue.pixels.max() == 255  # each by its own largest value
    assert blue.facts == {"channel": 1, "largest": 0.5, "mean": pytest.approx(0.5 / 256)}
    assert section.facts["picture"] == "dots" and section.facts["sees"] == [1, 1]


@pytest.mark.parametrize(("rule", "lit"), [(Rule.GUIDED, 1), (Rule.DECONVNET, 15)])
def test_a_projection_and_what_it_is_cut_from(rule: Rule, lit: int) -> None:
    """Guided, only the dot comes back. The deconvnet draws what the 5x5 filter looks for: a dot in
    each of its 25 pools, of which 15 lie in the picture."""
    pictures = [Named("dots", dot(3, 12, RED) + dot(9, 1, BLUE))]
    looks = projections(
        subject(seeing_red_and_blue()),
        pictures,
        advance=silent,
        layers=["4"],
        rule=rule,
        choice=Choice(tile=10),
    )
    (section,) = looks.sections
    shown, red, blue = section.tiles
    assert shown.pixels.shape == (10, 10, 3)
    # Its place is the first that sees the dot: row 0 and column 4 of pools, which begin at row -4
    # and column 4 of the picture and end at 6 and 14.
    assert red.facts == {"channel": 0, "value": 1.0, "box": [0, 4, 6, 14]}
    assert red.label == "0: 1" and blue.facts["channel"] == 1
    assert red.pixels.shape == (10, 21, 3)  # 10x6 in a square of 10, twice
    projected, patch = red.pixels[2:8, :10], red.pixels[2:8, 11:]
    assert np.argwhere(patch[..., 0] == 255).tolist() == [[3, 12 - 4]]
    assert projected[3, 12 - 4].tolist() == [255, 128, 128]
    assert (projected[..., 0] == 255).sum() == lit
    assert (projected[..., 1:] == 128).all()


def test_shallow_layers_see_parts_and_deep_layers_wholes() -> None:
    net = subject(seeing_red_and_blue())
    assert "each value sees 1x1" in title_of(net, "1")
    assert "each value sees 2x2" in title_of(net, "2")
    assert "each value sees 10x10" in title_of(net, "4")
    assert title_of(net, "6") == "6: 2 values, each sees the whole picture"
    pictures = [Named("red", dot(6, 7, RED))]
    looks = top_patches(
        net, pictures, advance=silent, layers=["6", "1", "4"], choice=Choice(channels=(0,), tile=20)
    )
    boxes = [section.tiles[0].facts["patches"][0]["box"] for section in looks.sections]
    assert [section.facts["layer"] for section in looks.sections] == ["1", "4", "6"]
    assert boxes[0] == [6, 7, 7, 8]
    assert boxes[2] == [0, 0, 16, 16]
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in boxes]
    assert areas[0] < areas[1] < areas[2]


def test_scores_have_the_names_of_their_classes() -> None:
    net = subject(seeing_red_and_blue(), labels=("cherry", "sky"))
    pictures = [Named("blue", dot(6, 7, BLUE))]
    looks = activations(net, pictures, advance=silent, layers=["6"], choice=Choice(count=1))
    assert looks.sections[0].tiles[1].label.startswith("sky: ")


def test_a_picture_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    pictures = [
        Named("bad.png", bad),
        Named("good", dot(1, 1, RED)),
        Named("tiny", dot(0, 0, RED, side=1)),
    ]
    net = subject(seeing_red_and_blue())
    for looks in (
        activations(net, pictures, advance=silent, layers=["1"], choice=Choice()),
        top_patches(net, pictures, advance=silent, layers=["1"], choice=Choice()),
    ):
        assert looks.done == ["good"]
        assert [name for name, _ in looks.failures] == ["bad.png", "tiny"]
    assert (
        top_patches(net, pictures[:1], advance=silent, layers=["1"], choice=Choice()).sections == []
    )


def test_grey_and_transparent_pictures_and_their_middle(tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.fromarray(np.full((20, 40), 77, np.uint8)).save(grey)
    net = subject(seeing_red_and_blue())
    assert (view(net, grey) == 77).all() and view(net, grey).shape == (16, 16, 3)
    clear = tmp_path / "clear.png"
    Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(clear)
    assert (view(net, clear) == 255).all()


def test_every_picture_is_told_of_once(tmp_path: Path) -> None:
    told: list[str] = []
    pictures = [Named("gone", tmp_path / "gone.png"), Named("good", dot(1, 1, RED))]
    for way in (activations, top_patches):
        way(
            subject(seeing_red_and_blue()),
            pictures,
            layers=["1"],
            choice=Choice(),
            advance=told.append,
        )
    assert told == ["gone", "good"] * 2


def test_a_page_that_would_be_too_large_is_refused_before_the_work() -> None:
    net, most = subject(seeing_red_and_blue()), 100_000_000 // (2 * 96**2)
    pictures = [Named("gone", Path("gone.png"))] * (most + 1)
    with pytest.raises(BadInput, match="more than 100 million pixels") as caught:
        activations(net, pictures, layers=["1"], choice=Choice(), advance=silent)
    assert "--count" in caught.value.hint
    looks = activations(net, pictures[1:], layers=["1"], choice=Choice(), advance=silent)
    assert len(looks.failures) == most


def test_a_network_of_nan_says_so() -> None:
    net = seeing_red_and_blue()
    with torch.no_grad():
        net[0].weight[0, 0] = torch.nan  # type: ignore[operator]
    with pytest.raises(Failed, match="values of 1 are not finite"):
        activations(
            subject(net),
            [Named("red", dot(1, 1, RED))],
            layers=["1"],
            choice=Choice(),
            advance=silent,
        )


# --- many pictures -------------------------------------------------------------------------------


def test_peaks_by_hand() -> None:
    maps = torch.tensor(
        [[[9.0, 8.0, 0.0, 7.0], [0.0, 0.0, 0.0, 6.0]], [[-1.0, 0.0, 0.0, 0.0], [0.0] * 4]]
    )
    found = peaks(maps, picture=5, count=4, apart=(0, 1))
    assert found[1] == []
    assert found[0] == [Peak(9.0, 5, 0, 0), Peak(7.0, 5, 0, 3), Peak(6.0, 5, 1, 3)]
    assert peaks(maps, picture=5, count=1, apart=(0, 1))[0] == [Peak(9.0, 5, 0, 0)]
    assert peaks(maps, picture=5, count=9, apart=(0, 0))[0][1] == Peak(8.0, 5, 0, 1)
    assert maps[0, 0, 0] == 9, "the maps were written to"


def test_the_strongest_of_many_pictures_first() -> None:
    strengths = [10, 250, 40, 90, 130, 200, 60, 170, 220, 30, 80]
    pictures = [
        Named(f"p{strength}", dot(place, 2, (strength, 0, 0)))
        for place, strength in enumerate(strengths)
    ]
    looks = top_patches(
        subject(seeing_red_and_blue()),
        pictures,
        advance=silent,
        layers=["1"],
        choice=Choice(tile=4),
    )
    (tile,) = looks.sections[0].tiles  # nothing is blue, so there is no other channel to show
    found = tile.facts["patches"]
    assert [each["picture"] for each in found] == [
        f"p{strength}" for strength in sorted(strengths, reverse=True)[:9]
    ]
    assert found[0]["value"] == pytest.approx(250 / 255)
    assert found[0]["box"] == [1, 2, 2, 3]
    assert tile.pixels.shape == (14, 14, 3)
    assert tile.pixels[1, 1].tolist() == [250, 0, 0]
    assert tile.pixels[1, 6].tolist() == [220, 0, 0]


def test_a_silent_channel_that_is_asked_for_says_so() -> None:
    pictures = [Named("red", dot(1, 1, RED))]
    looks = top_patches(
        subject(seeing_red_and_blue()),
        pictures,
        advance=silent,
        layers=["1"],
        choice=Choice(channels=(1,)),
    )
    assert looks.sections[0].tiles[0].label == "1: silent"


# --- layers by name ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_vgg() -> Subject:
    stages = ((Conv(3, 4),), (Conv(3, 4), Conv(3, 6)))
    config = Config(stages=stages, image_side=8, hidden=5, num_classes=3)
    return subject(VGG(config), side=8)


def test_vggs_layers_have_the_names_of_the_literature(small_vgg: Subject) -> None:
    assert small_vgg.layer("conv2_2") == small_vgg.layer("features.5") == "features.5"
    assert small_vgg.title("features.6") == "relu2_2"
    assert title_of(small_vgg, "features.6").startswith("relu2_2: 6 channels of 4x4")
    assert checked_layers(small_vgg, ["relu2_2", "features.1", "relu1_1"], Choice()) == [
        "features.1",
        "features.6",
    ]


def test_a_layer_that_is_not_there(small_vgg: Subject) -> None:
    with pytest.raises(BadInput, match="no layer 'conv2_3'") as caught:
        small_vgg.layer("conv2_3")
    assert "conv2_2" in caught.value.hint and "deepcanon describe tiny" in caught.value.hint
    with pytest.raises(BadInput, match="no layer ''"):
        small_vgg.layer("")


def test_a_shallow_a_middle_and_a_deep_layer(small_vgg: Subject) -> None:
    assert default_layers(small_vgg) == ["features.1", "features.4", "features.6"]
    assert default_layers(subject(nn.Sequential(nn.Conv2d(3, 2, 3)))) == ["0"]
    with pytest.raises(BadInput, match="no layer to look into"):
        default_layers(subject(nn.Sequential(nn.Flatten())))
