"""The rows of the canon: every system that deepcanon sets out to implement.

A row's modules are found through the cards in the catalogue (`ModelCard.rows`), its tests through
the marker `@pytest.mark.row("C10")`. Only what no card can say stands here: the modules of systems
that are not networks, and what is still missing where a row is begun but not finished.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system. `modules` adds to those of the cards; `missing` says what is not there yet."""

    id: str
    name: str
    modules: tuple[str, ...] = ()
    missing: str = ""


ROWS: tuple[Row, ...] = (
    Row(id="C1", name="Convolution layer", modules=("deepcanon.nn.convolution",)),
    Row(id="C2", name="Pooling: max, average, L2", modules=("deepcanon.nn.pooling",)),
    Row(id="C3", name="Fully connected layer and softmax"),
    Row(id="C4", name="Layer-pattern network"),
    Row(
        id="C5",
        name="Model arithmetic: the per-layer table",
        modules=("deepcanon.nn.layer_table",),
    ),
    Row(
        id="C6",
        name="Feature visualisation",
        modules=("deepcanon.classify.visualize", "deepcanon.classify.inside.projection"),
    ),
    Row(id="C7", name="AlexNet"),
    Row(
        id="C8",
        name="Local response normalisation",
        modules=("deepcanon.nn.lrn",),
    ),
    Row(id="C9", name="Dropout", modules=("deepcanon.nn.dropout",)),
    Row(
        id="C10",
        name="VGG A, A-LRN, B, C, D, E",
    ),
    Row(id="C11", name="Inception-v1 (GoogLeNet)"),
    Row(id="C12", name="BN-Inception (v2)"),
    Row(id="C13", name="Inception-v3"),
    Row(id="C14", name="Inception-v4, Inception-ResNet v1 and v2"),
    Row(
        id="C15",
        name="Batch normalisation",
        modules=("deepcanon.nn.batch_norm",),
    ),
    Row(
        id="C16",
        name="ResNet and plain nets",
    ),
    Row(id="C17", name="ZF-net"),
    Row(
        id="C18",
        name="Training of classifiers",
        modules=(
            "deepcanon.classify.recipes",
            "deepcanon.classify.task",
            "deepcanon.classify.augment",
            "deepcanon.classify.evaluate",
        ),
    ),
    Row(id="D1", name="Intersection over union"),
    Row(id="D2", name="Precision, recall, AP, mAP"),
    Row(id="D3", name="Non-maximum suppression"),
    Row(id="D4", name="Selective search"),
    Row(id="D5", name="R-CNN"),
    Row(id="D6", name="Fast R-CNN"),
    Row(id="D7", name="RoI pooling and RoIAlign"),
    Row(id="D8", name="Faster R-CNN"),
    Row(id="D9", name="YOLO v1 and Fast YOLO"),
    Row(id="D10", name="YOLO v2"),
    Row(id="D11", name="YOLO v3"),
    Row(id="D12", name="SSD300, SSD512"),
    Row(id="D13", name="The ladder: R-CNN, Fast, Faster"),
    Row(id="S1", name="Recurrent network"),
    Row(id="S2", name="Backpropagation through time"),
    Row(id="S3", name="Vanishing and exploding gradients"),
    Row(id="S4", name="Gradient clipping by norm"),
    Row(id="S5", name="LSTM"),
    Row(id="S6", name="LSTM with peepholes"),
    Row(id="S7", name="LSTM with coupled gates"),
    Row(id="S8", name="GRU"),
    Row(id="S9", name="Language model"),
    Row(id="S10", name="Machine translation"),
    Row(id="S11", name="Image captioning"),
    Row(id="S12", name="Video captioning, visual question answering"),
    Row(id="G1", name="GAN"),
    Row(id="G2", name="Mode collapse made visible"),
    Row(id="G3", name="WGAN"),
    Row(id="G4", name="DCGAN"),
    Row(id="G5", name="CGAN"),
    Row(id="G6", name="InfoGAN"),
    Row(id="G7", name="BiGAN"),
    Row(id="G8", name="VAE-GAN"),
    Row(id="G9", name="CycleGAN"),
    Row(id="G10", name="SRGAN"),
    Row(id="G11", name="Applications: faces, style conversion, super-resolution"),
    Row(
        id="T1",
        name="Style transfer by optimisation (Gatys et al. 2016)",
        modules=("deepcanon.style.gatys", "deepcanon.style.losses"),
    ),
    Row(id="T2", name="Style transfer in one pass (Johnson et al. 2016)"),
    Row(id="T3", name="Perceptual super-resolution"),
    Row(
        id="T4",
        name="The speed table: optimisation against one pass",
        modules=("deepcanon.reproduce.style_speed",),
    ),
)
